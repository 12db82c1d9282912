"""Hooks, comments in queries, stored test failures."""

# ruff: noqa: F401
from dbt.tests.adapter.hooks.test_model_hooks import (
    TestDuplicateHooksInConfigs,
    TestHookRefs,
    TestHooksRefsOnSeeds,
    TestPrePostModelHooks,
    TestPrePostModelHooksInConfig,
    TestPrePostModelHooksInConfigKwargs,
    TestPrePostModelHooksInConfigWithCount,
    TestPrePostModelHooksOnSeeds,
    TestPrePostModelHooksOnSeedsPlusPrefixed,
    TestPrePostModelHooksOnSeedsPlusPrefixedWhitespace,
    TestPrePostModelHooksOnSnapshots,
    TestPrePostModelHooksUnderscores,
    TestPrePostSnapshotHooksInConfigKwargs,
)
from dbt.tests.adapter.hooks.test_run_hooks import TestAfterRunHooks, TestPrePostRunHooks
from dbt.tests.adapter.query_comment.test_query_comment import (
    TestEmptyQueryComments,
    TestMacroArgsQueryComments,
    TestMacroInvalidQueryComments,
    TestMacroQueryComments,
    TestNullQueryComments,
    TestQueryComments,
)
from dbt.tests.adapter.store_test_failures_tests import basic as store
from dbt.tests.adapter.store_test_failures_tests.test_store_test_failures import (
    TestStoreTestFailures,
    TestStoreTestFailuresLimit,
)


class TestStoreInteractions(store.StoreTestFailuresAsInteractions):
    pass


class TestStoreProjectLevelOff(store.StoreTestFailuresAsProjectLevelOff):
    pass


class TestStoreProjectLevelView(store.StoreTestFailuresAsProjectLevelView):
    pass


class TestStoreProjectLevelEphemeral(store.StoreTestFailuresAsProjectLevelEphemeral):
    pass


class TestStoreGeneric(store.StoreTestFailuresAsGeneric):
    pass


class TestStoreExceptions(store.StoreTestFailuresAsExceptions):
    pass

"""Caching, types, concurrency, clone, show, comments, unit tests."""

# ruff: noqa: F401
from dbt.tests.adapter.caching.test_caching import (
    TestCachingLowerCaseModel,
    TestCachingSelectedSchemaOnly,
    TestCachingUppercaseModel,
    TestNoPopulateCache,
)
from dbt.tests.adapter.column_types.test_column_types import TestPostgresColumnTypes
from dbt.tests.adapter.concurrency.test_concurrency import TestConcurenncy
from dbt.tests.adapter.dbt_clone.test_dbt_clone import (
    TestCloneSameTargetAndState,
    TestPostgresCloneNotPossible,
)
from dbt.tests.adapter.dbt_debug.test_dbt_debug import (
    TestDebugInvalidProjectPostgres,
    TestDebugPostgres,
)
from dbt.tests.adapter.dbt_show.test_dbt_show import (
    TestPostgresShowLimit,
    TestPostgresShowSqlHeader,
    TestShowDoesNotHandleDoubleLimit,
)
from dbt.tests.adapter.persist_docs.test_persist_docs import (
    TestPersistDocs,
    TestPersistDocsAllColumnsMissing,
    TestPersistDocsColumnMissing,
    TestPersistDocsCommentOnQuotedColumn,
    TestPersistDocsQuotedColumnCaseSensitive,
    TestPersistDocsQuotedDescriptionNotAppliedOnMismatch,
)
from dbt.tests.adapter.relations.test_changing_relation_type import TestChangeRelationTypes
from dbt.tests.adapter.relations.test_dropping_schema_named import TestDropSchemaNamed
from dbt.tests.adapter.unit_testing.test_case_insensitivity import (
    TestPosgresUnitTestCaseInsensitivity,
)
from dbt.tests.adapter.unit_testing.test_invalid_input import TestPostgresUnitTestInvalidInput
from dbt.tests.adapter.unit_testing.test_quoted_reserved_word_column_names import (
    BaseUnitTestQuotedReservedWordColumnNames,
)
from dbt.tests.adapter.unit_testing.test_types import TestPostgresUnitTestingTypes
from dbt.tests.adapter.unit_testing.test_types import BaseUnitTestingVarcharFixtureNoTruncation


class TestUnitTestQuotedNames(BaseUnitTestQuotedReservedWordColumnNames):
    pass


class TestUnitTestVarchar(BaseUnitTestingVarcharFixtureNoTruncation):
    pass

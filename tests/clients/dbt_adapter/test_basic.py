"""Materializations, tests, snapshots, docs: what every adapter must do."""

# ruff: noqa: F401
from dbt.tests.adapter.basic.test_adapter_methods import TestBaseCaching
from dbt.tests.adapter.basic.test_base import TestSimpleMaterializations
from dbt.tests.adapter.basic.test_docs_generate import TestDocsGenReferences, TestDocsGenerate
from dbt.tests.adapter.basic.test_empty import TestEmpty
from dbt.tests.adapter.basic.test_ephemeral import TestEphemeral
from dbt.tests.adapter.basic.test_generic_tests import TestGenericTests
from dbt.tests.adapter.basic.test_incremental import (
    TestBaseIncrementalNotSchemaChange,
    Testincremental,
)
from dbt.tests.adapter.basic.test_singular_tests import TestSingularTests
from dbt.tests.adapter.basic.test_singular_tests_ephemeral import TestSingularTestsEphemeral
from dbt.tests.adapter.basic.test_snapshot_check_cols import TestSnapshotCheckCols
from dbt.tests.adapter.basic.test_snapshot_timestamp import TestSnapshotTimestamp
from dbt.tests.adapter.basic.test_table_materialization import TestTableMat
from dbt.tests.adapter.basic.test_validate_connection import TestValidateConnection

"""Contracts and constraints."""

# ruff: noqa: F401
from dbt.tests.adapter.constraints.test_constraints import (
    TestConstraintQuotedColumn,
    TestIncrementalConstraintsColumnsEqual,
    TestIncrementalConstraintsRollback,
    TestIncrementalConstraintsRuntimeDdlEnforcement,
    TestIncrementalContractSqlHeader,
    TestIncrementalForeignKeyConstraint,
    TestModelConstraintsRuntimeEnforcement,
    TestTableConstraintsColumnsEqual,
    TestTableConstraintsRollback,
    TestTableConstraintsRuntimeDdlEnforcement,
    TestTableContractSqlHeader,
    TestViewConstraintsColumnsEqual,
)

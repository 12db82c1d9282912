"""Ephemeral models; the statements compared name a schema after this file."""

# ruff: noqa: F401
from dbt.tests.adapter.ephemeral.test_ephemeral import (
    TestEphemeralErrorHandling,
    TestEphemeralMulti,
    TestEphemeralNested,
)

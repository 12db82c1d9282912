"""Snapshots."""

# ruff: noqa: F401
from dbt.tests.adapter.simple_snapshot import test_ephemeral_snapshot_hard_deletes as hard_deletes
from dbt.tests.adapter.simple_snapshot import test_various_configs as configs
from dbt.tests.adapter.simple_snapshot.new_record_check_mode import BaseSnapshotNewRecordCheckMode
from dbt.tests.adapter.simple_snapshot.new_record_dbt_valid_to_current import (
    BaseSnapshotNewRecordDbtValidToCurrent,
)
from dbt.tests.adapter.simple_snapshot.new_record_timestamp_mode import (
    BaseSnapshotNewRecordTimestampMode,
)
from dbt.tests.adapter.simple_snapshot.test_snapshot import TestSnapshot, TestSnapshotCheck


class TestNewRecordCheck(BaseSnapshotNewRecordCheckMode):
    pass


class TestNewRecordValidToCurrent(BaseSnapshotNewRecordDbtValidToCurrent):
    pass


class TestNewRecordTimestamp(BaseSnapshotNewRecordTimestampMode):
    pass


class TestEphemeralHardDeletes(hard_deletes.BaseSnapshotEphemeralHardDeletes):
    pass


class TestNewColumnTimestamp(hard_deletes.BaseSnapshotNewColumnTimestampStrategy):
    pass


class TestNewColumnCheckColumns(hard_deletes.BaseSnapshotNewColumnSpecificCheckCols):
    pass


class TestNewColumnWithDeletes(hard_deletes.BaseSnapshotNewColumnWithDeletes):
    pass


class TestColumnNames(configs.BaseSnapshotColumnNames):
    pass


class TestColumnNamesFromProject(configs.BaseSnapshotColumnNamesFromDbtProject):
    pass


class TestInvalidColumnNames(configs.BaseSnapshotInvalidColumnNames):
    pass


class TestValidToCurrent(configs.BaseSnapshotDbtValidToCurrent):
    pass


class TestMultiUniqueKey(configs.BaseSnapshotMultiUniqueKey):
    pass

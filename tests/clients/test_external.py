"""External tables: files under a name. What a schema holds goes with it, as PostgreSQL's foreign tables do."""

import psycopg
import pytest

from pipelines import DATA

ITEMS = DATA / "obd_items.parquet"


def test_an_external_table_goes_with_its_schema(server):
    told = []
    with server.connect() as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        connection.execute("create schema raw")
        connection.execute(
            f"create external table raw.items stored as parquet location '{ITEMS}'"
        )
        # DuckDB 1.5.5: select count(*) from 'obd_items.parquet'.
        assert connection.execute("select count(*) from raw.items").fetchone() == (160,)
        with pytest.raises(psycopg.errors.DependentObjectsStillExist) as refused:
            connection.execute("drop schema raw")
        detail = "foreign table raw.items depends on schema raw"
        assert refused.value.diag.message_detail == detail
        connection.execute("create view seen as select item_id from raw.items")
        connection.execute("drop schema raw cascade")
        # PostgreSQL 15 words them so.
        assert told == ["drop cascades to view seen", "drop cascades to foreign table raw.items"]
        connection.execute("create schema raw")
        for gone in ["raw.items", "seen"]:
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(f"select * from {gone}")

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


def test_catalogs_show_an_external_table_as_a_foreign_one(server):
    """What PostgreSQL 15 shows of a foreign table, as psql, BI tools and drivers ask for it."""
    with server.connect() as connection:
        ask = lambda query: connection.execute(query).fetchall()
        assert ask("select * from pg_foreign_server") == []
        connection.execute(f"create external table items stored as parquet location '{ITEMS}'")
        connection.execute("comment on table items is 'of the shop'")
        connection.execute("comment on column items.item_id is 'its number'")
        assert ask("select relkind, relnatts, obj_description(oid) from pg_class where relname = 'items'") == [
            ("f", 6, "of the shop")
        ]
        # The types of the file's columns by DuckDB 1.5.5: describe select * from 'obd_items.parquet'.
        types = [
            ("campaign", "text", None), ("item_id", "bigint", "its number"),
            ("item_feature_0", "double precision", None),
        ]
        assert ask("""select attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
            from pg_attribute where attrelid = 'items'::regclass and attnum <= 3 order by attnum""") == types
        assert ask("""select table_type, is_insertable_into from information_schema.tables
            where table_name = 'items'""") == [("FOREIGN", "NO")]
        assert ask("select count(*) from information_schema.columns where table_name = 'items'") == [(6,)]
        assert ask("""select s.srvname, array_to_string(array(select option_name from
            pg_options_to_table(f.ftoptions)), ',') from pg_foreign_table f
            join pg_foreign_server s on s.oid = f.ftserver""") == [("files", "location,format")]
        assert ask("select 1 from pg_views where viewname = 'items'") == []
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("comment on column items.nope is 'x'")
        connection.execute("create role admin superuser login password 'x'")
        connection.execute("create role reader login password 'x'")
        connection.execute("grant select on items to reader")
        assert ask("""select has_table_privilege('reader', 'items', 'select'),
            has_table_privilege('reader', 'items', 'insert')""") == [(True, False)]
        assert ask("select grantee from information_schema.role_table_grants where table_name = 'items'"
                   " and grantee = 'reader'") == [("reader",)]
        connection.execute("drop table items")
        assert ask("select 1 from pg_class where relname = 'items'") == []

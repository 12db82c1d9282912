"""Data frames beside Postgres: polars, connectorx in its four protocols, ADBC."""

import datetime
import decimal

import adbc_driver_postgresql.dbapi
import connectorx
import polars
import polars.testing
import pyarrow
import pytest

ALL = "select * from people order by id"
# What connectorx knows in every protocol.
PLAIN = "select id, name, share, flag, small, ratio from people order by id"
TYPED = "select id, name, at is null, seen, balance, share, flag, born, key, doc, raw, code from people order by id"
ORDERS = "select person, day, cents, note from shop.orders"


def both(described, read):
    ours, theirs = (read(url) for url in described)
    assert ours == theirs


@pytest.mark.parametrize("query", [ALL, PLAIN, TYPED, "select * from rich", "select * from people where false"])
def test_polars_through_connectorx(described, query):
    ours, theirs = (polars.read_database_uri(query, url) for url in described)
    if "at" in ours.columns:
        ours, theirs = ours.drop("at"), theirs.drop("at")
    polars.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("query", [PLAIN, ORDERS + " order by 1, 2", "select count(*), sum(cents), max(day) from shop.orders"])
def test_polars_through_adbc(described, query):
    ours, theirs = (polars.read_database_uri(query, url, engine="adbc") for url in described)
    assert ours.schema == theirs.schema
    assert ours.rows() == theirs.rows()


@pytest.mark.parametrize("protocol", ["binary", "csv", "cursor", "simple"])
def test_connectorx(described, protocol):
    def read(url):
        query = PLAIN if protocol == "simple" else TYPED
        found = connectorx.read_sql(url, query, protocol=protocol, return_type="arrow")
        return found.schema, found.to_pylist()

    both(described, read)


def test_connectorx_reads_in_parts(described):
    def read(url):
        parts = connectorx.read_sql(url, ORDERS, partition_on="person", partition_num=3, return_type="arrow")
        several = connectorx.read_sql(url, [ORDERS + " where person = 1", ORDERS + " where person = 2"], return_type="arrow")
        return sorted(map(str, parts.to_pylist())), sorted(map(str, several.to_pylist()))

    both(described, read)


def test_connectorx_tells_the_error(described):
    def read(url):
        with pytest.raises(Exception) as error:
            connectorx.read_sql(url, "select nothing from people", return_type="arrow")
        return str(error.value)

    both(described, read)


FRAME = polars.DataFrame({
    "id": [1, 2, 3], "name": ["a", None, "c\n'\""], "value": [0.5, None, -2.0], "flag": [True, None, False],
    "day": [datetime.date(2024, 2, 29), None, datetime.date(1969, 1, 1)],
    "at": [datetime.datetime(2024, 1, 2, 3, 4, 5, 678000), None, datetime.datetime(1900, 1, 1)],
})


@pytest.mark.parametrize("engine", ["sqlalchemy", "adbc"])
def test_polars_writes(server, postgres, engine):
    def work(url):
        if engine == "sqlalchemy":
            url = url.replace("postgres://", "postgresql+psycopg://")
        rows = [FRAME.write_database("frame", url, engine=engine)]
        rows.append(FRAME.write_database("frame", url, engine=engine, if_table_exists="append"))
        rows.append(FRAME.head(1).write_database("other", url, engine=engine))
        rows.append(FRAME.write_database("other", url, engine=engine, if_table_exists="replace"))
        plain = url.replace("postgresql+psycopg://", "postgres://")
        return [rows, *(polars.read_database_uri(f"select * from {name} order by id, at", plain) for name in ["frame", "other"])]

    ours, theirs = (work(url) for url in [server.url(), postgres.database(f"polars_{engine}")])
    assert ours[0] == theirs[0]
    for here, there in zip(ours[1:], theirs[1:]):
        polars.testing.assert_frame_equal(here, there)
        assert here.height in (3, 6)


def ordered(objects):
    """The driver asks for no order of what is in a schema or a table."""
    if isinstance(objects, dict):
        return {name: ordered(held) for name, held in objects.items()}
    return sorted(map(ordered, objects), key=str) if isinstance(objects, list) else objects


def test_adbc_describes(described):
    def read(url):
        with adbc_driver_postgresql.dbapi.connect(url) as connection:
            found = [connection.adbc_get_table_types()]
            for table in ["people", "rich", "counted", "Odd Name"]:
                found.append(connection.adbc_get_table_schema(table).to_string())
            found.append(connection.adbc_get_table_schema("orders", db_schema_filter="shop").to_string())
            with pytest.raises(Exception) as error:
                connection.adbc_get_table_schema("nobody")
            found.append(type(error.value).__name__)
            connection.rollback()
            for depth in ["catalogs", "db_schemas", "tables", "all"]:
                objects = connection.adbc_get_objects(
                    depth=depth, catalog_filter="sextant", db_schema_filter="shop", table_name_filter="%"
                )
                found.append(ordered(objects.read_all().to_pylist()))
            objects = connection.adbc_get_objects(catalog_filter="sextant", db_schema_filter="public", table_name_filter="people")
            found.append(ordered(objects.read_all().to_pylist()))
            return found

    ours, theirs = (read(url) for url in described)
    for here, there in zip(ours, theirs, strict=True):
        assert here == there


def test_adbc_works(server, postgres):
    rows = pyarrow.table({
        "i": pyarrow.array([1, 2, None], pyarrow.int32()), "s": ["a", None, "c"], "d": [datetime.date(2024, 1, 1), None, None],
        "n": pyarrow.array([decimal.Decimal("1.50"), None, decimal.Decimal("-3.25")], pyarrow.decimal128(10, 2)),
        "l": pyarrow.array([[1, None], None, []], pyarrow.list_(pyarrow.int64())), "b": [b"\0", None, b""],
    })

    def work(url):
        seen = []
        with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
            seen.append(cursor.adbc_ingest("rows", rows, mode="create"))
            seen.append(cursor.adbc_ingest("rows", rows, mode="create_append"))
            seen.append(cursor.adbc_ingest("rows", rows, mode="replace"))
            seen.append(cursor.adbc_ingest("gone", rows.select(["i", "s"]), mode="create", temporary=True))
            connection.commit()
            cursor.execute("select i, s, d, l, b from rows where i >= $1 or i is null order by i", [1])
            table = cursor.fetch_arrow_table()
            seen.append((table.schema.to_string(), table.to_pylist()))
            cursor.execute("select n::float8 from rows order by 1")
            seen.append(cursor.fetchall())
            cursor.executemany("insert into rows (i, s) values ($1, $2)", [(10, "ten"), (11, "eleven")])
            seen.append(cursor.rowcount)
            connection.rollback()
            cursor.execute("select count(*) from rows")
            seen.append(cursor.fetchall())
            prepared = cursor.adbc_prepare("select $1::int as a, $2 || 'x' as b")
            seen.append(prepared.to_string())
            seen.append(cursor.adbc_execute_schema("select i, s, n, l from rows").to_string())
            for wrong in ["select * from nowhere", "selec 1", "select 1/0"]:
                with pytest.raises(adbc_driver_postgresql.dbapi.Error) as error:
                    cursor.execute(wrong)
                    cursor.fetchall()
                seen.append((type(error.value).__name__, error.value.sqlstate))
                connection.rollback()
        return seen

    ours, theirs = (work(url) for url in [server.url(), postgres.database("adbc")])
    for here, there in zip(ours, theirs, strict=True):
        assert here == there

"""COPY as drivers use it: psycopg's copy(), asyncpg's bulk calls, ADBC, which reads everything so."""

import asyncio
import datetime
import decimal
import io
import uuid

import adbc_driver_postgresql.dbapi
import asyncpg
import pyarrow
import pytest

UTC = datetime.timezone.utc
TYPES = [
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "bytea", "date", "time",
    "timestamp", "timestamptz", "interval", "uuid", "int4[]", "text[]",
]
ROWS = [
    (
        True, 1, 2, 2**40, 1.5, -2.25, decimal.Decimal("12.34000"), "a\tb\nc\\d\"é", b"\0\xff",
        datetime.date(2024, 1, 2), datetime.time(10, 11, 12, 500), datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
        datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), datetime.timedelta(days=3, seconds=4),
        uuid.UUID(int=5), [1, None, 3], ["a,b", None, "", 'q"\\'],
    ),
    (None,) * 17,
]


def table(connection):
    columns = ", ".join(
        f"c{number} {'numeric(20,5)' if of == 'numeric' else of}" for number, of in enumerate(TYPES)
    )
    connection.execute(f"create table p ({columns})")


@pytest.mark.parametrize("form", ["text", "binary"])
def test_psycopg(server, form):
    connection = server.connect()
    table(connection)
    with connection.cursor() as cursor:
        with cursor.copy(f"copy p from stdin (format {form})") as copy:
            copy.set_types(TYPES)
            for row in ROWS * 100:
                copy.write_row(row)
        assert cursor.rowcount == 200
        with cursor.copy(f"copy p to stdout (format {form})") as copy:
            copy.set_types(TYPES)
            found = list(copy.rows())
    assert found == ROWS * 100
    assert connection.execute("select * from p").fetchall() == ROWS * 100


def test_asyncpg(server):
    async def run():
        connection = await asyncpg.connect(
            host="127.0.0.1", port=server.port, user="ann", database="sextant"
        )
        await connection.execute("create table p (a int, b text, at timestamptz)")
        now = datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        rows = [(number, f"row {number}", now) for number in range(1000)] + [(None, None, None)]
        assert await connection.copy_records_to_table("p", records=rows) == "COPY 1001"
        out = io.BytesIO()
        assert await connection.copy_from_table("p", output=out, format="csv", header=True) == "COPY 1001"
        assert out.getvalue().splitlines()[1] == b"0,row 0,2024-01-02 03:04:05.000006+00"
        out.seek(0)
        await connection.execute("delete from p")
        assert await connection.copy_to_table("p", source=out, format="csv", header=True) == "COPY 1001"
        found = [tuple(row) for row in await connection.fetch("select * from p")]
        with pytest.raises(asyncpg.BadCopyFileFormatError):
            await connection.copy_to_table("p", source=io.BytesIO(b"1\n"))
        assert await connection.fetchval("select count(*) from p") == 1001
        await connection.close()
        return found, rows

    found, rows = asyncio.run(run())
    assert sorted(found, key=str) == sorted(rows, key=str)


def test_adbc(server):
    url = f"postgresql://ann@127.0.0.1:{server.port}/sextant"
    rows = pyarrow.table({
        "x": pyarrow.array([1, 2, None], pyarrow.int64()), "s": ["a", None, "c\n"], "f": [1.5, -2.5, None],
        "at": pyarrow.array([0, None, 10**15], pyarrow.timestamp("us", "UTC")), "b": [True, None, False],
        "raw": pyarrow.array([b"\0\xff", None, b""], pyarrow.binary()),
    })
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        assert cursor.adbc_ingest("ingested", rows, mode="create") == 3
        assert cursor.adbc_ingest("ingested", rows, mode="append") == 3
        connection.commit()
        cursor.execute("select * from ingested")
        assert cursor.fetch_arrow_table().to_pylist() == rows.to_pylist() * 2
        cursor.execute("select count(*), sum(x) from ingested where x > 1")
        assert cursor.fetchone()[0] == 2

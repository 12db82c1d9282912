"""psqlODBC through pyodbc, beside Postgres: the nearest thing to Excel and Tableau."""

import datetime
import decimal
import glob
import re
import urllib.parse

import pyodbc
import pytest

# The place of the table's id among what the driver says of a column.
TABLE_OID = 22
DRIVER = sorted(glob.glob("/usr/lib/*/odbc/psqlodbcw.so"))


def connect(url, autocommit=True, **options):
    at = urllib.parse.urlsplit(url)
    options = {
        "Driver": DRIVER[0], "Server": at.hostname, "Port": at.port, "Database": at.path[1:], "Uid": at.username,
        "Pwd": at.password or "", "BoolsAsChar": 0, **options,
    }
    return pyodbc.connect(";".join(f"{name}={value}" for name, value in options.items()), autocommit=autocommit)


def rows(cursor):
    columns = [column[:2] + column[3:] for column in cursor.description]
    return columns, sorted((tuple(row) for row in cursor.fetchall()), key=str)


def described_rows(cursor, own=()):
    """Rows of a catalog function, without columns that are each server's own numbers.

    What the driver says of their columns depends on whether a column of the catalogs may be NULL.
    """
    columns, found = rows(cursor)
    return [column[:2] for column in columns], [[cell for at, cell in enumerate(row) if at not in own] for row in found]


def test_catalog_functions(described):
    def read(url):
        connection = connect(url)
        cursor = connection.cursor()
        found = {
            "tables": described_rows(cursor.tables(schema="public")),
            "views": described_rows(cursor.tables(schema="shop", tableType="VIEW")),
            "named": described_rows(cursor.tables(table="people")),
            "key": described_rows(cursor.primaryKeys("orders", schema="shop")),
            "key of none": described_rows(cursor.primaryKeys("rich")),
            "imported": described_rows(cursor.foreignKeys(foreignTable="orders", foreignSchema="shop")),
            "exported": described_rows(cursor.foreignKeys(table="people")),
            "indexes": [row[:-3] for row in described_rows(cursor.statistics("people"))[1]],
            "unique": [row[:-3] for row in described_rows(cursor.statistics("people", unique=True))[1]],
            "row id": described_rows(cursor.rowIdColumns("people")),
            "version": described_rows(cursor.rowVerColumns("people")),
            "procedure": described_rows(cursor.procedures(procedure="array_append")),
            "types": described_rows(cursor.getTypeInfo()),
            "integer": described_rows(cursor.getTypeInfo(pyodbc.SQL_INTEGER)),
        }
        for schema, table in [("public", "people"), ("shop", "orders"), ("public", "rich"), ("public", "Odd Name")]:
            found[f"columns of {table}"] = described_rows(cursor.columns(table=table, schema=schema), own=(TABLE_OID,))
        for what in [pyodbc.SQL_DBMS_NAME, pyodbc.SQL_TXN_CAPABLE, pyodbc.SQL_IDENTIFIER_QUOTE_CHAR, pyodbc.SQL_MAX_IDENTIFIER_LEN]:
            found[what] = connection.getinfo(what)
        return found

    ours, theirs = (read(url) for url in described)
    for name in theirs:
        assert ours[name] == theirs[name], name


VALUES = [
    1, 2**40, 0.5, decimal.Decimal("12.3400"), "é\n'", datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 2, 3, 4, 5, 678000),
    b"\0\xff", True, "550e8400-e29b-41d4-a716-446655440000",
]
TABLE = """create table v (i int, l bigint, f float8, n numeric(12, 4), t text, d date, ts timestamp, y bytea, b boolean, u uuid)"""


@pytest.mark.parametrize("options", [{}, {"UseDeclareFetch": 1, "Fetch": 7}, {"UseServerSidePrepare": 0}], ids=["plain", "cursors", "simple"])
def test_statements(server, postgres, options):
    def work(url):
        connection = connect(url, **options)
        cursor = connection.cursor()
        seen = []
        cursor.execute(TABLE)
        marks = ", ".join("?" * len(VALUES))
        seen.append(cursor.execute(f"insert into v values ({marks})", VALUES).rowcount)
        cursor.execute(f"insert into v values ({marks})", [None] * len(VALUES))
        seen.append(rows(cursor.execute("select * from v")))
        seen.append(rows(cursor.execute("select i, t from v where t = ? and l > ? and d = ?", VALUES[4], 5, VALUES[5])))
        cursor.executemany("insert into v (i, t) values (?, ?)", [(i, f"n{i}") for i in range(10, 60)])
        cursor.fast_executemany = True
        cursor.executemany("insert into v (i, t) values (?, ?)", [(i, f"m{i}") for i in range(60, 90)])
        seen.append(rows(cursor.execute("select i, t from v where i >= ?", 10)))
        cursor.execute("select i from v where i >= 10 order by i")
        seen.append([len(cursor.fetchmany(30)), cursor.fetchone()[0], cursor.fetchval()])
        seen.append(cursor.execute("update v set f = ? where i < ?", 2.5, 20).rowcount)
        seen.append(cursor.execute("delete from v where i in (?, ?, ?)", 10, 11, 12345).rowcount)
        seen.append(rows(cursor.execute("select count(*) as n, sum(i) as s, avg(f) as a, max(t) as m from v")))
        seen.append(rows(cursor.execute("select {fn ucase('abc')} as u, {d '2024-01-02'} as d, {fn length('four')} as l")))
        for wrong in ["select * from nowhere", "select nothing", "selec 1", "select 1/0", "select 'x'::int"]:
            with pytest.raises(pyodbc.Error) as error:
                cursor.execute(wrong).fetchall()
            # Of a syntax error ours says more in the detail.
            seen.append((type(error.value).__name__, [re.sub(r"\nDETAIL: [^;]*", "", arg) for arg in error.value.args]))
        seen.append(rows(cursor.execute("select * from v where false")))
        cursor.execute("select 1 as a; select 2 as b")
        seen.append([cursor.fetchall()[0][0], cursor.nextset(), cursor.fetchall()[0][0], cursor.nextset()])
        connection.close()
        return seen

    name = f"odbc_{len(options)}{''.join(options)}".lower()
    ours, theirs = (work(url) for url in [server.url(), postgres.database(name)])
    for number, (here, there) in enumerate(zip(ours, theirs, strict=True)):
        assert here == there, number


def test_transactions(server, postgres):
    def work(url):
        seen = []
        with connect(url, autocommit=False) as connection:
            cursor = connection.cursor()
            cursor.execute("create table t (a int primary key)")
            cursor.execute("insert into t values (1)")
            connection.commit()
            cursor.execute("insert into t values (2)")
            connection.rollback()
            seen.append(cursor.execute("select count(*) from t").fetchval())
            cursor.execute("insert into t values (3)")
            # The driver sets a savepoint before each statement, so the one that fails is undone alone.
            with pytest.raises(pyodbc.Error):
                cursor.execute("select nothing")
            seen.append(cursor.execute("select count(*) from t").fetchval())
            connection.commit()
        with connect(url) as connection:
            seen.append(connection.execute("select count(*) from t").fetchval())
            connection.execute("set statement_timeout = 200")
            with pytest.raises(pyodbc.Error) as error:
                connection.execute("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where (a - b) % 2 > 1")
            seen.append(error.value.args[0])
            seen.append(connection.execute("select 1").fetchval())
        return seen

    ours, theirs = (work(url) for url in [server.url(), postgres.database("odbc_transactions")])
    assert ours == theirs

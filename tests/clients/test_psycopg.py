"""psycopg 3: values both ways, tags, transactions, conflicts, durability.

Expected values follow from what was inserted, and from PostgreSQL where its behaviour is meant.
"""

import sqlite3
import threading
import time
import uuid
from datetime import date, datetime, timezone
from decimal import Decimal

import psycopg
import pytest

ROW = (
    1, Decimal("1.50"), "x", datetime(2024, 1, 1, tzinfo=timezone.utc), date(2024, 2, 3),
    [1, None, 2], {"a": 1}, uuid.UUID("550e8400-e29b-41d4-a716-446655440000"), b"\xde\xad", 1.5,
)
TABLE = """CREATE TABLE p (id int PRIMARY KEY, n numeric(10,2), t text, ts timestamptz, d date,
    a int[], j jsonb, u uuid, b bytea, f float8)"""


@pytest.mark.parametrize("binary", [False, True])
def test_values_come_back_as_they_went(server, binary):
    connection = server.connect()
    connection.execute(TABLE)
    values = [psycopg.types.json.Jsonb(v) if isinstance(v, dict) else v for v in ROW]
    marks = ", ".join(["%s"] * len(values))
    tag = connection.execute(f"INSERT INTO p VALUES ({marks})", values)
    assert tag.statusmessage == "INSERT 0 1"
    assert connection.execute("SELECT * FROM p", binary=binary).fetchone() == ROW


def test_types_are_described_without_rows(server):
    connection = server.connect()
    connection.execute(TABLE)
    described = connection.execute("SELECT * FROM p WHERE false").description
    # OIDs of PostgreSQL's pg_type.
    assert [c.type_code for c in described] == [23, 1700, 25, 1184, 1082, 1007, 3802, 2950, 17, 701]


def test_row_counts_are_those_of_the_statement(server):
    connection = server.connect()
    connection.execute("CREATE TABLE t (id int, name text)")
    connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(i, f"n{i}") for i in range(20)])
    assert connection.execute("UPDATE t SET name = %s WHERE id < %s", ("x", 5)).rowcount == 5
    assert connection.execute("DELETE FROM t WHERE id = ANY(%s)", ([1, 2, 99],)).rowcount == 2
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (18,)


def test_rollback_undoes_and_others_do_not_see(server):
    first, second = server.connect(autocommit=False), server.connect()
    second.execute("CREATE TABLE t (id int)")
    first.execute("INSERT INTO t VALUES (1)")
    assert first.execute("SELECT count(*) FROM t").fetchone() == (1,)
    assert second.execute("SELECT count(*) FROM t").fetchone() == (0,)
    first.rollback()
    assert first.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_the_second_writer_of_a_row_gets_40001(server):
    setup, first, second = server.connect(), server.connect(autocommit=False), server.connect(autocommit=False)
    setup.execute("CREATE TABLE t (id int, v text)")
    setup.execute("INSERT INTO t VALUES (1, ''), (2, '')")
    first.execute("UPDATE t SET v = 'a' WHERE id = 1")
    second.execute("UPDATE t SET v = 'b' WHERE id = 1")
    first.commit()
    with pytest.raises(psycopg.errors.SerializationFailure):
        second.commit()
    second.rollback()
    # Different rows do not conflict.
    first.execute("UPDATE t SET v = 'c' WHERE id = 1")
    second.execute("UPDATE t SET v = 'd' WHERE id = 2")
    first.commit()
    second.commit()
    assert setup.execute("SELECT v FROM t ORDER BY id").fetchall() == [("c",), ("d",)]


def test_counters_outside_blocks_lose_nothing(server):
    server.connect().execute("CREATE TABLE c AS SELECT 0 AS n")

    def count():
        with server.connect() as connection:
            for _ in range(15):
                connection.execute("UPDATE c SET n = n + 1")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connect().execute("SELECT n FROM c").fetchone() == (60,)


def test_errors_have_their_codes_and_the_connection_goes_on(server):
    connection = server.connect()
    for sql, error in [
        ("SELECT * FROM nope", psycopg.errors.UndefinedTable),
        ("SELECT nope", psycopg.errors.UndefinedColumn),
        ("SELECT nope()", psycopg.errors.UndefinedFunction),
        ("SELEC 1", psycopg.errors.SyntaxError),
        ("SELECT 1/0", psycopg.errors.DivisionByZero),
        ("SELECT 'x'::int", psycopg.errors.InvalidTextRepresentation),
        ("CREATE TABLE nope.t (a int)", psycopg.errors.InvalidSchemaName),
        ("SET nope = 1", psycopg.errors.UndefinedObject),
    ]:
        with pytest.raises(error):
            connection.execute(sql)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_what_was_acknowledged_survives_a_kill(server):
    connection = server.connect()
    connection.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 5000) g")
    for i in range(50):
        connection.execute("INSERT INTO t VALUES (%s)", (10_000 + i,))
    open_block = server.connect(autocommit=False)
    open_block.execute("DELETE FROM t")
    server.kill()
    server.start()
    assert server.connect().execute("SELECT count(*), max(id) FROM t").fetchone() == (5050, 10_049)


def test_a_reader_sees_the_old_or_the_new_table(server):
    """dbt's swap: a table is built beside the old one, then both are renamed in one block."""
    writer = server.connect(autocommit=False)
    writer.execute("CREATE TABLE m AS SELECT 0 AS build")
    writer.commit()
    seen, errors, done = set(), [], threading.Event()

    def read():
        with server.connect() as connection:
            while not done.is_set():
                try:
                    seen.add(connection.execute("SELECT build FROM m").fetchone()[0])
                except psycopg.Error as error:
                    errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for build in range(1, 11):
        writer.execute(f"CREATE TABLE m__tmp AS SELECT {build} AS build")
        writer.execute("ALTER TABLE m RENAME TO m__backup")
        writer.execute("ALTER TABLE m__tmp RENAME TO m")
        writer.execute("DROP TABLE m__backup CASCADE")
        writer.commit()
    done.set()
    reader.join()
    assert errors == []
    assert seen <= set(range(11))
    assert server.connect().execute("SELECT build FROM m").fetchone() == (10,)


def test_a_prepared_statement_sees_what_has_changed_since(server):
    connection = server.connect()
    ask = lambda text: connection.execute(text, prepare=True).fetchall()
    connection.execute("CREATE TEMP TABLE t (a int)")
    for rows in range(4):
        assert ask("SELECT count(*) FROM t") == [(rows,)]
        connection.execute("INSERT INTO t VALUES (1)")
    assert ask("SELECT count(*) FROM pg_cursors") == [(0,)]
    connection.execute("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT")
    assert ask("SELECT count(*) FROM pg_cursors") == [(1,)]
    for day in range(1, 4):
        connection.execute(f"SET sextant.now = '2024-01-0{day} 12:00:00+00'")
        assert ask("SELECT now()::date::text") == [(f"2024-01-0{day}",)]
    connection.execute("CREATE SCHEMA s; CREATE TABLE public.u AS SELECT 'public' AS place")
    connection.execute("CREATE TABLE s.u AS SELECT 's' AS place")
    for _ in range(3):
        assert ask("SELECT place FROM u") == [("public",)]
    connection.execute("SELECT set_config('search_path', 's', false)")
    assert ask("SELECT place FROM u") == [("s",)]


def test_a_plan_does_not_outlive_what_it_read(server):
    """Each time all that counts transactions and snapshots is as it was when the plan was made."""
    connection = server.connect()
    ask = lambda text: connection.execute(text, prepare=True).fetchall()
    for content in ["first", "second"]:
        connection.execute(f"CREATE TEMP TABLE t AS SELECT '{content}' AS a")
        for _ in range(3):
            assert ask("SELECT a FROM t") == [(content,)]
        connection.execute("DISCARD TEMP")
    connection.execute("CREATE TABLE u (a text)")
    for content in ["third", "fourth"]:
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO u VALUES ('{content}')")
        for _ in range(3):
            assert ask("SELECT a FROM u") == [(content,)]
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT s")
    for content in ["fifth", "sixth"]:
        connection.execute(f"INSERT INTO u VALUES ('{content}')")
        for _ in range(3):
            assert ask("SELECT a FROM u") == [(content,)]
        connection.execute("ROLLBACK TO s")
        assert ask("SELECT a FROM u") == []


def test_a_plan_made_once_answers_every_value(server):
    connection = server.connect()
    connection.execute("CREATE TABLE n AS SELECT g AS i, g % 7 AS k FROM generate_series(1, 5000) g")
    for value in range(12):
        found = connection.execute("SELECT count(*) FROM n WHERE k = %s - 1", (value,), prepare=True)
        # Of 1 to 5000, each remainder of 7 comes 714 times, and 1 and 2 once more.
        expected = {0: 714, 1: 715, 2: 715}.get(value - 1, 714 if 0 <= value - 1 < 7 else 0)
        assert found.fetchone() == (expected,), value
        if value == 6:
            connection.execute("INSERT INTO n VALUES (0, 100)")


def test_now_is_the_time_of_the_transaction(server):
    with server.connect(autocommit=False) as connection:
        first = connection.execute("SELECT now()").fetchone()
        assert connection.execute("SELECT now()").fetchone() == first
        connection.commit()
        assert connection.execute("SELECT now()").fetchone() > first


def test_now_is_asked_anew_by_a_plan_that_is_kept(server):
    """A plan is optimized for all later runs, also where it asks for the time."""
    connection = server.connect()
    connection.execute("CREATE TABLE n AS SELECT timestamptz '2024-01-01' + i * interval '1 day' AS at, i FROM generate_series(0, 30) AS i")
    query = "SELECT count(*), max(now()), max(i) FROM n WHERE at < now() - interval '1 day' AND i >= %s"
    for day in [3, 4, 5, 20]:
        connection.execute(f"SET sextant.now = '2024-01-{day:02} 12:00+00'")
        for at_least in [0, 1]:
            found = connection.execute(query, (at_least,), prepare=True).fetchone()
            assert found == (day - 1 - at_least, datetime(2024, 1, day, 12, tzinfo=timezone.utc), day - 2)
    connection.execute("RESET sextant.now")
    before = datetime.now(timezone.utc)
    times = [connection.execute("SELECT now(), pg_backend_pid(), now()::date", prepare=True).fetchone() for _ in range(4)]
    moments = [moment for moment, _, _ in times]
    assert before < moments[0] < moments[1] < moments[2] < moments[3] < datetime.now(timezone.utc)
    assert {day for _, _, day in times} <= {before.date(), moments[-1].date()}
    assert {process for _, process, _ in times} == {connection.info.backend_pid}
    with connection.transaction():
        assert len({connection.execute("SELECT now()", prepare=True).fetchone() for _ in range(4)}) == 1


def test_a_text_that_a_function_reads_may_be_a_parameter(server):
    """The statement is planned when its values come; before, nobody can say which columns it has."""
    connection = server.connect()
    connection.execute("CREATE TABLE f AS SELECT i % 3 AS k, timestamptz '2024-01-01' + i * interval '1 hour' AS ts, i AS v FROM generate_series(1, 30) AS i")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts AS SELECT * FROM f")
    connection.execute("CREATE FEATURE SERVICE s AS u(v)")
    labels = "SELECT k, timestamptz '2024-01-01 12:00+00' AS at FROM generate_series(0, 2) AS k"
    rows = [(0, 12), (1, 10), (2, 11)]
    asked = "SELECT k, v FROM training_set(%s, %s, label_time => %s) WHERE k >= %s ORDER BY k"
    for _ in range(7):
        assert connection.execute(asked, (labels, "s", "at", 0)).fetchall() == rows
        assert connection.execute(asked, (labels, "s", "at", 1)).fetchall() == rows[1:]
    strict = "SELECT k, v FROM training_set(%s, 's', strict => %s, known => %s) ORDER BY k"
    assert connection.execute(strict, (labels, True, None)).fetchall() == [(0, 9), (1, 10), (2, 11)]
    now = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
    connection.execute(f"SET sextant.now = '{now}'")
    for key, value in rows:
        found = connection.execute("SELECT v FROM get_features(%s, k => %s)", ("s", key)).fetchone()
        assert found == (value,)
    version = connection.execute("SELECT max(snapshot_id) FROM lake.snapshots").fetchone()[0]
    connection.execute("DELETE FROM f")
    assert connection.execute("SELECT count(*) FROM f VERSION AS OF %s", (version,)).fetchone() == (30,)
    for query, values, error in [
        (asked, (labels, "nope", "at", 0), psycopg.errors.UndefinedObject),
        (asked, ("SELECT 1 FROM", "s", "at", 0), psycopg.errors.SyntaxError),
        ("SELECT predict(%s, x => 1)", ("nope",), psycopg.errors.UndefinedObject),
        ("SELECT * FROM evaluate(%s, 'f')", ("nope",), psycopg.errors.UndefinedObject),
    ]:
        with pytest.raises(error):
            connection.execute(query, values)
    connection.execute("PREPARE by_text AS SELECT count(*) FROM training_set($1, 's')")
    assert connection.execute(f"EXECUTE by_text ({psycopg.sql.quote(labels)})").fetchone() == (3,)
    connection.pgconn.prepare(b"p", b"SELECT * FROM training_set($1, 's')")
    described = connection.pgconn.describe_prepared(b"p")
    assert described.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42P18"


def test_a_plan_is_shown_as_json(server):
    connection = server.connect()
    connection.execute("CREATE TABLE e (id int); INSERT INTO e VALUES (1), (2)")
    cursor = connection.execute("EXPLAIN (ANALYZE, FORMAT JSON) SELECT id FROM e WHERE id > 1")
    # PostgreSQL's OID of json, its column name, and its shape: a list of one plan.
    assert [(c.name, c.type_code) for c in cursor.description] == [("QUERY PLAN", 114)]
    ((shown,),) = cursor.fetchall()
    (whole,) = shown
    assert whole["Rows"] == 1 and whole["Execution Time"] > 0
    assert whole["Plan"]["Node Type"] and whole["Plan"]["output_rows"] == 1
    inner = whole["Plan"]
    while "Plans" in inner:
        inner = inner["Plans"][0]
    assert "file" in inner["Detail"] or "Exec" in inner["Node Type"]
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("EXPLAIN (FORMAT nope) SELECT 1")


def test_lock_timeout_ends_the_wait_for_another_writer(server):
    connection = server.connect()
    connection.execute("CREATE TABLE l (id int)")
    # A writer of another kind, such as DuckDB, holds the catalog.
    other = sqlite3.connect(f"{server.data}/catalog.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    connection.execute("SET lock_timeout = '200ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        connection.execute("INSERT INTO l VALUES (1)")
    assert connection.execute("SELECT count(*) FROM l").fetchone() == (0,)
    other.execute("ROLLBACK")
    connection.execute("INSERT INTO l VALUES (2)")
    assert connection.execute("SELECT id FROM l").fetchall() == [(2,)]


def test_a_long_expression_can_be_cancelled_while_it_is_planned(server):
    connection = server.connect()
    connection.execute("SET statement_timeout = '300ms'")
    long = "+".join(["1"] * 5_000)
    started = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(f"SELECT {long}")
    # Far less than planning takes; the bound is against hanging, not a measure of speed.
    assert time.monotonic() - started < 20
    connection.execute("RESET statement_timeout")
    # What would be deeper than the stack is refused before it is tried.
    for deep in ["SELECT " + "+".join(["1"] * 100_000), " UNION ALL ".join(["SELECT 1"] * 20_000)]:
        with pytest.raises(psycopg.errors.StatementTooComplex):
            connection.execute(deep)
    assert connection.execute("SELECT 1").fetchone() == (1,)

"""Feature views and training sets as a client sees them: notices, parity with another engine.

Expected values: DuckDB's ASOF join over the same rows, where the two mean the same.
"""

import duckdb
import pytest

ROWS = """CREATE TABLE f AS SELECT (g * 7919 % 50) AS k,
        timestamptz '2024-01-01 00:00+00' + g * interval '61 seconds' AS ts, g AS v
    FROM generate_series(1, 5000) AS g"""
LABELS = """CREATE TABLE l AS SELECT g AS id, (g * 104729 % 60) AS k,
        timestamptz '2024-01-01 00:00+00' + (g * 31 % 4000) * interval '97 seconds' AS ts
    FROM generate_series(1, 3000) AS g"""


def test_a_training_set_is_what_duckdb_joins(server):
    connection = server.connect()
    for statement in (ROWS, LABELS):
        connection.execute(statement)
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts TTL INTERVAL '6 hours' AS SELECT * FROM f")
    connection.execute("CREATE FEATURE SERVICE s AS u(v)")
    ours = connection.execute("SELECT id, v FROM training_set('l', 's') ORDER BY id").fetchall()
    theirs = duckdb.connect()
    for name in ("f", "l"):
        table = connection.execute(f"SELECT * FROM {name}").fetchall()
        columns = "k int, ts timestamptz, v int" if name == "f" else "id int, k int, ts timestamptz"
        theirs.execute(f"CREATE TABLE {name} ({columns})")
        theirs.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", table)
    expected = theirs.execute("""SELECT id, CASE WHEN f.ts >= l.ts - INTERVAL 6 HOURS THEN v END
        FROM l ASOF LEFT JOIN f ON l.k = f.k AND l.ts >= f.ts ORDER BY id""").fetchall()
    assert ours == expected
    assert 0 < sum(v is None for _, v in ours) < len(ours)


def test_values_not_yet_known_are_counted(server):
    connection = server.connect()
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("CREATE TABLE f (k int, ts timestamptz, known timestamptz, v int)")
    connection.execute("""INSERT INTO f VALUES (1, '2024-01-01', '2024-01-01', 1), (2, '2024-01-01', '2024-02-01', 2),
        (3, '2024-01-01', NULL, 3)""")
    connection.execute("CREATE TABLE l AS SELECT k, timestamptz '2024-01-02' AS ts FROM generate_series(1, 4) AS k")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts CREATED known AS SELECT * FROM f")
    connection.execute("CREATE FEATURE SERVICE s AS u(v)")
    notices.clear()
    query = "SELECT * FROM training_set('l', 's')"
    connection.execute(query).fetchall()
    told = "2 of 3 matched values were not yet known at label time (created > ts)"
    assert notices == [told]
    connection.execute(f"CREATE TABLE t AS {query}")
    assert notices == [told] * 2
    connection.execute("SELECT * FROM training_set('l', 's', known => 'label')").fetchall()
    connection.execute("SELECT 1").fetchall()
    assert notices == [told] * 2


def test_hundreds_of_views_are_too_many(server):
    connection = server.connect()
    connection.execute("CREATE TABLE f (k int, ts timestamptz, v int)")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts AS SELECT * FROM f")
    views = ", ".join(f"u(v AS v{i}) AS u{i}" for i in range(10_000))
    with pytest.raises(Exception, match="at most") as failed:
        connection.execute(f"CREATE FEATURE SERVICE s AS {views}")
    assert failed.value.sqlstate == "54000"
    assert connection.execute("SELECT count(*) FROM ml.feature_services").fetchone() == (0,)

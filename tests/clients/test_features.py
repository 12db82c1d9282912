"""Feature views and training sets as a client sees them: notices, parity with another engine.

Expected values: DuckDB's ASOF join over the same rows, where the two mean the same.
"""

from random import Random

import duckdb
import psycopg
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


def test_features_are_asked_for_by_prepared_statements(server):
    connection = server.connect()
    connection.execute("CREATE TABLE f (k bigint, name text, ts timestamptz, v float8)")
    connection.execute("""INSERT INTO f SELECT g % 10, 'n' || g % 10, timestamptz '2024-01-01' + g * interval '1 hour', g
        FROM generate_series(1, 100) AS g""")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts ONLINE AS SELECT k, ts, v FROM f")
    connection.execute("CREATE FEATURE VIEW n KEY (name) TIMESTAMP ts AS SELECT name, ts, v AS w FROM f")
    connection.execute("CREATE FEATURE SERVICE s AS u, n")
    query = "SELECT k, v, w, n_status FROM get_features('s', k => %s, name => %s)"
    for binary in (False, True):
        for _ in range(3):
            ask = lambda *keys: connection.execute(query, keys, prepare=True, binary=binary).fetchall()
            assert ask(3, "n4") == [(3, 93.0, 94.0, "PRESENT")]
            assert ask(11, "n") == [(11, None, None, "NOT_FOUND")]
            assert ask(None, None) == [(None, None, None, "NOT_FOUND")]
            assert ask([2, 1, 99, 2], "n0") == [
                (2, 92.0, 100.0, "PRESENT"),
                (1, 91.0, 100.0, "PRESENT"),
                (99, None, 100.0, "PRESENT"),
                (2, 92.0, 100.0, "PRESENT"),
            ]
            # psycopg sends lists of texts, and empty ones, without a type: such a parameter is one key.
            pairs = connection.execute(query.replace("name => %s", "name => %s::text[]"),
                                       ([7, 8], ["n8", "n7"]), prepare=True, binary=binary)
            assert pairs.fetchall() == [(7, 97.0, 98.0, "PRESENT"), (8, 98.0, 97.0, "PRESENT")]
            nothing = connection.execute(query.replace("k => %s", "k => %s::bigint[]"), ([], "n0"), prepare=True, binary=binary)
            assert nothing.fetchall() == []
            one = connection.execute("SELECT v FROM u_online WHERE k = %s", (5,), prepare=True, binary=binary)
            assert one.fetchall() == [(95.0,)]
    with pytest.raises(psycopg.Error) as failed:
        connection.execute("SELECT * FROM get_features('s', kk => 1, name => 'x')")
    assert failed.value.sqlstate == "42703"
    assert failed.value.diag.message_hint == 'Perhaps you meant "k".'
    with pytest.raises(psycopg.Error) as failed:
        connection.execute("SELECT * FROM get_features('s', k => 1)")
    assert failed.value.sqlstate == "42601"
    assert "name" in failed.value.diag.message_primary


def random_rows(random, count):
    """Rows with NULLs and many ties."""
    some = lambda limit: random.choice([None] + list(range(limit)) * 3)
    return [(some(6), some(12), some(12), random.randrange(1000)) for _ in range(count)]


def insert(connection, rows):
    hours = "timestamptz '2024-01-01 00:00+00' + {} * interval '1 hour'".format
    values = ", ".join(
        f"({'NULL' if k is None else k}, {'NULL' if t is None else hours(t)},"
        f" {'NULL' if c is None else hours(c)}, {'NULL' if v % 7 == 0 else v})"
        for k, t, c, v in rows
    )
    connection.execute(f"INSERT INTO f VALUES {values}")


VIEWS = {
    "plain": "KEY (k) TIMESTAMP ts AS SELECT k, ts, v FROM f",
    "ttl": "KEY (k) TIMESTAMP ts CREATED created TTL INTERVAL '3 hours' AS SELECT k, ts, created, v AS a FROM f",
    "late": "KEY (k) TIMESTAMP ts DELAY INTERVAL '2 hours' AS SELECT k, ts, v AS b, v % 2 AS odd FROM f WHERE v > 100",
    "summed": "KEY (k) TIMESTAMP ts AS SELECT k, ts, sum(v) AS total FROM f GROUP BY k, ts",
    "overall": "TIMESTAMP ts AS SELECT ts, created, max(v) AS most FROM f GROUP BY 1, 2",
    "windowed": "KEY (k) TIMESTAMP ts CREATED created AS SELECT k, ts, created, count(*) OVER w AS events,"
    " sum(v) FILTER (WHERE v % 2 = 1) OVER w / nullif(count(*) OVER w, 0) AS spent, last_n(v, 3) OVER w AS recent"
    " FROM f WINDOW w AS (PARTITION BY k ORDER BY ts RANGE INTERVAL '2 hours' PRECEDING)",
}


def test_online_is_what_a_training_set_has(server):
    """Rule 9 of the point-in-time rule, over generated rows with NULLs and ties."""
    random = Random(11)
    connection = server.connect()
    connection.execute("CREATE TABLE f (k int, ts timestamptz, created timestamptz, v int)")
    for name, view in VIEWS.items():
        connection.execute(f"CREATE FEATURE VIEW {name} {view.replace('TIMESTAMP ts', 'TIMESTAMP ts ONLINE', 1)}")
    connection.execute(f"CREATE FEATURE SERVICE s AS {', '.join(VIEWS)}")
    features = "v, a, b, odd, total, most, events, spent, recent"
    found = {"PRESENT": 0, "NULL_VALUE": 0, "NOT_FOUND": 0, "EXPIRED": 0}
    for _ in range(4):
        insert(connection, random_rows(random, 40))
        for hour in range(-1, 16):
            now = f"timestamptz '2024-01-01 00:00+00' + {hour} * interval '1 hour'"
            at = connection.execute(f"SELECT ({now})::text").fetchone()[0]
            connection.execute(f"SET sextant.now = '{at}'")
            keys = [random.choice([None, 0, 1, 2, 3, 4, 5, 6]) for _ in range(12)]
            online = connection.execute(
                f"SELECT {features}, ttl_status FROM get_features('s', k => %s::int[])", (keys,)
            ).fetchall()
            labels = ", ".join(f"({i}, {'NULL' if k is None else k}::int)" for i, k in enumerate(keys))
            offline = connection.execute(
                f"SELECT {features} FROM training_set('SELECT l.*, {now.replace(chr(39), chr(39) * 2)} AS t"
                f" FROM (VALUES {labels}) AS l (id, k)', 's') ORDER BY id"
            ).fetchall()
            assert [row[:-1] for row in online] == offline
            for row in online:
                found[row[-1]] += 1
                assert row[1] is None or row[-1] == "PRESENT"
            # One row for each key that has one: what the labels of these keys match.
            by_key = dict(zip(keys, offline))
            rows = dict(connection.execute("SELECT k, a FROM ttl_online").fetchall())
            for key, row in by_key.items():
                assert rows.get(key) == row[1]
    assert all(found.values()), found


@pytest.mark.parametrize("seed", [1, 6])
def test_kept_rows_never_change_an_answer(server, seed):
    """Two views of one query, one of them refreshed now and then: they always say the same."""
    random = Random(seed)
    connection = server.connect()
    connection.execute("CREATE TABLE f (k int, ts timestamptz, created timestamptz, v int)")
    for name, view in VIEWS.items():
        connection.execute(f"CREATE FEATURE VIEW {name} {view}")
        connection.execute(f"CREATE FEATURE VIEW {name}_twin {view}")
    connection.execute(f"CREATE FEATURE SERVICE s AS {', '.join(VIEWS)}")
    connection.execute(f"CREATE FEATURE SERVICE twins AS {', '.join(name + '_twin AS ' + name for name in VIEWS)}")
    labels = "SELECT k, timestamptz ''2024-01-01 00:00+00'' + h * interval ''1 hour'' AS t, h FROM generate_series(0, 6) AS k, generate_series(-1, 15) AS h"

    def same():
        for name in VIEWS:
            # Ties are decided by what was written last, also by another time than the view's.
            columns = f"SELECT * FROM {name}{{}} ORDER BY " + ", ".join(map(str, range(1, 3)))
            one, other = (connection.execute(columns.format(of)).fetchall() for of in ("", "_twin"))
            assert sorted(one, key=repr) == sorted(other, key=repr), name
            read.update(line.partition(": ")[2].partition(" at snapshot")[0] for line in told(connection, f"SELECT * FROM {name}"))
        sets = [connection.execute(f"SELECT * FROM training_set('{labels}', '{of}', label_time => 't') ORDER BY k, h")
                for of in ("s", "twins")]
        assert sets[0].fetchall() == sets[1].fetchall()
        ties = "SELECT l.k, x.v FROM (SELECT k, timestamptz '2024-01-02' AS t FROM generate_series(0, 6) AS k) l ASOF JOIN {} x MATCH_CONDITION (l.t >= x.created) ON l.k = x.k ORDER BY 1"
        one, other = (connection.execute(ties.format(f"(SELECT k, created, a AS v FROM ttl{of})")).fetchall() for of in ("", "_twin"))
        assert one == other

    read = set()
    insert(connection, random_rows(random, 30))
    for _ in range(60):
        match random.randrange(9):
            case 0 | 1:
                insert(connection, random_rows(random, random.randrange(1, 20)))
            case 2:
                connection.execute(f"UPDATE f SET v = v + 1 WHERE k = {random.randrange(6)}")
            case 3:
                connection.execute(f"DELETE FROM f WHERE v % 10 = {random.randrange(10)}")
            case 4:
                connection.execute("VACUUM f" if random.random() < 0.5 else "VACUUM")
            case 5 | 6:
                for name in random.sample(sorted(VIEWS), 2):
                    connection.execute(f"REFRESH FEATURE VIEW {name}")
            case 7:
                name, start = random.choice(sorted(VIEWS)), random.randrange(10)
                hour = "'2024-01-01 {:02}:00+00'".format
                connection.execute(f"REFRESH FEATURE VIEW {name} FROM {hour(start)} TO {hour(start + 4)}")
            case 8:
                connection.execute("BEGIN")
                insert(connection, random_rows(random, 3))
                same()
                connection.execute("ROLLBACK" if random.random() < 0.5 else "COMMIT")
        same()
    assert read == {"rows kept", "its query, not the rows kept"}


def told(connection, query):
    lines = [line for (line,) in connection.execute(f"EXPLAIN {query}").fetchall()]
    return [line for line in lines if line.startswith("Feature view")]


def test_explain_says_where_rows_come_from(server):
    connection = server.connect()
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("CREATE TABLE f AS SELECT g % 100 AS k, timestamptz '2024-01-01' + g * interval '1 s' AS ts, g AS v FROM generate_series(1, 5000) AS g")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts ONLINE AS SELECT * FROM f")
    query = "SELECT * FROM u_online WHERE k = 1"
    assert told(connection, query) == []
    connection.execute("REFRESH FEATURE VIEW u")
    assert notices == ['feature view "u": made anew, 5000 rows written, 5000 kept']
    at = connection.execute("SELECT refreshed_snapshot_id FROM ml.feature_views").fetchone()[0]
    kept = f"Feature view public.u: rows kept at snapshot {at}"
    assert told(connection, query) == [kept]
    rows = connection.execute(query).fetchall()
    files = connection.execute("SELECT path FROM lake.files WHERE schema_name = 'sextant_features'").fetchall()
    assert len(files) == 1
    path = server.data + "/" + files[0][0]
    times = duckdb.sql(f"SELECT k, ts FROM read_parquet('{path}')").fetchall()
    assert times == sorted(times)
    blooms = duckdb.sql(f"SELECT path_in_schema, bloom_filter_offset FROM parquet_metadata('{path}')").fetchall()
    assert {column for column, bloom in blooms if bloom is not None} == {"k"}
    connection.execute("INSERT INTO f VALUES (2, '2025-01-01', 0)")
    assert told(connection, query) == [kept + " and rows added since"]
    assert connection.execute(query).fetchall() == rows
    connection.execute("REFRESH FEATURE VIEW u")
    assert notices[-1] == f'feature view "u": rows added since snapshot {at}, 1 rows written, 5001 kept'
    connection.execute("REFRESH FEATURE VIEW u")
    assert notices[-1] == 'feature view "u": up to date'
    connection.execute("DELETE FROM f WHERE k = 3")
    [line] = told(connection, query)
    assert line.endswith("what it reads has changed")
    with connection.transaction():
        connection.execute("INSERT INTO f VALUES (2, '2025-01-02', 0)")
        [line] = told(connection, query)
        assert line.endswith("this transaction has changes")


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
def test_a_refresh_that_is_killed_happened_or_did_not(servers, tmp_path, point):
    server = servers(tmp_path / "lake")
    connection = server.connect()
    connection.execute("CREATE TABLE f AS SELECT g % 100 AS k, timestamptz '2024-01-01' + g * interval '1 s' AS ts, g AS v FROM generate_series(1, 3000) AS g")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts AS SELECT * FROM f")
    connection.execute("REFRESH FEATURE VIEW u")
    kept = 3000
    for round in range(3):
        connection.execute(f"INSERT INTO f SELECT g, timestamptz '2025-01-01', g FROM generate_series(1, {500 + 1000 * round}) AS g")
        rows = connection.execute("SELECT count(*), sum(v) FROM f").fetchone()
        server.stop()
        server.start(SEXTANT_FAULT=point)
        with pytest.raises(psycopg.OperationalError):
            server.connect().execute("REFRESH FEATURE VIEW u")
        server.process.wait(20)
        server.start()
        connection = server.connect()
        kept = kept if point == "before-commit" else rows[0]
        assert connection.execute("SELECT refreshed_rows FROM ml.feature_views").fetchone() == (kept,)
        assert connection.execute("SELECT count(*), sum(v) FROM u").fetchone() == rows
    connection.execute("REFRESH FEATURE VIEW u")
    assert connection.execute("SELECT refreshed_rows FROM ml.feature_views").fetchone() == rows[:1]
    assert connection.execute("SELECT count(*), sum(v) FROM u").fetchone() == rows


def test_rows_are_those_of_their_snapshot(server):
    """A training set made again reads the rows that were kept then."""
    connection = server.connect()
    connection.execute("CREATE TABLE f (k int, ts timestamptz, v int)")
    connection.execute("INSERT INTO f VALUES (1, '2024-01-01', 1)")
    connection.execute("CREATE TABLE l AS SELECT 1 AS k, timestamptz '2024-02-01' AS t")
    connection.execute("CREATE FEATURE VIEW u KEY (k) TIMESTAMP ts AS SELECT * FROM f")
    connection.execute("CREATE FEATURE SERVICE s AS u(v)")
    connection.execute("REFRESH FEATURE VIEW u")
    connection.execute("CREATE TRAINING SET first AS SELECT * FROM training_set('l', 's', label_time => 't')")
    connection.execute("INSERT INTO f VALUES (1, '2024-01-02', 2)")
    connection.execute("CREATE TRAINING SET second AS SELECT * FROM training_set('l', 's', label_time => 't')")
    connection.execute("UPDATE f SET v = v * 100")
    connection.execute("REFRESH FEATURE VIEW u")
    for name, value in (("first", 1), ("second", 2)):
        connection.execute(f"CREATE TRAINING SET {name}_again AS OF {name}")
        assert connection.execute(f"SELECT v FROM {name}_again").fetchone() == (value,)
    connection.execute("DROP FEATURE VIEW u CASCADE")
    connection.execute("CREATE TRAINING SET second_once_more AS OF second")
    assert connection.execute("SELECT v FROM second_once_more").fetchone() == (2,)


def test_what_is_not_as_of_a_label_is_told(server):
    """Windows below the outermost SELECT, and clocks in a training set."""
    with server.connect() as connection:
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("create table e (u int, ts timestamptz)")
        window = "count(*) over (partition by u order by ts range interval '1 hour' preceding) as c"
        connection.execute(f"create feature view plain key (u) timestamp ts as select u, ts, {window} from e")
        assert notices == []
        for name, query in [("inner_one", f"select * from (select u, ts, {window} from e) x"),
                            ("default_frame", "select u, ts, count(*) over (partition by u order by ts) as c from e")]:
            connection.execute(f"create feature view {name} key (u) timestamp ts as {query}")
            assert notices.pop() == f'some windows of "{name}" are told as of their own row, not of a label\'s time'
        connection.execute("create feature service s as plain")
        rows = "training_set('select 1 as u, timestamptz ''2024-01-01'' as ts', 's')"
        connection.execute(f"create training set still as select * from {rows}")
        assert notices == []
        for function in ["now", "random"]:
            connection.execute(f"create training set {function}_set as select {function}() as f, * from {rows}")
            told = f'training set "{function}_set" reads {function}(), which is another when it is made again'
            assert notices.pop() == told


def test_labels_keep_their_order_whoever_scans_them(server):
    """Two files, whose parts two threads scan: neither takes from the other."""
    with server.connect() as connection:
        connection.execute("create table e as select 1 as u, timestamptz '2024-01-01' as ts, 1 as v")
        connection.execute("create feature view f key (u) timestamp ts as select * from e")
        connection.execute("create feature service s as f")
        connection.execute(
            "create table labels as select n, 1 as u, timestamptz '2024-01-01' + n * interval '1 s' as ts "
            "from generate_series(1, 400000) t(n)"
        )
        query = "select n from training_set('labels', 's')"
        first, *others = [connection.execute(query).fetchall() for _ in range(5)]
        assert len(first) == 400_000 and all(other == first for other in others)
        ordered = connection.execute("select n from training_set('select * from labels order by n desc', 's')")
        assert [row[0] for row in ordered.fetchall()] == list(range(400_000, 0, -1))

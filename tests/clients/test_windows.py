"""Windows of feature views at a label's time, over generated events, however the view is joined.

Expected values: DuckDB, asked for each label by correlated subqueries over all events, which say rule 10 of
DESIGN section 4 in the words of SQL.
"""

import random
from datetime import datetime, timedelta, timezone

import duckdb
import pytest

LABELS, EVENTS, KEYS, MINUTES = 300, 1500, 25, 600
START = datetime(2024, 1, 1, tzinfo=timezone.utc)


def at(minutes):
    return None if minutes is None else START + timedelta(minutes=minutes)


def generated(seed):
    """Labels (id, k, ts) and events (n, k, ts, created, kind, item, amount, price): some NULL, many tied."""
    numbers = random.Random(seed)
    maybe = lambda value, share=0.05: None if numbers.random() < share else value
    labels = [(n, maybe(numbers.randrange(KEYS)), at(maybe(numbers.randrange(MINUTES)))) for n in range(LABELS)]
    events = []
    for n in range(EVENTS):
        ts = maybe(numbers.randrange(MINUTES))
        known = None if ts is None else maybe(ts + numbers.choice([0, 0, 3, 40]), 0.1)
        events.append((
            n, maybe(numbers.randrange(KEYS)), at(ts), at(known), numbers.choice(["buy", "view"]),
            maybe(f"item {numbers.randrange(9)}", 0.2), maybe(numbers.randrange(-50, 50), 0.2), numbers.random(),
        ))
    return labels, events


TABLES = {
    "l": "id int, k int, ts timestamptz",
    "e": "n int, k int, ts timestamptz, created timestamptz, kind text, item text, amount int, price double precision",
}


def load(connection, labels, events):
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
            for row in {"l": labels, "e": events}[name]:
                copy.write_row(row)


@pytest.fixture(scope="module")
def theirs():
    connection = duckdb.connect()
    labels, events = generated(1)
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        rows = {"l": labels, "e": events}[name]
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return connection


class Case:
    """A view and what is asked of it; times are in minutes."""

    def __init__(self, seed):
        numbers = random.Random(seed)
        self.widths = [numbers.choice([1, 5, 30, 60, 240]) for _ in range(2)]
        self.excludes = numbers.random() < 0.4
        self.ttl = numbers.choice([None, None, 20, 100])
        self.delay = numbers.choice([0, 0, 7, 45])
        self.created = numbers.random() < 0.6
        self.known = self.created and numbers.random() < 0.6
        self.strict = numbers.random() < 0.3

    def view(self):
        clauses = [f"TTL INTERVAL '{self.ttl} minutes'"] if self.ttl else []
        clauses += [f"DELAY INTERVAL '{self.delay} minutes'"] if self.delay else []
        clauses += ["CREATED created"] if self.created else []
        ending = " EXCLUDE CURRENT ROW" if self.excludes else ""
        first, second = (f"(PARTITION BY k ORDER BY ts RANGE INTERVAL '{w} minutes' PRECEDING{ending})"
                         for w in self.widths)
        return f"""CREATE OR REPLACE FEATURE VIEW v KEY (k) TIMESTAMP ts {' '.join(clauses)} AS
            SELECT k, ts, created, n AS last_n_of_all, count(*) OVER w AS c,
                count(amount) FILTER (WHERE kind = 'buy') OVER w AS bought, sum(amount) OVER w AS s,
                avg(price) OVER w AS mean, stddev(price) OVER w AS spread, min(amount) OVER w AS least,
                max(item) OVER w AS greatest, count(DISTINCT item) OVER w AS kinds,
                last_n(item, 3) OVER w AS newest, first_n(n, 2) FILTER (WHERE kind = 'view') OVER w AS oldest,
                count(*) OVER x AS other, sum(price) OVER w / nullif(count(*) OVER x, 0) AS ratio
            FROM e WINDOW w AS {first}, x AS {second}"""

    def eligible(self):
        since = f"e.ts + INTERVAL '{self.delay} minutes' {'<' if self.strict else '<='} l.ts"
        age = f"AND e.ts >= l.ts - INTERVAL '{self.ttl} minutes'" if self.ttl else ""
        known = "AND e.created <= l.ts" if self.known else ""
        return f"e.k = l.k AND {since} {age} {known}"

    def within(self, width):
        begin = f"l.ts - INTERVAL '{width} minutes'"
        if self.excludes:
            return f"FROM e WHERE {self.eligible()} AND e.ts >= {begin} AND e.ts < l.ts"
        return f"FROM e WHERE {self.eligible()} AND e.ts > {begin} AND e.ts <= l.ts"

    def expected(self, duckdb):
        w, x = (self.within(width) for width in self.widths)
        order = ["e.ts"] + (["e.created"] if self.created else []) + ["e.n"]
        newest = ", ".join(f"{key} DESC NULLS LAST" for key in order)
        oldest = ", ".join(f"{key} NULLS FIRST" for key in order)
        return duckdb.execute(f"""SELECT id,
            (SELECT first(e.n ORDER BY {newest}) FROM e WHERE {self.eligible()}),
            (SELECT count(*) {w}), (SELECT count(amount) FILTER (kind = 'buy') {w}), (SELECT sum(amount) {w}),
            (SELECT avg(price) {w}), (SELECT stddev_samp(price) {w}), (SELECT min(amount) {w}),
            (SELECT max(item) {w}), (SELECT count(DISTINCT item) {w}),
            coalesce((SELECT list(item ORDER BY {newest}) FILTER (item IS NOT NULL) {w})[:3], []),
            coalesce((SELECT list(e.n ORDER BY {oldest}) FILTER (kind = 'view') {w})[:2], []),
            (SELECT count(*) {x}),
            (SELECT sum(price) {w}) / nullif((SELECT count(*) {x}), 0)
            FROM l ORDER BY id""").fetchall()


COLUMNS = "last_n_of_all, c, bought, s, mean, spread, least, greatest, kinds, newest, oldest, other, ratio"


def same(ours, theirs):
    def plain(value):
        return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value

    assert [tuple(row) for row in ours] == [tuple(plain(value) for value in row) for row in theirs]


@pytest.mark.parametrize(
    "options", [["--threads", "1"], ["--threads", "2"], ["--threads", "8", "--memory-limit", "64MB"]]
)
def test_windows_are_what_subqueries_say(servers, tmp_path, theirs, options):
    connection = servers(tmp_path / "lake", *options).connect()
    load(connection, *generated(1))
    for seed in range(30):
        case = Case(seed)
        connection.execute(case.view())
        connection.execute("CREATE OR REPLACE FEATURE SERVICE s AS v")
        expected = case.expected(theirs)
        more = (", known => 'label'" if case.known else "") + (", strict => true" if case.strict else "")
        found = connection.execute(
            f"SELECT id, {COLUMNS} FROM training_set('l', 's', label_time => 'ts'{more}) ORDER BY id"
        )
        same(found, expected)
        if case.known or case.strict:
            continue
        for join in ("ASOF JOIN v", "LEFT JOIN v AS OF l.ts v ON v.k = l.k"):
            found = connection.execute(f"SELECT id, {COLUMNS} FROM l {join} ORDER BY id")
            same(found, expected)
        # A row of the view tells what a label of its key and time is told.
        counts = "SELECT v.k, v.ts, c, s, newest, other FROM {} ORDER BY 1, 2, 3, 4, 5, 6"
        own = connection.execute(counts.format("v")).fetchall()
        labels = "(SELECT k, ts FROM e) AS l LEFT JOIN v AS OF l.ts v ON v.k = l.k"
        joined = connection.execute(counts.format(labels).replace("v.k, v.ts", "l.k, l.ts")).fetchall()
        assert own == joined


def test_a_view_is_duckdbs_window_where_both_mean_the_same(servers, tmp_path, theirs):
    connection = servers(tmp_path / "lake").connect()
    load(connection, *generated(1))
    connection.execute("""CREATE FEATURE VIEW v KEY (k) TIMESTAMP ts AS
        SELECT n, k, ts, count(*) OVER w AS c, sum(amount) OVER w AS s, min(item) OVER w AS least,
            avg(price) OVER w AS mean
        FROM e WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW)""")
    ours = connection.execute("SELECT n, c, s, least, mean FROM v WHERE k IS NOT NULL AND ts IS NOT NULL ORDER BY n")
    # Their window holds both ends: it begins one microsecond later.
    same(ours, theirs.execute("""SELECT n, count(*) OVER w, sum(amount) OVER w, min(item) OVER w, avg(price) OVER w
        FROM e WHERE k IS NOT NULL AND ts IS NOT NULL
        WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3599.999999 seconds' PRECEDING AND CURRENT ROW)
        ORDER BY n""").fetchall())


ROWS = """SELECT (g::bigint * 7919 % {keys}) AS k, timestamptz '2024-01-01 00:00:00+00' + (g * 31 % 86400) * INTERVAL '1 second'
    AS ts, g::bigint AS v FROM generate_series(1, {count}) AS t(g)"""


def test_labels_beyond_memory_go_to_disk(servers, tmp_path):
    connection = servers(tmp_path / "lake", "--threads", "2", "--memory-limit", "64MB").connect()
    connection.execute("CREATE TABLE f AS " + ROWS.format(keys=20_000, count=400_000))
    connection.execute("CREATE TABLE l AS SELECT row_number() OVER () AS id, k, ts FROM (" +
                       ROWS.format(keys=21_000, count=600_000) + ") AS l")
    connection.execute("""CREATE FEATURE VIEW v KEY (k) TIMESTAMP ts AS
        SELECT k, ts, count(*) OVER w AS c, sum(v) OVER w AS s, last_n(v, 3) OVER w AS newest
        FROM f WINDOW w AS (PARTITION BY k ORDER BY ts RANGE INTERVAL '6 hours' PRECEDING)""")
    sums = "sum(c), sum(s), sum(newest[1]), count(*), count(s)"
    join = f"SELECT {sums} FROM l LEFT JOIN v AS OF l.ts v ON v.k = l.k"
    ours = connection.execute(join).fetchone()
    plan = "\n".join(row[0] for row in connection.execute("EXPLAIN ANALYZE " + join))
    operator = next(line for line in plan.splitlines() if "AsOfExec" in line)
    assert "spill_count=0" not in operator and "spill_count" in operator
    theirs = duckdb.connect()
    theirs.execute("CREATE TABLE f AS " + ROWS.format(keys=20_000, count=400_000))
    theirs.execute("CREATE TABLE l AS " + ROWS.format(keys=21_000, count=600_000))
    expected = theirs.execute("""
        WITH found AS (SELECT l.k, l.ts, count(f.v) AS c, sum(f.v) AS s, last(f.v ORDER BY f.ts, f.v) AS newest
            FROM (SELECT DISTINCT k, ts FROM l) AS l
            LEFT JOIN f ON f.k = l.k AND f.ts > l.ts - INTERVAL 6 HOURS AND f.ts <= l.ts GROUP BY ALL)
        SELECT sum(c), sum(s), sum(newest), count(*), count(s) FROM l JOIN found USING (k, ts)""").fetchone()
    assert ours == tuple(expected)


def test_labels_are_chosen_before_and_what_nobody_asks_is_not_joined(server):
    connection = server.connect()
    connection.execute("CREATE TABLE e (k int, ts timestamptz, v int)")
    connection.execute("""CREATE FEATURE VIEW v KEY (k) TIMESTAMP ts AS
        SELECT k, ts, v, sum(v) OVER (PARTITION BY k ORDER BY ts RANGE INTERVAL '1 hour' PRECEDING) AS s FROM e""")
    connection.execute("INSERT INTO e SELECT g % 5, timestamptz '2024-01-01 00:00+00' + g * interval '9 minutes', g "
                       "FROM generate_series(1, 50) AS g")

    def plan(query):
        return "\n".join(row[0] for row in connection.execute("EXPLAIN " + query))

    joined = "SELECT e.k, v.s FROM e LEFT JOIN v AS OF e.ts ON v.k = e.k WHERE e.k = 1"
    for query in ("SELECT * FROM v WHERE k = 1", joined):
        told = plan(query)
        assert told.index("AsOfExec") < told.find("FilterExec: k"), told
    assert "AsOfExec" not in plan("SELECT k, v FROM v")
    # What windows tell is asked after them. By hand: a key has an event every 45 minutes.
    expected = sum(g + max(g - 5, 0) > 60 for g in range(1, 51))
    assert connection.execute("SELECT count(*) FROM v WHERE s > 60").fetchone() == (expected,)


def test_errors_say_where_and_what_to_do(server):
    connection = server.connect()
    connection.execute("CREATE TABLE e (k int, ts timestamptz, v int)")
    for window, sqlstate, position in [
        ("lag(v) OVER (PARTITION BY k ORDER BY ts)", "0A000", "lag("),
        ("sum(v) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING)", "0A000", "sum("),
        ("sum(v) OVER (ORDER BY ts RANGE INTERVAL '1 day' PRECEDING)", "0A000", "sum("),
        ("sum(v) OVER nope", "42704", "sum("),
    ]:
        statement = f"CREATE FEATURE VIEW v KEY (k) TIMESTAMP ts AS\n  SELECT k, ts, {window} AS x FROM e"
        with pytest.raises(Exception) as failed:
            connection.execute(statement)
        told = failed.value.diag
        assert told.sqlstate == sqlstate
        assert int(told.statement_position) == statement.index(position) + 1, window
        assert sqlstate != "0A000" or told.message_hint
    assert connection.execute("SELECT count(*) FROM ml.feature_views").fetchone() == (0,)

"""AS OF joins over tables of the lake, however their rows came there: kept in the catalog, in one file
or several, in files that were merged, with rows deleted; with two threads or eight and little memory.

The rule in its naive form says what is right; where DuckDB's ASOF JOIN means the same, it is asked too.
"""

import random

import duckdb
import psycopg
import pyarrow
import pytest

LABELS, ROWS, KEYS, TIMES = 3000, 6000, 400, 500


def rows(count, seed):
    """(number, key, time): some without a key or a time, many of one key and time."""
    numbers = random.Random(seed)
    maybe = lambda value: None if numbers.random() < 0.05 else value
    return [
        (n, maybe(f"user {numbers.randrange(KEYS)}"), maybe(numbers.randrange(TIMES)))
        for n in range(count)
    ]


def naive(labels, features, operator, tolerance):
    """Label number → number of its row: the nearest in time, of those the one written last."""
    by_key = {}
    for n, key, ts in features:
        if key is not None and ts is not None:
            by_key.setdefault(key, []).append((ts, n))
    back, strict = operator[0] == ">", len(operator) == 1
    out = {}
    for n, key, t in labels:
        found = None
        for ts, row in by_key.get(key, []) if t is not None else []:
            age = t - ts if back else ts - t
            if age < 0 or (strict and age == 0) or (tolerance is not None and age > tolerance):
                continue
            found = max(found or (-age, row), (-age, row))
        out[n] = found and found[1]
    return out


def literal(row):
    return "(" + ", ".join("NULL" if v is None else repr(v) for v in row) + ")"


def insert(connection, table, all_rows, pieces):
    """In that many statements, each of the table's next rows."""
    size = -(-len(all_rows) // pieces)
    for start in range(0, len(all_rows), size):
        values = ", ".join(literal(row) for row in all_rows[start:start + size])
        connection.execute(f"INSERT INTO {table} VALUES {values}")


def make(connection, labels, features, layout):
    connection.execute("CREATE TABLE l (n int, k text, t int)")
    connection.execute("CREATE TABLE f (n int, k text, ts int)")
    insert(connection, "l", labels, 2)
    # Rows of a statement are kept in the catalog if they are few: 300 pieces are, 3 are not.
    insert(connection, "f", features, {"inlined": 300, "files": 3, "merged": 6, "deleted": 4}[layout])
    if layout == "merged":
        connection.execute("VACUUM FULL f")
    if layout == "deleted":
        connection.execute("DELETE FROM f WHERE n % 7 = 3")
        return [row for row in features if row[0] % 7 != 3]
    return features


@pytest.mark.parametrize("layout", ["inlined", "files", "merged", "deleted"])
@pytest.mark.parametrize("options", [["--threads", "2"], ["--threads", "8", "--memory-limit", "64MB"]])
def test_the_rule_holds_for_every_layout(servers, tmp_path, layout, options):
    connection = servers(tmp_path / "lake", *options).connect()
    labels, features = rows(LABELS, 1), rows(ROWS, 2)
    features = make(connection, labels, features, layout)
    for operator, tolerance in [(">=", None), (">", 3), ("<=", 0), ("<", None), (">=", 20)]:
        limit = "" if tolerance is None else f"TOLERANCE {tolerance}"
        found = connection.execute(
            f"SELECT l.n, f.n FROM l ASOF JOIN f MATCH_CONDITION (l.t {operator} f.ts) ON l.k = f.k {limit}"
        ).fetchall()
        assert len(found) == LABELS
        assert dict(found) == naive(labels, features, operator, tolerance), (operator, tolerance)


def test_few_labels_read_the_same(servers, tmp_path):
    """What is asked of the scan for a few labels leaves out no row that matters."""
    connection = servers(tmp_path / "lake").connect()
    labels, features = rows(LABELS, 3), rows(ROWS, 4)
    make(connection, labels, features, "files")
    expected = naive(labels, features, ">=", 10)
    for count in [0, 1, 5, 30, 500]:
        found = connection.execute(
            "SELECT l.n, f.n FROM (SELECT * FROM l WHERE n < %s) l"
            " ASOF JOIN f MATCH_CONDITION (l.t >= f.ts) ON l.k = f.k TOLERANCE 10",
            [count], prepare=False,
        ).fetchall()
        assert dict(found) == {n: expected[n] for n in range(count)}


def test_duckdb_agrees(servers, tmp_path):
    connection = servers(tmp_path / "lake").connect()
    # DuckDB does not say which of two rows of one time it takes: there is one of each. DuckDB 1.5
    # lets a NULL time match a NULL time: there is none.
    timed = lambda all_rows: [row for row in all_rows if row[2] is not None]
    features = list({(key, ts): (n, key, ts) for n, key, ts in timed(rows(ROWS, 6))}.values())
    labels = timed(rows(LABELS, 5))
    make(connection, labels, features, "files")
    duck = duckdb.connect()
    for name, table, columns in [("l", labels, ["n", "k", "t"]), ("f", features, ["n", "k", "ts"])]:
        duck.register(f"{name}_rows", pyarrow.table(dict(zip(columns, map(list, zip(*table))))))
        duck.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_rows")
    for join in ["ASOF JOIN", "ASOF LEFT JOIN", "ASOF SEMI JOIN", "ASOF ANTI JOIN"]:
        for operator in [">=", ">", "<=", "<"]:
            shown = "l.n" if "SEMI" in join or "ANTI" in join else "l.n, f.n"
            query = f"SELECT {shown} FROM l {join} f ON l.k = f.k AND l.t {operator} f.ts ORDER BY l.n"
            assert connection.execute(query).fetchall() == duck.execute(query).fetchall(), query


@pytest.mark.parametrize(
    ("join", "state", "place"),
    [
        ("ASOF JOIN r MATCH_CONDITION (l.t = r.t) ON l.k = r.k", "42601", "l.t = r.t"),
        ("ASOF JOIN r MATCH_CONDITION (l.t >= r.k) ON l.k = r.k", "42883", "l.t >= r.k"),
        ("ASOF JOIN r MATCH_CONDITION (l.t >= r.x) ON l.k = r.k", "42883", "l.t >= r.x"),
        ("ASOF JOIN r MATCH_CONDITION (l.t >= r.t) ON l.k = r.t", "42883", "l.k = r.t"),
        ("ASOF JOIN r ON l.k = r.k", "42809", "r ON"),
        ("ASOF JOIN r MATCH_CONDITION (l.t >= r.t) ON l.x > r.x", "0A000", "l.x > r.x"),
    ],
)
def test_a_malformed_join_is_told_with_its_place(server, join, state, place):
    with server.connect() as connection:
        for table in "lr":
            connection.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
            connection.execute(f"CREATE TABLE {table} (k text, t timestamp, x float8)")
        statement = f"SELECT l.k, r.x FROM l {join}"
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(statement)
        told = raised.value.diag
        assert (told.sqlstate, bool(told.message_hint)) == (state, True)
        assert int(told.statement_position) == statement.index(place) + 1
        for table in "lr":
            connection.execute(f"DROP TABLE {table}")

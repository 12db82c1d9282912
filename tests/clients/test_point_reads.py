"""Rows by key, from pages that are kept: the same rows as a scan of everything finds.

`k + 0 = 7` is no lookup, so that the engine's own scan answers it.
"""

import random
import re

import pytest

ROWS = 60_000
KEYS = {
    # How a column is filled, and what is looked up in it.
    "ascending": ("g", lambda r: str(r.randint(-5, ROWS + 5))),
    "few": ("g / 5000", lambda r: str(r.randint(-1, 13))),
    "shuffled": ("(g * 7919) % 60000", lambda r: str(r.randint(-5, ROWS + 5))),
    "gaps": ("CASE WHEN g % 3 = 0 THEN NULL ELSE g END", lambda r: str(r.randint(0, ROWS))),
    "nothing": ("NULL::bigint", lambda r: "1"),
}
TEXTS = ("'key ' || lpad(g::text, 9, '0')", lambda r: f"'key {r.randint(-5, ROWS + 5):09}'")
TIMES = (
    "timestamp '2024-01-01' + g * interval '1 second'",
    lambda r: f"timestamp '2024-01-01' + {r.randint(0, ROWS)} * interval '1 second'",
)
DECIMALS = ("(g / 100.0)::numeric(12, 2)", lambda r: f"{r.randint(0, ROWS) / 100:.2f}")
COLUMNS = {**KEYS, "texts": TEXTS, "times": TIMES, "decimals": DECIMALS}
ZERO = {"texts": "{} || ''", "times": "{} + interval '0'"}


@pytest.fixture
def connection(server):
    with server.connect() as connection:
        filled = ", ".join(f"{fill} AS {name}" for name, (fill, _) in COLUMNS.items())
        source = f"SELECT {filled}, g * 0.5::float8 AS v, ARRAY[g, g + 1] AS list FROM generate_series({{}}, {{}}) g"
        connection.execute("DROP TABLE IF EXISTS points")
        connection.execute("CREATE TABLE points AS " + source.format(1, ROWS // 2))
        connection.execute("ALTER TABLE points ADD COLUMN late int DEFAULT 5")
        connection.execute("ALTER TABLE points RENAME COLUMN v TO renamed")
        names = ", ".join([*COLUMNS, "renamed", "list"])
        connection.execute(f"INSERT INTO points ({names}) " + source.format(ROWS // 2, ROWS))
        connection.execute("DELETE FROM points WHERE ascending % 11 = 0")
        connection.execute("UPDATE points SET renamed = -1 WHERE ascending BETWEEN 20000 AND 20050")
        # Inlined rows, beside the files.
        connection.execute("INSERT INTO points (ascending, renamed) VALUES (17, 0.25), (NULL, 0.5)")
        yield connection
        connection.execute("DROP TABLE points")


def conditions(r, column):
    value = COLUMNS[column][1]
    values = ", ".join(value(r) for _ in range(r.choice([1, 2, 3, 30, 200])))
    forms = ["{} = " + value(r), value(r) + " = {}", "{} IN (" + values + ")", "{} = ANY(ARRAY[" + values + "])"]
    form = r.choice(forms)
    beside = r.choice(["", "", " AND renamed > 3000", " AND late = 5", " AND list[1] % 2 = 0", " AND few < 7"])
    return form.format(column) + beside, form.format("(" + ZERO.get(column, "{} + 0").format(column) + ")") + beside


WHAT = [
    "*", "renamed", "count(*)", "ascending + 1, texts", "list, late", "texts, sum(renamed), count(late)",
    "few, gaps, times",
]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_rows_as_a_scan(connection, seed):
    r = random.Random(seed)
    for _ in range(40):
        column = r.choice(list(COLUMNS))
        asked, scanned = conditions(r, column)
        what = r.choice(WHAT)
        tail = " GROUP BY texts" if what.startswith("texts,") else ""
        statement = f"SELECT {what} FROM points WHERE {{}}{tail}"
        found = connection.execute(statement.format(asked)).fetchall()
        expected = connection.execute(statement.format(scanned)).fetchall()
        assert sorted(map(repr, found)) == sorted(map(repr, expected)), statement.format(asked)


def test_what_a_join_asks_for(connection):
    keys = [5, 7, 7, 300, 29_999, 30_000, 30_001, 59_998, 70_000]
    statement = "SELECT a.k, p.renamed, p.texts FROM unnest(%s::bigint[]) AS a(k) JOIN points p ON p.ascending{} = a.k"
    found = connection.execute(statement.format(""), [keys]).fetchall()
    expected = connection.execute(statement.format(" + 0"), [keys]).fetchall()
    assert sorted(map(repr, found)) == sorted(map(repr, expected)) and len(found) >= 8


def test_a_join_in_parts_is_a_lookup_too(connection):
    statement = "SELECT p.renamed FROM unnest(ARRAY[5, 300, 59998]) AS a(k) JOIN points p ON p.ascending = a.k"
    assert pages(connection, statement) is not None


def pages(connection, statement):
    """Pages that were decoded for a statement, and that were there already; None: it was a scan."""
    plan = "\n".join(line for (line,) in connection.execute("EXPLAIN (ANALYZE, VERBOSE) " + statement).fetchall())
    read, kept = (re.findall(rf"pages_{what}=([\d.]+)", plan) for what in ("read", "kept"))
    return (sum(map(int, read)), sum(map(int, kept))) if read or kept else None


def test_pages_are_kept(connection):
    statement = "SELECT renamed FROM points WHERE ascending = 40000"
    pages(connection, statement)
    read, kept = pages(connection, statement)
    assert read == 0 and kept > 0


def test_a_scan_of_much_is_one(connection):
    assert pages(connection, "SELECT renamed FROM points WHERE ascending > 5") is None
    connection.execute("CREATE TABLE mixed AS SELECT (g * 7919) % 100000 AS k, g FROM generate_series(1, 100000) g")
    assert pages(connection, "SELECT g FROM mixed WHERE k = 50000") is None
    many = ", ".join(str(n * 97) for n in range(1000))
    assert pages(connection, f"SELECT g FROM mixed WHERE k IN ({many})") is None
    assert pages(connection, f"SELECT k FROM mixed WHERE g IN ({many})") is not None
    assert pages(connection, "SELECT k FROM mixed WHERE g = 5") is not None
    connection.execute("DROP TABLE mixed")


def test_what_is_changed_is_seen(connection):
    connection.execute("CREATE TABLE changed AS SELECT g AS id, g AS v FROM generate_series(1, 20000) g")
    asked = "SELECT v FROM changed WHERE id = 777"
    assert connection.execute(asked, prepare=True).fetchall() == [(777,)]
    connection.execute("UPDATE changed SET v = 0 WHERE id = 777")
    assert connection.execute(asked, prepare=True).fetchall() == [(0,)]
    connection.execute("DELETE FROM changed WHERE id = 777")
    assert connection.execute(asked, prepare=True).fetchall() == []
    connection.execute("DROP TABLE changed")
    connection.execute("CREATE TABLE changed AS SELECT g AS id, -g AS v FROM generate_series(1, 20000) g")
    assert connection.execute(asked, prepare=True).fetchall() == [(-777,)]
    connection.execute("DROP TABLE changed")

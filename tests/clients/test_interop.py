"""DuckDB's own ducklake extension on our lake: it reads what we write and we read what it writes."""

import duckdb
import psycopg
import pytest
from duckdb_extensions import import_extension


def attach(server):
    for extension in ["ducklake", "sqlite_scanner"]:
        import_extension(extension)
    duck = duckdb.connect()
    duck.execute("LOAD ducklake; LOAD sqlite_scanner")
    path = server.data
    duck.execute(f"ATTACH 'ducklake:sqlite:{path}/catalog.sqlite' AS lake (DATA_PATH '{path}/')")
    duck.execute("SET TimeZone = 'UTC'")
    return duck


COLUMNS = [
    ("b", "bool", "true"), ("i2", "smallint", "2"), ("i4", "int", "4"), ("i8", "bigint", "8"),
    ("f4", "real", "1.5"), ("f8", "float8", "2.5"), ("n", "numeric(10,2)", "12.34"),
    ("t", "text", "'x, y'"), ("raw", "bytea", r"'\xdead'"), ("d", "date", "'2024-02-03'"),
    ("tm", "time", "'01:02:03.5'"), ("ts", "timestamp", "'2024-01-01 10:00:00.25'"),
    ("tz", "timestamptz", "'2024-01-01 10:00:00+02'"),
    ("u", "uuid", "'550e8400-e29b-41d4-a716-446655440000'"), ("j", "jsonb", "'{\"a\":1}'"),
    ("a", "int[]", "'{1,2}'"), ("v", "vector(3)", "'[1,2,3]'"),
    ("h", "halfvec(3)", "'[1,2,0.5]'"), ("w", "vector", "'[1,2]'"),
]
# The same row as DuckDB prints it: select (…)::varchar. Its json is text, here as Postgres has jsonb.
TEXTS = [
    "true", "2", "4", "8", "1.5", "2.5", "12.34", "x, y", r"\xDE\xAD", "2024-02-03", "01:02:03.5",
    "2024-01-01 10:00:00.25", "2024-01-01 08:00:00+00", "550e8400-e29b-41d4-a716-446655440000",
    '{"a": 1}', "[1, 2]", "[1.0, 2.0, 3.0]", "[1.0, 2.0, 0.5]", "[1.0, 2.0]",
]


@pytest.mark.parametrize("copies", [1, 3000], ids=["inlined", "in files"])
def test_duckdb_reads_every_type(server, copies):
    ours = server.connect()
    columns = ", ".join(f"{name} {kind}" for name, kind, _ in COLUMNS)
    ours.execute(f"CREATE TABLE one ({columns})")
    ours.execute(f"INSERT INTO one VALUES ({', '.join(value for _, _, value in COLUMNS)})")
    names = ", ".join(f"one.{name}" for name, _, _ in COLUMNS)
    ours.execute("CREATE TABLE many (LIKE one)")
    ours.execute(f"INSERT INTO many SELECT {names} FROM one, generate_series(1, {copies}) g")
    duck = attach(server)
    texts = ", ".join(f"{name}::varchar" for name, _, _ in COLUMNS)
    found = duck.execute(f"SELECT {texts} FROM lake.public.many").fetchall()
    assert len(found) == copies
    assert list(found[0]) == TEXTS
    assert list(found[-1]) == TEXTS


def test_halfvecs_go_both_ways(server):
    ours, duck = server.connect(), attach(server)
    ours.execute("CREATE TABLE h (id int, h halfvec(2), w halfvec)")
    ours.execute("INSERT INTO h SELECT g, ARRAY[g, 0.1], ARRAY[g] FROM generate_series(1, 2000) g")
    # 0.1 is no half float: it is rounded as we read it.
    duck.execute("INSERT INTO lake.public.h SELECT 2000 + range, [range, 0.1], [1, 2] FROM range(1, 2001)")
    found = ours.execute("SELECT h[2], count(*) FROM (SELECT h::real[] AS h FROM h) GROUP BY 1").fetchall()
    assert found == [(pytest.approx(0.099975586), 4000)]
    assert ours.execute("SELECT w FROM h WHERE id IN (7, 2001) ORDER BY id").fetchall() == [("[7]",), ("[1,2]",)]
    assert duck.execute("SELECT h[2], w FROM lake.public.h WHERE id = 7").fetchall() == [(pytest.approx(0.099975586), [7.0])]


def test_changes_go_both_ways(server):
    ours, duck = server.connect(), attach(server)
    ours.execute("CREATE TABLE t AS SELECT g AS id, 'n' || g AS name FROM generate_series(1, 5000) g")
    ours.execute("DELETE FROM t WHERE id % 2 = 0")
    ours.execute("UPDATE t SET name = 'ours' WHERE id = 1")
    count = "SELECT count(*), sum(id)::bigint, min(name) FROM {}"
    expected = (2500, 6250000, "n1001")
    assert duck.execute(count.format("lake.public.t")).fetchone() == expected
    duck.execute("INSERT INTO lake.public.t VALUES (7000, 'duck')")
    duck.execute("DELETE FROM lake.public.t WHERE id = 3")
    duck.execute("UPDATE lake.public.t SET name = 'theirs' WHERE id = 5")
    assert ours.execute("SELECT name FROM t WHERE id IN (1, 3, 5, 7000) ORDER BY id").fetchall() == [
        ("ours",), ("theirs",), ("duck",)
    ]
    duck.execute("ALTER TABLE lake.public.t ADD COLUMN extra integer DEFAULT 9")
    duck.execute("ALTER TABLE lake.public.t RENAME COLUMN name TO title")
    assert ours.execute("SELECT title, extra FROM t WHERE id = 7").fetchone() == ("n7", 9)
    ours.execute("ALTER TABLE t RENAME TO renamed")
    ours.execute("ALTER TABLE renamed DROP COLUMN extra")
    assert duck.execute("SELECT * FROM lake.public.renamed WHERE id = 7").fetchone() == (7, "n7")


def test_a_column_of_another_type_stands_where_it_stood(server):
    ours = server.connect()
    ours.execute("CREATE TABLE r (a int, b text, c int)")
    ours.execute("INSERT INTO r SELECT g, g::text, -g FROM generate_series(1, 3000) g")
    ours.execute("ALTER TABLE r ALTER COLUMN b TYPE int USING b::int * 10")
    ours.execute("INSERT INTO r VALUES (-1, -2, -3)")
    duck = attach(server)
    described = [row[:2] for row in duck.execute("DESCRIBE lake.public.r").fetchall()]
    assert described == [("a", "INTEGER"), ("b", "INTEGER"), ("c", "INTEGER")]
    sums = "SELECT count(*), sum(a), sum(b), sum(c) FROM {}r"
    assert duck.execute(sums.format("lake.public.")).fetchone() == (3001, 4501499, 45014998, -4501503)
    duck.execute("INSERT INTO lake.public.r VALUES (1, 2, 3)")
    assert ours.execute(sums.format("")).fetchone() == (3002, 4501500, 45015000, -4501500)


def test_we_read_a_table_that_duckdb_made(server):
    ours, duck = server.connect(), attach(server)
    duck.execute("""CREATE TABLE lake.public.d AS SELECT range AS r, 'd' || range AS s, [range, 1] AS l,
        {'a': range, 'b': 'x'} AS st, '550e8400-e29b-41d4-a716-446655440000'::uuid AS u,
        (range * 1.25)::decimal(12,2) AS n, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS tz FROM range(5000)""")
    duck.execute("DELETE FROM lake.public.d WHERE r < 1000")
    row = ours.execute("SELECT r, s, l, u, n::text, tz::text FROM d WHERE r = 2000").fetchone()
    assert row[:3] == (2000, "d2000", [2000, 1])
    assert str(row[3]) == "550e8400-e29b-41d4-a716-446655440000"
    assert row[4] == "2500.00"
    assert ours.execute("SELECT count(*), min(r) FROM d").fetchone() == (4000, 1000)


def test_time_travel_agrees(server):
    ours, duck = server.connect(), attach(server)
    ours.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 3000) g")
    version = ours.execute("SELECT max(snapshot_id) FROM lake.snapshots").fetchone()[0]
    ours.execute("DELETE FROM t WHERE id > 10")
    ours.execute("INSERT INTO t VALUES (99)")
    assert ours.execute(f"SELECT count(*) FROM t VERSION AS OF {version}").fetchone() == (3000,)
    sql = f"SELECT count(*) FROM lake.public.t AT (VERSION => {version})"
    assert duck.execute(sql).fetchone() == (3000,)
    assert duck.execute("SELECT count(*) FROM lake.public.t").fetchone() == (11,)


def test_a_foreign_type_is_read_and_not_written(server):
    """A value that does not fit DuckDB's type would make the table unreadable for DuckDB."""
    ours, duck = server.connect(), attach(server)
    duck.execute("CREATE TABLE lake.public.f (a utinyint, b varchar)")
    duck.execute("INSERT INTO lake.public.f VALUES (200, 'x')")
    assert ours.execute("SELECT * FROM f").fetchall() == [(200, "x")]
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        ours.execute("INSERT INTO f VALUES (300, 'y')")
    assert duck.execute("SELECT * FROM lake.public.f").fetchall() == [(200, "x")]


def test_rows_keep_numbers_of_their_own_when_both_insert(server):
    ours, duck = server.connect(), attach(server)
    ours.execute("CREATE TABLE turns (id int)")
    expected = []
    for turn in range(6):
        duck.execute("FROM lake.public.turns").fetchall()
        for step in range(turn % 3 + 1):
            ours.execute("INSERT INTO turns VALUES (%s)", (turn * 10 + step,))
            expected.append(turn * 10 + step)
        duck.execute(f"INSERT INTO lake.public.turns VALUES ({turn * 10 + 9})")
        expected.append(turn * 10 + 9)
        if turn == 3:
            ours.execute("VACUUM")
    numbers = duck.execute("SELECT id, rowid FROM lake.public.turns ORDER BY rowid").fetchall()
    assert sorted(id for id, _ in numbers) == sorted(expected)
    assert len({number for _, number in numbers}) == len(expected)
    ours.execute("DELETE FROM turns WHERE id = %s", (expected[0],))
    assert ours.execute("SELECT count(*) FROM turns").fetchone() == (len(expected) - 1,)


def test_statistics_survive_merges_of_both(server):
    ours, duck = server.connect(), attach(server)
    ours.execute("CREATE TABLE r (n int, s text)")
    fill = "INSERT INTO {} SELECT g, 'x' || g FROM generate_series({}, {}) t(g)"
    for start in (1, 5001):
        ours.execute(fill.format("r", start, start + 4999))
    merge = "CALL ducklake_merge_adjacent_files('lake')"
    duck.execute(merge)
    for statement in ["DELETE FROM r WHERE n % 2 = 0", "VACUUM", "DELETE FROM r WHERE n % 3 = 0", "VACUUM"]:
        ours.execute(statement)
    ours.execute(fill.format("r", 20001, 25000))
    duck.execute(fill.format("lake.public.r", 30001, 35000))
    duck.execute(merge)
    for statement in ["DELETE FROM r WHERE n > 5", "VACUUM"]:
        ours.execute(statement)
    left = ours.execute("SELECT n FROM r ORDER BY n").fetchall()
    assert left == [(1,), (5,)]
    assert attach(server).execute("SELECT n FROM lake.public.r ORDER BY n").fetchall() == left


def test_no_update_is_lost_when_both_update_a_row(server):
    ours, duck = server.connect(), attach(server)
    ours.execute("CREATE TABLE turns (id int, v bigint)")
    ours.execute("INSERT INTO turns VALUES (1, 0)")
    duck.execute("UPDATE lake.public.turns SET v = v + 1000")
    ours.execute("BEGIN")
    ours.execute("UPDATE turns SET v = v + 1")
    duck.execute("UPDATE lake.public.turns SET v = v + 1000")
    with pytest.raises(psycopg.errors.SerializationFailure):
        ours.execute("COMMIT")
    ours.execute("UPDATE turns SET v = v + 1")
    assert ours.execute("SELECT v FROM turns").fetchall() == [(2001,)]
    assert duck.execute("SELECT v FROM lake.public.turns").fetchall() == [(2001,)]

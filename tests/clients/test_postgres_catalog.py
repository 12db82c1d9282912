"""A lake whose catalog is a Postgres database: one server, two servers, DuckDB beside them."""

import concurrent.futures
import uuid

import duckdb
import psycopg
import pytest
from duckdb_extensions import import_extension


@pytest.fixture
def lake(postgres, tmp_path):
    """(data folder, catalog URL) of a lake that does not exist yet."""
    return tmp_path / "lake", postgres.database("lake_" + uuid.uuid4().hex)


def serve(servers, lake, **environment):
    data, catalog = lake
    return servers(data, "--catalog", catalog, **environment)


def test_a_lake_is_there_after_a_restart(servers, lake):
    server = serve(servers, lake)
    connection = server.connect()
    connection.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 5000) g")
    connection.execute("INSERT INTO t VALUES (5001)")
    connection.execute("DELETE FROM t WHERE id <= 10")
    server.kill()
    server.start()
    found = server.connect().execute("SELECT count(*), sum(id) FROM t").fetchone()
    assert found == (4991, 5001 * 5002 // 2 - 55)


def test_two_servers_see_each_others_commits_at_once(servers, lake):
    one, two = serve(servers, lake).connect(), serve(servers, lake).connect()
    one.execute("CREATE TABLE t (id int)")
    two.execute("INSERT INTO t VALUES (1)")
    assert one.execute("SELECT id FROM t").fetchall() == [(1,)]
    one.execute("ALTER TABLE t ADD COLUMN name text")
    two.execute("INSERT INTO t VALUES (2, 'two')")
    one.execute("UPDATE t SET name = 'one' WHERE id = 1")
    assert two.execute("SELECT * FROM t ORDER BY id").fetchall() == [(1, "one"), (2, "two")]
    two.execute("DROP TABLE t")
    with pytest.raises(psycopg.errors.UndefinedTable):
        one.execute("SELECT * FROM t")


def test_servers_wait_for_each_other_and_lose_nothing(servers, lake):
    both = [serve(servers, lake), serve(servers, lake)]
    both[0].connect().execute("CREATE TABLE t AS SELECT 1 AS id, 0 AS n")

    def count(server, times):
        with server.connect() as connection:
            for _ in range(times):
                connection.execute("UPDATE t SET n = n + 1 WHERE id = 1")
                connection.execute("INSERT INTO t VALUES (2, 1)")

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(count, both * 2, [15] * 4))
    for server in both:
        found = server.connect().execute("SELECT id, sum(n) FROM t GROUP BY id ORDER BY id").fetchall()
        assert found == [(1, 60), (2, 60)]


def test_of_two_blocks_that_change_one_row_the_second_fails(servers, lake):
    one, two = serve(servers, lake).connect(), serve(servers, lake).connect()
    one.execute("CREATE TABLE t AS SELECT g AS id, 0 AS n FROM generate_series(1, 2000) g")
    for connection in (one, two):
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET n = n + 1 WHERE id = 7")
    one.execute("COMMIT")
    with pytest.raises(psycopg.errors.SerializationFailure):
        two.execute("COMMIT")
    two.rollback()
    assert two.execute("SELECT n FROM t WHERE id = 7").fetchone() == (1,)


def test_a_catalog_that_goes_away_is_an_error_and_comes_back(servers, lake, postgres):
    server = serve(servers, lake)
    connection = server.connect()
    connection.execute("CREATE TABLE t (id int)")
    # The catalog hangs up on every connection: the server opens new ones.
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'lake_%'"
        )
    for _ in range(3):
        try:
            connection.execute("INSERT INTO t VALUES (1)")
            break
        except psycopg.Error as error:
            assert error.sqlstate is not None and error.sqlstate[:2] in ("08", "58"), error
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_duckdb_shares_the_lake(servers, lake):
    data, catalog = lake
    ours = serve(servers, lake).connect()
    ours.execute("CREATE TABLE t AS SELECT g AS id, 'n' || g AS name FROM generate_series(1, 3000) g")
    ours.execute("INSERT INTO t VALUES (3001, 'inlined')")
    ours.execute("DELETE FROM t WHERE id % 3 = 0")
    for extension in ["ducklake", "postgres_scanner"]:
        import_extension(extension)
    duck = duckdb.connect()
    duck.execute("LOAD ducklake; LOAD postgres_scanner")
    duck.execute(f"ATTACH 'ducklake:postgres:{catalog}' AS lake (DATA_PATH '{data}/')")
    count = "SELECT count(*), sum(id)::bigint FROM {}"
    expected = (2001, 3001 * 3002 // 2 - 3 * 1000 * 1001 // 2)
    assert duck.execute(count.format("lake.public.t")).fetchone() == expected
    duck.execute("INSERT INTO lake.public.t VALUES (7000, 'duck')")
    duck.execute("UPDATE lake.public.t SET name = 'theirs' WHERE id = 1")
    duck.execute("DELETE FROM lake.public.t WHERE id = 2")
    found = ours.execute("SELECT id, name FROM t WHERE id IN (1, 2, 4, 7000) ORDER BY id").fetchall()
    assert found == [(1, "theirs"), (4, "n4"), (7000, "duck")]
    duck.execute("CREATE TABLE lake.public.made AS SELECT 1 AS x")
    assert ours.execute("SELECT x FROM made").fetchall() == [(1,)]


def test_small_and_large_writes_follow_each_other(servers, postgres, tmp_path):
    """One statement records their files, for the large ones with NULL and for flushed ones with a number."""
    server = servers(tmp_path / "lake", "--catalog", postgres.database("flushed"))
    connection = server.connect()
    connection.execute("CREATE TABLE t (id int)")
    for row in range(3):
        connection.execute("INSERT INTO t SELECT g FROM generate_series(1, 2000) g")
        connection.execute("INSERT INTO t VALUES (%s)", (row,))
        connection.execute("DELETE FROM t WHERE id = %s", (1000 + row,))
        connection.execute("VACUUM t")
        kept = connection.execute("SELECT inlined_rows FROM lake.tables WHERE table_name = 't'")
        assert kept.fetchone() == (0,), row
    # Each round deletes its number from every round's rows so far.
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (6003 - 1 - 2 - 3,)

"""A lake on S3: a real S3 server, and the ways in which one fails."""

import psycopg
import pytest

from faulty_s3 import FaultyS3

ROWS = 5000
TOTAL = ROWS * (ROWS + 1) // 2


@pytest.fixture
def s3():
    running = FaultyS3()
    yield running
    running.stop()


@pytest.fixture
def lake(servers, s3, tmp_path):
    catalog = str(tmp_path / "catalog.sqlite")
    return servers("s3://bucket/some/prefix", "--catalog", catalog, **s3.environment())


def fill(connection, table):
    connection.execute(f"CREATE TABLE {table} AS SELECT g AS id FROM generate_series(1, {ROWS}) g")


def restart(server):
    """Forgets what was read."""
    server.stop()
    server.start()
    return server.connect()


def total(connection, table):
    return connection.execute(f"SELECT sum(id) FROM {table}").fetchone()[0]


def of_table(table):
    return lambda path: f"/{table}/" in path and path.endswith(".parquet")


def test_a_lake_on_s3_is_written_changed_and_read_again(lake, s3):
    connection = lake.connect()
    fill(connection, "t")
    connection.execute("UPDATE t SET id = id + 1 WHERE id % 2 = 0")
    connection.execute("DELETE FROM t WHERE id = 1")
    assert any(path.startswith("/bucket/some/prefix/") for _, path in s3.requests)
    expected = TOTAL + ROWS // 2 - 1
    assert total(connection, "t") == expected
    assert total(restart(lake), "t") == expected


def test_a_fault_that_passes_is_not_seen(lake, s3):
    connection = lake.connect()
    fill(connection, "t")
    connection = restart(lake)
    left = {"503": 2, "cut": 1}

    def sometimes(method, path):
        for fault in left:
            if of_table("t")(path) and left[fault]:
                left[fault] -= 1
                return fault
        return None

    s3.fault = sometimes
    assert total(connection, "t") == TOTAL
    assert left["503"] == 0


def test_a_slow_store_is_waited_for(lake, s3):
    connection = lake.connect()
    fill(connection, "t")
    connection = restart(lake)
    s3.fault = lambda method, path: 0.3
    assert total(connection, "t") == TOTAL


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_a_store_that_stays_broken_is_an_error_and_others_are_served(lake, s3, fault):
    connection = lake.connect()
    fill(connection, "good")
    fill(connection, "bad")
    connection = restart(lake)
    broken = of_table("bad")
    s3.fault = lambda method, path: fault if broken(path) else None
    with pytest.raises(psycopg.Error) as error:
        total(connection, "bad")
    assert error.value.sqlstate == "58030", error.value
    assert ".parquet" in str(error.value)
    assert total(connection, "good") == TOTAL
    s3.fault = lambda method, path: None
    assert total(connection, "bad") == TOTAL


def test_a_write_that_fails_leaves_the_table_as_it_was(lake, s3):
    connection = lake.connect()
    fill(connection, "t")
    s3.fault = lambda method, path: "503" if method in ("PUT", "POST") else None
    with pytest.raises(psycopg.Error) as error:
        connection.execute(f"INSERT INTO t SELECT g FROM generate_series(1, {ROWS}) g")
    assert error.value.sqlstate == "58030", error.value
    assert total(connection, "t") == TOTAL
    # Small writes need the catalog only.
    connection.execute("INSERT INTO t VALUES (1)")
    assert total(connection, "t") == TOTAL + 1
    s3.fault = lambda method, path: None
    connection.execute(f"INSERT INTO t SELECT g FROM generate_series(1, {ROWS}) g")
    assert total(connection, "t") == 2 * TOTAL + 1
    assert total(restart(lake), "t") == 2 * TOTAL + 1

"""The server as a whole: kills inside a commit, damaged files, bad options, bounded memory, invariants."""

import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import threading

import psycopg
import pytest


@pytest.mark.parametrize("point", ["before-begin", "before-commit", "after-commit"])
@pytest.mark.parametrize("rows", [3, 5000], ids=["inlined", "file"])
def test_a_commit_that_is_killed_is_there_whole_or_not_at_all(server, point, rows):
    server.connect().execute("CREATE TABLE t (id int)")
    server.stop()
    server.start(SEXTANT_FAULT=point)
    with pytest.raises(psycopg.OperationalError):
        server.connect().execute(f"INSERT INTO t SELECT g FROM generate_series(1, {rows}) g")
    server.process.wait(10)
    server.start()
    connection = server.connect()
    found = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    # Nothing was acknowledged; only the point after the commit may leave it.
    assert found == (rows if point == "after-commit" else 0)
    connection.execute("INSERT INTO t VALUES (0)")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (found + 1,)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_file_is_named_and_other_tables_are_served(server, damage):
    connection = server.connect()
    for name in ["good", "bad"]:
        connection.execute(f"CREATE TABLE {name} AS SELECT g AS id FROM generate_series(1, 5000) g")
    file = next(pathlib.Path(server.data, "public", "bad").glob("*.parquet"))
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100])
    server.stop()
    server.start()
    connection = server.connect()
    with pytest.raises(psycopg.Error) as error:
        connection.execute("SELECT sum(id) FROM bad")
    assert error.value.sqlstate == "58030", error.value
    assert file.name in str(error.value)
    assert connection.execute("SELECT sum(id) FROM good").fetchone() == (12502500,)


@pytest.mark.parametrize("options, word", [
    (["--nope"], "--nope"),
    (["--threads", "many"], "threads"),
    (["--listen", "nowhere"], "listen"),
    (["--memory-limit=-1"], "memory"),
    (["--data", "/proc/nope"], "/proc/nope"),
])
def test_a_bad_option_is_one_clear_line(tmp_path, options, word):
    command = [os.environ["SEXTANT_BINARY"], "serve", "--listen", "127.0.0.1:0"]
    if "--data" not in options:
        command += ["--data", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert word in lines[0]


def test_a_port_in_use_is_one_clear_line(server, tmp_path):
    command = [os.environ["SEXTANT_BINARY"], "serve", "--data", str(tmp_path / "other")]
    listen = f"127.0.0.1:{server.port}"
    done = subprocess.run([*command, "--listen", listen], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert listen in done.stderr.strip().splitlines()[-1]


def resident_kb(server, what):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(rf"{what}:\s+(\d+)", status.read())[1])


def drain(server, query):
    """Sends a query as the wire's bytes and throws the answer away: its tag."""
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        startup = struct.pack("!i", 196608) + b"user\0ann\0database\0sextant\0\0"
        plain.sendall(struct.pack("!i", len(startup) + 4) + startup)
        stream = plain.makefile("rb")
        tag = None
        for turn in range(2):
            while True:
                kind, length = struct.unpack("!ci", stream.read(5))
                body = stream.read(length - 4)
                if kind == b"C":
                    tag = body.rstrip(b"\0").decode()
                if kind == b"Z":
                    break
            if turn == 0:
                text = query.encode() + b"\0"
                plain.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
    return tag


def test_ten_million_rows_stream_in_bounded_memory(server):
    server.connect().execute("SELECT 1")
    idle = resident_kb(server, "VmRSS")
    query = "SELECT g, g * 2, 'row number ' || g FROM generate_series(1, 10000000) g"
    assert drain(server, query) == "SELECT 10000000"
    # The rows are about 400 MB on the wire; what is kept of them must not grow with their number.
    assert resident_kb(server, "VmHWM") - idle < 200_000


def test_what_exceeds_the_memory_spills_or_fails_alone(servers, tmp_path):
    server = servers(tmp_path / "lake", "--memory-limit", "64MB")
    connection = server.connect()
    connection.execute(
        "CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a, md5((g * 7)::text) AS b"
        " FROM generate_series(1, 1000000) g"
    )
    done, others = threading.Event(), []

    def go_on():
        with server.connect() as other:
            while not done.is_set():
                others.append(other.execute("SELECT count(*) FROM t WHERE id <= 10").fetchone()[0])

    beside = threading.Thread(target=go_on)
    beside.start()
    try:
        # About 100 MB: sorted and grouped through files.
        assert drain(server, "SELECT * FROM t ORDER BY a, b") == "SELECT 1000000"
        groups = "SELECT count(*) FROM (SELECT a, b, count(*) FROM t GROUP BY a, b) s"
        assert connection.execute(groups).fetchone() == (1_000_000,)
        # A hash table of either side would not fit: sides are sorted and merged.
        joined = "SELECT count(*), count(x.b) FROM t x {} JOIN t y ON x.a = y.a AND y.id > 500000"
        assert connection.execute(joined.format("")).fetchone() == (500_000, 500_000)
        assert connection.execute(joined.format("RIGHT")).fetchone() == (1_000_000, 500_000)
        # What must be in memory whole fails, and says so.
        with pytest.raises(psycopg.errors.OutOfMemory) as error:
            connection.execute("SELECT length(array_agg(a || b)::text) FROM t").fetchone()
        assert error.value.diag.message_hint
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1_000_000,)
        changed = connection.execute("UPDATE t SET b = y.b FROM t y WHERE y.id = t.id AND t.id % 4 = 0")
        assert changed.statusmessage == "UPDATE 250000"
        assert connection.execute("DELETE FROM t WHERE id % 2 = 1 AND id > 10").statusmessage == "DELETE 499995"
        assert connection.execute("SELECT count(*), count(DISTINCT b) FROM t").fetchone() == (500_005, 500_005)
    finally:
        done.set()
        beside.join()
    assert others and set(others) == {10}


def test_transfers_conserve_the_sum(server):
    accounts, amount = 100, 100
    server.connect().execute(
        f"CREATE TABLE a AS SELECT g AS id, {amount} AS n FROM generate_series(1, {accounts}) g"
    )
    done, wrong = threading.Event(), []

    def transfer(seed):
        dice = random.Random(seed)
        with server.connect(autocommit=False) as connection:
            for _ in range(10):
                source, target = dice.sample(range(1, accounts + 1), 2)
                while True:
                    try:
                        connection.execute("UPDATE a SET n = n - 5 WHERE id = %s", (source,))
                        connection.execute("UPDATE a SET n = n + 5 WHERE id = %s", (target,))
                        connection.commit()
                        break
                    except psycopg.errors.SerializationFailure:
                        connection.rollback()

    def read():
        with server.connect() as connection:
            while not done.is_set():
                total = connection.execute("SELECT sum(n), count(*) FROM a").fetchone()
                if total != (accounts * amount, accounts):
                    wrong.append(total)

    writers = [threading.Thread(target=transfer, args=(seed,)) for seed in range(20)]
    readers = [threading.Thread(target=read) for _ in range(20)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert server.connect().execute("SELECT sum(n) FROM a").fetchone() == (accounts * amount,)


def test_a_statement_is_cancelled_and_the_connection_goes_on(server):
    connection = server.connect()
    slow = "SELECT count(*) FROM generate_series(1, 100000000) a WHERE a % 7 = 3 AND sqrt(a) > 0"
    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        for _ in range(1000):
            connection.execute(slow)
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.execute("SET statement_timeout = '100ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        for _ in range(1000):
            connection.execute(slow)


def test_three_hundred_connections_of_which_fifty_ask(servers, tmp_path):
    """Each gets its own answers, and an idle one costs little."""
    server = servers(tmp_path / "lake", "--max-connections", "310")
    with server.connect() as connection:
        connection.execute("create table t as select i from generate_series(1, 1000) s(i)")
    resident = lambda: int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{server.process.pid}/status").read())[1])
    before = resident()
    held = [server.connect() for _ in range(300)]
    for connection in held:
        assert connection.execute("select 1").fetchone() == (1,)
    # Kilobytes a connection.
    assert (resident() - before) / len(held) < 1024
    wrong = []

    def ask(connection, number):
        for _ in range(10):
            query = "select count(*), %s::int from t where i <= %s"
            found = connection.execute(query, (number, number), prepare=True).fetchone()
            if found != (number, number):
                wrong.append((found, number))

    threads = [threading.Thread(target=ask, args=(held[number * 6], number)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for connection in held:
        assert connection.execute("select 2").fetchone() == (2,)
        connection.close()

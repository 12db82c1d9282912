"""Single-row commits a second, planning time of a trivial query, start and idle memory.

    python benches/peers/small_commits.py

Each INSERT is acknowledged when its commit is on disk. The peer is DuckDB's ducklake on SQLite.
"""

import json
import statistics
import sys
import tempfile
import threading
import time

import duckdb
from duckdb_extensions import import_extension

from server import Server, server

COMMITS = 1000


def ours():
    with server() as (running, data):
        idle = running.resident_mb()
        connection = running.connect()
        connection.execute("CREATE TABLE t (id int, name text)")
        times = []
        for i in range(COMMITS):
            started = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (%s, 'x')", (i,))
            times.append(time.perf_counter() - started)
        one = COMMITS / sum(times)
        eight = concurrent(running, 8)
        select = []
        for _ in range(2000):
            started = time.perf_counter()
            connection.execute("SELECT 1", prepare=False)
            select.append(time.perf_counter() - started)
        report("sextant_idle_mb", round(idle, 1))
        report("sextant_commits_per_s_1_client", round(one))
        report("sextant_commit_p99_ms", round(statistics.quantiles(times, n=100)[98] * 1e3, 2))
        report("sextant_commits_per_s_8_clients", round(eight))
        report("sextant_select_1_round_trip_p50_us", round(statistics.median(select) * 1e6))


def concurrent(running, clients):
    def work(number):
        with running.connect() as connection:
            for i in range(COMMITS // clients):
                connection.execute("INSERT INTO t VALUES (%s, 'y')", (number * COMMITS + i,))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return COMMITS // clients * clients / (time.perf_counter() - started)


def duckdb_commits():
    for extension in ["ducklake", "sqlite_scanner"]:
        import_extension(extension)
    with tempfile.TemporaryDirectory() as folder:
        duck = duckdb.connect()
        duck.execute("LOAD ducklake; LOAD sqlite_scanner")
        duck.execute(f"ATTACH 'ducklake:sqlite:{folder}/d.sqlite' AS lake (DATA_PATH '{folder}/d/')")
        duck.execute("CREATE TABLE lake.t (id int, name text)")
        started = time.perf_counter()
        for i in range(COMMITS // 4):
            duck.execute("INSERT INTO lake.t VALUES (?, 'x')", [i])
        report("duckdb_ducklake_commits_per_s_1_client", round(COMMITS // 4 / (time.perf_counter() - started)))


def start_with_tables(tables):
    with tempfile.TemporaryDirectory() as data:
        first = Server(data)
        connection = first.connect()
        connection.execute("BEGIN")
        for i in range(tables):
            connection.execute(f"CREATE TABLE t{i} (id int, name text, at timestamptz)")
        connection.execute("COMMIT")
        connection.close()
        first.stop()
        again = Server(data)
        report(f"ready_s_with_{tables}_tables", round(again.ready_s, 3))
        report(f"idle_mb_with_{tables}_tables", round(again.resident_mb(), 1))
        again.stop()


def report(name, value):
    print(json.dumps({name: value}), flush=True)


if __name__ == "__main__":
    ours()
    duckdb_commits()
    start_with_tables(1000)
    sys.exit(0)

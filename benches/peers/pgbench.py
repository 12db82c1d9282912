"""pgbench and bulk reads beside PostgreSQL in the same run; the servers take turns, the best round counts.

    python benches/peers/pgbench.py [seconds a measurement] [rows]

`SELECT 1` and a lookup by key go through pgbench, with the times of single transactions from its
log; rows of ten columns are read by psycopg (as text and binary) and by COPY. The table is sorted
by its key, which in Postgres has an index. Prints a table; a ratio above 1 is in Sextant's favour. At the
end 300 connections that have each asked once are held, and 50 others ask.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import psycopg

from copy_rows import SOURCE, TABLE, WIDE, select, timed
from server import server

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "clients"))
from postgres import Postgres  # noqa: E402

ROUNDS = 3
MODES = ["simple", "extended", "prepared"]
CLIENTS = [1, 8]
HELD, ACTIVE = 300, 50


def pgbench(url, script, mode, clients, seconds):
    """Transactions a second, and the median and the 99th percentile of their times in ms."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "script"
        path.write_text(script)
        command = [
            "pgbench", "-n", "-f", path, "-M", mode, "-c", clients, "-j", min(clients, 2), "-T", seconds,
            "-l", "--log-prefix", f"{folder}/log", url,
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        # A line of the log: client, number, microseconds, …
        times = [
            int(line.split()[2]) / 1e3 for log in pathlib.Path(folder).glob("log*") for line in log.open()
        ]
    tps = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])
    return tps, statistics.median(times), statistics.quantiles(times, n=100)[98]


def copied(connection, query, form):
    with connection.cursor() as cursor, open(os.devnull, "wb") as out:
        with cursor.copy(f"copy ({query}) to stdout (format {form})") as copy:
            for block in copy:
                out.write(block)


def fill(connection, rows, key):
    connection.execute(TABLE.format("t").replace("id bigint", f"id bigint{key}"))
    connection.execute(f"insert into t {SOURCE.format(rows)} order by 1")


def in_turns(servers, measure):
    """The best of each server: `measure` gives a rate, and more to show."""
    best = {}
    for _ in range(ROUNDS):
        for name, of in servers.items():
            found = measure(of)
            best[name] = max(best.get(name, found), found)
    return best["sextant"], best["postgres"]


def show(what, ours, theirs, unit):
    times = [f"{here:.2f} / {there:.2f}" for here, there in zip(ours[1:], theirs[1:])] or ["", ""]
    rate = lambda value: f"{value:,.0f}"
    print(
        f"| {what} | {rate(ours[0])} {unit} | {rate(theirs[0])} {unit} | {ours[0] / theirs[0]:.2f} | {' | '.join(times)} |",
        flush=True,
    )


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    postgres = Postgres()
    try:
        with server("--max-connections", "400") as (running, _):
            urls = {
                "sextant": f"postgres://bench@127.0.0.1:{running.port}/sextant",
                "postgres": postgres.database("bench"),
            }
            connections = {name: psycopg.connect(url, autocommit=True) for name, url in urls.items()}
            fill(connections["sextant"], rows, "")
            fill(connections["postgres"], rows, " primary key")
            connections["postgres"].execute("vacuum analyze t")
            print("| what | sextant | postgres | ratio | p50 ms | p99 ms |")
            print("|---|---|---|---|---|---|")
            lookup = f"\\set id random(1, {rows})\nselect * from t where id = :id;\n"
            for clients in CLIENTS:
                for mode in MODES:
                    found = in_turns(urls, lambda url: pgbench(url, "select 1;\n", mode, clients, seconds))
                    show(f"SELECT 1, {mode}, {clients} clients", *found, "tps")
                found = in_turns(urls, lambda url: pgbench(url, lookup, "prepared", clients, seconds))
                show(f"lookup by key, prepared, {clients} clients", *found, "tps")
            query = f"select {WIDE} from t"
            for binary in [False, True]:
                read = lambda of: (rows / timed(lambda: select(of, rows, binary)),)
                show(f"SELECT of 10 columns, {'binary' if binary else 'text'}", *in_turns(connections, read), "rows/s")
            for form in ["text", "csv", "binary"]:
                read = lambda of: (rows / timed(lambda: copied(of, query, form)),)
                show(f"COPY OUT of 10 columns, {form}", *in_turns(connections, read), "rows/s")
            print(f"\nSextant's resident memory at its highest: {running.peak_mb():.0f} MB")
            before = running.resident_mb()
            held = [psycopg.connect(urls["sextant"], autocommit=True) for _ in range(HELD)]
            for connection in held:
                connection.execute("select count(*) from t where id = 1").fetchone()
            grown = running.resident_mb() - before
            print(f"\n{HELD} connections held: {grown / HELD:.2f} MB each; beside them:\n")
            found = in_turns(urls, lambda url: pgbench(url, "select 1;\n", "prepared", ACTIVE, seconds))
            show(f"SELECT 1, prepared, {ACTIVE} clients", *found, "tps")
            found = in_turns(urls, lambda url: pgbench(url, lookup, "prepared", ACTIVE, seconds))
            show(f"lookup by key, prepared, {ACTIVE} clients", *found, "tps")
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()

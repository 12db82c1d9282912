"""Rows by key: one client, prepared statements, random keys of tables sorted by their key.

    python benches/peers/lookups.py [rows]

`t` has a key and a text, `w` a key and 30 numbers. The first fifth of the requests is left out, in
which pages are read that the others find. Prints a table of milliseconds.
"""

import random
import statistics
import sys
import time

from server import server

COLUMNS, KEYS, REQUESTS = 30, 100, 300


def latencies(connection, sql, parameters):
    times = []
    for _ in range(REQUESTS):
        values = parameters()
        started = time.perf_counter()
        connection.execute(sql, values, prepare=True).fetchall()
        times.append((time.perf_counter() - started) * 1e3)
    return sorted(times[REQUESTS // 5 :])


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    random.seed(1)
    with server() as (running, _), running.connect() as connection:
        source = f"FROM generate_series(1, {rows}) g"
        numbers = ", ".join(f"g * {n}::float8 / 7 AS f{n}" for n in range(1, COLUMNS + 1))
        connection.execute(f"CREATE TABLE t AS SELECT g AS id, 'name ' || g AS name {source}")
        connection.execute(f"CREATE TABLE w AS SELECT g AS id, {numbers} {source}")
        one = lambda: (random.randint(1, rows),)  # noqa: E731
        many = lambda: ([random.randint(1, rows) for _ in range(KEYS)],)  # noqa: E731
        join = "SELECT w.* FROM unnest(%s::int[]) AS k(id) JOIN w ON w.id = k.id"
        cases = [
            ("SELECT 1", "SELECT 1", lambda: ()),
            ("the key", "SELECT id FROM t WHERE id = %s", one),
            ("a text", "SELECT name FROM t WHERE id = %s", one),
            (f"{COLUMNS} numbers", "SELECT * FROM w WHERE id = %s", one),
            ("no such key", "SELECT name FROM t WHERE id = -%s", one),
            (f"{KEYS} keys", "SELECT id FROM w WHERE id = ANY(%s::int[])", many),
            (f"{KEYS} keys, {COLUMNS} numbers", "SELECT * FROM w WHERE id = ANY(%s::int[])", many),
            (f"{KEYS} keys, {COLUMNS} numbers, by a join", join, many),
        ]
        print("| what | p50 ms | p99 ms |\n|---|---|---|")
        for name, sql, parameters in cases:
            times = latencies(connection, sql, parameters)
            p99 = times[int(len(times) * 0.99)]
            print(f"| {name} | {statistics.median(times):.2f} | {p99:.2f} |", flush=True)
        print(f"\nSextant's resident memory at its highest: {running.peak_mb():.0f} MB")


if __name__ == "__main__":
    main()

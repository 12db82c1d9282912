"""COPY IN and OUT of 10 million rows of 6 columns as CSV and binary, and 1M x 10 SELECT through
psycopg as text and binary, beside PostgreSQL 15 in the same run.

    python benches/peers/bulk_copy.py [rows] [selected rows]
"""

import glob
import json
import os
import pathlib
import sys
import time

import psutil
import psycopg

from server import server

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "clients"))
from postgres import Postgres  # noqa: E402

TABLE = "create table {} (id bigint, k int, x float8, n numeric(12,2), s text, at timestamp)"
SOURCE = """select i::bigint, (i * 7919 % 100000)::int, i / 7.0::float8, (i % 1000000 / 100.0)::numeric(12,2),
    'name ' || (i % 1000), timestamp '2024-01-01' + (i % 2592000) * interval '1 second'
    from generate_series(1, {}) as g(i)"""
WIDE = ", ".join(["id", "k", "x", "n", "s", "at", "id + 1 as id2", "k + 1 as k2", "x + 1 as x2", "s as s2"])
BLOCK = 1 << 20


class Peak:
    """Resident memory of a server's processes, at its highest since the last reset."""

    def __init__(self, pid):
        self.process = psutil.Process(pid)

    def reset(self):
        for process in self.all():
            with open(f"/proc/{process.pid}/clear_refs", "w") as control:
                control.write("5")

    def all(self):
        return [self.process, *self.process.children(recursive=True)]

    def mb(self):
        peaks = []
        for process in self.all():
            with open(f"/proc/{process.pid}/status") as status:
                peaks += [int(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM")]
        return round(max(peaks))


def timed(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def copy_in(connection, form, path):
    with connection.cursor() as cursor, open(path, "rb") as data:
        with cursor.copy(f"copy t from stdin (format {form})") as copy:
            while block := data.read(BLOCK):
                copy.write(block)


def copy_out(connection, form, path=os.devnull):
    with connection.cursor() as cursor, open(path, "wb") as out:
        with cursor.copy(f"copy t to stdout (format {form})") as copy:
            for block in copy:
                out.write(block)


def select(connection, rows, binary):
    found = connection.execute(f"select {WIDE} from t where id <= {rows}", binary=binary)
    assert found.rowcount == rows


def measured(name, connection, peak, folder, rows, selected):
    figures = {}
    for form in ["csv", "binary"]:
        connection.execute("truncate t")
        peak.reset()
        seconds = timed(lambda: copy_in(connection, form, f"{folder}/{form}"))
        figures[f"in_{form}"] = {"rows_per_s": round(rows / seconds), "peak_mb": peak.mb()}
        peak.reset()
        seconds = timed(lambda: copy_out(connection, form))
        figures[f"out_{form}"] = {"rows_per_s": round(rows / seconds), "peak_mb": peak.mb()}
    for binary in [False, True]:
        best = min(timed(lambda: select(connection, selected, binary)) for _ in range(3))
        figures[f"select_{'binary' if binary else 'text'}"] = {"rows_per_s": round(selected / best)}
    print(json.dumps({"copy": name, "rows": rows, **figures}), flush=True)
    return figures


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    selected = min(rows, int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
    postgres = Postgres()
    try:
        theirs = psycopg.connect(postgres.database("bench"), autocommit=True)
        theirs.execute(TABLE.format("t"))
        theirs.execute(f"insert into t {SOURCE.format(rows)}")
        with server() as (running, folder):
            for form in ["csv", "binary"]:
                copy_out(theirs, form, f"{folder}/{form}")
            ours = running.connect()
            ours.execute(TABLE.format("t"))
            with open(glob.glob(f"{postgres.data}/postmaster.pid")[0]) as pid:
                postmaster = int(pid.readline())
            here = measured("sextant", ours, Peak(running.process.pid), folder, rows, selected)
            there = measured("postgres", theirs, Peak(postmaster), folder, rows, selected)
        ratios = {key: round(here[key]["rows_per_s"] / there[key]["rows_per_s"], 2) for key in here}
        print(json.dumps({"copy": "sextant / postgres", **ratios}))
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()

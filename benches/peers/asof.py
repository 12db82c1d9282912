"""AS OF joins beside DuckDB and polars on the same Parquet files, in one run.

    python benches/peers/asof.py [labels] [rows] [keys] [rounds]      1000000 10000000 100000 3

Rows of features have a key, a time and four floats, over 30 days. The lake's own files are what the
other two read: `sorted` is written by (key, time), `timed` by time. Engines take turns, the best
round counts; CPU seconds are those of the process that works. All answers must agree.
"""

import glob
import json
import math
import sys
import tempfile
import time

import duckdb
import polars
import psutil

from server import server

THREADS = 2
DAYS = 30
COLUMNS = ["a", "b", "c", "d"]


def main(compare):
    given = [int(argument) for argument in sys.argv[1:]]
    labels, rows, keys, rounds = given + [1_000_000, 10_000_000, 100_000, 3][len(given):]
    duck = duckdb.connect()
    duck.execute(f"SET threads = {THREADS}")
    with tempfile.TemporaryDirectory() as source:
        generate(duck, source, labels, rows, keys)
        with server("--threads", str(THREADS), "--memory-limit", "4GB") as (running, data):
            load(running, source)
            compare(running, data, duck, rounds)


def generate(duck, source, labels, rows, keys):
    """The same numbers for the same sizes; times of a key are its own, so that there are no ties."""
    span = DAYS * 86_400_000_000

    def table(name, count, columns, order):
        # Multiples of a large prime: spread over keys and times, none twice.
        duck.execute(
            f"""COPY (SELECT hash(i * 2 + {count}) % {keys} AS k,
                  make_timestamp(1704067200000000 + (i::HUGEINT * 7919 * 1000003 % {span})::BIGINT) AS ts
                  {columns} FROM range({count}) t(i) ORDER BY {order})
                TO '{source}/{name}.parquet' (COMPRESSION zstd)"""
        )

    floats = "".join(f", (hash(i * 8 + {n}) % 1000000) / 1e6 AS {c}" for n, c in enumerate(COLUMNS))
    table("l", labels, ", i AS id", "id")
    table("sorted", rows, floats, "k, ts")
    table("timed", rows, floats, "ts")


def load(running, source):
    with running.connect() as connection:
        for table, order in [("l", "id"), ("sorted", "k, ts"), ("timed", "ts")]:
            items = "*" if table != "l" else "k, ts, id"
            connection.execute(
                f"CREATE TABLE {table} AS SELECT {items} FROM read_parquet('{source}/{table}.parquet') ORDER BY {order}"
            )


def sums(relations):
    return ", ".join(f"sum({r}.{c})" for r in relations for c in COLUMNS)


def cases():
    """Name, the query of ours, DuckDB's, polars' labels and features."""
    for layout in ["sorted", "timed"]:
        yield f"scan_{layout}", *[f"SELECT {sums(['f'])}, count(f.ts) FROM {layout} f"] * 2, None
        for few in [None, 1000, 50]:
            labels = f"(SELECT * FROM l WHERE id < {few}) l" if few else "l"
            form = f"SELECT {sums(['f'])}, count(f.ts) FROM {labels} ASOF LEFT JOIN {layout} f ON l.k = f.k AND l.ts >= f.ts"
            name = f"join_{layout}" + (f"_{few}_labels" if few else "")
            yield name, form, form, (few, layout)
    views = ["f", "g", "h"]
    joins = " ".join(f"ASOF LEFT JOIN sorted {v} ON l.k = {v}.k AND l.ts >= {v}.ts" for v in views)
    three = f"SELECT {sums(views)}, count(f.ts) FROM l {joins}"
    yield "join_three_views", three, three, None


def in_polars(files, few, layout):
    labels = polars.scan_parquet(files["l"])
    if few:
        labels = labels.filter(polars.col("id") < few)
    rows = polars.scan_parquet(files[layout]).with_columns(polars.col("ts").alias("at"))
    joined = labels.sort("ts").join_asof(
        rows.sort("ts"), on="ts", by="k", strategy="backward", check_sortedness=False
    )
    sums = [polars.col(c).sum() for c in COLUMNS]
    return joined.select(*sums, polars.col("at").count()).collect().row(0)


def compare(running, data, duck, rounds):
    files = {t: f"{data}/public/{t}/*.parquet" for t in ["l", "sorted", "timed"]}
    for table, pattern in files.items():
        if not glob.glob(pattern):
            raise SystemExit(f"{table} is too small to be in a file")
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM '{pattern}'")
    ours, process = running.connect(), psutil.Process(running.process.pid)
    here = psutil.Process()
    for name, query, other, for_polars in cases():
        engines = {
            "sextant": (process, lambda: ours.execute(query).fetchone()),
            "duckdb": (here, lambda: duck.execute(other).fetchone()),
        }
        if for_polars:
            engines["polars"] = (here, lambda: in_polars(files, *for_polars))
        wall, cpu, answers = {}, {}, {}
        for _ in range(rounds):
            for engine, (worker, run) in engines.items():
                before, started = sum(worker.cpu_times()[:2]), time.perf_counter()
                answers[engine] = run()
                took = time.perf_counter() - started
                wall[engine] = min(wall.get(engine, math.inf), took)
                spent = sum(worker.cpu_times()[:2]) - before
                cpu[engine] = min(cpu.get(engine, math.inf), spent)
        agree(name, answers)
        shown = {f"{e}_{what}": round(v[e], 3) for e in engines for what, v in [("s", wall), ("cpu_s", cpu)]}
        print(json.dumps({"case": name, **shown, "sextant_peak_mb": round(running.peak_mb())}), flush=True)


def agree(name, answers):
    expected = answers["sextant"]
    for engine, answer in answers.items():
        same = all(
            a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9))
            for a, b in zip(expected, answer)
        )
        if not same:
            raise SystemExit(f"{name}: {engine} answers {answer}, sextant {expected}")


if __name__ == "__main__":
    main(compare)

"""TPC-H from our lake, beside plain DataFusion and DuckDB on the same Parquet files, in one run.

    python benches/peers/tpch.py [scale factor] [rounds]

The lake's own files are what the other two read. Engines take turns query by query, so that noise of
the machine meets all three; the figure of a query is its best round.
"""

import glob
import json
import math
import sys
import tempfile
import time

import duckdb
from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext
from duckdb_extensions import import_extension

from server import server

TABLES = ["lineitem", "orders", "customer", "part", "partsupp", "supplier", "nation", "region"]
THREADS = 2


def main():
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    import_extension("tpch")
    duck = duckdb.connect()
    duck.execute(f"LOAD tpch; SET threads = {THREADS}")
    queries = [q for _, q in duck.execute("SELECT query_nr, query FROM tpch_queries()").fetchall()]
    with tempfile.TemporaryDirectory() as source:
        duck.execute(f"CALL dbgen(sf = {scale})")
        for table in TABLES:
            duck.execute(f"COPY {table} TO '{source}/{table}.parquet' (COMPRESSION zstd)")
            duck.execute(f"DROP TABLE {table}")
        with server("--threads", str(THREADS), "--memory-limit", "8GB") as (running, data):
            compare(running, data, source, duck, queries, rounds)


def compare(running, data, source, duck, queries, rounds):
    ours = running.connect()
    config = SessionConfig().with_target_partitions(THREADS)
    config = config.set("datafusion.execution.parquet.pushdown_filters", "true")
    plain = SessionContext(config, RuntimeEnvBuilder())
    for table in TABLES:
        ours.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{source}/{table}.parquet')")
        files = f"{data}/public/{table}/"
        if not glob.glob(files + "*.parquet"):
            # A small table is in the catalog; the others read what it was loaded from.
            files = f"{source}/{table}.parquet"
        plain.register_parquet(table, files)
        pattern = files + "*.parquet" if files.endswith("/") else files
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM '{pattern}'")
    engines = {
        "sextant": lambda sql: ours.execute(sql).fetchall(),
        "datafusion": lambda sql: plain.sql(sql).collect(),
        "duckdb": lambda sql: duck.execute(sql).fetchall(),
    }
    ratios = {"datafusion": [], "duckdb": []}
    for number, query in enumerate(queries, 1):
        best = {name: math.inf for name in engines}
        for _ in range(rounds):
            for name, run in engines.items():
                started = time.perf_counter()
                try:
                    run(query.rstrip().rstrip(";"))
                except Exception as error:
                    print(f"q{number} {name}: {str(error)[:200]}", file=sys.stderr)
                    best[name] = math.nan
                    continue
                best[name] = min(best[name], time.perf_counter() - started)
        for other in ratios:
            ratios[other].append(best["sextant"] / best[other])
        print(json.dumps({"query": number, **{k: round(v * 1e3, 1) for k, v in best.items()}}), flush=True)
    for other, values in ratios.items():
        known = [v for v in values if not math.isnan(v)]
        mean = math.exp(sum(map(math.log, known)) / len(known))
        print(json.dumps({"geometric_mean_vs": other, "ratio": round(mean, 3), "queries": len(known)}))
    print(json.dumps({"peak_mb": round(running.peak_mb())}))


if __name__ == "__main__":
    main()

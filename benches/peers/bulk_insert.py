"""INSERT … SELECT of 10 million rows into the lake, beside DuckDB's ducklake writer, in one run.

    python benches/peers/bulk_insert.py [rows] [rounds]
"""

import json
import sys
import tempfile
import time

import duckdb
from duckdb_extensions import import_extension

from server import server

THREADS = 2


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for extension in ["ducklake", "sqlite_scanner"]:
        import_extension(extension)
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/source.parquet"
        duck = duckdb.connect()
        duck.execute(f"LOAD ducklake; LOAD sqlite_scanner; SET threads = {THREADS}")
        duck.execute(f"""COPY (SELECT range AS id, (random() * 100000)::int AS k, random() AS x,
            random() AS y, 'name ' || (range % 1000) AS s,
            TIMESTAMP '2024-01-01' + INTERVAL 1 SECOND * (range % 2592000) AS ts
            FROM range({rows})) TO '{source}' (COMPRESSION zstd)""")
        duck.execute(f"ATTACH 'ducklake:sqlite:{folder}/duck.sqlite' AS lake (DATA_PATH '{folder}/duck/')")
        duck.execute(f"CREATE TABLE lake.t AS SELECT * FROM '{source}' LIMIT 0")
        with server("--threads", str(THREADS)) as (running, _):
            ours = running.connect()
            ours.execute(f"CREATE TABLE t AS SELECT * FROM read_parquet('{source}') LIMIT 0")
            best = {"sextant": 1e9, "duckdb": 1e9}
            for _ in range(rounds):
                for name, run in [
                    ("sextant", lambda: ours.execute(f"INSERT INTO t SELECT * FROM read_parquet('{source}')")),
                    ("duckdb", lambda: duck.execute(f"INSERT INTO lake.t SELECT * FROM '{source}'")),
                ]:
                    started = time.perf_counter()
                    run()
                    best[name] = min(best[name], time.perf_counter() - started)
            rate = {name: round(rows / seconds) for name, seconds in best.items()}
            print(json.dumps({
                "bulk_insert_rows": rows, "rows_per_s": rate,
                "ratio": round(rate["sextant"] / rate["duckdb"], 2), "peak_mb": round(running.peak_mb()),
            }))


if __name__ == "__main__":
    main()

"""Windows of a feature view at each label's time beside DuckDB's rewrites, and REFRESH FEATURE VIEW.

    python benches/peers/windows.py [labels] [rows] [keys] [rounds]      1000000 10000000 100000 3

The rows are those of `asof.py`, written by (key, time); of each label the count, the sum and the last five
values of the day before it. DuckDB has no such join: it is asked in three ways, and the fastest counts. CPU
seconds are those of the process that works. All answers must agree.

REFRESH is of a view of the same rows and their four floats: all, then one percent more, then nothing new.
"""

import glob
import json
import math
import time

import psutil

from asof import agree, main

VIEW = """CREATE FEATURE VIEW day KEY (k) TIMESTAMP ts AS
    SELECT k, ts, count(*) OVER w AS n, sum(a) OVER w AS s, last_n(a, 5) OVER w AS newest
    FROM sorted WINDOW w AS (PARTITION BY k ORDER BY ts RANGE INTERVAL '1 day' PRECEDING)"""
OURS = """SELECT count(*), sum(n), sum(s), sum(cardinality(newest)), sum(newest[1])
    FROM training_set('l', 'days', label_time => 'ts')"""

SHOWN = "SELECT count(*), sum(n), sum(s), sum(len(newest)), sum(newest[1]) FROM labelled"
# Running counts and sums, joined at the label's time and at a day before it.
RUNNING = f"""WITH f AS (SELECT k, ts, row_number() OVER w AS n, sum(a) OVER w AS s,
        list(a) OVER (PARTITION BY k ORDER BY ts ROWS 4 PRECEDING) AS newest
      FROM sorted WINDOW w AS (PARTITION BY k ORDER BY ts)),
    labelled AS (SELECT coalesce(now.n, 0) - coalesce(past.n, 0) AS n,
        CASE WHEN now.n > coalesce(past.n, 0) THEN now.s - coalesce(past.s, 0) END AS s,
        CASE WHEN now.n > coalesce(past.n, 0)
          THEN list_reverse(now.newest)[:now.n - coalesce(past.n, 0)] ELSE [] END AS newest
      FROM l ASOF LEFT JOIN f now ON l.k = now.k AND l.ts >= now.ts
        ASOF LEFT JOIN f past ON l.k = past.k AND l.ts - INTERVAL 1 DAY >= past.ts)
    {SHOWN}"""
# Labels among the rows, and the windows over both.
AMONG = f"""WITH mixed AS (SELECT k, ts, a, NULL AS id FROM sorted UNION ALL SELECT k, ts, NULL, id FROM l),
    framed AS (SELECT id, count(a) OVER w AS n, sum(a) OVER w AS s, list(a) FILTER (a IS NOT NULL) OVER w AS all_of
      FROM mixed WINDOW w AS (PARTITION BY k ORDER BY ts
        RANGE BETWEEN to_microseconds(86399999999) PRECEDING AND CURRENT ROW)),
    labelled AS (SELECT n, s, coalesce(list_reverse(all_of)[:5], []) AS newest FROM framed WHERE id IS NOT NULL)
    {SHOWN}"""
# A join of all rows of the day, grouped.
JOINED = f"""WITH labelled AS (SELECT l.id, count(f.ts) AS n, sum(f.a) AS s,
        coalesce(arg_max(f.a, f.ts, 5), []) AS newest
      FROM l LEFT JOIN (SELECT k, ts, a FROM sorted) f
        ON l.k = f.k AND f.ts <= l.ts AND f.ts > l.ts - INTERVAL 1 DAY GROUP BY l.id)
    {SHOWN}"""
REWRITES = {"running": RUNNING, "among": AMONG, "joined": JOINED}


def measure(running, data, duck, rounds):
    compare(running, data, duck, rounds)
    refresh(running)


def compare(running, data, duck, rounds):
    for table in ["l", "sorted"]:
        pattern = f"{data}/public/{table}/*.parquet"
        if not glob.glob(pattern):
            raise SystemExit(f"{table} is too small to be in a file")
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM '{pattern}'")
    ours, process, here = running.connect(), psutil.Process(running.process.pid), psutil.Process()
    ours.execute(VIEW)
    ours.execute("CREATE FEATURE SERVICE days AS day(n, s, newest)")
    engines = {"sextant": (process, lambda: ours.execute(OURS).fetchone())}
    for name, query in REWRITES.items():
        engines[f"duckdb_{name}"] = (here, lambda query=query: duck.execute(query).fetchone())
    wall, cpu, answers = {}, {}, {}
    for _ in range(rounds):
        for engine, (worker, run) in engines.items():
            before, started = sum(worker.cpu_times()[:2]), time.perf_counter()
            answers[engine] = run()
            wall[engine] = min(wall.get(engine, math.inf), time.perf_counter() - started)
            cpu[engine] = min(cpu.get(engine, math.inf), sum(worker.cpu_times()[:2]) - before)
    agree("windows", answers)
    shown = {f"{e}_{what}": round(v[e], 3) for e in engines for what, v in [("s", wall), ("cpu_s", cpu)]}
    print(json.dumps({"case": "windows", **shown, "sextant_peak_mb": round(running.peak_mb())}), flush=True)


def refresh(running):
    connection = running.connect()
    connection.execute("CREATE FEATURE VIEW plain KEY (k) TIMESTAMP ts AS SELECT k, ts, a, b, c, d FROM sorted")
    more = f"""INSERT INTO sorted SELECT k, ts + interval '30 days', a, b, c, d FROM sorted
        WHERE ts < (SELECT min(ts) FROM sorted) + interval '{30 * 86400 // 100} seconds'"""
    for step in ["all", "one percent more", "nothing"]:
        if step.startswith("one"):
            connection.execute(more)
        started = time.perf_counter()
        connection.execute("REFRESH FEATURE VIEW plain")
        took = time.perf_counter() - started
        print(json.dumps({"case": f"refresh of {step}", "s": round(took, 3), "peak_mb": round(running.peak_mb())}), flush=True)


if __name__ == "__main__":
    main(measure)

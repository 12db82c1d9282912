"""Experiments and drift beside the sums that they are made of, DuckDB and scipy, on the same rows.

    pip install duckdb numpy pyarrow scipy
    python benches/peers/experiments.py [rows] [features]

Of `rows` (10 million) units in two arms: Welch, CUPED and a ratio beside our own avg and var_samp
and DuckDB's time for the same sums; PSI with stored edges beside counts by bin; Mann-Whitney,
Kolmogorov-Smirnov and Wasserstein together beside our ORDER BY, DuckDB's rank() and scipy; a
million tests with Benjamini-Hochberg from the same rows; drift_report of `features` (50) columns
beside reading them. Both engines read one Parquet file on two threads and take turns; the best of
three rounds counts. Sextant's figures have the wire in them, DuckDB and scipy run inside Python.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy
import pyarrow
import pyarrow.parquet
from scipy import stats

from server import server

EDGES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
THREADS, ROUNDS, GROUPS = 2, 3, 1_000_000
BIN = " + ".join(f"(y >= {edge})::int" for edge in EDGES)
SUMS = "SELECT arm, count(*), avg(y), var_samp(y) FROM units GROUP BY arm"
PAIRS = (
    "SELECT arm, count(*), avg(y), var_samp(y), avg(%(x)s), var_samp(%(x)s), covar_samp(y, %(x)s) "
    "FROM units GROUP BY arm"
)
BINS = f"SELECT arm, {BIN} AS bin, count(*) FROM units GROUP BY 1, 2"
TESTS = "(ab_ttest(y, arm, 'control', 'treatment')).p_value"


def report(**figures):
    print(json.dumps(figures), flush=True)


def write(folder, rows):
    draw = numpy.random.default_rng(1)
    x = draw.random(rows)
    treated = draw.random(rows) < 0.5
    columns = {
        "arm": pyarrow.array(numpy.where(treated, "treatment", "control")).dictionary_encode(),
        "y": 0.5 * x + 0.5 * draw.random(rows),
        "x": x,
        "d": 1 + draw.integers(0, 9, rows).astype(float),
        "metric": draw.integers(0, min(GROUPS, max(rows // 10, 1)), rows),
    }
    path = Path(folder) / "units.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path, columns["y"], treated


def best(ask):
    """The time of each of several ways, asked in turn."""
    times = {name: [] for name in ask}
    for _ in range(ROUNDS):
        for name, way in ask.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)
    return {name: min(taken) for name, taken in times.items()}


def compare(connection, duck, case, ours, beside, theirs, goals):
    ask = {
        "ours": lambda: connection.execute(ours).fetchall(),
        "beside": lambda: connection.execute(beside).fetchall(),
        "duckdb": lambda: duck.execute(theirs).fetchall(),
    }
    took = best(ask)
    report(
        case=case, sextant_s=round(took["ours"], 3), own_s=round(took["beside"], 3),
        duckdb_s=round(took["duckdb"], 3), x_own=round(took["ours"] / took["beside"], 2),
        x_duckdb=round(took["ours"] / took["duckdb"], 2), goals=goals,
    )  # fmt: skip


def units(connection, duck, rows):
    tests = {
        "welch": ("ab_ttest(y, arm)", SUMS),
        "cuped": ("ab_cuped(y, x, arm)", PAIRS % {"x": "x"}),
        "ratio": ("ab_ratio(y, d, arm)", PAIRS % {"x": "d"}),
    }
    for name, (call, sums) in tests.items():
        goals = "1.3 x own, 1.0 x DuckDB"
        compare(connection, duck, name, f"SELECT {call} FROM units", sums, sums, goals)
    psi = f"SELECT psi(y, arm = 'treatment', edges => ARRAY{EDGES}) FROM units"
    compare(connection, duck, "psi", psi, BINS, BINS, "1.2 x own, 0.5 x DuckDB")
    ranks = (
        "SELECT ab_mannwhitney(y, arm), ks_test(y, arm = 'treatment'), "
        "wasserstein(y, arm = 'treatment') FROM units"
    )
    ordered = f"SELECT y FROM units ORDER BY y OFFSET {rows - 1}"
    ranked = "SELECT sum(r) FROM (SELECT rank() OVER (ORDER BY y) AS r FROM units)"
    compare(connection, duck, "ranks", ranks, ordered, ranked, "1.3 x own ORDER BY, 0.33 x DuckDB")


def scipy_of(y, treated):
    arms = y[~treated], y[treated]
    took = best({
        "welch": lambda: stats.ttest_ind(*arms, equal_var=False),
        "ranks": lambda: (
            stats.mannwhitneyu(*arms), stats.ks_2samp(*arms), stats.wasserstein_distance(*arms)
        ),
    })  # fmt: skip
    report(case="scipy", **{f"{name}_s": round(seconds, 3) for name, seconds in took.items()})


def groups(running, connection, rows):
    query = (
        "SELECT count(*) FILTER (WHERE q < 0.05), count(*) FROM (SELECT p_adjust(p, 'bh') OVER () "
        f"AS q FROM (SELECT metric, {TESTS} AS p FROM units GROUP BY metric) t) a"
    )
    found = []
    took = best({"ours": lambda: found.append(connection.execute(query).fetchone())})["ours"]
    report(
        case="tests", tests=found[0][1], rejected=found[0][0], sextant_s=round(took, 2),
        mrows_per_s=round(rows / took / 1e6, 2), peak_mb=round(running.peak_mb()), goal="2 GB",
    )  # fmt: skip


def drift(connection, folder, rows, features):
    draw = numpy.random.default_rng(2)
    names = [f"f{i}" for i in range(features)]
    for side in ["before", "after"]:
        path = Path(folder) / f"{side}.parquet"
        # Ages, prices, counts: numbers with some thousands of values, as features are.
        table = {name: numpy.round(draw.gamma(2.0, 20.0, rows), 1) for name in names}
        pyarrow.parquet.write_table(pyarrow.table(table), path)
        connection.execute(f"CREATE TABLE {side} AS SELECT * FROM read_parquet('{path}')")
    listed = ", ".join(f"'{name}'" for name in names)
    sums = ", ".join(f"sum({name})" for name in names)
    connection.execute(
        f"CREATE TABLE kept AS SELECT * FROM drift_profile('before', features => ARRAY[{listed}])"
    )
    both = f"features => ARRAY[{listed}])"
    took = best({
        "report": lambda: connection.execute(
            f"SELECT * FROM drift_report('before', 'after', {both}"
        ).fetchall(),
        "profile": lambda: connection.execute(
            f"SELECT * FROM drift_report(profile => 'kept', current => 'after', {both}"
        ).fetchall(),
        "read": lambda: connection.execute(
            f"SELECT {sums} FROM before UNION ALL SELECT {sums} FROM after"
        ).fetchall(),
    })  # fmt: skip
    report(
        case="drift_report", features=features, rows=rows,
        **{f"{name}_s": round(seconds, 3) for name, seconds in took.items()},
        x_read=round(took["report"] / took["read"], 2), goal="1.5 x reading",
    )  # fmt: skip


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    features = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    with tempfile.TemporaryDirectory() as folder:
        path, y, treated = write(folder, rows)
        duck = duckdb.connect(config={"threads": THREADS})
        duck.execute(f"CREATE VIEW units AS SELECT * FROM read_parquet('{path}')")
        options = ["--threads", str(THREADS), "--memory-limit", "8GB"]
        with server(*options) as (running, _), running.connect() as connection:
            connection.execute(f"CREATE TABLE units AS SELECT * FROM read_parquet('{path}')")
            report(case="data", rows=rows, duckdb=duckdb.__version__)
            units(connection, duck, rows)
            groups(running, connection, rows)
            scipy_of(y, treated)
            drift(connection, folder, max(rows // 10, 1000), features)


if __name__ == "__main__":
    main()

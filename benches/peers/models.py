"""Models in SQL: training and scoring of tables beside LightGBM on the same rows, and requests.

    pip install lightgbm scikit-learn numpy pyarrow
    python benches/peers/models.py [rows]

A table of `rows` x 20 numbers is learned (100 trees of 31 leaves) and scored: CREATE MODEL against
LightGBM's train, CREATE TABLE … AS SELECT predict_proba against its predict. Sextant's figures have
reading and writing Parquet in them; LightGBM's are of arrays in memory. Both on two threads, and
scoring on one too. Then requests: 100 candidates of 30 features ranked by one prepared statement,
and embed_user of a known user, from 16 connections.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import lightgbm
import numpy
import psycopg
import pyarrow
import pyarrow.parquet
from sklearn.metrics import roc_auc_score

from server import server

COLUMNS, TREES, LEAVES = 20, 100, 31
CONNECTIONS, REQUESTS = 16, 100


def report(**figures):
    print(json.dumps(figures), flush=True)


def rows_of(count):
    draw = numpy.random.default_rng(1)
    x = draw.standard_normal((count, COLUMNS))
    score = x[:, 0] + x[:, 1] * x[:, 2] + numpy.sin(3 * x[:, 3]) + 0.5 * draw.standard_normal(count)
    return x, score > 0


def write(path, x, y):
    columns = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    pyarrow.parquet.write_table(pyarrow.table({**columns, "y": y}), path)


def lightgbm_of(x, y, threads):
    parameters = {
        "objective": "binary", "num_leaves": LEAVES, "num_threads": threads, "verbosity": -1,
        "force_col_wise": True,
    }  # fmt: skip
    started = time.perf_counter()
    model = lightgbm.train(parameters, lightgbm.Dataset(x, y), TREES)
    return model, time.perf_counter() - started


def tables(folder, count, threads):
    x, y = rows_of(count)
    path = Path(folder) / "rows.parquet"
    write(path, x, y)
    with server("--threads", str(threads)) as (running, _), running.connect() as connection:
        connection.execute(f"create table t as select * from read_parquet('{path}')")
        started = time.perf_counter()
        connection.execute(
            "create model m options (model_type = 'gbdt', label = 'y', test_fraction = 0) "
            "as select * from t"
        )
        ours_trained = time.perf_counter() - started
        best = []
        for run in range(3):
            started = time.perf_counter()
            connection.execute(f"create table s{run} as select predict_proba('m', *) as p from t")
            best.append(time.perf_counter() - started)
        auc = connection.execute("select auc(y, predict_proba('m', *)) from t").fetchone()[0]
        peak = running.peak_mb()
    model, theirs_trained = lightgbm_of(x, y, threads)
    scored = []
    for _ in range(3):
        started = time.perf_counter()
        predictions = model.predict(x, num_threads=threads)
        scored.append(time.perf_counter() - started)
    report(
        case="table", threads=threads, rows=count,
        sextant_train_s=round(ours_trained, 2), lightgbm_train_s=round(theirs_trained, 2),
        sextant_mrows_per_s=round(count / min(best) / 1e6, 2),
        lightgbm_mrows_per_s=round(count / min(scored) / 1e6, 2),
        sextant_auc=round(auc, 4), lightgbm_auc=round(roc_auc_score(y, predictions), 4),
        sextant_peak_mb=round(peak),
    )  # fmt: skip


def latencies(running, sql, parameters):
    times, failures = [], []

    def ask(number):
        try:
            with running.connect() as connection:
                connection.execute(sql, parameters(number), prepare=True).fetchall()
                for request in range(REQUESTS):
                    started = time.perf_counter()
                    connection.execute(sql, parameters(number + request), prepare=True).fetchall()
                    times.append(time.perf_counter() - started)
        except psycopg.Error as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(str(failures[0]))
    return times, len(times) / (time.perf_counter() - started)


def requests():
    with server() as (running, _), running.connect() as connection:
        draw = ", ".join(f"random() as x{i}" for i in range(30))
        connection.execute(
            f"create table c as select i as id, i / 100 as request, {draw}, random() < 0.3 as y "
            "from generate_series(0, 49999) s(i)"
        )
        connection.execute("alter table c set sorted by (request)")
        connection.execute(
            "create model r options (model_type = 'gbdt', label = 'y', test_fraction = 0) as "
            f"select {', '.join(f'x{i}' for i in range(30))}, y from c"
        )
        connection.execute(
            "create table e as select i % 2000 as user_id, (i * 7919) % 1500 as item_id "
            "from generate_series(1, 60000) s(i)"
        )
        connection.execute(
            "create model v options (model_type = 'als', user_key = 'user_id', "
            "item_key = 'item_id', sweeps = 3) as select * from e"
        )
        given = ", ".join(f"x{i} float8" for i in range(30))
        rank = (
            "select id, rank('r', *) as score from c where request = %s "
            "order by score desc limit 20"
        )
        values = json.dumps([{"id": n, **{f"x{i}": n / (i + 1) for i in range(30)}} for n in range(100)])
        sent = (
            f"select id, rank('r', j.*) as score from json_to_recordset(%s) as j(id int, {given}) "
            "order by score desc limit 20"
        )
        cases = [
            ("rank 100 candidates of a table", rank, lambda n: (n % 500,)),
            ("rank 100 candidates sent as JSON", sent, lambda n: (values,)),
            ("embed_user", "select embed_user(%s)", lambda n: (n % 2000,)),
        ]
        for name, sql, parameters in cases:
            try:
                times, rate = latencies(running, sql, parameters)
            except SystemExit as failure:
                report(case=name, failed=str(failure)[:200])
                continue
            times.sort()
            report(
                case=name, connections=CONNECTIONS, per_s=round(rate),
                p50_ms=round(statistics.median(times) * 1e3, 2),
                p99_ms=round(times[int(len(times) * 0.99)] * 1e3, 2),
            )  # fmt: skip


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        for threads in (2, 1):
            tables(folder, count, threads)
    requests()


if __name__ == "__main__":
    main()

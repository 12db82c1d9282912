"""`SET sextant.device`: exact searches on a GPU give the rows of the CPU, or say why the CPU has searched.

CUDA's libraries are stand-ins (`udfs/kernels/tests/cuda`), which run the very kernels on the host: a server that is
started with them finds a device. The nearest rows are those of numpy in double precision.
"""

import os
import pathlib
import re
import subprocess

import numpy as np
import psycopg
import pytest

SOURCES = pathlib.Path(__file__).parents[2] / "udfs/kernels/tests/cuda"
LIBRARIES = ["libcuda.so.1", "libnvrtc.so.12", "libcublasLt.so.13"]
ROWS, DIMENSION, K = 6_000, 20, 10
MEASURES = {
    "vector_l2_ops": ("<->", lambda rows, q: ((rows - q) ** 2).sum(axis=1)),
    "vector_ip_ops": ("<#>", lambda rows, q: -(rows @ q)),
    "vector_cosine_ops": ("<=>", lambda rows, q: -(rows @ q) / np.linalg.norm(rows, axis=1)),
}


def compiled(source, folder, names):
    """A folder with a source as libraries; one file under several names is loaded once."""
    library = folder / "library.so"
    compiler = os.environ.get("CXX", "c++")
    options = ["-std=c++17", "-O2", "-w", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", library, SOURCES / source], check=True)
    for name in names:
        os.link(library, folder / name)
    return str(folder)


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    return compiled("stand_in.cpp", tmp_path_factory.mktemp("device"), LIBRARIES)


@pytest.fixture(scope="module")
def none(tmp_path_factory):
    """No driver, wherever the tests run: the one that is found has nothing in it."""
    return compiled("empty.cpp", tmp_path_factory.mktemp("none"), LIBRARIES[:1])


def text(vector):
    return "[" + ",".join(map(str, vector)) + "]"


class Items:
    """A table with an index, and what a connection is told."""

    def __init__(self, server, operators="vector_l2_ops"):
        self.connection = server.connect()
        self.told = []
        self.connection.add_notice_handler(lambda notice: self.told.append((notice.severity, notice.message_primary)))
        self.operators, (self.operator, self.distance) = operators, MEASURES[operators]
        self.random = np.random.default_rng(7)
        self.run(f"CREATE TABLE items (id int, category int, embedding vector({DIMENSION}))")
        self.vectors = self.add(0, ROWS)
        self.run(f"CREATE INDEX emb ON items USING ivf (embedding {operators}) INCLUDE (category)")
        self.run("SET sextant.recall = 1")

    def add(self, first, count):
        """Rows with vectors, but for every fiftieth."""
        vectors = self.random.normal(size=(count, DIMENSION)).astype("f4")
        with self.connection.cursor().copy("COPY items FROM STDIN") as copy:
            for row, vector in enumerate(vectors):
                copy.write_row((first + row, row % 10, None if row % 50 == 0 else text(vector)))
        return {first + row: vector for row, vector in enumerate(vectors) if row % 50}

    def run(self, sql):
        cursor = self.connection.execute(sql)
        return cursor.fetchall() if cursor.description else None

    def search(self, query, where="", k=K):
        return f"SELECT id, embedding {self.operator} '{text(query)}' AS d FROM items {where} ORDER BY d LIMIT {k}"

    def on(self, device, sql):
        """The answer of a device and what was told beside it."""
        self.run(f"SET sextant.device = {device}")
        self.told.clear()
        return self.run(sql), list(self.told)

    def plan(self, sql, explain="EXPLAIN"):
        return "\n".join(line for (line,) in self.run(f"{explain} {sql}"))

    def nearest(self, query, among=lambda id: True):
        ids = np.array([id for id in self.vectors if among(id)])
        rows = np.array([self.vectors[id] for id in ids], dtype="f8")
        return ids[np.argsort(self.distance(rows, query.astype("f8")))[:K]].tolist()


def check(items, query, where="", among=lambda id: True):
    """The device has searched, and found what the CPU finds, to the bit, and numpy."""
    sql = items.search(query, where)
    on_gpu = items.on("gpu", sql)
    assert on_gpu == items.on("cpu", sql) == items.on("auto", sql)
    assert on_gpu[1] == [] and [id for id, _ in on_gpu[0]] == items.nearest(query, among)
    for device in ["gpu", "auto"]:
        items.run(f"SET sextant.device = {device}")
        assert "exact on a stand-in" in items.plan(sql)
        assert re.search(r"NearestExec.*on_device=1\b", items.plan(sql, "EXPLAIN ANALYZE"))
    items.run("SET sextant.device = cpu")
    plan = items.plan(sql)
    assert "NearestExec" not in plan and 'Index "emb" is not used: the query asks for an exact scan' in plan


@pytest.mark.parametrize("operators", MEASURES)
def test_the_rows_of_the_cpu(servers, tmp_path, device, operators):
    server = servers(tmp_path / "lake", LD_LIBRARY_PATH=device)
    items = Items(server, operators)
    # It is opened, and its kernels compiled, when a search asks for it.
    assert not (tmp_path / "lake/cubins").exists()
    for query in items.random.normal(size=(3, DIMENSION)).astype("f4"):
        check(items, query)
        check(items, query, "WHERE category = 3", lambda id: id % 10 == 3)
        check(items, query, "WHERE id > 5800 AND embedding IS NOT NULL", lambda id: id > 5800)
    assert all(file.suffix == ".cubin" for file in (tmp_path / "lake/cubins").iterdir())
    # Rows that were deleted, and those that no segment covers.
    gone = items.nearest(query)[:4]
    items.run(f"DELETE FROM items WHERE id = ANY(ARRAY{gone})")
    items.vectors.update(items.add(ROWS, 200))
    for id in gone:
        del items.vectors[id]
    check(items, query)
    # A filter that no row passes.
    (rows, told) = items.on("gpu", items.search(query, "WHERE category = 77"))
    assert (rows, told) == ([], [])
    asked = f"SELECT position, score FROM ann_topk('emb', '{text(query)}', 5, exact => true) ORDER BY 1"
    assert items.on("gpu", asked) == items.on("cpu", asked)
    items.run("SET sextant.device = gpu")
    assert "exact on a stand-in" in items.plan(asked)
    # What need not be exact is for the index.
    items.run("SET sextant.recall = 0.9")
    assert re.search(r"NearestExec: .*recall=0\.900, segments=\d+, indexed_rows=\d+$", items.plan(items.search(query)), re.M)


@pytest.mark.parametrize("operators", MEASURES)
def test_the_nearest_of_each(servers, tmp_path, device, operators):
    items = Items(servers(tmp_path / "lake", LD_LIBRARY_PATH=device), operators)
    items.add(ROWS, 100)
    distance = f"i.embedding {items.operator} u.embedding"
    join = """SELECT u.id, t.id, t.d FROM (SELECT * FROM items WHERE {left}) u, LATERAL
        (SELECT i.id, {distance} AS d FROM items i WHERE {right} ORDER BY d LIMIT 5) t ORDER BY 1, 3, 2"""
    for right in ["true", "i.category = 3", "i.id > 3000 AND i.embedding IS NOT NULL"]:
        each = join.format(left="id % 200 = 1", right=right, distance=distance)
        on_gpu = items.on("gpu", each)
        assert len(on_gpu[0]) == (ROWS + 100 + 199) // 200 * 5
        assert on_gpu == items.on("cpu", each) == items.on("auto", each)
        assert on_gpu[1] == []
        plan = items.plan(each, "EXPLAIN ANALYZE")
        assert "NearestToEachExec" in plan and re.search(r"NearestExec: .*exact on a stand-in.*on_device=1\b", plan)
    topk = "SELECT u.id, t.position, t.score FROM items u, LATERAL ann_topk('emb', u.embedding, 3) t WHERE u.id IN (7, 9) ORDER BY 1, 2"
    items.run("SET sextant.device = gpu")
    assert "exact on a stand-in" in items.plan(topk)
    assert items.on("gpu", topk) == items.on("cpu", topk)
    items.run("SET sextant.device = cpu")
    assert 'Index "emb" is not used: LATERAL compares all pairs' in items.plan(topk)
    # Any row is near to one without a vector, so all are read.
    nulls = join.format(left="id IN (50, 51)", right="true", distance=distance)
    near, told = items.on("gpu", nulls)
    assert [row for row in near if row[0] == 51] == [row for row in items.on("cpu", nulls)[0] if row[0] == 51]
    assert len(near) == 10 and told == [("NOTICE", "the CPU searches, not the GPU: there is a query without a vector")]
    # Rows that are near to some of so many are a great part of the table.
    many = join.format(left="id < 400 AND embedding IS NOT NULL", right="true", distance=distance)
    on_cpu, silence = items.on("cpu", many)
    notice = "the CPU searches, not the GPU: a scan reads the rows that are near to any as quickly"
    assert items.on("gpu", many) == (on_cpu, [("NOTICE", notice)]) and silence == []


def test_many_rows_at_one_distance(servers, tmp_path, device):
    """More than are looked at: nobody proves which of them come first, so the scan says."""
    items = Items(servers(tmp_path / "lake", LD_LIBRARY_PATH=device))
    query = items.random.normal(size=DIMENSION).astype("f4")
    items.run(f"UPDATE items SET embedding = '{text(query + 1)}' WHERE id < 2000")
    items.run("VACUUM items")
    items.run("REINDEX INDEX emb")
    sql = items.search(query + 1)
    rows, told = items.on("gpu", sql)
    assert [d for _, d in rows] == [d for _, d in items.on("cpu", sql)[0]] == [0.0] * K
    assert told == [("NOTICE", "the CPU searches, not the GPU: too many rows are at the distance of the last")]
    assert items.on("auto", sql)[1] == []
    items.run("SET sextant.device = auto")
    assert re.search(r"NearestExec: .*exact on a stand-in.*on_device=0\b", items.plan(sql, "EXPLAIN ANALYZE"))


def check_declined(items, reason):
    """The CPU answers; only who asks for the GPU is told so, once."""
    query = items.random.normal(size=DIMENSION).astype("f4")
    sql = items.search(query)
    notice = [("NOTICE", f"the CPU searches, not the GPU: {reason}")]
    on_cpu = items.on("cpu", sql)
    assert on_cpu[1] == [] and [id for id, _ in on_cpu[0]] == items.nearest(query)
    assert items.on("auto", sql) == on_cpu
    assert items.on("gpu", sql) == (on_cpu[0], notice)
    both = f"SELECT * FROM ({sql}) a UNION ALL SELECT * FROM ({sql}) b ORDER BY d, id"
    assert items.on("gpu", both) == (sorted(on_cpu[0] * 2, key=lambda row: row[::-1]), notice)
    prewarm = "SELECT segments FROM ann_prewarm('emb')"
    assert items.on("gpu", prewarm) == ([(1,)], notice)
    assert items.on("auto", prewarm) == items.on("cpu", prewarm) == ([(1,)], [])


def test_no_driver(servers, tmp_path, none):
    items = Items(servers(tmp_path / "lake", LD_LIBRARY_PATH=none))
    check_declined(items, "the NVIDIA driver is too old: it has no cuInit")
    assert 'Index "emb" is not used: the query asks for an exact scan' in items.plan(items.search(np.ones(DIMENSION)))


@pytest.mark.parametrize(
    "fault, reason",
    [
        ("no_device", "the NVIDIA driver has no device"),
        ("memory", "the device has no 1 MB of memory free"),
        ("illegal", "the GPU failed to finish its work: an illegal memory access was encountered"),
    ],
)
def test_faults_of_the_device(servers, tmp_path, device, fault, reason):
    items = Items(servers(tmp_path / "lake", LD_LIBRARY_PATH=device, FAULT=fault))
    if fault != "illegal":
        return check_declined(items, reason)
    # A column comes to such a device; nothing comes back.
    query = items.random.normal(size=DIMENSION).astype("f4")
    assert items.on("gpu", "SELECT segments FROM ann_prewarm('emb')") == ([(1,)], [])
    rows, told = items.on("gpu", items.search(query))
    assert [id for id, _ in rows] == items.nearest(query)
    assert told == [("NOTICE", f"the CPU searches, not the GPU: {reason}")]


def test_an_index_that_has_no_room(servers, tmp_path, device):
    server = servers(tmp_path / "lake", "--gpu-memory-limit", "16MB", LD_LIBRARY_PATH=device)
    told = []
    with server.connect() as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        connection.execute("CREATE TABLE wide (id int, v vector(1800))")
        # Half floats: 4,700 x 1,800 x 2 bytes.
        vector = "('[' || repeat('1,', 1799) || i || ']')::vector(1800)"
        connection.execute(f"INSERT INTO wide SELECT i, {vector} FROM generate_series(1, 4700) g(i)")
        connection.execute("CREATE INDEX far ON wide USING ivf (v vector_l2_ops)")
        connection.execute("SET sextant.device = gpu")
        told.clear()
        nearest = "SELECT score FROM ann_topk('far', (SELECT v FROM wide WHERE id = 9), 1, exact => true)"
        assert connection.execute(nearest).fetchall() == [(0.0,)]
        assert told == ["the CPU searches, not the GPU: 17 MB of vectors are over the limit of 16 MB for a GPU"]


def test_settings(server):
    with server.connect() as connection:
        show = "SELECT current_setting('sextant.device'), setting FROM pg_settings WHERE name = 'sextant.device'"
        assert connection.execute(show).fetchone() == ("auto", "auto")
        connection.execute("SET sextant.device = 'GPU'")
        assert connection.execute(show).fetchone() == ("gpu", "gpu")
        with pytest.raises(psycopg.Error) as error:
            connection.execute("SET sextant.device = tpu")
        said = error.value.diag
        assert said.sqlstate == "22023" and said.message_hint == "Available values: auto, cpu, gpu."
        assert said.message_primary == 'invalid value for parameter "sextant.device": "tpu"'

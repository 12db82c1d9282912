"""Vector indexes against an exact answer by numpy: clustered data, random changes, filters, restarts."""

import os
import re
import threading

import numpy as np
import psycopg
import pytest

ROWS, DIMENSION, CLUSTERS = 12_000, 24, 60
K = 10
# Exact distances in double precision, the nearest least.
MEASURES = {
    "vector_l2_ops": ("<->", lambda rows, q: ((rows - q) ** 2).sum(axis=1)),
    "vector_ip_ops": ("<#>", lambda rows, q: -(rows @ q)),
    "vector_cosine_ops": ("<=>", lambda rows, q: -(rows @ q) / np.linalg.norm(rows, axis=1)),
}


def text(vector):
    return "[" + ",".join(map(str, vector)) + "]"


class Data:
    """The rows as they should be: id → (category, vector)."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.centres = self.random.normal(size=(CLUSTERS, DIMENSION))
        self.rows = {}
        self.next = 0

    def vectors(self, count):
        chosen = self.random.integers(0, CLUSTERS, count)
        noise = self.random.normal(scale=0.4, size=(count, DIMENSION))
        return (self.centres[chosen] + noise).astype("f4")

    def fresh(self, count):
        added = [(self.next + i, (self.next + i) % 10, v) for i, v in enumerate(self.vectors(count))]
        self.next += count
        self.rows.update({id: (category, vector) for id, category, vector in added})
        return added

    def nearest(self, query, distance, category=None):
        kept = [(id, v) for id, (c, v) in self.rows.items() if category is None or c == category]
        ids = np.array([id for id, _ in kept])
        rows = np.array([v for _, v in kept], dtype="f8")
        return ids[np.argsort(distance(rows, query.astype("f8")), kind="stable")[:K]]


def load(connection, data, count):
    with connection.cursor().copy("COPY items FROM STDIN") as copy:
        for id, category, vector in data.fresh(count):
            copy.write_row((id, category, text(vector)))


@pytest.fixture
def items(server):
    with server.connect() as connection:
        columns = f"id int PRIMARY KEY, category int, embedding vector({DIMENSION})"
        connection.execute(f"CREATE TABLE items ({columns})")
        yield connection


def plan(connection, sql, *values):
    return "\n".join(row for (row,) in connection.execute("EXPLAIN " + sql, values).fetchall())


def check(connection, data, operators, queries=40, category=None, least=0.94, uses=True):
    """The recall of K nearest over some queries; each answer is complete and in order."""
    operator, distance = MEASURES[operators]
    where = "" if category is None else f"WHERE category = {category}"
    sql = f"SELECT id, embedding {operator} %s::vector({DIMENSION}) AS d FROM items {where} ORDER BY d LIMIT {K}"
    hits = 0
    for query in data.vectors(queries):
        found = connection.execute(sql, (text(query),)).fetchall()
        expected = data.nearest(query, distance, category)
        assert len(found) == len(expected)
        assert [d for _, d in found] == sorted(d for _, d in found)
        for id, _ in found:
            assert id in data.rows and (category is None or data.rows[id][0] == category)
        hits += len({id for id, _ in found} & set(expected))
    assert hits / (queries * K) >= least
    assert ("NearestExec" in plan(connection, sql, text(query))) == uses


@pytest.mark.parametrize("include", ["", "INCLUDE (category)"])
@pytest.mark.parametrize("operators", MEASURES)
def test_recall_and_filters(items, operators, include):
    data = Data(1)
    load(items, data, ROWS)
    items.execute(f"CREATE INDEX emb ON items USING ivf (embedding {operators}) {include}")
    nearest = f"SELECT id FROM items WHERE category = 3 ORDER BY embedding {MEASURES[operators][0]} %s LIMIT 5"
    shown = plan(items, nearest, text(data.vectors(1)[0]))
    assert ("filtered by included columns" in shown) == bool(include)
    check(items, data, operators)
    check(items, data, operators, category=3)
    items.execute("SET enable_indexscan = off")
    check(items, data, operators, least=1.0, uses=False)


@pytest.mark.parametrize("include", ["", "INCLUDE (category)"])
def test_changes_count_at_once(items, include):
    data = Data(2)
    load(items, data, ROWS)
    items.execute(f"CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops) {include}")
    for step in range(6):
        with items.transaction():
            for id, category, vector in data.fresh(3):
                items.execute("INSERT INTO items VALUES (%s, %s, %s)", (id, category, text(vector)))
            gone = [int(id) for id in data.random.choice(list(data.rows), 400, replace=False)]
            items.execute("DELETE FROM items WHERE id = ANY(%s)", (gone,))
            for id in gone:
                del data.rows[id]
            moved = [int(id) for id in data.random.choice(list(data.rows), 5, replace=False)]
            for id, vector in zip(moved, data.vectors(5)):
                items.execute("UPDATE items SET embedding = %s WHERE id = %s", (text(vector), id))
                data.rows[id] = (data.rows[id][0], vector)
            # Own changes are seen before they are committed.
            check(items, data, "vector_l2_ops", queries=10, least=0.94)
        check(items, data, "vector_l2_ops", queries=10, category=step, least=0.94)
        if step == 3:
            load(items, data, 6_000)
            items.execute("VACUUM items")
    check(items, data, "vector_l2_ops")


def test_time_travel(items):
    data = Data(3)
    load(items, data, ROWS)
    items.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
    (then,) = items.execute("SELECT max(snapshot_id) FROM lake.snapshots").fetchone()
    query = data.vectors(1)[0]
    nearest = f"ORDER BY embedding <-> '{text(query)}' LIMIT {K}"
    before = items.execute(f"SELECT id FROM items {nearest}").fetchall()
    items.execute("DELETE FROM items WHERE id = ANY(%s)", ([id for (id,) in before],))
    after = items.execute(f"SELECT id FROM items {nearest}").fetchall()
    assert not set(before) & set(after)
    assert items.execute(f"SELECT id FROM items VERSION AS OF {then} {nearest}").fetchall() == before
    items.execute("DROP INDEX emb")
    old = f"SELECT id FROM items VERSION AS OF {then} {nearest}"
    assert "NearestExec" in plan(items, old)
    assert items.execute(old).fetchall() == before


def test_upkeep_brings_new_rows_in(items):
    data = Data(4)
    items.execute("CREATE INDEX emb ON items USING ivf (embedding vector_ip_ops)")
    load(items, data, ROWS)
    held = "SELECT segments, rows, pending_rows FROM ml.indexes WHERE index_name = 'emb'"
    items.execute("VACUUM items")
    assert items.execute(held).fetchone() == (1, ROWS, 0)
    load(items, data, 5_000)
    items.execute("VACUUM items")
    segments, rows, pending = items.execute(held).fetchone()
    assert rows + pending == ROWS + 5_000 and pending == 0
    check(items, data, "vector_ip_ops")


def test_searches_during_upkeep(server, items):
    data = Data(5)
    load(items, data, ROWS)
    items.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
    failed, stop = [], threading.Event()

    def tidy():
        try:
            with server.connect() as other:
                while not stop.is_set():
                    other.execute("VACUUM items")
                    other.execute("REINDEX INDEX emb")
        except psycopg.Error as error:
            failed.append(error)

    thread = threading.Thread(target=tidy)
    thread.start()
    try:
        for _ in range(3):
            load(items, data, 1_500)
            check(items, data, "vector_l2_ops", queries=8, least=0.94)
    finally:
        stop.set()
        thread.join()
    assert not [e for e in failed if e.sqlstate != "40001"]
    check(items, data, "vector_l2_ops")


def segments(server):
    """The objects of indexes in the lake's folder."""
    found = []
    for folder, _, names in os.walk(server.data):
        found += [os.path.join(folder, name) for name in names if re.fullmatch(r"sextant-.*\.ann", name)]
    return found


def test_objects_that_nobody_needs_are_removed(server, items):
    data = Data(12)
    load(items, data, ROWS)
    server.stop()
    server.start(SEXTANT_FAULT="before-commit")
    with pytest.raises(psycopg.OperationalError), server.connect() as other:
        other.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
    server.process.wait(10)
    (orphan,) = segments(server)
    server.start()

    def tidy(connection):
        """VACUUM as it is two days later, of a lake that keeps nothing."""
        for path in segments(server):
            os.utime(path, (os.path.getmtime(path) - 2 * 86_400,) * 2)
        connection.execute("SET sextant.snapshot_retention = '0s'")
        connection.execute("SET sextant.file_retention = '0s'")
        connection.execute("VACUUM")

    with server.connect() as other:
        other.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
        tidy(other)
        (kept,) = segments(server)
        assert kept != orphan
        check(other, data, "vector_l2_ops", queries=5)
        other.execute("DROP INDEX emb")
        other.execute("INSERT INTO items VALUES (-1, 0, NULL)")
        tidy(other)
        assert segments(server) == []


@pytest.mark.parametrize("step", ["before-begin", "before-commit", "after-commit"])
def test_kill_during_build(server, items, step):
    data = Data(6)
    load(items, data, ROWS)
    server.stop()
    server.start(SEXTANT_FAULT=step)
    with pytest.raises(psycopg.OperationalError), server.connect() as other:
        other.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
    server.process.wait(10)
    server.start()
    with server.connect() as other:
        (there,) = other.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'emb'").fetchone()
        assert there == (1 if step == "after-commit" else 0)
        if not there:
            other.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
        check(other, data, "vector_l2_ops", queries=10)


def test_a_damaged_segment_is_told_of_and_scanned(server, items):
    data = Data(7)
    load(items, data, ROWS)
    items.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
    (segment,) = segments(server)
    with open(segment, "r+b") as file:
        file.seek(ROWS * (DIMENSION * 4 + 4) + 1000)
        file.write(b"\xff" * 64)
    told = []
    items.add_notice_handler(lambda notice: told.append((notice.severity, notice.sqlstate)))
    query = data.vectors(1)[0]
    sql = f"SELECT id FROM items ORDER BY embedding <-> '{text(query)}' LIMIT {K}"
    found = [id for (id,) in items.execute(sql).fetchall()]
    assert found == list(data.nearest(query, MEASURES["vector_l2_ops"][1]))
    assert ("WARNING", "XX002") in told
    items.execute("VACUUM items")
    check(items, data, "vector_l2_ops", queries=10)


def test_ann_topk(items):
    data = Data(8)
    load(items, data, ROWS)
    items.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
    distance = MEASURES["vector_l2_ops"][1]
    query = data.vectors(1)[0]
    exact = [int(id) for id in data.nearest(query, distance)]
    sql = f"SELECT id, position FROM ann_topk('emb', %s, {K}, exact => true) ORDER BY position"
    assert items.execute(sql, (text(query),)).fetchall() == [(id, i + 1) for i, id in enumerate(exact)]
    near = f"SELECT id FROM ann_topk('emb', %s, {K}, recall => 0.99)"
    assert len({id for (id,) in items.execute(near, (text(query),))} & set(exact)) >= 9
    left = f"SELECT id FROM ann_topk('emb', %s, {K}, exclude => %s)"
    found = {id for (id,) in items.execute(left, (text(query), exact[:5]))}
    assert len(found) == K and not found & set(exact[:5])
    few = f"SELECT id FROM ann_topk('emb', %s, {K}, filter => 'id IN (5, 6, 7)')"
    assert {id for (id,) in items.execute(few, (text(query),))} == {5, 6, 7}
    each = """SELECT u.id, t.id FROM (SELECT * FROM items WHERE id < 20) u,
              LATERAL ann_topk('emb', u.embedding, 1) t ORDER BY 1"""
    assert items.execute(each).fetchall() == [(i, i) for i in range(20)]


def test_the_nearest_of_each(items):
    data = Data(9)
    load(items, data, 3_000)
    items.execute("INSERT INTO items VALUES (-1, 0, NULL)")
    distance = MEASURES["vector_l2_ops"][1]
    each = f"""SELECT u.id, t.id FROM (SELECT * FROM items WHERE id < 300) u CROSS JOIN LATERAL
               (SELECT i.id, i.embedding <-> u.embedding AS d FROM items i
                WHERE i.category = 3 ORDER BY d LIMIT {K}) t"""
    assert "NearestToEachExec" in plan(items, each)
    found = {}
    for user, id in items.execute(each).fetchall():
        found.setdefault(user, set()).add(id)
    for user in range(300):
        assert found[user] == set(data.nearest(data.rows[user][1], distance, category=3))
    # What is asked of the users is asked before.
    some = f"""SELECT u.id, count(*) FROM items u, LATERAL (SELECT i.id FROM items i
               ORDER BY i.embedding <-> u.embedding LIMIT {K}) t WHERE u.id IN (5, 70) GROUP BY 1 ORDER BY 1"""
    assert items.execute(some).fetchall() == [(5, K), (70, K)]
    # Near to no vector is any row.
    assert len(found[-1]) == K
    few = """SELECT count(*) FROM (SELECT * FROM items WHERE id < 10) u CROSS JOIN LATERAL
             (SELECT i.id FROM items i WHERE i.id < 5 ORDER BY i.embedding <-> u.embedding LIMIT 20) t"""
    # Eleven rows, each with the six that there are.
    assert items.execute(few).fetchone() == (66,)


def test_measured_recall_and_memory(items):
    data = Data(10)
    load(items, data, ROWS)
    items.execute("CREATE INDEX emb ON items USING ivf (embedding vector_ip_ops)")
    held = "SELECT memory_bytes, last_recall FROM ml.indexes"
    bytes_before, recall = items.execute(held).fetchone()
    assert recall is None
    index, segments, bytes_held = items.execute("SELECT * FROM ann_prewarm('emb')").fetchone()
    assert (index, segments) == ("emb", 1) and bytes_held > bytes_before
    measured = "SELECT queries, recall FROM ann_recall('emb', sample => 100, k => 10)"
    queries, recall = items.execute(measured).fetchone()
    assert queries == 100 and recall >= 0.94
    assert items.execute(held).fetchone() == (bytes_held, recall)
    with pytest.raises(psycopg.Error) as error:
        items.execute("SELECT * FROM ann_recall('emb', sample => 0)")
    assert error.value.sqlstate == "22023"


def test_progress_and_cancel(server, items):
    data = Data(11)
    load(items, data, ROWS)
    failed = []
    other = server.connect()

    def build():
        try:
            for _ in range(50):
                other.execute("CREATE INDEX emb ON items USING ivf (embedding vector_l2_ops)")
                other.execute("DROP INDEX emb")
        except psycopg.errors.QueryCanceled as error:
            failed.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    seen = set()
    sql = "SELECT relid::regclass::text, command, tuples_total FROM pg_stat_progress_create_index"
    while thread.is_alive() and not seen:
        seen |= set(items.execute(sql).fetchall())
    assert seen == {("items", "CREATE INDEX", 2 * ROWS)}
    while thread.is_alive():
        other.cancel()
    thread.join()
    other.close()
    assert failed

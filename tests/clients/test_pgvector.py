"""The package pgvector with psycopg and SQLAlchemy, as its own examples use it."""

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from pgvector.sqlalchemy import HALFVEC, Vector
from sqlalchemy import Index, Integer, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

ROWS = [[1, 1, 1], [2, 2, 2], [1, 1, 2]]
# By numpy, in double precision.
DISTANCES = {
    "<->": lambda a, b: np.linalg.norm(a - b),
    "<#>": lambda a, b: -np.dot(a, b),
    "<=>": lambda a, b: 1 - np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)),
    "<+>": lambda a, b: np.abs(a - b).sum(),
}


@pytest.fixture
def items(server):
    with server.connect() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        connection.execute("CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(3))")
        for row in ROWS:
            connection.execute("INSERT INTO items (embedding) VALUES (%s)", (np.array(row),))
        yield connection


@pytest.mark.parametrize("operator", DISTANCES)
@pytest.mark.parametrize("binary", [False, True])
def test_distances_and_their_order(items, operator, binary):
    query = np.array([3, 1, 2])
    found = items.execute(
        f"SELECT id, embedding {operator} %s FROM items ORDER BY embedding {operator} %s, id", (query, query), binary=binary
    ).fetchall()
    expected = [(i + 1, DISTANCES[operator](np.array(row), query)) for i, row in enumerate(ROWS)]
    expected.sort(key=lambda pair: (pair[1], pair[0]))
    assert [id for id, _ in found] == [id for id, _ in expected]
    assert [d for _, d in found] == pytest.approx([d for _, d in expected], abs=1e-7)


@pytest.mark.parametrize("binary", [False, True])
def test_vectors_come_back(items, binary):
    found = items.execute("SELECT embedding FROM items ORDER BY id", binary=binary).fetchall()
    assert [row.to_list() for (row,) in found] == ROWS


def test_binary_copy(items):
    with items.cursor().copy("COPY items (embedding) FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["vector"])
        for row in ROWS:
            copy.write_row([np.array(row)])
    assert items.execute("SELECT count(*) FROM items").fetchone() == (6,)


@pytest.mark.parametrize("wrong, code", [("[1,2]", "22000"), ("[1,NaN,2]", "22000"), ("[1,2", "22P02")])
def test_wrong_vectors(items, wrong, code):
    for statement in ["SELECT embedding <-> %s FROM items", "INSERT INTO items (embedding) VALUES (%s)"]:
        with pytest.raises(psycopg.Error) as error:
            items.execute(statement, (wrong,)).fetchall()
        assert error.value.sqlstate == code, statement


def test_sqlalchemy(server):
    class Base(DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "orm_items"
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(3))

    engine = create_engine(server.url().replace("postgres://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Item(id=i, embedding=row) for i, row in enumerate(ROWS)])
        session.commit()
        nearest = select(Item.id).order_by(Item.embedding.l2_distance([1, 1, 3])).limit(2)
        assert session.scalars(nearest).all() == [2, 1]
        assert [list(row) for row in session.scalars(select(Item.embedding).order_by(Item.id))] == ROWS
        near = select(Item.id).where(Item.embedding.cosine_distance([1, 1, 1]) < 0.01).order_by(Item.id)
        assert session.scalars(near).all() == [0, 1]
    engine.dispose()


@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
def test_indexes(items, method):
    with items.transaction():
        with items.cursor().copy("COPY items (embedding) FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["vector"])
            for i in range(6_000):
                copy.write_row([np.array([i, 1, 0])])
    items.execute(f"CREATE INDEX ON items USING {method} (embedding vector_l2_ops)")
    items.execute("SET hnsw.ef_search = 100")
    items.execute("SET ivfflat.probes = 10")
    query = np.array([1000.25, 1, 0])
    for _ in range(3):  # the third time the plan is made without the values
        sql = "SELECT embedding FROM items ORDER BY embedding <-> %s LIMIT %s"
        found = items.execute(sql, (query, 2), prepare=True).fetchall()
        assert [row.to_list() for (row,) in found] == [[1000, 1, 0], [1001, 1, 0]]


def test_sqlalchemy_index(server):
    class Base(DeclarativeBase):
        pass

    class Place(Base):
        __tablename__ = "places"
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(3))

    Index(
        "places_near",
        Place.embedding,
        postgresql_using="hnsw",
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_ops={"embedding": "vector_l2_ops"},
    )
    engine = create_engine(server.url().replace("postgres://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Place(id=i, embedding=[i, 1, 0]) for i in range(5_000)])
        session.commit()
        nearest = select(Place.id).order_by(Place.embedding.l2_distance([70.25, 1, 0])).limit(3)
        assert list(session.scalars(nearest)) == [70, 71, 69]


# Numbers that a half float does not have: they are rounded to the nearest, ties to even.
HALVES = [[0.1, -2.5, 1e-7], [65504, 2049, 2051], [1, 2, 3]]


@pytest.fixture
def halves(server):
    with server.connect() as connection:
        register_vector(connection)
        connection.execute("CREATE TABLE halves (id int PRIMARY KEY, h halfvec(3))")
        for i, row in enumerate(HALVES):
            connection.execute("INSERT INTO halves VALUES (%s, %s)", (i, HalfVector(row)))
        yield connection


def rounded(row):
    return np.array(row).astype(np.float16).astype(np.float64).tolist()


@pytest.mark.parametrize("binary", [False, True])
def test_halfvecs_come_back_rounded(halves, binary):
    found = halves.execute("SELECT h FROM halves ORDER BY id", binary=binary).fetchall()
    assert [row.to_list() for (row,) in found] == [rounded(row) for row in HALVES]
    means = halves.execute("SELECT avg(h), sum(h) FROM halves WHERE id <> 1", binary=binary).fetchone()
    both = np.array([rounded(HALVES[0]), rounded(HALVES[2])])
    assert [mean.to_list() for mean in means] == [rounded(both.mean(axis=0)), rounded(both.sum(axis=0))]


@pytest.mark.parametrize("operator", DISTANCES)
@pytest.mark.parametrize("binary", [False, True])
def test_distances_of_halfvecs(halves, operator, binary):
    query = [0.3, 1, -2]
    sql = f"SELECT id, h {operator} %s FROM halves ORDER BY h {operator} %s, id"
    found = halves.execute(sql, (HalfVector(query), HalfVector(query)), binary=binary).fetchall()
    of = DISTANCES[operator]
    expected = [(i, of(np.array(rounded(row)), np.array(rounded(query)))) for i, row in enumerate(HALVES)]
    expected.sort(key=lambda pair: (pair[1], pair[0]))
    assert [id for id, _ in found] == [id for id, _ in expected]
    assert [d for _, d in found] == pytest.approx([d for _, d in expected], rel=1e-7)


def test_binary_copy_of_halfvecs(halves):
    with halves.cursor().copy("COPY halves FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "halfvec"])
        for i in range(3, 6):
            copy.write_row([i, HalfVector([i, 0.5, 0])])
    found = halves.execute("SELECT h FROM halves WHERE id > 2 ORDER BY id").fetchall()
    assert [row.to_list() for (row,) in found] == [[i, 0.5, 0] for i in range(3, 6)]


@pytest.mark.parametrize("binary", [False, True])
def test_arrays_and_types_without_a_dimension(halves, binary):
    sql = "SELECT ARRAY[h, h + '[1,1,1]'], h::vector, h::real[], %s::vector, %s::halfvec FROM halves WHERE id = 2"
    found = halves.execute(sql, (np.array([1.5, 2]), HalfVector([0.5])), binary=binary).fetchone()
    assert [half.to_list() for half in found[0]] == [[1, 2, 3], [2, 3, 4]]
    assert found[1].to_list() == [1, 2, 3]
    assert found[2] == [1, 2, 3]
    assert (found[3].to_list(), found[4].to_list()) == ([1.5, 2], [0.5])
    halves.execute("CREATE TABLE any_dimension (id int, v vector)")
    with halves.cursor() as cursor:
        rows = [(1, np.array([1, 2])), (2, np.array([1, 2, 3]))]
        cursor.executemany("INSERT INTO any_dimension VALUES (%s, %s)", rows)
    found = halves.execute("SELECT v FROM any_dimension ORDER BY v DESC", binary=binary).fetchall()
    assert [v.to_list() for (v,) in found] == [[1, 2, 3], [1, 2]]
    found = halves.execute("SELECT id FROM any_dimension WHERE v = %s", (np.array([1, 2]),)).fetchall()
    assert found == [(1,)]


def test_sqlalchemy_halfvec(server):
    class Base(DeclarativeBase):
        pass

    class Half(Base):
        __tablename__ = "orm_halves"
        id = mapped_column(Integer, primary_key=True)
        h = mapped_column(HALFVEC(3))
        anything = mapped_column(Vector())

    Index("orm_halves_near", Half.h, postgresql_using="hnsw", postgresql_ops={"h": "halfvec_cosine_ops"})
    engine = create_engine(server.url().replace("postgres://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Half(id=i, h=row, anything=row[: i + 1]) for i, row in enumerate(ROWS)])
        session.commit()
        nearest = select(Half.id).order_by(Half.h.l2_distance([1, 1, 3])).limit(2)
        assert session.scalars(nearest).all() == [2, 1]
        halves = session.scalars(select(Half.h).order_by(Half.id))
        assert [list(half) for half in halves] == ROWS
        mean = session.scalars(select(func.avg(Half.h, type_=HALFVEC(3)))).one()
        assert list(mean) == pytest.approx([4 / 3, 4 / 3, 5 / 3], rel=1e-3)
        assert [len(v) for v in session.scalars(select(Half.anything).order_by(Half.id))] == [1, 2, 3]
    engine.dispose()

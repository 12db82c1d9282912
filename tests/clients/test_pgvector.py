"""The package pgvector with psycopg and SQLAlchemy, as its own examples use it."""

import numpy as np
import psycopg
import pytest
from pgvector.psycopg import register_vector
from pgvector.sqlalchemy import Vector
from sqlalchemy import Index, Integer, create_engine, select
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

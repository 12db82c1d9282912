"""SQLAlchemy 2 with four drivers, beside Postgres: reflection, Core, ORM, cursors; pandas on top."""

import asyncio
import datetime
import decimal
import uuid

import pandas
import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext import asyncio as sa_asyncio

DRIVERS = ["psycopg2", "psycopg", "pg8000"]

TABLES = [
    "create schema shop",
    """create table people (id int primary key, name text not null default 'nobody',
        mail varchar(40) constraint one_mail unique, at timestamptz default now(), tags text[],
        balance numeric(10, 2) constraint solvent check (balance >= 0), doc jsonb, key uuid)""",
    "create table shop.orders (person int references people (id), day date, cents bigint, primary key (person, day))",
    "create index people_name on people (name desc)",
    "create view rich as select id, name from people where balance > 1000",
    "create materialized view counted as select count(*) as n from people",
    "comment on table people is 'who buys'",
    "comment on column people.mail is 'where to write'",
]


def urls(server, postgres, driver, name):
    theirs = postgres.database(f"{name}_{driver}").removeprefix("postgres")
    return f"postgresql+{driver}://ann@127.0.0.1:{server.port}/sextant", f"postgresql+{driver}{theirs}"


def described(url):
    """What is found in the transaction that makes the tables, and after it."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sa.text(statement))
        inside = reflected(connection)
    return inside, reflected(engine)


async def described_by_asyncpg(url):
    """The same through an asynchronous driver, which prepares every statement."""
    engine = sa_asyncio.create_async_engine(url)
    async with engine.begin() as connection:
        for statement in TABLES:
            await connection.execute(sa.text(statement))
        inside = await connection.run_sync(reflected)
    async with engine.connect() as connection:
        after = await connection.run_sync(reflected)
    await engine.dispose()
    return inside, after


def plain(value):
    """What is found without its own order and with types as they are written."""
    match value:
        case dict():
            return {str(key): plain(held) for key, held in value.items()}
        case list():
            return sorted((plain(held) for held in value), key=str)
        case sa.types.TypeEngine():
            return value.compile(dialect=postgresql.dialect())
        case _:
            return value


def reflected(engine):
    inspector = sa.inspect(engine)
    found = {
        "tables": inspector.get_table_names(),
        "views": inspector.get_view_names(),
        "materialized": inspector.get_materialized_view_names(),
        "temp": inspector.get_temp_table_names(),
        "enums": inspector.get_enums(),
        "domains": inspector.get_domains(),
        "sequences": inspector.get_sequence_names(),
        "has": [inspector.has_table(name) for name in ["people", "rich", "nobody"]],
        "has index": inspector.has_index("people", "people_name"),
        "schemas": [name for name in inspector.get_schema_names() if name not in ("lake", "main", "ml")],
        "options": inspector.get_table_options("people"),
    }
    for schema, name in [(None, "people"), ("shop", "orders"), (None, "rich"), (None, "counted")]:
        found[name] = {
            "columns": inspector.get_columns(name, schema),
            "key": inspector.get_pk_constraint(name, schema),
            "foreign": inspector.get_foreign_keys(name, schema),
            "indexes": inspector.get_indexes(name, schema),
            "unique": inspector.get_unique_constraints(name, schema),
            "checks": [check["name"] for check in inspector.get_check_constraints(name, schema)],
            "comment": inspector.get_table_comment(name, schema),
        }
    everything = sa.MetaData()
    everything.reflect(engine, views=True)
    everything.reflect(engine, schema="shop")
    found["all"] = sorted(everything.tables)
    found["ordered"] = [table.name for table in everything.sorted_tables if table.name in ("people", "orders")]
    return plain(found)


@pytest.mark.parametrize("driver", [*DRIVERS, "asyncpg"])
def test_reflection(server, postgres, driver):
    pair = urls(server, postgres, driver, "reflection")
    ours, theirs = (asyncio.run(described_by_asyncpg(url)) if driver == "asyncpg" else described(url) for url in pair)
    for here, there in zip(ours, theirs, strict=True):
        for name in there:
            assert here[name] == there[name], name


class Base(orm.DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    name: orm.Mapped[str]
    at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(sa.DateTime(timezone=True))
    balance: orm.Mapped[decimal.Decimal | None] = orm.mapped_column(sa.Numeric(10, 2))
    doc: orm.Mapped[dict | None] = orm.mapped_column(postgresql.JSONB)
    tags: orm.Mapped[list | None] = orm.mapped_column(postgresql.ARRAY(sa.Text))
    key: orm.Mapped[uuid.UUID | None]
    orders: orm.Mapped[list["Order"]] = orm.relationship(back_populates="person")


class Order(Base):
    __tablename__ = "order"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    person_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("person.id"))
    cents: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)
    day: orm.Mapped[datetime.date] = orm.mapped_column(server_default=sa.text("date '2024-01-01'"))
    person: orm.Mapped[Person] = orm.relationship(back_populates="orders")


NOON = datetime.datetime(2024, 5, 6, 12, tzinfo=datetime.timezone.utc)


def worked(url):
    """What an application does, and what it sees of it."""
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    seen = []
    with orm.Session(engine) as session:
        ada = Person(id=1, name="Ada", at=NOON, balance=decimal.Decimal("1.50"), doc={"a": [1, None]},
                     tags=["x", "y z"], key=uuid.UUID(int=7))
        ada.orders = [Order(id=i, cents=i * 100) for i in range(1, 6)]
        session.add_all([ada, Person(id=2, name="Grace")])
        session.commit()
        found = session.scalars(sa.select(Person).options(orm.selectinload(Person.orders)).order_by(Person.id)).all()
        seen.append([(p.name, p.at, p.balance, p.doc, p.tags, p.key, [(o.cents, o.day) for o in p.orders]) for p in found])
        joined = orm.joinedload(Person.orders)
        seen.append([len(p.orders) for p in session.scalars(sa.select(Person).options(joined).order_by(Person.id)).unique()])
        ada.name = "Ada L."
        session.flush()
        with session.begin_nested() as inner:
            session.execute(sa.delete(Order))
            inner.rollback()
        seen.append(session.scalar(sa.select(sa.func.count()).select_from(Order)))
        session.delete(session.get(Order, 5))
        session.commit()
        seen.append(session.execute(sa.select(Person.name, sa.func.sum(Order.cents)).join(Order).group_by(Person.name)).all())
        raised = session.execute(sa.update(Order).where(Order.cents > 100).values(cents=Order.cents + 1).returning(Order.id, Order.cents))
        seen.append(sorted(raised.all()))
        session.commit()
        added = session.execute(sa.insert(Order).returning(Order.id, Order.day), [
            {"id": i, "person_id": 2, "cents": i, "day": datetime.date(2024, 2, 2)} for i in range(10, 25)])
        seen.append(sorted(added.all()))
        session.commit()
    with engine.begin() as connection:
        rows = [{"id": i, "person_id": 1, "cents": i} for i in range(100, 400)]
        seen.append(connection.execute(sa.insert(Order.__table__), rows).rowcount in (-1, 300))
        upsert = postgresql.insert(Order.__table__).values(id=1, person_id=1, cents=0)
        upsert = upsert.on_conflict_do_update(index_elements=["id"], set_={"cents": upsert.excluded.cents - 1})
        seen.append(connection.execute(upsert).rowcount)
        window = sa.func.row_number().over(partition_by=Order.person_id, order_by=Order.cents.desc())
        ranked = sa.select(Order.id, window.label("place")).subquery()
        best = sa.select(ranked).where(ranked.c.place <= 2).order_by(ranked.c.id)
        seen.append(connection.execute(best).all())
        several = sa.select(Order.id).where(Order.id.in_([1, 2, 399]), Order.day.between(datetime.date(2023, 1, 1), NOON.date()))
        seen.append(connection.execute(several.order_by(Order.id).limit(2).offset(1)).all())
        seen.append(connection.execute(sa.select(Person.doc["a"][0].as_string(), Person.tags[2]).where(Person.id == 1)).all())
        rows = connection.execution_options(yield_per=50).execute(sa.select(Order.id).order_by(Order.id))
        seen.append([len(part) for part in rows.partitions()])
    for wrong in ["select * from nowhere", "select nothing", "select 1/0", "select 'x'::int"]:
        with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as error:
            connection.execute(sa.text(wrong))
        seen.append(type(error.value).__name__)
    Base.metadata.drop_all(engine)
    seen.append(sa.inspect(engine).get_table_names())
    engine.dispose()
    return seen


@pytest.mark.parametrize("driver", DRIVERS)
def test_orm_and_core(server, postgres, driver):
    ours, theirs = (worked(url) for url in urls(server, postgres, driver, "orm"))
    assert ours == theirs


async def worked_by_asyncpg(url):
    engine = sa_asyncio.create_async_engine(url)
    seen = []
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sa_asyncio.AsyncSession(engine) as session:
        ada = Person(id=1, name="Ada", at=NOON, balance=decimal.Decimal("1.50"), doc={"a": [1]}, tags=["x"], key=uuid.UUID(int=7))
        ada.orders = [Order(id=i, cents=i * 100) for i in range(1, 6)]
        session.add_all([ada, *(Person(id=i, name=f"n{i}") for i in range(2, 40))])
        await session.commit()
        found = await session.scalars(sa.select(Person).options(orm.selectinload(Person.orders)).where(Person.id < 3).order_by(Person.id))
        seen.append([(p.name, p.at, p.balance, p.doc, p.tags, p.key, [(o.cents, o.day) for o in p.orders]) for p in found])
        raised = sa.update(Order).where(Order.cents > 100).values(cents=Order.cents + 1).returning(Order.id, Order.cents)
        seen.append(sorted((await session.execute(raised)).all()))
        async with session.begin_nested() as inner:
            await session.execute(sa.delete(Order))
            await inner.rollback()
        seen.append(await session.scalar(sa.select(sa.func.count()).select_from(Order)))
        await session.commit()
    async with engine.connect() as connection:
        rows = await connection.stream(sa.select(Person.id).order_by(Person.id).execution_options(yield_per=10))
        seen.append([len(part) async for part in rows.partitions()])
        for wrong in ["select * from nowhere", "select nothing", "select 1/0"]:
            with pytest.raises(sa.exc.DBAPIError) as error:
                await connection.execute(sa.text(wrong))
            seen.append((type(error.value).__name__, error.value.orig.sqlstate))
            await connection.rollback()
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()
    return seen


def test_asyncpg(server, postgres):
    ours, theirs = (asyncio.run(worked_by_asyncpg(url)) for url in urls(server, postgres, "asyncpg", "work"))
    assert ours == theirs


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_pandas(server, postgres, driver):
    frame = pandas.DataFrame({
        "id": range(50), "value": [i / 4 for i in range(50)], "name": [None if i % 7 == 0 else f"n{i}" for i in range(50)],
        "at": pandas.date_range("2024-01-01", periods=50, freq="h"), "flag": [i % 2 == 0 for i in range(50)],
    })

    def work(url):
        engine = sa.create_engine(url)
        frame.to_sql("frame", engine, index=False)
        frame.to_sql("frame", engine, index=False, if_exists="append", method="multi")
        with pytest.raises(ValueError):
            frame.to_sql("frame", engine, index=False)
        frame.head(3).to_sql("small", engine, index_label="number")
        frame.head(2).to_sql("small", engine, index_label="number", if_exists="replace")
        read = [
            pandas.read_sql("select * from frame order by id, at", engine),
            pandas.read_sql_table("small", engine, index_col="number"),
            pandas.read_sql(sa.text("select name, sum(value) as total from frame where id > :low group by name order by name"), engine, params={"low": 40}),
            pandas.concat(pandas.read_sql("select id from frame order by id", engine, chunksize=30)),
        ]
        return read

    for ours, theirs in zip(*(work(url) for url in urls(server, postgres, driver, "pandas"))):
        pandas.testing.assert_frame_equal(ours, theirs)

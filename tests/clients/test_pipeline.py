"""The extended protocol up to Sync is one transaction, as in Postgres; each test runs on both."""

import psycopg
import pytest


@pytest.fixture(params=["sextant", "postgres"])
def connection(request, server, postgres):
    name = f"pipeline_{request.node.originalname}"
    if request.param == "postgres":
        opened = psycopg.connect(postgres.database(name), autocommit=True)
    else:
        opened = server.connect()
    with opened:
        opened.execute("drop table if exists p")
        opened.execute("create table p (id int)")
        yield opened


def test_a_failure_undoes_what_came_before_it_since_the_last_sync(connection):
    with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
        connection.execute("insert into p values (1)")
        pipeline.sync()
        connection.execute("insert into p values (2)")
        connection.execute("insert into p select 1 / (id - 1) from p")
        connection.execute("insert into p values (3)")
        pipeline.sync()
    assert connection.execute("select id from p order by id").fetchall() == [(1,)]


def test_statements_of_a_pipeline_see_each_other(connection):
    with connection.pipeline():
        connection.execute("insert into p values (1), (2)")
        seen = connection.execute("select count(*) from p")
        connection.execute("update p set id = id + 10")
        after = connection.execute("select sum(id) from p")
    assert (seen.fetchone(), after.fetchone()) == ((2,), (23,))
    assert connection.execute("select sum(id) from p").fetchone() == (23,)


def test_a_block_may_begin_and_end_inside_a_pipeline(connection):
    with connection.pipeline() as pipeline:
        connection.execute("begin")
        connection.execute("insert into p values (1)")
        pipeline.sync()
        connection.execute("insert into p values (2)")
        connection.execute("rollback")
        pipeline.sync()
        connection.execute("insert into p values (3)")
    assert connection.execute("select id from p").fetchall() == [(3,)]


def test_a_named_cursor_reads_in_pieces(connection):
    connection.execute("insert into p select x from generate_series(1, 1000) as g(x)")
    with connection.transaction(), connection.cursor("pieces", scrollable=True) as cursor:
        cursor.execute("select id from p where id > %s order by id", (10,))
        assert [name for name, *_ in cursor.description] == ["id"]
        assert cursor.fetchmany(3) == [(11,), (12,), (13,)]
        cursor.scroll(-2)
        assert cursor.fetchone() == (12,)
        assert len(cursor.fetchall()) == 988
    with connection.cursor("held", withhold=True) as cursor:
        cursor.execute("select id from p order by id", binary=True)
        cursor.itersize = 100
        assert [row for row in cursor] == [(n,) for n in range(1, 1001)]

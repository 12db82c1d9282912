"""What a connection does beside answering, as on Postgres: cancel, time-outs, its prepared statements."""

import threading
import time

import psycopg
import pytest

LONG = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where a::bigint * b < %s"
# Every row has the key of every other, and the filter takes none of the pairs.
LONG_HASHED = "select count(*) from generate_series(1, 100000) a join generate_series(1, 100000) b on a / 1000000 = b / 1000000 and a::bigint * b < 0"


@pytest.fixture
def pair(server, postgres, request):
    return server.url(), postgres.database(f"connection_{request.node.name}")


def each(pair, work):
    ours, theirs = (work(url) for url in pair)
    assert ours == theirs


def cancelled(connection, run):
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    try:
        with pytest.raises(psycopg.errors.QueryCanceled) as error:
            run()
        return str(error.value)
    finally:
        timer.join()


def test_cancel(pair):
    """Whatever way the statement came, the connection goes on."""
    def work(url):
        seen = []
        with psycopg.connect(url, autocommit=True) as connection:
            for prepare in [None, False, True, True]:
                seen.append(cancelled(connection, lambda: connection.execute(LONG, (0,), prepare=prepare)))
                seen.append(connection.execute("select %s::int + 1", (1,), prepare=prepare).fetchone())
            for text in [LONG % 0, LONG_HASHED, f"explain analyze {LONG_HASHED}"]:
                seen.append(cancelled(connection, lambda: connection.execute(text)))
            with connection.cursor() as cursor, connection.transaction():
                cursor.execute("create temp table t (a int)")
            with pytest.raises(psycopg.errors.QueryCanceled), connection.transaction():
                seen.append(cancelled(connection, lambda: connection.execute(LONG, (0,), prepare=True)))
                raise psycopg.errors.QueryCanceled
            seen.append(cancelled(connection, lambda: connection.execute("select a from generate_series(1, %s) a", (10**9,), prepare=True)))
            with connection.pipeline():
                connection.execute("select 1")
                seen.append(cancelled(connection, lambda: connection.execute(LONG, (0,), prepare=True).fetchone()))
            connection.execute("set statement_timeout = 200")
            for prepare in [None, True]:
                with pytest.raises(psycopg.errors.QueryCanceled) as error:
                    connection.execute(LONG, (0,), prepare=prepare)
                seen.append(str(error.value))
            connection.execute("reset statement_timeout")
            seen.append(connection.execute("select count(*) from t").fetchone())
        return seen

    each(pair, work)


def ended(connection):
    """What a connection is told when the server ends it."""
    with pytest.raises(psycopg.Error) as error:
        connection.execute("select 1")
    return type(error.value).__name__, error.value.sqlstate, str(error.value).splitlines()[0], connection.broken


def test_idle_in_transaction(pair):
    def work(url):
        seen = []
        with psycopg.connect(url, autocommit=True) as setup:
            setup.execute("create table t (a int)")
        for wrong in [False, True]:
            connection = psycopg.connect(url)
            connection.execute("set idle_in_transaction_session_timeout = '200ms'")
            connection.commit()
            # Idle outside a transaction is not limited, and work is not idle.
            time.sleep(0.3)
            connection.execute("insert into t values (1)")
            connection.execute("select pg_sleep(0.3)")
            if wrong:
                with pytest.raises(psycopg.errors.UndefinedColumn):
                    connection.execute("select nothing")
            time.sleep(0.5)
            seen.append(ended(connection))
            with psycopg.connect(url, autocommit=True) as other:
                seen.append(other.execute("select count(*) from t").fetchone())
        return seen

    each(pair, work)


def test_idle_session(pair):
    def work(url):
        connection = psycopg.connect(url, autocommit=True)
        connection.execute("set idle_session_timeout = '200ms'")
        connection.execute("select 1")
        connection.execute("begin")
        # A transaction has a limit of its own.
        time.sleep(0.3)
        connection.execute("commit")
        time.sleep(0.5)
        return ended(connection)

    each(pair, work)


def test_time_outs_are_written_as_they_were_given(pair):
    def work(url):
        seen = []
        with psycopg.connect(url, autocommit=True) as connection:
            for value in ["0", "100", "'1500ms'", "'2s'", "'3min'", "'1h'", "'-1'", "'x'", "'1 day'"]:
                try:
                    connection.execute(f"set idle_in_transaction_session_timeout = {value}")
                    seen.append(connection.execute("show idle_in_transaction_session_timeout").fetchone())
                except psycopg.Error as error:
                    seen.append(error.sqlstate)
        return seen

    each(pair, work)


def test_prepared_statements(pair):
    """pg_prepared_statements has those of the protocol and those of PREPARE."""
    def work(url):
        seen = []
        with psycopg.connect(url, autocommit=True) as connection:
            ask = "select name, statement, parameter_types, parameter_types::text, from_sql, prepare_time <= now() from pg_prepared_statements order by name"
            look = lambda: seen.append(connection.execute(ask).fetchall())
            look()
            connection.execute("create table people (id int, name text, tags text[])")
            connection.execute("prepare one as select 1")
            connection.execute("prepare two (int, text) as select $1 + 1, $2")
            connection.execute("prepare three as select * from people where id = $1 and name like $2 and tags && $3")
            look()
            connection.pgconn.prepare(b"four", b"select $1::numeric, id from people where name = $2")
            connection.pgconn.prepare(b"five", b"insert into people values ($1, $2)", [20])
            look()
            connection.pgconn.exec_(b"execute four (1.5, 'x')")
            connection.execute("deallocate one")
            connection.execute("deallocate five")
            seen.append(connection.pgconn.exec_prepared(b"five", [b"1", b"x"]).error_field(67))
            look()
            seen.append(connection.pgconn.prepare(b"two", b"select 2").error_field(67))
            result = connection.pgconn.exec_prepared(b"two", [b"4", b"x"])
            seen.append([result.get_value(0, at) for at in range(result.nfields)])
            seen.append([row[0] for row in connection.execute("execute three (1, 'x', '{}')").fetchall()])
            connection.execute("deallocate all")
            look()
            connection.execute("prepare six as select 6")
            connection.execute("discard all")
            look()
        return seen

    each(pair, work)

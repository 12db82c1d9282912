"""COPY as Postgres has it, run beside it: the bytes out, what comes in, refusals and their words."""

import glob
import os
import random
import socket
import struct
import subprocess
import threading
import time

import psycopg
import pytest

from copying import HEADER, copied_out, outcomes

TABLE = "create table t (a int, b text, c numeric(10,2), d date default '2020-01-01', e timestamptz)"
KINDS = """create table k (b bool, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision,
    n numeric(20,5), t text, v varchar(10), y bytea, d date, ti time, ts timestamp, tz timestamptz,
    iv interval, u uuid, j json, jb jsonb, ia int[], ta text[], na numeric(8,2)[])"""
KIND_ROWS = [
    r"t|1|2|3|1.5|-2.25|12345.67890|hello|var|\\x00ff|2024-01-02|10:11:12.5|2024-01-02 03:04:05.678|"
    r"2024-01-02 03:04:05+02|1 year 2 mons 3 days 04:05:06|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|"
    r'{"a": 1}|{"a": 1}|{1,NULL,3}|{"a,b",NULL,"","q\\"x"}|{1.5,-2}',
    "|".join([r"\N"] * 21),
    r"f|-32768|-2147483648|-9223372036854775808|NaN|Infinity|-0.00001|a\tb\nc\\d\re||\\x|0044-03-15 BC|"
    r"23:59:59.999999|infinity|-infinity|-1 days +02:03:00|A0EEBC999C0B4EF8BB6D6BB9BD380A11|[]|null|{}|{}|{}",
    r"yes| 7 |+8|9 |1e10|1e-300|1e3|\101\x42 é\||x   |abc|20240105|01:02|2024-01-02T03:04|"
    r"2024-01-02 03:04:05-05|P1Y2M|{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}|1|1|{1}|{x}|{1}",
]
OPTIONS = [
    "(format xml)", "(foo 1)", "(delimiter 'ab')", r"(delimiter E'\n')", "(delimiter 'a')", "(quote 'x')",
    "(format csv, quote 'xx')", "(format csv, quote ',')", "(escape 'x')", "(format csv, escape 'xx')",
    "(format binary, delimiter ',')", "(format binary, null 'x')", "(format binary, header)",
    "(force_quote (a))", "(format csv, force_quote (a))", "(format csv, force_null (zz))",
    "(format csv, force_not_null *)", r"(null E'a\nb')", "(format csv, null '\"')", "(format csv, null ',')",
    "(header maybe)", "(format csv, header match)", "(header, header)", "(format)", "(encoding 'nope')",
    "(delimiter)", "(format csv, force_not_null (a), force_null (b))", "(format csv, format csv)",
    "(format csv force_null (a))", "(encoding 'utf8')", "(format 'CSV')", "(header 2)", "()",
    "with csv header delimiter as ';' null 'x'", "csv quote '''' escape '\\'", "with binary", "(header)",
    "using delimiters '|'", "with null as 'NIL' delimiter '|'", "csv force quote *", "(header off)",
]
REFUSED = [
    "copy nope from stdin", "copy t (zz) from stdin", "copy t (a, a) from stdin", "copy t (zz) to stdout",
    "copy v to stdout", "copy v from stdin", "copy (insert into t (a) values (9)) to stdout",
    "copy t (a, b) to stdout (format csv, force_quote (c))", "copy t", "copy (select 1) from stdin",
    "copy t to stdout where a > 1", "copy t from stdin where a > (select 1)", "copy t from stdin where zz > 1",
]
TEXTS = [
    b"", b"\n", b"x\ty\t1\t\\N\t\\N\n", b"1\tx\n", b"1\tx\t1\t\\N\t\\N\t9\n",
    b"1\tx\t1\t\\N\t\\N\n2\tx\tabc\t\\N\t\\N\n", b"1\tx\t99999999999\t\\N\t\\N\n",
    b"1\tx\t1\t2024-02-30\t\\N\n", b"1\t\xff\t1\t\\N\t\\N\n", b"1\t\xe4bc\t1\t\\N\t\\N\n",
    b"1\ta\\0b\t1\t\\N\t\\N\n", b"1\tx\t1\t\\N\tzzz\n", b"99999999999\tx\t1\t\\N\t\\N\n", b"1\tx\r\n\n",
    b"\\.\nfoo", b"1\ta\rb\t1\t\\N\t\\N\n", b"1\ta\t1\t\\N\t\\N\r\n2\tb\t1\t\\N\t\\N\n",
    b"1\t" + b"y" * 200 + b"\n", b"7\ta\t1.005\t\\N\t\\N", b"8\t\\\n\t1e2\t\\N\t\\N\r\n",
    b"1\ta\t1\t\\N\t\\N\r2\tb\t1\t\\N\t\\N\r", b"\\.", b"1\ta\t \t\\N\t\\N\n",
]
CSVS = [
    b"", b"1,x\n", b'1,"x', b"1,x,1,,,\n", b"1,a\rb,1,,\n", b"z,a,1,,\n", b"\\.\n", b"1,x,1,,\n\\.\nrubbish\n",
    b'2,q,1,,\n1,"a\n\n",1,,\n3,"b",q,,\n', b'4,"a""b",1,,\n5,"",,,\n6,,,,\n', b'7,a"b,c"d,1,,\n',
    b'8,"x"\r\n', b'8,"x\r\ny",1,,\r\n9,"z",2,,\r\n', b'1,"a\\",2,,\n', b"\n",
]
BINARIES = [
    b"PGCOPX", b"", HEADER[:11] + b"\0\0\0\0\0\0\0", HEADER[:11] + b"\0\1\0\0\0\0\0\0",
    HEADER[:11] + b"\0\2\0\0\0\0\0\0", HEADER, HEADER + b"\xff\xff",
    HEADER + b"\0\1\0\0\0\4\0\0\0\7\xff\xff", HEADER + b"\0\1\0\0\0\4\0\0\0\7",
    HEADER + b"\0\1\0\0\0\4\0\0\0\7\xff\xffxx", HEADER + b"\0\1\0\0\0\3\0\0\7\xff\xff",
    HEADER + b"\0\1\0\0\0\4\0\0\7", HEADER + b"\0\2\0\0\0\4\0\0\7", HEADER + b"\0\1\xff\xff\xff\xfe\0\0\7",
    HEADER + b"\0\1\0\0\0\5\0\0\0\0\7\xff\xff", HEADER + b"\0\1\xff\xff\xff\xff\xff\xff",
]


@pytest.fixture
def both(server, postgres, request):
    """The same statements here and in Postgres; `same` runs one on both."""
    url = postgres.database(request.node.name)
    with server.connect() as ours, psycopg.connect(url, autocommit=True) as theirs:
        yield Both(ours, theirs)


class Both:
    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs

    def same(self, statement, data=b"", fail=None):
        here = outcomes(self.ours, statement, data, fail)
        assert here == outcomes(self.theirs, statement, data, fail), (statement, data)
        return here


def test_options(both):
    both.same(TABLE)
    both.same("insert into t values (1, 'a;\"b\\|''', 1.5, null, '2024-01-01 00:00+00'), (null, '', null, null, null)")
    for options in OPTIONS:
        both.same(f"copy t to stdout {options}")
        if "match" not in options:
            binary = "binary" in options and "format" not in options
            both.same(f"copy t from stdin {options}", HEADER if binary else b"")


def test_refusals(both):
    both.same(TABLE)
    both.same("create view v as select 1 as x")
    for statement in REFUSED:
        both.same(statement)


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_data(both, form):
    both.same(TABLE)
    columns = "(a)" if form == "binary" else ""
    for data in {"text": TEXTS, "csv": CSVS, "binary": BINARIES}[form]:
        both.same(f"copy t {columns} from stdin (format {form})", data)
        both.same(f"copy t {columns} from stdin (format {form})", [data[i : i + 1] for i in range(len(data))])
    both.same("select * from t order by a, b, c, d, e")


def test_headers(both):
    both.same(TABLE)
    for form, separator in [("csv", b","), ("text", b"\t")]:
        for names in [b"a,b", b"a,b,c,d,x", b"a,b,,d,e", b"a,b,c,d,e", b'"a",b,c,d,e', b"A,b,c,d,e"]:
            data = names.replace(b",", separator) + b"\n"
            both.same(f"copy t from stdin (format {form}, header match)", data)
            both.same(f"copy t from stdin (format {form}, header)", data)
        both.same(f"copy t from stdin (format {form}, header match)")


def test_defaults_checks_and_where(both):
    both.same("create table c (a int not null, b int default 7 check (b > 0), s varchar(3), d date)")
    for data in [b"1\n2\n", b"1\nx\n"]:
        both.same("copy c (a) from stdin", data)
    both.same("copy c (s, a) from stdin", b"abc   \t1\n")
    both.same("copy c (a) from stdin where a > 5 and b = 7", b"5\n6\n7\n")
    both.same("select * from c order by a, s")
    for data, code in [(b"1\t0\tx\t\\N\n", "23514"), (b"\\N\t1\tx\t\\N\n", "23502"), (b"1\t1\tabcd\t\\N\n", "22001")]:
        here, there = (outcomes(c, "copy c from stdin", data)[0] for c in [both.ours, both.theirs])
        assert here[:2] == there[:2] and here[0] == code
    both.same("select count(*) from c")


def test_every_type_both_ways(both):
    both.same(KINDS)
    for row in KIND_ROWS:
        both.same("copy k from stdin (delimiter '|')", row.encode() + b"\n")
    outputs = ["", "csv header", "(format csv, force_quote *, escape '\\')", "(delimiter ',', null '')", "binary"]
    for output in outputs:
        both.same(f"copy k to stdout {output}")
    for form in ["text", "csv", "binary"]:
        data = copied_out(both.theirs, f"copy k to stdout (format {form})")
        both.same("delete from k")
        for size in [1, 7, 1 << 20]:
            parts = [data[i : i + size] for i in range(0, len(data), size)]
            both.same(f"copy k from stdin (format {form})", parts)
        both.same("copy k to stdout")


def test_random_cells_come_back(both):
    both.same("create table r (a text, b text)")
    seed = random.Random(7)
    letters = "a\t\n\r\\\",'.N|é \b\v"
    for options in ["", "csv", "(format csv, escape '\\', quote '''')", "(delimiter '|')", "binary"]:
        rows = [
            [None if seed.random() < 0.1 else "".join(seed.choices(letters, k=seed.randrange(6))) for _ in "ab"]
            for _ in range(300)
        ]
        both.same("delete from r")
        for connection in [both.ours, both.theirs]:
            connection.cursor().executemany("insert into r values (%s, %s)", rows)
        data = b"".join(both.same(f"copy (select * from r order by a, b) to stdout {options}")[0])
        both.same("delete from r")
        both.same(f"copy r from stdin {options}", data)
        found = both.ours.execute("select a, b from r").fetchall()
        assert sorted(found, key=str) == sorted(map(tuple, rows), key=str), options


def test_queries_and_several_statements(both):
    both.same(TABLE)
    both.same("copy t (a) from stdin; select count(*) from t; copy t (a) to stdout", b"1\n2\n")
    both.same("copy (insert into t (a) values (9) returning a, b) to stdout")
    both.same("copy (select a as \"x y\", b from t order by a desc limit 2) to stdout csv header")
    both.same("copy (values (1, 'a')) to stdout (format csv, force_quote (column2))")
    both.same("begin; copy t (a) from stdin; copy t (a) from stdin; rollback; select count(*) from t", b"5\n")
    both.same("copy t (a) from stdin; copy t (a) from stdin; select 1", b"5\nx\n")
    both.same("select count(*) from t")
    for form in ["text", "csv header", "binary"]:
        both.same(f"copy (select 1 as a where false) to stdout {form if form != 'text' else ''}")


def test_copy_fail_leaves_nothing(both):
    both.same(TABLE)
    here = outcomes(both.ours, "copy t (a) from stdin", b"1\n2\n", fail=b"my reason")
    assert here[0][:2] == ("57014", "COPY from stdin failed: my reason")
    both.same("begin")
    assert outcomes(both.ours, "copy t (a) from stdin", b"1\n", fail=b"x")[0][0] == "57014"
    assert outcomes(both.ours, "select 1")[0][0] == "25P02"
    outcomes(both.ours, "rollback")
    assert both.ours.execute("select count(*) from t").fetchone() == (0,)


def files(server):
    return set(glob.glob(f"{server.data}/**/*.parquet", recursive=True))


def started(server, timeout):
    """A connection whose COPY waits for data."""
    connection = server.connect()
    connection.execute(f"set statement_timeout = '{timeout}'")
    connection.pgconn.send_query(b"copy p from stdin")
    assert connection.pgconn.get_result().status == psycopg.pq.ExecStatus.COPY_IN
    return connection


def test_a_bad_row_late_leaves_no_rows_and_no_files(server):
    connection = server.connect()
    connection.execute("create table p (a int, b text)")
    rows = b"".join(b"%d\tname %d\n" % (i, i) for i in range(20_000))
    error = outcomes(connection, "copy p from stdin", [rows] * 20 + [b"x\ty\n", rows])[0]
    assert error == ("22P02", 'invalid input syntax for type integer: "x"', 'COPY p, line 400001, column a: "x"')
    assert connection.execute("select count(*) from p").fetchone() == (0,)
    assert files(server) == set()


@pytest.mark.parametrize("why", ["cancel", "statement_timeout", "terminate", "disconnect"])
def test_what_stops_a_copy_in_midway(server, why):
    watcher = server.connect()
    watcher.execute("create table p (a int, b text)")
    connection = started(server, "1s" if why == "statement_timeout" else "0")
    rows = b"".join(b"%d\tname %d\n" % (i, i) for i in range(20_000))
    for _ in range(20):
        connection.pgconn.put_copy_data(rows)
    connection.pgconn.flush()
    if why == "cancel":
        connection.cancel()
    elif why == "terminate":
        watcher.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
    elif why == "disconnect":
        os.close(connection.pgconn.socket)
    active = "select count(*) from pg_stat_activity where query = 'copy p from stdin' and state = 'active'"
    wait_until(lambda: watcher.execute(active).fetchone() == (0,))
    if why in ("cancel", "statement_timeout"):
        assert ended(connection) == "57014"
        assert connection.execute("select count(*) from p").fetchone() == (0,)
    wait_until(lambda: files(server) == set())
    assert watcher.execute("select count(*) from p").fetchone() == (0,)


def ended(connection):
    """Ends the data and gives the SQLSTATE of the answer."""
    connection.pgconn.put_copy_data(b"1\tx\n")
    connection.pgconn.put_copy_end()
    result = connection.pgconn.get_result()
    assert connection.pgconn.get_result() is None
    return result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()


def wait_until(done, seconds=10):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_copy_out_is_cancelled(server):
    connection = server.connect()
    threading.Timer(0.5, connection.cancel).start()
    began = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        with connection.cursor() as cursor:
            with cursor.copy("copy (select * from generate_series(1, 1000000000)) to stdout") as copy:
                for _ in copy:
                    pass
    assert time.monotonic() - began < 5
    assert connection.execute("select 1").fetchone() == (1,)


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def test_the_extended_protocol(both):
    """A pipeline with COPY by raw messages; what follows an error is skipped up to Sync."""
    both.same(TABLE)
    answers = [raw_pipeline(connection) for connection in [both.ours, both.theirs]]
    assert answers[0] == answers[1]
    both.same("select a, b from t order by a")


def raw_pipeline(connection):
    """Kinds of the server's messages, and the tags."""
    run = lambda sql: (
        message(b"P", b"\0" + sql + b"\0\0\0") + message(b"B", b"\0\0\0\0\0\0\0\0")
        + message(b"D", b"P\0") + message(b"E", b"\0\0\0\0\0")
    )
    data = lambda text: message(b"d", text)
    sync, done = message(b"S"), message(b"c")
    copy = run(b"copy t (a, b) from stdin")
    sent = [
        # As libpq sends it: a Sync with the Execute, another with the end.
        copy + sync + data(b"1\tx") + data(b"\n2\ty\n") + done + sync,
        # Statements around it in one pipeline.
        run(b"insert into t (a) values (3)") + copy + data(b"4\tz\n") + done + run(b"select 1") + sync,
        # A bad row: all up to Sync is skipped, and nothing of it stays.
        copy + data(b"x\tz\n") + data(b"5\tz\n") + done + run(b"insert into t (a) values (6)") + sync,
        copy + data(b"7\tz\n") + message(b"f", b"no\0") + sync,
        run(b"copy (select a from t order by a) to stdout") + run(b"select 2") + sync,
        # Outside of COPY its messages are ignored.
        data(b"8\n") + done + run(b"select 3") + sync,
    ]
    found = []
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as wire:
        wire.setblocking(True)
        for part in sent:
            wire.sendall(part)
            found.append(answer(wire))
    return found


def answer(wire):
    """Messages up to ReadyForQuery; bodies of data, tags and SQLSTATEs."""
    found = []
    while True:
        kind = exactly(wire, 1)
        body = exactly(wire, struct.unpack("!i", exactly(wire, 4))[0] - 4)
        if kind == b"E":
            body = next(field for field in body.split(b"\0") if field.startswith(b"C"))
        if kind != b"N":
            found.append((kind, body if kind in b"CDdEZGH" else b""))
        if kind == b"Z":
            return found


def exactly(wire, count):
    read = b""
    while len(read) < count:
        part = wire.recv(count - len(read))
        assert part, "the connection was closed"
        read += part
    return read


def test_memory_is_bounded(server):
    """20 times as many rows take no more memory than one of the pieces in work."""
    connection = server.connect()
    connection.execute("create table p (a int, b text, c float8)")
    rows = b"".join(b"%d\tname of row %d\t%f\n" % (i, i, i / 7) for i in range(50_000))
    peaks = []
    for times in [2, 40]:
        assert outcomes(connection, "copy p from stdin", [rows] * times)[0] == (b"COPY %d" % (times * 50_000), [])
        with open(f"/proc/{server.process.pid}/status") as status:
            peaks += [int(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM")]
    assert peaks[1] - peaks[0] < 300, peaks


def test_files_of_the_server(server, tmp_path):
    connection = server.connect()
    connection.execute("create table p (a int, b text, c numeric(10,2), d date)")
    connection.execute("insert into p values (1, 'x,\"y\n', 1.5, '2024-01-01'), (2, null, null, null)")
    connection.execute("create table q (a int, b text, c numeric(10,2), d date)")
    expected = connection.execute("select * from p order by a").fetchall()
    for form in ["text", "csv", "binary", "parquet", "json"]:
        path = tmp_path / f"rows.{form}"
        assert connection.execute(f"copy p to '{path}' (format {form})").statusmessage == "COPY 2"
        assert connection.execute(f"copy q from '{path}' (format {form})").statusmessage == "COPY 2"
        assert connection.execute("select * from q order by a").fetchall() == expected, form
        connection.execute("truncate q")
    parquet = tmp_path / "rows.parquet"
    connection.execute(f"copy q (d, a) from '{parquet}' where a = 1")
    assert connection.execute("select a, b, d from q").fetchall() == [(1, None, expected[0][3])]
    for statement, code in [
        ("copy p from '/does/not/exist.csv' csv", "58P01"),
        ("copy p to 'relative.csv' csv", "42602"),
        ("copy p from program 'true'", "0A000"),
        ("copy p to stdout (format parquet)", "0A000"),
        (f"copy q from '{parquet}' (header)", "0A000"),
        (f"copy q (zz) from '{parquet}'", "42703"),
    ]:
        with pytest.raises(psycopg.Error) as error:
            connection.execute(statement)
        assert error.value.sqlstate == code, statement


def test_rights(servers, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    server = servers(tmp_path / "lake", "--superuser-password-file", str(secret))
    enter = {"host": "127.0.0.1", "port": server.port, "dbname": "sextant", "autocommit": True}
    owner = psycopg.connect(user="sextant", password="secret", **enter)
    owner.execute("create role bob login password 'bob'")
    owner.execute("create table p (a int)")
    owner.execute("insert into p values (1)")
    with psycopg.connect(user="bob", password="bob", **enter) as bob:
        for statement in ["copy p to stdout", "copy p from stdin", f"copy (select 1) to '{tmp_path}/x'"]:
            assert outcomes(bob, statement)[0][0] == "42501", statement
        owner.execute("grant select on p to bob")
        assert copied_out(bob, "copy p to stdout") == b"1\n"
        assert outcomes(bob, "copy p from stdin")[0][0] == "42501"
        owner.execute("grant insert on p to bob")
        assert outcomes(bob, "copy p from stdin", b"2\n") == [(b"COPY 1", [])]


def test_psql_restores_what_pg_dump_writes(server, tmp_path):
    dump = tmp_path / "dump.sql"
    dump.write_text(
        "SET client_encoding = 'UTF8';\nCREATE TABLE public.d (\n    a integer,\n    b text\n);\n"
        "COPY public.d (a, b) FROM stdin;\n1\tx\n2\t\\N\n3\ttab\\there\n\\.\n\nSELECT count(*) FROM public.d;\n"
    )
    csv = tmp_path / "in.csv"
    csv.write_text('a,b\n7,"q\nw"\n8,\n')
    assert psql(server, "-f", str(dump)).endswith("3\n")
    assert psql(server, "-c", f"\\copy d from '{csv}' csv header") == "COPY 2\n"
    assert psql(server, "-c", "\\copy (select * from d where a > 6 order by a) to stdout csv") == '7,"q\nw"\n8,\n'
    out = tmp_path / "out.csv"
    assert psql(server, "-c", f"\\copy d to '{out}' csv header") == "COPY 5\n"
    assert out.read_text().splitlines()[0] == "a,b"


def psql(server, *arguments):
    command = ["psql", "-XAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(server.port), "-U", "ann"]
    done = subprocess.run([*command, "-d", "sextant", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout

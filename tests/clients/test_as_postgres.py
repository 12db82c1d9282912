"""Statements give what Postgres gives, run beside it; see `as_postgres.py`."""

import datetime
import decimal
import pathlib
import uuid

import psycopg
import pytest
from psycopg.types.json import Json, Jsonb

from as_postgres import differences

FILES = sorted((pathlib.Path(__file__).parent / "as_postgres").glob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_as_postgres(path, server, postgres):
    url = postgres.database(f"as_postgres_{path.stem}")
    with server.connect() as ours, psycopg.connect(url, autocommit=True) as theirs:
        if path.stem == "roles":
            ours.execute("create role ann superuser createdb createrole login password 'ann'")
        found = list(differences(path, ours, theirs))
    shown = [f"{statement}\n  sextant  {here}\n  postgres {there}" for statement, _, here, there in found]
    assert not found, "\n".join(shown)


MIDNIGHT = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.date(2024, 1, 1)
WITH_PARAMETERS = [
    ("create table p (i int, b bigint, f float8, n numeric(10,2), t text, d date, ts timestamptz, u uuid)", ()),
    ("insert into p values (%s, %s, %s, %s, %s, %s, %s, %s)",
     (1, 2**40, 1.5, decimal.Decimal("3.25"), "x", DAY, MIDNIGHT, uuid.UUID(int=5))),
    ("insert into p (i, f) values (%s, %s)", (2, 3)),
    ("select i + %s from p where f > %s order by i", (5, 1)),
    ("select i from p where f > %s and n < %s", (decimal.Decimal("1.2"), 4.5)),
    ("select n * %s, f * %s from p where i = 1", (2, decimal.Decimal("2.5"))),
    ("select %s::int + 1, %s::text || 'a', %s", (1, "b", "c")),
    ("select i from p where i = any(%s) order by i", ([1, 2, 3],)),
    ("select i from p where d = %s or ts >= %s order by i", (DAY, MIDNIGHT)),
    ("select i from p where d between %s and %s", (DAY, DAY)),
    ("select i from p where u = %s", (uuid.UUID(int=5),)),
    ("select ts + %s, d + %s from p where i = 1", (datetime.timedelta(days=1), 1)),
    ("select coalesce(f, %s), case when i > %s then %s else 'no' end from p order by i", (0.5, 1, "yes")),
    ("select count(*) from p limit %s offset %s", (1, 0)),
    ("update p set n = n + %s, t = %s where i = %s", (1, "y", 1)),
    ("select * from p where i = %s", (1,)),
    ("select i / %s from p where i = 2", (0,)),
    ("select generate_series(1::bigint, %s)", (3,)),
    ("select date_trunc('month', ts), extract(year from d) from p where i = %s", (1,)),
    ("select t like %s, t in (%s, %s) from p where i = 1", ("y%", "y", "z")),
    ("select i from p where exists (select 1 from p q where q.i = p.i and q.f = %s)", (1.5,)),
    ("delete from p where i = %s returning i", (2,)),
    ("create table docs (i int, j json, b jsonb)", ()),
    ("insert into docs values (%s, %s, %s)", (1, Json({"b": 1, "a": [1]}), Jsonb({"b": 1, "a": [1]}))),
    ("insert into docs values (%s, %s, %s)", (2, '{"x": 1}', '{"x":1}')),
    ("select i, b -> %s, j ->> %s from docs order by i", ("a", "b")),
    ("select i from docs where b @> %s", (Jsonb({"b": 1}),)),
    ("select i from docs where b = %s", (Jsonb({"a": [1], "b": 1}),)),
    ("select jsonb_set(b, %s, %s), b || %s from docs", (["a"], Jsonb(7), Jsonb({"n": None}))),
    ("select %s::jsonb -> 'a', %s -> 'a', to_jsonb(%s::text)", ('{"a":5}', Jsonb({"a": 6}), "x")),
    ("select e from docs, jsonb_array_elements(%s) e order by i", (Jsonb([1, 2]),)),
]


def answer(connection, statement, parameters, binary):
    try:
        cursor = connection.execute(statement, parameters, binary=binary, prepare=True)
    except psycopg.Error as error:
        return error.sqlstate
    if cursor.description is None:
        return cursor.statusmessage
    return [column.type_code for column in cursor.description], cursor.fetchall()


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_parameters_as_postgres(server, postgres, binary):
    url = postgres.database(f"parameters_{binary}")
    with server.connect() as ours, psycopg.connect(url, autocommit=True) as theirs:
        for statement, parameters in WITH_PARAMETERS:
            # A query is run again: from the second time on its plan was made without the values.
            for _ in range(3 if statement.startswith("select") else 1):
                here = answer(ours, statement, parameters, binary)
                assert here == answer(theirs, statement, parameters, binary), statement

r"""psql beside Postgres on the same objects: every `\d` command, what it sends by itself, tab completion."""

import difflib
import os
import re
import subprocess

import pexpect
import pytest

# Patterns keep out what each server has of its own: databases and Sextant's functions and types.
COMMANDS = r"""
\d
\d+
\d people
\d+ people
\d shop.orders
\d+ shop.*
\d rich
\d+ rich
\d+ shop.spent
\d counted
\d+ counted
\d people_name
\d+ people_pkey
\d "Odd Name"
\d public.p*
\d sextant.public.people
\d other.public.people
\d nobody
\dt
\dt+
\dt shop.*
\dt *.orders
\dt nobody
\dtv
\dtS pg_c*
\dv
\dv+
\dv *.spent
\dvS+ pg_t*
\dm
\dm+
\di
\di+
\di shop.*
\dis people*
\ds
\ds+
\dE
\dP
\dP+
\df
\df+
\df pg_catalog.lower
\df+ pg_catalog.lower
\dfa pg_catalog.sum
\dfw pg_catalog.rank
\dfn array_append
\df lower text
\df nobody
\dft suppress*
\da pg_catalog.max
\da
\sf lower(text)
\sf+ pg_catalog.array_append
\sf nobody
\sv rich
\sv+ shop.spent
\dn
\dn+ shop
\du
\du+
\dg
\dg+ writer
\drds
\drds writer
\l sextant
\dp
\dp shop.*
\z people
\ddp
\dx
\dx+
\dT
\dT+
\dT pg_catalog.int*
\dT+ numeric
\dT information_schema.*
\dTS numeric*
\dD
\do
\doS ->>
\do+ && anyarray anyarray
\dO
\dOS C
\dc
\dcS utf8_to_koi8*
\dC
\dC date
\dC+ numeric
\db
\db+
\dA
\dA+
\dAc btree int4
\dAc+ hash
\dAf+ gin
\dAo btree integer_ops
\dAp brin float_minmax_ops
\dF
\dFd
\dFd+ english*
\dFp
\dFt
\dFt+
\dL
\dLS
\dd
\ddS pg_catalog.array_append
\des
\deu
\dew
\det
\dRp
\dRs
\dX
\dy
\dl
\dconfig statement_timeout
\dconfig+ nosuch*
\lo_list
\echo :AUTOCOMMIT :ENCODING
select 1 as a \gdesc
select id, name, at, tags, balance, code from people \gdesc
select name, born, tags, balance, doc, raw, key from people order by id \gx
select 'create table made (a int)' \gexec
select 7 as seven, null as nothing \gset
select :'seven' || 'x', :{?nothing} as given;
select person, day, cents from shop.orders order by 1, 2 \crosstabview
select 1 \; select 2 \; select 3;
select 1/0;
select * from nobody;
select nobody from people;
\copy (select id, name from people order by id) to stdout csv header
\copy made from program 'echo 5'
select * from made;
drop table made;
begin;
savepoint s;
select nobody;
select 1;
rollback to s;
select 2 as two;
commit;
prepare p as select $1::int + 1;
execute p(2);
deallocate p;
\encoding
"""
# Schemas that only one of the servers has; `main` is the lake's own first schema.
OWN_SCHEMAS = ("lake", "main", "ml", "pg_toast")
SIZE = re.compile(r"\b\d+ (bytes|kB|MB)\b")


def commands():
    return [line for line in COMMANDS.splitlines() if line]


def psql(url, script, *options):
    """What a script of psql prints, errors in their places."""
    done = subprocess.run(
        ["psql", "-X", "-P", "pager=off", "-v", "VERBOSITY=default", *options, "-d", url, "-f", "-"],
        input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        env={**os.environ, "PGCLIENTENCODING": "UTF8", "PGPASSWORD": "ann", "LC_ALL": "C.UTF-8"},
    )
    return done.stdout


def told(url):
    """The commands with what psql prints for each."""
    script = "".join(f"\\echo === {number}\n{command}\n" for number, command in enumerate(commands()))
    parts = re.split(r"^=== \d+\n", psql(url, script, "-P", "format=unaligned"), flags=re.MULTILINE)[1:]
    assert len(parts) == len(commands())
    return {command: plain(part) for command, part in zip(commands(), parts)}


def plain(text):
    """Without places in the script, sizes, and lines about schemas that only one server has."""
    text = re.sub(r"psql:<stdin>:\d+: ", "", text)
    lines = [SIZE.sub("SIZE", line) for line in text.splitlines() if line.split("|")[0] not in OWN_SCHEMAS]
    # So has the access method for vectors.
    lines = [line for line in lines if not line.startswith("ivf|")]
    if text.startswith(("List of schemas", "List of access methods")):
        lines = [line for line in lines if not re.fullmatch(r"\(\d+ rows?\)", line)]
    # Ours knows letters beyond ASCII.
    return "\n".join(lines).replace("|C|C.UTF-8|", "|C|C|")


def test_commands(described):
    ours, theirs = (told(url) for url in described)
    lines = []
    for command in commands():
        here, there = (told[command].splitlines() for told in (ours, theirs))
        lines += difflib.unified_diff(there, here, f"{command}  as Postgres has it", f"{command}  as Sextant has it", n=1, lineterm="")
    assert not lines, "\n".join(lines)


# What is typed before the tab key; a bar is a space at the end.
TYPED = r"""
select * from peo
select * from shop.
select * from shop.o
select * from sh
select * from "Od
select * from pg_catalog.pg_names
table ri
update peo
update people set ba
update people set|
insert into shop.
insert into peo
insert into people (
delete from rich
select id from people where|
select id from people where bor
alter table peo
alter table people drop column ma
alter table people rename column|
alter table people alter column sh
alter table people drop constraint|
alter table shop.orders add|
alter view|
alter schema sh
alter role wri
alter index people_
alter materialized view|
alter default privileges for role wri
alter default privileges in schema sh
comment on table|
comment on column people.ma
comment on schema|
create index on peo
create index on people (
create index on people using|
create view nothing as sel
create table one (like peo
create table one (a int references peo
drop table|
drop view|
drop index people_n
drop schema|
drop role wr
drop materialized view|
drop function lower
grant select on|
grant select on peo
grant select on people to re
grant rea
grant usage on schema sh
revoke all on people from wri
reindex table
analyze peo
vacuum shop.
refresh materialized view|
truncate|
explain sel
copy peo
lock table ric
set datest
set search_path to
set session authorization wri
set role rea
show search
reset lock_time
begin isolation level|
select length
declare c cursor for sel
fetch|
\d pe
\d shop.or
\dt sh
\dv|
\di people_
\dn|
\du wr
\dp|
\dT nume
\df pg_catalog.array_app
\da bit_
\sf array_rem
\sv|
\dm|
\copy peo
\c sext
\h create ta
\encoding utf
\pset form
\dFd eng
\dA|
\dL|
\dconfig lock_t
"""
# So that one tab shows all there is, and nothing is asked or coloured.
READLINE = """
set show-all-if-ambiguous on
set completion-query-items 0
set page-completions off
set bell-style none
set enable-bracketed-paste off
set print-completions-horizontally on
set horizontal-scroll-mode off
"""
LINE_START, LINE_END = "\x01", "\x05"


def typed():
    return [line.replace("|", " ") for line in TYPED.splitlines() if line]


def completed(url, folder):
    """What the tab key makes of each line: the line, and the words to choose from."""
    (folder / "inputrc").write_text(READLINE)
    environment = {
        **os.environ, "INPUTRC": str(folder / "inputrc"), "TERM": "dumb", "PGPASSWORD": "ann", "LC_ALL": "C.UTF-8",
        "PSQL_HISTORY": "/dev/null", "PAGER": "cat",
    }
    found = {}
    terminal = pexpect.spawn("psql", ["-X", "-d", url], env=environment, dimensions=(50, 400), encoding="utf-8", timeout=20)
    terminal.delaybeforesend = None
    terminal.expect("sextant=# ")
    terminal.send("\\set PROMPT1 '> '\n")
    terminal.expect("\n> ")
    for text in typed():
        terminal.send(f"{text}\t")
        # The line that the tab key has made becomes what \\echo prints.
        terminal.send(f"{LINE_START}\\echo '[{LINE_END}]'\n")
        terminal.expect(r"\n\[(.*)\]\r\n> ")
        line = terminal.match[1]
        shown = terminal.before.replace("\r", "").splitlines()[1:-1]
        words = {word for shown_line in shown for word in re.split(r"\s{2,}", shown_line)}
        found[text] = (line, sorted(words - {"", "ivf", *OWN_SCHEMAS, *(f"{schema}." for schema in OWN_SCHEMAS)}))
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    return found


def test_completion(described, tmp_path):
    ours, theirs = (completed(url, tmp_path) for url in described)
    for text in typed():
        assert ours[text] == theirs[text], text

r"""pgcli beside Postgres: the program with its `\d` commands, what it loads for completion, and what it offers."""

import os
import pathlib
import re
import subprocess
import sys

from pgcli.completion_refresher import CompletionRefresher
from pgcli.pgcompleter import PGCompleter
from pgcli.pgexecute import PGExecute
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

OWN = ("lake", "main", "ml", "pg_toast")
COMMANDS = r"""
\d
\d people
\d+ people
\d shop.orders
\d rich
\dt
\dt+
\dv
\dm
\di
\ds
\df
\dn public
\dn shop
\du
\dT
\dx
\dp
\dp people
\ddp
\db
\sf pg_catalog.array_append
\l sextant
select id, name, born, tags, balance, doc, raw, key from people order by id;
select person, day, cents from shop.orders order by 1, 2;
begin; select 2 as two; rollback;
select nothing from people;
"""
# What names of our own that fit the letters start with.
OURS = ("ab_", "lake", "ml", "predict")
TYPED = [
    "select * from peo", "select * from shop.", "select  from people|7", "select p. from people p|9", "insert into people (",
    "update shop.orders set ", "select * from people join shop.orders on ", "select * from people p join shop.orders o on o.",
    "drop view ", "select coun", "alter table people drop column ", "select * from people where na", "\\d peo", "grant select on ",
    "create schema s authorization ", "select x::num", "select * from information_schema.tab",
]


def connected(url):
    return PGExecute(dsn=url)


def told(url, folder):
    (folder / "commands").write_text(COMMANDS)
    pgcli = pathlib.Path(sys.executable).parent / "pgcli"
    done = subprocess.run(
        [pgcli, "--pgclirc", folder / "rc", "--less-chatty", "--yes", "-f", folder / "commands", url],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "LC_ALL": "C.UTF-8", "PAGER": "cat"},
    )
    # The zone of either server is that of its machine or its own, as are the classes of characters.
    shown = re.sub(r"Time: .*|Using local time zone .*\n|Use `set time zone .*\n", "", done.stdout)
    shown = re.sub(r"\b\d+ (bytes|kB|MB)\b|C\.UTF-8", "C", shown)
    # Columns are as wide as the widest of these.
    return re.sub(r" +", " ", re.sub(r"-+", "-", shown))


def test_program(described, tmp_path):
    ours, theirs = (told(url, tmp_path) for url in described)
    assert "Ada" in theirs and "buyer" in theirs
    assert ours.splitlines() == theirs.splitlines()


def known(function):
    """What is known of a function: not the names of its arguments' types, nor their defaults."""
    return {name: value for name, value in function.items() if name not in ("arg_types", "arg_defaults")}


def test_what_it_loads(described):
    def read(url):
        executor = connected(url)
        found = {
            "path": executor.search_path(),
            "schemas": [name for name in executor.schemata() if name not in OWN],
            "tables": list(executor.tables()), "views": list(executor.views()),
            "columns": list(executor.table_columns()), "columns of views": list(executor.view_columns()),
            "foreign keys": list(executor.foreignkeys()), "types": list(executor.datatypes()),
            "functions": [vars(function) for function in executor.functions()],
            "view": executor.view_definition("rich").split()[:4],
            "function": executor.function_definition("array_append"),
            "database": "sextant" in executor.databases(),
        }
        # Sextant's own functions and the rows about its own schemas are not in Postgres.
        own = [vars(function)["func_name"] for function in connected(described[1]).functions()]
        found["functions"] = [known(function) for function in found["functions"] if function["func_name"] in own]
        for name in ["tables", "views", "columns", "columns of views", "functions"]:
            found[name] = [row for row in found[name] if isinstance(row, dict) or row[0] not in OWN]
        # Columns of system relations are there; some are of types that are not.
        for name in ["columns", "columns of views"]:
            system = ("information_schema", "pg_catalog")
            found[name] = [row[:3] if row[0] in system else row for row in found[name]]
        return {name: sorted(held, key=str) if isinstance(held, list) else held for name, held in found.items()}

    ours, theirs = (read(url) for url in described)
    for name in theirs:
        assert ours[name] == theirs[name], name


def test_completion(described):
    def offered(url):
        executor = connected(url)
        completer = PGCompleter(smart_completion=True, settings={"casing_file": None})
        for load in CompletionRefresher.refreshers.values():
            load(completer, executor)
        completer.reset_completions, found = None, {}
        for text in TYPED:
            text, _, at = text.partition("|")
            document = Document(text, int(at) if at else len(text))
            texts = (c.text for c in completer.get_completions(document, CompleteEvent()))
            # Defaults of arguments are not known.
            found[text] = sorted({re.sub(r":= \w+", ":= ", text) for text in texts})
        return found

    ours, theirs = (offered(url) for url in described)
    known = set(theirs)
    for text in known:
        new = set(ours[text]) - set(theirs[text])
        assert set(theirs[text]) <= set(ours[text]), text
        assert all(name == "main" or name.startswith(OURS) for name in new), (text, new)

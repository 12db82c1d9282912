"""A dbt project (`dbt/`) against Sextant and, as control, against Postgres: the same tables, types,
comments, statuses and rows affected after every command."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

PROJECT = Path(__file__).parent / "dbt"
# What differs from one run to the next: when rows came to be, and keys made of that.
TIMES = {"dbt_valid_from", "dbt_valid_to", "dbt_updated_at", "dbt_scd_id"}


def shown(value):
    """As text; a numeric by its value to nine digits, which is what one without a scale keeps."""
    return f"{value:.9f}" if isinstance(value, Decimal) else str(value)


class Dbt:
    """A copy of the project beside a database of its own."""

    def __init__(self, folder, port, database):
        self.folder, self.port, self.database = Path(folder), port, database
        shutil.copytree(PROJECT, self.folder)
        self.environment = {
            **os.environ,
            "DBT_PORT": str(port),
            "DBT_USER": "ann",
            "DBT_DATABASE": database,
            "DBT_PROFILES_DIR": str(self.folder),
        }

    def command(self, *arguments):
        return [os.path.join(os.path.dirname(sys.executable), "dbt"), *arguments]

    def run(self, *arguments, **variables):
        """Runs a command and gives (exit status, {node: (status, message, rows)}, output)."""
        arguments = [*arguments, *(["--vars", json.dumps(variables)] if variables else [])]
        results = self.folder / "target" / "run_results.json"
        # `retry` reads what the run before it left.
        if arguments[0] != "retry":
            results.unlink(missing_ok=True)
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
        )
        nodes = {}
        if results.exists():
            for node in json.loads(results.read_text())["results"]:
                response = node["adapter_response"]
                response = {key: response.get(key) for key in ("code", "rows_affected", "_message")}
                nodes[node["unique_id"]] = (node["status"], node["failures"], response)
        return done.returncode, nodes, done.stdout + done.stderr

    def connect(self):
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=self.database, user="ann", autocommit=True
        )

    def rows(self, sql):
        with self.connect() as connection:
            return connection.execute(sql).fetchall()

    def relations(self):
        """(schema, name, kind) of all that dbt made."""
        return self.rows(
            """select n.nspname, c.relname, c.relkind from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
               where n.nspname like 'shop%' and c.relkind in ('r', 'v', 'm') order by 1, 2"""
        )

    def state(self):
        """All that can be seen of what dbt made."""
        relations = self.relations()
        contents = []
        for schema, name, _ in relations:
            with self.connect() as connection:
                found = connection.execute(f'select * from "{schema}"."{name}"')
                names = [column.name for column in found.description]
                kept = [i for i, column in enumerate(names) if column not in TIMES]
                rows = [tuple(shown(row[i]) for i in kept) for row in found.fetchall()]
            contents += [(schema, name, *names)] + [(name, *row) for row in sorted(rows)]
        columns = self.rows(
            """select table_schema, table_name, column_name, data_type, character_maximum_length
               from information_schema.columns where table_schema like 'shop%'
               order by table_schema, table_name, ordinal_position"""
        )
        comments = self.rows(
            """select n.nspname, c.relname, d.objsubid, d.description from pg_description d
               join pg_class c on c.oid = d.objoid and d.classoid = 'pg_catalog.pg_class'::regclass
               join pg_namespace n on n.oid = c.relnamespace
               where n.nspname like 'shop%' order by 1, 2, 3"""
        )
        indexes = self.rows(
            """select tablename, regexp_replace(indexdef, '^.* USING ', '') from pg_indexes
               where schemaname like 'shop%' order by 1, 2"""
        )
        return {
            "relations": relations,
            "contents": contents,
            "columns": columns,
            "comments": comments,
            "indexes": indexes,
        }


@pytest.fixture
def both(servers, postgres, tmp_path):
    """The project on Sextant and on Postgres."""
    server = servers(tmp_path / "lake", "--database", "shop")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("drop database if exists shop")
    postgres.database("shop")
    return (
        Dbt(tmp_path / "on_sextant", server.port, "shop"),
        Dbt(tmp_path / "on_postgres", postgres.port, "shop"),
    )


def same(both, *arguments, status=0, **variables):
    """Runs a command on both; what it says and leaves is the same."""
    ours, control = both
    got, expected = ours.run(*arguments, **variables), control.run(*arguments, **variables)
    assert expected[0] == status, expected[2]
    nodes = {**expected[1], **got[1]}
    pairs = {node: (got[1].get(node), expected[1].get(node)) for node in nodes}
    assert {node: pair for node, pair in pairs.items() if pair[0] != pair[1]} == {}
    assert got[0] == expected[0], got[2]
    found, wanted = ours.state(), control.state()
    for part, expected in wanted.items():
        left = [entry for entry in found[part] if entry not in expected]
        right = [entry for entry in expected if entry not in found[part]]
        assert (left, right) == ([], []), (arguments, part)
        assert found[part] == expected, (arguments, part)
    return got


CHANGES = [
    "update shop.raw_orders set status = 'lost', ordered_at = '2024-06-01' where id = 3",
    "insert into shop.raw_orders values (6, 1, 1.25, '2024-06-02 07:00', 'placed', 'new')",
    "delete from shop.raw_orders where id = 2",
]


def test_project_as_on_postgres(both):
    same(both, "seed")
    same(both, "build")
    for dbt in both:
        with dbt.connect() as connection:
            for sql in CHANGES:
                connection.execute(sql)
    # Seeds would undo the changes.
    same(both, "build", "--exclude", "resource_type:seed", round=2)
    same(both, "build", "--exclude", "resource_type:seed", round=2)
    same(both, "run", "--full-refresh", round=3)
    # Seeds and models at once would race: seeds drop the views that read them.
    same(both, "seed", "--full-refresh")
    same(both, "build", round=2)


def test_failing_model_leaves_the_old_table(both):
    same(both, "seed")
    same(both, "run")
    status, nodes, output = same(both, "run", status=1, fail=True)
    assert nodes["model.shop.fragile"][0] == "error", output
    for dbt in both:
        names = [name for _, name, _ in dbt.relations()]
        assert not [name for name in names if "__dbt_tmp" in name or "__dbt_backup" in name]
        assert dbt.rows("select count(*) from shop.fragile") == [(5,)]
    # What failed is done again, and nothing else.
    status, nodes, _ = same(both, "retry", "--vars", '{"fail": false}')
    assert [node for node in nodes if node.startswith("model.")] == ["model.shop.fragile"]
    # A column more is not taken by on_schema_change: fail.
    status, nodes, _ = same(both, "run", "--select", "strict", status=1, widen=True)
    assert nodes["model.shop.strict"][0] == "error"


def test_other_commands(both):
    same(both, "seed")
    same(both, "run")
    for dbt in both:
        assert dbt.run("debug")[0] == 0
        status, _, output = dbt.run("run-operation", "count_orders")
        assert status == 0 and "orders: 5" in output, output
        status, _, output = dbt.run("show", "--inline", "select id from {{ ref('orders') }}")
        assert status == 0 and "| id |" in output, output
        status, _, output = dbt.run("source", "freshness")
        assert status == 0 and "WARN freshness of shop.raw_orders" in output, output
    same(both, "compile")
    catalogs = []
    for dbt in both:
        status, _, output = dbt.run("docs", "generate")
        assert status == 0, output
        catalog = json.loads((dbt.folder / "target" / "catalog.json").read_text())
        nodes = {**catalog["nodes"], **catalog["sources"]}
        # Every numeric has a precision here, which the README says.
        text = re.sub(r"numeric\(\d+,\d+\)", "numeric", json.dumps(nodes))
        catalogs.append(json.loads(text))
    assert catalogs[0] == catalogs[1]
    # As many as the control lists.
    assert len(catalogs[1]) == 19


SLOW = """
select count(*) as n from generate_series(1, 100000) a(i), generate_series(1, 100000) b(j)
where a.i + b.j = -1
"""


def test_interrupted_run_stops_its_queries(both):
    """Ctrl-C and --fail-fast call pg_terminate_backend for the connections that are at work."""
    for dbt in both:
        (dbt.folder / "models" / "slow.sql").write_text(
            "{{ config(materialized='table') }}" + SLOW
        )
        process = subprocess.Popen(
            dbt.command("run", "--select", "slow"),
            cwd=dbt.folder,
            env=dbt.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running = """select count(*) from pg_stat_activity
                     where query like '%%generate_series(1, 100000)%%' and pid <> pg_backend_pid()
                     and state = 'active'"""
        deadline = time.monotonic() + 90
        while dbt.rows(running) == [(0,)]:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "CANCEL" in output.upper(), output
        deadline = time.monotonic() + 10
        while dbt.rows(running) != [(0,)]:
            assert time.monotonic() < deadline, output
            time.sleep(0.2)
        assert [name for _, name, _ in dbt.relations() if "slow" in name] == []

"""pgbench: its own tables and scripts, in its three modes, as on Postgres."""

import re
import subprocess

import psycopg
import pytest

MODES = ["simple", "extended", "prepared"]
# Rows of a branch of pgbench; the default of 100,000 is for measuring.
SCALE = 1


def pgbench(url, *options):
    done = subprocess.run(
        ["pgbench", *options, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def figure(output, name):
    return int(re.search(rf"{name}: (\d+)", output)[1])


@pytest.fixture
def pair(server, postgres, request):
    return server.url(), postgres.database(f"pgbench_{re.sub('[^a-z]', '_', request.node.name)}")


@pytest.mark.parametrize("steps", ["dtgvp", "dtGvp"], ids=["from the client", "from the server"])
def test_initialization(pair, steps):
    def made(url):
        pgbench(url, "-i", "-q", "-I", steps, "-s", str(SCALE))
        with psycopg.connect(url, autocommit=True) as connection:
            return [
                connection.execute(f"select count(*), min({key}), max({key}) from pgbench_{table}").fetchone()
                for table, key in [("accounts", "aid"), ("branches", "bid"), ("tellers", "tid")]
            ] + connection.execute("select conname from pg_constraint where contype = 'p' and conname like 'pgbench%' order by 1").fetchall()

    ours, theirs = map(made, pair)
    assert ours == theirs


def test_transactions(pair):
    """After transfers by several clients all four tables hold the same sum, in every mode."""
    for url in pair:
        pgbench(url, "-i", "-q", "-I", "dtGvp", "-s", str(SCALE))
        for mode in MODES:
            # Two that change one row: the second is refused with 40001 and tries again.
            told = pgbench(url, "-n", "-M", mode, "-c", "3", "-j", "1", "-t", "8", "--max-tries", "100")
            assert figure(told, "number of transactions actually processed") == 24
            assert figure(told, "number of failed transactions") == 0
            told = pgbench(url, "-n", "-M", mode, "-b", "simple-update", "-c", "1", "-t", "5")
            assert figure(told, "number of transactions actually processed") == 5
            told = pgbench(url, "-n", "-M", mode, "-S", "-c", "4", "-j", "1", "-t", "20")
            assert figure(told, "number of transactions actually processed") == 80
        with psycopg.connect(url, autocommit=True) as connection:
            sums = connection.execute("""select (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches),
                (select sum(delta) from pgbench_history where tid is not null), (select count(*) from pgbench_history)""").fetchone()
            assert sums[0] == sums[1]
            assert sums[3] == 3 * (24 + 5)
            accounts = connection.execute("select sum(abalance) from pgbench_accounts").fetchone()[0]
            assert accounts == sums[2]


SCRIPT = r"""
\set a random(1, 100)
\set b :a * 2 + 1
begin;
select :a::int + :b as total, 'x' as name \gset
\if :total > 0
select count(*) as rows from pgbench_branches where bid <= :total \gset seen_
\endif
end;
"""
PIPELINE = r"""
\startpipeline
select 1;
select count(*) from pgbench_tellers;
select 2;
\endpipeline
"""


def test_scripts(pair, tmp_path):
    for url in pair:
        pgbench(url, "-i", "-q", "-I", "dtGvp", "-s", str(SCALE))
        for mode in MODES:
            (tmp_path / "script").write_text(SCRIPT)
            told = pgbench(url, "-n", "-M", mode, "-f", str(tmp_path / "script"), "-t", "10", "-r")
            assert figure(told, "number of transactions actually processed") == 10
        (tmp_path / "pipeline").write_text(PIPELINE)
        for mode in MODES[1:]:
            told = pgbench(url, "-n", "-M", mode, "-f", str(tmp_path / "pipeline"), "-t", "10")
            assert figure(told, "number of transactions actually processed") == 10

"""dbt's own adapter tests, against Sextant or, as control, against Postgres.

`SEXTANT_DBT=all` runs all of them on both; otherwise those named in `SHORT` run on Sextant alone.
"""

import inspect
import os

import psycopg
import pytest
from dbt.tests.fixtures.project import *  # noqa: F403 - the package's fixtures are this suite's

from conftest import Server

# The files of the part that runs always.
SHORT = {"test_basic.py", "test_materialized_view.py"}
ALL = os.environ.get("SEXTANT_DBT") == "all"
# Some tests compare with statements that name a database `dbt`.
DATABASE = "dbt"


def pytest_ignore_collect(collection_path):
    if collection_path.name.startswith("test_") and not ALL:
        return collection_path.name not in SHORT
    return None


@pytest.fixture(scope="session")
def sextant(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("dbt") / "lake", "--database", DATABASE)
    yield running
    running.stop()


@pytest.fixture(scope="class", params=["sextant", "postgres"] if ALL else ["sextant"])
def dbt_profile_target(request):
    running = request.getfixturevalue(request.param)
    if request.param == "postgres":
        control(running)
    return {
        "type": "postgres",
        "threads": 4,
        "host": "127.0.0.1",
        "port": running.port,
        "user": "ann",
        "pass": "unused",
        "dbname": DATABASE,
    }


def control(postgres):
    try:
        postgres.database(DATABASE)
    except psycopg.errors.DuplicateDatabase:
        pass


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("logs"))
    os.environ["DBT_LOG_PATH"] = folder
    yield folder
    del os.environ["DBT_LOG_PATH"]


@pytest.fixture(scope="class")
def test_data_dir(request):
    """Files that a class of the package brings along."""
    theirs = [of for of in request.cls.__mro__ if of.__module__.startswith("dbt.tests.adapter.")]
    return os.path.join(os.path.dirname(inspect.getfile(theirs[0])), "data")

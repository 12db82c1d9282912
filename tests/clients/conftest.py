"""A server for each test, on a free port and a folder of its own."""

import os
import pathlib
import re
import signal
import subprocess

import psycopg
import pytest

from postgres import Postgres


class Server:
    """A running server; `kill` is what a power cut is to it, `start` starts it again."""

    def __init__(self, data, *options, **environment):
        self.data, self.options, self.environment = str(data), options, environment
        self.start()

    def start(self, **environment):
        command = [os.environ["SEXTANT_BINARY"], "serve", "--listen", "127.0.0.1:0", "--data", self.data]
        command += self.options
        environment = {**self.environment, **environment}
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            found = re.search(r"ready on 127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                return
        raise AssertionError("the server did not start: " + "".join(seen))

    def connect(self, **options):
        options = {"autocommit": True, **options}
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname="sextant", user="ann", **options
        )

    def url(self, user="ann"):
        return f"postgres://{user}@127.0.0.1:{self.port}/sextant"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "lake")
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture
def servers():
    """Makes servers as a test wants them."""
    running = []

    def start(data, *options, **environment):
        running.append(Server(data, *options, **environment))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def postgres():
    running = Postgres()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def described(postgres, tmp_path_factory):
    """URLs of a server and of Postgres that hold the objects of `described.sql`, to be read only."""
    statements = (pathlib.Path(__file__).parent / "described.sql").read_text()
    theirs = postgres.database("sextant").replace("ann@", "ann:ann@")
    running = Server(tmp_path_factory.mktemp("described"))
    with running.connect() as ours, psycopg.connect(theirs, autocommit=True) as control:
        # From the first role on a password is asked for, so that each client also logs in by one.
        ours.execute("create role ann superuser createdb createrole replication bypassrls login password 'ann'")
        # What Postgres comes with and we do not.
        control.execute("drop extension plpgsql")
        for connection in [ours, control]:
            connection.execute(statements)
    yield running.url("ann:ann"), theirs
    running.stop()

"""A Postgres server of the tests' own: the catalog of some, the oracle of others."""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

import psycopg


class Postgres:
    """A cluster in a folder of its own; Postgres does not run as root, then it runs as `postgres`."""

    def __init__(self):
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self.folder = tempfile.mkdtemp(prefix="sextant-postgres-")
        if self.user:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", self.data, "-U", "ann", "--locale=C", "--encoding=UTF8", "-A", "trust")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = f"-p {self.port} -k {self.folder} -c fsync=off -c listen_addresses=127.0.0.1"
        log = os.path.join(self.folder, "log")
        self.run("pg_ctl", "-D", self.data, "-o", options, "-l", log, "-w", "start")

    def run(self, program, *arguments):
        path = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))[-1:] or [program]
        subprocess.run(
            [*self.user, *path, *arguments], check=True, cwd=self.folder, stdout=subprocess.DEVNULL
        )

    def database(self, name):
        """Makes a database and gives its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        return self.url(name)

    def url(self, database):
        return f"postgres://ann@127.0.0.1:{self.port}/{database}"

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

"""Statements give what Postgres gives, run beside it; see `as_postgres.py`."""

import pathlib

import psycopg
import pytest

from as_postgres import differences

FILES = sorted((pathlib.Path(__file__).parent / "as_postgres").glob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_as_postgres(path, server, postgres):
    url = postgres.database(f"as_postgres_{path.stem}")
    with server.connect() as ours, psycopg.connect(url, autocommit=True) as theirs:
        found = list(differences(path, ours, theirs))
    shown = [f"{statement}\n  sextant  {here}\n  postgres {there}" for statement, _, here, there in found]
    assert not found, "\n".join(shown)

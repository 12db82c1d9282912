"""Runs statements here and in Postgres and says where the two differ.

A file of `as_postgres/` holds statements, each ended by a semicolon at the end of a line. Column names,
type oids, rows (as the text that psql shows, in order) and SQLSTATEs must be the same; of an error also the
fields that name a schema, table, column or constraint, and the row that it fails for. A statement that must not be the same has its reason
before it:

    -- differs: numeric has 38 digits
    select 1e40::numeric;

`python as_postgres.py FILE… SEXTANT_DSN POSTGRES_DSN` prints the differences.
"""

import re
import sys

import psycopg

TOLD = [
    psycopg.pq.DiagnosticField.SQLSTATE,
    psycopg.pq.DiagnosticField.SCHEMA_NAME,
    psycopg.pq.DiagnosticField.TABLE_NAME,
    psycopg.pq.DiagnosticField.COLUMN_NAME,
    psycopg.pq.DiagnosticField.CONSTRAINT_NAME,
]


def statements(path):
    """(statement, reason why it differs or None)"""
    found, lines, reason = [], [], None
    for line in path.read_text().splitlines():
        if line.startswith("-- differs:"):
            reason = line.removeprefix("-- differs:").strip()
        if not line.strip() or line.startswith("--"):
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            found.append(("\n".join(lines), reason))
            lines, reason = [], None
    assert not lines, f"{path}: the last statement has no semicolon"
    return found


def outcome(connection, statement):
    """What a client sees of a statement: its columns, rows and tag, or its SQLSTATE."""
    result = connection.pgconn.exec_(statement.encode())
    if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        told = [(result.error_field(field) or b"-").decode() for field in TOLD]
        detail = (result.error_field(psycopg.pq.DiagnosticField.MESSAGE_DETAIL) or b"").decode()
        return "error " + " ".join(told) + (detail if detail.startswith("Failing row") else "")
    columns = [(result.fname(c).decode(), result.ftype(c)) for c in range(result.nfields)]
    text = lambda value: None if value is None else value.decode()
    rows = [
        tuple(text(result.get_value(row, column)) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]
    return columns, rows, (result.command_status or b"").decode()


def differences(path, ours, theirs):
    """(statement, reason, ours, theirs) of every statement whose outcomes differ or should."""
    for statement, reason in statements(path):
        here, there = outcome(ours, statement), outcome(theirs, statement)
        if (here == there) == (reason is not None):
            yield statement, reason, here, there
        # From the second run on the plan of the first is used; a sequence would go on.
        if not re.search("nextval|insert|update|delete", statement, re.I) and isinstance(here, tuple) and here[0] and here[2].startswith("SELECT"):
            for again in [outcome(ours, statement), outcome(ours, statement)]:
                if again != here:
                    yield statement, "run again", again, here


if __name__ == "__main__":
    import pathlib

    *files, ours, theirs = sys.argv[1:]
    with psycopg.connect(ours, autocommit=True) as ours, psycopg.connect(theirs, autocommit=True) as theirs:
        for file in files:
            for statement, reason, here, there in differences(pathlib.Path(file), ours, theirs):
                print(statement)
                if here == there:
                    print("   the same now:", here)
                elif isinstance(here, tuple) and isinstance(there, tuple):
                    for a, b in zip(here, there):
                        if a != b:
                            print(f"   sextant  {a}\n   postgres {b}")
                else:
                    print(f"   sextant  {here}\n   postgres {there}")

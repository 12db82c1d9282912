"""COPY through libpq, so that every message and every field of an error is seen."""

from psycopg import pq

FIELDS = [
    pq.DiagnosticField.SQLSTATE, pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.CONTEXT,
]
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def outcomes(connection, statement, data=b"", fail=None):
    """What a message of statements answers: tags with rows, lists of CopyData, errors.

    `data` is what COPY FROM gets, in one message or, as a list, in several; `fail` ends it by CopyFail.
    """
    connection.pgconn.send_query(statement.encode())
    found = []
    while (result := connection.pgconn.get_result()) is not None:
        if result.status == pq.ExecStatus.COPY_IN:
            for part in data if isinstance(data, list) else [data]:
                connection.pgconn.put_copy_data(part)
            connection.pgconn.put_copy_end(fail)
        elif result.status == pq.ExecStatus.COPY_OUT:
            found.append(list(received(connection)))
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            found.append(tuple((result.error_field(field) or b"").decode() for field in FIELDS))
        else:
            rows = range(result.ntuples)
            cells = [[result.get_value(row, at) for at in range(result.nfields)] for row in rows]
            found.append((result.command_status, cells))
    return found


def received(connection):
    while True:
        length, data = connection.pgconn.get_copy_data(0)
        if length <= 0:
            return
        yield bytes(data)


def copied_out(connection, statement):
    """All bytes that COPY TO STDOUT sends."""
    return b"".join(outcomes(connection, statement)[0])

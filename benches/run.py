"""Runs `queries/*.sql` and prints a JSON line for each: what a statement costs here, beside nobody.

    SEXTANT_BINARY=…/release/sextant python benches/run.py [name…]

A file is a query under a header of comments:

    -- setup: CREATE TABLE t AS …      run once before, may stand on several lines
    -- rows: 10000000                  how many rows the query reads or writes
    -- repeat: 20                      how often it is run; a first run is not counted

Each file has a server of its own on an empty folder. Rows of an answer are read from the socket and
dropped, so that a client's memory and speed do not matter. Peak memory is the server's (VmHWM) while the
query runs, idle memory its resident size before.
"""

import json
import pathlib
import socket
import statistics
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "peers"))

from server import server  # noqa: E402

QUERIES = pathlib.Path(__file__).parent / "queries"


class Wire:
    """A connection that throws rows away."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb", buffering=1 << 20)
        startup = struct.pack("!i", 196608) + b"user\0ann\0database\0sextant\0\0"
        self.socket.sendall(struct.pack("!i", len(startup) + 4) + startup)
        self.drain()

    def run(self, query):
        text = query.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
        self.drain()

    def drain(self):
        while True:
            kind, length = struct.unpack("!ci", self.stream.read(5))
            body = self.stream.read(length - 4)
            if kind == b"E":
                raise RuntimeError(body.replace(b"\0", b" ").decode())
            if kind == b"Z":
                return


def parsed(path):
    """(setup statements, rows, repeats, query)"""
    setup, rows, repeat, query = [], None, 10, []
    for line in path.read_text().splitlines():
        if line.startswith("-- setup:"):
            setup.append(line.removeprefix("-- setup:").strip())
        elif line.startswith("-- rows:"):
            rows = int(line.removeprefix("-- rows:"))
        elif line.startswith("-- repeat:"):
            repeat = int(line.removeprefix("-- repeat:"))
        elif not line.startswith("--"):
            query.append(line)
    return setup, rows, repeat, "\n".join(query).strip().rstrip(";")


def resident_mb(process, what):
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return round(int(line.split()[1]) / 1000, 1)
    raise RuntimeError(f"no {what}")


def measure(path):
    setup, rows, repeat, query = parsed(path)
    with server() as (running, _):
        wire = Wire(running.port)
        for statement in setup:
            wire.run(statement)
        wire.run(query)
        process = running.process.pid
        idle = resident_mb(process, "VmRSS")
        pathlib.Path(f"/proc/{process}/clear_refs").write_text("5")
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            wire.run(query)
            times.append(time.perf_counter() - start)
        median = statistics.median(times)
        return {
            "query": path.stem,
            "n": repeat,
            "median_ms": round(median * 1e3, 3),
            "p99_ms": round(sorted(times)[int(0.99 * (repeat - 1))] * 1e3, 3),
            "rows_per_s": round(rows / median) if rows else None,
            "before_mb": idle,
            "peak_mb": resident_mb(process, "VmHWM"),
        }


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for path in sorted(QUERIES.glob("*.sql")):
        if not wanted or path.stem in wanted:
            print(json.dumps(measure(path)), flush=True)

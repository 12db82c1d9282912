"""Starts a release server for a benchmark and measures its memory."""

import contextlib
import os
import re
import subprocess
import tempfile
import time

import psutil
import psycopg


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    return os.environ.get("SEXTANT_BINARY", f"{target}/release/sextant")


class Server:
    def __init__(self, data, *options):
        started = time.perf_counter()
        command = [binary(), "serve", "--listen", "127.0.0.1:0", "--data", data, *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"ready on 127\.0\.0\.1:(\d+)", line)
            if found:
                break
        else:
            raise SystemExit("the server did not start")
        self.ready_s = time.perf_counter() - started
        self.port = int(found[1])

    def connect(self):
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="bench", dbname="sextant", autocommit=True
        )

    def resident_mb(self):
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1e3

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@contextlib.contextmanager
def server(*options):
    with tempfile.TemporaryDirectory() as data:
        running = Server(data, *options)
        try:
            yield running, data
        finally:
            running.stop()

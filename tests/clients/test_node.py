"""Applications on node's `pg` and `postgres`, beside Postgres: `node/*.js` tell what they saw."""

import json
import os
import pathlib
import subprocess

import pytest

SCRIPTS = pathlib.Path(__file__).parent / "node"


def told(script, url):
    environment = {**os.environ, "NODE_PATH": os.environ["SEXTANT_NODE_MODULES"], "TZ": "UTC"}
    done = subprocess.run(
        ["node", SCRIPTS / script, url], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("script", ["pg.js", "postgres.js"])
def test_node(script, server, postgres):
    ours, theirs = server.url(), postgres.database(f"node_{script}")
    for number, (here, there) in enumerate(zip(told(script, ours), told(script, theirs), strict=True)):
        assert here == there, number

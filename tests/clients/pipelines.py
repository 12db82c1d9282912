"""Runs a pipeline file as the demo does: its steps in order, `:data` and `:request` put in."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "sql" / "pipelines"
DATA = FOLDER / "data"
DEMO = ["first_look.sql", "features.sql", "recommender.sql"]


def run(connection, path, data=DATA):
    text = Path(path).read_text().replace(":data", str(data))
    text = text.replace(":request", (FOLDER / "request.sql").read_text())
    for step in re.split("^-- step: ", text, flags=re.MULTILINE)[1:]:
        connection.execute(step.split("\n", 1)[1])


def run_demo(connection):
    for name in DEMO:
        run(connection, FOLDER / name)

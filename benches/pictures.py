"""Pictures of the demo, from a real run: its terminal, and how long its request takes.

    pip install rich matplotlib
    python benches/pictures.py …/release/sextant sql/pipelines

writes `demo.svg`, the last pipeline as the terminal shows it, and `latency.svg`, the share of
requests that are answered within a time, from 1 and from 16 connections.
"""

import csv
import io
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from rich import terminal_theme
from rich.console import Console
from rich.text import Text

BUDGET_MS = 100
WIDTH = 112


def run(binary, folder):
    """The demo's output, and milliseconds by number of connections."""
    latencies = Path(folder) / "latencies.csv"
    command = [binary, "demo", "--exit", "--listen", "127.0.0.1:0", "--data", f"{folder}/lake"]
    done = subprocess.run([*command, "--latencies", latencies], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    times = defaultdict(list)
    with latencies.open() as file:
        for row in csv.DictReader(file):
            times[int(row["connections"])].append(float(row["milliseconds"]))
    return done.stdout, times


def terminal(output, path):
    start = output.index("Models over the shop")
    shown = Text("… two pipelines before\n\n" + output[start:].rstrip())
    shown.highlight_regex(r"(?m)^\[\d+/\d+\].*$", "bold cyan")
    shown.highlight_regex(r"(?m)^\S[^\[\n].*$", "bold")
    shown.highlight_regex(r"(?m)^ +-[- ]*$|^ +[\d.]+ ms$", "bright_black")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(shown, soft_wrap=False)
    picture = console.export_svg(title="make demo EXIT=1", theme=terminal_theme.MONOKAI)
    # Fonts are the reader's own: a picture fetches nothing.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))


def latency(times, path):
    matplotlib.rcParams.update({"svg.hashsalt": "sextant", "font.family": "sans-serif"})
    figure, axes = pyplot.subplots(figsize=(8, 4.8))
    for connections, taken in sorted(times.items()):
        taken.sort()
        share = [(n + 1) / len(taken) for n in range(len(taken))]
        p50, p99 = (taken[max(0, -(-len(taken) * p // 100) - 1)] for p in (50, 99))
        plural = "connection" if connections == 1 else "connections"
        label = f"{connections} {plural}: p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(taken)} requests)"
        axes.step(taken, share, where="post", label=label)
    axes.axvline(BUDGET_MS, color="0.4", linestyle="--", label=f"budget, {BUDGET_MS} ms")
    axes.axhline(0.99, color="0.8", linewidth=0.8)
    axes.set(
        xscale="log", xlabel="milliseconds from the request to the last row",
        ylabel="share of requests", ylim=(0, 1.01),
        title="One request: user vector, nearest items, features now, ranked",
    )  # fmt: skip
    axes.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    binary, folder = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        output, times = run(binary, scratch)
    terminal(output, folder / "demo.svg")
    latency(times, folder / "latency.svg")
    print(output[output.index("The request again") :])


if __name__ == "__main__":
    main()

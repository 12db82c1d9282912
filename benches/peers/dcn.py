"""Deep and cross networks beside boosted trees and linear models: the same rows and columns, in one run.

    python benches/peers/dcn.py [threads] [sets] [name=value ...]           1 all

The last are options of the network. Sets, halves and environment are those of `gbdt.py`, and so are its modules;
a set of more than two classes or of ranked groups is left out. Defaults of CREATE MODEL, but 100 trees without early
stopping for gbdt; the network holds a tenth of the training rows out to stop early. A linear model has a column for
each code of a category. Seconds are of the processor, all threads together, the least of two trainings.
"""

import os
import sys
import tempfile

from gbdt import SETS, Ours, codes, quality, split

MODELS = {"linear": {"l2": 1e-4}, "gbdt": {}, "dcn": {}}


def main():
    words = [word for word in sys.argv[1:] if "=" not in word]
    threads = int(words[0]) if words else 1
    MODELS["dcn"] = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    print(f"{threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| set | training rows x columns (categorical) | measure | "
          + " | ".join(f"{model} | s" for model in MODELS) + " | scored by dcn, M rows/s |")
    print("|---|---|---" + "|---|---" * len(MODELS) + "|---|")
    for name in words[1].split(",") if len(words) > 1 else SETS:
        try:
            table, label, objective, _ = SETS[name]()
        except FileNotFoundError as error:
            print(f"| {name} | skipped: {error} |")
            continue
        if objective in ("binary", "regression"):
            print(compare(name, table, label, objective, threads), flush=True)


def compare(name, table, label, objective, threads):
    values, kinds = codes(table)
    label = label.to_numpy().astype(float)
    order, training, _ = split(len(label), None)
    rows = (values[order], label[order], kinds, training)
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        for model, options in MODELS.items():
            ours = Ours(model, folder, rows, objective, options, threads)
            ours.train()
            ours.train()
            measure, value = quality(objective, label[order][training:], ours.predictions, None)
            cells.append(f"{value:.4f} | {ours.seconds:.2f}")
    return (f"| {name} | {training:,} x {len(kinds)} ({kinds.count('c')}) | {measure} | " + " | ".join(cells)
            + f" | {ours.scored / 1e6:.2f} |")


if __name__ == "__main__":
    main()

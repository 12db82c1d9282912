"""Maps of embeddings beside umap-learn on the same vectors: what stays near, and seconds.

    python benches/peers/maps.py [digits] [clustered] [text]

    MAPS_BINARY   the release example: cargo build --release -p kernels --example maps
    MAPS_THREADS  of ours and of umap-learn without a seed, which uses one thread with one; 2
    ANN_TEXT      a folder whose *.rs and *.md files are the text of kind `text`

Needs numpy, scikit-learn and umap-learn. `digits` is scikit-learn's (1,797 x 64); `clustered` and
`text` are 20,000 x 128 as `ann.py` makes them. Both sides have their defaults: 15 neighbours,
min_dist 0.1, L2 for digits and cosine for the others. They take turns, three seeds each; umap-learn
has compiled itself on other rows before.

Trustworthiness is scikit-learn's, for 2,000 of the rows among all; overlap is the mean share of the
15 nearest rows that are among the 15 nearest points.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

import ann

K = 15
ASKED = 2000
SEEDS = 3
THREADS = os.environ.get("MAPS_THREADS", "2")
BINARY = os.environ.get("MAPS_BINARY", "target/release/examples/maps")


def main():
    os.environ["NUMBA_NUM_THREADS"] = THREADS
    import umap

    for kind in sys.argv[1:] or ["digits", "clustered", "text"]:
        rows, metric = digits() if kind == "digits" else (getattr(ann, kind)(20_000, 128, 1)[0], "cosine")
        rows = np.ascontiguousarray(rows, "<f4")
        truth = Truth(rows, metric)
        warm = np.random.default_rng(0).normal(size=(5000, rows.shape[1])).astype("f4")
        umap.UMAP(metric=metric, n_epochs=5).fit(warm)
        umap.UMAP(metric=metric, n_epochs=5, random_state=1).fit(warm)
        print(f"{kind}: {len(rows)} x {rows.shape[1]}, {metric}; umap-learn {umap.__version__}; "
              f"load {os.getloadavg()[0]:.2f}", flush=True)
        sides = {"ours": ours, f"umap-learn, {THREADS} threads": peer(umap, False), "umap-learn, a seed": peer(umap, True)}
        results = {name: [] for name in sides}
        for seed in range(SEEDS):
            for name, side in sides.items():
                places, seconds = side(rows, metric, seed)
                results[name].append((*truth.of(places), seconds))
                print(f"  {name}: trustworthiness {results[name][-1][0]:.4f}, "
                      f"overlap {results[name][-1][1]:.4f}, {seconds:.2f} s", flush=True)
        for name, measured in results.items():
            trust, overlap, _ = np.mean(measured, axis=0)
            seconds = min(seconds for *_, seconds in measured)
            print(f"| {kind} | {name} | {trust:.4f} | {overlap:.3f} | {seconds:.2f} |", flush=True)


def digits():
    return load_digits().data, "euclidean"


def ours(rows, metric, seed):
    with tempfile.TemporaryDirectory() as folder:
        given, out = os.path.join(folder, "rows"), os.path.join(folder, "places")
        rows.tofile(given)
        name = {"euclidean": "l2"}.get(metric, metric)
        command = [BINARY, given, str(rows.shape[1]), name, THREADS, out, f"seed={seed}"]
        told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        return np.fromfile(out, "<f4").reshape(-1, 2), told["seconds"]


def peer(umap, seeded):
    def run(rows, metric, seed):
        start = time.time()
        given = {"random_state": seed, "n_jobs": 1} if seeded else {"n_jobs": int(THREADS)}
        places = umap.UMAP(metric=metric, **given).fit_transform(rows)
        return places, time.time() - start
    return run


class Truth:
    """Ranks of all rows as some of them see them."""

    def __init__(self, rows, metric):
        count = len(rows)
        asked = np.random.default_rng(0).choice(count, min(ASKED, count), replace=False)
        distances = pairwise_distances(rows[asked], rows, metric=metric)
        distances[np.arange(len(asked)), asked] = -1
        order = np.argsort(distances, axis=1, kind="stable")
        self.asked, self.count = asked, count
        self.ranks = np.empty_like(order, dtype=np.int32)
        np.put_along_axis(self.ranks, order, np.arange(count, dtype=np.int32)[None], axis=1)

    def of(self, places):
        near = NearestNeighbors(n_neighbors=K + 1).fit(places).kneighbors(places[self.asked])[1]
        ranks = np.array([[of[other] for other in others if other != row][:K]
                          for row, others, of in zip(self.asked, near, self.ranks)])
        behind = np.maximum(0, ranks - K).sum()
        worst = len(self.asked) * K * (2 * self.count - 3 * K - 1) / 2
        return 1 - behind / worst, np.mean(ranks <= K)


if __name__ == "__main__":
    main()

"""Boosted trees beside LightGBM: the same rows, columns, parameters and number of threads, in one run.

    python benches/peers/gbdt.py [threads] [sets]           1 all

    TABULAR_BINARY   the release example: cargo build --release -p kernels --example tabular
    TABULAR_DATA     the folder of the parquet files; a set whose file is not there is skipped

Needs lightgbm, pandas, pyarrow and scikit-learn beside `requirements.txt`.

Sets are real tables with a random half (seed 1) as test, text columns as native categories, missing values
left in. Parameters are LightGBM's defaults for each set but for those in `SETS`. Each side trains twice, in
turns, and the least time counts; LightGBM's includes its own binning, as ours does. Times are of the processor,
all threads together, which other work on the machine adds little to; with several threads LightGBM waits in loops
that count too. AUC, RMSE,
log loss and NDCG are computed here for both. `scored` is rows a second and core, LightGBM's with one thread.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

BINARY = os.environ.get("TABULAR_BINARY", "target/release/examples/tabular")
DATA = os.environ.get("TABULAR_DATA", "../shared/data")


def lending():
    table = read("lending_club")
    return table.drop(columns="Class"), table["Class"] == "bad", "binary", {}


def phishing():
    table = read("phishing")
    return table.drop(columns="is_phishing"), table["is_phishing"], "binary", {}


def employment():
    table = read("acs_employment_ma")
    table = table[table["employed"].notna()]
    drop = ["employed", "prediction", "predicted_probability", "id", "period"]
    return table.drop(columns=drop), table["employed"], "binary", {}


def visits():
    table = read("randhie")
    return table.drop(columns="mdvis"), table["mdvis"], "regression", {}


def flights():
    """Late by more than a quarter of an hour, from what is known before."""
    table = read("nycflights_flights")
    table = table[table["arr_delay"].notna()]
    columns = ["month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "origin", "dest",
               "distance", "dep_time"]
    return table[columns], table["arr_delay"] > 15, "binary", {}


def delays():
    table, _, _, options = flights()
    delay = read("nycflights_flights")["arr_delay"]
    return table, delay[delay.notna()].clip(-60, 240), "regression", {"num_leaves": 255, **options}


def carriers():
    """Which of the carriers flies, by times and places."""
    table = read("nycflights_flights")
    columns = ["month", "sched_dep_time", "sched_arr_time", "origin", "dest", "distance", "air_time"]
    return table[columns], pd.Series(pd.factorize(table["carrier"])[0]), "multiclass:16", {"num_iterations": 20}


def made():
    """400,000 rows of 20 made-up columns: the size that the time is for, not the quality."""
    random = np.random.default_rng(5)
    values = random.normal(size=(400_000, 20))
    values[random.random(values.shape) < 0.05] = np.nan
    known = np.nan_to_num(values)
    score = known[:, 0] + known[:, 1] * known[:, 2] + np.sin(2 * known[:, 3]) + np.abs(known[:, 4])
    label = score + random.normal(size=len(score)) > 1
    return pd.DataFrame(values).add_prefix("x"), pd.Series(label), "binary", {}


def clicks():
    """Grades of films for each user, which is what ranks; a user's rows are a group."""
    ratings, films = read("mlsmall_ratings"), read("mlsmall_items")
    table = ratings.merge(films, on="item_id").sort_values(["user_id", "ts"], kind="stable")
    mean = ratings.groupby("item_id")["rating"].agg(["mean", "count"])
    table = table.merge(mean, on="item_id").sort_values(["user_id", "ts"], kind="stable")
    values = pd.DataFrame({
        "year": table["year"].astype(float), "count": table["count"], "hour": table["ts"].dt.hour,
        "genres": table["genres"].map(len), "first": table["genres"].map(lambda g: g[0] if len(g) else None),
    })
    return values, (table["rating"] >= 4).astype(int), "lambdarank", {"groups": table["user_id"]}


SETS = {"lending_club": lending, "phishing": phishing, "acs_employment": employment, "randhie": visits,
        "flights late": flights, "flights delay": delays, "flights carrier": carriers, "films": clicks,
        "made up": made}


def read(name):
    path = os.path.join(DATA, name + ".parquet")
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    return pd.read_parquet(path)


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    wanted = sys.argv[2].split(",") if len(sys.argv) > 2 else SETS
    print(f"lightgbm {lightgbm.__version__}, {threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| set | training rows x columns (categorical) | measure | LightGBM | ours | train s | ours | ours to it "
          "| scored, M rows/s | ours |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in wanted:
        try:
            print(compare(name, *SETS[name](), threads), flush=True)
        except FileNotFoundError as error:
            print(f"| {name} | skipped: {error} |")


def compare(name, table, label, objective, options, threads):
    options = dict(options)
    groups = options.pop("groups", None)
    values, kinds = codes(table)
    label = label.to_numpy().astype(float)
    order, training, sizes = split(len(label), groups)
    values, label = values[order], label[order]
    options = {"num_iterations": 100, "num_leaves": 31, "learning_rate": 0.1, **options}
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours("gbdt", folder, (values, label, kinds, training), objective, options, threads, sizes)
        peer = Peer(values, label, kinds, training, objective, options, sizes, threads)
        for _ in range(2):
            ours.train()
            peer.train()
    test = label[training:]
    group = None if groups is None else groups.to_numpy()[order][training:]
    measure, a = quality(objective, test, peer.predictions, group)
    _, b = quality(objective, test, ours.predictions, group)
    return (f"| {name} | {training:,} x {len(kinds)} ({kinds.count('c')}) | {measure} | {a:.4f} | {b:.4f} | "
            f"{peer.seconds:.2f} | {ours.seconds:.2f} | {ours.seconds / peer.seconds:.2f} | "
            f"{peer.scored / 1e6:.2f} | {ours.scored / 1e6:.2f} |")


def codes(table):
    """Numbers as they are, texts as codes; NaN where missing."""
    columns, kinds = [], ""
    for name in table:
        column = table[name]
        numeric = pd.api.types.is_numeric_dtype(column)
        kinds += "n" if numeric else "c"
        if not numeric:
            column = pd.Series(pd.factorize(column)[0]).astype(float).replace(-1, np.nan)
        columns.append(column.to_numpy(dtype=float, na_value=np.nan))
    return np.column_stack(columns), kinds


def split(rows, groups):
    """An order of the rows, how many of them train, and the sizes of training groups."""
    random = np.random.default_rng(1)
    if groups is None:
        return random.permutation(rows), rows // 2, None
    train = random.permutation(groups.unique())[::2]
    is_train = groups.isin(train).to_numpy()
    order = np.concatenate([np.flatnonzero(is_train), np.flatnonzero(~is_train)])
    sizes = groups[is_train].groupby(groups[is_train], sort=False).size().to_numpy()
    return order, int(is_train.sum()), sizes


def quality(objective, label, predicted, group):
    if objective == "binary":
        return "AUC", roc_auc_score(label, predicted)
    if objective == "regression":
        return "RMSE", float(np.sqrt(np.mean((label - predicted) ** 2)))
    if objective == "lambdarank":
        of = [np.flatnonzero(group == g) for g in np.unique(group)]
        scores = [ndcg_score([label[g]], [predicted[g]], k=10) for g in of if len(g) > 1 and label[g].any()]
        return "NDCG@10", float(np.mean(scores))
    return "log loss", log_loss(label, predicted.reshape(len(label), -1), labels=range(predicted.shape[-1]))


class Ours:
    def __init__(self, model, folder, rows, objective, options, threads, sizes=None):
        values, label, kinds, training = rows
        path = lambda name: os.path.join(folder, name)
        values.T.astype("<f8").tofile(path("values"))
        label.astype("<f8").tofile(path("labels"))
        extra = [f"{name}={value}" for name, value in options.items()]
        if sizes is not None:
            sizes.astype("<f8").tofile(path("groups"))
            extra.append("groups=" + path("groups"))
        self.words = [BINARY, model, path("values"), path("labels"), kinds, str(training), path("out"), str(threads),
                      objective, *extra]
        self.out, self.seconds, self.scored = path("out"), float("inf"), 0.0
        self.classes = int(objective.split(":")[1]) if ":" in objective else None

    def train(self):
        told = json.loads(subprocess.run(self.words, check=True, capture_output=True, text=True).stdout)
        self.seconds = min(self.seconds, told["train_cpu_s"])
        self.scored = max(self.scored, told["rows"] / told["score_cpu_s"])
        self.predictions = np.fromfile(self.out, "<f8")
        if self.classes:
            self.predictions = self.predictions.reshape(-1, self.classes)


class Peer:
    def __init__(self, values, label, kinds, training, objective, options, sizes, threads):
        self.rows = (values[:training], label[:training])
        self.test, self.sizes = np.ascontiguousarray(values[training:]), sizes
        self.categories = [i for i, kind in enumerate(kinds) if kind == "c"]
        name, _, classes = objective.partition(":")
        self.options = {"objective": name, "num_threads": threads, "verbosity": -1, **options}
        if classes:
            self.options["num_class"] = int(classes)
        self.rounds = self.options.pop("num_iterations")
        self.seconds, self.scored = float("inf"), 0.0

    def train(self):
        start = time.process_time()
        data = lightgbm.Dataset(*self.rows, group=self.sizes, categorical_feature=self.categories)
        model = lightgbm.train(self.options, data, self.rounds)
        self.seconds = min(self.seconds, time.process_time() - start)
        start = time.process_time()
        self.predictions = model.predict(self.test, num_threads=1)
        self.scored = max(self.scored, len(self.test) / (time.process_time() - start))


if __name__ == "__main__":
    main()

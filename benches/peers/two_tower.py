"""Retrieval models on the same interactions beside PyTorch and NumPy: quality and examples a second.

    python benches/peers/two_tower.py DATA [flights]

    TOWERS_BINARY   the release example: cargo build --release -p kernels --example towers
    TOWERS_THREADS  of ours and of PyTorch; 2
    TOWERS_PEERS    which, with commas; all by default

Needs numpy and pyarrow beside `requirements.txt`, and torch for the peers of that name.

DATA is the folder with `mlsmall_*.parquet` (MovieLens latest-small: ratings of 4 and more are
positives) or, for `flights`, `nycflights_flights.parquet` (which plane flies which flight number; a
pair counts when it comes first). The last fifth of each user's by time is the test, rounded down;
all items are ranked but those that the user had before.

PyTorch trains the same model on the same rows: history of the user's other items with the same
limit and dropout, item id, genres and years, unit vectors, temperature 0.2, full logQ, known
positives masked, 512 a batch, Adam of 0.003 falling to nothing (SparseAdam, which like ours leaves rows alone
that no example touches; `torch_dense` has dense gradients and Adam). Its epochs are as many as ours
took. NumPy's factorisation is a dense solve per row.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq

KS = [20, 50, 100]
NULL = 2**64 - 1
THREADS = os.environ.get("TOWERS_THREADS", "2")
BINARY = os.environ.get("TOWERS_BINARY", "target/release/examples/towers")


def main():
    folder = sys.argv[1]
    data = flights(folder) if "flights" in sys.argv[2:] else films(folder)
    wanted = os.environ.get("TOWERS_PEERS", "popularity,als,numpy_als,two_tower,torch,torch_dense").split(",")
    rows = []
    with tempfile.TemporaryDirectory() as written:
        write(data, written)
        epochs = 8
        for name in wanted:
            if name in ("popularity", "als", "two_tower"):
                out = subprocess.run([BINARY, written, name, THREADS], capture_output=True, text=True, check=True)
                row = json.loads(out.stdout.splitlines()[-1])
                epochs = row.get("epochs", epochs)
            else:
                row = {"model": name} | globals()[name](data, epochs)
            rows.append(row)
            print(json.dumps(row), flush=True)
        for peer in filter(lambda name: name.startswith("torch"), wanted):
            print("examples/s of a training alone, taking turns with", peer)
            for _ in range(2):
                options = ["early_stop=false", "epochs=4"]
                out = subprocess.run([BINARY, written, "two_tower", THREADS, *options], capture_output=True, text=True)
                ours = json.loads(out.stdout.splitlines()[-1])["examples_per_s"]
                theirs = globals()[peer](data, 2)["examples_per_s"]
                print(f"  ours {ours:.0f}  theirs {theirs:.0f}  ratio {ours / theirs:.2f}", flush=True)


def split(users, items, times):
    order = np.lexsort((items, times, users))
    users, items, times = users[order], items[order], times[order]
    test = np.zeros(len(users), bool)
    ends = np.flatnonzero(np.r_[True, users[1:] != users[:-1], True])
    for start, end in zip(ends[:-1], ends[1:]):
        test[end - (end - start) // 5:end] = True
    part = lambda kept: (users[kept], items[kept], times[kept])
    return part(~test), part(test)


def films(folder):
    ratings = pq.read_table(f"{folder}/mlsmall_ratings.parquet").to_pydict()
    kept = np.array(ratings["rating"]) >= 4
    times = np.array([at.timestamp() for at in ratings["ts"]]).astype(np.int64)
    train, test = split(np.array(ratings["user_id"])[kept], np.array(ratings["item_id"])[kept], times[kept])
    about = pq.read_table(f"{folder}/mlsmall_items.parquet").to_pydict()
    names = sorted({genre for genres in about["genres"] for genre in genres or []})
    genres = [[names.index(genre) for genre in genres or []] for genres in about["genres"]]
    years = [NULL if year is None else int(year) // 5 for year in about["year"]]
    return {"train": train, "test": test, "catalogue": np.array(about["item_id"]),
            "features": [("list", "genres", genres), ("category", "years", years)]}


def flights(folder):
    table = pq.read_table(f"{folder}/nycflights_flights.parquet").to_pydict()
    planes = {name: n for n, name in enumerate(sorted({p for p in table["tailnum"] if p}))}
    numbers = [f"{carrier}{flight}" for carrier, flight in zip(table["carrier"], table["flight"])]
    catalogue = {name: n for n, name in enumerate(sorted(set(numbers)))}
    times = np.array([np.datetime64(at[:19]) for at in table["time_hour"]]).astype("datetime64[s]").astype(np.int64)
    first, about = {}, {}
    for row in np.argsort(times, kind="stable"):
        if table["tailnum"][row]:
            first.setdefault((planes[table["tailnum"][row]], catalogue[numbers[row]]), times[row])
        about.setdefault(catalogue[numbers[row]], row)
    pairs = np.array(list(first))
    train, test = split(pairs[:, 0], pairs[:, 1], np.array(list(first.values())))
    features = []
    for name in ("carrier", "dest", "origin"):
        values = sorted(set(table[name]))
        column = [values.index(table[name][about[item]]) for item in range(len(catalogue))]
        features.append(("category", name, column))
    return {"train": train, "test": test, "catalogue": np.arange(len(catalogue)), "features": features}


def write(data, folder):
    def save(name, values, kind):
        np.asarray(values, dtype=kind).tofile(f"{folder}/{name}")

    for part in ("train", "test"):
        users, items, times = data[part]
        save(f"{part}.users", users, "<u8")
        save(f"{part}.items", items, "<u8")
        save(f"{part}.times", times, "<i8")
    save("catalogue.items", data["catalogue"], "<u8")
    place = {item: n for n, item in enumerate(data["catalogue"].tolist())}
    rows = {"train": [place[item] for item in data["train"][1].tolist()], "catalogue": range(len(place))}
    with open(f"{folder}/features", "w") as file:
        for kind, name, values in data["features"]:
            print("item", kind, name, file=file)
            for part, numbers in rows.items():
                column = [values[n] for n in numbers]
                if kind == "list":
                    save(f"{part}.{name}.ends", np.cumsum([len(x) for x in column]), "<u8")
                    save(f"{part}.{name}.keys", [x for row in column for x in row], "<u8")
                else:
                    save(f"{part}.{name}", np.array(column, dtype=np.uint64), "<u8")


def numbered(data):
    """Users and items as places, and the sets of what is seen and wanted."""
    place = {item: n for n, item in enumerate(data["catalogue"].tolist())}
    known = {user: n for n, user in enumerate(sorted(set(data["train"][0].tolist())))}
    users = np.array([known[user] for user in data["train"][0].tolist()])
    items = np.array([place[item] for item in data["train"][1].tolist()])
    wanted = {}
    for user, item in zip(data["test"][0].tolist(), data["test"][1].tolist()):
        wanted.setdefault(known[user], set()).add(place[item])
    return users, items, wanted, len(known), len(place)


def metrics(scores_of, users, items, wanted):
    seen = {}
    for user, item in zip(users, items):
        seen.setdefault(user, []).append(item)
    sums, gain = {}, 1 / np.log2(np.arange(max(KS)) + 2)
    for user, relevant in wanted.items():
        scores = scores_of(user).copy()
        scores[seen[user]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:max(KS)]
        hits = np.array([item in relevant for item in best], float)
        for k in KS:
            sums[f"recall@{k}"] = sums.get(f"recall@{k}", 0) + hits[:k].sum() / len(relevant)
            ideal = gain[:min(k, len(relevant))].sum()
            sums[f"ndcg@{k}"] = sums.get(f"ndcg@{k}", 0) + (hits[:k] * gain[:k]).sum() / ideal
    return {name: round(total / len(wanted), 4) for name, total in sums.items()}


def numpy_als(data, _, dim=64, regularisation=0.007, alpha=0.2, sweeps=16):
    users, items, wanted, user_count, item_count = numbered(data)
    random = np.random.default_rng(1)
    sides = [random.normal(size=(n, dim)) * 0.1 / np.sqrt(dim) for n in (user_count, item_count)]
    taken = [[[] for _ in range(user_count)], [[] for _ in range(item_count)]]
    for user, item in zip(users, items):
        taken[0][user].append(item)
        taken[1][item].append(user)
    start = time.time()
    for _ in range(sweeps):
        for side in (0, 1):
            other = sides[1 - side]
            gramian = alpha * other.T @ other
            for row, own in enumerate(taken[side]):
                rows = other[own]
                more = regularisation * (len(own) + alpha * len(other))
                sides[side][row] = np.linalg.solve(gramian + rows.T @ rows + more * np.eye(dim), rows.sum(0))
    seconds = time.time() - start
    return metrics(lambda user: sides[1] @ sides[0][user], users, items, wanted) | {"train_s": round(seconds, 2)}


def torch_dense(data, epochs):
    return torch(data, epochs, sparse=False)


def torch(data, epochs, sparse=True, dim=64, temperature=0.2, batch=512, limit=100, dropout=0.2, rate=0.003):
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(int(THREADS))
    users, items, wanted, user_count, item_count = numbered(data)
    # Histories and items' tokens are flat arrays with the places where rows end, so that a batch is
    # put together without a loop.
    order = np.lexsort((-np.arange(len(users)), users))
    history = (items[order], np.r_[0, np.cumsum(np.bincount(users, minlength=user_count))])
    sizes, content = [], []
    for kind, _, values in data["features"]:
        lists = values if kind == "list" else [[] if x == NULL else [x] for x in values]
        first = 3 + item_count + sum(sizes)
        sizes.append(max((x for row in lists for x in row), default=0) + 1)
        content.append([([first + x for x in row], len(row)) for row in lists])
    # One table: what users share, what items share, the unknown item, items, values of features.
    table = torch.nn.EmbeddingBag(3 + item_count + sum(sizes), dim, mode="sum", sparse=sparse)
    torch.nn.init.uniform_(table.weight, -0.1, 0.1)
    own = [[1, 3 + item] for item in range(item_count)]
    shares = [[1.0, 1.0] for _ in range(item_count)]
    for column in content:
        for item, (rows, count) in enumerate(column):
            own[item] += rows
            shares[item] += [max(count, 1) ** -0.5] * count
    own_ends = np.r_[0, np.cumsum([len(x) for x in own])]
    own, shares = np.concatenate(own), np.concatenate(shares).astype(np.float32)

    def ranges(ends, rows):
        """Places of all elements of rows, and which row each is of."""
        lengths = ends[rows + 1] - ends[rows]
        row = np.repeat(np.arange(len(rows)), lengths)
        return np.repeat(ends[rows] - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(len(row)), row

    def sums(flat, weights, row, count):
        ends = torch.from_numpy(np.searchsorted(row, np.arange(count)))
        total = table(torch.from_numpy(flat), ends, per_sample_weights=torch.from_numpy(weights))
        return torch.nn.functional.normalize(total, dim=1)

    def user_vectors(flat, row, count):
        share = np.maximum(np.bincount(row, minlength=count), 1).astype(np.float32) ** -0.5
        first = np.arange(count)
        order = np.argsort(np.r_[first, row], kind="stable")
        weights = np.r_[np.ones(count, np.float32), share[row]][order]
        return sums(np.r_[np.zeros(count, np.int64), 3 + flat][order], weights, np.r_[first, row][order], count)

    def item_vectors(rows):
        places, row = ranges(own_ends, rows)
        return sums(own[places], shares[places], row, len(rows))

    random = np.random.default_rng(1)
    log_share = np.log(np.bincount(items, minlength=item_count) / len(items) + 1e-30).astype(np.float32)
    taken = np.zeros((user_count, item_count), bool)
    taken[users, items] = True
    adam = torch.optim.SparseAdam if sparse else torch.optim.Adam
    optimizer = adam(list(table.parameters()), lr=rate)
    steps = epochs * -(-len(users) // batch)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    start = time.time()
    for _ in range(epochs):
        order = random.permutation(len(users))
        for first in range(0, len(order), batch):
            rows = order[first:first + batch]
            places, row = ranges(history[1], users[rows])
            length = (history[1][users[rows] + 1] - history[1][users[rows]])[row]
            share = (1 - dropout) * np.minimum(1, limit / length)
            kept = (history[0][places] != items[rows][row]) & (random.random(len(row)) < share)
            left = user_vectors(history[0][places[kept]], row[kept], len(rows))
            right = item_vectors(items[rows])
            logits = left @ right.T / temperature - torch.from_numpy(log_share[items[rows]])
            known = taken[users[rows][:, None], items[rows][None, :]]
            np.fill_diagonal(known, False)
            logits = logits.masked_fill(torch.from_numpy(known), -1e30)
            loss = torch.nn.functional.cross_entropy(logits, torch.arange(len(rows)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
    seconds = time.time() - start
    with torch.no_grad():
        places, row = ranges(history[1], np.arange(user_count))
        newest = places - history[1][row] < limit
        left = user_vectors(history[0][places[newest]], row[newest], user_count).numpy()
        right = item_vectors(np.arange(item_count)).numpy()
    found = metrics(lambda user: right @ left[user], users, items, wanted)
    speed = round(len(users) * epochs / seconds)
    return found | {"epochs": epochs, "train_s": round(seconds, 2), "examples_per_s": speed,
                    "version": torch.__version__}


if __name__ == "__main__":
    main()

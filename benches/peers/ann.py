"""Nearest neighbours beside FAISS, ScaNN, hnswlib and usearch: the same vectors, one run, one thread.

    python benches/peers/ann.py [rows] [dimension] [kind] [queries]      100000 128 clustered 500

    ANN_BINARY   the release example: cargo build --release -p kernels --example ann
    ANN_PEERS    which peers, with commas; all by default
    ANN_TEXT     a folder whose *.rs and *.md files are the text of kind `text`

Needs numpy beside `requirements.txt`, scikit-learn for text, and for the peers faiss-cpu, scann, hnswlib, usearch.

Kind `clustered`: few hidden dimensions bent into many by a random network (local intrinsic dimension
10 to 20), unit length, inner product; queries come from a second network near the first, as a user
tower's do: they are out of the rows' distribution. Kind `text`: TF-IDF of real paragraphs, reduced by
SVD; queries are short: a few words of a paragraph.

Recall is by distance (a row as near as the 100th true one counts). Every engine sweeps its own
settings; the table gives the quickest that reaches 0.95 and 0.99, and beside each peer the ratio of
ours (the quicker of both orders), measured again right after it. Times are of one query a call, one
thread, in the engine's own process: C++ peers through Python add about 0.005 ms.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

K = 100
GOALS = [0.95, 0.99]


def main():
    given = sys.argv[1:]
    rows, dimension, kind, queries = (given + ["100000", "128", "clustered", "500"][len(given):])[:4]
    rows, dimension, queries = int(rows), int(dimension), int(queries)
    base, asked = {"clustered": clustered, "text": text}[kind](rows, dimension, queries)
    base, asked = unit(base), unit(asked)
    truth, last = exact(base, asked)
    lid = intrinsic(base, truth)
    print(f"{len(base)} rows, {dimension} dimensions, {kind}; intrinsic dimension {lid:.1f}; "
          f"load {os.getloadavg()[0]:.2f}", flush=True)
    wanted = os.environ.get("ANN_PEERS", "faiss_pq,scann,hnswlib,faiss_hnsw,usearch,faiss_flat")
    with tempfile.TemporaryDirectory() as folder:
        results = ours(base, asked, truth, folder, True)
        for name in filter(None, wanted.split(",")):
            try:
                results.append(globals()[name](base, asked, last))
            except Exception as error:  # a peer that is not installed or fails is told, not hidden
                print(name, "failed:", repr(error)[:200])
                continue
            # Ours again, right after: the machine is never quiet, and only neighbours compare.
            again = ours(base, asked, truth, folder, False)
            both = again[0][3] + again[1][3]
            results[-1] = (*results[-1], [best(both, goal) for goal in GOALS])
            print(line(results[-1]), flush=True)
    print(f"\nload {os.getloadavg()[0]:.2f}\n")
    table(results)


def clustered(rows, dimension, queries, hidden=32, middle=256):
    random = np.random.default_rng(1)
    first = random.normal(size=(hidden, middle)) / np.sqrt(hidden)
    second = random.normal(size=(middle, dimension)) / np.sqrt(middle)
    centres = random.normal(size=(max(rows // 200, 64), hidden))

    def tower(count, spread, change):
        at = centres[random.integers(len(centres), size=count)]
        at = at + spread * random.normal(size=at.shape)
        one = first + change * random.normal(size=first.shape) / np.sqrt(hidden)
        two = second + change * random.normal(size=second.shape) / np.sqrt(middle)
        out = np.concatenate([
            np.maximum(part @ one * 2, 0) @ two for part in np.array_split(at, count // 10000 + 1)])
        return out + 0.02 * random.normal(size=out.shape)

    return tower(rows, 0.8, 0), tower(queries, 0.9, 0.15)


def text(rows, dimension, queries):
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    random = np.random.default_rng(1)
    paragraphs = []
    folder = os.environ["ANN_TEXT"]
    for name in sorted(glob.glob(folder + "/**/*.*", recursive=True)):
        if not name.endswith((".rs", ".md")):
            continue
        with open(name, errors="ignore") as file:
            words = " ".join(part.strip(" /!*#`") for part in file
                             if name.endswith(".md") or part.strip().startswith("//")).split()
        paragraphs += [" ".join(words[i:i + 40]) for i in range(0, len(words) - 20, 40)]
        if len(paragraphs) > 4 * rows:
            break
    # Copies of a paragraph are ties of any length, which measure nothing.
    paragraphs = sorted(set(paragraphs))
    random.shuffle(paragraphs)
    paragraphs = paragraphs[:rows + queries]
    asked = [" ".join(random.choice(p.split(), 6)) for p in paragraphs[rows:]]
    tfidf = TfidfVectorizer(max_features=50000, sublinear_tf=True)
    words = tfidf.fit_transform(paragraphs[:rows])
    svd = TruncatedSVD(dimension, n_iter=2, random_state=1).fit(words)
    return svd.transform(words), svd.transform(tfidf.transform(asked))


def unit(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = vectors[lengths[:, 0] > 1e-6] / lengths[lengths[:, 0] > 1e-6]
    return np.ascontiguousarray(kept, dtype=np.float32)


def exact(base, asked):
    truth = np.empty((len(asked), K), np.uint32)
    for i in range(0, len(asked), 50):
        scores = asked[i:i + 50] @ base.T
        best = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        truth[i:i + 50] = np.take_along_axis(best, order, 1)
    last = np.array([base[truth[i, -1]] @ asked[i] for i in range(len(asked))])
    return truth, last


def intrinsic(base, truth):
    """Maximum likelihood estimate (Levina and Bickel) around the nearest row of each query."""
    out = []
    for neighbours in truth[:100]:
        distances = np.linalg.norm(base - base[neighbours[0]], axis=1)
        distances = np.sort(distances)[1:K + 1]
        distances = distances[distances > 1e-6]
        out.append(-1 / np.mean(np.log(distances[:-1] / distances[-1])))
    return float(np.median(out))


def ours(base, asked, truth, folder, is_first):
    """Our engine's points; the first time it builds, and measures filters, batches and scans."""
    names = [os.path.join(folder, name) for name in ["rows", "queries", "truth", "segment"]]
    if is_first:
        for name, values in zip(names, [base, asked, truth]):
            values.tofile(name)
    more = os.environ.get("ANN_OPTIONS", "filters batch exact").split() if is_first else []
    command = [os.environ["ANN_BINARY"], *names[:3], str(base.shape[1]), "ip",
               os.environ.get("ANN_THREADS", "2"), f"segment={names[3]}", *more]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = [json.loads(one) for one in output.splitlines()]
    build = {"build_s": 0, "bytes_per_vector": 0}
    if is_first:
        build = lines[0]
        for one in lines:
            print(json.dumps(one))
    results = []
    for order in ["second look", "exact last"]:
        points = [(one["recall"], one["p50_us"] / 1000, one["p99_us"] / 1000, one["target"])
                  for one in lines if one.get("order") == order]
        bytes_ = build["bytes_per_vector"] + (0 if order == "second look" else base.shape[1] * 4)
        results.append((f"ours, {order}", build["build_s"], bytes_, points))
    return results


def sweep(asked, base, last, ask, settings):
    """(recall, median ms, p99 ms, setting) for each setting of `ask(query, setting)`."""
    points = []
    for setting in settings:
        times, hits = [], 0
        for i in range(10):
            ask(asked[i:i + 1], setting)
        for i in range(len(asked)):
            query = asked[i:i + 1]
            start = time.perf_counter()
            found = ask(query, setting)
            times.append(time.perf_counter() - start)
            found = np.unique(np.asarray(found).reshape(-1).astype(np.int64))
            found = found[(found >= 0) & (found < len(base))]
            hits += min(K, int((base[found] @ asked[i] >= last[i] - 1e-6).sum()))
        points.append((hits / len(asked) / K, np.median(times) * 1e3,
                       np.percentile(times, 99) * 1e3, setting))
        if points[-1][0] > 0.997:
            break
    return points


def faiss_pq(base, asked, last):
    import faiss

    faiss.omp_set_num_threads(2)
    lists = 1 << int(np.ceil(np.log2(4 * np.sqrt(len(base)))))
    start = time.perf_counter()
    index = faiss.index_factory(base.shape[1], f"IVF{lists},PQ{base.shape[1] // 2}x4fsr,Refine(SQfp16)",
                                faiss.METRIC_INNER_PRODUCT)
    index.train(base[np.random.default_rng(0).permutation(len(base))[:lists * 64]])
    index.add(base)
    build = time.perf_counter() - start
    faiss.omp_set_num_threads(1)
    inner = faiss.downcast_index(index.base_index)

    def ask(query, setting):
        inner.nprobe, index.k_factor = setting
        return index.search(query, K)[1]

    # By cost, so that a sweep can end at the first good enough.
    grid = [(p, f) for p in [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512] for f in [2, 3, 5, 8]]
    points = []
    for factor in [2, 3, 5, 8]:
        points += sweep(asked, base, last, ask, [s for s in grid if s[1] == factor])
    per = base.shape[1] // 4 + 8 + base.shape[1] * 2
    return (f"FAISS IVF{lists},PQx4fsr + fp16", build, per, points)


def faiss_hnsw(base, asked, last):
    import faiss

    faiss.omp_set_num_threads(2)
    start = time.perf_counter()
    index = faiss.IndexHNSWFlat(base.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(base)
    build = time.perf_counter() - start
    faiss.omp_set_num_threads(1)

    def ask(query, setting):
        index.hnsw.efSearch = setting
        return index.search(query, K)[1]

    points = sweep(asked, base, last, ask, [100, 140, 200, 300, 450, 700, 1000])
    return ("FAISS HNSW32", build, base.shape[1] * 4 + 272, points)


def faiss_flat(base, asked, last):
    import faiss

    faiss.omp_set_num_threads(1)
    start = time.perf_counter()
    index = faiss.IndexFlatIP(base.shape[1])
    index.add(base)
    build = time.perf_counter() - start
    points = sweep(asked[:50], base, last, lambda q, _: index.search(q, K)[1], [0])
    return ("FAISS Flat", build, base.shape[1] * 4, points)


def scann(base, asked, last):
    import scann as library

    start = time.perf_counter()
    leaves = int(2 * np.sqrt(len(base)))
    builder = library.scann_ops_pybind.builder(base, K, "dot_product")
    builder = builder.tree(leaves, 100, training_sample_size=min(len(base), 250000))
    searcher = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(300).build()
    build = time.perf_counter() - start

    def ask(query, setting):
        found, _ = searcher.search(query[0], K, setting[1], setting[0])
        return found

    points = []
    for reorder in [150, 200, 300, 500, 800]:
        leaves_searched = [6, 10, 16, 24, 32, 48, 64, 96, 128, 200, 300]
        points += sweep(asked, base, last, ask, [(n, reorder) for n in leaves_searched])
    return ("ScaNN", build, base.shape[1] * 4 + 32, points)


def hnswlib(base, asked, last):
    import hnswlib as library

    start = time.perf_counter()
    index = library.Index("ip", base.shape[1])
    index.init_index(len(base), ef_construction=200, M=16)
    index.add_items(base, num_threads=2)
    build = time.perf_counter() - start
    index.set_num_threads(1)

    def ask(query, setting):
        index.set_ef(setting)
        return index.knn_query(query, K)[0]

    points = sweep(asked, base, last, ask, [100, 140, 200, 300, 450, 700, 1000])
    return ("hnswlib M16", build, base.shape[1] * 4 + 148, points)


def usearch(base, asked, last):
    from usearch.index import Index

    start = time.perf_counter()
    index = Index(ndim=base.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=200)
    index.add(np.arange(len(base)), base, threads=2)
    build = time.perf_counter() - start

    def ask(query, setting):
        index.expansion_search = setting
        return index.search(query[0], K, threads=1).keys

    points = sweep(asked, base, last, ask, [100, 140, 200, 300, 450, 700, 1000])
    return ("usearch f32 M16", build, base.shape[1] * 4 + 148, points)


def best(points, goal):
    return min((p for p in points if p[0] >= goal), key=lambda p: p[1], default=None)


def line(result):
    name, build, bytes_, points = result[:4]
    beside = result[4] if len(result) > 4 else [None] * len(GOALS)
    cells = []
    for goal, mine in zip(GOALS, beside):
        point = best(points, goal)
        cells.append(f"{point[1]:.3f} (p99 {point[2]:.3f}, recall {point[0]:.3f})" if point else "never")
        cells.append(f"{mine[1] / point[1]:.2f}" if point and mine else "")
    return f"| {name} | {' | '.join(cells)} | {build:.1f} | {bytes_:.0f} |"


def table(results):
    print("| engine | p50 ms at 0.95 | ours to it | p50 ms at 0.99 | ours to it "
          "| build s, 2 threads | bytes a vector |")
    print("|---|---|---|---|---|---|---|")
    for result in results:
        print(line(result))


if __name__ == "__main__":
    main()

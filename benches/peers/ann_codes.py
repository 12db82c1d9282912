"""How many rows each code of a residual leaves to look at again: what decided the index's format.

    python benches/peers/ann_codes.py FOLDER DIMENSION [name…]

FOLDER holds `rows` and `queries` (raw f32) as `ann.py` makes them. Every code takes 4 bits for 2
dimensions, RaBitQ's also 4 bytes for a factor. The numbers: for how many rows, ranked by the code's
estimate over *all* rows, are 95 % and 99 % of the true 100 nearest among them; the estimate's error
against the deviation of true scores. Then: what second numbers lose, and what spilling saves.
"""

import sys

import faiss
import numpy as np

K = 100


def main():
    folder, dimension = sys.argv[1], int(sys.argv[2])
    base = np.fromfile(folder + "/rows", np.float32).reshape(-1, dimension)
    queries = np.fromfile(folder + "/queries", np.float32).reshape(-1, dimension)[:200]
    lists = 1 << int(np.ceil(np.log2(4 * np.sqrt(len(base)))))
    means = faiss.Kmeans(dimension, lists, niter=10, seed=1, max_points_per_centroid=64)
    means.train(base)
    assigned = means.index.search(base, 1)[1][:, 0]
    residuals = base - means.centroids[assigned]
    scores = queries @ base.T
    coarse = queries @ means.centroids.T
    truth = np.argpartition(-scores, K, axis=1)[:, :K]
    print("| code | rows for 0.95 | rows for 0.99 | error |\n|---|---|---|---|")
    for name, decode in CODES.items():
        if sys.argv[3:] and name not in sys.argv[3:]:
            continue
        estimate = queries @ decode(residuals, base).T + coarse[:, assigned]
        depth(name, estimate, scores, truth)
    seconds(base, residuals, queries, scores, truth, coarse[:, assigned])
    spilling(base, means.centroids, assigned, coarse, truth)


def depth(name, estimate, scores, truth):
    ranks = []
    for one, near in zip(estimate, truth):
        ordered = np.sort(one)
        ranks.append(len(one) - np.searchsorted(ordered, one[near], "left"))
    ranks = np.sort(np.concatenate(ranks))
    at = [ranks[int(len(ranks) * goal) - 1] for goal in (0.95, 0.99)]
    error = np.std(estimate - scores) / np.std(scores)
    print(f"| {name} | {at[0]} | {at[1]} | {error:.3f} |", flush=True)


def rotation(dimension):
    return np.linalg.qr(np.random.default_rng(1).normal(size=(dimension, dimension)))[0].astype(np.float32)


def principal(residuals):
    values, vectors = np.linalg.eigh(np.cov(residuals[:65536].T))
    return vectors[:, ::-1].astype(np.float32), np.maximum(values[::-1], 0)


def words(part):
    means = faiss.Kmeans(part.shape[1], 16, niter=10, seed=1, max_points_per_centroid=4096)
    means.train(np.ascontiguousarray(part))
    return means.centroids, means.index.search(np.ascontiguousarray(part), 1)[1][:, 0]


def product(turned, starts, directions=None):
    """Decoded; with `directions`, errors along them weigh more (ScaNN's loss at threshold 0.2)."""
    books = [words(turned[:, a:b]) for a, b in zip(starts, starts[1:])]
    codes = np.stack([code for _, code in books])
    decoded = np.concatenate([book[code] for (book, _), code in zip(books, codes)], axis=1)
    if directions is None:
        return decoded
    extra = (turned.shape[1] - 1) * 0.2 ** 2 / (1 - 0.2 ** 2) - 1
    along = ((decoded - turned) * directions).sum(1)
    for _ in range(3):
        for (book, _), a, b in zip(books, starts, starts[1:]):
            here, unit = turned[:, a:b], directions[:, a:b]
            rest = along - ((decoded[:, a:b] - here) * unit).sum(1)
            errors = ((book[None] - here[:, None]) ** 2).sum(2)
            lifted = rest[:, None] + unit @ book.T - (unit * here).sum(1)[:, None]
            best = np.argmin(errors + extra * lifted ** 2, axis=1)
            decoded[:, a:b] = book[best]
            along = lifted[np.arange(len(best)), best]
    return decoded


def pairs(dimension):
    return list(range(0, dimension + 1, 2))


def by_variance(variances):
    """The kernel's own cut (ann/codes.rs)."""
    loss = [2.95, 1.75, 1.5, 1.35, 1.3, 1.25]

    def error(part):
        best, logs, rest = part.sum(), 0.0, part.sum()
        for used, variance in enumerate(part):
            if variance <= 0:
                break
            logs += np.log2(variance)
            rest -= variance
            level = 2 ** ((logs - 8) / (used + 1))
            best = min(best, (used + 1) * level * loss[min(used, 5)] + max(rest, 0))
        return best

    axes, groups = len(variances), len(variances) // 2
    costs = {(a, b): error(variances[a:b]) for b in range(axes + 1) for a in range(max(0, b - 16), b)}
    least, cuts = np.full(axes + 1, np.inf), []
    least[0] = 0
    for _ in range(groups):
        following, cut = np.full(axes + 1, np.inf), np.zeros(axes + 1, int)
        for (a, b), cost in costs.items():
            if least[a] + cost < following[b]:
                following[b], cut[b] = least[a] + cost, a
        least = following
        cuts.append(cut)
    starts = [axes]
    for cut in reversed(cuts):
        starts.append(cut[starts[-1]])
    return starts[::-1]


def even(residuals, base):
    return product(residuals, pairs(residuals.shape[1]))


def rotated(residuals, base):
    turn = rotation(residuals.shape[1])
    return product(residuals @ turn, pairs(residuals.shape[1])) @ turn.T


def ours(residuals, base):
    axes, variances = principal(residuals)
    return product(residuals @ axes, by_variance(variances)) @ axes.T


def ours_anisotropic(residuals, base):
    axes, variances = principal(residuals)
    directions = base / np.linalg.norm(base, axis=1, keepdims=True)
    return product(residuals @ axes, by_variance(variances), directions @ axes) @ axes.T


def scaled(cut, turn=None, lean=False):
    """Words for residuals of unit length; a factor for each row makes the estimate unbiased."""
    def decode(residuals, base):
        axes = principal(residuals)[0] if turn is None else turn(residuals.shape[1])
        turned = residuals @ axes
        lengths = np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
        one = turned / lengths
        directions = base / np.linalg.norm(base, axis=1, keepdims=True)
        decoded = product(one, cut(one.var(0)), directions @ axes if lean else None)
        factor = lengths[:, 0] / np.maximum((one * decoded).sum(1), 0.1)
        return (decoded * factor[:, None]) @ axes.T
    return decode


def rabitq(bits):
    def decode(residuals, base):
        """Extended RaBitQ: the grid point with the best angle, and a factor that makes the estimate
        unbiased."""
        turn = rotation(residuals.shape[1])
        turned = residuals @ turn
        half = 2 ** (bits - 1)
        best, cosine = np.zeros_like(turned), np.full(len(turned), -1.0, np.float32)
        spread = np.sqrt((turned ** 2).mean(1, keepdims=True)) + 1e-9
        for step in [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4] if bits > 1 else [1.0]:
            grid = np.clip(np.floor(turned / (spread * step)), -half, half - 1) + 0.5
            angle = (grid * turned).sum(1) / np.linalg.norm(grid, axis=1)
            better = angle > cosine
            best[better], cosine[better] = grid[better], angle[better]
        factor = (turned ** 2).sum(1) / np.maximum((best * turned).sum(1), 1e-9)
        return (best * factor[:, None]) @ turn.T
    return decode


CODES = {
    "PQ, pairs of axes as they come (FAISS x4fsr)": even,
    "PQ, pairs after a random turn": rotated,
    "PQ, groups by variance of principal axes": ours,
    "the same, score-aware loss": ours_anisotropic,
    "RaBitQ, 2 bits, extended, + 4 bytes": rabitq(2),
    "RaBitQ, 1 bit, + 4 bytes (half the bytes)": rabitq(1),
    "random pairs, a factor a row, + 4 bytes": scaled(lambda v: pairs(len(v)), rotation),
    "random pairs, a factor, score-aware": scaled(lambda v: pairs(len(v)), rotation, True),
    "groups by variance, a factor": scaled(by_variance),
    "groups by variance, a factor, score-aware": scaled(by_variance, lean=True),
}


def seconds(base, residuals, queries, scores, truth, coarse):
    """The recall of the 100 best by the second numbers alone."""
    axes, variances = principal(residuals)
    turned = residuals @ axes
    units = np.maximum(np.sqrt(variances), np.sqrt(variances[0]) / 64).astype(np.float32)

    def byte(values):
        scale = np.abs(values).max(1, keepdims=True) / 127 + 1e-12
        return np.round(values / scale) * scale

    forms = {
        "8 bits of the vector": lambda: queries @ byte(base).T,
        "8 bits of the residual": lambda: queries @ byte(residuals).T + coarse,
        "8 bits of the residual, axes in their units":
            lambda: (queries @ axes) @ (byte(turned / units) * units).T + coarse,
        "half floats of the residual":
            lambda: queries @ residuals.astype(np.float16).astype(np.float32).T + coarse,
    }
    print("\n| second numbers | recall of the 100 best | in the best 120 |\n|---|---|---|")
    for name, form in forms.items():
        estimate = form()
        hits = []
        for room in (K, 120):
            best = np.argpartition(-estimate, room, axis=1)[:, :room]
            hits.append(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(best, truth)]))
        print(f"| {name} | {hits[0]:.4f} | {hits[1]:.4f} |", flush=True)


def spilling(base, centres, assigned, coarse, truth):
    """Rows read, lists in the order of their scores, until 95 % and 99 % of the nearest are met."""
    residuals = base - centres[assigned]
    unit = residuals / np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-9)
    second = np.empty_like(assigned)
    for start in range(0, len(base), 5000):
        part = slice(start, start + 5000)
        squares = (centres ** 2).sum(1)[None] - 2 * base[part] @ centres.T
        squares += (base[part] ** 2).sum(1)[:, None]
        # SOAR: |r'|² + ⟨r', r⟩²/|r|²
        along = (base[part] * unit[part]).sum(1)[:, None] - unit[part] @ centres.T
        loss = squares + along ** 2
        loss[np.arange(len(loss)), assigned[part]] = np.inf
        second[part] = loss.argmin(1)
    print("\n| assignment | rows read for 0.95 | for 0.99 |\n|---|---|---|")
    for name, tables in {"one list": [assigned], "spilled (SOAR), twice the codes": [assigned, second]}.items():
        sizes = sum(np.bincount(table, minlength=len(centres)) for table in tables)
        ranks = np.empty_like(coarse, dtype=np.int64)
        order = np.argsort(-coarse, axis=1)
        np.put_along_axis(ranks, order, np.arange(len(centres))[None], 1)
        read = np.cumsum(sizes[order], axis=1)
        first = np.stack([np.take_along_axis(ranks, table[truth], 1) for table in tables]).min(0)
        first = np.sort(first.reshape(-1))
        at = [read[:, first[int(len(first) * goal) - 1]].mean() for goal in (0.95, 0.99)]
        print(f"| {name} | {at[0]:.0f} | {at[1]:.0f} |", flush=True)


main()

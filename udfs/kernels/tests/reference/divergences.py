"""Writes divergences.txt: distances of count vectors by their definitions, mpmath 1.4.1 at 50 digits, with
scipy 1.17.1 for chi-square. Run: python divergences.py > divergences.txt

Each line: name, reference counts joined by commas, current counts, value.
"""

from mpmath import mp, mpf, log, sqrt
from scipy import stats

mp.dps = 50
CASES = [
    ([100, 200, 300, 400], [110, 190, 290, 410]),
    ([1, 0, 5, 94], [0, 2, 8, 190]),
    ([50, 50], [50, 50]),
    ([10**12, 10**12 + 1, 3], [2 * 10**12 + 1, 2 * 10**12, 7]),
    ([0, 10], [10, 0]),
    ([7, 0, 3, 0], [5, 0, 1, 4]),
    ([500000, 300000, 199999, 1], [500300, 299800, 199899, 1]),
]


def shares(counts):
    return [mpf(c) / sum(counts) for c in counts]


def psi(p, q):
    if any((a == 0) != (b == 0) for a, b in zip(p, q)):
        return mp.inf
    return sum((b - a) * log(b / a) for a, b in zip(p, q) if a > 0)


def kl(p, q):
    p, q = [a / sum(p) for a in p], [b / sum(q) for b in q]
    if any(a == 0 and b > 0 for a, b in zip(p, q)):
        return mp.inf
    return sum(b * log(b / a) for a, b in zip(p, q) if b > 0)


def half(counts):
    return shares([mpf(c) if c else mpf(1) / 2 for c in counts])


# The crate's constants are the nearest doubles.
F4, F5, F6 = mpf(1e-4), mpf(1e-5), mpf(10) ** 6


def clamp(counts):
    return [max(p, F4) for p in shares(counts)]


def add(counts):
    return [p + F5 for p in shares(counts)]


def evidently(counts):
    p = shares(counts)
    least = min(a for a in p if a > 0)
    return [a if a > 0 else (least / F6 if least <= F4 else F4) for a in p]


def js(p, q):
    part = lambda a, m: a * log(a / m) if a > 0 else mpf(0)
    return sum(part(a, (a + b) / 2) + part(b, (a + b) / 2) for a, b in zip(p, q)) / 2


def line(name, r, c, value):
    print(name, ",".join(map(str, r)), ",".join(map(str, c)), mp.nstr(mpf(value), 22) if value != mp.inf else "inf")


for r, c in CASES:
    used = [(a, b) for a, b in zip(r, c) if a + b > 0]
    ur, uc = [a for a, _ in used], [b for _, b in used]
    for name, fill in [("half", half), ("clamp", clamp), ("add", add), ("evidently", evidently), ("none", shares)]:
        # Evidently fills bins that are empty on both sides too.
        p, q = (fill(r), fill(c)) if fill is evidently else (fill(ur), fill(uc))
        line("psi_" + name, r, c, psi(p, q))
        line("kl_" + name, r, c, kl(p, q))
    p, q = shares(ur), shares(uc)
    line("js_divergence", r, c, js(p, q))
    line("js_distance", r, c, sqrt(js(p, q)))
    line("hellinger", r, c, sqrt(sum((sqrt(a) - sqrt(b)) ** 2 for a, b in zip(p, q)) / 2))
    line("tv", r, c, sum(abs(a - b) for a, b in zip(p, q)) / 2)
    line("l_infinity", r, c, max(abs(a - b) for a, b in zip(p, q)))
    n, m = sum(ur), sum(uc)
    table = [(mpf(a + b) * n / (n + m), mpf(a + b) * m / (n + m), a, b) for a, b in used]
    statistic = sum((a - e) ** 2 / e + (b - f) ** 2 / f for e, f, a, b in table)
    line("chi_square", r, c, statistic)
    peer = stats.chi2_contingency([ur, uc], correction=False)
    assert abs(peer.statistic - statistic) <= 1e-9 * statistic + 1e-20, (peer.statistic, statistic)
    if all(ur):
        line("chi_square_fit", r, c, sum((b - mpf(m) * a / n) ** 2 / (mpf(m) * a / n) for a, b in used))
    line("psi_critical", r, c, stats.chi2.isf(0.05, len(ur) - 1) * (1 / n + 1 / m))

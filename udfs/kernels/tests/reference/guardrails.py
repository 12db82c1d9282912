"""Writes guardrails.txt: tests against margins that are shares of control's mean, and the one-sided always-valid p of
arXiv 2103.06476, on the data of experiments.py; one "name value …" per line.

mpmath 1.4.1 (60 digits, exact input), scipy 1.17.1 as a second opinion. Run: python guardrails.py > guardrails.txt
"""

from mpmath import betainc, erfc, exp, log, mp, mpf, sqrt
from scipy import stats

mp.dps = 60


def series(rows, step, modulus, seed):
    return [((i * step + seed) % modulus) / 64 for i in range(rows)]


def moments(values):
    values = [mpf(v) for v in values]
    mean = sum(values) / len(values)
    return mean, sum((v - mean) ** 2 for v in values) / (len(values) - 1)


def ratio(y, d):
    y, d = [mpf(v) for v in y], [mpf(v) for v in d]
    r = sum(y) / sum(d)
    return r, moments([(a - r * b) / (sum(d) / len(d)) for a, b in zip(y, d)])[1]


def t_sf(t, df):
    half = betainc(df / 2, mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2
    return half if t > 0 else 1 - half


def always_valid(z, units, alpha, tuning):
    ln = -2 * log(min(2 * mpf(alpha), mpf("0.999")))
    k = units * (ln + log(ln + 1)) / tuning
    above = erfc(-z * sqrt(k / (1 + k)) / sqrt(mpf(2))) / 2
    return min(mpf(1), 1 / (2 * above * exp(z * z * k / (2 * (1 + k))) / sqrt(1 + k)))


def line(name, *values):
    print(name, *(mp.nstr(v, 22) for v in values))


def guardrail(name, control, treatment, share, tuning=5000):
    """statistic, df, p and always-valid p that treatment is above, and below, (1 + share) times control."""
    (mc, vc), (mt, vt), (nc, nt) = control[0], treatment[0], (control[1], treatment[1])
    weight = 1 + mpf(share)
    ec, et = weight**2 * vc / nc, vt / nt
    z = (mt - weight * mc) / sqrt(ec + et)
    df = (ec + et) ** 2 / (ec**2 / (nc - 1) + et**2 / (nt - 1))
    p = [always_valid(side * z, nc + nt, 0.05, tuning) for side in [1, -1]]
    line(name, z, df, t_sf(z, df), *p)
    return z, df


A, B = series(400, 7919, 1009, 13), series(350, 104729, 1013, 7)
B = [b + 0.75 for b in B]
DA, DB = [x + 1 for x in series(400, 31, 257, 5)], [z + 1 for z in series(350, 57, 263, 11)]

z, df = guardrail("welch_less_5_percent", (moments(A), 400), (moments(B), 350), "-0.05")
check = stats.ttest_ind(B, [0.95 * a for a in A], equal_var=False)
assert abs(check.statistic / float(z) - 1) < 1e-12 and abs(check.df / float(df) - 1) < 1e-12
guardrail("welch_more_2_percent", (moments(A), 400), (moments(B), 350), "0.02", 500)
guardrail("welch_zero", (moments(A), 400), (moments(B), 350), "0", 500)
guardrail("welch_zero_5000", (moments(A), 400), (moments(B), 350), "0")
far = [b + 4 for b in B]
guardrail("welch_far_more_2_percent", (moments(A), 400), (moments(far), 350), "0.02", 500)
guardrail("welch_far_zero", (moments(A), 400), (moments(far), 350), "0", 500)
guardrail("ratio_less_5_percent", (ratio(A, DA), 400), (ratio(B, DB), 350), "-0.05", 500)

"""Writes experiments.txt: results of tests on the data that `series` makes, one "name value …" per line.

mpmath 1.4.1 (60 digits, exact input) for Welch, Student, ratio, CUPED; scipy 1.17.1, statsmodels 0.15.0, gbstats 0.8.0
for the rest and as a second opinion where noted. Run: python experiments.py > experiments.txt
"""

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RegressionAdjustedStatistic, RatioStatistic, SampleMeanStatistic
from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
from mpmath import mp, mpf, betainc, log, sqrt, findroot
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest

mp.dps = 60


def series(rows, step, modulus, seed):
    """(i step + seed) mod modulus, in 64ths: exact in binary, and the same in Rust."""
    return [((i * step + seed) % modulus) / 64 for i in range(rows)]


def line(name, *values):
    print(name, *(v if isinstance(v, str) else mp.nstr(v, 22) if isinstance(v, mpf) else repr(float(v)) for v in values))


def moments(values):
    values = [mpf(v) for v in values]
    mean = sum(values) / len(values)
    return mean, sum((v - mean) ** 2 for v in values) / (len(values) - 1)


def ln_p(t, df):
    return log(betainc(df / 2, mpf(1) / 2, 0, df / (df + t * t), regularized=True))


def t_quantile(p, df, start):
    return findroot(lambda t: ln_p(t, df) - log(p), mpf(start))


def welch(name, c, t):
    (mc, vc), (mt, vt) = moments(c), moments(t)
    ec, et = vc / len(c), vt / len(t)
    se = sqrt(ec + et)
    df = (ec + et) ** 2 / (ec**2 / (len(c) - 1) + et**2 / (len(t) - 1))
    statistic = (mt - mc) / se
    q = t_quantile(0.05, df, stats.t.isf(0.025, float(df)))
    lift = (mt - mc) / mc
    lift_se = sqrt(et / mc**2 + ec * mt**2 / mc**4)
    line(name, mt - mc, se, statistic, df, ln_p(statistic, df), mt - mc - q * se, mt - mc + q * se, lift,
         lift - q * lift_se, lift + q * lift_se)
    return statistic, df


A, B = series(400, 7919, 1009, 13), series(350, 104729, 1013, 7)
B = [b + 0.75 for b in B]
X, Z = series(400, 31, 257, 5), series(350, 57, 263, 11)
# Covariates that go along with the metric, and denominators that are never zero.
XA, XB = [a / 2 + x for a, x in zip(A, X)], [b / 2 + z for b, z in zip(B, Z)]
DA, DB = [x + 1 for x in X], [z + 1 for z in Z]

statistic, df = welch("welch", A, B)
check = stats.ttest_ind(B, A, equal_var=False)
assert abs(check.statistic / float(statistic) - 1) < 1e-12 and abs(check.df / float(df) - 1) < 1e-12
welch("welch_offset", [a * 8 + 1e15 for a in A], [b * 8 + 1e15 for b in B])
welch("welch_large", [a * 2.0**664 for a in A], [b * 2.0**664 for b in B])
welch("welch_small", [a * 2.0**-664 for a in A], [b * 2.0**-664 for b in B])
welch("welch_far", A, [b + 512 for b in B])
for side in ["greater", "less"]:
    r = stats.ttest_ind(B, A, equal_var=False, alternative=side)
    line("welch_" + side, r.pvalue, *r.confidence_interval(0.95))

(ma, va), (mb, vb) = moments(A), moments(B)
pooled = (va * 399 + vb * 349) / 748
se = sqrt(pooled * (mpf(1) / 400 + mpf(1) / 350))
line("student", (mb - ma) / se, mpf(748), ln_p((mb - ma) / se, mpf(748)))


def ratio(y, d):
    y, d = [mpf(v) for v in y], [mpf(v) for v in d]
    r = sum(y) / sum(d)
    mean = sum(d) / len(d)
    return r, moments([(a - r * b) / mean for a, b in zip(y, d)])[1] / len(y)


(ra, ea), (rb, eb) = ratio(A, DA), ratio(B, DB)
df = (ea + eb) ** 2 / (ea**2 / 399 + eb**2 / 349)
line("ratio", ra, rb, sqrt(ea + eb), df, ln_p((rb - ra) / sqrt(ea + eb), df))
square = lambda v: float(np.dot(v, v))
dot = lambda v, w: float(np.dot(v, w))
gb = [RatioStatistic(n=len(y), m_statistic=SampleMeanStatistic(n=len(y), sum=sum(y), sum_squares=square(y)),
                     d_statistic=SampleMeanStatistic(n=len(y), sum=sum(d), sum_squares=square(d)),
                     m_d_sum_of_products=dot(y, d)) for y, d in [(A, DA), (B, DB)]]
peer = TwoSidedTTest(gb[0], gb[1], FrequentistConfig(difference_type="absolute"))
assert abs(np.sqrt(peer.variance) / float(sqrt(ea + eb)) - 1) < 1e-10


def cuped(theta):
    adjusted = [[mpf(y) - theta * mpf(x) for y, x in zip(ys, xs)] for ys, xs in [(A, XA), (B, XB)]]
    (mc, vc), (mt, vt) = moments(adjusted[0]), moments(adjusted[1])
    ec, et = vc / 400, vt / 350
    df = (ec + et) ** 2 / (ec**2 / 399 + et**2 / 349)
    plain = va / 400 + vb / 350
    return [theta, mt - mc, sqrt(ec + et), df, ln_p((mt - mc) / sqrt(ec + et), df), 1 - (ec + et) / plain]


def co(y, x):
    my, mx = sum(map(mpf, y)) / len(y), sum(map(mpf, x)) / len(x)
    return sum((mpf(a) - my) * (mpf(b) - mx) for a, b in zip(y, x)), sum((mpf(b) - mx) ** 2 for b in x)


c, v = co(A + B, XA + XB)
line("cuped_pooled", *cuped(c / v))
(c0, v0), (c1, v1) = co(A, XA), co(B, XB)
line("cuped_within", *cuped((c0 + c1) / (v0 + v1)))
line("cuped_imbalance", stats.ttest_ind(XB, XA, equal_var=False).pvalue)


def stratum():
    """Every third unit has no covariate: the strata's differences and variances, by their shares of the 750 units."""
    first = lambda values: [value for i, value in enumerate(values) if i % 3]
    third = lambda values: values[::3]
    c, v = co(first(A) + first(B), first(XA) + first(XB))
    theta, diff, parts = c / v, 0, []
    adjusted = [[mpf(y) - theta * mpf(x) for y, x in zip(first(ys), first(xs))] for ys, xs in [(A, XA), (B, XB)]]
    for control, treatment in [adjusted, (third(A), third(B))]:
        share = mpf(len(control) + len(treatment)) / 750
        (mc, vc), (mt, vt) = moments(control), moments(treatment)
        diff += share * (mt - mc)
        parts += [(share**2 * vc / len(control), len(control) - 1), (share**2 * vt / len(treatment), len(treatment) - 1)]
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / n for part, n in parts)
    plain = va / 400 + vb / 350
    return [theta, diff, sqrt(variance), df, ln_p(diff / sqrt(variance), df), 1 - variance / plain]


line("cuped_stratum", *stratum())

groups = np.array([i % 37 for i in range(400)] + [40 + i % 31 for i in range(350)])
arm = np.array([0] * 400 + [1] * 350)
design = np.column_stack([np.ones(750), arm])
for name, within in [("clusters_apart", groups), ("clusters_across", np.array([i % 37 for i in range(750)]))]:
    fit = OLS(np.array(A + B), design).fit(cov_type="cluster", cov_kwds={"groups": within}, use_t=True)
    line(name, fit.params[1], fit.bse[1], fit.tvalues[1], fit.pvalues[1], *fit.conf_int()[1])

for (c, n), (t, m) in [((211, 623), (1745, 2211)), ((42, 10000), (38, 10000)), ((0, 40), (5, 50))]:
    name = f"proportions_{c}_{n}_{t}_{m}"
    z, p = proportions_ztest([t, c], [m, n])
    u = proportions_ztest([t, c], [m, n], prop_var=False)
    direct = (t / m - c / n) / np.sqrt(t / m * (1 - t / m) / m + c / n * (1 - c / n) / n)
    newcombe = confint_proportions_2indep(t, m, c, n, method="newcomb")
    wald = confint_proportions_2indep(t, m, c, n, method="wald")
    caffo = confint_proportions_2indep(t, m, c, n, method="agresti-caffo")
    line(name, z, p, direct, *newcombe, *wald, *caffo)
    line("wilson" + name[11:], *proportion_confint(c, n, method="wilson"), *proportion_confint(c, n, method="beta"))

for counts, weights in [([821588, 815482], [1, 1]), ([1000, 1050, 3100], [20, 20, 60]), ([500, 0, 530], [1, 0, 1])]:
    used = [(o, w) for o, w in zip(counts, weights) if w > 0]
    total = sum(o for o, _ in used)
    r = stats.chisquare([o for o, _ in used], [total * w / sum(weights) for _, w in used])
    line("srm_" + "_".join(map(str, counts)), r.statistic, r.pvalue)

for side in ["two-sided", "greater", "less"]:
    for continuity in [True, False]:
        r = stats.mannwhitneyu(B, A, use_continuity=continuity, alternative=side, method="asymptotic")
        line(f"mann_whitney_{side}_{continuity}", r.statistic, r.pvalue)
    small = stats.mannwhitneyu([1.5, 2.5, 9, 11, 12, 13.5, 30], [1, 2, 3, 4, 5, 6, 7, 8, 10.0], alternative=side)
    line(f"mann_whitney_exact_{side}", small.statistic, small.pvalue)
r = stats.mannwhitneyu(range(0, 120, 2), range(1, 81, 2), method="exact")
line("mann_whitney_exact_60_40", r.statistic, r.pvalue)

for name, a, b in [("ks", A[:50], B[:41]), ("ks_far", A[:60], [b + 12 for b in B[:45]])]:
    exact, asymptotic = stats.ks_2samp(a, b, method="exact"), stats.ks_2samp(a, b)
    limit = stats.kstwobign.sf(exact.statistic * np.sqrt(len(a) * len(b) / (len(a) + len(b))))
    line(name, exact.statistic, exact.pvalue, limit, stats.wasserstein_distance(a, b))
line("wasserstein", stats.wasserstein_distance(A, B))

P = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1.0]
for name in ["bonferroni", "sidak", "holm", "holm-sidak", "simes-hochberg", "fdr_bh", "fdr_by"]:
    line("adjust_" + name, *multipletests(P[::-1], method=name)[1])

stat = [SampleMeanStatistic(n=len(v), sum=sum(v), sum_squares=square(v)) for v in (A, B)]
for tuning in [500, 5000]:
    config = SequentialConfig(difference_type="absolute", sequential_tuning_parameter=tuning)
    peer = SequentialTwoSidedTTest(stat[0], stat[1], config)
    line(f"sequential_{tuning}", peer.p_value, *peer.confidence_interval)

for q in [0.25, 0.5, 0.9]:
    line(f"quantile_{q}", np.quantile(A, q), np.quantile(B, q))

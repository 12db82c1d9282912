"""Writes tails.txt: logarithms of distribution tails, by mpmath 1.4.1 at 80 digits.

Every line: distribution, arguments, ln P(X > x). Run: python tails.py > tails.txt
Student's t is integrated numerically (not through the incomplete beta function that the crate uses).
"""

from mpmath import mp, mpf, quad, log, gamma, loggamma, exp, sqrt, pi, inf, erfc, gammainc, nsum, betainc

mp.dps = 80


def student_two_sided(t, df):
    """2 ∫ density, with t = e^u so that the tail is a smooth, fast falling integrand."""
    t, df = mpf(t), mpf(df)
    constant = loggamma((df + 1) / 2) - loggamma(df / 2) - log(df * pi) / 2

    def ln_density(s):
        return constant - (df + 1) / 2 * mp.log1p(s * s / df)

    scale = ln_density(t)
    # The decay length of density(s) at t, as s = t (1 + v width).
    width = 1 / ((df + 1) * t * t / (df + t * t))
    points = [0] + [mpf(2) ** k for k in range(-3, 8)]
    if df < 100:
        points += [mpf(10) ** k for k in (3, 6, 12, 24, 48, 96, 200, 400)]
    total = quad(lambda v: exp(ln_density(t * (1 + v * width)) - scale), points)
    if df < 100:
        # Beyond the last point the density is a power of s.
        last = t * (1 + points[-1] * width)
        total += exp(ln_density(last) - scale) * last / df / (t * width)
    return log(2 * total * t * width) + scale


def ln_upper(upper, lower):
    """The logarithm of a tail, from the other side where it is nearly one."""
    return log(upper) if upper < 0.9 else mp.log1p(-lower)


def line(name, arguments, value):
    print(name, *arguments, mp.nstr(value, 25))


for df in ["0.7", "1", "1.5", "3.3", "17.776", "99.5", "1234.56", "1e5", "1e8", "1e12"]:
    for t in ["0.01", "0.5", "1", "1.9599639845400545", "4", "9", "20", "37", "100", "1e5", "1e20", "1e200"]:
        if mpf(t) > 100 and mpf(df) > 100:
            continue
        line("student", (t, df), student_two_sided(mpf(float(t)), mpf(float(df))))
for z in ["-8", "-2", "-0.5", "0", "0.3", "1.9599639845400545", "4.9", "5.1", "8", "20", "37.5", "38.5", "100", "1e4"]:
    line("normal", (z,), log(erfc(mpf(float(z)) / sqrt(2)) / 2))
for df in ["1", "2", "3.5", "9", "50", "999", "20000"]:
    for ratio in ["0.1", "0.5", "0.95", "1", "1.05", "2", "10", "100"]:
        x = float(df) * float(ratio)
        a, half = mpf(float(df)) / 2, mpf(x) / 2
        value = ln_upper(gammainc(a, half, inf, regularized=True), gammainc(a, 0, half, regularized=True))
        line("chi_square", (repr(x), df), value)
for d1, d2 in [("1", "1"), ("1", "30"), ("5", "12.5"), ("40", "60"), ("300", "700"), ("2", "5000")]:
    for x in ["0.1", "0.9", "1", "1.5", "4", "30", "1000"]:
        a, b = mpf(float(d2)) / 2, mpf(float(d1)) / 2
        odds = mpf(float(x)) * mpf(float(d1)) / mpf(float(d2))
        low, high = 1 / (1 + odds), odds / (1 + odds)
        value = ln_upper(betainc(a, b, 0, low, regularized=True), betainc(b, a, 0, high, regularized=True))
        line("f", (x, d1, d2), value)
for x in ["0.2", "0.4", "0.7", "0.85", "0.95", "1.3580986393225507", "2", "5", "19", "30"]:
    value = 2 * nsum(lambda k: (-1) ** (int(k) - 1) * exp(-2 * k * k * mpf(float(x)) ** 2), [1, 400], method="direct")
    line("kolmogorov", (x,), log(value))

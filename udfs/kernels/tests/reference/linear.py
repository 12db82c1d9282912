"""Writes linear.txt: coefficients of linear models by scikit-learn 1.9.1, tolerance 1e-13.
Run: python linear.py > linear.txt

Each line: name, then of each output the intercept and the coefficients. `tests/linear/reference.rs` makes the
same rows: i from 0 to 499, five columns, labels, weights by whole-number arithmetic.
"""

import warnings

import numpy as np
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

I = np.arange(500)


def series(step, seed, modulus):
    return ((I * step + seed) % modulus).astype(float)


X = np.column_stack([series(7919, 13, 101) / 8, series(104729, 7, 53) - 20, series(31, 5, 97) / 64 + 3,
                     series(211, 3, 11), series(57, 2, 29) * 100])
NOISE = series(263, 5, 83) / 83 - 0.5
SCORE = X[:, 0] / 4 - X[:, 1] / 16 + X[:, 2] - X[:, 3] / 8 + NOISE * 6 - 3
Y = SCORE * 2 + 1
LABEL = (SCORE > 0.7).astype(int)
CLASS = np.digitize(SCORE, [0, 1.5])
WEIGHT = 1 + series(57, 11, 7) / 4
ONES = np.ones(500)


def show(name, intercept, coefficients):
    coefficients = np.atleast_2d(coefficients)
    intercepts = np.broadcast_to(np.atleast_1d(intercept), (len(coefficients),))
    numbers = [x for i, c in zip(intercepts, coefficients) for x in (i, *c)]
    print(name, *(repr(float(x)) for x in numbers))


def fit(name, model, y, weight, standardise):
    """Weighted scaling as ours, by weighting the scaler; coefficients in the columns' own units."""
    scaler = StandardScaler().fit(X, sample_weight=weight)
    model.fit(scaler.transform(X) if standardise else X, y, sample_weight=weight)
    scale = scaler.scale_ if standardise else np.ones(5)
    mean = scaler.mean_ if standardise else np.zeros(5)
    coefficients = np.atleast_2d(model.coef_) / scale
    show(name, np.atleast_1d(model.intercept_) - coefficients @ mean, coefficients)


def main():
    warnings.simplefilter("ignore")
    total = WEIGHT.sum()
    tight = {"tol": 1e-13, "max_iter": 1_000_000}
    fit("squares", LinearRegression(), Y, WEIGHT, False)
    fit("squares_origin", LinearRegression(fit_intercept=False), Y, ONES, False)
    # Ridge sums squares, ours means halves of them: alpha = l2 times the weight.
    fit("ridge", Ridge(alpha=0.3 * total, solver="cholesky"), Y, WEIGHT, True)
    fit("ridge_own_units", Ridge(alpha=0.3 * total, solver="cholesky"), Y, WEIGHT, False)
    fit("elastic", ElasticNet(alpha=0.2, l1_ratio=0.5, **tight), Y, WEIGHT, True)
    fit("lasso_own_units", ElasticNet(alpha=0.2, l1_ratio=1.0, **tight), Y, ONES, False)
    newton = {"solver": "newton-cholesky", **tight}
    fit("logistic", LogisticRegression(C=1 / (0.01 * total), **newton), LABEL, WEIGHT, True)
    fit("logistic_plain", LogisticRegression(C=np.inf, **newton), LABEL, ONES, False)
    fit("softmax", LogisticRegression(C=1 / (0.01 * total), **newton), CLASS, WEIGHT, True)
    saga = {"solver": "saga", "random_state": 0, **tight}
    fit("logistic_l1", LogisticRegression(l1_ratio=1, C=1 / (0.02 * total), **saga), LABEL, WEIGHT, True)
    fit("softmax_elastic", LogisticRegression(l1_ratio=0.5, C=1 / (0.04 * total), **saga), CLASS, WEIGHT, True)


if __name__ == "__main__":
    main()

"""Scores of a deep and cross network from NumPy in double precision.

    python tests/reference/dcn.py > tests/reference/dcn.txt

A line is a name and numbers. Nothing here follows our code: it is written from the formulas of Wang et al., WWW
2021 (equations 1 to 3; the parallel structure of figure 1), with a linear part, as the header of models/dcn has
them. Every parameter is a sine wave, in single precision, as the test makes it. Written by NumPy 2.4.6.
"""

import numpy as np

# Two numbers, the second with NULLs in training, and a category of codes 2, 5 and 9.
MEANS, DEVIATIONS, CODES = [3.0, -20.0], [2.0, 8.0], [2, 5, 9]
ROWS = [(1.0, -20.0, 2), (5.0, np.nan, 9), (np.nan, -4.0, 5), (4.5, 100.0, 7), (3.0, -25.0, np.nan), (0.0, 0.0, 5)]
DIM = 3


def wave(start, *shape):
    rows, columns = (1, *shape) if len(shape) == 1 else shape
    values = np.sin(start + 7.0 * np.arange(rows)[:, None] + np.arange(columns)[None, :]) / 2
    return values.astype(np.float32).astype(np.float64).reshape(shape)


# Of the table: a row for the first number; one for the second and one for its NULL; one for unknown codes and one
# for each code. A row's last float is its weight in the linear part.
TABLE = wave(0.3, 7, DIM + 1)


def place(codes, code):
    return 3 if code not in codes else 4 + codes.index(code)


def inputs(row):
    """x0 and the linear part. A slot is no longer than its field has rows: 1, 2 and 3."""
    first, second, code = row
    shares = [0.0 if np.isnan(first) else np.clip((first - MEANS[0]) / DEVIATIONS[0], -10, 10),
              1.0 if np.isnan(second) else np.clip((second - MEANS[1]) / DEVIATIONS[1], -10, 10), 1.0]
    rows = [0, 2 if np.isnan(second) else 1, place(CODES, code)]
    parts = [share * TABLE[row] for share, row in zip(shares, rows)]
    x = np.concatenate([part[:length] for part, length in zip(parts, (1, 2, 3))])
    return x, sum(part[DIM] for part in parts)


def score(row, rank, widths):
    first, linear = inputs(row)
    n = len(first)
    x = first
    for layer in range(2):
        bias = wave(2.0 + layer, n)
        if rank == 0:
            inner = wave(1.0 + layer, n, n) @ x + bias
        else:
            inner = wave(4.0 + layer, n, rank) @ (wave(3.0 + layer, rank, n) @ x) + bias
        x = first * inner + x
    h = first
    for layer, width in enumerate(widths):
        h = np.maximum(wave(5.0 + layer, width, len(h)) @ h + wave(6.0 + layer, width), 0)
    top = np.concatenate([x, h]) if widths else x
    return wave(8.0, len(top)) @ top + wave(9.0, 1)[0] + linear


for name, rank, widths in (("full", 0, [4, 3]), ("low_rank", 2, [5]), ("no_deep", 0, [])):
    scores = np.array([score(row, rank, widths) for row in ROWS])
    print(f"{name}_numbers", *(f"{1.5 + 4.0 * x:.10g}" for x in scores))
    print(f"{name}_probabilities", *(f"{1 / (1 + np.exp(-x)):.10g}" for x in scores))

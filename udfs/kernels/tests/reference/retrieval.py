"""Values for the models of retrieval from PyTorch (double precision, autograd) and NumPy.

    python tests/reference/retrieval.py > tests/reference/retrieval.txt

A line is a name and numbers. Nothing here follows our code: it is written from the formulas in the
headers of models/two_tower, models/als and models/ranking_eval. Written by PyTorch 1.13.1, NumPy 1.24.2.
"""

import math

import numpy as np
import torch


def line(name, values):
    print(name, *(f"{float(x):.10g}" for x in np.asarray(values).reshape(-1)))


def wave(rows, columns, start):
    return np.sin(start + 7.0 * np.arange(rows)[:, None] + np.arange(columns)[None, :])


# Two towers without features: 4 users, 6 items, histories of the user's other items, full logQ, one
# batch of all rows, temperature 0.2. Rows of the table: what all users share, what all items share, the
# unknown item, the items.
USERS = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
ITEMS = [0, 1, 2, 1, 3, 0, 3, 4, 5, 1]
WEIGHTS = [1, 2, 1, 0.5, 1, 1, 1, 3, 1, 1]


def two_tower(corrected):
    table = torch.tensor(wave(9, 5, 1.0).astype(np.float32).astype(np.float64), requires_grad=True)
    taken = {u: {i for v, i in zip(USERS, ITEMS) if v == u} for u in USERS}
    count = {i: ITEMS.count(i) for i in ITEMS}
    users, items = [], []
    for u, i in zip(USERS, ITEMS):
        rest = sorted(taken[u] - {i})
        total = table[0]
        for other in rest:
            total = total + table[3 + other] / math.sqrt(len(rest))
        users.append(total / total.norm())
        total = table[1] + table[3 + i]
        items.append(total / total.norm())
    loss = 0.0
    for a, (u, i) in enumerate(zip(USERS, ITEMS)):
        logits = []
        for b, j in enumerate(ITEMS):
            if b != a and j in taken[u]:
                continue
            logit = users[a] @ items[b] / 0.2
            if b == a and corrected:
                logits.append(logit - math.log(1 - count[i] / len(ITEMS)))
                own = logits[-1]
                continue
            logits.append(logit - math.log(count[j]))
            if b == a:
                own = logits[-1]
        loss = loss + WEIGHTS[a] * (torch.logsumexp(torch.stack(logits), 0) - own)
    loss = loss / sum(WEIGHTS)
    loss.backward()
    return loss.item(), table.grad.numpy()


for name, corrected in (("full", False), ("corrected", True)):
    loss, gradient = two_tower(corrected)
    line(f"two_tower_{name}_loss", loss)
    line(f"two_tower_{name}_gradient", gradient)

# One row of iALS: items 2 and 5 of 7 taken with weights 1 and 2, by a dense solve.
ALPHA, LAMBDA = 0.3, 0.05
vectors = wave(7, 4, 2.0).astype(np.float32).astype(np.float64)
weights = np.zeros(7)
weights[[2, 5]] = [1, 2]
matrix = vectors.T @ np.diag(weights + ALPHA) @ vectors
matrix += LAMBDA * (weights.sum() + ALPHA * 7) * np.eye(4)
line("als_row", np.linalg.solve(matrix, vectors.T @ weights))
line("als_nothing", np.linalg.solve(ALPHA * vectors.T @ vectors + LAMBDA * ALPHA * 7 * np.eye(4), np.zeros(4)))

# Lists of 3 users over 8 items.
scores = wave(3, 3, 0.5) @ wave(8, 3, 0.1).T
relevant = [[0, 3], [1, 2, 4, 7], []]
seen = [[1], [0, 5], [2]]
for k in (1, 2, 4, 100):
    recalls, gains = [], []
    for user in range(3):
        if not relevant[user]:
            continue
        order = [i for i in np.argsort(-scores[user], kind="stable") if i not in seen[user]][:k]
        hits = [1.0 if i in relevant[user] else 0.0 for i in order]
        best = sum(1 / np.log2(place + 2) for place in range(min(k, len(relevant[user]))))
        recalls.append(sum(hits) / len(relevant[user]))
        gains.append(sum(hit / np.log2(place + 2) for place, hit in enumerate(hits)) / best)
    line(f"recall@{k}", np.mean(recalls))
    line(f"ndcg@{k}", np.mean(gains))

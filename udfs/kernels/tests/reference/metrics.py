"""Writes metrics.txt: measures of predictions by scikit-learn 1.9.1, NumPy where it has none.
Run: python metrics.py > metrics.txt

Each line: name, value. `tests/metrics/reference.rs` makes the same rows: i from 0 to 999, labels, scores with
many ties, probabilities, weights, targets and predictions by whole-number arithmetic; lists of 20 items each.
"""

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

I = np.arange(1000)
LABEL = (I * 7919 + 13) % 101 < 37
SCORE = ((I * 104729 + 7) % 53 + 20 * LABEL) / 8
PROBABILITY = ((I * 31 + 5) % 997 + LABEL * 400) / 1400
WEIGHT = 1 + (I * 57 + 11) % 7 / 4
TARGET = ((I * 7919 + 13) % 1009) / 64 + 1000
PREDICTION = TARGET + ((I * 211 + 3) % 97 - 40) / 32
RELEVANCE = ((I * 263 + 5) % 11 // 3).reshape(50, 20)
TIED = ((I * 57 + 2) % 13 / 4 + RELEVANCE.ravel() / 2).reshape(50, 20)
APART = ((I * 7919) % 1009 / 64).reshape(50, 20)


def show(name, value):
    print(name, repr(float(value)))


def ece(strategy):
    bins = 10
    even = np.linspace(0, 1, bins + 1)
    edges = even if strategy == "uniform" else np.percentile(PROBABILITY, even * 100)
    places = np.searchsorted(edges[1:-1], PROBABILITY)
    share, mean = calibration_curve(LABEL, PROBABILITY, n_bins=bins, strategy=strategy)
    weights = np.bincount(places, minlength=bins)
    return np.sum(weights[weights > 0] * np.abs(share - mean)) / len(I)


def main():
    predicted = PROBABILITY > 0.5
    for tail, weight in [("", None), ("_weighted", WEIGHT)]:
        show("auc" + tail, metrics.roc_auc_score(LABEL, SCORE, sample_weight=weight))
        show("pr_auc" + tail, metrics.average_precision_score(LABEL, SCORE, sample_weight=weight))
        show("log_loss" + tail, metrics.log_loss(LABEL, PROBABILITY, sample_weight=weight))
        show("brier" + tail, metrics.brier_score_loss(LABEL, PROBABILITY, sample_weight=weight))
        show("rmse" + tail, metrics.root_mean_squared_error(TARGET, PREDICTION, sample_weight=weight))
        show("mae" + tail, metrics.mean_absolute_error(TARGET, PREDICTION, sample_weight=weight))
        show("r2" + tail, metrics.r2_score(TARGET, PREDICTION, sample_weight=weight))
        show("accuracy" + tail, metrics.accuracy_score(LABEL, predicted, sample_weight=weight))
        show("precision" + tail, metrics.precision_score(LABEL, predicted, sample_weight=weight))
        show("recall" + tail, metrics.recall_score(LABEL, predicted, sample_weight=weight))
        show("f1" + tail, metrics.f1_score(LABEL, predicted, sample_weight=weight))
    show("ece", ece("uniform"))
    show("ece_equal_mass", ece("quantile"))
    lists = [i for i in range(50) if RELEVANCE[i].any()]
    assert len(lists) == 50
    for k in [1, 5, 20, 30]:
        each = [metrics.ndcg_score([r], [s], k=k) for r, s in zip(RELEVANCE, TIED)]
        show(f"ndcg_{k}", np.mean(each))
        exp2 = [metrics.ndcg_score([2.0**r - 1], [s], k=k) for r, s in zip(RELEVANCE, TIED)]
        show(f"ndcg_exp2_{k}", np.mean(exp2))
    relevant = RELEVANCE > 2
    some = [i for i in range(50) if relevant[i].any() and len(set(APART[i])) == 20]
    assert len(some) > 40
    show("lists", len(some))
    show("map", np.mean([metrics.average_precision_score(relevant[i], APART[i]) for i in some]))
    # Reciprocal rank is what label ranking gives for the first relevant item alone.
    first = [max(np.flatnonzero(relevant[i]), key=lambda j: APART[i][j]) for i in some]
    alone = [np.arange(20) == j for j in first]
    show("mrr", metrics.label_ranking_average_precision_score(alone, APART[some]))


if __name__ == "__main__":
    main()

"""Writes trees/: models of LightGBM 4.7.0 and XGBoost 3.2.0 and their predictions, which ours must give too.
Run: python trees.py [rows]          (numpy, scipy, lightgbm, xgboost)

NAME.txt (LightGBM) or NAME.json (XGBoost) is a model as saved; NAME.expected holds the predictions of each
row of `values`, outputs with blanks between, as the shortest decimals of their double (XGBoost: single).
`tests/trees/rows.rs` makes the same rows. Columns 0 to 5 are numbers with NaN and zeros; 6 and 7 are
codes, of which training knows those below 30 and none below 0. `versions` says what wrote them.
"""

import os
import sys

import lightgbm
import numpy as np
import xgboost

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trees")
ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
FIRST_TEST = 1_000_000


def values(first, rows, known):
    i = np.arange(first, first + rows, dtype=np.uint64)[:, None]
    j = np.arange(8, dtype=np.uint64)[None, :]
    mask = np.uint64(0xFFFFFFFF)
    h = (i * np.uint64(2654435761) + j * np.uint64(668265263) + np.uint64(374761393)) & mask
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(2246822519)) & mask
    h ^= h >> np.uint64(13)
    share = h % np.uint64(100)
    step = ((h >> np.uint64(8)) % np.uint64(2001)).astype(float) - 1000
    out = step / np.where(j % np.uint64(2) == 0, 64.0, 100.0)
    out[(share >= 7) & (share < 14)] = 0.0
    codes = ((h >> np.uint64(8)) % np.uint64(30 if known else 45)).astype(float)
    if not known:
        codes[(share >= 7) & (share < 10)] = -1.0
    out[:, 6:] = codes[:, 6:]
    out[share < 7] = np.nan
    return out


def labels(x):
    known = np.nan_to_num(x)
    return (known[:, 0] * 0.3 + np.abs(known[:, 1]) - known[:, 2] * (known[:, 3] > 0) + (known[:, 6] % 7) * 2
            + np.isnan(x[:, 4]) * 5 + (known[:, 7] % 3) * known[:, 5] * 0.2)


def write(name, kind, text, predictions):
    with open(os.path.join(FOLDER, name + kind), "w") as file:
        file.write(text)
    with open(os.path.join(FOLDER, name + ".expected"), "w") as file:
        for row in predictions.reshape(len(predictions), -1):
            # The shortest decimals that read back as this number.
            file.write(" ".join(np.format_float_scientific(x, unique=True) for x in row) + "\n")


def of_lightgbm(x, y, tests):
    base = {"num_leaves": 9, "verbosity": -1, "min_data_per_group": 10, "cat_smooth": 2, "seed": 3}
    rank = np.full(len(y) // 10, 10)
    kinds = {
        "lgb_binary": ({"objective": "binary", "sigmoid": 0.7}, y > 8, None),
        "lgb_zero": ({"objective": "regression", "zero_as_missing": True}, y, None),
        "lgb_never": ({"objective": "regression", "use_missing": False}, y, None),
        "lgb_softmax": ({"objective": "multiclass", "num_class": 3}, np.digitize(y, [5, 12]), None),
        "lgb_ova": ({"objective": "multiclassova", "num_class": 3}, np.digitize(y, [5, 12]), None),
        "lgb_forest": ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
                       y > 8, None),
        "lgb_poisson": ({"objective": "poisson"}, np.clip(y, 0, None), None),
        "lgb_sqrt": ({"objective": "regression", "reg_sqrt": True}, y, None),
        "lgb_rank": ({"objective": "lambdarank"}, np.digitize(y, [5, 12]), rank),
        "lgb_dart": ({"objective": "cross_entropy", "boosting": "dart", "drop_rate": 0.5}, (y > 8) * 0.8, None),
        "lgb_onehot": ({"objective": "regression", "max_cat_to_onehot": 50}, y, None),
        "lgb_large": ({"objective": "regression", "num_leaves": 90, "min_data_in_leaf": 5}, y, None),
        "lgb_stump": ({"objective": "regression", "min_data_in_leaf": len(y)}, y, None),
    }
    for name, (options, label, group) in kinds.items():
        rounds = 3 if name == "lgb_large" else 8
        data = lightgbm.Dataset(x, label.astype(float), group=group, categorical_feature=[6, 7])
        model = lightgbm.train({**base, **options}, data, rounds)
        write(name, ".txt", model.model_to_string(), model.predict(tests))
    data = lightgbm.Dataset(x, y, params={"linear_tree": True})
    linear = lightgbm.train({**base, "objective": "regression", "linear_tree": True}, data, 1)
    with open(os.path.join(FOLDER, "refused_linear.txt"), "w") as file:
        file.write(linear.model_to_string())


def trained(x, y, tests):
    """What LightGBM learns from few distinct values, where bins and so splits are the same: trained_NAME."""
    coarse = lambda x: np.where(np.arange(8) < 6, np.floor(x / 3), x)
    x, tests = coarse(x), coarse(tests)
    rank = np.full(len(y) // 10, 10)
    grades = np.digitize(y, [5, 12])
    weights = 1 + np.arange(len(y)) % 3
    kinds = {
        "regression": ({"objective": "regression", "lambda_l1": 0.5, "lambda_l2": 2.0}, y, None, []),
        "weighted": ({"objective": "regression", "min_gain_to_split": 100, "max_depth": 3}, y, None, []),
        "binary": ({"objective": "binary", "scale_pos_weight": 2.0}, y > 8, None, []),
        "multiclass": ({"objective": "multiclass", "num_class": 3}, grades, None, []),
        "lambdarank": ({"objective": "lambdarank", "lambdarank_truncation_level": 5}, grades, rank, []),
        "categorical": ({"objective": "regression"}, y, None, [6, 7]),
        "onehot": ({"objective": "binary", "max_cat_to_onehot": 40}, y > 8, None, [6, 7]),
    }
    for name, (options, label, group, categories) in kinds.items():
        data = lightgbm.Dataset(x, label.astype(float), group=group, categorical_feature=categories,
                                weight=weights if name == "weighted" else None)
        model = lightgbm.train({"num_leaves": 7, "verbosity": -1, "learning_rate": 0.2, **options}, data, 5)
        with open(os.path.join(FOLDER, f"trained_{name}"), "w") as file:
            for row in model.predict(tests, raw_score=True).reshape(len(tests), -1):
                file.write(" ".join(np.format_float_scientific(x, unique=True) for x in row) + "\n")


def of_xgboost(x, y, tests):
    types = ["q"] * 6 + ["c"] * 2
    base = {"max_depth": 3, "tree_method": "hist", "seed": 3, "nthread": 1}
    kinds = {
        "xgb_binary": ({"objective": "binary:logistic", "max_cat_to_onehot": 1}, y > 8),
        "xgb_onehot": ({"objective": "reg:squarederror", "max_cat_to_onehot": 100, "base_score": 3.5}, y),
        "xgb_softmax": ({"objective": "multi:softprob", "num_class": 3}, np.digitize(y, [5, 12])),
        "xgb_dart": ({"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5}, y > 8),
        "xgb_poisson": ({"objective": "count:poisson", "base_score": 2.0}, np.clip(y, 0, None)),
        "xgb_raw": ({"objective": "binary:logitraw", "num_parallel_tree": 2, "base_score": 0.3}, y > 8),
        "xgb_leaves": ({"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 80,
                        "max_depth": 0, "min_child_weight": 3}, y),
    }
    for name, (options, label) in kinds.items():
        rounds = 2 if name == "xgb_leaves" else 5
        data = xgboost.DMatrix(x, label.astype(float), feature_types=types, enable_categorical=True)
        model = xgboost.train({**base, **options}, data, rounds)
        save_xgboost(name, model, tests, types, None)
    data = xgboost.DMatrix(x[:2000], y[:2000] > 8, feature_types=types, enable_categorical=True)
    held = xgboost.DMatrix(x[2000:], y[2000:] > 14, feature_types=types, enable_categorical=True)
    model = xgboost.train({**base, "objective": "binary:logistic", "eta": 0.9}, data, 20, [(held, "held")],
                          early_stopping_rounds=2, verbose_eval=False)
    save_xgboost("xgb_early", model, tests, types, (0, model.best_iteration + 1))
    linear = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(np.nan_to_num(x), y), 1)
    with open(os.path.join(FOLDER, "refused_linear.json"), "w") as file:
        file.write(linear.save_raw("json").decode())


def save_xgboost(name, model, tests, types, rounds):
    data = xgboost.DMatrix(tests, feature_types=types, enable_categorical=True)
    predictions = model.predict(data, iteration_range=rounds or (0, 0))
    write(name, ".json", model.save_raw("json").decode(), predictions)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    x, tests = values(0, 3000, True), values(FIRST_TEST, ROWS, False)
    y = labels(x)
    of_lightgbm(x, y, tests)
    of_xgboost(x, y, tests)
    trained(x, y, tests)
    with open(os.path.join(FOLDER, "versions"), "w") as file:
        file.write(f"lightgbm {lightgbm.__version__}\nxgboost {xgboost.__version__}\n")


if __name__ == "__main__":
    main()

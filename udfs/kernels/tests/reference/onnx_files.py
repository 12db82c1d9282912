"""Writes onnx_files/: files of scikit-learn's models and of networks, and what ONNX Runtime answers.
Run: python onnx_files.py [rows]          (numpy, onnx, onnxruntime, scikit-learn, skl2onnx)

NAME.onnx is a file, NAME.expected the scores of each row of trees.py's `values` (of some columns for `network` and
`sides`; of -100 to 100 for `saturated`), outputs with blanks between. `refused_*` use what is not supported. `versions` says what wrote them.
"""

import importlib
import os
import sys

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import (
    GradientBoostingRegressor, HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier,
    RandomForestRegressor)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "onnx_files")
ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
FIRST_TEST = 1_000_000


make_attribute = helper.make_attribute


def attribute(key, value, *rest, **named):
    """skl2onnx 1.20 writes flags where onnx takes whole numbers only."""
    if isinstance(value, list) and any(isinstance(one, (bool, np.bool_)) for one in value):
        value = [int(one) for one in value]
    return make_attribute(key, value, *rest, **named)


helper.make_attribute = attribute


def rows_of_trees():
    """`values` and `labels` of trees.py, without the libraries that it asks for."""
    for name in ("lightgbm", "xgboost"):
        sys.modules.setdefault(name, type(sys)(name))
    sys.path.insert(0, HERE)
    trees = importlib.import_module("trees")
    return trees.values, trees.labels


def write(name, model, feeds):
    with open(os.path.join(FOLDER, name + ".onnx"), "wb") as file:
        file.write(model.SerializeToString())
    if feeds is None:
        return
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    scores = session.run(None, feeds)[-1]
    if isinstance(scores, list):
        scores = np.array([list(row.values()) for row in scores], np.float32)
    with open(os.path.join(FOLDER, name + ".expected"), "w") as file:
        for row in scores.reshape(len(scores), -1):
            file.write(" ".join(np.format_float_scientific(x, unique=True) for x in row) + "\n")


def of_sklearn(x, y, tests):
    words = np.array(["low", "middle", "high"])[np.digitize(y, [5, 12])]
    three = np.digitize(y, [5, 12])
    filled = lambda *steps: make_pipeline(SimpleImputer(), *steps)
    kinds = {
        "logistic": (filled(StandardScaler(), LogisticRegression()), y > 8, {}),
        "words": (filled(LogisticRegression(max_iter=500)), words, {"zipmap": False}),
        "ridge": (filled(Normalizer(), Ridge()), y, None),
        "forest": (RandomForestClassifier(5, max_depth=4, random_state=1), words, {}),
        "forest_of_two": (RandomForestClassifier(5, max_depth=4, random_state=1), y > 8, {"zipmap": False}),
        "forest_regressor": (RandomForestRegressor(5, max_depth=4, random_state=1), y, None),
        "boosted": (HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=9), y > 8, {}),
        "boosted_of_three": (HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=9), three, {"zipmap": False}),
        "boosted_regressor": (HistGradientBoostingRegressor(max_iter=6, max_leaf_nodes=9), y, None),
        "boosted_stumps": (filled(GradientBoostingRegressor(n_estimators=6, max_depth=2)), y, None),
        "perceptron": (filled(StandardScaler(), MLPClassifier((7,), max_iter=300, random_state=1)), words, {}),
        "perceptron_of_two": (filled(StandardScaler(), MLPClassifier((7,), max_iter=300, random_state=1)), y > 8, {}),
    }
    initial = [("x", skl2onnx.common.data_types.FloatTensorType([None, 8]))]
    for name, (model, label, options) in kinds.items():
        label = label.astype(int) if label.dtype == bool else label
        # Single precision, as the file's thresholds are.
        model.fit(x.astype(np.float32), label)
        options = {id(model): options} if options is not None else None
        converted = skl2onnx.to_onnx(model, initial_types=initial, options=options, target_opset=18)
        write(name, converted, {"x": tests.astype(np.float32)})
    for name, refused in [("refused_svm", SVC()), ("refused_margins", LinearSVC())]:
        refused.fit(np.nan_to_num(x), y > 8)
        options = {id(refused): {"zipmap": False}} if name == "refused_svm" else None
        write(name, skl2onnx.to_onnx(refused, initial_types=initial, options=options), None)


def model_of(nodes, inputs, constants, shape=("rows", 1), ml=False):
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    sets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid("ai.onnx.ml", 3)] if ml else [])
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def network(tests):
    """A number and the embedding of a code, by names: as networks for tables are."""
    draw = np.random.default_rng(5)
    single = lambda *shape: draw.normal(size=shape).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "code"], ["rows_of_table"], axis=0),
        helper.make_node("Concat", ["age", "rows_of_table"], ["together"], axis=1),
        helper.make_node("Gemm", ["together", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["positive"]),
        helper.make_node("Gemm", ["positive", "w2", "b2"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["out"]),
    ]
    constants = {"table": single(50, 4), "w1": single(5, 9), "b1": single(9), "w2": single(9, 1), "b2": single(1)}
    inputs = [("age", TensorProto.FLOAT, ["rows", 1]), ("code", TensorProto.INT64, ["rows"])]
    model = model_of(nodes, inputs, constants)
    feeds = {"age": np.nan_to_num(tests[:, :1]).astype(np.float32),
             "code": np.nan_to_num(np.abs(tests[:, 6])).astype(np.int64)}
    write("network", model, feeds)
    word = ("word", TensorProto.STRING, ["rows", 1])
    age = ("age", TensorProto.FLOAT, ["rows", 1])
    normal, as_number = helper.make_node("StringNormalizer", ["word"], ["a"]), helper.make_node("Cast", ["a"], ["b"], to=1)
    write("refused_text", model_of([normal, as_number, helper.make_node("Add", ["age", "b"], ["out"])], [age, word], {}),
          None)
    two = model_of([helper.make_node("Relu", ["age"], ["out"]), helper.make_node("Neg", ["age"], ["other"])], [age], {})
    two.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["rows", 1]))
    write("refused_outputs", two, None)
    other = helper.make_node("Relu", ["age"], ["out"], domain="my.ops")
    write("refused_domain", model_of([other], [age], {}), None)
    write("refused_circle", model_of([helper.make_node("Identity", ["out"], ["out"])], [age], {}), None)
    write("refused_rows", model_of([helper.make_node("Relu", ["age"], ["out"])], [("age", TensorProto.FLOAT, [4, 1])], {}),
          None)
    saturated = model_of([helper.make_node("Sigmoid", ["age"], ["out"])], [age], {})
    write("saturated", saturated, {"age": np.linspace(-100, 100, 201, dtype=np.float32)[:, None]})
    elsewhere = model_of([helper.make_node("Add", ["age", "w"], ["out"])], [age], {"w": single(1)})
    onnx.external_data_helper.set_external_data(elsewhere.graph.initializer[0], "weights")
    elsewhere.graph.initializer[0].ClearField("raw_data")
    write("refused_elsewhere", elsewhere, None)


def sides(tests):
    """Every comparison that a tree may ask, missing values on either side, and means."""
    modes = ["BRANCH_LT", "BRANCH_GT", "LEAF", "BRANCH_GTE", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF", "LEAF"]
    one = {
        "nodes_nodeids": list(range(9)), "nodes_featureids": [0, 1, 0, 2, 1, 0, 0, 0, 0],
        "nodes_truenodeids": [1, 3, 0, 5, 7, 0, 0, 0, 0], "nodes_falsenodeids": [2, 4, 0, 6, 8, 0, 0, 0, 0],
        "nodes_values": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "nodes_hitrates": [1.0] * 9, "nodes_missing_value_tracks_true": [1, 0, 0, 1, 0, 0, 0, 0, 0],
    }
    other = {**one, "nodes_missing_value_tracks_true": [0, 1, 0, 0, 1, 0, 0, 0, 0]}
    lists = {name: one[name] + other[name] for name in one}
    leaves = [2, 5, 6, 7, 8]
    weights = [1.0, 2.0, 4.0, 8.0, 16.0]
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["out"], domain="ai.onnx.ml", n_targets=2, aggregate_function="AVERAGE",
        nodes_treeids=[0] * 9 + [1] * 9, nodes_modes=modes * 2, target_treeids=[0] * 5 + [1] * 5,
        target_nodeids=leaves * 2, target_ids=[0] * 5 + [1] * 5, target_weights=weights * 2, **lists)
    total = helper.make_node("ReduceSum", ["two", "axis"], ["out"], keepdims=1)
    node.output[0] = "two"
    model = model_of([node, total], [("x", TensorProto.FLOAT, ["rows", 3])], {"axis": np.array([1])}, ml=True)
    write("sides", model, {"x": tests[:, :3].astype(np.float32)})
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "nodes_modes":
            attribute.strings[0] = b"BRANCH_EQ"
    write("refused_equal", model, None)
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "nodes_modes":
            attribute.strings[0] = b"BRANCH_LT"
        if attribute.name == "nodes_featureids":
            attribute.ints[0] = 2**31
    write("refused_columns", model, None)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    values, labels = rows_of_trees()
    x = values(0, 2000, True)
    tests = values(FIRST_TEST, ROWS, False)
    of_sklearn(x, labels(x), tests)
    network(tests)
    sides(tests)
    with open(os.path.join(FOLDER, "versions"), "w") as file:
        for library in (onnx, onnxruntime, skl2onnx, sklearn, np):
            file.write(f"{library.__name__} {library.__version__}\n")


main()

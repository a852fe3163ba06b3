"""Fitted model -> ONNX bytes that answer as the model does: forests, boosted trees, the LSTM forecaster.

Trees decide on float32 inputs as the originals do, because every threshold is rounded down to float32: for a float32
x, `x <= t` is the same question as `x <= (largest float32 not above t)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.sequences import Beside

OPSET, OPSET_ML, IR_VERSION = 18, 3, 10  # old enough for every onnxruntime since 1.18
DOC = "vitalwatch"
REGRESSIONS = {"regression", "regression_l1", "huber", "fair", "quantile", "mape"}


def forests_to_onnx(forests: Sequence[tuple[Any, Sequence[int]]], n_features: int) -> bytes:
    """Return all forests as one ONNX model: `x` (n, n_features) -> `score` (n, forests), float32.

    A score is 2^(-mean depth / c(sample)) of Liu, Ting and Zhou 2008 in (0, 1], HIGH = UNUSUAL: the negative of
    scikit-learn's `score_samples`. Leaf depths are rounded to a power-of-two unit in which a forest's sum is exact in
    float32, so that the score of a row cannot depend on the order of summing: alone or in bulk, on any threads.

    Args:
        forests: Fitted `sklearn.ensemble.IsolationForest`, and the columns of `x` that it was fitted on, in order.
        n_features: Columns of `x`.

    Raises:
        ValueError: A column that is not there, or a forest whose trees saw one row each.
    """
    nodes, factors = _Nodes(), []
    for target, (forest, columns) in enumerate(forests):
        _check(forest, columns, n_features)
        depths = [leaf_depths(tree.tree_) for tree in forest.estimators_]
        unit = _exact_unit(depths)
        for tree, used, depth in zip(forest.estimators_, forest.estimators_features_, depths, strict=True):
            nodes.add(_sklearn_tree(tree.tree_, np.asarray(columns)[used], np.round(depth / unit) * unit), target)
        factors.append(-1.0 / (len(depths) * mean_depth(np.array([forest.max_samples_]))[0]))

    from onnx import helper

    graph = _graph(
        [
            *nodes.regressors("x", "depth", len(forests)),
            helper.make_node("Mul", ["depth", "factor"], ["exponent"]),
            helper.make_node("Pow", ["two", "exponent"], ["score"]),
        ],
        inputs={"x": ("n", n_features)},
        outputs={"score": ("n", len(forests))},
        constants={"factor": np.array(factors, np.float32), "two": np.array(2.0, np.float32)},
    )
    return _bytes(graph)


def boosted_to_onnx(booster: Any, n_features: int) -> bytes:
    """Return a LightGBM booster as ONNX: `x` (n, n_features) float32, NaN allowed, to plain float32 arrays.

    The output is `value` (n,) for a regressor and `probability` (n,) for a binary objective. NaN goes where LightGBM
    sends it.

    Args:
        booster: `lightgbm.Booster`, or a fitted scikit-learn wrapper of one; numerical columns only.
        n_features: Columns of `x`.

    Raises:
        ValueError: An objective, a split or a number of columns that this writer does not know.
    """
    from onnx import helper

    objective, options, nodes = _boosted([booster], n_features)
    outputs: dict[str, tuple[str | int, ...]]
    constants: dict[str, NDArray[Any]] = {"flat": np.array([-1], np.int64)}
    if objective in REGRESSIONS and "sqrt" not in options:
        after, outputs = [helper.make_node("Reshape", ["raw", "flat"], ["value"])], {"value": ("n",)}
    elif objective == "binary":
        after = [
            helper.make_node("Reshape", ["raw", "flat"], ["line"]),
            helper.make_node("Mul", ["line", "slope"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ]
        outputs = {"probability": ("n",)}
        constants["slope"] = np.array(_slope(options), np.float32)
    else:
        raise ValueError(f"no ONNX for the LightGBM objective {objective!r}")
    return _bytes(_graph([*nodes.regressors("x", "raw", 1), *after], {"x": ("n", n_features)}, outputs, constants))


def one_against_rest_to_onnx(boosters: Sequence[Any], n_features: int) -> bytes:
    """Return binary LightGBM boosters as one ONNX model: `x` (n, n_features) float32 -> `margin` and `probability`.

    `margin` (n, boosters) is each one's log-odds, `probability` (n,) that at least one is right, taken as independent.

    Args:
        boosters: `lightgbm.Booster` with the binary objective, at least one.
        n_features: Columns of `x`.

    Raises:
        ValueError: No booster, another objective, or a split or a number of columns that this writer does not know.
    """
    from onnx import helper

    objective, options, nodes = _boosted(boosters, n_features)
    if objective != "binary" or _slope(options) != 1.0:
        raise ValueError(f"no ONNX for the LightGBM objective {objective!r} against the rest")
    node = helper.make_node
    steps = [
        *nodes.regressors("x", "margin", len(boosters)),
        node("Neg", ["margin"], ["against"]),
        node("Sigmoid", ["against"], ["not_this"]),
        node("ReduceProd", ["not_this", "kinds"], ["none"], keepdims=0),
        node("Sub", ["one", "none"], ["probability"]),
    ]
    constants: dict[str, NDArray[Any]] = {"kinds": np.array([1], np.int64), "one": np.array(1.0, np.float32)}
    outputs: dict[str, tuple[str | int, ...]] = {"margin": ("n", len(boosters)), "probability": ("n",)}
    return _bytes(_graph(steps, {"x": ("n", n_features)}, outputs, constants))


def several_to_onnx(boosters: Sequence[Any], n_features: int) -> bytes:
    """Return LightGBM regressors on the same columns as one ONNX: `x` (n, n_features) -> `value` (n, boosters).

    Raises:
        ValueError: No booster, another objective, or a split or a number of columns that this writer does not know.
    """
    objective, options, nodes = _boosted(boosters, n_features)
    if objective not in REGRESSIONS or "sqrt" in options:
        raise ValueError(f"no ONNX for the LightGBM objective {objective!r}")
    shapes = {"x": ("n", n_features)}, {"value": ("n", len(boosters))}
    return _bytes(_graph(nodes.regressors("x", "value", len(boosters)), *shapes, {}))


def _boosted(boosters: Sequence[Any], n_features: int) -> tuple[str, list[str], _Nodes]:
    """Return the objective that all boosters share, its options, and their trees, a target a booster."""
    nodes, objectives = _Nodes(), set[str]()
    for target, booster in enumerate(boosters):
        dump = getattr(booster, "booster_", booster).dump_model()
        if dump["max_feature_idx"] + 1 != n_features:
            raise ValueError(f"the booster has {dump['max_feature_idx'] + 1} columns, not {n_features}")
        if dump["num_tree_per_iteration"] != 1 or dump.get("average_output"):
            raise ValueError(f"no ONNX for the LightGBM objective {dump.get('objective')!r}")
        objectives.add(dump.get("objective", "none"))
        for tree in dump["tree_info"]:
            nodes.add(_lightgbm_tree(tree["tree_structure"]), target)
    if len(objectives) != 1:
        raise ValueError(f"{len(boosters)} boosters with {len(objectives)} objectives cannot stand in one model")
    objective, *options = objectives.pop().split()
    nodes.centre(len(boosters))
    return objective, options, nodes


def _slope(options: Sequence[str]) -> float:
    return float(dict(option.split(":") for option in options if ":" in option).get("sigmoid", 1.0))


def lstm_to_onnx(
    weights: Mapping[str, NDArray[np.float32]],
    normalisation: Mapping[str, NDArray[np.float32]],
    shape: tuple[int, int],
    beside: Beside | None = None,
) -> bytes:
    """Return the forecaster as ONNX around one native LSTM node.

    Inputs `x` (n, T, c) and `person` (n, s), float32, NaN allowed in `person` (read as the average person); output
    `quantiles` (n, v, h, 3): difference from the last measured value for quantiles 0.1, 0.5, 0.9, in each vital's unit,
    never crossing.

    Args:
        weights: As Keras keeps them: `kernel` (c, 4u), `recurrent` (u, 4u), `bias` (4u,), gates in the order i, f, c,
            o; `dense_kernel` (u + s, d), `dense_bias`; `head_kernel` (d, 3vh), `head_bias`: medians, gaps below and
            above.
        normalisation: `x_mean`, `x_scale` (c,), `person_mean`, `person_scale` (s,), `y_scale` (v, h). Those of `x` and
            of the person are folded into the weights, which costs nothing at run time.
        shape: (T, c).
        beside: Lines that the medians are blended with; the quantiles keep their distance from them.
    """
    return quantiles_to_onnx(lstm_memory(weights, normalisation), weights, normalisation, shape, beside)


@dataclass(frozen=True)
class Memory:
    """The part of a forecaster that reads its windows.

    Attributes:
        nodes: From the input `x` (n, T, c), not standardised, to `memory` (n, units).
        constants: That they use; `flat` is there already and makes (-1, units) of a shape.
        units: How much is remembered.
    """

    nodes: Sequence[Any]
    constants: Mapping[str, NDArray[Any]]
    units: int


def lstm_memory(weights: Mapping[str, NDArray[Any]], normalisation: Mapping[str, NDArray[Any]]) -> Memory:
    """Return the native LSTM node; weights and constants as in `lstm_to_onnx`."""
    from onnx import helper

    kernel = weights["kernel"].astype(np.float64) / normalisation["x_scale"][:, None]
    bias = weights["bias"] - (normalisation["x_mean"].astype(np.float64) @ kernel)
    units = weights["recurrent"].shape[0]
    bias_onnx = np.concatenate([_gates(bias), np.zeros(4 * units)])[None]
    constants = {
        "W": _f32(_gates(kernel).T[None]),
        "R": _f32(_gates(weights["recurrent"]).T[None]),
        "B": _f32(bias_onnx),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["x_steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["x_steps", "W", "R", "B"], ["", "state"], hidden_size=units),
        helper.make_node("Reshape", ["state", "flat"], ["memory"]),
    ]
    return Memory(nodes, constants, units)


def quantiles_to_onnx(
    memory: Memory,
    weights: Mapping[str, NDArray[Any]],
    normalisation: Mapping[str, NDArray[Any]],
    shape: tuple[int, int],
    beside: Beside | None = None,
) -> bytes:
    """Return a forecaster of any memory as ONNX; weights behind it, constants, inputs, output as in `lstm_to_onnx`."""
    from onnx import helper

    vitals, horizons = normalisation["y_scale"].shape
    static, outputs = len(normalisation["person_mean"]), vitals * horizons
    dense = weights["dense_kernel"].astype(np.float64)
    dense[memory.units :] /= normalisation["person_scale"][:, None]
    dense_bias = weights["dense_bias"] - normalisation["person_mean"].astype(np.float64) @ dense[memory.units :]
    constants: dict[str, NDArray[Any]] = {
        **memory.constants,
        "mean": _f32(normalisation["person_mean"]),
        "flat": np.array([-1, memory.units], np.int64),
        "dense_kernel": _f32(dense),
        "dense_bias": _f32(dense_bias),
        "head_kernel": _f32(weights["head_kernel"]),
        "head_bias": _f32(weights["head_bias"]),
        "sizes": np.array([outputs, 2 * outputs], np.int64),
        "spread": _f32(_spread(normalisation["y_scale"].ravel(), None if beside is None else beside.share.ravel())),
        "shape": np.array([-1, vitals, horizons, 3], np.int64),
    }
    node = helper.make_node
    steps = [
        *memory.nodes,
        node("IsNaN", ["person"], ["unknown"]),
        node("Where", ["unknown", "mean", "person"], ["static"]),
        node("Concat", ["memory", "static"], ["joint"], axis=1),
        node("Gemm", ["joint", "dense_kernel", "dense_bias"], ["dense"]),
        node("Relu", ["dense"], ["hidden"]),
        node("Gemm", ["hidden", "head_kernel", "head_bias"], ["head"]),
        node("Split", ["head", "sizes"], ["median", "raw_gaps"], axis=1),
        node("Softplus", ["raw_gaps"], ["gaps"]),
        *([] if beside is None else _lines(beside, shape, constants)),
        node("Concat", ["median", "gaps", *(["lines"] if beside else [])], ["parts"], axis=1),
        node("MatMul", ["parts", "spread"], ["natural"]),
        node("Reshape", ["natural", "shape"], ["quantiles"]),
    ]
    graph = _graph(
        steps,
        {"x": ("n", *shape), "person": ("n", static)},
        {"quantiles": ("n", vitals, horizons, 3)},
        constants,
    )
    return _bytes(graph)


def _lines(beside: Beside, shape: tuple[int, int], constants: dict[str, NDArray[Any]]) -> list[Any]:
    """Return the nodes that draw the lines, (n, v h), and put what they need among the constants."""
    from onnx import helper

    constants["flat_window"] = np.array([-1, shape[0] * shape[1]], np.int64)
    constants["line_kernel"] = _f32(np.concatenate((beside.window, beside.known)))
    constants["line_bias"] = _f32(beside.constant)
    return [
        helper.make_node("Reshape", ["x", "flat_window"], ["window"]),
        helper.make_node("Concat", ["window", "static"], ["seen"], axis=1),
        helper.make_node("Gemm", ["seen", "line_kernel", "line_bias"], ["lines"]),
    ]


def _spread(scale: NDArray[np.floating], share: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Return what turns medians, gaps below, gaps above and lines (4 k,) into low, median and high of each.

    One product in place of a dozen small nodes: each costs a microsecond of a reading.

    Args:
        scale: Unit of each, (k,); lines are in it already.
        share: Of the lines, (k,); None where there are none, which makes it (3 k,).
    """
    k = np.arange(len(scale))
    out = np.zeros(((3 if share is None else 4) * len(scale), 3 * len(scale)))
    for quantile, gap in ((0, -1.0), (1, 0.0), (2, 1.0)):
        out[k, 3 * k + quantile] = scale if share is None else scale * (1 - share)
        out[(1 + quantile // 2) * len(scale) + k, 3 * k + quantile] = gap * scale
        if share is not None:
            out[3 * len(scale) + k, 3 * k + quantile] = share
    return out


@dataclass(frozen=True)
class _Tree:
    """One tree as arrays over its nodes: a leaf has feature -1; `yes` is where `x <= threshold` leads."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    yes: NDArray[np.int64]
    no: NDArray[np.int64]
    missing_is_yes: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass
class _Nodes:
    """Trees gathered into the attributes of TreeEnsembleRegressor nodes, one a target."""

    trees: list[_Tree] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    base: list[float] = field(default_factory=list)

    def add(self, tree: _Tree, target: int) -> None:
        self.trees.append(tree)
        self.targets.append(target)

    def centre(self, n_targets: int) -> None:
        """Move each tree's mean leaf into the base value, added last: float32 sums near 0 are ten times finer."""
        base = np.zeros(n_targets)
        for i, (tree, target) in enumerate(zip(self.trees, self.targets, strict=True)):
            mean = tree.weight[tree.feature < 0].mean()
            base[target] += mean
            self.trees[i] = replace(tree, weight=tree.weight - mean)
        self.base = base.tolist()

    def regressors(self, source: str, result: str, n_targets: int) -> list[Any]:
        """Return a node a target, and what joins them to `result` (n, targets).

        One node for all gives the same sums to the bit, but those of one target stay in the processor's nearest cache.
        """
        from onnx import helper

        if n_targets == 1:
            return [self._regressor(source, result, 0)]
        parts = [f"{result}_{target}" for target in range(n_targets)]
        made = [self._regressor(source, part, target) for target, part in enumerate(parts)]
        return [*made, helper.make_node("Concat", parts, [result], axis=1)]

    def _regressor(self, source: str, result: str, target: int) -> Any:
        """Return the node of one target; the attribute `missing` is left out where no tree needs it, for speed."""
        from onnx import helper

        trees = [tree for tree, its in zip(self.trees, self.targets, strict=True) if its == target]

        def joined(pick: Any) -> list[Any]:
            return np.concatenate([pick(tree) for tree in trees]).tolist() if trees else []

        leaves = [np.flatnonzero(tree.feature < 0) for tree in trees]
        missing = joined(lambda tree: tree.missing_is_yes.astype(np.int64))
        extra: dict[str, Any] = {"nodes_missing_value_tracks_true": missing} if any(missing) else {}
        if self.base:
            extra["base_values"] = self.base[target : target + 1]
        weights = [tree.weight[found] for tree, found in zip(trees, leaves, strict=True)]
        return helper.make_node(
            "TreeEnsembleRegressor",
            [source],
            [result],
            domain="ai.onnx.ml",
            n_targets=1,
            aggregate_function="SUM",
            post_transform="NONE",
            nodes_treeids=np.repeat(np.arange(len(trees)), [len(tree.feature) for tree in trees]).tolist(),
            nodes_nodeids=joined(lambda tree: np.arange(len(tree.feature))),
            nodes_featureids=joined(lambda tree: np.maximum(tree.feature, 0)),
            nodes_modes=["LEAF" if leaf else "BRANCH_LEQ" for leaf in joined(lambda tree: tree.feature < 0)],
            nodes_values=joined(lambda tree: tree.threshold),
            nodes_truenodeids=joined(lambda tree: tree.yes),
            nodes_falsenodeids=joined(lambda tree: tree.no),
            **extra,
            target_treeids=np.repeat(np.arange(len(trees)), [len(found) for found in leaves]).tolist(),
            target_nodeids=np.concatenate(leaves).tolist(),
            target_ids=[0] * sum(map(len, leaves)),
            target_weights=np.concatenate(weights).tolist(),
        )


def _sklearn_tree(tree: Any, columns: NDArray[np.int64], weight: NDArray[np.float64]) -> _Tree:
    leaf = tree.children_left < 0
    feature = np.where(leaf, -1, columns[np.where(leaf, 0, tree.feature)])
    return _Tree(
        feature=feature.astype(np.int64),
        threshold=np.where(leaf, np.float32(0), round_down(tree.threshold)).astype(np.float32),
        yes=np.where(leaf, 0, tree.children_left).astype(np.int64),
        no=np.where(leaf, 0, tree.children_right).astype(np.int64),
        missing_is_yes=~leaf & tree.missing_go_to_left.astype(bool),
        weight=weight,
    )


def _lightgbm_tree(root: Mapping[str, Any]) -> _Tree:
    """Flatten a dumped tree, parents before children."""
    rows: list[tuple[int, float, int, int, bool, float]] = []

    def visit(node: Mapping[str, Any]) -> int:
        index = len(rows)
        if "split_feature" not in node:
            rows.append((-1, 0.0, 0, 0, False, node["leaf_value"]))
            return index
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise ValueError("only numerical splits without zero_as_missing can be written")
        # without a missing type LightGBM reads NaN as 0 (`Tree::NumericalDecision`)
        missing = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
        rows.append((node["split_feature"], node["threshold"], 0, 0, missing, 0.0))
        yes, no = visit(node["left_child"]), visit(node["right_child"])
        rows[index] = (node["split_feature"], node["threshold"], yes, no, missing, 0.0)
        return index

    visit(root)
    feature, threshold, yes, no, missing, weight = (np.array(column) for column in zip(*rows, strict=True))
    return _Tree(feature, round_down(threshold), yes, no, missing, weight)


def leaf_depths(tree: Any) -> NDArray[np.float64]:
    """Return for each node its depth (edges) plus c(rows in it): the depth that an isolation tree credits."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # parents come before their children
        if tree.children_left[node] >= 0:
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    credited = depth + mean_depth(tree.n_node_samples)
    return np.where(tree.children_left < 0, credited, 0.0)


def mean_depth(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return c(rows), the mean depth of an unsuccessful search in a binary tree of that many rows (Liu 2008, eq. 1)."""
    n = rows.astype(np.float64)
    many = 2.0 * (np.log(np.maximum(n - 1.0, 1.0)) + np.euler_gamma) - 2.0 * (n - 1.0) / np.maximum(n, 1.0)
    return np.where(n > 2, many, np.where(n == 2, 1.0, 0.0))


def _exact_unit(depths: Sequence[NDArray[np.float64]]) -> float:
    """Return the power of two in which the largest possible sum of one leaf a tree still fits 24 bits."""
    largest = sum(float(depth.max()) for depth in depths)
    return float(2.0 ** (np.ceil(np.log2(max(largest, 1.0))) - 24))


def round_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 not above each threshold."""
    with np.errstate(
        over="ignore"
    ):  # LightGBM writes 1e300 for "whatever was measured": the largest float32 says the same
        nearest = np.minimum(threshold, np.finfo(np.float32).max).astype(np.float32)
    above = nearest.astype(np.float64) > threshold
    return np.where(above, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float32)


def _gates(array: NDArray[Any]) -> NDArray[Any]:
    """Reorder the last axis from Keras's gates (i, f, c, o) to ONNX's (i, o, f, c)."""
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _f32(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)


def _check(forest: Any, columns: Sequence[int], n_features: int) -> None:
    if not len(columns) or min(columns) < 0 or max(columns) >= n_features:
        raise ValueError(f"a forest's columns must lie in 0..{n_features - 1}")
    if forest.max_samples_ < 2:
        raise ValueError("a forest needs at least 2 rows a tree")


def _graph(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[str | int, ...]],
    outputs: Mapping[str, tuple[str | int, ...]],
    constants: Mapping[str, NDArray[Any]],
) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    def declared(shapes: Mapping[str, tuple[str | int, ...]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    values = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(list(nodes), DOC, declared(inputs), declared(outputs), values)


def _bytes(graph: Any) -> bytes:
    """Check the graph and return it; the same graph gives the same bytes."""
    import onnx
    from onnx import helper

    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name=DOC)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))

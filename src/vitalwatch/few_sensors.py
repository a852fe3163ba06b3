"""Trees for people who wear few sensors: equal answers, without asking for what was never measured.

What is not measured counts as usual, 0, in every row of such a person, so that a split on it always goes the same way.
`without` leaves these splits out: three in five of what a wearer of heart rate, oxygen and steps passes. Each tree ends
in the same leaf, and leaves are added up in the same order: scores are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features
from vitalwatch.runtime import Model
from vitalwatch.tables import Bools, Floats

SELDOM = (  # worn, or told within a step
    "respiratory_rate",
    "body_temperature",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
    "heart_rate_variability_rmssd",
    "heart_rate_spread",
)
COLUMNS = np.asarray([i for i, feature in enumerate(features.FEATURES) if feature.track in SELDOM], np.intp)
ENDING = "_few.onnx"


class Trees:
    """A model of trees on `features.NAMES`, asked in its smaller form where rows allow it."""

    def __init__(self, whole: Model, few: Model) -> None:
        self._whole, self._few = whole, few

    def run(self, *, x: Floats) -> dict[str, Floats]:
        """Return every output for features (n, f); of one row, which is quick anyway, the whole trees are asked."""
        if len(x) > 1 and not np.count_nonzero(x.take(COLUMNS, axis=1)):
            return self._few.run(x=x)
        return self._whole.run(x=x)


def trees(files: Mapping[str, bytes], name: str) -> Trees:
    """Return the trees of a bundle's files."""
    return Trees(Model(files[f"{name}.onnx"]), Model(files[name + ENDING]))


def files_of(name: str, model: bytes) -> dict[str, bytes]:
    """Return a model of trees and its smaller form, by the names that `trees` reads."""
    return {f"{name}.onnx": model, name + ENDING: without(model, COLUMNS.tolist())}


def without(model: bytes, columns: Collection[int]) -> bytes:
    """Return an ONNX model of `export`'s trees without splits on some columns, which are 0 wherever it is asked."""
    import onnx
    from onnx import helper

    found = onnx.ModelProto.FromString(model)
    for node in found.graph.node:
        if node.op_type == "TreeEnsembleRegressor":
            told = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            del node.attribute[:]
            every = {name: np.asarray(told[name]) for name in told if name.startswith(("nodes_", "target_"))}
            left = told | _left(every, columns)
            node.attribute.extend(helper.make_attribute(name, values) for name, values in sorted(left.items()))
    return bytes(found.SerializeToString(deterministic=True))


def _left(told: Mapping[str, NDArray[Any]], columns: Collection[int]) -> dict[str, list[Any]]:
    """Return the attributes of a node of trees that change; parents stand before their children, as `export` writes."""
    tree, leaf = told["nodes_treeids"], told["nodes_modes"] == b"LEAF"
    roots = np.flatnonzero(np.diff(tree, prepend=-1))
    start = roots[np.cumsum(np.diff(tree, prepend=-1) > 0) - 1]
    yes, no = start + told["nodes_truenodeids"], start + told["nodes_falsenodeids"]
    onward = np.arange(len(tree))
    passed = ~leaf & np.isin(told["nodes_featureids"], list(columns))
    onward[passed] = np.where(told["nodes_values"] >= 0, yes, no)[passed]
    while np.any(passed[onward]):
        onward = onward[onward]
    yes, no = onward[yes], onward[no]
    kept = _reached(onward[roots], yes, no, leaf)
    number = np.cumsum(kept) - 1
    first = number[onward[roots]][tree]
    changed = {name: values[kept] for name, values in told.items() if name.startswith("nodes_")}
    changed["nodes_nodeids"] = (number - first)[kept]
    changed["nodes_truenodeids"], changed["nodes_falsenodeids"] = (
        np.where(leaf, 0, number[child] - first)[kept] for child in (yes, no)
    )
    weight = kept[leaf]  # of each leaf, in their order
    changed |= {f"target_{name}": told[f"target_{name}"][weight] for name in ("treeids", "ids", "weights")}
    changed["target_nodeids"] = (number - first)[kept & leaf]
    return {name: values.tolist() for name, values in changed.items()}


def _reached(roots: NDArray[np.intp], yes: NDArray[np.intp], no: NDArray[np.intp], leaf: Bools) -> Bools:
    """Return which nodes a row can come to, (n,)."""
    kept = np.zeros(len(leaf), np.bool_)
    some = roots
    while len(some):
        kept[some] = True
        inner = some[~leaf[some]]
        some = np.concatenate((yes[inner], no[inner]))
    return kept

"""TreeSHAP in plain numpy: how much each feature moves a head's log-odds or a forest's score, for rows asked for.

Path-dependent Shapley values of trees (Lundberg et al. 2020, 10.1038/s42256-019-0138-9, algorithm 2 and its
`pred_contrib` in LightGBM), written leaf by leaf: on the way to a leaf every feature is either followed by the row (o)
or by the share z of training rows that went that way. A leaf's value v is shared out among its features as
v (o_i - z_i) times the sum over k of k! (d - 1 - k)! / d! times the coefficient of t^k in the product over the other
features of (z_j + o_j t). A feature that is not there (z = o = 1) changes nothing, so all leaves have d places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Bools, Doubles, Floats

FILE = "known_trees.json"
FEW_FILE = "known_few_trees.json"  # of the heads for few sensors, see `wearing`
FOREST_FILE = "forest_trees.json"
AT_ONCE = 64  # rows: all leaves of a head are looked at for each
COLUMNS = ("feature", "threshold", "missing", "value", "rows")
Tree = Sequence[Sequence[float]]


def told(heads: Sequence[Any]) -> bytes:
    """Return what FILE holds: the trees of each LightGBM head, with how many rows trained each leaf.

    Args:
        heads: `lightgbm.Booster`, numerical columns only.
    """
    return packed([[_columns(tree["tree_structure"]) for tree in head.dump_model()["tree_info"]] for head in heads])


def packed(heads: Sequence[Sequence[Tree]], units: Sequence[float] = ()) -> bytes:
    """Return what FILE and FOREST_FILE hold: of each head, each tree as COLUMNS, and what a value counts in.

    Nodes stand in preorder, the side of small values first, so that no child needs to be named. `feature` has each node
    (-1 at a leaf); `threshold` and `missing` (1 where NaN goes the way of small values) have each split; `value` and
    `rows` (of training) have each leaf.

    Args:
        heads: Trees of each.
        units: What to multiply a head's values by, 1 without.
    """
    told = {"columns": COLUMNS, "heads": heads, "units": list(units) or [1.0] * len(heads)}
    return json.dumps(told, allow_nan=False, separators=(",", ":")).encode()


def _columns(root: Mapping[str, Any]) -> Tree:
    """Return a dumped tree as COLUMNS."""
    columns: tuple[list[float], ...] = ([], [], [], [], [])
    feature, threshold, missing, value, rows = columns

    def visit(node: Mapping[str, Any]) -> None:
        if "split_feature" not in node:
            feature.append(-1)
            value.append(float(f"{node['leaf_value']:.9g}"))
            rows.append(int(node.get("leaf_count", 1)))
            return
        feature.append(node["split_feature"])
        threshold.append(float(np.clip(node["threshold"], -1e38, 1e38)))  # 1e300 stands for whatever was measured
        # without a missing type LightGBM reads NaN as 0 (`Tree::NumericalDecision`)
        missing.append(int(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0))
        visit(node["left_child"])
        visit(node["right_child"])

    visit(root)
    return columns


@dataclass(frozen=True)
class _Leaves:
    """All leaves of one head; `d` places of features each.

    Attributes:
        value: (l,).
        feature: -1 where there is none (l, d).
        low, high: The way to the leaf is low < x <= high (l, d).
        missing: Whether NaN goes that way (l, d).
        share: Of training rows that went that way, among those that came to the splits (l, d).
    """

    value: Doubles
    feature: NDArray[np.intp]
    low: Doubles
    high: Doubles
    missing: Bools
    share: Doubles


class Attribution:
    """The heads of channel B, or the forests of channel A; each is taken apart when first asked for.

    Args:
        data: From `told`, or `models.anomaly.trees`.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._leaves: dict[int, _Leaves] = {}

    @staticmethod
    def of(files: Mapping[str, bytes], name: str = FILE) -> Attribution | None:
        """Return that of a bundle's files, None where they have none."""
        return Attribution(files[name]) if name in files else None

    def adds(self, x: Floats, head: int) -> tuple[Doubles, float]:
        """Return what each feature adds to a head's log-odds, (n, f), and the log-odds that they are added to.

        Both together are the head's log-odds of a row; the same as LightGBM's `pred_contrib`, whose last column is
        the second. Of a forest it is the binary logarithm of its score.

        Args:
            x: `features.NAMES` columns, float32 (n, f); NaN is not measured.
            head: Number of the kind, or of the organ group.
        """
        if head not in self._leaves:
            told = json.loads(self._data)
            self._leaves[head] = _leaves_of(told["heads"][head], told["units"][head])
        leaves = self._leaves[head]
        out = np.zeros((len(x), x.shape[1] + 1))
        for start in range(0, len(x), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            parts = _shares(x[rows].astype(np.float64), leaves)
            for i, part in enumerate(parts):
                np.add.at(out[start + i], leaves.feature.ravel(), part.ravel())
        base = float((leaves.value * leaves.share.prod(axis=1)).sum())
        return out[:, :-1], base


def _shares(x: Doubles, leaves: _Leaves) -> Doubles:
    """Return what each place of each leaf adds, (n, l, d)."""
    at = x[:, np.maximum(leaves.feature, 0)]
    follows = np.where(np.isnan(at), leaves.missing, (at > leaves.low) & (at <= leaves.high))
    o, z = np.where(leaves.feature < 0, 1.0, follows), leaves.share
    d = z.shape[1]
    weight = np.asarray([factorial(k) * factorial(d - 1 - k) / factorial(d) for k in range(d)])
    out = np.empty(o.shape)
    for i in range(d):
        grown = np.zeros((*o.shape[:2], d))  # coefficients of the product, by power of t
        grown[..., 0] = 1.0
        for j in range(d):
            if j != i:
                higher = grown[..., :-1] * o[:, :, j, None]
                grown *= z[:, j, None]
                grown[..., 1:] += higher
        out[:, :, i] = leaves.value * (o[:, :, i] - z[:, i]) * (grown @ weight)
    return out


Ways = dict[int, tuple[float, float, float, float]]  # feature -> low, high, whether NaN goes there, share of rows


def _leaves_of(trees: Sequence[Tree], unit: float) -> _Leaves:
    """Return the leaves of one head's trees, each with the ways that lead there, joined by feature."""
    found = [leaf for columns in trees for leaf in _leaves(columns)]
    d = max(1, *(len(ways) for _, ways in found))
    table = np.zeros((5, len(found), d))
    table[0], table[3:] = -1.0, 1.0
    for i, (_, ways) in enumerate(found):
        for j, (which, way) in enumerate(ways.items()):
            table[:, i, j] = which, *way
    feature, low, high, missing, share = table
    value = np.asarray([value for value, _ in found]) * unit
    return _Leaves(value, feature.astype(np.intp), low, high, missing > 0, share)


def _leaves(columns: Tree) -> list[tuple[float, Ways]]:
    """Return value and ways of each leaf of a tree."""
    feature, threshold, missing, value, rows = (iter(column) for column in columns)

    def below() -> tuple[float, list[tuple[float, Ways]]]:
        """Return the training rows below the next node, and its leaves with the ways from it."""
        which = int(next(feature))
        if which < 0:
            return next(rows), [(next(value), {})]
        at, goes = next(threshold), next(missing)
        sides = [(*below(), goes, (-np.inf, at)), (*below(), 1.0 - goes, (at, np.inf))]
        total = sum(side[0] for side in sides)
        return total, [
            (found, _joined(ways, which, (*ends, to, few / total)))
            for few, leaves, to, ends in sides
            for found, ways in leaves
        ]

    return below()[1]


def _joined(ways: Ways, which: int, way: tuple[float, float, float, float]) -> Ways:
    """Return the ways to a leaf with that of a split above them, whose feature comes first."""
    low, high, goes, share = way
    below_low, below_high, below_goes, below_share = ways.get(which, (-np.inf, np.inf, 1.0, 1.0))
    joined = (max(low, below_low), min(high, below_high), goes * below_goes, share * below_share)
    return {which: joined, **{other: one for other, one in ways.items() if other != which}}

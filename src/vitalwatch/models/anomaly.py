"""Channel A: one Isolation Forest an organ group, on personal residuals; calibrated on people it never saw.

scikit-learn's `score_samples` is low for outliers and its labels are -1 and +1 (both true in Python); everything here
is high = unusual, and no label is ever asked of it (Liu, Ting and Zhou 2008, doi 10.1109/ICDM.2008.17).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import attribution, features, params
from vitalwatch.baseline import CONTEXTS
from vitalwatch.export import forests_to_onnx, leaf_depths, mean_depth, round_down
from vitalwatch.models.heart_rate import sample
from vitalwatch.scoring import Calibration, Line, Scale
from vitalwatch.tables import Bools, Doubles, Floats, Times

NAME = "anomaly"
BODY_KNOTS, TAIL_KNOTS = 16, 48
BEYOND_KNOTS = 10  # eight on which a scale goes on ever slower, two where it stands still
RARITY_KNOTS = 96
FURTHER = 1.0  # decades that surprise may lie beyond what calibration people's blocks can tell
RARE = 0.1  # share of rows whose scores tell how fast rarity rises beyond all of them
TIED = 1e-6  # scores closer than this are one: they are of float32, and of means of it
DEPTHS = 100_000  # depths of trees for explanations are kept in whole parts of an edge, so many an edge
Groups = Mapping[str, Sequence[int]]


def fit(x: Floats, chosen: params.Detector, seed: int, groups: Groups = features.GROUPS) -> bytes:
    """Train the forests on rows of training people, labels unseen, and return them as one ONNX model.

    Arguments as of `forests`.
    """
    return forests_to_onnx(forests(x, chosen, seed, groups), x.shape[1])


def forests(
    x: Floats, chosen: params.Detector, seed: int, groups: Groups = features.GROUPS
) -> list[tuple[Any, Sequence[int]]]:
    """Return a fitted `IsolationForest` a group, and its columns.

    Args:
        x: Assessable rows, `features.NAMES` columns, float32 (n, f).
        chosen: Trees, sample a tree, most rows.
        seed: For the rows drawn and the forests.
        groups: Name -> columns of its forest.
    """
    from sklearn.ensemble import IsolationForest

    rows = x[sample(len(x), chosen.max_rows, seed)]
    found: list[tuple[Any, Sequence[int]]] = []
    for number, columns in enumerate(groups.values()):
        forest = IsolationForest(
            n_estimators=chosen.trees, max_samples=min(chosen.sample, len(rows)), random_state=seed + number
        )
        found.append((forest.fit(rows[:, list(columns)]), columns))
    return found


def trees(found: Sequence[tuple[Any, Sequence[int]]]) -> bytes:
    """Return the trees of `forests` as `attribution` reads them, a head a group.

    A group's score is 2 to the power of what its leaves add up to: minus the depth that a leaf credits, over the number
    of trees and the mean depth of a sample. So contributions are to the binary logarithm of the score.
    """
    heads, units = [], []
    for forest, columns in found:
        mean = mean_depth(np.array([forest.max_samples_]))[0]
        units.append(-1.0 / (len(forest.estimators_) * mean * DEPTHS))
        pairs = zip(forest.estimators_, forest.estimators_features_, strict=True)
        heads.append([_columns(one.tree_, np.asarray(columns)[used]) for one, used in pairs])
    return attribution.packed(heads, units)


def _columns(tree: Any, names: NDArray[np.intp]) -> attribution.Tree:
    """Return a tree, whose nodes scikit-learn keeps in preorder, as `attribution.COLUMNS`."""
    leaf = tree.children_left < 0
    split = ~leaf
    return [
        np.where(leaf, -1, names[np.where(leaf, 0, tree.feature)]).tolist(),
        [float(f"{one:.9g}") for one in round_down(tree.threshold[split]).tolist()],
        tree.missing_go_to_left[split].astype(int).tolist(),
        np.rint(leaf_depths(tree)[leaf] * DEPTHS).astype(int).tolist(),
        tree.n_node_samples[leaf].tolist(),
    ]


def surprise_scale(by_group: NDArray[np.floating], asleep: Bools, block: NDArray[np.int64]) -> Scale:
    """Return the scale of each state and group from rows of calibration people, episodes left out.

    Args:
        by_group: Forest scores, high = unusual, (n, g).
        asleep: (n,).
        block: Number of the person's six-hour block that a row is in, (n,).
    """
    groups = by_group.shape[1]
    knots = np.empty((2, groups, BODY_KNOTS + TAIL_KNOTS + BEYOND_KNOTS))
    values = np.empty_like(knots)
    for state in (0, 1):
        rows = asleep == bool(state)
        if rows.sum() < 2 * TAIL_KNOTS:  # a source without sleep: both states share one scale
            rows = np.ones_like(rows)
        for g in range(groups):
            knots[state, g], values[state, g] = _scale(by_group[rows, g].astype(np.float64), block[rows])
    return Scale(knots, values)


def _scale(score: Doubles, block: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
    """Return knots: rows' quantiles below the quietest tenth of block maxima, block maxima's quantiles above.

    A score that i of n blocks reach is told (1 + i) / (n + 1); beyond the highest the scale is a named extrapolation.
    """
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.diff(block[order], prepend=block[order][0] - 1))
    highest = np.sort(np.maximum.reduceat(score[order], starts))
    tail, rarity = _ranked(highest, 0.9, TAIL_KNOTS)
    body = np.quantile(np.minimum(score, tail[0]), np.linspace(0.0, 1.0, BODY_KNOTS, endpoint=False))
    below = np.linspace(0.0, rarity[0], BODY_KNOTS, endpoint=False)
    kept = np.diff(body, append=tail[0]) > TIED
    decade = max(tail[-1] - tail[0], TIED) / max(rarity[-1] - rarity[0], TIED)
    return _further(np.append(body[kept], tail), np.append(below[kept], rarity), decade)


def _ranked(ordered: Doubles, most: float, count: int) -> tuple[Doubles, Doubles]:
    """Return at most `count` of the scores, rising, and minus log10 of (1 + how many reach each) / (n + 1).

    Tied scores are one: of a value that many reach, the least rare.

    Args:
        ordered: Rising (n,).
        most: Share of them that reach the first.
        count: Ranks are chosen in equal steps of the logarithm.
    """
    n = len(ordered)
    rank = (n + 1) * (1.0 - np.geomspace(most, 2.0 / (n + 1), count))
    rank = np.unique(np.clip(np.rint(rank).astype(np.intp), 0, n - 1))
    place = np.unique(np.searchsorted(ordered, ordered[rank] - TIED / 2))
    place = place[np.diff(ordered[place], prepend=-np.inf) > TIED]
    return ordered[place], -np.log10((1.0 + n - place) / (n + 1))


def _further(knots: Doubles, values: Doubles, decade: float) -> tuple[Doubles, Doubles]:
    """Return a scale that goes on beyond its last knot: at first as the whole tail rises, then ever slower.

    The last few of calibration people's scores lie close together or far apart by chance, and say nothing of a slope.
    Each half of what is left of FURTHER takes as long as the first, so that scores beyond keep their order for a while.

    Args:
        knots, values: Up to the highest score that was seen, at most BODY_KNOTS + TAIL_KNOTS of them.
        decade: By how much a score rises there for a value of one more, over the whole tail.
    """
    step = np.arange(1, BODY_KNOTS + TAIL_KNOTS + BEYOND_KNOTS + 1 - len(knots))
    rise = np.where(step > BEYOND_KNOTS - 2, 1.0, 1.0 - 0.5**step)
    knots = np.append(knots, knots[-1] + step * decade * FURTHER / 2)
    return knots, np.append(values, values[-1] + FURTHER * rise)


def rarity_scale(score: NDArray[np.floating]) -> Scale:
    """Return minus log10 of the conformal p-value, (1 + #{normal >= s}) / (n + 1), of a channel's normal rows (n,).

    Beyond all n it comes down to 1 / (n + 1) as fast as over their rarest tenth, and is never less.
    """
    ordered = np.sort(score[np.isfinite(score)].astype(np.float64))
    n = len(ordered)
    knots, values = _ranked(ordered, 1.0, RARITY_KNOTS)
    first = max(min(int(np.searchsorted(values, -np.log10(RARE))), len(knots) - 2), 0)
    decade = max(knots[-1] - knots[first], TIED) / max(values[-1] - values[first], TIED)
    beyond = np.arange(1, RARITY_KNOTS + 3 - len(knots))
    knots = np.append(knots, knots[-1] + beyond * max(decade * np.log10(2.0), TIED))
    return Scale(knots, np.append(values, np.full(len(beyond), np.log10(n + 1.0))))


def rarity_scales(
    unusual: Doubles, known: Doubles | None, context: NDArray[np.intp]
) -> tuple[Scale, Scale | None, Scale | None]:
    """Return, by context, the rarity of channel A's score, of channel B's, and of the rarer of both.

    The smaller of two p-values is small more often than either; on the third scale it is as rare as it says. A context
    that calibration people were hardly ever in borrows from all rows.

    Args:
        unusual, known: Scores of normal rows, (n,); None without channel B.
        context: Index into `baseline.CONTEXTS`, (n,).
    """
    parts = [context == code for code in range(len(CONTEXTS))]
    parts = [rows if rows.sum() >= RARITY_KNOTS else np.ones_like(rows) for rows in parts]
    of_unusual = stacked([rarity_scale(unusual[rows]) for rows in parts])
    if known is None:
        return of_unusual, None, None
    of_known = stacked([rarity_scale(known[rows]) for rows in parts])
    rarer = [
        np.maximum(_of(of_unusual, code).look_up_all(unusual[rows]), _of(of_known, code).look_up_all(known[rows]))
        for code, rows in enumerate(parts)
    ]
    return of_unusual, of_known, stacked([rarity_scale(one) for one in rarer])


def stacked(scales: Sequence[Scale]) -> Scale:
    """Return scales of equally many knots as one, a state each."""
    return Scale(np.stack([scale.knots for scale in scales]), np.stack([scale.values for scale in scales]))


def _of(scale: Scale, code: int) -> Line:
    return Line.of(Scale(scale.knots[code], scale.values[code]))


def blocks(time: Times, person: NDArray[np.int64], block_ms: int) -> NDArray[np.int64]:
    """Return a number that rows of one person in one block share, (n,)."""
    return person * 10**9 + time // block_ms


def uncalibrated(scale: Scale, level: Scale | None = None) -> Calibration:
    """Return a calibration that only puts groups, and kinds, on one scale: what thresholds are then chosen with."""
    nothing = stacked([Scale(np.asarray([0.0, 1.0]), np.asarray([0.0, 1.0]))] * len(CONTEXTS))
    return Calibration(scale, nothing, level, None, None, (), float("inf"), float("inf"), float("inf"), ())

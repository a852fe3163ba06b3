"""Channel B: boosted trees on labelled episodes, a head a kind against normal rows.

A head names its kind and can be left out or added without the others; all are put on the same scale of false alarms by
calibration people (one head for all kinds beside it: docs/comparison.md). Regularised so that it learns kinds and not
people: a third of the columns a tree, strong L2, large leaves, and rows weighted so that
a long episode counts as much as a short one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitalwatch import params
from vitalwatch.export import one_against_rest_to_onnx
from vitalwatch.metrics.budget import Cohort
from vitalwatch.models.boosting import steady
from vitalwatch.scoring import Scale
from vitalwatch.tables import Bools, Doubles, Floats

NAME = "episodes"
LEVEL_KNOTS = 24
CHANCE_KNOTS = 20  # of each half
MOST_OF_ONE = 0.1  # of the normal rows that are told about as much: what one person may count for
BETWEEN = 8  # straight pieces in place of one, where odds are shifted
COMMONEST = 0.03  # share of normal rows above the lowest knot


def fit(
    x: Floats,
    episode: NDArray[np.int64],
    kind: NDArray[np.int64],
    kinds: int,
    chosen: params.Supervised,
    seed: int,
    threads: int,
) -> bytes:
    """Train a head a kind and return them as one ONNX model: `margin` (n, kinds), log-odds against a normal row, and
    `probability` (n,) of any of them; arguments as of `heads`.
    """
    return one_against_rest_to_onnx(heads(x, episode, kind, kinds, chosen, seed, threads), x.shape[1])


def heads(
    x: Floats,
    episode: NDArray[np.int64],
    kind: NDArray[np.int64],
    kinds: int,
    chosen: params.Supervised,
    seed: int,
    threads: int,
) -> list[Any]:
    """Train a head a kind and return the boosters.

    Args:
        x: Assessable rows of training people, `features.NAMES` columns, float32 (n, f).
        episode: Number of the episode a row is in, -1 for none, (n,).
        kind: Index of the kind of a row's episode, -1 for none, (n,).
        kinds: How many kinds there are.
        chosen: Hyperparameters.
        seed: For normal rows drawn and LightGBM.
        threads: Cores to use.
    """
    import lightgbm

    normal = normal_rows(episode, chosen.normal_rows, seed)
    rows = np.sort(np.concatenate((np.flatnonzero(episode >= 0), normal)))
    episode, kind, outside = episode[rows], kind[rows], int((episode < 0).sum())
    settings = options(chosen, seed, threads)
    binned = lightgbm.Dataset(x[rows], episode >= 0, params=settings).construct()  # once for all heads
    found = []
    for number in range(kinds):
        used = np.flatnonzero((episode < 0) | (kind == number))
        own = episode[used] >= 0
        data = binned.subset(used.tolist()).construct()
        data.set_label(own.astype(np.float32)).set_weight(weights(episode[used], outside))
        found.append(lightgbm.train(settings, data, chosen.rounds))
    return found


def level_scale(margin: NDArray[np.floating], cohort: Cohort) -> Scale:
    """Return by kind how rare a margin is: minus log10 of the false alarms a day that a threshold there would cost.

    Args:
        margin: Log-odds of the rows of calibration people, NaN where they cannot be judged, (n, kinds).
        cohort: Their tracks, n rows.

    Returns:
        Knots (kinds, k).
    """
    stops = np.cumsum([len(track.time) for track in cohort.tracks])[:-1]
    found = [_levels(cohort, cohort.levels(np.split(column, stops))) for column in margin.T]
    knots, values = (np.stack(parts) for parts in zip(*found, strict=True))
    return Scale(knots, values)


def _levels(cohort: Cohort, level: Doubles) -> tuple[Doubles, Doubles]:
    normal = np.sort(level[np.isfinite(level) & ~cohort.labels])
    n, days = max(len(normal), 1), max(float(cohort.person_days.sum()), 1e-9)
    share = np.geomspace(COMMONEST, 1.0 / n, LEVEL_KNOTS)
    knots = normal[((1.0 - share) * (n - 1)).astype(np.intp)] if len(normal) else np.zeros(LEVEL_KNOTS)
    # one more than were seen, because so many more people may show one more (Laplace's rule)
    alarms = np.asarray([cohort.false_rate(level, float(knot)) * days + 1.0 for knot in knots])
    knots = np.maximum.accumulate(knots) + np.arange(LEVEL_KNOTS) * 1e-6
    values = np.maximum.accumulate(-np.log10(alarms / days))
    rising = np.diff(values, prepend=-np.inf) > 0
    # where nothing more was counted, and beyond all normal rows: a tenth as many for ten times the odds
    beyond = np.arange(1, LEVEL_KNOTS + 2 - rising.sum())
    knots, values = knots[rising], values[rising]
    return np.append(knots, knots[-1] + beyond * np.log(10)), np.append(values, values[-1] + beyond)


def chance_scale(told: Floats, inside: Bools, person: NDArray[np.int64]) -> Scale:
    """Return a rising map from what the heads tell of any kind to the share of such rows that lie in an episode.

    Nine heads that are taken as independent say too much together; isotonic regression (Zadrozny and Elkan 2002, doi
    10.1145/775047.775151) puts that right, at the share of episodes among calibration people. Rows of one person are
    alike: a week of a rare harmless context would otherwise be half of all normal rows that are told much, and would
    lower what everybody is told.

    Args:
        told: `probability` of rows of calibration people that can be judged, (n,).
        inside: Rows in a labelled episode, (n,).
        person: Number of each row's person, from 0, (n,).
    """
    from sklearn.isotonic import IsotonicRegression

    share = np.concatenate((np.linspace(0.0, 0.9, CHANCE_KNOTS), 1.0 - np.geomspace(0.09, 1e-4, CHANCE_KNOTS), [1.0]))
    knots = np.unique(np.concatenate(([0.0], np.quantile(told.astype(np.float64), share), [1.0])))
    weight = _weights_of_many(told, inside, person, knots[::2])
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(told, inside, sample_weight=weight)
    return Scale(knots, fitted.predict(knots))


def _weights_of_many(told: Floats, inside: Bools, person: NDArray[np.int64], edges: Doubles) -> Doubles:
    """Return weights of rows, (n,): nobody's normal rows count for over MOST_OF_ONE of those between two edges.

    Where fewer people have such rows, an equal share of them is allowed.
    """
    level, people = np.searchsorted(edges, told, side="right"), int(person.max(initial=0)) + 1
    cell = (level * people + person)[~inside]
    rows = np.bincount(cell, minlength=(len(edges) + 1) * people).reshape(-1, people)
    having = np.maximum((rows > 0).sum(axis=1), 1)
    most = rows.sum(axis=1) * np.maximum(MOST_OF_ONE, 1.0 / having)
    weight = np.minimum(most[:, None] / np.maximum(rows, 1), 1.0)
    return np.where(inside, 1.0, weight[level, person])


def at_prevalence(scale: Scale, odds: float) -> Scale:
    """Return a scale of probabilities that holds where the odds of an episode are `odds` times those it was made at.

    Between its knots a scale is a straight line and a shift of odds is none, so that it gets knots between the knots.
    """
    place = np.arange(len(scale.knots) * BETWEEN - BETWEEN + 1) / BETWEEN
    knots, values = (np.interp(place, np.arange(len(scale.knots)), part) for part in (scale.knots, scale.values))
    return Scale(knots, shifted(values, odds))


def shifted(probability: ArrayLike, odds: float) -> Doubles:
    """Return probabilities whose odds are multiplied, as rows of either class look alike wherever they are more common.

    Elkan 2001 ("The foundations of cost-sensitive learning", IJCAI 17, theorem 2); Saerens, Latinne and Decaestecker
    2002, doi 10.1162/089976602753284446.
    """
    told = np.asarray(probability, np.float64)
    return odds * told / (1.0 - told + odds * told)


def odds_between(prevalence: float, served: float) -> float:
    """Return what odds are multiplied by to go from one share of rows in episodes to another; both within (0, 1)."""
    return served / (1.0 - served) * (1.0 - prevalence) / prevalence


def normal_rows(episode: NDArray[np.int64], most: int, seed: int) -> NDArray[np.intp]:
    """Return which rows outside every episode are drawn, at most `most` of them; `episode` is -1 there, (n,)."""
    outside = np.flatnonzero(episode < 0)
    return np.random.default_rng([seed, len(episode)]).choice(outside, min(len(outside), most), replace=False)


def weights(episode: NDArray[np.int64], outside: int) -> Doubles:
    """Return weights of a head's rows, (n,): the normal ones drawn stand for all `outside`, those of episodes for
    themselves on average, less in a longer episode.
    """
    inside = episode >= 0
    weight = np.full(len(episode), outside / max(int((~inside).sum()), 1))
    weight[inside] = _episode_weight(episode[inside])
    weight[inside] *= inside.sum() / max(weight[inside].sum(), 1e-9)
    return weight


def _episode_weight(episode: NDArray[np.int64]) -> Doubles:
    """Return weights that fall with the root of an episode's length, (n,)."""
    _, number, length = np.unique(episode, return_inverse=True, return_counts=True)
    return 1.0 / np.sqrt(length[number].astype(np.float64))


def options(chosen: params.Supervised, seed: int, threads: int) -> dict[str, Any]:
    """Return what LightGBM is told for one head."""
    return {
        "objective": "binary",
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.leaves,
        "min_data_in_leaf": chosen.min_rows_a_leaf,
        "feature_fraction": chosen.columns_a_tree,
        "lambda_l2": chosen.l2,
        "bagging_fraction": 0.6,
        "max_bin": 63,
        **steady(seed, threads),
    }

"""Early warning in hospital: boosted trees on the hours of stays, and their calibration on other patients.

Strongly regularised (a fifth of the columns a tree, small trees, large leaves): hours of one patient say nearly the
same, so there are as many examples as patients, not as hours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.export import boosted_to_onnx
from vitalwatch.models.boosting import steady
from vitalwatch.platt import Platt, log_odds, nearness
from vitalwatch.tables import Bools, Doubles, Floats

NAME = "deterioration"
HOURS = (1, 6, 12, 24, 48, 96)  # of a stay, at which the calibration is known
TOGETHER = 3.0  # curvature that pulls the calibration of neighbours together: where nobody stayed, it alone tells
AS_TOLD = 10.0  # the same towards slopes of 1
EVERY = 6  # of hours with one label all through, each sixth and the last are learnt from
PURPOSE = (
    "Ranks people in hospital by how likely sepsis (within 6 hours) or death (in this stay) is, for a clinician who "
    "looks again. It is no medical device, makes no diagnosis, and its silence means nothing."
)
LIMITS = (
    "Learnt from intensive-care patients of one hospital group; other wards and hospitals need their own calibration.",
    "When and how often something is measured says what staff feared: a model that sees it learns their habits too.",
)
NEGATIVE_RESULTS_OF = {
    "death_in_hospital": (
        "Death: after the first hour of a stay laboratory values and the like add little to vitals (docs/figures.md).",
        "Death: other sizes of trees and shares of columns gained next to nothing (docs/figures.md).",
    ),
    "sepsis": (
        "Sepsis: from vitals alone it ranks about as well as hours in hospital do by themselves; above them it is with "
        "laboratory values and those hours (docs/figures.md).",
        "Sepsis: other sizes of trees and shares of columns gained next to nothing (docs/figures.md).",
    ),
}
LIMITS_OF = {
    "death_in_hospital": (
        "Early in a stay little is known: it ranks much less well in the first hours, and tells risks nearer the usual "
        "rate then (docs/figures.md).",
    ),
    "sepsis": (
        "Hours in hospital and in intensive care alone rank patients well: read every figure beside that line.",
        "Sepsis labels are made from orders and chart values after the fact, and begin 6 hours before that onset.",
    ),
}


def fit(x: Floats, happens: Bools, chosen: params.EarlyWarning, seed: int, threads: int) -> bytes:
    """Train on hours of training patients; return ONNX that gives an uncalibrated `probability`.

    Args:
        x: Columns of `early_warning.features` that the model may see, float32 (n, f).
        happens: Whether it happens, of each hour (n,).
        chosen: Hyperparameters.
        seed: For LightGBM.
        threads: Cores to use.
    """
    import lightgbm

    data = lightgbm.Dataset(x, happens.astype(np.float32), free_raw_data=True)
    return boosted_to_onnx(lightgbm.train(_options(chosen, seed, threads), data, chosen.rounds), x.shape[1])


def hours_to_learn(happens: Bools, share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return which hours of one stay are learnt from, in order.

    Args:
        happens: Of each hour (n,).
        share: Of the hours in which it does not happen, where others have it; a stay that has one label all through
            because somebody told only its end gives each sixth hour and the last (`share` 0).
        rng: Draws the hours.
    """
    if share == 0:
        hours = np.arange(len(happens))
        return np.flatnonzero((hours % EVERY == EVERY - 1) | (hours == len(happens) - 1))
    return np.flatnonzero(happens | (rng.random(len(happens)) < share))


def calibration(probability: Floats, lasted: NDArray[np.int64], happened: Bools, rounds: int = 100) -> Platt:
    """Return what makes the probabilities of patients held out of fitting likeliest at every hour (Platt 1999).

    Newton's method on slope and offset at each of `HOURS`, with a pull of neighbours towards each other and a slight
    one towards no change, so that few patients, separable ones or hours that nobody stayed give finite numbers.

    Args:
        probability: As the model tells them (n,).
        lasted: How many hours the stay of each had lasted (n,).
        happened: Of the same hours (n,).
        rounds: Most steps.
    """
    near, count = nearness(HOURS, lasted), len(HOURS)
    design = np.concatenate((near * log_odds(probability)[:, None], near), axis=1)
    start = np.repeat([1.0, 0.0], count)
    pull, found = _pulls(count), start.copy()
    for _ in range(rounds):
        told = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (told - happened) + pull @ (found - start)
        curve = (design * (told * (1 - told))[:, None]).T @ design + pull
        step = np.linalg.solve(curve, slope)
        found -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    slopes, offsets = np.maximum(found[:count], 1e-3), found[count:]
    return Platt(HOURS, tuple(slopes.tolist()), tuple(offsets.tolist()))


def _pulls(count: int) -> Doubles:
    """Return the curvature of both pulls on slopes and offsets, (2 count, 2 count)."""
    apart = np.diff(np.eye(count), axis=0)
    together = TOGETHER * apart.T @ apart + 1e-9 * np.eye(count)
    return np.block([[together + AS_TOLD / count * np.eye(count), np.zeros_like(together)],
                     [np.zeros_like(together), together]])  # fmt: skip


def _options(chosen: params.EarlyWarning, seed: int, threads: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.leaves,
        "min_data_in_leaf": chosen.min_rows_a_leaf,
        "feature_fraction": chosen.columns_a_tree,
        "bagging_fraction": 0.6,
        "lambda_l2": chosen.l2,
        "max_bin": 63,
        **steady(seed, threads),
    }

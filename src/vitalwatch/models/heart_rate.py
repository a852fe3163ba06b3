"""Expected heart rate: LightGBM on activity, clock, sleep and profile; no column is computed from heart rate.

The target is heart rate minus the person's own usual level, so that trees learn what a moment adds and not who is who;
serving adds the level of the person's own days back (or the population's, before there are any).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features, params
from vitalwatch.export import boosted_to_onnx
from vitalwatch.models.boosting import steady
from vitalwatch.tables import Floats

NAME = "heart_rate"
RANKED = 20_000  # rows that ranks are compared on


def fit(
    x: Floats,
    heart_rate: Floats,
    *,
    level: Floats,
    who: NDArray[np.int64],
    chosen: params.Regressor,
    seed: int,
    threads: int,
) -> bytes:
    """Train on rows of training people and return the model as ONNX.

    Args:
        x: `features.EXPECTATION` columns, float32 (n, 28).
        heart_rate: Measured, bpm (n,).
        level: Usual level of each row's person, bpm (n,).
        who: Person number of each row (n,): each person weighs the same.
        chosen: Hyperparameters.
        seed: For row sampling and LightGBM.
        threads: Cores to use.

    Raises:
        ValueError: A column is computed from heart rate (see `leaks`).
    """
    import lightgbm

    found = leaks(x, heart_rate)
    if found:
        raise ValueError(f"columns of the expectation follow the heart rate itself: {', '.join(found)}")
    rows = sample(len(x), chosen.max_rows, seed)
    owner = who[rows]
    weight = 1.0 / np.bincount(owner)[owner]
    data = lightgbm.Dataset(x[rows], heart_rate[rows] - level[rows], weight=weight / weight.mean(), free_raw_data=True)
    return boosted_to_onnx(lightgbm.train(_options(chosen, seed, threads), data, chosen.rounds), x.shape[1])


def leaks(x: Floats, heart_rate: Floats, limit: float = 0.98) -> list[str]:
    """Return the names of columns that follow heart rate more closely than activity ever does (|r| above `limit`).

    In a line (Pearson) or in any curve that only rises or falls (Spearman, on at most `RANKED` rows).
    """
    some = slice(None, None, max(len(x) // RANKED, 1))
    ranks = _ranks(heart_rate[some])
    with np.errstate(invalid="ignore", divide="ignore"):
        line = [abs(np.corrcoef(x[:, i], heart_rate)[0, 1]) for i in range(x.shape[1])]
        curve = [abs(np.corrcoef(_ranks(x[some, i]), ranks)[0, 1]) for i in range(x.shape[1])]
    r = np.fmax(line, curve)  # NaN where a column is constant
    names = features.EXPECTATION if x.shape[1] == len(features.EXPECTATION) else [f"column {i}" for i in range(len(r))]
    banned = [name for name in names if name.startswith(("heart_rate", "hr_", "rmssd"))]
    return sorted({*banned, *(name for name, value in zip(names, r, strict=True) if value > limit)})


def _ranks(column: Floats) -> NDArray[np.float64]:
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - count / 2)[place]


def sample(rows: int, most: int, seed: int) -> Any:
    """Return at most `most` row numbers in order, drawn without replacement."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([seed, rows]).choice(rows, most, replace=False))


def _options(chosen: params.Regressor, seed: int, threads: int) -> dict[str, Any]:
    return {
        "objective": "regression",
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.leaves,
        "min_data_in_leaf": chosen.min_rows_a_leaf,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.7,
        "lambda_l2": 5.0,
        "max_bin": 127,
        **steady(seed, threads),
    }

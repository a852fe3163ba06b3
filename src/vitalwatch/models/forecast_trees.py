"""Boosted trees beside the LSTM: the median of the heart rate at each horizon, as a difference from the last value.

Trees find the steps that an LSTM of this size rounds off; the LSTM finds slopes. Medians of both are averaged with
shares chosen on calibration people (`share`), and the LSTM's interval moves along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.export import several_to_onnx
from vitalwatch.lags import lagged
from vitalwatch.models.boosting import steady
from vitalwatch.tables import Floats

LEAST = 500  # rows with a target that every horizon needs
SHARES = np.linspace(0, 1, 21)
BLOCK = 8192  # windows at a time: they are stored as float16


@dataclass(frozen=True)
class Drawn:
    """Rows that trees learn from.

    Attributes:
        x: Columns of `lags.lagged`, float32 (n, k).
        moved: Heart rate at each horizon minus the last one, bpm (n, h); NaN where it was not measured.
    """

    x: Floats
    moved: Floats


def rows_of(x: NDArray[Any], person: Floats, y: Floats, last: Floats, at: int) -> Drawn | None:
    """Return the rows of windows (see `models.forecast.fit`), None where heart rate is not forecast (`at` below 0)."""
    if at < 0 or not len(x):
        return None
    blocks = (slice(start, start + BLOCK) for start in range(0, len(x), BLOCK))
    parts = [lagged(x[rows].astype(np.float32), person[rows], last[rows], at) for rows in blocks]
    return Drawn(np.concatenate(parts), y[:, at] - last[:, at : at + 1])


def fit(drawn: Drawn | None, chosen: params.Forecaster, seed: int, threads: int) -> bytes | None:
    """Train on rows of training people and return all horizons as one ONNX, None where there is too little.

    Args:
        drawn: From `rows_of`.
        chosen: Hyperparameters.
        seed: For sampling of rows and columns.
        threads: Cores to use.
    """
    import lightgbm

    if drawn is None or np.isfinite(drawn.moved).sum(axis=0).min() < LEAST:
        return None
    boosters = []
    for moved in drawn.moved.T:
        known = np.isfinite(moved)
        data = lightgbm.Dataset(drawn.x[known], moved[known], free_raw_data=True)
        boosters.append(lightgbm.train(_options(chosen, seed, threads), data, chosen.tree_rounds))
    return several_to_onnx(boosters, drawn.x.shape[1])


def share(alone: Floats, trees: Floats, moved: Floats) -> Floats:
    """Return the trees' share of each horizon's median with the least absolute error, float32 (h,).

    Args:
        alone: Medians of the LSTM, (n, h).
        trees: Of the trees, (n, h).
        moved: What came, (n, h); NaN where it was not measured.
    """
    errors = np.zeros((len(SHARES), moved.shape[1]))
    for i, part in enumerate(SHARES):
        error = np.abs(moved - alone - part * (trees - alone))
        errors[i] = np.where(np.isfinite(error), error, 0.0).sum(axis=0, dtype=np.float64)
    return SHARES[errors.argmin(axis=0)].astype(np.float32)


def _options(chosen: params.Forecaster, seed: int, threads: int) -> dict[str, Any]:
    return {
        "objective": "regression_l1",
        "learning_rate": chosen.tree_learning_rate,
        "num_leaves": chosen.tree_leaves,
        "min_data_in_leaf": chosen.tree_min_rows_a_leaf,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "lambda_l2": 5.0,
        "max_bin": 127,
        **steady(seed, threads),
    }

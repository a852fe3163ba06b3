"""Errors of numbers and intervals as per-person sums, so that any figure and its bootstrap is a product away.

Each `*_sums` returns what one person adds, each figure reads sums of shape (..., c). Pooled figures weigh rows
alike. A test holds MAE, RMSE and R2 against scikit-learn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitalwatch.metrics.bootstrap import Estimate, estimate, ratio
from vitalwatch.tables import Doubles

Numbers = NDArray[np.floating]

ROWS, ABSOLUTE, SQUARE, TRUE, TRUE_SQUARE = range(5)  # columns of `error_sums`
INSIDE, WIDTH = 1, 2  # columns of `interval_sums` after ROWS


def error_sums(true: Numbers, told: Numbers) -> Doubles:
    """Return rows, sum |e|, sum e2, sum y, sum y2 over rows where both are known; shape (5,)."""
    known = np.isfinite(true) & np.isfinite(told)
    y = true[known].astype(np.float64)
    error = told[known] - y
    return np.array([len(y), np.abs(error).sum(), (error**2).sum(), y.sum(), (y**2).sum()])


def mae(sums: Doubles) -> Doubles:
    """Return the mean absolute error from sums (..., 5), in the unit of the values."""
    return ratio(sums[..., ABSOLUTE], sums[..., ROWS])


def rmse(sums: Doubles) -> Doubles:
    """Return the root mean squared error from sums (..., 5), in the unit of the values."""
    return np.sqrt(ratio(sums[..., SQUARE], sums[..., ROWS]))


def r2(sums: Doubles) -> Doubles:
    """Return the share of variance explained, against the pooled mean, from sums (..., 5)."""
    spread = sums[..., TRUE_SQUARE] - ratio(sums[..., TRUE] ** 2, sums[..., ROWS])
    return 1 - ratio(sums[..., SQUARE], np.where(spread > 0, spread, 0))


def skill(sums: Doubles, line: Doubles, draws: Doubles, confidence: float) -> Estimate:
    """Return 1 - MAE / MAE of the line on the same rows and people: above 0 is better than the line; paired.

    Args:
        sums: Per-person `error_sums` of the model, shape (p, 5).
        line: The same of the line to beat, shape (p, 5).
        draws: From `bootstrap.weights`.
        confidence: Share of draws inside the interval.
    """

    def figure(total: Doubles) -> Doubles:
        return 1 - ratio(mae(total[..., :5]), mae(total[..., 5:]))

    return estimate(figure, np.concatenate((sums, line), axis=1), draws, confidence)


def pinball_sums(true: Numbers, told: Numbers, quantiles: Numbers) -> Doubles:
    """Return rows and summed pinball loss, averaged over quantiles; shape (2,).

    Args:
        true: Shape (n,).
        told: One column a quantile, shape (n, q).
        quantiles: In (0, 1), shape (q,).
    """
    known = np.isfinite(true) & np.isfinite(told).all(axis=1)
    gap = true[known, None].astype(np.float64) - told[known]
    loss = np.maximum(quantiles * gap, (quantiles - 1) * gap)
    return np.array([known.sum(), loss.mean(axis=1).sum() if known.any() else 0.0])


def pinball(sums: Doubles) -> Doubles:
    """Return the mean pinball loss from sums (..., 2), in the unit of the values."""
    return ratio(sums[..., 1], sums[..., ROWS])


def interval_sums(true: Numbers, low: Numbers, high: Numbers) -> Doubles:
    """Return rows, rows inside [low, high], summed width; shape (3,)."""
    known = np.isfinite(true) & np.isfinite(low) & np.isfinite(high)
    y, below, above = true[known], low[known].astype(np.float64), high[known].astype(np.float64)
    return np.array([len(y), ((y >= below) & (y <= above)).sum(), (above - below).sum()], np.float64)


def coverage(sums: Doubles) -> Doubles:
    """Return the share of rows inside their interval from sums (..., 3)."""
    return ratio(sums[..., INSIDE], sums[..., ROWS])


def width(sums: Doubles) -> Doubles:
    """Return the mean width of the intervals from sums (..., 3), in the unit of the values."""
    return ratio(sums[..., WIDTH], sums[..., ROWS])


def worst_coverage(sums: Doubles, least_rows: int = 100) -> float:
    """Return the lowest coverage among people with enough rows, NaN if nobody has; `sums` is (p, 3)."""
    enough = sums[:, ROWS] >= least_rows
    return float(coverage(sums[enough]).min()) if enough.any() else float("nan")

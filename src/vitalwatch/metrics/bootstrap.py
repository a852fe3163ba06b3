"""Intervals by drawing people with replacement; figures are functions of per-person sums, so a draw is a product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitalwatch.tables import Doubles

Statistic = Callable[[Doubles], Doubles]  # sums (..., c) -> figures (...)


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; NaN where it is not defined."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def table(self) -> dict[str, float | None]:
        """Return it for JSON, None for NaN."""
        return {"value": plain(self.value), "low": plain(self.low), "high": plain(self.high)}


def plain(value: float | None, digits: int = 6) -> float | None:
    """Return a float rounded for JSON, None for NaN, infinity and None."""
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def ratio(top: ArrayLike, bottom: ArrayLike) -> Doubles:
    """Return top / bottom, NaN where bottom is 0."""
    a, b = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)


def weights(people: int, draws: int, rng: np.random.Generator) -> Doubles:
    """Return how often each person is drawn, shape (draws, people); each row sums to `people`."""
    if people == 0:
        return np.zeros((draws, 0))
    return rng.multinomial(people, np.full(people, 1 / people), size=draws).astype(np.float64)


def interval(values: NDArray[np.floating], confidence: float) -> tuple[float, float]:
    """Return the percentile interval of the draws; draws in which the figure is not defined are left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def estimate(statistic: Statistic, sums: Doubles, draws: Doubles, confidence: float) -> Estimate:
    """Return a figure with its interval.

    Args:
        statistic: Turns sums over people, shape (..., c), into figures, shape (...).
        sums: Per-person sums, shape (people, c).
        draws: From `weights`, shape (draws, people).
        confidence: Share of draws inside the interval.
    """
    if not len(sums):
        return Estimate(float("nan"))
    return Estimate(float(statistic(sums.sum(axis=0))), *interval(statistic(draws @ sums), confidence))


def difference(statistic: Statistic, a: Doubles, b: Doubles, draws: Doubles, confidence: float) -> Estimate:
    """Return statistic(a) - statistic(b), paired: the same people are drawn for both."""
    if not len(a):
        return Estimate(float("nan"))
    value = float(statistic(a.sum(axis=0)) - statistic(b.sum(axis=0)))
    return Estimate(value, *interval(statistic(draws @ a) - statistic(draws @ b), confidence))


def mean_over_people(values: NDArray[np.floating], draws: Doubles, confidence: float) -> Estimate:
    """Return the mean of one figure per person; people for whom it is not defined (NaN) are left out."""
    known = np.isfinite(values)
    sums = np.stack((np.where(known, values, 0.0), known), axis=1).astype(np.float64)
    return estimate(lambda total: ratio(total[..., 0], total[..., 1]), sums, draws, confidence)

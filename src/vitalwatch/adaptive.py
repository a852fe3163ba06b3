"""Intervals that learn how wide a person's own have to be: online quantile tracking by vital, horizon and side.

Each side of an interval is stretched about the median by its own factor. Once the forecast moment has come, the factor
grows by `RATE` (1 - miss) after a miss and shrinks by `RATE` miss after a hit (Gibbs and Candes 2021, on the scale of
scores as in Angelopoulos et al. 2023): whatever the person, misses tend to `miss` a side. Causal; the state is the
factors and the forecasts that still wait for their moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Doubles, Floats

MISS = 0.1  # of each side: 80 % inside
RATE = 0.03  # of an interval's half width, for a miss: about a day to settle
LEAST, MOST = 0.3, 4.0  # bounds of a factor, so that nobody's interval vanishes or becomes the whole scale


@dataclass(frozen=True)
class Kept:
    """What is remembered of one person.

    Attributes:
        factor: Of each vital, horizon and side (below, above), float64 (v, h, 2).
        waiting: Forecasts of the last rows before stretching, oldest first, float32 (r, v, h, 3).
    """

    factor: Doubles
    waiting: Floats


def begin(vitals: int, ahead: NDArray[np.intp]) -> Kept:
    """Return the state of somebody without forecasts.

    Args:
        vitals: Their number v.
        ahead: Rows to each horizon, (h,).
    """
    h = len(ahead)
    waiting = np.full((int(ahead.max(initial=0)), vitals, h, 3), np.nan, np.float32)
    return Kept(np.ones((vitals, h, 2)), waiting)


def advance(kept: Kept, told: Floats, measured: Floats, ahead: NDArray[np.intp]) -> tuple[Kept, Floats]:
    """Return the next state and the stretched intervals of new rows, (n, v, h, 3).

    Args:
        kept: From `begin` or an earlier call.
        told: Quantiles of new rows in each vital's unit, (n, v, h, 3); NaN where not forecast.
        measured: What was measured in these rows, (n, v); NaN where nothing was.
        ahead: Rows to each horizon, (h,).
    """
    n = len(told)
    all_told = np.concatenate((kept.waiting, told))
    waiting = all_told[n:] if n <= len(kept.waiting) else all_told[n:].copy()
    score = _scores(all_told, measured, ahead, len(kept.waiting))
    known = score == score  # NaN is not equal to itself
    factor, factors = kept.factor, np.empty((n, *kept.factor.shape))
    for row in range(n):
        if np.count_nonzero(known[row]):
            step = np.where(score[row] > factor, RATE * (1 - MISS), -RATE * MISS)
            factor = np.minimum(np.maximum(factor + step * known[row], LEAST), MOST)
        factors[row] = factor
    out = told.copy()
    out[..., ::2] = told[..., 1:2] + factors * SIDES * _widths(told)
    return Kept(factor, waiting), out


SIDES = np.array([-1, 1], np.float32)  # below, above


def _widths(told: Floats) -> Floats:
    """Return the half widths of intervals (..., 3), never negative, (..., 2)."""
    wide: Floats = (told[..., ::2] - told[..., 1:2]) * SIDES
    return np.maximum(wide, 0.0, out=wide)


def _scores(all_told: Floats, measured: Floats, ahead: NDArray[np.intp], most: int) -> Floats:
    """Return how far what came lay from its median, in half widths of its side, (n, v, h, 2); NaN where unknown."""
    n, (_, v, h, _) = len(measured), all_told.shape
    rows = most + np.arange(n)[:, None] - ahead  # (n, h)
    place = (rows[:, None] * v + np.arange(v)[:, None]) * h + np.arange(h)  # (n, v, h)
    past = all_told.reshape(-1, 3).take(place, axis=0)
    out: Floats = (measured[:, :, None, None] - past[..., 1:2]) * SIDES
    out /= np.maximum(_widths(past), np.float32(1e-3))
    return out

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

from vitalwatch.records import record
from vitalwatch.tables import Doubles, Floats

MISS = 0.1  # of each side: 80 % inside
RATE = 0.03  # of an interval's half width, for a miss: about a day to settle
SELDOM_RATE = 0.08  # where only one row in two hours is forecast: about a week
LEAST, MOST = 0.3, 4.0  # bounds of a factor, so that nobody's interval vanishes or becomes the whole scale


@dataclass(frozen=True)
class Plan:
    """Where to look up what was forecast, worked out once.

    Attributes:
        vitals: Their number v.
        ahead: Rows to each horizon, (h,).
        most: Rows to the farthest.
        place: Of the first new row's forecasts among all (row, vital, horizon), the waiting rows first, (v, h).
    """

    vitals: int
    ahead: NDArray[np.intp]
    most: int
    place: NDArray[np.intp]

    @staticmethod
    def of(vitals: int, ahead: NDArray[np.intp]) -> Plan:
        """Return the plan for v vitals and the rows to each horizon, (h,)."""
        most, h = int(ahead.max(initial=0)), len(ahead)
        place = ((most - ahead) * vitals + np.arange(vitals)[:, None]) * h + np.arange(h)
        return Plan(vitals, ahead, most, place)


@record
class Kept:
    """What is remembered of one person.

    Attributes:
        factor: Of each vital, horizon and side (below, above), float64 (v, h, 2).
        waiting: Of the last rows, oldest first: half width below, median, half width above, before stretching, float32
            (r, v, h, 3).
    """

    factor: Doubles
    waiting: Floats


def begin(plan: Plan) -> Kept:
    """Return the state of somebody without forecasts."""
    v, h = plan.place.shape
    return Kept(np.ones((v, h, 2)), np.full((plan.most, v, h, 3), np.nan, np.float32))


def advance(kept: Kept, told: Floats, measured: Floats, plan: Plan, *, seldom: bool = False) -> tuple[Kept, Floats]:
    """Return the next state and the stretched intervals of new rows, (n, v, h, 3).

    Args:
        kept: From `begin` or an earlier call.
        told: Quantiles of new rows in each vital's unit, (n, v, h, 3); NaN where not forecast.
        measured: What was measured in these rows, (n, v); NaN where nothing was.
        plan: From `Plan.of`.
        seldom: Whether only one row in two hours is forecast, so that each teaches more.
    """
    n, steps = len(told), SELDOM_STEPS if seldom else STEPS
    new = told.copy()
    wide = new[..., ::2] = _widths(told)
    so_far = np.concatenate((kept.waiting, new))
    waiting = so_far[n:] if n <= plan.most else so_far[n:].copy()
    factors = _followed(kept.factor, *_misses(so_far, measured, plan), steps)
    stretched = wide * factors
    stretched *= SIDES
    stretched += told[..., 1:2]
    new[..., ::2] = stretched
    return Kept(factors[-1] if n else kept.factor, waiting), new


SIDES = np.array([-1, 1], np.float32)  # below, above
LEAST_WIDTH = np.float32(1e-3)  # in the vital's unit
STEPS, SELDOM_STEPS = (  # of a factor: nothing known, inside, outside
    np.array([0.0, -rate * MISS, rate * (1 - MISS)]) for rate in (RATE, SELDOM_RATE)
)


def _widths(told: Floats) -> Floats:
    """Return the half widths of intervals (..., 3), never below the least, (..., 2)."""
    wide: Floats = told[..., 1:] - told[..., :2]
    return np.maximum(wide, LEAST_WIDTH, out=wide)


def _misses(so_far: Floats, measured: Floats, plan: Plan) -> tuple[Floats, Floats]:
    """Return how far what came lay beyond its median on each side, and the half width of that side, (n, v, h, 2)."""
    place = plan.place
    if len(measured) != 1:
        place = place + (place.size * np.arange(len(measured)))[:, None, None]
    past = so_far.reshape(-1, 3).take(place, axis=0).reshape(-1, *plan.place.shape, 3)
    away: Floats = (measured[:, :, None, None] - past[..., 1:2]) * SIDES
    return away, past[..., ::2]


def _followed(factor: Doubles, away: Floats, wide: Floats, steps: Doubles) -> Doubles:
    """Return the factors after each new row, (n, v, h, 2)."""
    known = away == away  # NaN is not equal to itself
    code = known.view(np.int8)
    if len(away) == 1:
        return _next(factor, code, away, wide, steps)
    if not np.count_nonzero(known):
        return np.broadcast_to(factor, away.shape)
    factors, done = np.empty(away.shape), 0
    for row in np.flatnonzero(known.any(axis=(1, 2, 3))).tolist():
        factors[done:row] = factor
        factors[row] = factor = _next(factor, code[row], away[row], wide[row], steps)
        done = row + 1
    factors[done:] = factor
    return factors


def _next(factor: Doubles, known: NDArray[np.int8], away: Floats, wide: Floats, steps: Doubles) -> Doubles:
    """Return factors after what came at one moment; `known` is 1 where anything did."""
    step = steps.take(known + (away > wide * factor))  # what is not known is not away
    step += factor
    np.maximum(step, LEAST, out=step)
    return np.minimum(step, MOST, out=step)

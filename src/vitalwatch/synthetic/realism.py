"""Does a recording move like real people do? Statistics that hold for real and for synthetic readings alike.

Both are judged over the same hours by the same rule, the local clock: exports of wearers rarely tell sleep, and nights
are calm enough that awake people held against whole days of others would look a sixth too restless.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from vitalwatch.tables import MINUTE, Bools, Doubles, Readings

LAGS = (1, 5, 15, 60, 240)  # minutes, of the autocorrelation
AHEAD = (1, 5, 15, 30, 60)  # minutes, of persistence
ACTIVITY_TAU = 2.5  # minutes; the steps are smoothed like this before heart rate is regressed on them
WAKING, MIDDAY, NIGHT = (8, 22), (10, 20), (0, 6)  # o'clock
STILL = 10  # minutes without a step
TOLERANCE = 0.15


@dataclass(frozen=True)
class Bound:
    """What real wearers show: mean and range over them. `strict`: the range alone does not let a figure pass."""

    mean: float
    low: float
    high: float
    strict: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a figure is within +-15 % of the mean or, unless strict, inside the range."""
        near = abs(value - self.mean) <= TOLERANCE * abs(self.mean)
        return bool(near or (not self.strict and self.low <= value <= self.high))

    def words(self) -> str:
        """Return what is wanted."""
        within = f"{self.mean:.3g} +- {TOLERANCE:.0%}"
        return within if self.strict else f"{within} or {self.low:.3g} to {self.high:.3g}"


# Four wearers of 30 to 42 days (Furberg 2016, 10.5281/zenodo.53894), measured with `statistics`, by step in minutes.
WEARERS = {
    1: {
        "persistence_1": Bound(3.30, 2.3, 3.8, strict=True),
        "persistence_5": Bound(6.84, 4.5, 8.9, strict=True),
        "persistence_15": Bound(9.11, 6.2, 12.6, strict=True),
        "persistence_30": Bound(10.6, 7.5, 15.1, strict=True),
        "persistence_60": Bound(12.0, 8.9, 17.4, strict=True),
        "autocorrelation_1": Bound(0.887, 0.85, 0.92),
        "autocorrelation_5": Bound(0.615, 0.55, 0.70),
        "autocorrelation_15": Bound(0.464, 0.40, 0.55),
        "autocorrelation_60": Bound(0.213, 0.10, 0.33),
        "autocorrelation_240": Bound(0.113, 0.04, 0.18),
        "bpm_per_100_steps": Bound(43.1, 38.0, 47.0),
        "heart_rate_sd": Bound(13.7, 11.3, 17.1),
        "r2_activity": Bound(0.455, 0.41, 0.51),
        "minutes_without_steps": Bound(0.71, 0.64, 0.77),
        "night_drop": Bound(5.2, 2.8, 7.6),
    },
    5: {
        "persistence_5": Bound(5.19, 3.4, 7.0, strict=True),
        "persistence_15": Bound(7.97, 5.3, 11.3, strict=True),
        "persistence_30": Bound(9.58, 6.7, 14.0, strict=True),
        "persistence_60": Bound(11.1, 8.3, 16.4, strict=True),
        "autocorrelation_5": Bound(0.774, 0.72, 0.83),
        "autocorrelation_15": Bound(0.570, 0.51, 0.65),
        "autocorrelation_60": Bound(0.263, 0.11, 0.43),
        "autocorrelation_240": Bound(0.139, 0.05, 0.23),
        "bpm_per_100_steps": Bound(43.5, 39.0, 47.0),
        "heart_rate_sd": Bound(12.9, 10.8, 16.3),
        "r2_activity": Bound(0.501, 0.45, 0.57),
        "minutes_without_steps": Bound(0.47, 0.40, 0.59),
        "night_drop": Bound(5.2, 2.8, 7.6),
    },
}
# What others published, where it is the same quantity; the range is theirs.
PUBLISHED = {"still_heart_rate": Bound(65.5, 40.0, 109.0, strict=True)}  # Quer 2020, 92,457 wearers


@dataclass(frozen=True)
class Course:
    """Heart rate and steps of one person on a regular grid of the local clock.

    Attributes:
        step: Minutes.
        heart: bpm, NaN where unknown, shape (n,).
        steps: In each step, 0 where unknown.
        hour: O'clock of each step.
    """

    step: int
    heart: Doubles
    steps: Doubles
    hour: NDArray[np.int64]

    def within(self, hours: tuple[int, int]) -> Bools:
        """Return the steps that begin within these hours."""
        return (self.hour >= hours[0]) & (self.hour < hours[1])

    @property
    def still(self) -> Bools:
        """Return the steps without a step in them or the 10 minutes before."""
        rows = max(STILL // self.step, 1) + (self.step > 1)
        return np.convolve(self.steps, np.ones(rows))[: len(self.steps)] == 0


def course(one: Readings, step: int) -> Course:
    """Return a person's course: means of the heart rate and sums of the steps in steps of so many minutes."""
    row = (one.time + one.offset.astype(np.int64) * MINUTE) // (step * MINUTE)
    first = row.min()
    row, n = row - first, int(row.max() - first) + 1
    heart, steps = one.column("heart_rate"), one.column("steps")
    known = np.isfinite(heart)
    count = np.bincount(row[known], minlength=n)
    mean = np.bincount(row[known], heart[known], n) / np.where(count, count, np.nan)
    return Course(
        step,
        mean,
        np.bincount(row, np.nan_to_num(steps), n).astype(np.float64),
        (first + np.arange(n)) * step // 60 % 24,
    )


def statistics(readings: Iterable[Readings], step: int) -> dict[str, float]:
    """Return the mean over people of each person's statistics, on a grid of so many minutes.

    From 8 to 22 o'clock: `persistence_<minutes>` (mean absolute change, bpm), `autocorrelation_<minutes>` of the
    residual to activity, `bpm_per_100_steps` (per minute), `heart_rate_sd` (bpm) and `r2_activity`; what is finer than
    the grid is left out. From 10 to 20: `minutes_without_steps` (share of grid steps) and `still_heart_rate` (median,
    bpm); `night_drop` is how far that of 0 to 6 lies below it (NaN where nobody wears the sensor at night).
    """
    return means([of_person(course(one, step)) for one in readings])


def means(people: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean over people of each statistic, of those who have it."""
    found = {}
    for key in people[0]:
        known = [one[key] for one in people if np.isfinite(one[key])]
        found[key] = float(np.mean(known)) if known else float("nan")
    return found


def failures(found: dict[str, float], step: int) -> dict[str, str]:
    """Return the statistics that are out of bounds, each with what was wanted; empty when realistic."""
    bounds = WEARERS.get(step, {}) | PUBLISHED
    return {
        key: f"{found[key]:.3g} is not within {bound.words()}"
        for key, bound in bounds.items()
        if key in found and not bound.holds(found[key])
    }


def of_person(one: Course) -> dict[str, float]:
    """Return one person's statistics; see `statistics`."""
    step, still, midday = one.step, one.still, one.within(MIDDAY)
    heart = np.where(one.within(WAKING), one.heart, np.nan)
    residual, slope, r2 = _to_activity(heart, one.steps / step, step)
    found = {f"persistence_{m}": _change(heart, m // step) for m in AHEAD if m % step == 0}
    found |= {f"autocorrelation_{m}": _correlation(residual, m // step) for m in LAGS if m % step == 0}
    found |= {"bpm_per_100_steps": 100 * slope, "heart_rate_sd": float(np.nanstd(heart)), "r2_activity": r2}
    rest, night = (one.heart[hours & still & np.isfinite(one.heart)] for hours in (midday, one.within(NIGHT)))
    level = float(np.median(rest)) if len(rest) else float("nan")
    long = len(night) >= 12 * 60 // step
    return found | {
        "minutes_without_steps": float((one.steps[midday] == 0).mean()) if midday.any() else float("nan"),
        "still_heart_rate": level,
        "night_drop": level - float(np.median(night)) if long else float("nan"),
    }


def _change(x: Doubles, lag: int) -> float:
    return _mean(np.abs(x[lag:] - x[:-lag]))


def _to_activity(heart: Doubles, pace: Doubles, step: int) -> tuple[Doubles, float, float]:
    """Return the residual of heart rate to smoothed steps per minute, the slope and R2."""
    pole = np.exp(-step / ACTIVITY_TAU)
    smooth = lfilter([1 - pole], [1, -pole], pace)
    ok = np.isfinite(heart)
    slope, level = np.polyfit(smooth[ok], heart[ok], 1)
    residual = heart - slope * smooth - level
    return residual, float(slope), float(1 - np.nanvar(residual) / np.nanvar(heart))


def _correlation(x: Doubles, lag: int) -> float:
    return _mean(x[lag:] * x[:-lag]) / _mean(x * x)


def _mean(x: Doubles) -> float:
    known = x[np.isfinite(x)]
    return float(known.mean()) if len(known) else float("nan")

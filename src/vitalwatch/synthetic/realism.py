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
    """What real people show: mean and range over them."""

    mean: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a figure is within +-15 % of the mean; a wide range lets nothing pass."""
        return bool(abs(value - self.mean) <= TOLERANCE * abs(self.mean))

    def beyond(self, value: float) -> float:
        """Return how far a figure lies beyond the nearest edge of the range, as a share of that edge; 0 inside."""
        edge = min(max(value, self.low), self.high)
        return (value - edge) / edge

    def words(self) -> str:
        """Return what is wanted."""
        return f"{self.mean:.3g} +- {TOLERANCE:.0%}"


# Four wearers of 30 to 42 days (Furberg 2016, 10.5281/zenodo.53894), measured with `statistics` where heart rate and
# steps are both known, by step in minutes.
WEARERS = {
    1: {
        "persistence_1": Bound(3.31, 2.3, 3.8),
        "persistence_5": Bound(6.86, 4.5, 8.9),
        "persistence_15": Bound(9.15, 6.2, 12.6),
        "persistence_30": Bound(10.6, 7.5, 15.2),
        "persistence_60": Bound(12.1, 8.9, 17.6),
        "autocorrelation_1": Bound(0.885, 0.85, 0.91),
        "autocorrelation_5": Bound(0.611, 0.55, 0.70),
        "autocorrelation_15": Bound(0.461, 0.41, 0.55),
        "autocorrelation_60": Bound(0.213, 0.09, 0.33),
        "autocorrelation_240": Bound(0.116, 0.04, 0.18),
        "bpm_per_100_steps": Bound(43.6, 38.0, 47.0),
        "heart_rate_sd": Bound(13.7, 11.3, 17.2),
        "r2_activity": Bound(0.470, 0.42, 0.51),
        "minutes_without_steps": Bound(0.680, 0.57, 0.75),
        "night_drop": Bound(5.34, 3.0, 7.6),
    },
    5: {
        "persistence_5": Bound(5.20, 3.4, 7.0),
        "persistence_15": Bound(7.99, 5.3, 11.4),
        "persistence_30": Bound(9.60, 6.7, 14.1),
        "persistence_60": Bound(11.2, 8.3, 16.6),
        "autocorrelation_5": Bound(0.773, 0.72, 0.83),
        "autocorrelation_15": Bound(0.569, 0.51, 0.65),
        "autocorrelation_60": Bound(0.264, 0.11, 0.43),
        "autocorrelation_240": Bound(0.144, 0.05, 0.23),
        "bpm_per_100_steps": Bound(44.0, 39.0, 47.0),
        "heart_rate_sd": Bound(13.0, 10.8, 16.3),
        "r2_activity": Bound(0.518, 0.48, 0.57),
        "minutes_without_steps": Bound(0.425, 0.29, 0.56),
        "night_drop": Bound(5.36, 2.8, 7.6),
    },
}
# What others published, where it is the same quantity; the range is theirs.
PUBLISHED = {"still_heart_rate": Bound(65.5, 40.0, 109.0)}  # Quer 2020, 92,457 wearers


@dataclass(frozen=True)
class Course:
    """Heart rate and steps of one person on a regular grid of the local clock.

    Attributes:
        step: Minutes.
        heart: bpm, NaN where unknown, shape (n,).
        steps: In each step, NaN where unknown: exports of steps end before those of the heart rate.
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
    counted = np.isfinite(steps)
    paces = np.bincount(row[counted], steps[counted].astype(np.float64), n).astype(np.float64)
    paces[np.bincount(row[counted], minlength=n) == 0] = np.nan
    return Course(step, mean, paces, (first + np.arange(n)) * step // 60 % 24)


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
    step, still = one.step, one.still
    worn = np.isfinite(one.steps) & np.isfinite(one.heart)  # a device in a drawer walks as little as a desk
    midday = one.within(MIDDAY) & worn
    heart = np.where(one.within(WAKING) & worn, one.heart, np.nan)
    residual, slope, r2 = _to_activity(heart, one.steps / step, step)
    found = {f"persistence_{m}": _change(heart, m // step) for m in AHEAD if m % step == 0}
    found |= {f"autocorrelation_{m}": _correlation(residual, m // step) for m in LAGS if m % step == 0}
    found |= {"bpm_per_100_steps": 100 * slope, "heart_rate_sd": float(np.nanstd(heart)), "r2_activity": r2}
    rest, night = (one.heart[hours & still & worn] for hours in (midday, one.within(NIGHT)))
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
    smooth = lfilter([1 - pole], [1, -pole], np.nan_to_num(pace))
    ok = np.isfinite(heart)
    slope, level = np.polyfit(smooth[ok], heart[ok], 1)
    residual = heart - slope * smooth - level
    return residual, float(slope), float(1 - np.nanvar(residual) / np.nanvar(heart))


def _correlation(x: Doubles, lag: int) -> float:
    return _mean(x[lag:] * x[:-lag]) / _mean(x * x)


def _mean(x: Doubles) -> float:
    known = x[np.isfinite(x)]
    return float(known.mean()) if len(known) else float("nan")

"""Does a recording move like real people do? Statistics that hold for real and for synthetic readings alike."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.signal import lfilter

from vitalwatch.tables import MINUTE, Doubles, Readings

LAGS = (1, 5, 15, 60, 240)  # minutes, of the autocorrelation
AHEAD = (1, 5, 15, 30, 60)  # minutes, of persistence
ACTIVITY_TAU = 2.5  # minutes; the steps are smoothed like this before heart rate is regressed on them

# Measured on real wearers; a value passes within +-15 % of `persistence`, else inside the range.
PERSISTENCE = {1: {1: 3.09, 5: 6.42, 15: 8.68, 30: 10.2, 60: 12.1}, 5: {5: 4.60, 15: 7.10, 30: 8.63, 60: 10.15}}
RANGES = {
    "autocorrelation_1": (0.87, 0.90),
    "autocorrelation_5": (0.57, 0.69),
    "autocorrelation_15": (0.42, 0.60),
    "autocorrelation_60": (0.06, 0.37),
    "autocorrelation_240": (0.03, 0.17),
    "bpm_per_100_steps": (39.0, 73.0),
    "heart_rate_sd": (10.3, 23.2),
}
TOLERANCE = 0.15


def statistics(readings: Iterable[Readings]) -> dict[str, float]:
    """Return the mean over people of each person's statistics of the awake heart rate.

    Keys are `persistence_<minutes>` (mean absolute change, bpm), `autocorrelation_<minutes>` of the residual to
    activity, `bpm_per_100_steps` (per minute), `heart_rate_sd` (bpm) and `r2_activity`; statistics finer than the grid
    step are left out. Each person needs regular readings with heart rate and steps.
    """
    people = [_of_person(one) for one in readings]
    return {key: float(np.nanmean([one[key] for one in people])) for key in people[0]}


def failures(found: dict[str, float], step: int) -> dict[str, str]:
    """Return the statistics that are out of bounds, each with what was wanted; empty when realistic."""
    out = {}
    for ahead, target in PERSISTENCE.get(step, {}).items():
        got = found[f"persistence_{ahead}"]
        if abs(got / target - 1) > TOLERANCE:
            out[f"persistence_{ahead}"] = f"{got:.2f} is not {target} +- {TOLERANCE:.0%}"
    for key, (low, high) in RANGES.items() if step == 1 else ():
        slack = TOLERANCE * (low + high) / 2 if key.startswith("auto") else 0.0
        if not low - slack <= found[key] <= high + slack:
            out[key] = f"{found[key]:.3f} is not within {low}-{high}"
    return out


def _of_person(one: Readings) -> dict[str, float]:
    step, heart, steps = _regular(one)
    residual, slope, r2 = _to_activity(heart, steps / step, step)
    found = {f"persistence_{m}": _change(heart, m // step) for m in AHEAD if m % step == 0}
    found |= {f"autocorrelation_{m}": _correlation(residual, m // step) for m in LAGS if m % step == 0}
    found |= {"bpm_per_100_steps": 100 * slope, "heart_rate_sd": float(np.nanstd(heart)), "r2_activity": r2}
    return found


def _regular(one: Readings) -> tuple[int, Doubles, Doubles]:
    """Return the step in minutes, the awake heart rate and the steps on a regular grid, NaN and 0 where missing."""
    step = int(np.median(np.diff(one.time))) // MINUTE
    row = (one.time - one.time[0]) // (step * MINUTE)
    heart, steps = np.full(row[-1] + 1, np.nan), np.zeros(row[-1] + 1)
    heart[row] = np.where(one.column("sleep") > 0, np.nan, one.column("heart_rate"))
    steps[row] = np.nan_to_num(one.column("steps"))
    return step, heart, steps


def _change(x: Doubles, lag: int) -> float:
    return float(np.nanmean(np.abs(x[lag:] - x[:-lag])))


def _to_activity(heart: Doubles, pace: Doubles, step: int) -> tuple[Doubles, float, float]:
    """Return the residual of heart rate to smoothed steps per minute, the slope and R2."""
    pole = np.exp(-step / ACTIVITY_TAU)
    smooth = lfilter([1 - pole], [1, -pole], pace)
    ok = np.isfinite(heart)
    slope, level = np.polyfit(smooth[ok], heart[ok], 1)
    residual = heart - slope * smooth - level
    return residual, float(slope), float(1 - np.nanvar(residual) / np.nanvar(heart))


def _correlation(x: Doubles, lag: int) -> float:
    return float(np.nanmean(x[lag:] * x[:-lag]) / np.nanmean(x * x))

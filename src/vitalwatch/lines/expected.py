"""Simple answers to "which heart rate is expected now?" from person, activity and clock; none reads the present one."""

from __future__ import annotations

import numpy as np

from vitalwatch.tables import Bools, Doubles, Floats, Grid, Profile

RESTING_QUANTILE = 0.1  # of the person's own measured heart rates: near the rate in quiet sleep
CLOCK = (1, 2)  # harmonics of the day


def person_mean(rate: Floats, learn: Bools) -> float:
    """Return the mean of a person's measured heart rates over the rows to learn from, bpm; NaN without any."""
    known = rate[learn & np.isfinite(rate)]
    return float(known.mean(dtype=np.float64)) if len(known) else float("nan")


def resting_rate(rate: Floats, learn: Bools) -> float:
    """Return a low quantile of a person's measured heart rates over the rows to learn from, bpm; NaN without any."""
    known = rate[learn & np.isfinite(rate)]
    return float(np.quantile(known, RESTING_QUANTILE)) if len(known) else float("nan")


def maximal_rate(age: float) -> float:
    """Return 208 - 0.7 age, bpm (Tanaka et al. 2001); an unknown age counts as 45 years."""
    return 208 - 0.7 * (age if np.isfinite(age) else 45.0)


def reserve_formula(grid: Grid, profile: Profile, resting: float) -> Floats:
    """Return rest + intensity x (maximum - rest), bpm; unknown intensity counts as rest; shape (n,)."""
    share = np.clip(np.nan_to_num(grid.column("intensity")), 0, 1)
    return (resting + share * (maximal_rate(profile.age) - resting)).astype(np.float32)


def design(grid: Grid, profile: Profile, mean: float, step_minutes: int) -> Doubles:
    """Return the linear line's inputs: own mean, steps, intensity, sleep, age, clock, 1; unknown is 0; shape (n, k)."""
    angle = 2 * np.pi * grid.minute / 1440
    columns = [
        np.full(len(grid), mean),
        np.nan_to_num(grid.column("steps").astype(np.float64)) / step_minutes,
        np.nan_to_num(grid.column("intensity").astype(np.float64)),
        np.nan_to_num(grid.column("sleep").astype(np.float64)),
        np.full(len(grid), profile.age if np.isfinite(profile.age) else 45.0),
        *[f(k * angle) for k in CLOCK for f in (np.sin, np.cos)],
        np.ones(len(grid)),
    ]
    return np.stack(columns, axis=1)

"""Simple detectors: a score for every grid row, higher is more unusual, NaN where nothing can be said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vitalwatch import averaging
from vitalwatch.baseline import SPARSE
from vitalwatch.clinical import URGENT, news2, usual_distance
from vitalwatch.schema import Schema
from vitalwatch.tables import Bools, Doubles, Floats, Grid, Times

NIGHT_END = 7 * 60  # local minute at which a night is over and judged
NIGHT_ROWS = 0.25  # share of the night's rows that must be measured
YELLOW, RED = 3.0, 4.0  # bpm above the usual night, Alavi et al. 2022, doi 10.1038/s41591-021-01593-2
NOTICE = 60  # minutes: a night's verdict is told for this long, once, in the morning
SHORT, LONG = 1 / 2, 24.0  # hours, half lives of the moving means
MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Watched:
    """What a line may look at: one person's grid and residuals.

    Attributes:
        grid: Grid rows, oldest first.
        residual: z of each vital against the person's own normal, shape (n, v), NaN not measured.
        schema: Limits and step.
    """

    grid: Grid
    residual: Floats
    schema: Schema


@dataclass(frozen=True)
class Line:
    """One simple detector.

    Attributes:
        name: As in tables.
        score: Row scores, shape (n,).
        threshold: Its own, where the rule has one (rows above it are over); None: set from a budget.
        averaged: Whether its score is the mean of the last rows, as that of our channels is.
        served: Whether it is put on their scale and on people's own levels, too.
    """

    name: str
    score: Callable[[Watched], Floats]
    threshold: float | None = None
    averaged: bool = False
    served: bool = False


def detection_lines(learn_on: Sequence[Watched], rng: np.random.Generator, rows: int) -> tuple[Line, ...]:
    """Return all lines; the forest is fitted on raw vitals of `learn_on`, without labels.

    Args:
        learn_on: People to fit on; with nobody there is no forest.
        rng: For chance and the forest.
        rows: How many the scores in own spreads (z) are averaged over; our channels are, too.
    """
    lines = (
        Line("chance", lambda watched: _chance(watched, rng)),
        Line("always_on", always_on, threshold=0.0),
        Line("fixed_limits", fixed_limits, threshold=1.0),
        Line("news2", news2_total, threshold=URGENT - 0.5),
        averaged_line("ewma_z_heart_rate", ewma_z, rows),
        averaged_line("personal_z_heart_rate", personal_z, rows),
        Line("night_rate_yellow", night_yellow, threshold=YELLOW - 1e-6),
        Line("night_rate_red", night_red, threshold=RED - 1e-6),
        averaged_line("max_abs_z", max_abs_z, rows),
        Line("max_abs_z_served", lambda watched: largest_deviation(watched, rows), averaged=True, served=True),
    )
    return (*lines, Line("raw_isolation_forest", fit_raw_forest(learn_on, rng))) if learn_on else lines


def averaged_line(name: str, score: Callable[[Watched], Floats], rows: int) -> Line:
    """Return a line that scores the mean of the last rows: one row is noisy, and our channels judge means."""
    return Line(name, lambda watched: mean_of(score(watched), rows), averaged=True)


def mean_of(score: Floats, rows: int) -> Floats:
    """Return the mean of the last `rows` known scores at each row, (n,), NaN where the row itself is not known."""
    known = np.isfinite(score)
    means = averaging.of_people(np.where(known, score, 0.0)[:, None], known, [len(score)], rows)[:, 0]
    return np.where(known, means, np.nan).astype(np.float32)


def _chance(watched: Watched, rng: np.random.Generator) -> Floats:
    return _where_measured(watched, rng.random(len(watched.grid), dtype=np.float32))


def always_on(watched: Watched) -> Floats:
    """Return 1 wherever anything was measured."""
    return _where_measured(watched, np.ones(len(watched.grid), np.float32))


def fixed_limits(watched: Watched) -> Floats:
    """Return the largest distance of a vital from the middle of its usual range; 1 is a limit."""
    return _largest(usual_distance(_vitals(watched), watched.schema))


def news2_total(watched: Watched) -> Floats:
    """Return NEWS2 with what a wearable knows: scale 1, taken to be alert and on air."""
    grid = watched.grid
    return news2(
        respiration=grid.column("respiratory_rate"),
        saturation=grid.column("oxygen_saturation"),
        systolic=grid.column("blood_pressure_systolic"),
        pulse=grid.column("heart_rate"),
        temperature=grid.column("body_temperature"),
        # an unmeasured row must stay unscored, so the two assumptions hold only where the pulse is known
        alert=np.where(np.isfinite(grid.column("heart_rate")), 1.0, np.nan),
        oxygen=np.where(np.isfinite(grid.column("heart_rate")), 0.0, np.nan),
    ).total


def ewma_z(watched: Watched) -> Floats:
    """Return |short moving mean of heart rate - long one| in long moving standard deviations (up to the row before)."""
    import pandas as pd

    rate = pd.Series(watched.grid.column("heart_rate").astype(np.float64))
    hour = 60 / watched.schema.step_minutes
    slow = rate.ewm(halflife=LONG * hour, ignore_na=True, min_periods=int(6 * hour))
    centre, spread = slow.mean().shift(1), slow.std().shift(1)
    z = (rate.ewm(halflife=SHORT * hour, ignore_na=True).mean() - centre).abs() / spread.clip(lower=1.0)
    return np.where(np.isfinite(rate), z, np.nan).astype(np.float32)


def personal_z(watched: Watched, days_back: int = 10) -> Floats:
    """Return |heart rate - median| / spread (MAD) of the person's own rows of the past local days."""
    rate = watched.grid.column("heart_rate").astype(np.float64)
    day, starts = _days(watched.grid)
    centre, spread = np.full(len(rate), np.nan), np.full(len(rate), np.nan)
    ends = np.append(starts, len(rate))[1:]
    for begin, end in zip(starts, ends, strict=True):
        past = rate[np.searchsorted(day, day[begin] - days_back) : begin]
        past = past[np.isfinite(past)]
        if len(past) >= watched.schema.steps_per_day // 4:
            centre[begin:end] = np.median(past)
            spread[begin:end] = MAD_TO_SD * np.median(np.abs(past - centre[begin]))
    return (np.abs(rate - centre) / np.maximum(spread, 1.0)).astype(np.float32)


def max_abs_z(watched: Watched) -> Floats:
    """Return the largest |z| of any vital against the person's own normal."""
    return _largest(np.abs(watched.residual))


def largest_deviation(watched: Watched, rows: int) -> Floats:
    """Return `max_abs_z` as the mean of the last rows.

    What a cuff measures is told as it is, as in our channels: it stands for an hour already.
    """
    cuff = np.isin(list(watched.schema.vitals), SPARSE)
    z = np.abs(watched.residual)
    lasting, now = mean_of(_largest(z[:, ~cuff]), rows), _largest(z[:, cuff])
    return _largest(np.stack((lasting, now), axis=1))


def night_yellow(watched: Watched) -> Floats:
    """Return last night's resting rate above the median of the nights before, bpm, told once in the morning."""
    return _night(watched, 1)


def night_red(watched: Watched) -> Floats:
    """Return the smaller of the last two nights' excesses, bpm: both must be high; told once in the morning."""
    return _night(watched, 2)


def _night(watched: Watched, nights: int) -> Floats:
    grid = watched.grid
    out = np.full(len(grid), np.nan, np.float32)
    if not len(grid):
        return out
    day, _ = _days(grid)
    first = int(day[0])
    rates = _night_rates(watched, day - first)
    past = [rates[:i][np.isfinite(rates[:i])] for i in range(len(rates))]
    excess = np.array([rate - np.median(p) if len(p) >= 3 else np.nan for rate, p in zip(rates, past, strict=True)])
    before = np.concatenate((np.full(nights - 1, np.nan), excess))[: len(excess)]
    told = excess if nights == 1 else np.minimum(excess, before)
    morning = (grid.minute >= NIGHT_END) & (grid.minute < NIGHT_END + NOTICE)
    out[morning] = told[(day - first)[morning]]
    return out


def _night_rates(watched: Watched, day: Times) -> Doubles:
    """Return the median heart rate of each local day's night (0 h to 7 h, still), NaN with too few rows."""
    grid = watched.grid
    rate = grid.column("heart_rate")
    still = np.nan_to_num(grid.column("steps")) == 0
    use = (grid.minute < NIGHT_END) & still & np.isfinite(rate)
    need = NIGHT_ROWS * NIGHT_END / watched.schema.step_minutes
    found = np.full(int(day[-1]) + 1, np.nan)
    for which in np.unique(day[use]):
        rows = rate[use & (day == which)]
        if len(rows) >= need:
            found[which] = np.median(rows)
    return found


def fit_raw_forest(learn_on: Sequence[Watched], rng: np.random.Generator) -> Callable[[Watched], Floats]:
    """Return a scorer: an Isolation Forest on the vitals as they are, nobody's baseline, no context.

    Args:
        learn_on: At least one person; a missing vital takes the median of these people.
        rng: Draws rows and seeds the forest.
    """
    from sklearn.ensemble import IsolationForest

    columns = list(learn_on[0].schema.vitals)
    rows = np.concatenate([_raw(watched, columns) for watched in learn_on])
    rows = rows[np.isfinite(rows[:, 0])]
    rows = rows[rng.permutation(len(rows))[:20_000]]
    if not len(rows):
        return lambda watched: np.full(len(watched.grid), np.nan, np.float32)
    usual = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in rows.T], np.float32)
    forest = IsolationForest(n_estimators=50, max_samples=min(256, len(rows)), random_state=int(rng.integers(2**31)))
    forest.fit(np.where(np.isfinite(rows), rows, usual))

    def score(watched: Watched) -> Floats:
        raw = _raw(watched, columns)
        known = np.isfinite(raw).any(axis=1)
        out = np.full(len(raw), np.nan, np.float32)
        if known.any():
            # score_samples is low for outliers; ours is high = unusual
            out[known] = -forest.score_samples(np.where(np.isfinite(raw[known]), raw[known], usual))
        return out

    return score


def _raw(watched: Watched, columns: Sequence[str]) -> Floats:
    return np.stack([watched.grid.column(name) for name in columns], axis=1)


def _vitals(watched: Watched) -> dict[str, Floats]:
    return {name: watched.grid.column(name) for name in watched.schema.vitals if name in watched.grid.names}


def _largest(values: Floats) -> Floats:
    """Return the largest of each row, NaN where all are; shape (n,)."""
    known = np.isfinite(values)
    return np.where(known.any(axis=1), np.where(known, values, -np.inf).max(axis=1, initial=-np.inf), np.nan).astype(
        np.float32
    )


def _where_measured(watched: Watched, score: Floats) -> Floats:
    measured: Bools = np.isfinite(watched.grid.column("heart_rate"))
    return np.where(measured, score, np.nan).astype(np.float32)


def _days(grid: Grid) -> tuple[Times, Times]:
    """Return the local day number of each row, and the first row of each day."""
    if not len(grid):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    day: Times = np.maximum.accumulate(grid.date)  # a journey west must not reopen a day
    return day, np.flatnonzero(np.concatenate(([True], day[1:] != day[:-1])))

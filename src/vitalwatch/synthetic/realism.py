"""Does a recording move like real people do? Statistics that hold for real and for synthetic readings alike.

Both are judged over the same hours by the same rule, the local clock: exports of wearers rarely tell sleep, and nights
are calm enough that awake people held against whole days of others would look a sixth too restless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from vitalwatch.tables import MINUTE, Bools, Doubles, Event, Readings

LAGS = (1, 5, 15, 60, 240)  # minutes, of the autocorrelation
AHEAD = (1, 5, 15, 30, 60)  # minutes, of persistence
ACTIVITY_TAU = 2.5  # minutes; the steps are smoothed like this before heart rate is regressed on them
HOUR = 60 * MINUTE
WAKING, MIDDAY, NIGHT = (8, 22), (10, 20), (0, 6)  # o'clock
STILL = 10  # minutes without a step
QUIET, QUIET_STEPS = 30, 1.0  # minutes, and steps a minute at most: hours in which effort is not counted
LEARN_DAYS, LEAST_DAYS = 7, 12  # of a person's own, to learn what activity and clock tell; of the recording
EFFORT_TAUS = (2.5, 10.0, 30.0, 90.0)  # minutes: what is felt of effort for how long
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
        "own_days_mae": Bound(7.67, 5.6, 8.8),
        "own_days_r2": Bound(0.398, 0.27, 0.47),
        "own_days_r2_pooled": Bound(0.512, 0.512, 0.512),  # of all four together: `pooled_r2`
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
        "own_days_mae": Bound(7.06, 5.2, 8.5),
        "own_days_r2": Bound(0.421, 0.27, 0.50),
        "own_days_r2_pooled": Bound(0.542, 0.542, 0.542),
    },
}
# What others published, where it is the same quantity; the range is theirs.
PUBLISHED = {
    "still_heart_rate": Bound(65.5, 40.0, 109.0),  # Quer 2020, 10.1371/journal.pone.0227709, 92,457 wearers
    "still_heart_rate_sd": Bound(7.7, 7.7, 7.7),  # between people; the same
    "bpm_per_degree": Bound(8.5, 7.0, 10.0),  # with fever; 4,493 and 9,046 admissions (design notes: re-read there)
    "breaths_per_degree": Bound(1.85, 1.4, 2.3),  # the same
}
CROWD = 20  # people from whom on a spread between them is told


@dataclass(frozen=True)
class Course:
    """Heart rate and steps of one person on a regular grid of the local clock.

    Attributes:
        step: Minutes.
        heart: bpm, NaN where unknown, shape (n,).
        steps: In each step, NaN where unknown: exports of steps end before those of the heart rate.
        minute: Of the day at which each step begins.
    """

    step: int
    heart: Doubles
    steps: Doubles
    minute: NDArray[np.int64]

    @property
    def hour(self) -> NDArray[np.int64]:
        """Return o'clock of each step."""
        return self.minute // 60

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
    return Course(step, mean, paces, (first + np.arange(n)) * step % (24 * 60))


def statistics(readings: Iterable[Readings], step: int) -> dict[str, float]:
    """Return the mean over people of each person's statistics, on a grid of so many minutes.

    From 8 to 22 o'clock: `persistence_<minutes>` (mean absolute change, bpm), `autocorrelation_<minutes>` of the
    residual to activity, `bpm_per_100_steps` (per minute), `heart_rate_sd` (bpm) and `r2_activity`; what is finer than
    the grid is left out. From 10 to 20: `minutes_without_steps` (share of grid steps) and `still_heart_rate` (median,
    bpm); `night_drop` is how far that of 0 to 6 lies below it (NaN where nobody wears the sensor at night);
    `quiet_half_hours_<share>` how far half an hour's mean without steps, from 8 to 22, lies above it at most in so many
    of a hundred (bpm): effort and arousal that no step tells. Of
    recordings of 12 days and more, from 8 to 22: `own_days_mae` (bpm) and `own_days_r2` of the heart rate told from
    activity and clock by a regression on the person's first 7 days, on the days after; R2 above .80 would be too clean.
    """
    return means([of_person(course(one, step)) for one in readings])


def means(people: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean over people of each statistic, of those who have it, and how far people differ at rest."""
    found = {}
    for key in dict.fromkeys(key for one in people for key in one):
        known = [one[key] for one in people if np.isfinite(one.get(key, np.nan))]
        found[key] = float(np.mean(known)) if known else float("nan")
        if key == "still_heart_rate" and len(known) >= CROWD:
            found["still_heart_rate_sd"] = float(np.std(known, ddof=1))
    return found


def per_degree(people: Iterable[tuple[Readings, Sequence[Event]]], step: int) -> dict[str, float]:
    """Return what a degree of fever adds: `bpm_per_degree` and `breaths_per_degree`, empty where nobody had one.

    The middle half of each fever, without a step, against the person's other days at the same time of day; a line
    through nothing and all of these.

    Args:
        people: Readings with temperature and respiration on a regular grid, and labelled episodes.
        step: Minutes of the grid.
    """
    changes = [change for one, events in people for event in events if event.kind == "fever"
               for change in _of_fever(one, event, step)]  # fmt: skip
    if not changes:
        return {}
    warmer, faster, breaths = np.asarray(changes).T
    by = float(warmer @ warmer)
    return {"bpm_per_degree": float(warmer @ faster) / by, "breaths_per_degree": float(warmer @ breaths) / by}


def _of_fever(one: Readings, event: Event, step: int) -> list[list[float]]:
    """Return by how much temperature, heart rate and respiration were higher than usual, one row or none."""
    names = ("body_temperature", "heart_rate", "respiratory_rate")
    values = np.stack([one.column(name).astype(np.float64) for name in names], axis=1)
    known = np.isfinite(values).all(axis=1) & (one.column("steps") == 0)
    quarter = (event.end - event.start) // 4
    inside = known & (one.time >= event.start + quarter) & (one.time < event.end - quarter)
    outside = known & ((one.time < event.start) | (one.time >= event.end))
    clock = (one.time + one.offset.astype(np.int64) * MINUTE) // HOUR % 24
    usual = np.stack([_mean_by(values[outside, i], clock[outside]) for i in range(len(names))], axis=1)
    apart = values[inside] - usual[clock[inside]]
    apart = apart[np.isfinite(apart).all(axis=1)]
    return [apart.mean(axis=0).tolist()] if len(apart) >= 60 // step else []


def _mean_by(values: Doubles, clock: NDArray[np.int64]) -> Doubles:
    """Return the mean at each hour of the day, NaN where there is none, (24,)."""
    count = np.bincount(clock, minlength=24)
    mean: Doubles = np.bincount(clock, values, 24) / np.where(count, count, np.nan)
    return mean


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
    heart = waking(one)
    residual, slope, r2 = _to_activity(heart, one.steps / step, step)
    found = {f"persistence_{m}": _change(heart, m // step) for m in AHEAD if m % step == 0}
    found |= {f"autocorrelation_{m}": _correlation(residual, m // step) for m in LAGS if m % step == 0}
    found |= {"bpm_per_100_steps": 100 * slope, "heart_rate_sd": float(np.nanstd(heart)), "r2_activity": r2}
    rest, night = (one.heart[hours & still & worn] for hours in (midday, one.within(NIGHT)))
    level = float(np.median(rest)) if len(rest) else float("nan")
    long = len(night) >= 12 * 60 // step
    return (
        found
        | _from_own_days(heart, one)
        | {
            "minutes_without_steps": float((one.steps[midday] == 0).mean()) if midday.any() else float("nan"),
            "still_heart_rate": level,
            "night_drop": level - float(np.median(night)) if long else float("nan"),
        }
        | _quiet_half_hours(one, heart, level)
    )


def _quiet_half_hours(one: Course, heart: Doubles, level: float) -> dict[str, float]:
    """Return how far half-hour means of the heart rate (n,), NaN where it does not count, rise without steps."""
    rows = QUIET // one.step
    if len(heart) < rows:
        return {}
    window = np.ones(rows)
    mean = np.convolve(heart, window, "valid") / rows
    walked = np.convolve(np.nan_to_num(one.steps), window, "valid")
    above = mean[np.isfinite(mean) & (walked <= QUIET_STEPS * QUIET)] - level
    return {f"quiet_half_hours_{share}": float(np.percentile(above, share)) for share in (90, 99) if len(above)}


def waking(one: Course) -> Doubles:
    """Return the heart rate from 8 to 22 o'clock where steps are known too, else NaN, (n,)."""
    return np.where(one.within(WAKING) & np.isfinite(one.steps), one.heart, np.nan)


def _from_own_days(heart: Doubles, one: Course) -> dict[str, float]:
    """Return how well the heart rate is told from activity and clock after a week of the person's own days."""
    later, error = _after_own_days(heart, one)
    if not len(later):
        return {}
    return {"own_days_mae": float(np.abs(error).mean()), "own_days_r2": float(1 - np.mean(error**2) / np.var(later))}


def _after_own_days(heart: Doubles, one: Course) -> tuple[Doubles, Doubles]:
    """Return the heart rate after the first week and by how much it was missed, bpm (n,); none of short recordings."""
    day = np.arange(len(heart)) * one.step // (24 * 60)
    known, first = np.isfinite(heart), day < LEARN_DAYS
    later = known & ~first
    if day[-1] + 1 < LEAST_DAYS or not (known & first).any() or not later.any():
        return np.empty(0), np.empty(0)
    x = np.concatenate((np.ones((len(heart), 1)), drivers(one)), axis=1)
    weights, *_ = np.linalg.lstsq(x[known & first], heart[known & first], rcond=None)
    return heart[later], heart[later] - x[later] @ weights


def of_people(people: Sequence[Course]) -> dict[str, float]:
    """Return `means` of everybody's statistics, and `own_days_r2_pooled` where somebody has own days."""
    found = means([of_person(one) for one in people])
    return found | ({"own_days_r2_pooled": pooled_r2(people)} if "own_days_r2" in found else {})


def pooled_r2(people: Iterable[Course]) -> float:
    """Return the share of all rows' variance that `own_days` tell, NaN without rows: how people differ counts too.

    A mean over people of each one's R2 is lower: a person's level is known after a week, and is most of what differs.
    """
    both = [_after_own_days(waking(one), one) for one in people]
    later, error = (np.concatenate([pair[i] for pair in both] or [np.empty(0)]) for i in (0, 1))
    return float(1 - np.mean(error**2) / np.var(later)) if len(later) else float("nan")


def drivers(one: Course) -> Doubles:
    """Return what activity and clock tell of the heart rate: steps per minute now and felt for longer, and the time of
    day in waves, (n, 9).
    """
    pace = np.nan_to_num(one.steps / one.step)
    poles = [np.exp(-one.step / tau) for tau in EFFORT_TAUS]
    angle = 2 * np.pi * one.minute / (24 * 60)
    felt = [lfilter([1 - pole], [1, -pole], pace) for pole in poles]
    waves = [wave(turn * angle) for turn in (1, 2) for wave in (np.sin, np.cos)]
    return np.stack([pace, *felt, *waves], axis=1)


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

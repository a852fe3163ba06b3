"""What is normal for this person: daily summaries -> centre and spread of every signal by context.

A signal is a vital (or a detail of one) minus what the population's model expects of the moment (heart rate from
activity, clock, sleep and profile; the others from activity and clock). Own normal is the median of the completed days
d-days_back .. d-days_skip, mixed with the population's: (days own + shrink population) / (days + shrink). Days that
look like an infection do not count, and older ones count in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.tables import Doubles

CONTEXTS = ("asleep", "at rest", "active")
SIGNALS = (
    "heart_rate",
    "oxygen_saturation",
    "respiratory_rate",
    "body_temperature",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
    "heart_rate_variability_rmssd",
    "heart_rate_spread",
    "oxygen_saturation_min",
)
VITALS = SIGNALS[:7]
INFECTED = tuple(map(SIGNALS.index, ("heart_rate", "respiratory_rate", "body_temperature")))  # what an infection raises
STILL = tuple(map(CONTEXTS.index, ("asleep", "at rest")))
ROOT = ("heart_rate_variability_rmssd", "heart_rate_spread")  # judged on a square-root scale, where they are symmetric
SPARSE = ("blood_pressure_systolic", "blood_pressure_diastolic")  # a cuff measures about hourly
MAD_TO_SD = 1.4826  # of a normal distribution
LEAST_SPREAD = np.asarray([1.0, 0.3, 0.4, 0.08, 3.0, 2.5, 0.2, 0.1, 0.4])  # sensor resolution, in each signal's unit


@dataclass(frozen=True)
class Normal:
    """The population's normal, learnt from training people.

    Attributes:
        slope: Change of each signal by context driver (see `features.DRIVERS`), (3, s, k); heart rate has none.
        centre, spread: By context, (3, s), in each signal's unit.
        steps: Median and spread of a day's steps, (2,).
    """

    slope: Doubles
    centre: Doubles
    spread: Doubles
    steps: Doubles

    @cached_property
    def by_driver(self) -> Doubles:
        """The slopes with the driver before the signal, (3, k, s)."""
        return np.ascontiguousarray(self.slope.transpose(0, 2, 1))

    @cached_property
    def plain_slope(self) -> list[list[list[float]]]:
        """The slopes as plain numbers, (3, s, k)."""
        plain: list[list[list[float]]] = self.slope.tolist()
        return plain

    def to_json(self) -> dict[str, Any]:
        """Return plain lists."""
        return {name: getattr(self, name).tolist() for name in ("slope", "centre", "spread", "steps")}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Normal:
        """Read back what `to_json` wrote."""
        return Normal(**{name: np.asarray(data[name], np.float64) for name in ("slope", "centre", "spread", "steps")})


@dataclass(frozen=True)
class Day:
    """One completed local day of one person; NaN where a context had too few rows.

    Attributes:
        date: Days since 1970, local.
        centre, spread: Median and scaled median absolute deviation by context, (3, s).
        steps: Steps of the day, NaN unless at least half of the day was worn.
        suspect: Whether it looks like an infection, so that it says nothing of what is normal.
    """

    date: int
    centre: Doubles
    spread: Doubles
    steps: float
    suspect: bool = False


@dataclass(frozen=True)
class Own:
    """What counts as normal on one day: centre and spread by context (3, s), days behind them, usual steps a day."""

    centre: Doubles
    spread: Doubles
    days: int
    steps: float
    steps_spread: float

    @cached_property
    def usual(self) -> Doubles:
        """Usual steps of a day, their spread, and the heart rate's centre by context, (5,)."""
        return np.asarray([self.steps, self.steps_spread, *self.centre[:, 0]])

    @cached_property
    def plain(self) -> list[tuple[list[float], list[float]]]:
        """Centre and spread by context as plain numbers, (3, 2, s)."""
        return list(zip(self.centre.tolist(), self.spread.tolist(), strict=True))


def summarise(
    date: int, context: NDArray[np.int8], signal: Doubles, steps: Doubles, chosen: params.Baseline, steps_per_day: int
) -> Day:
    """Summarise the rows of one local day.

    Args:
        date: Days since 1970, local.
        context: Index into CONTEXTS, (n,).
        signal: Signals minus the population's expectation, (n, s); NaN is not measured.
        steps: Steps per grid step, (n,); NaN is not measured.
        chosen: Least rows of a context.
        steps_per_day: Grid steps in a day.
    """
    least = np.where([name in SPARSE for name in SIGNALS], max(chosen.min_rows // 4, 1), chosen.min_rows)
    least = np.maximum(np.minimum(least, steps_per_day // 8), 1)
    centre = np.full((len(CONTEXTS), signal.shape[1]), np.nan)
    spread = centre.copy()
    for code in range(len(CONTEXTS)):
        rows = signal[context == code]
        if len(rows):
            middle, count = median(rows)
            deviation, _ = median(np.abs(rows - middle))
            enough = count >= least
            centre[code, enough] = middle[enough]
            spread[code, enough] = MAD_TO_SD * deviation[enough]
    measured = np.isfinite(steps)
    whole = measured.sum() >= steps_per_day / 2
    return Day(date, centre, spread, float(steps[measured].sum()) if whole else float("nan"))


def population(normal: Normal) -> Own:
    """Return what is normal for somebody without own days: the population's."""
    return Own(normal.centre, normal.spread, 0, float(normal.steps[0]), float(normal.steps[1]))


def own(days: Sequence[Day], date: int, normal: Normal, chosen: params.Baseline) -> Own:
    """Return what is normal on local day `date`, from completed days only.

    Args:
        days: Completed days, any order.
        date: Days since 1970, local.
        normal: The population's normal, borrowed while own days are few.
        chosen: Which days count and how strongly the population does.
    """
    first = date - chosen.days_back - sum(day.suspect for day in days)
    used = [day for day in days if first <= day.date <= date - chosen.days_skip and not day.suspect]
    if not used:
        return population(normal)
    centre, count = median(np.stack([day.centre for day in used]))
    spread, _ = median(np.stack([day.spread for day in used]))
    weight = count / (count + chosen.shrink_days)
    walked, walked_days = median(np.asarray([[day.steps] for day in used]))
    steps_weight = float(walked_days[0] / (walked_days[0] + chosen.shrink_days))
    return Own(
        centre=_mix(weight, centre, normal.centre),
        spread=np.maximum(np.sqrt(_mix(weight, spread**2, normal.spread**2)), LEAST_SPREAD[: centre.shape[1]]),
        days=int(count[:, 0].max()),
        steps=float(_mix(np.asarray(steps_weight), walked, normal.steps[0])[0]),
        steps_spread=float(normal.steps[1]),
    )


def with_day(days: tuple[Day, ...], day: Day, known: Own, chosen: params.Baseline) -> tuple[Day, ...]:
    """Return the completed days and one more, marked if it looks like an infection.

    Asleep and at rest, heart rate, respiration and temperature are then on average more than `suspect_z` own spreads
    above own normal. After `frozen_days` such days in a row they are what is normal now (a medicine, another device).

    Args:
        days: Completed before, oldest first.
        day: As summarised.
        known: What was normal on that day.
        chosen: Personal baseline.
    """
    marked = replace(day, suspect=_infection(day, known) > chosen.suspect_z)
    row = (*days, marked)[-chosen.frozen_days :]
    if len(row) == chosen.frozen_days and all(one.suspect for one in row):
        return (*days[: len(days) + 1 - len(row)], *(replace(one, suspect=False) for one in row))
    return (*days, marked)


def _infection(day: Day, known: Own) -> float:
    """Return how far what an infection raises is above own normal, own spreads; -inf where fewer than two are known."""
    told = ((day.centre - known.centre) / known.spread)[np.ix_(STILL, INFECTED)]
    measured = np.isfinite(told)
    return float(told[measured].mean()) if measured.any(axis=0).sum() >= 2 else -np.inf


def _mix(weight: Doubles, mine: Doubles, others: Doubles) -> Doubles:
    return np.where(weight > 0, weight * np.where(np.isfinite(mine), mine, 0.0), 0.0) + (1 - weight) * others


def median(rows: Doubles) -> tuple[Doubles, NDArray[np.int64]]:
    """Return median and number of measured values over the first axis; NaN counts as not measured."""
    n = len(rows)
    ordered = rows.reshape(n, -1).T.copy()  # each column in one piece of memory
    ordered.sort(axis=1)  # NaN last
    count = n - np.isnan(ordered).sum(axis=1)
    column = np.arange(len(ordered))
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, n - 1)
    middle = (ordered[column, low] + ordered[column, high]) / 2  # NaN where there are none
    return middle.reshape(rows.shape[1:]), count.reshape(rows.shape[1:])

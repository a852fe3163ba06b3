"""What a person's heart rate does of its own: offsets by context and time of day, a slope, and means by hour.

The expectation tells what a moment adds to anybody's heart rate (its lift). What is left is fitted on completed own
days by ridge regression towards the population (offset by context and three hours of the day, factor of the lift), so
that nobody's first day is worse than the population and every further day says more. State is a few sums: O(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitalwatch.baseline import CONTEXTS, Normal
from vitalwatch.tables import Doubles, Floats

REST = CONTEXTS.index("at rest")
BINS = 8  # of three hours
HOURS = 24
BIN = 60 * HOURS // BINS  # minutes
LIFT = 20.0  # bpm that count as one in the fit: a brisk walk
MEMORY = 0.95  # share of what was known that is kept each day: about three weeks
PULL = (6.0, 90.0, 90.0, 90.0, *(180.0,) * BINS)  # weight of the population in rows: level, contexts, factor, bins
PULL_HOUR = 6.0  # rows of what is expected that an hour's mean begins with
AHEAD = (0, 30, 60)  # minutes after the row that its usual heart rates are told for


@dataclass(frozen=True)
class Habits:
    """What completed days of one person say.

    Attributes:
        gram, product: Sums of the fit, (k, k) and (k,).
        total, count: Heart rates and rows by hour of the day, (24,).
        offset: Own heart rate without lift by context and three hours, bpm (3, 8).
        factor: Own lift for one of the population's.
    """

    gram: Doubles
    product: Doubles
    total: Doubles
    count: Doubles
    offset: Doubles
    factor: float


@lru_cache(maxsize=1)
def _pull() -> Doubles:
    return np.asarray(PULL)


def population(normal: Normal) -> Habits:
    """Return the habits of somebody without own days."""
    k = len(PULL)
    offset = np.repeat(normal.centre[:, :1], BINS, axis=1)
    return Habits(np.zeros((k, k)), np.zeros(k), np.zeros(HOURS), np.zeros(HOURS), offset, 1.0)


def learn(
    habits: Habits,
    context: NDArray[np.int8],
    above: Doubles,
    lift: Floats,
    minute: NDArray[np.int16],
    normal: Normal,
) -> Habits:
    """Return the habits after one more completed day.

    Args:
        habits: Before that day.
        context: Index into CONTEXTS, (n,).
        above: Heart rate minus the lift, bpm (n,); NaN is not measured.
        lift: What the expectation adds, bpm (n,).
        minute: Local minute of the day, (n,).
        normal: The population's normal.
    """
    rows = np.flatnonzero(np.isfinite(above))
    context, above, lift, hour = context[rows], above[rows], lift[rows].astype(np.float64), minute[rows] // 60
    x = np.zeros((len(rows), len(PULL)))
    x[:, 0] = 1.0
    for column, code in enumerate(_others(), start=1):
        x[:, column] = context == code
    x[:, 3] = lift / LIFT
    x[np.arange(len(rows)), 4 + hour // (HOURS // BINS)] = 1.0
    gram, product = MEMORY * habits.gram + x.T @ x, MEMORY * habits.product + x.T @ above
    total = MEMORY * habits.total + np.bincount(hour, above + lift, HOURS)
    count = MEMORY * habits.count + np.bincount(hour, minlength=HOURS)
    usual = normal.centre[:, 0]
    prior = np.concatenate(([usual[REST]], usual[_others()] - usual[REST], np.zeros(1 + BINS)))
    told = np.linalg.solve(gram + np.diag(_pull()), product + _pull() * prior)
    offset = np.full((len(CONTEXTS), BINS), told[0]) + told[4:]
    offset[_others()] += told[1:3, None]
    return Habits(gram, product, total, count, offset, float(1.0 + told[3] / LIFT))


def _others() -> list[int]:
    return [code for code in range(len(CONTEXTS)) if code != REST]


def of_many(
    habits: list[Habits], which: NDArray[np.intp], context: NDArray[np.int8], lift: Floats, minute: NDArray[np.int16]
) -> tuple[Floats, Doubles]:
    """Return the heart rate expected of the person, bpm float32 (n,), and `usual` ones, bpm (n, 3): the person's mean
    heart rate in the hours of AHEAD, drawn to what is expected now.

    Args:
        habits: On each day walked through.
        which: Number of each row's day among them, (n,).
        context, lift, minute: As in `learn`.
    """
    offset = np.array([one.offset for one in habits])[which, context, minute // BIN]
    factor = np.array([one.factor for one in habits])[which]
    expected: Floats = (lift * factor + offset).astype(np.float32)
    hour = (minute[:, None].astype(np.int64) + AHEAD) % 1440 // 60
    total = np.array([one.total for one in habits])[which[:, None], hour]
    count = np.array([one.count for one in habits])[which[:, None], hour]
    usual: Doubles = (total + PULL_HOUR * expected[:, None].astype(np.float64)) / (count + PULL_HOUR)
    return expected, usual


def of_one(
    habits: list[Habits], which: NDArray[np.intp], context: NDArray[np.int8], lift: Floats, minute: NDArray[np.int16]
) -> tuple[Floats, Doubles]:
    """Return `of_many` of one row, in plain numbers."""
    own, now = habits[which.item()], minute.item()
    offset: float = own.offset.item(context.item(), now // BIN)
    expected = np.array([lift.item() * own.factor + offset], np.float32)
    told = PULL_HOUR * expected.item()
    hours = [(now + ahead) % 1440 // 60 for ahead in AHEAD]
    usual = [(own.total.item(hour) + told) / (own.count.item(hour) + PULL_HOUR) for hour in hours]
    return expected, np.array([usual])

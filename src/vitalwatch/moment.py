"""What a person is doing: steps, intensity, sleep and clock over the last hours, and the context that they tell.

As in `features`, a row is the same to the bit alone or in a month, and nothing is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from vitalwatch.features import (
    ACTIVE,
    ACTIVE_INTENSITY,
    ACTIVE_STEPS,
    ASLEEP,
    AT_REST,
    INTENSITY_WINDOWS,
    MOMENT,
    NIGHT,
    SLEEP_WINDOWS,
    STEP_WINDOWS,
    Codes,
    columns_of,
    places_of,
    rows_of,
)
from vitalwatch.tables import Doubles, Floats, Grid
from vitalwatch.windows import Chain, chain_of, window_sums

ACTIVITY = ("steps", "intensity", "sleep", "motion")


@lru_cache(maxsize=1)
def clock_table() -> Floats:
    """Return sine and cosine of the local time of day, first and second harmonic, by minute: (1440, 4)."""
    angle = 2 * np.pi * np.arange(1440) / 1440
    table = np.stack((np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)), axis=1).astype(np.float32)
    table.setflags(write=False)
    return table


def activity(grid: Grid, step_minutes: int) -> Doubles:
    """Return steps per minute, intensity, whether asleep and motion, (n, 4); not measured counts as none.

    Without a sleep signal a person who takes no steps at night (NIGHT, local) counts as asleep.
    """
    if len(grid) == 1:
        return np.array([_active(grid, step_minutes)])
    told = grid.values.take(columns_of(grid.names, ACTIVITY), axis=1)
    columns = told.astype(np.float64)
    unknown = np.isnan(columns)
    if np.count_nonzero(unknown):
        night = (grid.minute >= NIGHT[0]) & (grid.minute < NIGHT[1])
        still = night & ~(columns[:, 0] > 0) & np.isfinite(grid.values[:, 0])
        columns[:, 2] = np.where(unknown[:, 2], still, columns[:, 2])
        unknown[:, 2] = False
        np.copyto(columns, 0.0, where=unknown)
    columns[:, 0] /= step_minutes
    return columns


def _active(grid: Grid, step_minutes: int) -> tuple[float, float, float, float]:
    """Return `activity` of a grid of one row."""
    row = grid.values[0].tolist()
    steps, intensity, sleep, motion = [row[i] for i in places_of(grid.names, ACTIVITY)]
    if sleep != sleep:  # only NaN is not itself
        sleep = float(NIGHT[0] <= grid.minute.item() < NIGHT[1] and not steps > 0 and isfinite(row[0]))
    steps, intensity, motion = [value if value == value else 0.0 for value in (steps, intensity, motion)]
    return steps / step_minutes, intensity, sleep, motion


@dataclass(frozen=True)
class MomentPlan:
    """Where MOMENT columns come from, for one grid step.

    Attributes:
        chain: Sums over windows of steps per minute, intensity and asleep.
        divisor: Rows of each sum, then 1 for motion and asleep of the row itself, (3 w + 2,).
        source: Places of the MOMENT columns, but for the clock's, among those, (m - 4,).
        recent: Places of the mean steps and intensity of 15 minutes.
    """

    chain: Chain
    divisor: Doubles
    source: NDArray[np.intp]
    recent: tuple[int, int]


@lru_cache(maxsize=4)
def moment_plan(step_minutes: int) -> MomentPlan:
    """Return the plan for a grid step."""
    windows = sorted({*STEP_WINDOWS, *INTENSITY_WINDOWS, *SLEEP_WINDOWS})
    widths = [rows_of(w, step_minutes) for w in windows]
    means = [(c, w) for c, chosen in ((0, STEP_WINDOWS), (1, INTENSITY_WINDOWS)) for w in chosen]
    own = 3 * len(windows)
    source = [3 * windows.index(w) + c for c, w in means]
    source += [own, own + 1, *(3 * windows.index(w) + 2 for w in SLEEP_WINDOWS)]
    recent = 3 * windows.index(15)
    return MomentPlan(
        chain=chain_of(widths),
        divisor=np.asarray([*np.repeat(widths, 3), 1, 1], np.float64),
        source=np.asarray(source, np.intp),
        recent=(recent, recent + 1),
    )


CONTEXT_OF = np.asarray([AT_REST, ACTIVE, ASLEEP, ASLEEP], np.int8)  # by moving + 2 asleep
CONTEXT_OF.setflags(write=False)


def moment_rows(active: Doubles, minute: NDArray[np.int16], new: int, step_minutes: int) -> tuple[Floats, Codes]:
    """Return the MOMENT columns and the context of the last `new` rows.

    Args:
        active: From `activity`, (k + new, 4), reaching CONTEXT_LOOKBACK back where there are rows.
        minute: Local minute of the day of the new rows, (new,).
        new: Number of new rows.
        step_minutes: Minutes in a grid step.

    Returns:
        float32 (new, m) and index into CONTEXTS (new,).
    """
    before = np.zeros(len(active) - new, np.int16)
    _, moments, context = advance_moment(None, active, np.concatenate((before, minute)), step_minutes)
    return moments[len(active) - new :], context[len(active) - new :]


def advance_moment(
    tails: Doubles | None, active: Doubles, minute: NDArray[np.int16], step_minutes: int
) -> tuple[Doubles, Floats, Codes]:
    """Return the next tails, and of new rows the MOMENT columns, float32 (n, m), and the index into CONTEXTS (n,).

    Args:
        tails: From an earlier call, None at first.
        active: From `activity`, (n, 4).
        minute: Local minute of the day, (n,).
        step_minutes: Minutes in a grid step.
    """
    plan = moment_plan(step_minutes)
    n, k = len(active), len(plan.source)
    following, sums = window_sums(plan.chain, plan.chain.begin(3) if tails is None else tails, active[:, :3])
    mean = np.concatenate((sums.reshape(n, len(plan.divisor) - 2), active[:, 3:1:-1]), axis=1)
    mean /= plan.divisor
    if n == 1:
        parts = (mean.take(plan.source, axis=1), clock_table().take(minute, axis=0))
        return following, np.concatenate(parts, axis=1, dtype=np.float32), _context(mean, active, plan)
    out = np.empty((n, len(MOMENT)), np.float32)
    out[:, :k] = mean.take(plan.source, axis=1)
    out[:, k:] = clock_table().take(minute, axis=0)
    return following, out, _context(mean, active, plan)


def _context(mean: Doubles, active: Doubles, plan: MomentPlan) -> Codes:
    steps, intensity = plan.recent
    if len(mean) == 1:
        busy = mean.item(steps) > ACTIVE_STEPS or mean.item(intensity) > ACTIVE_INTENSITY
        code = busy + 2 * (active.item(2) > 0.5)
        return CONTEXT_OF[code : code + 1]
    moving = (mean[:, steps] > ACTIVE_STEPS) | (mean[:, intensity] > ACTIVE_INTENSITY)
    return CONTEXT_OF.take(moving + 2 * (active[:, 2] > 0.5))

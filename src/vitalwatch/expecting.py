"""What the heart should do in a moment that is told rather than measured: steps, intensity, sleep, and for how long.

Windows that reach further back than the activity lasts are filled with rest. So one activity gives one row of the same
columns that readings give, and the model that answers is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features, habits, moment, residuals
from vitalwatch.baseline import CONTEXTS
from vitalwatch.tables import Doubles, Floats

AWAKE, ASLEEP = 15.0, 180.0  # minutes that an activity, and sleep, lasted where nobody tells
REST = CONTEXTS.index("at rest")


@dataclass(frozen=True)
class Moments:
    """Moments of any people; all (n,).

    Attributes:
        steps: Per minute.
        intensity: 0-1.
        asleep: 0 or 1.
        minutes: How long it has lasted; NaN where not told.
        clock: Local minute of the day.
    """

    steps: Doubles
    intensity: Doubles
    asleep: Doubles
    minutes: Doubles
    clock: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def columns(self) -> Floats:
        """MOMENT columns, float32 (n, m)."""
        lasted = np.where(np.isnan(self.minutes), np.where(self.asleep > 0, ASLEEP, AWAKE), self.minutes)
        parts: list[NDArray[Any]] = [
            _means(self.steps, lasted, features.STEP_WINDOWS),
            _means(self.intensity, lasted, features.INTENSITY_WINDOWS),
            self.intensity[:, None],  # motion, which follows intensity where a device tells no more
            self.asleep[:, None],
            _means(self.asleep, lasted, features.SLEEP_WINDOWS),
            moment.clock_table().take(self.clock, axis=0),
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    @property
    def context(self) -> NDArray[np.int8]:
        """Index into CONTEXTS."""
        moving = (self.steps > features.ACTIVE_STEPS) | (self.intensity > features.ACTIVE_INTENSITY)
        return moment.CONTEXT_OF.take(moving + 2 * (self.asleep > 0.5))

    @property
    def rest(self) -> Moments:
        """The same hours, awake and at rest."""
        nothing = np.zeros(len(self))
        return Moments(nothing, nothing, nothing, np.full(len(self), AWAKE), self.clock)


def of_known(
    lift: Callable[[Floats], Floats], person: Floats, known: residuals.State, moments: Moments
) -> tuple[Doubles, Doubles, bool]:
    """Return the heart rate that a known person's own days let expect, the usual spread (bpm, (n,) each), whether there
    are such days: else the population's normal holds, as `Monitor.expected` tells it.

    Args:
        lift: `Monitor.lift`.
        person: PERSON columns, (7,).
        known: Of the person, after their newest row.
        moments: What they do.
    """
    n, context = len(moments), moments.context
    added = lift(np.concatenate((moments.columns, person[None].repeat(n, axis=0)), axis=1))
    minute, every = moments.clock.astype(np.int16), np.zeros(n, np.intp)
    rate, _ = habits.of_many([known.habits], every, context, added, minute)
    return rate.astype(np.float64), known.own.spread[context, 0], known.own.days > 0


def _means(value: Doubles, lasted: Doubles, windows: tuple[int, ...]) -> Doubles:
    """Return means over windows of which the value fills the last minutes, (n, w)."""
    wide = np.asarray(windows, np.float64)
    return value[:, None] * np.minimum(lasted[:, None], wide) / wide

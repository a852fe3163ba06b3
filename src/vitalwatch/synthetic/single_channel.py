"""One channel of one person moved and nothing else: what an explanation has to name first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE, Floats, Readings

RAMP = 0.15  # of the length, until an event is at its full size


@dataclass(frozen=True)
class Injection:
    """What is done to one channel.

    Attributes:
        channel: The vital, or the detail of one, that has to be named.
        name: `event` comes and goes like an illness; `bias` of a sensor is there at once; `noise` is a loose sensor's.
        columns: What the channel's sensor reports.
        size: Added, in the columns' unit; for `noise` its standard deviation; for a variability a factor.
        hours: How long.
    """

    channel: str
    name: str
    columns: tuple[str, ...]
    size: float
    hours: int

    def of_size(self, share: float) -> Injection:
        """Return the same at a share of its size; of a factor, that share of its way from 1 (on a log scale)."""
        return replace(self, size=self.size**share if self.channel in FACTORS else self.size * share)


FACTORS = ("heart_rate_variability_rmssd",)


def _both(channel: str, up: float, down: float, hours: int) -> list[Injection]:
    return [
        Injection(channel, "event", (channel,), up, hours),
        Injection(channel, "event", (channel,), down, hours),
        Injection(channel, "bias", (channel,), up, hours),
    ]


# Sizes are those of clear illness or of a plainly broken sensor; `of_size` makes smaller ones of them
INJECTIONS: Sequence[Injection] = (
    *_both("heart_rate", 30, -20, 3),
    Injection("oxygen_saturation", "event", ("oxygen_saturation", "oxygen_saturation_min"), -6, 3),
    Injection("oxygen_saturation", "bias", ("oxygen_saturation", "oxygen_saturation_min"), -8, 3),
    *_both("respiratory_rate", 8, -6, 3),
    *_both("body_temperature", 2.0, -2.0, 8),
    *_both("blood_pressure_systolic", 55, -40, 6),
    *_both("blood_pressure_diastolic", 35, -30, 6),
    Injection("heart_rate_variability_rmssd", "event", ("heart_rate_variability_rmssd",), 3.0, 6),
    Injection("heart_rate_variability_rmssd", "event", ("heart_rate_variability_rmssd",), 0.25, 6),
    Injection("heart_rate_spread", "event", ("heart_rate_spread",), 10, 3),
    Injection("heart_rate_spread", "noise", ("heart_rate_spread",), 14, 3),
)


def inject(readings: Readings, what: Injection, start: int, schema: Schema, rng: np.random.Generator) -> Readings:
    """Return the readings with one channel moved from `start`, UTC ms, for the injection's hours."""
    length = what.hours * 60 * MINUTE
    inside = (readings.time >= start) & (readings.time < start + length)
    share = np.ones(int(inside.sum()))
    if what.name == "event":
        share = np.clip((readings.time[inside] - start) / (RAMP * length), 0, 1)
    if what.name == "noise":
        share = np.abs(rng.normal(size=len(share)))
    values = dict(readings.values)
    for name in what.columns:
        column = readings.column(name).copy()
        column[inside] = _moved(column[inside], what, share)
        values[name] = np.clip(column, *schema.columns[name].possible)
    return replace(readings, values=values)


def _moved(values: Floats, what: Injection, share: np.ndarray) -> Floats:
    moved = values * (1 + (what.size - 1) * share) if what.channel in FACTORS else values + what.size * share
    return moved.astype(np.float32)

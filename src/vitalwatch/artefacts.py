"""What a sensor told that no body did: stuck, jumping, detached, dim or counting steps as beats.

A mark takes a value back; a row's marks depend on it, the two rows before it and how long values stood still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.schema import Schema, minutes
from vitalwatch.tables import Bools, Floats

# Bits of Grid.artefact
ARTEFACTS: Mapping[str, int] = {
    "flat_line": 1,
    "spike": 2,
    "low_signal_quality": 4,
    "cadence_lock": 8,
    "detached_sensor": 16,
    "low_perfusion": 32,
}
# A change from one step to the next beyond which a value is not believed until it is seen again (chosen: beyond what
# a resting body does in five minutes; temperature and oxygen limits follow sensor data sheets' response times).
SPIKE = {"heart_rate": 45.0, "oxygen_saturation": 20.0, "respiratory_rate": 18.0, "body_temperature": 1.5}
OPTICAL = ("heart_rate", "oxygen_saturation", "heart_rate_variability_rmssd")
COARSE = 15  # minutes: at longer steps two equal values are no stuck sensor, and a jump is no spike
NEVER = 2**31
DETACHED_BELOW = 34.0  # Cel: a body this cold is rarer by far than a sensor off the skin
LOW_PERFUSION_QUALITY = 0.5
LOCK_CADENCE = 95.0  # steps/min: walking briskly enough for a wrist sensor to count steps as beats
LOCK_WITHIN = 3.0  # bpm
MOVING = 0.3  # intensity
STILL = ("heart_rate", "respiratory_rate", "body_temperature", "heart_rate_variability_rmssd")  # never constant
QUIET_STEPS = 8.0  # steps/min: below this a sudden heart-rate jump is not explained by walking
NAN = np.float32(np.nan)
DOUBTED_WITH = (
    ("heart_rate_spread", "heart_rate"),
    ("heart_rate_last", "heart_rate"),
    ("oxygen_saturation_min", "oxygen_saturation"),
)  # summaries that are no better than the vital of their step


@dataclass(frozen=True)
class Rules:
    """Where everything stands and every limit in rows, worked out once for a schema and a choice.

    Attributes:
        at: Place of each grid column; vitals come first.
        vitals: How many.
        step_minutes: Minutes in a grid step.
        jumping, still, optical: Places of the vitals judged for spikes, flat lines and signal quality.
        jump: Largest believable change of the `jumping` ones.
        flat: Equal comparisons in a row that make a flat line.
        poor: Signal quality below which optical vitals are not believed.
        low_saturation: Saturation below which dim light counts as low perfusion.
        still_at, jumps: Places of `still`; places and limits of `jumping`: plain numbers, for one row.
    """

    at: Mapping[str, int]
    vitals: int
    step_minutes: int
    jumping: NDArray[np.intp]
    still: NDArray[np.intp]
    optical: NDArray[np.intp]
    jump: Floats
    flat: int
    poor: float
    low_saturation: float
    still_at: tuple[int, ...]
    jumps: tuple[tuple[int, float], ...]

    @staticmethod
    def of(schema: Schema, at: Mapping[str, int], chosen: params.Cleaning) -> Rules:
        """Return the rules for the grid of a schema and chosen limits."""
        step = schema.step_minutes
        limits = SPIKE if step <= COARSE else dict.fromkeys(SPIKE, np.inf)
        return Rules(
            at=at,
            vitals=len(schema.vitals),
            step_minutes=step,
            jumping=_places(at, SPIKE),
            still=_places(at, STILL),
            optical=_places(at, OPTICAL),
            jump=np.asarray(list(limits.values()), np.float32),
            flat=max(minutes(chosen.flat_line) // step, 2) - 1 if step <= COARSE else NEVER,
            poor=chosen.min_signal_quality,
            low_saturation=(schema.columns["oxygen_saturation"].usual or (92.0, 100.0))[0],
            still_at=tuple(at[name] for name in STILL),
            jumps=tuple((at[name], limit) for name, limit in limits.items()),
        )


def _places(at: Mapping[str, int], names: Iterable[str]) -> NDArray[np.intp]:
    return np.asarray([at[name] for name in names], np.intp)


def runs(values: Floats, before: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many comparisons up to each row found a value equal to the one before it.

    Args:
        values: (1 + n, s), the row before first.
        before: The answer for that row, (s,).
        index: 0..n-1, (n, 1).
    """
    changed = np.where(values[1:] == values[:-1], -1 - before, index)
    return index - np.maximum.accumulate(changed, axis=0)


def runs_of_one(before: Sequence[float], row: Sequence[float], run: Sequence[int], rules: Rules) -> list[int]:
    """Return `runs` of one row, (s,); `run` is that of the row before."""
    return [told + 1 if row[i] == before[i] else 0 for i, told in zip(rules.still_at, run, strict=True)]


def strange(before: Sequence[float], row: Sequence[float], run: Sequence[int], rules: Rules) -> bool:
    """Return whether a row may have artefacts (nearly never); `take_back` says which, and finds none in other rows."""
    at = rules.at
    return (
        max(run) >= rules.flat
        or row[at["signal_quality"]] < max(rules.poor, LOW_PERFUSION_QUALITY)
        or row[at["steps"]] > LOCK_CADENCE * rules.step_minutes
        or row[at["body_temperature"]] < DETACHED_BELOW
        or any(abs(row[i] - before[i]) > limit for i, limit in rules.jumps)
    )


def take_back(rows: Floats, near: Floats, run: NDArray[np.int64], rules: Rules) -> NDArray[np.uint8]:
    """Take marked values and their details out of `rows`, in place, and return the bits of every vital, uint8 (n, v).

    Args:
        rows: As summarised, (n, c).
        near: The same after the two rows before them, (2 + n, c).
        run: From `runs`, (n, s).
        rules: Places and limits.
    """
    marks = _marks(near, run, rules)
    if np.count_nonzero(marks):
        rows[:, : marks.shape[1]][marks > 0] = NAN
        for summary, vital in DOUBTED_WITH:
            rows[marks[:, rules.at[vital]] > 0, rules.at[summary]] = NAN
    return marks


def _marks(near: Floats, run: NDArray[np.int64], rules: Rules) -> NDArray[np.uint8]:
    at, rows = rules.at, near[2:]
    marks = np.zeros((len(rows), rules.vitals), np.uint8)
    cadence = near[1:, at["steps"]] / rules.step_minutes
    quality = rows[:, at["signal_quality"]]

    jump = _unsupported_jump(near.take(rules.jumping, axis=1), rules.jump)
    if np.count_nonzero(jump):
        jump[:, 0] &= ~((cadence[1:] > QUIET_STEPS) | (rows[:, at["intensity"]] > MOVING))
        marks[:, rules.jumping] |= jump * np.uint8(ARTEFACTS["spike"])
    flat = run >= rules.flat
    if np.count_nonzero(flat):
        marks[:, rules.still] |= flat * np.uint8(ARTEFACTS["flat_line"])
    poor, dim = quality < rules.poor, quality < LOW_PERFUSION_QUALITY
    if np.count_nonzero(poor):
        marks[np.flatnonzero(poor)[:, None], rules.optical] |= np.uint8(ARTEFACTS["low_signal_quality"])
    if np.count_nonzero(dim):
        dim &= rows[:, at["oxygen_saturation"]] < rules.low_saturation
        marks[dim, at["oxygen_saturation"]] |= ARTEFACTS["low_perfusion"]
    brisk = cadence > LOCK_CADENCE
    if np.count_nonzero(brisk):
        brisk &= np.abs(near[1:, at["heart_rate"]] - cadence) < LOCK_WITHIN
        marks[brisk[1:] & brisk[:-1], at["heart_rate"]] |= ARTEFACTS["cadence_lock"]
    cold = rows[:, at["body_temperature"]] < DETACHED_BELOW
    if np.count_nonzero(cold):
        marks[cold, at["body_temperature"]] |= ARTEFACTS["detached_sensor"]
    return marks


def _unsupported_jump(values: Floats, limit: Floats) -> Bools:
    """True where a value is further than `limit` from both values before it (so a lasting change counts once)."""
    jump: Bools = np.abs(values[2:] - values[1:-1]) > limit
    if np.count_nonzero(jump):
        jump &= ~(np.abs(values[2:] - values[:-2]) <= limit)
    return jump

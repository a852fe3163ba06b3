"""Readings -> a regular causal grid with segments, carried-forward values and artefact marks.

A row depends only on readings of its own step and on what `Carried` tells of the rows before it; nothing is
interpolated and nothing crosses people. So a day in one call and a day in 288 calls give the same rows to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.schema import Schema, minutes
from vitalwatch.tables import MINUTE, Bools, Floats, Grid, Readings, Times

# Bits of Grid.artefact
ARTEFACTS: Mapping[str, int] = {
    "flat_line": 1,
    "spike": 2,
    "low_signal_quality": 4,
    "cadence_lock": 8,
    "detached_sensor": 16,
    "low_perfusion": 32,
}
SUMMARY = ("heart_rate_spread", "heart_rate_min", "heart_rate_max", "oxygen_saturation_min")
CONTEXT = ("steps", "intensity", "motion", "sleep", "signal_quality", "count")

# A change from one step to the next beyond which a value is not believed until it is seen again (chosen: beyond what
# a resting body does in five minutes; temperature and oxygen limits follow sensor data sheets' response times).
SPIKE = {"heart_rate": 45.0, "oxygen_saturation": 20.0, "respiratory_rate": 18.0, "body_temperature": 1.5}
OPTICAL = ("heart_rate", "oxygen_saturation", "heart_rate_variability_rmssd")
SLOW = ("body_temperature", "blood_pressure_systolic", "blood_pressure_diastolic", "heart_rate_variability_rmssd")
COARSE = 15  # minutes: at longer steps two equal values are no stuck sensor, and a jump is no spike
NEVER = 2**31
DETACHED_BELOW = 34.0  # Cel: a body this cold is rarer by far than a sensor off the skin
LOW_PERFUSION_QUALITY = 0.5
LOCK_CADENCE = 95.0  # steps/min: walking briskly enough for a wrist sensor to count steps as beats
LOCK_WITHIN = 3.0  # bpm
MOVING = 0.3  # intensity
STILL = ("heart_rate", "respiratory_rate", "body_temperature", "heart_rate_variability_rmssd")  # never constant
QUIET_STEPS = 8.0  # steps/min: below this a sudden heart-rate jump is not explained by walking
ASLEEP = 0.5  # share of the step that sensors called sleep
NAN = np.float32(np.nan)


def grid_columns(schema: Schema) -> tuple[str, ...]:
    """Return the grid's columns: every vital's mean, summaries within the step, context."""
    return (*schema.vitals, *SUMMARY, *CONTEXT)


@dataclass(frozen=True)
class Plan:
    """Where everything stands and every limit in rows, worked out once for a schema and a choice.

    Attributes:
        schema: Columns and step.
        names: Grid columns; `at` is the place of each.
        copied: Grid column and its place, where a step with one reading takes the reading as it is.
        jumping, still, optical: Places of the vitals judged for spikes, flat lines and signal quality.
        jump: Largest believable change of the `jumping` ones.
        flat: Equal comparisons in a row that make a flat line.
        gap: Rows each vital is carried forward, and rows without any reading inside a segment, (v + 1,).
        judged: Places of the vitals and of `count`, which those limits are about.
        poor: Signal quality below which optical vitals are not believed.
        low_saturation: Saturation below which dim light counts as low perfusion.
    """

    schema: Schema
    names: tuple[str, ...]
    at: Mapping[str, int]
    copied: tuple[tuple[str, int], ...]
    jumping: NDArray[np.intp]
    still: NDArray[np.intp]
    optical: NDArray[np.intp]
    jump: Floats
    flat: int
    gap: NDArray[np.int64]
    judged: NDArray[np.intp]
    poor: float
    low_saturation: float

    @staticmethod
    def of(schema: Schema, chosen: params.Cleaning) -> Plan:
        """Return the plan for limits of carrying forward and of artefact rules."""
        names, vitals, step = grid_columns(schema), schema.vitals, schema.step_minutes
        at = {name: i for i, name in enumerate(names)}
        slow, fast = minutes(chosen.max_gap_slow), minutes(chosen.max_gap)
        gaps = [(slow if vital in SLOW else fast) // step for vital in vitals]
        usual = schema.columns["oxygen_saturation"].usual
        same = (*vitals, "heart_rate_spread", "steps", "intensity", "signal_quality")
        same_from = (("heart_rate", "heart_rate_min"), ("heart_rate", "heart_rate_max"), ("intensity", "motion"))
        return Plan(
            schema=schema,
            names=names,
            at=at,
            copied=(*((name, at[name]) for name in same), *((name, at[to]) for name, to in same_from)),
            jumping=_places(at, SPIKE),
            still=_places(at, STILL),
            optical=_places(at, OPTICAL),
            jump=np.asarray(list(SPIKE.values()) if step <= COARSE else [np.inf] * len(SPIKE), np.float32),
            flat=max(minutes(chosen.flat_line) // step, 2) - 1 if step <= COARSE else NEVER,
            gap=np.asarray([*gaps, max(fast // step, 1)], np.int64),
            judged=np.asarray([*range(len(vitals)), at["count"]], np.intp),
            poor=chosen.min_signal_quality,
            low_saturation=(usual or (92.0, 100.0))[0],
        )


def _places(at: Mapping[str, int], names: Iterable[str]) -> NDArray[np.intp]:
    return np.asarray([at[name] for name in names], np.intp)


@dataclass(frozen=True)
class Carried:
    """What a row leaves to the rows after it.

    Attributes:
        step: Its number since 1970, -1 before the first.
        segment: Number of its segment, -1 before the first.
        rows: It and the row before it, unmarked and unfilled, float32 (2, c).
        run: Equal comparisons in a row up to it, of `Plan.still`, (s,).
        value: Last believed value of each vital, float32 (v,).
        age: Rows since that value, and since any reading, (v + 1,).
    """

    step: int
    segment: int
    rows: Floats
    run: NDArray[np.int64]
    value: Floats
    age: NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """What cleaning remembers of one person between calls.

    Attributes:
        open: Readings of the newest step, which may still grow.
        carried: After the newest row.
        before: Before it, for when its step grows.
    """

    open: Readings
    carried: Carried
    before: Carried


LONG_AGO = 10**6  # rows: longer than any limit


def to_grid(readings: Readings, schema: Schema, chosen: params.Cleaning) -> Grid:
    """Return the grid of one person's readings.

    Args:
        readings: Sorted by time; denser than the step is summarised, sparser leaves gaps.
        schema: Columns and step.
        chosen: Limits of carrying forward and of artefact rules.
    """
    return advance(begin(readings.person, schema), readings, Plan.of(schema, chosen))[1]


def begin(person: str, schema: Schema) -> State:
    """Return the state of a person of whom nothing is known."""
    nothing = Readings(person, np.empty(0, np.int64), np.empty(0, np.int16), {})
    vitals = len(schema.vitals)
    carried = Carried(
        step=-1,
        segment=-1,
        rows=np.full((2, len(grid_columns(schema))), np.nan, np.float32),
        run=np.zeros(len(STILL), np.int64),
        value=np.full(vitals, np.nan, np.float32),
        age=np.full(vitals + 1, LONG_AGO, np.int64),
    )
    return State(nothing, carried, carried)


def advance(state: State, new: Readings, plan: Plan) -> tuple[State, Grid]:
    """Return the next state and the rows that `new` adds or changes (the newest step may be told again).

    Args:
        state: From `begin` or an earlier call.
        new: Readings of the same person, sorted; none of an older step than the newest one known.
        plan: From `Plan.of`.
    """
    if not len(new):
        return state, _empty(state.open.person, plan)
    carried, step_ms = state.carried, plan.schema.step_ms
    if carried.step >= 0 and new.time[0] // step_ms == carried.step:  # summarised again from all its readings
        carried, new = state.before, _join(state.open, new)
    step, offset, rows = summarise(new, plan)
    time, offset, rows = _regular(step, offset, rows, carried.step, plan)
    before, after, grid = _clean(new.person, rows, time, offset, carried, plan)
    first_open = int(new.time.searchsorted(after.step * step_ms))
    return State(new if first_open == 0 else new.rows(slice(first_open, None)), after, before), grid


def summarise(readings: Readings, plan: Plan) -> tuple[Times, NDArray[np.int16], Floats]:
    """Summarise readings per grid step.

    Returns:
        Step numbers since 1970 (m,), clock offsets in minutes (m,), rows float32 (m, c) in `grid_columns` order.
    """
    step = readings.time // plan.schema.step_ms
    if len(step) == 1 or (step[1:] != step[:-1]).all():
        return step, readings.offset, _alone(readings, plan)
    starts = np.flatnonzero(np.concatenate(([True], step[1:] != step[:-1])))
    out = np.full((len(starts), len(plan.names)), np.nan, np.float32)
    column = {name: out[:, i] for name, i in plan.at.items()}
    for name in (*plan.schema.vitals, "intensity", "signal_quality"):
        if name in readings.values:
            column[name][:] = _mean(readings.values[name], starts)
    _summarise_heart_rate(readings, starts, column)
    column["oxygen_saturation_min"][:] = np.fmin.reduceat(_lowest_saturation(readings), starts)
    column["motion"][:] = np.fmax.reduceat(readings.column("intensity"), starts)
    sleep = _mean(readings.column("sleep"), starts)
    column["sleep"][:] = np.where(np.isfinite(sleep), sleep >= ASLEEP, np.nan)
    column["steps"][:] = _sum(readings.column("steps"), starts)
    column["count"][:] = np.diff(np.append(starts, len(step)))
    return step[starts], readings.offset[starts], out


def _alone(readings: Readings, plan: Plan) -> Floats:
    """Return the rows of readings that are each the only one of their step."""
    out = np.full((len(readings), len(plan.names)), NAN)
    values = readings.values
    for name, i in plan.copied:
        if name in values:
            out[:, i] = values[name]
    if "sleep" in values:
        sleep = values["sleep"]
        out[:, plan.at["sleep"]] = np.where(sleep == sleep, sleep >= ASLEEP, NAN)  # NaN is not equal to itself
    out[:, plan.at["oxygen_saturation_min"]] = _lowest_saturation(readings)
    out[:, plan.at["count"]] = 1.0
    return out


def _lowest_saturation(readings: Readings) -> Floats:
    return np.fmin(readings.column("oxygen_saturation"), readings.column("oxygen_saturation_min"))


def _summarise_heart_rate(readings: Readings, starts: NDArray[np.intp], column: dict[str, Floats]) -> None:
    rate, told = readings.column("heart_rate"), readings.column("heart_rate_spread")
    column["heart_rate_min"][:] = np.fmin.reduceat(rate, starts)
    column["heart_rate_max"][:] = np.fmax.reduceat(rate, starts)
    sizes = np.diff(np.append(starts, len(rate)))
    measured = np.isfinite(rate)
    mean = np.repeat(_mean(rate, starts), sizes)
    square = np.where(measured, (rate.astype(np.float64) - mean) ** 2, 0.0)
    count = np.add.reduceat(measured.astype(np.float64), starts)
    spread = np.sqrt(np.add.reduceat(square, starts) / np.maximum(count, 1))
    column["heart_rate_spread"][:] = np.where(count >= 3, spread, _mean(told, starts))


def _mean(values: Floats, starts: NDArray[np.intp]) -> NDArray[np.floating]:
    measured = np.isfinite(values)
    count = np.add.reduceat(measured.astype(np.float64), starts)
    total = np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _sum(values: Floats, starts: NDArray[np.intp]) -> NDArray[np.floating]:
    measured = np.isfinite(values)
    total = np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts)
    return np.where(np.logical_or.reduceat(measured, starts), total, np.nan)


def _join(a: Readings, b: Readings) -> Readings:
    names = {**a.values, **b.values}
    values = {name: np.concatenate((a.column(name), b.column(name))) for name in names}
    return Readings(a.person, np.concatenate((a.time, b.time)), np.concatenate((a.offset, b.offset)), values)


def _regular(
    step: Times, offset: NDArray[np.int16], rows: Floats, last: int, plan: Plan
) -> tuple[Times, NDArray[np.int16], Floats]:
    """Put rows of NaN between steps, at most a day of them, and continue from step `last` (-1: begin)."""
    step_ms, whole = plan.schema.step_ms, plan.schema.steps_per_day
    first = int(step[0])
    if (last < 0 or first == last + 1) and int(step[-1]) - first == len(step) - 1:
        return step * step_ms, offset, rows
    gaps = np.diff(step, prepend=last if last >= 0 else first - 1)
    kept = np.minimum(gaps, whole + 1)
    ends: Times = np.cumsum(kept) - 1
    out = np.full((int(ends[-1]) + 1, rows.shape[1]), NAN)
    out[ends] = rows
    which = np.searchsorted(ends, np.arange(len(out)))  # the reading's row that ends each stretch
    time: Times = step[which] - (ends[which] - np.arange(len(out)))
    return time * step_ms, offset[which], out


def _clean(
    person: str, rows: Floats, time: Times, offset: NDArray[np.int16], carried: Carried, plan: Plan
) -> tuple[Carried, Carried, Grid]:
    """Mark and fill new rows, in place; return what the last but one and the last row carry on, and the grid."""
    vitals, n = len(plan.gap) - 1, len(rows)
    index = np.arange(n)[:, None]
    near = np.concatenate((carried.rows, rows))
    run = _runs(near[1:].take(plan.still, axis=1), carried.run, index)
    marks = _marks(near, run, plan)
    if np.count_nonzero(marks):
        rows[:, :vitals][marks > 0] = NAN
        for summary, vital in (("heart_rate_spread", "heart_rate"), ("oxygen_saturation_min", "oxygen_saturation")):
            rows[marks[:, plan.at[vital]] > 0, plan.at[summary]] = NAN
    measured = np.isfinite(rows.take(plan.judged, axis=1))
    last = np.maximum.accumulate(np.where(measured, index, -1 - carried.age), axis=0)  # below 0: before these rows
    age = index - last
    young = age <= plan.gap
    believed = np.concatenate((carried.value[None], rows[:, :vitals]))
    held = believed[np.maximum(last[:, :vitals] + 1, 0), plan.judged[:vitals]]
    filled = young[:, :vitals] > measured[:, :vitals]  # young enough, and not measured
    np.copyto(rows[:, :vitals], held, where=filled)
    segment, numbers = _segments(measured[:, -1], young[:, -1], carried, plan)

    def carry(i: int) -> Carried:
        step, recent = int(time[i]) // plan.schema.step_ms, near[i + 1 : i + 3]
        return Carried(step, int(numbers[i]), recent.copy(), run[i].copy(), held[i].copy(), age[i].copy())

    grid = Grid(
        person=person,
        time=time,
        minute=((time // MINUTE + offset) % 1440).astype(np.int16),
        segment=segment,
        names=plan.names,
        values=rows,
        filled=filled,
        artefact=marks,
    )
    return carry(n - 2) if n > 1 else carried, carry(n - 1), grid


def _empty(person: str, plan: Plan) -> Grid:
    nothing = np.empty((0, len(plan.schema.vitals)))
    return Grid(
        person=person,
        time=np.empty(0, np.int64),
        minute=np.empty(0, np.int16),
        segment=np.empty(0, np.int32),
        names=plan.names,
        values=np.empty((0, len(plan.names)), np.float32),
        filled=nothing.astype(np.bool_),
        artefact=nothing.astype(np.uint8),
    )


def _segments(read: Bools, near: Bools, carried: Carried, plan: Plan) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the stretches without a long gap.

    Args:
        read: Rows with a reading, (n,).
        near: Rows with a reading at most the longest gap ago, (n,).
        carried: From the row before.
        plan: Limits.

    Returns:
        Segment of each row, -1 inside a gap, (n,), and the number that the newest segment has by then, (n,).
    """
    if carried.age[-1] <= plan.gap[-1] and np.count_nonzero(near) == len(near):  # nearly always: it goes on
        numbers = np.full(len(near), carried.segment)
        return numbers.astype(np.int32), numbers
    alone = read.copy()  # a reading after more than the longest gap opens a new segment
    alone[1:] &= ~near[:-1]
    alone[0] &= carried.age[-1] > plan.gap[-1]
    numbers = carried.segment + np.cumsum(alone)
    return np.where(near, numbers, -1).astype(np.int32), numbers


def _runs(values: Floats, before: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many comparisons up to each row found a value equal to the one before it.

    Args:
        values: (1 + n, s), the row before first.
        before: The answer for that row, (s,).
        index: 0..n-1, (n, 1).
    """
    changed = np.where(values[1:] == values[:-1], -1 - before, index)
    return index - np.maximum.accumulate(changed, axis=0)


def _marks(near: Floats, run: NDArray[np.int64], plan: Plan) -> NDArray[np.uint8]:
    """Return the artefact bits of every vital, uint8 (n, v).

    Args:
        near: Rows as summarised, two rows before them first, (2 + n, c).
        run: From `_runs`, (n, s).
        plan: Places and limits.
    """
    at, rows = plan.at, near[2:]
    marks = np.zeros((len(rows), len(plan.gap) - 1), np.uint8)
    cadence = near[1:, at["steps"]] / plan.schema.step_minutes
    quality = rows[:, at["signal_quality"]]

    jump = _unsupported_jump(near.take(plan.jumping, axis=1), plan.jump)
    if np.count_nonzero(jump):
        jump[:, 0] &= ~((cadence[1:] > QUIET_STEPS) | (rows[:, at["intensity"]] > MOVING))
        marks[:, plan.jumping] |= jump * np.uint8(ARTEFACTS["spike"])
    flat = run >= plan.flat
    if np.count_nonzero(flat):
        marks[:, plan.still] |= flat * np.uint8(ARTEFACTS["flat_line"])
    poor, dim = quality < plan.poor, quality < LOW_PERFUSION_QUALITY
    if np.count_nonzero(poor):
        marks[np.flatnonzero(poor)[:, None], plan.optical] |= np.uint8(ARTEFACTS["low_signal_quality"])
    if np.count_nonzero(dim):
        dim &= rows[:, at["oxygen_saturation"]] < plan.low_saturation
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

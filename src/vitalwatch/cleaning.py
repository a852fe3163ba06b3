"""Readings -> a regular causal grid with segments, carried-forward values and artefact marks.

A row depends only on readings of its own step and of the `lookback` rows before it; nothing is interpolated and
nothing crosses people. So a day in one call and a day in 288 calls give the same rows to the bit: `advance` keeps the
last rows and the readings of the step that is still open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
DETACHED_BELOW = 34.0  # Cel: a body this cold is rarer by far than a sensor off the skin
LOW_PERFUSION_QUALITY = 0.5
LOCK_CADENCE = 95.0  # steps/min: walking briskly enough for a wrist sensor to count steps as beats
LOCK_WITHIN = 3.0  # bpm
MOVING = 0.3  # intensity
STILL = ("heart_rate", "respiratory_rate", "body_temperature", "heart_rate_variability_rmssd")  # never constant
QUIET_STEPS = 8.0  # steps/min: below this a sudden heart-rate jump is not explained by walking


def grid_columns(schema: Schema) -> tuple[str, ...]:
    """Return the grid's columns: every vital's mean, summaries within the step, context."""
    return (*schema.vitals, *SUMMARY, *CONTEXT)


@dataclass(frozen=True)
class State:
    """What cleaning remembers of one person between calls.

    Attributes:
        open: Readings of the newest step, which may still grow.
        rows: Unmarked, unfilled grid rows, the newest step last (up to `lookback` + 1), float32 (k, c).
        step: Number of the newest step since 1970.
        segment: Number of the newest row's segment, and of the row before it.
    """

    open: Readings
    rows: Floats
    step: int
    segment: tuple[int, int]


def lookback(schema: Schema, chosen: params.Cleaning) -> int:
    """Return how many rows before its own a cleaned row may depend on: to fill from, and to judge what is filled."""
    fill = max(minutes(chosen.max_gap), minutes(chosen.max_gap_slow)) // schema.step_minutes
    return fill + max(minutes(chosen.flat_line) // schema.step_minutes, 2) + 1


def to_grid(readings: Readings, schema: Schema, chosen: params.Cleaning) -> Grid:
    """Return the grid of one person's readings.

    Args:
        readings: Sorted by time; denser than the step is summarised, sparser leaves gaps.
        schema: Columns and step.
        chosen: Limits of carrying forward and of artefact rules.
    """
    return advance(begin(readings.person, schema), readings, schema, chosen)[1]


def begin(person: str, schema: Schema) -> State:
    """Return the state of a person of whom nothing is known."""
    nothing = Readings(person, np.empty(0, np.int64), np.empty(0, np.int16), {})
    return State(nothing, np.empty((0, len(grid_columns(schema))), np.float32), -1, (0, 0))


def advance(state: State, new: Readings, schema: Schema, chosen: params.Cleaning) -> tuple[State, Grid]:
    """Return the next state and the rows that `new` adds or changes (the newest step may be told again).

    Args:
        state: From `begin` or an earlier call.
        new: Readings of the same person, sorted; none of an older step than the newest one known.
        schema: Columns and step.
        chosen: Limits of carrying forward and of artefact rules.
    """
    grown = len(new) > 0 and len(state.open) > 0 and new.time[0] // schema.step_ms == state.step
    if grown:  # the newest step is summarised again from all its readings
        state = replace(state, rows=state.rows[:-1], step=state.step - 1, segment=(state.segment[1], state.segment[1]))
        new = _join(state.open, new)
    if not len(new):
        return state, _empty(state.open.person, schema)
    step, offset, rows = summarise(new, schema)
    time, offset, rows = _regular(step, offset, rows, state, schema)
    all_rows = np.concatenate((state.rows, rows))
    segment, numbers = _segments(all_rows, len(state.rows), state.segment[0], schema, chosen)
    grid = _clean(new.person, all_rows, len(state.rows), time, offset, segment, schema, chosen)
    newest = int(step[-1])
    first_open = int(np.searchsorted(new.time, newest * schema.step_ms))
    still_open = new if first_open == 0 else new.rows(slice(first_open, None))
    following = State(still_open, all_rows[-(lookback(schema, chosen) + 1) :], newest, numbers)
    return following, grid


def summarise(readings: Readings, schema: Schema) -> tuple[Times, NDArray[np.int16], Floats]:
    """Summarise readings per grid step.

    Returns:
        Step numbers since 1970 (m,), clock offsets in minutes (m,), rows float32 (m, c) in `grid_columns` order.
    """
    step = readings.time // schema.step_ms
    starts = np.flatnonzero(np.concatenate(([True], step[1:] != step[:-1])))
    alone = len(starts) == len(step)
    out = np.full((len(starts), len(grid_columns(schema))), np.nan, np.float32)
    column = {name: out[:, i] for i, name in enumerate(grid_columns(schema))}
    for name in schema.vitals:
        if name in readings.values:
            column[name][:] = _mean(readings.values[name], starts, alone)
    _summarise_heart_rate(readings, starts, alone, column)
    _summarise_oxygen(readings, starts, alone, column)
    for name in ("intensity", "signal_quality"):
        column[name][:] = _mean(readings.column(name), starts, alone)
    intensity = readings.column("intensity")
    column["motion"][:] = intensity if alone else _reduce(np.fmax, intensity, starts)
    sleep = _mean(readings.column("sleep"), starts, alone)
    column["sleep"][:] = np.where(np.isfinite(sleep), sleep >= 0.5, np.nan)
    steps = readings.column("steps")
    column["steps"][:] = steps if alone else _sum(steps, starts)
    column["count"][:] = np.diff(np.append(starts, len(step)))
    return step[starts], readings.offset[starts], out


def _summarise_heart_rate(readings: Readings, starts: NDArray[np.intp], alone: bool, column: dict[str, Floats]) -> None:
    rate, told = readings.column("heart_rate"), readings.column("heart_rate_spread")
    if alone:
        column["heart_rate_min"][:] = column["heart_rate_max"][:] = rate
        column["heart_rate_spread"][:] = told
        return
    column["heart_rate_min"][:] = _reduce(np.fmin, rate, starts)
    column["heart_rate_max"][:] = _reduce(np.fmax, rate, starts)
    sizes = np.diff(np.append(starts, len(rate)))
    measured = np.isfinite(rate)
    mean = np.repeat(_mean(rate, starts, False), sizes)
    square = np.where(measured, (rate.astype(np.float64) - mean) ** 2, 0.0)
    count = np.add.reduceat(measured.astype(np.float64), starts)
    spread = np.sqrt(np.add.reduceat(square, starts) / np.maximum(count, 1))
    column["heart_rate_spread"][:] = np.where(count >= 3, spread, _mean(told, starts, False))


def _summarise_oxygen(readings: Readings, starts: NDArray[np.intp], alone: bool, column: dict[str, Floats]) -> None:
    lowest = np.fmin(readings.column("oxygen_saturation"), readings.column("oxygen_saturation_min"))
    column["oxygen_saturation_min"][:] = lowest if alone else _reduce(np.fmin, lowest, starts)


def _mean(values: Floats, starts: NDArray[np.intp], alone: bool) -> NDArray[np.floating]:
    if alone:
        return values
    measured = np.isfinite(values)
    count = np.add.reduceat(measured.astype(np.float64), starts)
    total = np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _sum(values: Floats, starts: NDArray[np.intp]) -> NDArray[np.floating]:
    measured = np.isfinite(values)
    total = np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts)
    return np.where(np.logical_or.reduceat(measured, starts), total, np.nan)


def _reduce(function: np.ufunc, values: Floats, starts: NDArray[np.intp]) -> Floats:
    reduced: Floats = function.reduceat(values, starts)
    return reduced


def _join(a: Readings, b: Readings) -> Readings:
    if not len(a):
        return b
    if not len(b):
        return a
    names = {**a.values, **b.values}
    values = {name: np.concatenate((a.column(name), b.column(name))) for name in names}
    return Readings(a.person, np.concatenate((a.time, b.time)), np.concatenate((a.offset, b.offset)), values)


def _regular(
    step: Times, offset: NDArray[np.int16], rows: Floats, state: State, schema: Schema
) -> tuple[Times, NDArray[np.int16], Floats]:
    """Put rows of NaN between steps, at most a day of them, and continue from the state's last row."""
    gaps = np.diff(step, prepend=state.step if len(state.rows) else step[0] - 1)
    if (gaps == 1).all():
        return step * schema.step_ms, offset, rows
    kept = np.minimum(gaps, schema.steps_per_day + 1)
    ends = np.cumsum(kept) - 1
    out = np.full((int(ends[-1]) + 1, rows.shape[1]), np.nan, np.float32)
    out[ends] = rows
    which = np.searchsorted(ends, np.arange(len(out)))  # the reading's row that ends each stretch
    time: Times = step[which] - (ends[which] - np.arange(len(out)))
    return time * schema.step_ms, offset[which], out


def _clean(
    person: str,
    rows: Floats,
    before: int,
    time: Times,
    offset: NDArray[np.int16],
    segment: NDArray[np.int32],
    schema: Schema,
    chosen: params.Cleaning,
) -> Grid:
    """Mark and fill; return the rows after the first `before`, which only help."""
    names = grid_columns(schema)
    vitals = len(schema.vitals)
    marks = _marks(rows, schema, chosen)
    clean = rows.copy()
    if marks.any():
        clean[:, :vitals][marks > 0] = np.nan
        for summary, vital in (("heart_rate_spread", "heart_rate"), ("oxygen_saturation_min", "oxygen_saturation")):
            clean[marks[:, schema.vitals.index(vital)] > 0, names.index(summary)] = np.nan
    filled = _carry_forward(clean[:, :vitals], schema, chosen)
    return Grid(
        person=person,
        time=time,
        minute=((time // MINUTE + offset) % 1440).astype(np.int16),
        segment=segment,
        names=names,
        values=clean[before:],
        filled=filled[before:],
        artefact=marks[before:],
    )


def _empty(person: str, schema: Schema) -> Grid:
    names = grid_columns(schema)
    nothing = np.empty((0, len(schema.vitals)))
    return Grid(
        person=person,
        time=np.empty(0, np.int64),
        minute=np.empty(0, np.int16),
        segment=np.empty(0, np.int32),
        names=names,
        values=np.empty((0, len(names)), np.float32),
        filled=nothing.astype(np.bool_),
        artefact=nothing.astype(np.uint8),
    )


def _gap_rows(schema: Schema, chosen: params.Cleaning) -> tuple[int, ...]:
    slow, fast = minutes(chosen.max_gap_slow), minutes(chosen.max_gap)
    return tuple((slow if vital in SLOW else fast) // schema.step_minutes for vital in schema.vitals)


def _carry_forward(values: Floats, schema: Schema, chosen: params.Cleaning) -> Bools:
    """Fill vitals in place from the last measured value while it is young enough; return where."""
    measured = np.isfinite(values)
    index = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(measured, index, -(10**6)), axis=0)
    fill = ~measured & (index - last <= np.asarray(_gap_rows(schema, chosen)))
    row, column = np.nonzero(fill)
    values[row, column] = values[last[row, column], column]
    return fill


def _segments(
    rows: Floats, before: int, number: int, schema: Schema, chosen: params.Cleaning
) -> tuple[NDArray[np.int32], tuple[int, int]]:
    """Number the stretches without a long gap.

    Returns:
        Segment of each new row (-1 inside a gap), and the numbers of the last row and of the row before it.
    """
    limit = max(minutes(chosen.max_gap) // schema.step_minutes, 1)
    read = np.isfinite(rows[:, -1])  # count, the last column, is NaN where no reading fell into the step
    index = np.arange(len(rows))
    idle = index - np.maximum.accumulate(np.where(read, index, -limit - 1))
    opens = read.copy()  # a reading after more than `limit` rows of nothing opens a new segment
    opens[1:] &= idle[:-1] > limit
    opens[: max(before, 1)] = False
    numbers = number + np.cumsum(opens[before:])
    segment = np.where(idle[before:] > limit, -1, numbers).astype(np.int32)
    return segment, (int(numbers[-1]), int(numbers[-2]) if len(numbers) > 1 else number)


def _marks(rows: Floats, schema: Schema, chosen: params.Cleaning) -> NDArray[np.uint8]:
    """Return the artefact bits of every vital of every row, uint8 (n, v)."""
    names, vitals = grid_columns(schema), schema.vitals
    at = {name: i for i, name in enumerate(names)}
    marks = np.zeros((len(rows), len(vitals)), np.uint8)
    rate, cadence = rows[:, at["heart_rate"]], rows[:, at["steps"]] / schema.step_minutes
    quality = rows[:, at["signal_quality"]]

    jump = _unsupported_jump(rows[:, [at[name] for name in SPIKE]], np.asarray(list(SPIKE.values()), np.float32))
    if jump.any():
        jump[:, 0] &= ~((cadence > QUIET_STEPS) | (rows[:, at["intensity"]] > MOVING))
        marks[:, [vitals.index(name) for name in SPIKE]] |= jump * np.uint8(ARTEFACTS["spike"])
    flat = _flat(rows[:, [at[name] for name in STILL]], max(minutes(chosen.flat_line) // schema.step_minutes, 2))
    if flat.any():
        marks[:, [vitals.index(name) for name in STILL]] |= flat * np.uint8(ARTEFACTS["flat_line"])
    poor = quality < chosen.min_signal_quality
    if poor.any():
        marks[np.flatnonzero(poor)[:, None], [vitals.index(name) for name in OPTICAL]] |= np.uint8(
            ARTEFACTS["low_signal_quality"]
        )
    locked = (np.abs(rate - cadence) < LOCK_WITHIN) & (cadence > LOCK_CADENCE)
    if locked.any():
        locked[1:] &= locked[:-1].copy()
        locked[0] = False
        marks[locked, vitals.index("heart_rate")] |= ARTEFACTS["cadence_lock"]
    cold = rows[:, at["body_temperature"]] < DETACHED_BELOW
    marks[cold, vitals.index("body_temperature")] |= ARTEFACTS["detached_sensor"]
    low = (schema.columns["oxygen_saturation"].usual or (92.0, 100.0))[0]
    dim = (quality < LOW_PERFUSION_QUALITY) & (rows[:, at["oxygen_saturation"]] < low)
    marks[dim, vitals.index("oxygen_saturation")] |= ARTEFACTS["low_perfusion"]
    return marks


def _unsupported_jump(values: Floats, limit: Floats) -> Bools:
    """True where a value is further than `limit` from both values before it (so a lasting change counts once)."""
    jump = np.zeros(values.shape, np.bool_)
    jump[1:] = np.abs(values[1:] - values[:-1]) > limit
    jump[2:] &= ~(np.abs(values[2:] - values[:-2]) <= limit)
    return jump


def _flat(values: Floats, rows: int) -> Bools:
    """True where the last `rows` values are one and the same (a living body is never that still)."""
    run = np.zeros(values.shape, np.bool_)
    run[1:] = values[1:] == values[:-1]
    width = 1
    while width < rows - 1:  # and of the last rows-1 comparisons, by doubling
        shift = min(width, rows - 1 - width)
        run[shift:] &= run[:-shift].copy()
        run[:shift] = False
        width += shift
    return run

"""Readings -> a regular causal grid with segments, carried-forward values and artefact marks.

A row depends only on readings of its own step and on what `Carried` tells of the rows before it; nothing is
interpolated and nothing crosses people. So a day in one call and a day in 288 calls give the same rows to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, nan

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.artefacts import STILL, Rules, runs, runs_of_one, strange, take_back
from vitalwatch.devices import TWO_DEVICES, Devices, alone, sort_out
from vitalwatch.records import record
from vitalwatch.schema import Schema, minutes
from vitalwatch.tables import MINUTE, Bools, Floats, Grid, Readings, Times

SUMMARY = ("heart_rate_spread", "heart_rate_min", "heart_rate_max", "heart_rate_last", "oxygen_saturation_min")
CONTEXT = ("steps", "intensity", "motion", "sleep", "signal_quality", "count")

SLOW = ("body_temperature", "blood_pressure_systolic", "blood_pressure_diastolic", "heart_rate_variability_rmssd")
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
        gap: Rows each vital is carried forward, and rows without any reading inside a segment, (v + 1,).
        judged: Places of the vitals and of `count`, which those limits are about, (v + 1,).
        gaps, judged_at: The same two as plain numbers, for one row.
        artefacts: What is no measurement.
    """

    schema: Schema
    names: tuple[str, ...]
    at: Mapping[str, int]
    copied: tuple[tuple[str, int], ...]
    gap: NDArray[np.int64]
    judged: NDArray[np.intp]
    gaps: tuple[int, ...]
    judged_at: tuple[int, ...]
    artefacts: Rules

    @staticmethod
    def of(schema: Schema, chosen: params.Cleaning) -> Plan:
        """Return the plan for limits of carrying forward and of artefact rules."""
        names, vitals, step = grid_columns(schema), schema.vitals, schema.step_minutes
        at = {name: i for i, name in enumerate(names)}
        slow, fast = minutes(chosen.max_gap_slow), minutes(chosen.max_gap)
        gaps = (*((slow if vital in SLOW else fast) // step for vital in vitals), max(fast // step, 1))
        judged = (*range(len(vitals)), at["count"])
        same = (*vitals, "heart_rate_spread", "steps", "intensity", "signal_quality")
        alone = ("heart_rate_min", "heart_rate_max", "heart_rate_last")
        same_from = (*(("heart_rate", name) for name in alone), ("intensity", "motion"))
        return Plan(
            schema=schema,
            names=names,
            at=at,
            copied=(*((name, at[name]) for name in same), *((name, at[to]) for name, to in same_from)),
            gap=np.asarray(gaps, np.int64),
            judged=np.asarray(judged, np.intp),
            gaps=gaps,
            judged_at=judged,
            artefacts=Rules.of(schema, at, chosen),
        )


@record
class Carried:
    """What a row leaves to the rows after it.

    Attributes:
        step: Its number since 1970, -1 before the first.
        segment: Number of its segment, -1 before the first.
        rows: The row before it and itself, unmarked and unfilled, (2, c).
        run: Equal comparisons in a row up to it, of `Rules.still`, (s,).
        value: Last believed value of each vital, (v,).
        age: Rows since that value, and since any reading, (v + 1,).
        devices: Column -> the device that measured it last, where readings tell one.
    """

    step: int
    segment: int
    rows: Sequence[Sequence[float]]
    run: Sequence[int]
    value: Sequence[float]
    age: Sequence[int]
    devices: Devices = field(default_factory=dict)


@record
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
        rows=((nan,) * len(grid_columns(schema)),) * 2,
        run=(0,) * len(STILL),
        value=(nan,) * vitals,
        age=(LONG_AGO,) * (vitals + 1),
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
    first = new.time.item(0) // step_ms
    if len(new) == 1 and (carried.step < 0 or first == carried.step + 1):  # one reading, the next step: nothing to sort
        time = np.array([first * step_ms])
        after, grid = _clean_one(new.person, _one(new.values, plan), time, new.offset, carried, plan)
        return State(new, _with(after, alone(carried.devices, new)), carried), grid
    if first == carried.step:  # summarised again from all its readings
        carried, new = state.before, _join(state.open, new)
    taken, earlier, last, differ = sort_out(carried.devices, new, step_ms)
    step, offset, rows = summarise(taken, plan)
    time, offset, rows = _regular(step, offset, rows, carried.step, plan)
    if len(rows) == 1:
        after, grid = _clean_one(new.person, rows, time, offset, carried, plan)
        _mark(grid, differ, plan)
        return State(new, _with(after, last), carried), grid
    before, after, grid = _clean(new.person, rows, time, offset, carried, plan)
    before, after = _with(before, earlier), _with(after, last)
    _mark(grid, differ, plan)
    first_open = int(new.time.searchsorted(after.step * step_ms))
    return State(new if first_open == 0 else new.rows(slice(first_open, None)), after, before), grid


def summarise(readings: Readings, plan: Plan) -> tuple[Times, NDArray[np.int16], Floats]:
    """Summarise readings per grid step.

    Returns:
        Step numbers since 1970 (m,), clock offsets in minutes (m,), rows float32 (m, c) in `grid_columns` order.
    """
    step = readings.time // plan.schema.step_ms
    if len(step) == 1:
        return step, readings.offset, _one(readings.values, plan)
    if (step[1:] != step[:-1]).all():
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


def _one(values: Mapping[str, Floats], plan: Plan) -> Floats:
    """Return `_alone` of one reading, (1, c)."""
    row, at = [nan] * len(plan.names), plan.at
    for name, i in plan.copied:
        if name in values:
            row[i] = values[name].item()
    asleep = values["sleep"].item() if "sleep" in values else nan
    row[at["sleep"]] = float(asleep >= ASLEEP) if asleep == asleep else nan
    lowest = values["oxygen_saturation_min"].item() if "oxygen_saturation_min" in values else nan
    mean = row[at["oxygen_saturation"]]
    row[at["oxygen_saturation_min"]] = mean if mean < lowest or isnan(lowest) else lowest
    row[at["count"]] = 1.0
    return np.array([row], np.float32)


def _lowest_saturation(readings: Readings) -> Floats:
    return np.fmin(readings.column("oxygen_saturation"), readings.column("oxygen_saturation_min"))


def _summarise_heart_rate(readings: Readings, starts: NDArray[np.intp], column: dict[str, Floats]) -> None:
    rate, told = readings.column("heart_rate"), readings.column("heart_rate_spread")
    column["heart_rate_min"][:] = np.fmin.reduceat(rate, starts)
    column["heart_rate_max"][:] = np.fmax.reduceat(rate, starts)
    sizes = np.diff(np.append(starts, len(rate)))
    measured = np.isfinite(rate)
    column["heart_rate_last"][:] = _newest(rate, measured, starts)
    mean = np.repeat(_mean(rate, starts), sizes)
    square = np.where(measured, (rate.astype(np.float64) - mean) ** 2, 0.0)
    count = np.add.reduceat(measured.astype(np.float64), starts)
    between = np.add.reduceat(square, starts) / np.maximum(count, 1)
    within = _mean(told**2, starts)  # variances add up: what readings tell of themselves, and ...
    known = np.isfinite(within)  # ... how far apart they are, which alone tells little where they are fewer than three
    spread = np.sqrt(np.where(known, within, 0.0) + between)
    column["heart_rate_spread"][:] = np.where(known | (count >= 3), spread, np.nan)


def _mean(values: Floats, starts: NDArray[np.intp]) -> NDArray[np.floating]:
    measured = np.isfinite(values)
    count = np.add.reduceat(measured.astype(np.float64), starts)
    total = np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _sum(values: Floats, starts: NDArray[np.intp]) -> NDArray[np.floating]:
    measured = np.isfinite(values)
    total = np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts)
    return np.where(np.logical_or.reduceat(measured, starts), total, np.nan)


def _newest(values: Floats, measured: Bools, starts: NDArray[np.intp]) -> Floats:
    """Return the last measured value of each step, NaN where there is none."""
    newest = np.maximum.reduceat(np.where(measured, np.arange(len(values)), -1), starts)
    return np.where(newest >= 0, values[newest], NAN)


def _join(a: Readings, b: Readings) -> Readings:
    names = {**a.values, **b.values}
    values = {name: np.concatenate((a.column(name), b.column(name))) for name in names}
    device = None
    if a.device is not None or b.device is not None:
        device = np.concatenate([np.zeros(len(x), np.int64) if x.device is None else x.device for x in (a, b)])
    return Readings(a.person, np.concatenate((a.time, b.time)), np.concatenate((a.offset, b.offset)), values, device)


def _with(carried: Carried, devices: Devices) -> Carried:
    """Return what a row carries on with who measured what last; where nobody tells a device, as it is."""
    return replace(carried, devices=devices) if devices else carried


def _mark(grid: Grid, differ: Mapping[str, list[int]], plan: Plan) -> None:
    """Mark, in place, the steps in which two devices differ."""
    for name, steps in differ.items():
        rows = np.searchsorted(grid.time, np.array(steps) * plan.schema.step_ms)
        grid.artefact[rows, plan.at[name]] |= np.uint8(TWO_DEVICES)


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
    near = np.concatenate((np.array(carried.rows, np.float32), rows))
    run = runs(near[1:].take(plan.artefacts.still, axis=1), np.array(carried.run), index)
    marks = take_back(rows, near, run, plan.artefacts)
    measured = np.isfinite(rows.take(plan.judged, axis=1))
    ages = np.array(carried.age)
    last = np.maximum.accumulate(np.where(measured, index, -1 - ages), axis=0)  # below 0: before these rows
    age = index - last
    young = age <= plan.gap
    believed = np.concatenate((np.array([carried.value], np.float32), rows[:, :vitals]))
    held = believed[np.maximum(last[:, :vitals] + 1, 0), plan.judged[:vitals]]
    filled = young[:, :vitals] > measured[:, :vitals]  # young enough, and not measured
    np.copyto(rows[:, :vitals], held, where=filled)
    segment, numbers = _segments(measured[:, -1], young[:, -1], carried, plan)

    def carry(i: int) -> Carried:
        step, recent = int(time[i]) // plan.schema.step_ms, near[i + 1 : i + 3]
        return Carried(step, int(numbers[i]), recent.tolist(), run[i].tolist(), held[i].tolist(), age[i].tolist())

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


def _clean_one(
    person: str, rows: Floats, time: Times, offset: NDArray[np.int16], carried: Carried, plan: Plan
) -> tuple[Carried, Grid]:
    """Return what `_clean` returns for one row: what it carries on, and the grid. In plain numbers, for speed."""
    rules, vitals, row = plan.artefacts, len(plan.gap) - 1, rows[0].tolist()
    recent = (carried.rows[1], row)
    run = runs_of_one(*recent, carried.run, rules)
    if strange(*recent, run, rules):
        marks = take_back(rows, np.array([*carried.rows, row], np.float32), np.array([run]), rules)
        row = rows[0].tolist()
    else:
        marks = np.zeros((1, vitals), np.uint8)
    measured = [isfinite(row[i]) for i in plan.judged_at]
    age = [0 if known else before + 1 for known, before in zip(measured, carried.age, strict=True)]
    young = [rows_ago <= limit for rows_ago, limit in zip(age, plan.gaps, strict=True)]
    held = [row[i] if measured[i] else before for i, before in enumerate(carried.value)]
    filled = [young[i] and not measured[i] for i in range(vitals)]
    for i in range(vitals):
        if filled[i]:
            rows[0, i] = held[i]
    number = carried.segment + (measured[-1] and carried.age[-1] > plan.gaps[-1])
    now = time.item()
    grid = Grid(
        person=person,
        time=time,
        minute=np.array([(now // MINUTE + offset.item()) % 1440], np.int16),
        segment=np.array([number if young[-1] else -1], np.int32),
        names=plan.names,
        values=rows,
        filled=np.array([filled]),
        artefact=marks,
    )
    return Carried(now // plan.schema.step_ms, number, recent, run, held, age), grid


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

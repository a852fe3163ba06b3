"""What one person's vitals did: the rows of their charts, from a monitor's answers or from the database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vitalwatch.alerting.alerts import MARKS, PRIORITIES
from vitalwatch.alerting.lifecycle import SUMMARY
from vitalwatch.explaining import BAND, usual_range
from vitalwatch.tables import DAY, MINUTE, Answers, local_date
from vitalwatch.ui.plain import sign

if TYPE_CHECKING:
    from vitalwatch.database.scores import Timeline

BREAK = {"heart_rate": 30, "oxygen_saturation": 30, "respiratory_rate": 30}  # minutes without a value that part a line
BREAK_SLOW = 240  # of cuff, thermometer and variability
CHANGED = {"medication": "other medication", "device": "other device"}
Numbers = list[float | None]


@dataclass(frozen=True)
class Course:
    """Grid rows of one person, oldest first, as plain lists that JSON can hold; None is not measured.

    Attributes:
        person: Pseudonym.
        time: Start of each step, UTC ms.
        local: The same on the person's clock, ms.
        vitals: Name -> value where it was measured in this step (not carried forward).
        low, high: Usual heart rate in such a moment, bpm.
        expected: Expected heart rate, bpm.
        score, p_value: Unusualness; None where not assessable.
        anomaly, assessable, own_baseline, worn: As in `Answers` and `Grid`.
        z: Vital -> own spreads away from this person's normal.
        usual: Vital other than heart rate -> lower and upper end of what the monitor calls normal for this person
            asleep, at rest or active.
        changes: When another medicine or device began a new normal (UTC ms), and which.
    """

    person: str
    time: list[int]
    local: list[int]
    vitals: dict[str, Numbers]
    low: Numbers
    high: Numbers
    expected: Numbers
    score: Numbers
    p_value: Numbers
    anomaly: list[bool]
    assessable: list[bool]
    own_baseline: list[bool]
    worn: list[bool]
    z: dict[str, Numbers]
    usual: dict[str, list[Numbers]] = field(default_factory=dict)
    changes: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def offset(self) -> int:
        """Local clock minus UTC in the newest row, minutes."""
        return (self.local[-1] - self.time[-1]) // MINUTE if self.time else 0

    def last(self, rows: int) -> Course:
        """Return the newest rows."""
        cut = slice(max(len(self) - rows, 0), None)
        told: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "usual":
                told[one.name] = {name: [end[cut] for end in ends] for name, ends in value.items()}
            elif isinstance(value, dict):
                told[one.name] = {name: column[cut] for name, column in value.items()}
            else:
                told[one.name] = value if one.name in ("person", "changes") else value[cut]
        return Course(**told)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Ahead:
    """A forecast from one moment (UTC ms): vital -> (minutes ahead, low, middle, high) of the 80 % interval."""

    time: int
    vitals: dict[str, list[tuple[int, float, float, float]]]


def of_answers(answers: Answers) -> Course:
    """Return the course of a monitor's answers."""
    grid = answers.grid
    values = {name: grid.column(name) for name in answers.vitals if name in grid.names}
    filled = {name: grid.filled[:, i] for i, name in enumerate(answers.vitals) if i < grid.filled.shape[1]}
    z = {name: answers.residual[:, i] for i, name in enumerate(answers.vitals)}
    half = BAND * answers.usual_heart_rate_spread
    normal = {name: (answers.centre[:, i], answers.spread[:, i]) for i, name in enumerate(answers.vitals)}
    return _course(
        answers.person, answers.time, grid.minute, values, filled, answers.expected_heart_rate, half, answers.score,
        answers.p_value, answers.is_anomaly, answers.assessable, answers.own_baseline, grid.worn, z, normal,
    )  # fmt: skip


def of_timeline(person: str, timeline: Timeline) -> Course:
    """Return the course of scored rows in the database."""
    z = {name.partition(":")[2]: column for name, column in timeline.values.items() if name.startswith("residual:")}
    values = {name: timeline.values[name] for name in z if name in timeline.values}
    half = BAND * timeline.values.get("usual_heart_rate_spread", np.full(len(timeline), np.nan, np.float32))
    empty = np.full(len(timeline), np.nan, np.float32)
    told = {name: timeline.values.get(name, empty) for name in ("expected_heart_rate", "score", "p_value")}
    return _course(
        person, timeline.time, timeline.minute, values, timeline.filled, told["expected_heart_rate"], half,
        told["score"], told["p_value"], timeline.anomaly, timeline.assessable, timeline.own_baseline, timeline.worn, z,
        normal_of(timeline),
    )  # fmt: skip


def normal_of(timeline: Timeline) -> dict[str, tuple[Any, Any]]:
    """Return centre and spread of the vitals that have them, on the signals' scale."""
    told = {name.partition(":")[2]: column for name, column in timeline.values.items() if name.startswith("centre:")}
    return {name: (centre, timeline.values[f"spread:{name}"]) for name, centre in told.items()}


def ahead_of(answers: Answers, row: int = -1) -> Ahead | None:
    """Return the forecast made at a row, None where none was made."""
    if not len(answers) or not answers.forecast.size:
        return None
    told: dict[str, list[tuple[int, float, float, float]]] = {}
    for v, vital in enumerate(answers.forecast_vitals):
        fan = answers.forecast[row, v]
        if np.isfinite(fan).all():
            told[vital] = [(h, *map(float, fan[i])) for i, h in enumerate(answers.horizons)]  # type: ignore[misc]
    if not told:
        return None
    return Ahead(int(answers.time[row]), told)


def chart_rows(
    course: Course,
    vital: str,
    ahead: Ahead | None = None,
    alarms: Iterable[Mapping[str, Any]] = (),
    *,
    step: int = 5,
) -> list[dict[str, Any]]:
    """Return the rows of `charts.vital`.

    Args:
        course: Of the person.
        vital: Which.
        ahead: Newest forecast.
        alarms: Open and past alerts, as plain values; drawn by `strips`, under the heart rate's curve only.
        step: Minutes in a grid step.
    """
    rows: list[dict[str, Any]] = []
    for moment, low, high in zip(course.local, *band(course, vital), strict=False):
        if low is not None and high is not None:
            rows.append(_row("usual", moment, low=low, high=high))
    shift = course.offset * MINUTE
    rows += [_row("change", at + shift, sign=CHANGED[kind]) for at, kind in course.changes]
    rows += _line(course, vital)
    if vital == "heart_rate":
        rows += [
            _row("unusual", moment, value=value)
            for moment, value, odd in zip(course.local, course.vitals[vital], course.anomaly, strict=True)
            if odd and value is not None
        ]
        rows += _alarm_rows(course, alarms, step)
    if ahead is not None and vital in ahead.vitals:
        rows += _fan(course, vital, ahead)
    return rows


def band(course: Course, vital: str) -> list[Numbers]:
    """Return lower and upper end of what is usual for this person, row by row; empty where nothing is known."""
    return [course.low, course.high] if vital == "heart_rate" else course.usual.get(vital, [[], []])


def strips(course: Course, alarms: Iterable[Mapping[str, Any]], step: int) -> list[tuple[int, int, str]]:
    """Return when there was an alarm within a course, as (start, end, highest priority) on the person's clock, apart.

    An alert that speaks for others (after a reconnect, from the oldest to the newest of them) is no alarm of its own:
    those that it speaks for are there.
    """
    if not course.time:
        return []
    shift, first, last = course.offset * MINUTE, course.local[0], course.local[-1] + step * MINUTE
    spans = [
        (max(one["start"] + shift, first), min(last if one["end"] is None else one["end"] + shift, last), one)
        for one in alarms
        if one.get("rule") != SUMMARY  # those of an upload have no rule
    ]
    found: list[tuple[int, int, str]] = []
    edges = sorted({edge for start, end, _ in spans if start < end for edge in (start, end)})
    for begin, until in pairwise(edges):
        there = [PRIORITIES.index(one["priority"]) for start, end, one in spans if start <= begin and until <= end]
        if not there:
            continue
        priority = PRIORITIES[max(there)]
        if found and found[-1][1:] == (begin, priority):
            found[-1] = found[-1][0], until, priority
        else:
            found.append((begin, until, priority))
    return found


def worn_by_day(course: Course) -> list[dict[str, Any]]:
    """Return the share of each local day in which the device was worn: day (text), share."""
    days: dict[int, list[bool]] = {}
    for moment, worn in zip(course.local, course.worn, strict=True):
        days.setdefault(moment // DAY, []).append(worn)
    step = min(np.diff(course.time), default=5 * MINUTE)
    whole = DAY / max(int(step), 1)
    return [{"day": _day_name(day), "share": round(sum(rows) / whole, 4)} for day, rows in sorted(days.items())]


def _course(person: str, time: Any, minute: Any, values: Any, filled: Any, expected: Any, half: Any, score: Any,
            p_value: Any, anomaly: Any, assessable: Any, own: Any, worn: Any, z: Any,
            normal: Mapping[str, tuple[Any, Any]]) -> Course:  # fmt: skip
    nothing = np.zeros(len(time), np.bool_)
    return Course(
        person=person,
        time=[int(moment) for moment in time],
        local=[int(moment) for moment in _local(time, minute)],
        vitals={name: _plain(np.where(filled.get(name, nothing), np.nan, column)) for name, column in values.items()},
        low=_plain(expected - half),
        high=_plain(expected + half),
        expected=_plain(expected),
        score=_plain(np.where(assessable, score, np.nan), 4),
        p_value=_plain(np.where(assessable, p_value, np.nan), 6),
        anomaly=[bool(one) for one in anomaly],
        assessable=[bool(one) for one in assessable],
        own_baseline=[bool(one) for one in own],
        worn=[bool(one) for one in worn],
        z={name: _plain(column, 2) for name, column in z.items()},
        usual={name: _ends(name, *told) for name, told in normal.items() if name != "heart_rate"},
    )


def _ends(vital: str, centre: Any, spread: Any) -> list[Numbers]:
    return [_plain(end) for end in usual_range(vital, centre, spread)]


def _local(time: Any, minute: Any) -> Any:
    minute = np.asarray(minute, np.int64)
    return local_date(np.asarray(time, np.int64), minute) * DAY + minute * MINUTE


def _plain(column: Any, digits: int = 2) -> Numbers:
    return [round(value, digits) if math.isfinite(value) else None for value in np.asarray(column, float).tolist()]


def _row(what: str, moment: int, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("end", "value", "low", "middle", "high", "priority", "sign"))
    return {"what": what, "time": moment, **empty, **more}


def _line(course: Course, vital: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    apart = BREAK.get(vital, BREAK_SLOW) * MINUTE
    for moment, value in zip(course.local, course.vitals.get(vital, ()), strict=False):
        if value is None:
            continue
        if rows and moment - rows[-1]["time"] > apart:
            rows.append(_row("measured", rows[-1]["time"] + 1))  # a row without a value parts the line
        rows.append(_row("measured", moment, value=value))
    return rows


def _alarm_rows(course: Course, alarms: Iterable[Mapping[str, Any]], step: int) -> list[dict[str, Any]]:
    return [
        _row("alarm", start, end=end, priority=priority, sign=sign(priority), mark=MARKS[priority])
        for start, end, priority in strips(course, alarms, step)
    ]


def _fan(course: Course, vital: str, ahead: Ahead) -> list[dict[str, Any]]:
    told: Sequence[tuple[int, float, float, float]] = ahead.vitals[vital]
    values = [value for value in course.vitals.get(vital, ()) if value is not None]
    local = ahead.time + course.offset * MINUTE
    now = [_row("forecast", local, low=values[-1], middle=values[-1], high=values[-1])] if values else []
    return now + [
        _row("forecast", local + minutes * MINUTE, low=low, middle=middle, high=high)
        for minutes, low, middle, high in told
    ]


def _day_name(day: int) -> str:
    from datetime import date

    one = date.fromordinal(day + date(1970, 1, 1).toordinal())
    return f"{one.day} {one:%b}"

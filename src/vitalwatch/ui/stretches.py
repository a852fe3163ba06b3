"""A long recording judged in stretches, as an API takes no more readings at once, and put together again.

Each stretch but the first begins with readings of the one before: windows of the models reach back into them, and what
is said of them again is left out. Own days count within their stretch only: else the population's normal holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from vitalwatch.schema import Schema
from vitalwatch.tables import Readings
from vitalwatch.ui.course import Course
from vitalwatch.ui.trying import Judged

MOST = 1_000  # readings in one question (docs/api.md)


def stretches(readings: Readings, schema: Schema) -> list[Readings]:
    """Return readings, one a grid step, in stretches of up to MOST, each behind a day (at most half of it) known."""
    again = min(schema.steps_per_day, MOST // 2)
    starts = range(0, max(len(readings) - again, 1), MOST - again)
    return [readings.rows(slice(start, start + MOST)) for start in starts]


def joined(parts: Sequence[Judged], step_ms: int) -> Judged:
    """Return what was said of stretches as of one recording; forecast and early warning are those of the last."""
    whole = parts[0]
    for part in parts[1:]:
        known = whole.course.time[-1] if len(whole.course) else -1
        new = [alarm for alarm in part.alarms if int(str(alarm["end"])) > known + step_ms]
        alarms = _alarms([*whole.alarms], new, known + step_ms)
        course = _behind(whole.course, part.course.last(sum(time > known for time in part.course.time)))
        whole = replace(part, course=course, alarms=tuple(alarms))
    return whole


def _alarms(told: list[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], known: int) -> list[Mapping[str, Any]]:
    """Return alarms with those of the next stretch; one that lasts from before `known` goes on."""
    for one in new:
        same = [place for place, other in enumerate(told) if _alike(other, one) and other["end"] >= one["start"]]
        if same and one["start"] < known:
            told[same[-1]] = {**told[same[-1]], "end": max(told[same[-1]]["end"], one["end"])}
        else:
            told.append(one)
    return told


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one["channel"], one["kind"]) == (other["channel"], other["kind"])


def _behind(a: Course, b: Course) -> Course:
    """Return one course behind another."""
    told: dict[str, Any] = {}
    for one in fields(Course):
        first, second = getattr(a, one.name), getattr(b, one.name)
        if one.name in ("person", "changes", "usual"):
            told[one.name] = first
        elif isinstance(first, dict):
            blank, more = [None] * len(a), [None] * len(b)
            told[one.name] = {name: first.get(name, blank) + second.get(name, more) for name in {**first, **second}}
        else:
            told[one.name] = first + second
    return Course(**told)

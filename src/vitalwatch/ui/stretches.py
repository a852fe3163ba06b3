"""A long recording judged in stretches, as an API takes no more readings at once, and put together again.

Each stretch but the first goes on with what the API remembered of those before (`memory` of /anomaly): own days count
as they do in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from vitalwatch.tables import Readings
from vitalwatch.ui.course import Course
from vitalwatch.ui.trying import Judged

MOST = 1_000  # readings in one question (docs/api.md)


def stretches(readings: Readings) -> list[Readings]:
    """Return readings, one a grid step, in stretches of up to MOST."""
    return [readings.rows(slice(start, start + MOST)) for start in range(0, max(len(readings), 1), MOST)]


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

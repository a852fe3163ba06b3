"""Conditions of the past through the life of alerts, as if somebody acknowledged each at once: what rules would cost.

The clock is that of the readings. What is counted is what would have sounded, and how often it came back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from vitalwatch.alerting.alerts import ACKNOWLEDGE, Action, Alert, Condition, Observed
from vitalwatch.alerting.judging import Judge, Memory
from vitalwatch.alerting.lifecycle import Signals, step
from vitalwatch.alerting.rules import span
from vitalwatch.monitor import State
from vitalwatch.tables import Answers

FOREVER = 2**62


@dataclass(frozen=True)
class Lived:
    """One alert of the past.

    Attributes:
        alert: As it ended.
        start, end: When it could be known, and when its condition ended (or the recording), UTC ms.
    """

    alert: Alert
    start: int
    end: int


def relive(judge: Judge, state: State, answers: Answers) -> list[Lived]:
    """Return the alerts that a judge's rules would have raised.

    Args:
        judge: Rules for this person.
        state: Of the monitor, after the answers.
        answers: All of a person's.
    """
    return recalled(judge, state, [answers])[0]


def recalled(judge: Judge, state: State, parts: Sequence[Answers]) -> tuple[list[Lived], Memory]:
    """Return the alerts that a judge's rules would have raised, and what the rules remember in the end.

    Args:
        judge: Rules for this person.
        state: Of the monitor, after the last part.
        parts: All answers of a person, in order, in as many parts as they came.
    """
    parts = [one for one in parts if len(one)]
    if not parts:
        return [], Memory()
    step_ms, last = judge.schema.step_ms, int(parts[-1].time[-1]) + judge.schema.step_ms
    sensors = {name for name, _ in judge.sensors}
    memory, said, sensed = Memory(), list[Event](), list[Condition]()
    for part in parts:
        memory, conditions, course = judge.course(memory, part)
        said = [one for one in said if one.at < part.time[0]]  # a row that is told again is judged again
        said += [Event(at, "rules", one) for at, one in course]
        sensed = [one for one in sensed if one.end is not None]  # what is present is told each time
        sensed += [one for one in conditions if one.rule in sensors]
    told = replace(parts[-1], alarms=tuple(alarm for part in parts for alarm in part.alarms))
    events = [*said, *(each for one in sensed for each in _lasting("rules", one, one.start))]
    for one in judge.of_monitor(state, told):
        wait = max(span(judge.in_force[one.rule].rule.lasts) - step_ms, 0)
        events += _lasting("monitor", one, one.start + wait)
    alerts, heard = _live(judge.rules.timing, events, last)
    lived = [
        Lived(one, heard[one.id], max(one.end if one.end is not None else last, heard[one.id] + 1))
        for one in alerts
        if one.id in heard
    ]
    return lived, memory


class Event(NamedTuple):
    """A condition as a source tells it from some moment on, UTC ms: begun, worse, or over."""

    at: int
    source: str
    condition: Condition

    @property
    def key(self) -> tuple[str, str, str]:
        """Source and key of the condition."""
        return self.source, *self.condition.key


def _lasting(source: str, condition: Condition, known: int) -> list[Event]:
    """Return when a condition that never gets worse is told: once it is known, and where it ended, then."""
    begun = Event(known, source, replace(condition, end=None))
    return [begun] if condition.end is None else [begun, Event(max(condition.end, known + 1), source, condition)]


def _live(signals: Signals, events: Sequence[Event], last: int) -> tuple[list[Alert], dict[str, int]]:
    """Return all alerts of one person, and when each first sounded; those for which another spoke never did.

    A step is made at each moment when a condition begins, gets worse or is over, when a timer runs out, and when a
    condition has waited for its cool-down; the last one at `last`.
    """
    at: dict[int, list[Event]] = {last: []}
    for event in events:
        if event.at <= last:
            at.setdefault(event.at, []).append(event)
    moments = sorted(at)
    alerts, heard = dict[str, Alert](), dict[str, int]()
    present = dict[tuple[str, str, str], Event]()
    place, now = 0, 0
    while place < len(moments):
        now = min(moments[place], _due(alerts.values(), present.keys(), now))
        over = list[Event]()
        if now == moments[place]:
            place += 1
            for event in at[now]:
                if event.condition.end is None:
                    present[event.key] = event
                else:
                    present.pop(event.key, None)
                    over.append(event)
        done = step(alerts.values(), _observed([*over, *present.values()], now), (), now, signals)
        alerts |= done.alerts
        for told in done.transitions:
            if told.sounds:
                heard.setdefault(told.alert, now)
        loud = [Action(ACKNOWLEDGE, "replay", one.id) for one in alerts.values() if one.audible]
        alerts |= step(alerts.values(), (), loud, now, signals).alerts
    return list(alerts.values()), heard


def _due(alerts: Iterable[Alert], present: Set[tuple[str, str, str]], now: int) -> int:
    """Return when time alone changes something next: a timer runs out, or the cool-down of what is present."""
    due, cool = FOREVER, dict[tuple[str, str, str], int]()
    for one in alerts:
        key = (one.source, *one.key)
        if one.open and one.until is not None:
            due = min(due, max(one.until, now))
        if key in present:
            cool[key] = FOREVER if one.open else max(cool.get(key, 0), one.changed_at + one.cool_down)
    return min([due, *(when for when in cool.values() if when > now)])


def _observed(events: Sequence[Event], now: int) -> list[Observed]:
    """Return what both sources say at a moment."""
    return [
        Observed("replay", source, now, now, tuple(one.condition for one in events if one.source == source))
        for source in ("rules", "monitor")
    ]

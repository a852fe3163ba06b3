"""Conditions of the past through the life of alerts, as if somebody acknowledged each at once: what rules would cost.

The clock is that of the readings. What is counted is what would have sounded, and how often it came back by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    waits = {name: max(span(one.rule.lasts) - step_ms, 0) for name, one in judge.in_force.items()}
    memory, seen = Memory(), list[Condition]()
    for part in parts:
        memory, conditions = judge.look(memory, part)
        seen = [one for one in seen if one.end is not None] + list(conditions)  # what is present is told each time
    told = replace(parts[-1], alarms=tuple(alarm for part in parts for alarm in part.alarms))
    found = [("rules", one) for one in seen] + [("monitor", one) for one in judge.of_monitor(state, told)]
    spans = [
        (source, one, one.start + waits[one.rule], max(one.end or last, one.start + waits[one.rule] + 1))
        for source, one in found
    ]
    alerts, heard = _live(judge.rules.timing, spans, last)
    lived = [
        Lived(one, heard[one.id], max(one.end if one.end is not None else last, heard[one.id] + 1))
        for one in alerts
        if one.id in heard
    ]
    return lived, memory


def _live(
    signals: Signals, spans: Sequence[tuple[str, Condition, int, int]], last: int
) -> tuple[list[Alert], dict[str, int]]:
    """Return all alerts of one person, and when each first sounded; those for which another spoke never did.

    A step is made at each moment when a condition begins or ends, and when a timer runs out.
    """
    moments = sorted({moment for _, _, begin, end in spans for moment in (begin, end) if moment <= last})
    alerts, heard = dict[str, Alert](), dict[str, int]()
    place, now = 0, 0
    while place < len(moments):
        due = min((one.until for one in alerts.values() if one.open and one.until is not None), default=FOREVER)
        now = min(moments[place], max(due, now))
        place += now == moments[place]
        present = [(source, one) for source, one, begin, end in spans if begin <= now < end]
        observed = [_seen(source, now, [one for of, one in present if of == source]) for source in ("rules", "monitor")]
        done = step(alerts.values(), observed, (), now, signals)
        alerts |= done.alerts
        for told in done.transitions:
            if told.sounds:
                heard.setdefault(told.alert, now)
        loud = [Action(ACKNOWLEDGE, "replay", one.id) for one in alerts.values() if one.audible]
        alerts |= step(alerts.values(), (), loud, now, signals).alerts
    return list(alerts.values()), heard


def _seen(source: str, now: int, present: Sequence[Condition]) -> Observed:
    still = tuple(Condition(**vars(one) | {"end": None}) for one in present)
    return Observed("replay", source, now, now, still)

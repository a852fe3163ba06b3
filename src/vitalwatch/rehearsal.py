"""A person's rules tried on their own stored history, before they go live: what they would have raised.

The readings are scored again by the run in production, and everything is acknowledged at once, as `alarms replay` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from vitalwatch.alerting.judging import Judge, Memory
from vitalwatch.alerting.reliving import recalled
from vitalwatch.alerting.rules import Personal, Rules
from vitalwatch.database import readings
from vitalwatch.database.people import Person
from vitalwatch.production import Served
from vitalwatch.recall import DAYS_MORE, Held, Recall
from vitalwatch.tables import DAY, Answers

DAYS = 14  # of history that are told
MOST_READINGS = 100_000  # that are scored again: three seconds at most; who sends many has fewer days


@dataclass(frozen=True)
class Rehearsal:
    """What the rules of one person would have raised.

    Attributes:
        days: Of history that were looked at.
        alarms, before: By rule: alarms with the new settings, and with those in force.
        changed: Rules that are asked otherwise than before.
        memory: What the new rules remember after the newest row.
        served, judge, held: Who said so, by which rules, and the state after that row; None without a row.
    """

    days: float
    alarms: Mapping[str, int]
    before: Mapping[str, int]
    changed: frozenset[str]
    memory: Memory
    served: Served
    judge: Judge
    held: Held | None

    def now(self, connection: Connection, recall: Recall, person: Person) -> Rehearsal:
        """Return it with what the new rules remember after rows that were scored since it was made."""
        held, memory = self.held, self.memory
        if held is None:
            return self
        for newer, answers in recall.going_on(connection, person, self.served, held, held.state.newest):
            held, memory = newer, self.judge.look(memory, answers)[0]
        return replace(self, held=held, memory=memory)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; rules that raised nothing are told where they are new or changed."""
        names = sorted({*self.alarms, *self.before, *self.changed})
        rules = [
            {"rule": name, "alarms": self.alarms.get(name, 0), "before": self.before.get(name, 0)} for name in names
        ]
        totals = {"alarms": sum(self.alarms.values()), "before": sum(self.before.values())}
        return {"days": round(self.days, 1), **totals, "rules": rules}


def rehearse(
    connection: Connection,
    recall: Recall,
    person: Person,
    served: Served,
    rules: Rules,
    wanted: Personal,
    own: Personal,
) -> Rehearsal:
    """Return what a person's rules would have raised in the newest days.

    Args:
        connection: Any.
        recall: Reads a person's readings.
        person: Whose.
        served: The run in production.
        rules: Of rules.yaml.
        wanted, own: The settings to try, and those in force.
    """
    schema = served.monitor.schema
    new, old = Judge(rules, schema, wanted), Judge(rules, schema, own)
    held, parts = _history(connection, recall, person, served)
    changed = frozenset(
        name for name in {*new.in_force, *old.in_force} if _asked(new).get(name) != _asked(old).get(name)
    )
    if held is None:
        return Rehearsal(0.0, {}, {}, changed, Memory(), served, new, None)
    end = int(parts[-1].time[-1]) + schema.step_ms
    since = max(end - DAYS * DAY, int(parts[0].time[0]))
    (lived, memory), (before, _) = (recalled(judge, held.state, parts) for judge in (new, old))
    now, was = (Counter(one.alert.rule for one in told if one.start >= since) for told in (lived, before))
    return Rehearsal((end - since) / DAY, now, was, changed, memory, served, new, held)


def _asked(judge: Judge) -> dict[str, Any]:
    return {one.name: one for one in judge.asked}


def _history(
    connection: Connection, recall: Recall, person: Person, served: Served
) -> tuple[Held | None, Sequence[Answers]]:
    """Return what is held after a person's newest days and its answers, from days before those that are told."""
    days = DAYS + served.monitor.chosen.baseline.days_back + DAYS_MORE
    since = max(person.newest - days * DAY, readings.time_of_newest(connection, person, MOST_READINGS))
    held, parts = None, []
    for newer, answers in recall.lived(connection, person, served, since):
        held = newer
        if len(answers):
            parts.append(answers)
    return (held, parts) if parts else (None, ())

"""Alerts and their transitions as rows; what they are and how they live is told by `alerting`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from vitalwatch.alerting.alerts import PHYSIOLOGICAL, TECHNICAL
from vitalwatch.alerting.rules import OWN
from vitalwatch.database.alarm_pages import within
from vitalwatch.database.connection import take
from vitalwatch.database.people import AT_ONCE, Person, Wards
from vitalwatch.database.tables import alarms, counters, raised, transitions
from vitalwatch.errors import NotAllowed

KINDS = {PHYSIOLOGICAL: "clinical", TECHNICAL: "technical"}  # of alarms, in the words of a ward
COUNTED = "alert."  # how counters of alerts began before version 0004 of the tables
OWN_RULE = "own"
Told = Mapping[str, Any]  # an alert or a transition as plain values
_CONCERNING = select(alarms.c.body).where(
    alarms.c.person.in_(bindparam("persons", expanding=True)), alarms.c.open | (alarms.c.changed >= bindparam("since"))
)


def concerning(connection: Connection, persons: Iterable[Person], changed_since: int) -> list[dict[str, Any]]:
    """Return the alerts of people that are open, or changed lately."""
    numbers = [person.no for person in persons]
    found: list[dict[str, Any]] = []
    for start in range(0, len(numbers), AT_ONCE):
        asked = {"persons": numbers[start : start + AT_ONCE], "since": changed_since}
        found.extend(json.loads(body) for body in connection.execute(_CONCERNING, asked).scalars())
    return found


def write(connection: Connection, told: Sequence[tuple[Person, Told]], steps: Sequence[tuple[Person, Told]]) -> None:
    """Write alerts that are new or changed, and the transitions that made them so."""
    if told:
        connection.execute(delete(alarms).where(alarms.c.id.in_([alert["id"] for _, alert in told])))
        connection.execute(alarms.insert(), [_row(person, alert) for person, alert in told])
    if steps:
        first = take(connection, "transition", len(steps))
        rows = [
            {"no": first + i, "alarm": one["alert"], "person": person.no, "at": one["at"], "body": json.dumps(one)}
            for i, (person, one) in enumerate(steps)
        ]
        connection.execute(transitions.insert(), rows)


def count(connection: Connection, told: Iterable[Told]) -> None:
    """Count alerts that were raised, in the transaction that did it; `counted` says how many there ever were."""
    c = raised.c
    found = Counter((alert["priority"], KINDS[alert["category"]], rule_label(alert["rule"])) for alert in told)
    for (priority, kind, rule), n in found.items():
        mine = (c.priority == priority, c.kind == kind, c.rule == rule)
        if not connection.execute(update(raised).where(*mine).values(value=c.value + n)).rowcount:
            connection.execute(raised.insert().values(priority=priority, kind=kind, rule=rule, value=n))


def counted(connection: Connection) -> dict[tuple[str, str, str], int]:
    """Return how many alerts were ever raised, by priority, kind and rule (see `rule_label`; empty: before 0004)."""
    rows = connection.execute(select(raised.c.priority, raised.c.kind, raised.c.rule, raised.c.value))
    found = {(priority, kind, rule): int(value) for priority, kind, rule, value in rows}
    c = counters.c
    for name, value in connection.execute(select(c.name, c.value).where(c.name.startswith(COUNTED, autoescape=True))):
        priority, _, kind = name.removeprefix(COUNTED).partition(".")
        found[priority, kind, ""] = int(value)
    return found


def rule_label(rule: str) -> str:
    """Return what a rule is counted under: its name, or OWN_RULE for the numbered rules of one person."""
    return OWN_RULE if OWN.fullmatch(rule) else rule[:64]


def one(connection: Connection, alarm: str) -> tuple[int, str, dict[str, Any]] | None:
    """Return the person's number, the ward and the alert, None where there is none."""
    c = alarms.c
    row = connection.execute(select(c.person, c.ward, c.body).where(c.id == alarm)).first()
    return None if row is None else (int(row.person), row.ward, json.loads(row.body))


def seen(connection: Connection, alarm: str, wards: Wards) -> tuple[int, dict[str, Any]]:
    """Return the person's number (0: nobody) and the alert; raises NotAllowed, the same for unknown and elsewhere."""
    found = one(connection, alarm)
    if found is None or (found[0] and wards is not None and found[1] not in wards):
        raise NotAllowed("This alarm")
    return found[0], found[2]


def open_ones(connection: Connection) -> list[dict[str, Any]]:
    """Return all alerts that are open."""
    return [json.loads(body) for body in connection.execute(select(alarms.c.body).where(alarms.c.open)).scalars()]


def listed(
    connection: Connection,
    wards: Wards,
    *,
    open_only: bool,
    person: int | None,
    since: int,
    most: int,
    system: bool = True,
) -> list[dict[str, Any]]:
    """Return alerts, those that changed last first.

    Args:
        connection: Any.
        wards: Of people.
        open_only: Whether those that are over are left out.
        person: Of one alone, by number; 0 is nobody: alerts about the system.
        since: Changed since, UTC ms.
        most: So many.
        system: Whether alerts about the system are told beside those of some wards.
    """
    c = alarms.c
    which = select(c.body).where(c.changed >= since, *within(wards, system=system))
    if open_only:
        which = which.where(c.open)
    if person is not None:
        which = which.where(c.person == person)
    return [json.loads(body) for body in connection.execute(which.order_by(c.changed.desc()).limit(most)).scalars()]


def history(connection: Connection, alarm: str) -> list[dict[str, Any]]:
    """Return an alert's transitions, oldest first."""
    which = select(transitions.c.body).where(transitions.c.alarm == alarm).order_by(transitions.c.no)
    return [json.loads(body) for body in connection.execute(which).scalars()]


def _row(person: Person, alert: Told) -> dict[str, Any]:
    return {
        "id": alert["id"],
        "person": person.no,
        "ward": person.ward,
        "open": alert["state"] != "resolved",
        "state": alert["state"],
        "priority": alert["priority"],
        "start": alert["start"],
        "changed": alert["changed_at"],
        "body": json.dumps(alert),
    }

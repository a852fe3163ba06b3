"""What happened, in order, for those who listen: its number is the Last-Event-ID of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from vitalwatch.database.connection import given, take
from vitalwatch.database.people import Person, Wards
from vitalwatch.database.tables import outbox

READING, SCORE, ALARM, PERSON, LATE, ORDERED = "reading", "score", "alarm", "person", "late", "ordered"
KINDS = (READING, SCORE, ALARM, PERSON, LATE, ORDERED)


@dataclass(frozen=True)
class Event:
    """One thing that happened: number, when (UTC ms), one of KINDS, and what (plain values; people by pseudonym)."""

    no: int
    at: int
    kind: str
    body: dict[str, Any]


def add(connection: Connection, at: int, told: Sequence[tuple[str, Person, Mapping[str, Any]]]) -> None:
    """Write events: kind, whose, what."""
    if not told:
        return
    first = take(connection, "event", len(told))
    rows = [
        {
            "no": first + i,
            "at": at,
            "kind": kind,
            "person": person.no,
            "ward": person.ward,
            "body": json.dumps({"person": person.pseudonym, **body}, allow_nan=False, separators=(",", ":")),
        }
        for i, (kind, person, body) in enumerate(told)
    ]
    connection.execute(outbox.insert(), rows)


def after(connection: Connection, no: int, wards: Wards, most: int) -> list[Event]:
    """Return the events of some wards, and of the system itself, with greater numbers, oldest first."""
    which = select(outbox.c.no, outbox.c.at, outbox.c.kind, outbox.c.body).where(outbox.c.no > no)
    if wards is not None:
        which = which.where(outbox.c.ward.in_(sorted(wards)) | (outbox.c.person == 0))
    rows = connection.execute(which.order_by(outbox.c.no).limit(most))
    return [Event(int(no), int(at), kind, json.loads(body)) for no, at, kind, body in rows]


def newest(connection: Connection) -> int:
    """Return the number of the newest event, 0 before the first."""
    return given(connection, "event")


def oldest(connection: Connection) -> int:
    """Return the number of the oldest event that is kept, that of the next one where there is none."""
    found = connection.execute(select(func.min(outbox.c.no))).scalar()
    return newest(connection) + 1 if found is None else int(found)

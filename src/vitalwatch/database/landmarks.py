"""States of people well before their newest row, with what rules remembered then: where late readings begin anew.

A snapshot lies too near to the newest row for a reading that came late. So some earlier ones stay: the newest that lies
before whatever may still be put in order, and the next one, which lies there soon.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from vitalwatch.alerting.judging import Memory
from vitalwatch.database.people import Person
from vitalwatch.database.snapshots import Snapshot
from vitalwatch.database.tables import landmarks


@dataclass(frozen=True)
class Landmark:
    """A snapshot, and what rules remembered after its newest row."""

    snapshot: Snapshot
    judged: Memory


def write(connection: Connection, person: Person, one: Landmark, behind_ms: int) -> None:
    """Keep a landmark, and of the earlier ones those that are still needed.

    Args:
        connection: The writer.
        person: Whose.
        one: The newest.
        behind_ms: So far behind its newest row readings may begin anew.
    """
    c, now = landmarks.c, one.snapshot
    mine = connection.execute(select(c.newest).where(c.person == person.no, c.run == now.run, c.newest < now.newest))
    there = sorted(mine.scalars())
    settled = [newest for newest in there if newest < now.newest - behind_ms]
    kept = settled[-1:] + there[len(settled) : len(settled) + 1]
    connection.execute(delete(landmarks).where(c.person == person.no, c.newest.not_in(kept)))
    judged = json.dumps(one.judged.to_json(), allow_nan=False)
    connection.execute(landmarks.insert().values(person=person.no, judged=judged, **vars(now)))


def before(connection: Connection, person: Person, run: str, end: int) -> Landmark | None:
    """Return the newest landmark of a run whose newest row lies before a grid step (its start, UTC ms)."""
    c = landmarks.c
    which = select(c.run, c.through, c.newest, c.body, c.judged)
    which = which.where(c.person == person.no, c.run == run, c.newest < end).order_by(c.newest.desc()).limit(1)
    row = connection.execute(which).first()
    if row is None:
        return None
    snapshot = Snapshot(str(row.run), int(row.through), int(row.newest), bytes(row.body))
    return Landmark(snapshot, Memory.from_json(json.loads(row.judged)))


def forget(connection: Connection, person: Person, newest: int = 0) -> None:
    """Drop what knows of a row (its start, UTC ms) or of later ones; all, where none is told."""
    connection.execute(delete(landmarks).where(landmarks.c.person == person.no, landmarks.c.newest >= newest))

"""How long things are kept, and how the space comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, select, text

from vitalwatch.database import people
from vitalwatch.database.connection import Database
from vitalwatch.database.people import Person
from vitalwatch.database.tables import alarms, landmarks, outbox, quarantine, readings, scores, snapshots, transitions

DAY_MS = 86_400_000
KINDS = ("readings", "scores", "alarms", "events", "quarantine")


def retain(database: Database, days: Mapping[str, int], now: int) -> dict[str, int]:
    """Delete what is older than so many days, and return how much by kind.

    A person at a time, so that readings go on coming in between. Open alarms stay, whatever their age.

    Args:
        database: Opened.
        days: For each of KINDS.
        now: UTC ms.
    """
    before = {kind: now - days[kind] * DAY_MS for kind in KINDS}
    gone = dict.fromkeys(KINDS, 0)
    with database.reading() as connection:
        everyone = people.everyone(connection)
    for person in everyone:
        with database.writing() as connection:
            gone["readings"] += _old_readings(connection, person, before["readings"])
            c = scores.c
            old = delete(scores).where(c.person == person.no, c.time < before["scores"])
            gone["scores"] += connection.execute(old).rowcount
    with database.writing() as connection:
        old_alarms = select(alarms.c.id).where(~alarms.c.open, alarms.c.changed < before["alarms"])
        connection.execute(delete(transitions).where(transitions.c.alarm.in_(old_alarms)))
        old = delete(alarms).where(~alarms.c.open, alarms.c.changed < before["alarms"])
        gone["alarms"] += connection.execute(old).rowcount
        gone["events"] += connection.execute(delete(outbox).where(outbox.c.at < before["events"])).rowcount
        c = quarantine.c
        gone["quarantine"] += connection.execute(delete(quarantine).where(c.received < before["quarantine"])).rowcount
    return gone


def _old_readings(connection: Connection, person: Person, before: int) -> int:
    """Delete a person's old readings; a snapshot that needs one of them goes with it, as nobody could continue it."""
    c = readings.c
    old = (c.person == person.no) & (c.time < before)
    newest = connection.execute(select(func.max(c.no)).where(old)).scalar()
    if newest is None:
        return 0
    for kept in (snapshots, landmarks):
        s = kept.c
        connection.execute(delete(kept).where(s.person == person.no, s.through < newest, s.newest < before))
    return connection.execute(delete(readings).where(old)).rowcount


def vacuum(database: Database) -> dict[str, Any]:
    """Give space back to the disk and refresh what the planner knows; return the sizes before and after, bytes."""
    before = size(database)
    with database.maintaining() as connection:
        if database.is_sqlite:
            connection.execute(text("VACUUM"))
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            connection.execute(text("PRAGMA optimize"))
        else:
            connection.execute(text("VACUUM (ANALYZE)"))
    return {"before": before, "after": size(database)}


def size(database: Database) -> int:
    """Return how many bytes the database takes on its disk."""
    if database.file is not None:
        files = (database.file, database.file.with_name(database.file.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    with database.reading() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

"""A person goes to another ward, and everything that is seen by ward goes with them."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, update

from vitalwatch.database import outbox, people
from vitalwatch.database.people import Person
from vitalwatch.database.tables import alarms, quarantine
from vitalwatch.database.tables import outbox as events

WARD = "ward"  # what an event of `outbox.PERSON` says is another


def move(connection: Connection, person: Person, ward: str, now: int) -> dict[str, str]:
    """Put a person into another ward, with alerts, events and refused readings, and tell both; return what changed.

    Args:
        connection: The writer.
        person: As they are.
        ward: Where to.
        now: The clock, UTC ms.
    """
    told = {"before": person.ward, "after": ward}
    if ward == person.ward:
        return told
    people.set_ward(connection, person, ward)
    for table in (alarms, events):
        connection.execute(update(table).where(table.c.person == person.no).values(ward=ward))
    theirs = quarantine.c.person == person.pseudonym
    connection.execute(update(quarantine).where(theirs, quarantine.c.ward == person.ward).values(ward=ward))
    gone = {"time": now, "changed": WARD}
    outbox.add(connection, now, [(outbox.PERSON, one, gone) for one in (person, replace(person, ward=ward))])
    return told

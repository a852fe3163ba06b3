"""A person goes to another ward, and everything that is seen by ward goes with them."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, select, update

from vitalwatch.database import outbox, people, tables
from vitalwatch.database.people import Person
from vitalwatch.database.tables import alarms, quarantine
from vitalwatch.database.tables import outbox as events
from vitalwatch.errors import UsageError

UNKNOWN = (
    "There is no such ward: nobody is in it, and no key is for it. `python main.py keys make --ward NAME` makes one."
)
WARD = "ward"  # what an event of `outbox.PERSON` says is another


def is_known(connection: Connection, ward: str) -> bool:
    """Return whether a ward is one: somebody is in it, or a key is for it. Nobody gets lost by a slip of the pen."""
    if connection.execute(select(tables.people.c.no).where(tables.people.c.ward == ward).limit(1)).first() is not None:
        return True
    return any(ward in told.split() for told in connection.execute(select(tables.access_keys.c.wards)).scalars())


def move(connection: Connection, person: Person, ward: str, now: int) -> dict[str, str]:
    """Put a person into another ward, with alerts, events and refused readings, and tell both; return what changed.

    Raises UsageError where there is no such ward.

    Args:
        connection: The writer.
        person: As they are.
        ward: Where to.
        now: The clock, UTC ms.
    """
    if not is_known(connection, ward):
        raise UsageError(UNKNOWN)
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

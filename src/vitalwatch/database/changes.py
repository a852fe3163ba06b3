"""What begins a new normal of a person: another medicine or device, numbered among the readings.

A change has a number of the readings' own sequence, so that whoever makes a state anew from readings knows where it
came. With it lies, encrypted, the profile that held until then: readings before it are replayed under that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from vitalwatch.database import people
from vitalwatch.database.connection import take
from vitalwatch.database.people import Person
from vitalwatch.database.tables import changes
from vitalwatch.database.vault import Secret
from vitalwatch.tables import Profile

MEDICATION, DEVICE = "medication", "device"
KINDS = (MEDICATION, DEVICE)


@dataclass(frozen=True)
class Change:
    """One change: its number, when (UTC ms), and one of KINDS."""

    no: int
    at: int
    kind: str


def add(
    connection: Connection, secret: Secret, person: Person, kind: str, profile: Mapping[str, Any], now: int
) -> Change:
    """Write a change behind everything that is stored of a person, and the fields of their profile that are new."""
    made, before = Change(take(connection, "reading"), now, kind), people.told_of(connection, secret, person)
    sealed = secret.seal_json(before, _place(made.no))
    connection.execute(changes.insert().values(no=made.no, person=person.no, at=now, kind=kind, profile=sealed))
    if profile:
        people.set_profile(connection, secret, person, {**before, **profile})
    if not person.behind:  # else it waits its turn among the readings that wait
        people.move(connection, [replace(person, scored=made.no)])
    return made


def of_person(connection: Connection, person: Person, *, after: int = 0, through: int | None = None) -> list[Change]:
    """Return a person's changes with numbers above `after`, up to `through`, oldest first."""
    c = changes.c
    which = select(c.no, c.at, c.kind).where(c.person == person.no, c.no > after)
    if through is not None:
        which = which.where(c.no <= through)
    return [Change(int(no), int(at), kind) for no, at, kind in connection.execute(which.order_by(c.no))]


def profile_after(connection: Connection, secret: Secret, person: Person, no: int) -> Profile:
    """Return the profile under which readings behind a number are judged: that of today, or until the next change."""
    c = changes.c
    which = select(c.no, c.profile).where(c.person == person.no, c.no > no).order_by(c.no).limit(1)
    later = connection.execute(which).first()
    if later is None:
        return people.profile_of(connection, secret, person)
    return people.profile_from(person, secret.open_json(bytes(later.profile), _place(int(later.no))))


def _place(no: int) -> str:
    return f"changes.profile:{no}"

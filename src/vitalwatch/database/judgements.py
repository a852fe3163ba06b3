"""What rules remember of people between readings, and who is discharged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from vitalwatch.alerting.judging import Memory
from vitalwatch.database.people import AT_ONCE, Person
from vitalwatch.database.tables import discharges, judgements, people

_LIMITS = select(people.c.no, people.c.limits).where(people.c.no.in_(bindparam("persons", expanding=True)))
_DISCHARGED = select(discharges.c.person, discharges.c.at)


def read(connection: Connection, persons: Iterable[Person]) -> dict[int, Memory]:
    """Return what is remembered, by the person's number; nothing of those never judged."""
    numbers, found = [person.no for person in persons], {}
    for start in range(0, len(numbers), AT_ONCE):
        some = judgements.c.person.in_(numbers[start : start + AT_ONCE])
        for no, body in connection.execute(select(judgements.c.person, judgements.c.body).where(some)):
            found[int(no)] = Memory.from_json(json.loads(body))
    return found


def write(connection: Connection, memories: Mapping[int, Memory]) -> None:
    """Write what is remembered, by the person's number."""
    if not memories:
        return
    connection.execute(delete(judgements).where(judgements.c.person.in_(list(memories))))
    rows = [{"person": no, "body": json.dumps(one.to_json(), allow_nan=False)} for no, one in memories.items()]
    connection.execute(judgements.insert(), rows)


def limits(connection: Connection, persons: Sequence[Person]) -> dict[int, bytes | None]:
    """Return what clinicians set, sealed, by the person's number: equal bytes are equal limits."""
    numbers, found = [person.no for person in persons], {}
    for start in range(0, len(numbers), AT_ONCE):
        rows = connection.execute(_LIMITS, {"persons": numbers[start : start + AT_ONCE]})
        found.update({int(no): None if body is None else bytes(body) for no, body in rows})
    return found


def discharge(connection: Connection, person: Person, now: int) -> None:
    """Note that nobody waits for a person's readings any more, until one comes."""
    connection.execute(delete(discharges).where(discharges.c.person == person.no))
    connection.execute(discharges.insert().values(person=person.no, at=now))


def admit(connection: Connection, persons: Sequence[Person]) -> list[Person]:
    """Wait for people's readings again, and return those who were discharged."""
    there = discharged(connection)
    back = [person for person in persons if person.no in there]
    if back:
        connection.execute(delete(discharges).where(discharges.c.person.in_([person.no for person in back])))
    return back


def discharged(connection: Connection) -> dict[int, int]:
    """Return when those who are discharged were, UTC ms, by the person's number."""
    return {int(no): int(at) for no, at in connection.execute(_DISCHARGED)}

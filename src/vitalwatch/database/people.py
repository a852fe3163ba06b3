"""People as rows: a number, a pseudonym, a ward, and how far they are stored and scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select, update

from vitalwatch.database.connection import take
from vitalwatch.database.tables import people
from vitalwatch.database.vault import Secret
from vitalwatch.tables import Profile

Wards = frozenset[str] | None  # None is all of them
UNASSIGNED = ""  # the ward of those whom nobody has put into one: seen by keys of all wards alone
AT_ONCE = 500  # values in one IN (...)


@dataclass(frozen=True)
class Person:
    """One row of `people`.

    Attributes:
        no: Number within this database.
        pseudonym: What everything downstream calls this person.
        ward: Where they are.
        created, heard: When they and their newest reading came, on our clock.
        stored, scored: Numbers of the newest reading that is stored and of the newest that is scored.
        newest: Start of the newest grid row, -1 before the first.
        run: Whose models score, empty before the first.
        profile: What is known of them, sealed: other bytes are another profile, or the same written again.
    """

    no: int
    pseudonym: str
    ward: str
    created: int
    heard: int
    stored: int
    scored: int
    newest: int
    run: str
    profile: bytes | None = None

    @property
    def behind(self) -> bool:
        """Whether readings wait to be scored."""
        return self.stored > self.scored


_COLUMNS = [people.c[name] for name in Person.__dataclass_fields__]
_NAMED = select(*_COLUMNS).where(people.c.pseudonym.in_(bindparam("names", expanding=True)))


def _person(row: Row[Any]) -> Person:
    return Person(*list(row))


def within(wards: Wards) -> list[ColumnElement[bool]]:
    """Return the condition that limits people to wards."""
    return [] if wards is None else [people.c.ward.in_(sorted(wards))]


def named(connection: Connection, pseudonyms: Iterable[str]) -> dict[str, Person]:
    """Return those that are known, by pseudonym."""
    wanted, found = list(pseudonyms), {}
    for start in range(0, len(wanted), AT_ONCE):
        rows = connection.execute(_NAMED, {"names": wanted[start : start + AT_ONCE]})
        found.update({one.pseudonym: one for one in map(_person, rows)})
    return found


def everyone(connection: Connection, wards: Wards = None) -> list[Person]:
    """Return the people of some wards, oldest first."""
    rows = connection.execute(select(*_COLUMNS).where(*within(wards)).order_by(people.c.no))
    return list(map(_person, rows))


def numbered(connection: Connection, no: int) -> Person | None:
    """Return one by number, None where erased meanwhile."""
    row = connection.execute(select(*_COLUMNS).where(people.c.no == no)).first()
    return None if row is None else _person(row)


def waiting(connection: Connection, run: str) -> list[Person]:
    """Return the people with readings to score, or whose memory is of another run."""
    due = (people.c.stored > people.c.scored) | ((people.c.run != run) & (people.c.stored > 0))
    return list(map(_person, connection.execute(select(*_COLUMNS).where(due).order_by(people.c.no))))


def add(connection: Connection, pseudonyms: Sequence[str], ward: str, now: int) -> dict[str, Person]:
    """Write new people and return them by pseudonym."""
    first = take(connection, "person", len(pseudonyms))
    new = [
        Person(first + i, name, ward, now, now, stored=0, scored=0, newest=-1, run="")
        for i, name in enumerate(pseudonyms)
    ]
    connection.execute(people.insert(), [asdict(one) for one in new])
    return {one.pseudonym: one for one in new}


_MOVED = (
    update(people)
    .where(people.c.no == bindparam("_no"))
    .values({name: bindparam(f"_{name}") for name in ("heard", "stored", "scored", "newest", "run")})
)


def move(connection: Connection, moved: Sequence[Person]) -> None:
    """Write how far people are heard, stored and scored."""
    rows = [
        {"_no": p.no, "_heard": p.heard, "_stored": p.stored, "_scored": p.scored, "_newest": p.newest, "_run": p.run}
        for p in moved
    ]
    if rows:
        connection.execute(_MOVED, rows)


def told_of(connection: Connection, secret: Secret, person: Person) -> dict[str, Any]:
    """Return what is known of a person as plain values, empty where nothing is."""
    sealed = connection.execute(select(people.c.profile).where(people.c.no == person.no)).scalar()
    told: dict[str, Any] = {} if sealed is None else secret.open_json(sealed, f"people.profile:{person.no}")
    return told


def profile_from(person: Person, told: Mapping[str, Any]) -> Profile:
    """Return plain values as a profile."""
    codes = {name: tuple(told.get(name, ())) for name in ("conditions", "medication")}
    return Profile(person.pseudonym, **{**told, **codes})


def profile_of(connection: Connection, secret: Secret, person: Person) -> Profile:
    """Return what is known of a person."""
    return profile_from(person, told_of(connection, secret, person))


def set_profile(connection: Connection, secret: Secret, person: Person, told: Mapping[str, Any]) -> None:
    """Write what is known of a person, encrypted."""
    sealed = secret.seal_json(dict(told), f"people.profile:{person.no}")
    connection.execute(update(people).where(people.c.no == person.no).values(profile=sealed))


def limits_of(connection: Connection, secret: Secret, person: Person) -> Any:
    """Return a person's own limits and rules as JSON, None where they have none."""
    sealed = connection.execute(select(people.c.limits).where(people.c.no == person.no)).scalar()
    return None if sealed is None else secret.open_json(sealed, f"people.limits:{person.no}")


def set_limits(connection: Connection, secret: Secret, person: Person, told: Any) -> None:
    """Write a person's own limits and rules."""
    sealed = secret.seal_json(told, f"people.limits:{person.no}")
    connection.execute(update(people).where(people.c.no == person.no).values(limits=sealed))


def set_ward(connection: Connection, person: Person, ward: str) -> None:
    """Move a person to another ward."""
    connection.execute(update(people).where(people.c.no == person.no).values(ward=ward))

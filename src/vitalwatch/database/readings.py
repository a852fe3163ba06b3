"""Accepted readings as rows, each once, in the order they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, func, select, update

from vitalwatch.database.connection import bulk
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import AT_ONCE, Person, Wards, within
from vitalwatch.database.tables import people, readings
from vitalwatch.devices import codes
from vitalwatch.tables import DAY, Readings

LOOKED_AT = 20  # people, of those with readings that wait
Content = tuple[int, int, int, int, bytes]  # person, time, utc_offset, layout, body: what a reading says

COLUMNS = ("no", "event", "person", "time", "utc_offset", "received", "device", "late", "layout", "body")
# Names of ours, never what was sent; the driver itself is asked: a thousand bound values cost as much as their search
_SAME = "SELECT event, person, time, utc_offset, layout, body FROM readings WHERE event"
_TOLD = [readings.c[name] for name in ("no", "time", "utc_offset", "device", "layout", "body")]


@dataclass(frozen=True)
class Stored:
    """Readings of one person from the database, in the order in which the monitor takes them.

    Attributes:
        no: Their numbers, int64 (n,).
        readings: Sorted by grid step, within a step as they came.
    """

    no: np.ndarray
    readings: Readings


@dataclass(frozen=True)
class Late:
    """Readings that came too late to be scored.

    Attributes:
        count: How many there are.
        received: When the newest of them came, on our clock, UTC ms, int64 (n,).
        readings: These, oldest first.
    """

    count: int
    received: np.ndarray
    readings: Readings


def known(connection: Connection, events: Sequence[bytes]) -> dict[bytes, Content]:
    """Return what stands there already under these events."""
    found: dict[bytes, Content] = {}
    is_sqlite = connection.dialect.name == "sqlite"
    for start in range(0, len(events), AT_ONCE):
        some = events[start : start + AT_ONCE]
        if is_sqlite:
            rows = connection.exec_driver_sql(f"{_SAME} IN ({', '.join('?' * len(some))})", tuple(some))
        else:
            rows = connection.exec_driver_sql(f"{_SAME} = ANY(%s)", (list(some),))
        for event, person, time, offset, layout, body in rows:
            found[bytes(event)] = person, time, offset, layout, bytes(body)
    return found


def insert(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write new readings, in the order of COLUMNS."""
    bulk(connection, readings, COLUMNS, rows)


def of_person(
    connection: Connection,
    layouts: Layouts,
    person: Person,
    step_ms: int,
    *,
    since: int = 0,
    until: int | None = None,
    after: int = 0,
    through: int | None = None,
    late: bool = False,
    most: int | None = None,
) -> Stored:
    """Return a person's readings as the monitor takes them.

    Args:
        connection: Any.
        layouts: What bodies hold.
        person: Whose.
        step_ms: Grid step.
        since, until: In [since, until), UTC ms.
        after, through: With numbers above `after`, up to `through`.
        late: Whether those that came too late to be scored are wanted too.
        most: The first so many by number.
    """
    which = select(*_TOLD).where(readings.c.person == person.no, readings.c.time >= since, readings.c.no > after)
    if until is not None:
        which = which.where(readings.c.time < until)
    if through is not None:
        which = which.where(readings.c.no <= through)
    if not late:
        which = which.where(readings.c.late.is_(False))
    rows = connection.execute(which.order_by(readings.c.no).limit(most)).all()
    if not rows:
        return Stored(
            np.empty(0, np.int64), Readings(person.pseudonym, np.empty(0, np.int64), np.empty(0, np.int16), {})
        )
    no, time, offset, devices, kinds, bodies = zip(*rows, strict=True)
    values = layouts.columns(connection, kinds, bodies)
    when, zone = np.asarray(time, np.int64), np.asarray(offset, np.int16)
    found = Readings(person.pseudonym, when, zone, values, codes(devices))
    order = np.argsort(found.time // step_ms, kind="stable")
    return Stored(np.asarray(no, np.int64)[order], found.rows(order))


def late(connection: Connection, layouts: Layouts, person: Person, since: int, until: int, most: int) -> Late:
    """Return a person's readings in [since, until), UTC ms, that came too late to be scored: the newest so many."""
    c = readings.c
    mine = (c.person == person.no, c.time >= since, c.time < until, c.late.is_(True))
    which = select(c.time, c.utc_offset, c.received, c.layout, c.body).where(*mine)
    rows = connection.execute(which.order_by(c.time.desc(), c.no.desc()).limit(most)).all()[::-1]
    if not rows:
        return Late(
            0, np.empty(0, np.int64), Readings(person.pseudonym, np.empty(0, np.int64), np.empty(0, np.int16), {})
        )
    time, offset, received, kinds, bodies = zip(*rows, strict=True)
    values = layouts.columns(connection, kinds, bodies)
    found = Readings(person.pseudonym, np.asarray(time, np.int64), np.asarray(offset, np.int16), values)
    count = len(rows) if len(rows) < most else connection.execute(select(func.count()).where(*mine)).scalar_one()
    return Late(int(count), np.asarray(received, np.int64), found)


def late_by_person(connection: Connection, wards: Wards) -> dict[int, int]:
    """Return by number how many readings of the day up to a person's newest row came too late; those without none."""
    c, p = readings.c, people.c
    mine = readings.join(people, (c.person == p.no) & (c.time >= p.newest - DAY) & (c.time < p.newest))
    which = select(c.person, func.count()).select_from(mine).where(c.late.is_(True), *within(wards))
    return {int(no): int(count) for no, count in connection.execute(which.group_by(c.person))}


def first_time(connection: Connection, person: Person, *, since: int, after: int, through: int) -> int | None:
    """Return the time of the earliest of a person's readings that were scored, None where there is none."""
    c = readings.c
    which = select(c.time).where(c.person == person.no, c.time >= since, c.no > after, c.no <= through)
    found = connection.execute(which.where(c.late.is_(False)).order_by(c.time).limit(1)).scalar()
    return None if found is None else int(found)


def time_of_newest(connection: Connection, person: Person, most: int) -> int:
    """Return the time (UTC ms) from which on a person has so many readings at most; 0 where all are fewer."""
    times = select(readings.c.time).where(readings.c.person == person.no).order_by(readings.c.time.desc())
    found = connection.execute(times.offset(most).limit(1)).scalar()
    return 0 if found is None else int(found) + 1


def waiting_since(connection: Connection, behind: Sequence[Person]) -> int | None:
    """Return when the oldest reading came that waits to be scored, UTC ms; None where none waits.

    Of many people only those are looked at who are scored least far: this is asked often, and while much waits.
    """
    oldest = None
    for person in sorted(behind, key=lambda one: one.scored)[:LOOKED_AT]:
        c = readings.c
        which = select(func.min(c.received)).where(c.person == person.no, c.no > person.scored)
        found = connection.execute(which).scalar()
        oldest = found if oldest is None else min(oldest, found or oldest)
    return None if oldest is None else int(oldest)


def disorder(connection: Connection, person: Person, since: int) -> int | None:
    """Return the earliest time (UTC ms), from one on, of a person's readings that came late; None for none."""
    c = readings.c
    which = select(func.min(c.time)).where(c.person == person.no, c.time >= since, c.late.is_(True))
    found = connection.execute(which).scalar()
    return None if found is None else int(found)


def newest_before(connection: Connection, person: Person) -> int:
    """Return the time (UTC ms) of a person's newest reading that came before their last load, -1 for none."""
    c = readings.c
    which = select(c.time).where(c.person == person.no, c.received < person.heard, c.late.is_(False))
    found = connection.execute(which.order_by(c.time.desc()).limit(1)).scalar()
    return -1 if found is None else int(found)


def late_through(connection: Connection, person: Person, no: int) -> int:
    """Return how many of a person's readings up to a number came too late to be scored; fewer once put in order."""
    c = readings.c
    which = select(func.count()).where(c.person == person.no, c.no <= no, c.late.is_(True))
    return int(connection.execute(which).scalar_one())


def newest_until(connection: Connection, person: Person, no: int) -> int:
    """Return the time (UTC ms) of a person's newest reading up to a number, -1 before the first."""
    c = readings.c
    which = select(func.max(c.time)).where(c.person == person.no, c.no <= no, c.late.is_(False))
    found = connection.execute(which).scalar()
    return -1 if found is None else int(found)


def mark_in_order(connection: Connection, person: Person, since: int) -> int:
    """Have a person's late readings from a time on (UTC ms) be scored with the others; return how many."""
    c = readings.c
    which = update(readings).where(c.person == person.no, c.time >= since, c.late.is_(True))
    return int(connection.execute(which.values(late=False)).rowcount)


_LATE = update(readings).where(readings.c.no == bindparam("_no")).values(late=True)


def mark_late(connection: Connection, numbers: Sequence[int]) -> None:
    """Mark readings that came too late to be scored."""
    if len(numbers):
        connection.execute(_LATE, [{"_no": int(no)} for no in numbers])

"""Alerts in pages: what is told, of how many, and where the next page begins. None is left out without a word.

Open ones come by urgency, all of them by their last change. A place is the key of the last alert that was told, so that
what is raised or ends meanwhile shifts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from vitalwatch.alerting.alerts import Alert, urgency
from vitalwatch.database.people import Wards
from vitalwatch.database.tables import alarms
from vitalwatch.errors import UsageError

Key = tuple[int, ...]


@dataclass(frozen=True)
class Page:
    """Some alerts.

    Attributes:
        alerts: As plain values.
        total: How many there are in all.
        next: Where the next page begins, empty after the last one.
    """

    alerts: list[dict[str, Any]]
    total: int
    next: str


def page(
    connection: Connection, wards: Wards, *, open_only: bool, person: int | None, most: int, after: str = ""
) -> Page:
    """Return alerts: the open ones, most urgent first, or all, those that changed last first.

    Args:
        connection: Any.
        wards: Of people; alerts about the system are told with any.
        open_only: Whether those that are over are left out.
        person: Of one alone, by number; 0 is nobody.
        most: So many.
        after: `next` of the page before, empty for the first.

    Raises:
        UsageError: `after` is no place of such pages.
    """
    which = within(wards)
    if person is not None:
        which.append(alarms.c.person == person)
    behind = None if not after else _place(after, 4 if open_only else 1)
    return (_open if open_only else _all)(connection, which, most, behind)


def within(wards: Wards, *, system: bool = True) -> list[ColumnElement[bool]]:
    """Return the condition that limits alerts to people of some wards, and those about the system."""
    if wards is None:
        return []
    ours = alarms.c.ward.in_(sorted(wards))
    return [or_(ours, alarms.c.person == 0) if system else ours]


def _open(
    connection: Connection, which: Sequence[ColumnElement[bool]], most: int, behind: tuple[Key, str] | None
) -> Page:
    bodies = connection.execute(select(alarms.c.body).where(alarms.c.open, *which)).scalars()
    keyed = sorted(((_urgency(told), told["id"]), told) for told in map(json.loads, bodies))
    rest = keyed if behind is None else [one for one in keyed if one[0] > behind]
    told = [one for _, one in rest[:most]]
    return Page(told, len(keyed), _told(*rest[most - 1][0]) if len(rest) > most else "")


def _all(
    connection: Connection, which: Sequence[ColumnElement[bool]], most: int, behind: tuple[Key, str] | None
) -> Page:
    c, later = alarms.c, list(which)
    if behind is not None:
        (changed,), name = behind
        later.append(or_(c.changed < changed, and_(c.changed == changed, c.id > name)))
    total = int(connection.execute(select(func.count()).select_from(alarms).where(*which)).scalar_one())
    asked = select(c.changed, c.id, c.body).where(*later).order_by(c.changed.desc(), c.id).limit(most + 1)
    rows = connection.execute(asked).all()
    last = rows[most - 1] if len(rows) > most else None
    return Page(
        [json.loads(row.body) for row in rows[:most]], total, "" if last is None else _told((last[0],), last[1])
    )


def _urgency(told: dict[str, Any]) -> Key:
    return tuple(map(int, urgency(Alert.from_json(told))))


def _told(key: Key, name: str) -> str:
    return ".".join(map(str, (*key, name)))


def _place(told: str, length: int) -> tuple[Key, str]:
    *numbers, name = told.split(".")
    try:
        key = tuple(map(int, numbers))
    except ValueError:
        key = ()
    if len(key) != length or any(abs(one) > 2**53 for one in key):
        raise UsageError("This is no place of such a list. Take `next` of the page before, or leave it out.")
    return key, name

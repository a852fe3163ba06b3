"""Which life of a database this is: a random word that a new one gets, and another with every restore.

Whoever remembers something of a database (layouts, states, what was told of a stream) compares it: numbers of rows may
mean something else in another life. A restore goes on behind every number that was given before, for all that.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, inspect, select, update

from vitalwatch.database import facts
from vitalwatch.database.tables import counters

NAME = "generation"
NUMBERS = ("person", "layout", "reading", "event", "notice", "transition", "refused")  # never given twice
# Not those of the audit log, which follow one another: a hole is an entry that was taken out.
_READ = f"SELECT value FROM facts WHERE name = '{NAME}'"  # by the driver itself: asked by every writer  # noqa: S608


@dataclass(frozen=True)
class Generation:
    """One life of a database.

    Attributes:
        word: Random.
        events, lost: Number of the newest event that was restored, and of the newest that ever was before: what lies
            between happened and is not there any more. Equal where nothing was restored.
    """

    word: str
    events: int = 0
    lost: int = 0

    def undid(self, event: int) -> bool:
        """Return whether the event of a number that somebody has seen was undone by a restore."""
        return self.events < event <= self.lost


def word(connection: Connection) -> str:
    """Return what stands for the life of the database, empty where it was made before there were any."""
    found = connection.exec_driver_sql(_READ).scalar()
    return "" if found is None else str(found)


def read(connection: Connection) -> Generation:
    """Return the life of the database."""
    told = facts.read(connection, NAME)
    return Generation("") if told is None else Generation(**told)


def begin(connection: Connection, before: Mapping[str, int] | None = None) -> None:
    """Begin another life.

    Args:
        connection: The writer.
        before: The newest number of each counter in the life before: none of NUMBERS is given again.
    """
    given = _given(connection)
    for name, number in (before or {}).items():
        if name not in NUMBERS or number <= given.get(name, 0):
            continue
        if name in given:
            connection.execute(update(counters).where(counters.c.name == name).values(value=number))
        else:
            connection.execute(counters.insert().values(name=name, value=number))
    events = given.get("event", 0)
    lost = max(events, (before or {}).get("event", 0))
    facts.write(connection, NAME, asdict(Generation(secrets.token_hex(8), events, lost)))


def numbers(connection: Connection) -> dict[str, int]:
    """Return the newest number of each counter, none of a database without tables."""
    return _given(connection) if inspect(connection).has_table(counters.name) else {}


def _given(connection: Connection) -> dict[str, int]:
    return {name: int(value) for name, value in connection.execute(select(counters.c.name, counters.c.value))}

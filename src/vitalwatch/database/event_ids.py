"""What stands for an event id among the readings: a keyed hash of person and id, one name among a person's.

Readings stored by earlier versions have a hash of the id alone; as long as one of them is there, it is looked for too.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from vitalwatch.database import facts
from vitalwatch.database.connection import given
from vitalwatch.database.tables import readings
from vitalwatch.database.vault import Secret

FORMER = "event ids"  # number of the newest reading whose id was hashed alone


class EventIds:
    """Event ids of one database.

    Args:
        secret: Of the database.

    Attributes:
        has_former: Whether readings are there whose ids were hashed alone; known after `look`.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self.has_former: bool | None = None

    def look(self, connection: Connection) -> bool:
        """Return `has_former`; the writer looks when first asked, and notes in a database where the new ids begin."""
        if self.has_former is None:
            newest = facts.read(connection, FORMER)
            if newest is None:
                newest = given(connection, "reading")
                facts.write(connection, FORMER, newest)
            left = select(readings.c.no).where(readings.c.no <= newest).limit(1)
            self.has_former = connection.execute(left).first() is not None
        return self.has_former

    def forget(self) -> None:
        """Look anew: the database is another."""
        self.has_former = None

    def of(self, person: str, event_id: str) -> bytes:
        """Return what stands for an id among the readings of a person (a pseudonym)."""
        return self._secret.event(b"id of", person.encode(), event_id.encode())

    def former(self, event_id: str) -> bytes:
        """Return what stood for it, whoever the person."""
        return self._secret.event(b"id", event_id.encode())

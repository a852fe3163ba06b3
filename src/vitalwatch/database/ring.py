"""The API keys of a database, as whoever stands at the door asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitalwatch.database import access
from vitalwatch.database.access import Key
from vitalwatch.database.connection import Database
from vitalwatch.database.vault import Secret


@dataclass(frozen=True)
class Ring:
    """All keys.

    Attributes:
        database, secret: Where they are kept, and under what.
        now: The time, UTC ms.
    """

    database: Database
    secret: Secret
    now: Callable[[], int]

    def find(self, token: str) -> Key | None:
        """Return the key of a token, None where it is none or its time is over."""
        with self.database.reading() as connection:
            return access.find(connection, self.secret, token, self.now())

    def claimed(self, token: str) -> str:
        """Return the id of the key that a token claims to be, empty where there is no such key."""
        with self.database.reading() as connection:
            return access.told_id(connection, token)

    def any_made(self) -> bool:
        """Return whether a key was ever made: from then on nobody is answered without one."""
        with self.database.reading() as connection:
            return access.any_made(connection)

"""The database of the settings with its key, ready to use."""

from __future__ import annotations

import time

from vitalwatch.database import vault
from vitalwatch.database.connection import Database
from vitalwatch.database.vault import Secret
from vitalwatch.settings import Settings


def utc_ms() -> int:
    """Return the time, UTC milliseconds."""
    return time.time_ns() // 1_000_000


def opened(settings: Settings) -> tuple[Database, Secret]:
    """Return the database of the settings, made at first use, and its key.

    Raises:
        DatabaseError: It cannot be reached, must be upgraded first, or was made with another key.
        StoreError: The key is missing or can be read by others.
    """
    chosen = settings.config.database
    database = Database(chosen.place(settings.artifacts), settings.root)
    try:
        is_new = database.version() is None
        secret = Secret.load(settings.path(chosen.key), create=is_new)
        database.prepare()
        with database.reading() as connection:
            known = vault.recognised(connection, secret)
        if not known:
            with database.writing() as connection:
                vault.introduce(connection, secret)
    except BaseException:
        database.close()
        raise
    return database, secret

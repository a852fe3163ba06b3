"""The database of serving, opened for a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitalwatch.commands.desk import Desk
from vitalwatch.database.audit import Book
from vitalwatch.database.connection import Database
from vitalwatch.database.vault import Secret


@dataclass(frozen=True)
class Kept:
    """An opened database and its key."""

    database: Database
    secret: Secret


@contextlib.contextmanager
def opened(desk: Desk) -> Iterator[tuple[Kept, Book]]:
    """Yield the database and its audit log; the anchor is written in the end.

    Raises:
        DatabaseError: It cannot be used; which command helps.
        StoreError: Its key is missing or open to others.
    """
    from vitalwatch.opening import opened as ready

    database, secret = ready(desk.settings)
    book = Book(database, secret, anchor_of(desk), desk.now_ms)
    try:
        yield Kept(database, secret), book
        book.move_anchor()
    finally:
        database.close()


@contextlib.contextmanager
def unchecked(desk: Desk) -> Iterator[Database]:
    """Yield the database whatever version its tables are of."""
    settings = desk.settings
    database = Database(settings.config.database.place(settings.artifacts), settings.root)
    try:
        yield database
    finally:
        database.close()


def anchor_of(desk: Desk) -> Path:
    """Return where the audit log is anchored."""
    return desk.settings.path(desk.settings.config.database.anchor)

"""`database`: versions of the tables, what is kept for how long, backups."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.kept import anchor_of, opened, unchecked
from vitalwatch.database import backup, keeping, upgrading
from vitalwatch.database.audit import Book
from vitalwatch.database.connection import Database
from vitalwatch.database.vault import Secret
from vitalwatch.errors import DatabaseError, UsageError
from vitalwatch.guarding import Post


def database(given: Namespace, desk: Desk) -> Outcome:
    """Do what was asked for.

    Raises:
        UsageError: A version or a file is missing or wrong.
        SourceError: A backup is not whole.
        DatabaseError: The database refuses, or is served while it should be restored.
    """
    actions = {
        "upgrade": _upgrade,
        "downgrade": _downgrade,
        "vacuum": _vacuum,
        "retain": _retain,
        "backup": _backup,
        "restore": _restore,
    }
    return actions[given.action](given, desk)


def _upgrade(given: Namespace, desk: Desk) -> Outcome:
    with unchecked(desk) as database:
        return _moved(desk, *upgrading.upgrade(database, given.to or "head"))


def _downgrade(given: Namespace, desk: Desk) -> Outcome:
    if not given.to:
        raise UsageError(f"`database downgrade` needs --to VERSION, one of {', '.join(upgrading.versions())} or base.")
    if not given.yes:
        raise UsageError("`database downgrade` loses what only the newer tables can hold: make a backup, add --yes.")
    with unchecked(desk) as database:
        return _moved(desk, *upgrading.downgrade(database, given.to))


def _moved(desk: Desk, before: str | None, after: str | None) -> Outcome:
    desk.screen.say(f"The tables are of version {after or 'base'} (before: {before or 'base'}).")
    return Outcome(data={"before": before, "after": after})


def _vacuum(given: Namespace, desk: Desk) -> Outcome:
    with opened(desk) as (place, _):
        told = keeping.vacuum(place.database)
    desk.screen.say(f"{told['before'] / 1e6:.1f} MB before, {told['after'] / 1e6:.1f} MB now.")
    return Outcome(data=told)


def _retain(given: Namespace, desk: Desk) -> Outcome:
    days = desk.settings.config.database.retention.model_dump()
    with opened(desk) as (place, book):
        gone = keeping.retain(place.database, days, desk.now_ms())
        book.note(desk.who, "database.retain", detail=gone)
    desk.screen.table([(kind, f"{days[kind]} d", n) for kind, n in gone.items()], ("what", "kept", "deleted"))
    return Outcome(data={"deleted": gone, "days": days})


def _backup(given: Namespace, desk: Desk) -> Outcome:
    if given.file is None:
        raise UsageError("`database backup` needs --file FILE.")
    with opened(desk) as (place, book):
        rows = backup.backup(place.database, given.file, place.secret.id, desk.now_ms())
        book.note(desk.who, "database.backup", detail={"rows": sum(rows.values())})
    desk.screen.say(f"{given.file}: {sum(rows.values())} rows. Keep the key of the database elsewhere.")
    return Outcome(data={"file": str(given.file), "rows": rows})


def _restore(given: Namespace, desk: Desk) -> Outcome:
    if given.file is None:
        raise UsageError("`database restore` needs --file FILE.")
    chosen = desk.settings.config.database
    secret = Secret.load(desk.settings.path(chosen.key), create=False)
    head = backup.head_of(given.file)
    if head["key"] != secret.id:
        raise UsageError("This backup was made with another key of the database; put that key in place first.")
    with unchecked(desk) as database, _unwatched(desk, database):
        told = backup.restore(database, given.file, replace=given.replace)
        _begin_anew(desk, Book(database, secret, anchor_of(desk), desk.now_ms), told["head"])
    desk.screen.say(f"{sum(told['rows'].values())} rows are back.")
    return Outcome(data=told)


@contextlib.contextmanager
def _unwatched(desk: Desk, database: Database) -> Iterator[None]:
    """Have the watch over a database meanwhile, as only one process can; raises DatabaseError where another has it."""
    post = Post.of(desk.settings, database)
    if not post.take():
        raise DatabaseError(database.shown, "somebody serves it", "Stop every server on it, and restore then")
    try:
        yield
    finally:
        post.leave()


def _begin_anew(desk: Desk, book: Book, head: dict[str, Any]) -> None:
    """Put the old anchor aside and say in the log which one it was: a restore cuts the log off, for all to see."""
    aside = book.set_anchor_aside(desk.now_ms())
    book.note(desk.who, "database.restore", detail={"made": head["made"], "anchor_before": aside})
    book.move_anchor()

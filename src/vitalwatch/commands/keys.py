"""`keys`: make, list, rotate and end the API keys that REST and page ask for."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.kept import opened
from vitalwatch.database import access
from vitalwatch.database.access import EVERYWHERE, Key
from vitalwatch.database.keeping import DAY_MS
from vitalwatch.errors import UsageError
from vitalwatch.timestamps import rfc3339

HOUR_MS = 3_600_000


def keys(given: Namespace, desk: Desk) -> Outcome:
    """Do what was asked for; a new key's token is printed once and kept nowhere.

    Raises:
        UsageError: No scope or no id was given, or one that is none.
        NotFound: No such key.
    """
    return {"make": _make, "list": _list, "rotate": _rotate, "revoke": _revoke}[given.action](given, desk)


def _make(given: Namespace, desk: Desk) -> Outcome:
    if not given.scope or not given.ward:
        raise UsageError("`keys make` needs --scope (ingest, read, ack, admin) and --ward (a name, or '*' for all).")
    now = desk.now_ms()
    ends = None if given.days is None else now + given.days * DAY_MS
    with opened(desk) as (place, book), place.database.writing() as connection:
        wards = access.wards_of(given.ward)
        key, token = access.make(connection, place.secret, given.name, given.scope, wards, now, ends)
        book.write(connection, desk.who, "key.make", key.id, {"scopes": sorted(key.scopes)})
    return _shown(desk, key, token)


def _list(given: Namespace, desk: Desk) -> Outcome:
    with opened(desk) as (place, _), place.database.reading() as connection:
        found = [_line(key, desk.now_ms()) for key in access.listed(connection)]
    if found:
        head = ("id", "name", "scopes", "wards", "created", "ends", "valid")
        desk.screen.table([[one[name] for name in head] for one in found], head)
    else:
        desk.screen.say("There is no key yet. `python main.py keys make --scope read --ward '*'` makes one.")
    return Outcome(data={"keys": found})


def _rotate(given: Namespace, desk: Desk) -> Outcome:
    now = desk.now_ms()
    with opened(desk) as (place, book), place.database.writing() as connection:
        overlap = given.overlap * HOUR_MS
        key, token = access.rotate(connection, place.secret, _id(given), now, overlap)
        book.write(connection, desk.who, "key.rotate", given.id, {"new": key.id, "overlap_hours": given.overlap})
    desk.screen.say(f"The old key {given.id} works for another {given.overlap} hours.")
    return _shown(desk, key, token)


def _revoke(given: Namespace, desk: Desk) -> Outcome:
    with opened(desk) as (place, book), place.database.writing() as connection:
        key = access.end(connection, _id(given), desk.now_ms())
        book.write(connection, desk.who, "key.revoke", key.id)
    desk.screen.say(f"Key {key.id} is revoked.")
    return Outcome(data={"revoked": key.id})


def _id(given: Namespace) -> str:
    if not given.id:
        raise UsageError(f"`keys {given.action}` needs the id of a key. `python main.py keys list` shows them.")
    return str(given.id)


def _shown(desk: Desk, key: Key, token: str) -> Outcome:
    desk.screen.say(f"Key {key.id} ({', '.join(sorted(key.scopes))}). It is shown once, keep it now:")
    desk.screen.say(token)
    return Outcome(data={**_line(key, desk.now_ms()), "token": token})


def _line(key: Key, now: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "wards": EVERYWHERE if key.wards is None else " ".join(sorted(key.wards)),
        "created": rfc3339(key.created),
        "ends": "never" if key.ends is None else rfc3339(key.ends),
        "valid": "yes" if key.ends is None or now < key.ends else "no",
    }

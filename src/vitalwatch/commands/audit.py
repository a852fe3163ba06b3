"""`audit`: who did what, and whether the log is whole."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from typing import Any

from sqlalchemy import Connection

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.kept import anchor_of, opened, unchecked
from vitalwatch.database import accounts
from vitalwatch.database import audit as log
from vitalwatch.database.vault import VARIABLE, Secret
from vitalwatch.errors import DONE, FAILED, DatabaseError
from vitalwatch.timestamps import rfc3339

SHOWN = 50  # newest entries


def audit(given: Namespace, desk: Desk) -> Outcome:
    """Verify the chain and its anchor (exit code 1 when something is wrong), or list the newest entries."""
    return _verify(desk) if given.action == "verify" else _list(desk)


def _verify(desk: Desk) -> Outcome:
    with opened(desk) as (_, book):
        verdict = book.verify()
    for problem in verdict.problems:
        desk.screen.warn(problem)
    notes = _notes(desk)
    for note in notes:
        desk.screen.warn(note)
    if not verdict.problems:
        desk.screen.say(f"The audit log is whole: {verdict.entries} entries, anchored up to entry {verdict.anchored}.")
    data: dict[str, Any] = {
        "entries": verdict.entries,
        "anchored": verdict.anchored,
        "problems": list(verdict.problems),
    }
    data["notes"] = notes
    return Outcome(FAILED if verdict.problems else DONE, data)


def _notes(desk: Desk) -> list[str]:
    """Return what makes the anchor weaker than it could be: whoever reaches the log or its key reaches it too."""
    anchor, chosen = anchor_of(desk), desk.settings.config.database
    place = anchor.resolve().parent
    found = []
    if not os.environ.get(VARIABLE) and place == desk.settings.path(chosen.key).resolve().parent:
        found.append(f"The anchor lies in one folder with the key of the database ({desk.shown(anchor.parent)}).")
    with unchecked(desk) as database:
        if database.file is not None and place.is_relative_to(database.file.resolve().parent):
            found.append(f"The anchor lies in the folder of the database ({desk.shown(database.file.parent)}).")
    if found:
        found[-1] += " Who can write there can take back both: set config.database.anchor to another place."
    return found


def _list(desk: Desk) -> Outcome:
    with opened(desk) as (kept, book):
        newest = book.newest()
        found = book.entries(after=max(newest - SHOWN, 0), most=SHOWN)
        with kept.database.reading() as connection:
            names = accounts.names_of(connection, kept.secret, {one.actor for one in found})
            details = [_detail(connection, kept.secret, one) for one in found]
    rows = [
        (
            one.no,
            rfc3339(one.at),
            one.actor,
            names.get(one.actor, ""),
            one.action,
            one.object,
            detail,
        )
        for one, detail in zip(found, details, strict=True)
    ]
    head = ("no", "at", "actor", "name", "action", "object", "detail")
    desk.screen.table(rows, head)
    return Outcome(data={"entries": [dict(zip(head, row, strict=True)) for row in rows]})


def _detail(connection: Connection, secret: Secret, entry: log.Entry) -> str:
    try:
        return json.dumps(log.opened(connection, secret, entry), sort_keys=True)
    except DatabaseError as error:  # tampered with: `verify` says more, and the others are to be read
        return str(error)

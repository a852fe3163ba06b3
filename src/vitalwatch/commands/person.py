"""`person`: everything about one person handed out, gone for good, or put into another ward."""

from __future__ import annotations

import json
import re
from argparse import Namespace

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.kept import Kept, opened
from vitalwatch.database import erasure, moving, people
from vitalwatch.database.access import WARD, WARD_RULE
from vitalwatch.database.people import Person
from vitalwatch.errors import NotFound, UsageError
from vitalwatch.store import write_atomic


def person(given: Namespace, desk: Desk) -> Outcome:
    """Export, erase or move a person, by identifier or pseudonym.

    Raises:
        NotFound: Nobody of that name is there.
        UsageError: No file to export to, no ward to move to, or erasing was not confirmed.
    """
    return {"export": _export, "erase": _erase, "move": _move}[given.action](given, desk)


def _export(given: Namespace, desk: Desk) -> Outcome:
    if given.out is None:
        raise UsageError("`person export` needs --out FILE; the file will name the person.")
    with opened(desk) as (place, book):
        with place.database.reading() as connection:
            found = _named(place, given.id)
            told = erasure.export(connection, place.secret, found, desk.settings.schema)
        write_atomic(given.out, json.dumps(told, indent=1).encode(), mode=0o600)
        book.note(desk.who, "person.export", found.pseudonym)
    counts = {name: len(value) for name, value in told.items() if isinstance(value, list)}
    desk.screen.say(f"{given.out}: {', '.join(f'{n} {name}' for name, n in counts.items())}.")
    return Outcome(data={"file": str(given.out), "rows": counts})


def _erase(given: Namespace, desk: Desk) -> Outcome:
    if not given.yes:
        raise UsageError("`person erase` deletes for good; add --yes.")
    with opened(desk) as (place, book):
        found = _named(place, given.id)
        with place.database.writing() as connection:
            gone = erasure.erase(connection, found)
            book.write(connection, desk.who, "person.erase", found.pseudonym, gone)
        erasure.forget_pages(place.database)
    desk.screen.say(f"Erased: {', '.join(f'{n} {name}' for name, n in gone.items() if n)}.")
    desk.screen.say("Backups made before still hold this person until they are deleted.")
    return Outcome(data={"erased": gone})


def _move(given: Namespace, desk: Desk) -> Outcome:
    if given.ward is None or not re.fullmatch(WARD, given.ward):
        raise UsageError(f"`person move` needs --ward NAME. {WARD_RULE}.")
    with opened(desk) as (place, book):
        found = _named(place, given.id)
        with place.database.writing() as connection:
            told = moving.move(connection, found, given.ward, desk.now_ms())
            book.write(connection, desk.who, "person.move", found.pseudonym, told)
    desk.screen.say(f"Moved from {told['before'] or 'no ward'} to {told['after']}, with alarms and events.")
    return Outcome(data=told)


def _named(place: Kept, name: str) -> Person:
    pseudonym = place.secret.pseudonym(name)
    with place.database.reading() as connection:
        found = people.named(connection, [pseudonym]).get(pseudonym)
    if found is None:
        raise NotFound("This person", "Write the identifier as devices send it, or the pseudonym as pages show it.")
    return found

"""Who did what, in a chain that shows tampering: every entry is sealed together with the seal of the one before.

The seal is HMAC-SHA-256 under a key that the database does not hold: who can write to the table cannot write an entry.
A deleted, changed, reordered or inserted entry breaks the chain. A cut-off tail does not, so the newest seal is also
written to an anchor outside of the database (a file; keep it where the database's writer cannot reach): a line a day,
and the newest. Entries hold pseudonyms and ids, never an identity or a measured value; what
was set for somebody is encrypted under a key of theirs, which goes when they are erased: the chain stays whole.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from vitalwatch.database import own_keys
from vitalwatch.database.connection import Database, take
from vitalwatch.database.tables import audit
from vitalwatch.database.vault import Secret
from vitalwatch.errors import StoreError
from vitalwatch.store import write_atomic, writing

NOTHING = b"\0" * 32  # before the first entry
DAY_MS = 86_400_000
ERASED: Any = {"erased": True}
log = logging.getLogger(__name__)
ANCHOR_EVERY = 1.0  # seconds between two writings of the anchor; `close` writes the last one


@dataclass(frozen=True)
class Entry:
    """One thing that somebody did: number, when (UTC ms), who, what, to what or whom, and more as JSON."""

    no: int
    at: int
    actor: str
    action: str
    object: str
    detail: str
    before: bytes
    seal: bytes


@dataclass(frozen=True)
class Verdict:
    """What checking the chain found.

    Attributes:
        entries: How many there are.
        anchored: Number of the newest entry that the anchor knows.
        problems: What is wrong, one sentence each, with numbers of entries; empty when all is well.
    """

    entries: int
    anchored: int
    problems: tuple[str, ...]


class Book:
    """The audit log of one database."""

    def __init__(self, database: Database, secret: Secret, anchor: Path, now: Callable[[], int]) -> None:
        self.database, self.anchor, self.now = database, anchor, now
        self._key = secret.audit
        self._turn = threading.Lock()
        self._anchored, self._next = 0, 0.0

    def write(
        self, connection: Connection, actor: str, action: str, object: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write an entry in the transaction of what it tells about.

        Args:
            connection: The writer.
            actor: Id of a key, or account of a command.
            action: Like `alarm.acknowledge`.
            object: Pseudonym, alarm or key that it was done to.
            detail: More, plain values; never what was measured or who somebody is.
        """
        last = connection.execute(select(audit.c.seal).order_by(audit.c.no.desc()).limit(1)).scalar()
        before = NOTHING if last is None else bytes(last)
        told = json.dumps(detail or {}, sort_keys=True, separators=(",", ":"))
        entry = Entry(take(connection, "audit"), self.now(), actor, action, object, told, before, b"")
        connection.execute(audit.insert().values({**vars(entry), "seal": self._seal(entry)}))

    def note(self, actor: str, action: str, object: str = "", detail: Mapping[str, Any] | None = None) -> None:
        """Write an entry alone (something was read), and move the anchor now and then."""
        with self.database.writing() as connection:
            self.write(connection, actor, action, object, detail)
        self.follow()

    def follow(self) -> None:
        """Move the anchor if it was not moved a moment ago; raises StoreError."""
        if time.monotonic() >= self._next:
            self.move_anchor()

    def move_anchor(self) -> None:
        """Write the newest seal to the anchor; where the log is not the one that it knows, the anchor stays as it is.

        Raises:
            StoreError: The anchor was changed or cannot be written.
        """
        with self._turn:
            self._next = time.monotonic() + ANCHOR_EVERY
            lines = {line["day"]: line for line in self._lines()}  # before the log is read, which only grows
            known = {int(line["no"]): line["seal"] for line in lines.values()}
            with self.database.reading() as connection:
                head = connection.execute(select(audit).order_by(audit.c.no.desc()).limit(1)).first()
                there = connection.execute(select(audit.c.no, audit.c.seal).where(audit.c.no.in_(known))).all()
            if known != {int(no): bytes(seal).hex() for no, seal in there}:
                log.error("the audit log is not the one that its anchor knows: see `python main.py audit verify`")
                return
            if head is None or int(head.no) <= self._anchored:
                return
            day = int(head.at) // DAY_MS
            lines[day] = {"day": day, "no": int(head.no), "seal": bytes(head.seal).hex()}
            lines[day]["mac"] = self._mac(lines[day])
            text = "".join(json.dumps(lines[day]) + "\n" for day in sorted(lines))
            write_atomic(self.anchor, text.encode(), mode=0o600)
            self._anchored = int(head.no)

    def set_anchor_aside(self, now: int) -> dict[str, Any] | None:
        """Rename the anchor after a restore, and return its newest line, None where there is no anchor."""
        try:
            newest = max(self._lines(), key=lambda line: int(line["no"]), default=None)
        except StoreError:
            newest = {"problem": "it was changed"}
        if newest is not None:
            with writing(self.anchor):
                self.anchor.rename(self.anchor.with_name(f"{self.anchor.name}.{now}"))
        return newest

    def forget(self) -> None:
        """Know nothing of the log any more: it was restored, and the anchor may be behind what was written last."""
        with self._turn:
            self._anchored = 0

    def newest(self) -> int:
        """Return the number of the newest entry, 0 before the first."""
        with self.database.reading() as connection:
            return int(connection.execute(select(func.max(audit.c.no))).scalar() or 0)

    def close(self) -> None:
        """Write the anchor for the last time."""
        self.move_anchor()

    def entries(self, after: int = 0, most: int = 1000) -> list[Entry]:
        """Return entries, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(select(audit).where(audit.c.no > after).order_by(audit.c.no).limit(most)).all()
        return [_entry(row) for row in rows]

    def verify(self) -> Verdict:
        """Walk the whole chain and compare it with the anchor."""
        problems: list[str] = []
        seals: dict[int, str] = {}
        before, expected = NOTHING, 1
        with self.database.reading() as connection:
            for row in connection.execute(select(audit).order_by(audit.c.no)).yield_per(1000):
                entry = _entry(row)
                if entry.no != expected:
                    problems.append(f"Entries {expected} to {entry.no - 1} are missing.")
                if not hmac.compare_digest(entry.seal, self._seal(entry)):
                    problems.append(f"Entry {entry.no} is not what was written.")
                elif not hmac.compare_digest(entry.before, before):
                    problems.append(f"Entry {entry.no} does not follow the one before it.")
                before, expected = entry.seal, entry.no + 1
                seals[entry.no] = entry.seal.hex()
        anchored, more = self._against_anchor(seals)
        return Verdict(len(seals), anchored, (*problems, *more))

    def _against_anchor(self, seals: Mapping[int, str]) -> tuple[int, list[str]]:
        try:
            lines = self._lines()
        except StoreError as error:
            return 0, [str(error)]
        problems = []
        for line in lines:
            told = seals.get(line["no"])
            if told is None:
                problems.append(
                    f"Entry {line['no']} stands in the anchor and is gone: the log was cut off or replaced."
                )
            elif told != line["seal"]:
                problems.append(f"Entry {line['no']} is not the one that the anchor knows: the log was rewritten.")
        if seals and not lines:
            problems.append(
                f"There is no anchor in {self.anchor}: nobody can tell whether the newest entries are gone."
            )
        return max((line["no"] for line in lines), default=0), problems

    def _lines(self) -> list[dict[str, Any]]:
        """Return the anchor's lines; raises StoreError where somebody changed it."""
        try:
            lines = [json.loads(line) for line in self.anchor.read_text(encoding="utf-8").splitlines()]
            whole = all(hmac.compare_digest(line.pop("mac"), self._mac(line)) for line in lines)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise StoreError(self.anchor, "the anchor of the audit log was changed", "Compare it with a backup of it")
        return [{**line, "mac": self._mac(line)} for line in lines]

    def _seal(self, entry: Entry) -> bytes:
        told = [entry.no, entry.at, entry.actor, entry.action, entry.object, entry.detail, entry.before.hex()]
        return hmac.digest(self._key, json.dumps(told).encode(), hashlib.sha256)

    def _mac(self, line: Mapping[str, Any]) -> str:
        told = json.dumps(["anchor", line["day"], line["no"], line["seal"]]).encode()
        return hmac.digest(self._key, told, hashlib.sha256).hex()


def sealed(connection: Connection, secret: Secret, person: str, told: Any) -> dict[str, str]:
    """Return a detail that opens as long as a person (a pseudonym) is not erased: what was set for them, for one."""
    own = own_keys.made(connection, secret, person)
    content = base64.b64encode(own.seal_json(told, f"audit.detail:{person}")).decode()
    return {"sealed": content, "key": own.id}


def opened(connection: Connection, secret: Secret, entry: Entry) -> Any:
    """Return the detail of an entry, opened where it is sealed, ERASED where its person is not there any more.

    Raises:
        DatabaseError: It was moved.
    """
    told = json.loads(entry.detail)
    if "sealed" not in told:
        return told
    own = secret  # of entries from before people had keys of their own
    if "key" in told:
        theirs = own_keys.read(connection, secret, entry.object)
        if theirs is None or theirs.id != told["key"]:
            return ERASED
        own = theirs
    return own.open_json(base64.b64decode(told["sealed"]), f"audit.detail:{entry.object}")


def _entry(row: Any) -> Entry:
    plain = {**row._mapping, "before": bytes(row.before), "seal": bytes(row.seal)}
    return Entry(**plain)

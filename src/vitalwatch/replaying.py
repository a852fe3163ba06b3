"""Refused readings of serving through today's rules again: all of them, a page and its transactions at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection

from vitalwatch.database import quarantine
from vitalwatch.database.audit import Book
from vitalwatch.database.connection import Database
from vitalwatch.database.people import Wards
from vitalwatch.database.quarantine import Refused, Which
from vitalwatch.database.vault import Secret
from vitalwatch.deliveries import Judged, Sender, again
from vitalwatch.intake import Intake
from vitalwatch.production import Served
from vitalwatch.recall import Held
from vitalwatch.schema import Schema

PAGE = 1_000  # readings looked at together: those that are sent meanwhile wait for one page at most
Writing = Callable[[], AbstractContextManager[tuple[Connection, Callable[[dict[int, Held]], None]]]]


@dataclass(frozen=True)
class Span:
    """Which refused readings: behind one number and up to another, None for the newest of now.

    What a replay refuses again gets a number behind it, and is not looked at twice.
    """

    after: int = 0
    until: int | None = None


EVERYTHING = Span()


@dataclass(frozen=True)
class Replayed:
    """What became of them: `read`, `accepted`, `duplicate`, and how many stay by reason; `rest` waits, None is none."""

    counts: dict[str, int]
    rest: Span | None


@dataclass(frozen=True)
class Replaying:
    """What a replay works with.

    Attributes:
        database, secret, intake, audit: Of the engine.
        schema, ahead_ms: What a reading is, and how far ahead of now it may be.
        writing: Yields the writer, and what takes states to put at hand once everything is committed.
        serving: Who scores somebody.
    """

    database: Database
    secret: Secret
    intake: Intake
    audit: Book
    schema: Schema
    ahead_ms: int
    writing: Writing
    serving: Callable[[str], Served | None]

    def run(self, actor: str, wards: Wards, now: int, span: Span, seconds: float) -> Replayed:
        """Run what is refused through today's rules again, oldest first, until it is done or the time is over."""
        counts = Counter({"read": 0, "accepted": 0, "duplicate": 0})
        began, until = time.monotonic(), self._newest(wards) if span.until is None else span.until
        after = span.after
        while after < until:
            with self.database.reading() as connection:
                page = quarantine.listed(connection, wards, Which(after=after, most=PAGE))
            after = page[-1].no if page else until
            counts.update(self._again([one for one in page if one.no <= until], actor, wards, now))
            if after < until and time.monotonic() - began >= seconds:
                return Replayed(dict(counts), Span(after, until))
        return Replayed(dict(counts), None)

    def _newest(self, wards: Wards) -> int:
        with self.database.reading() as connection:
            return max((one.no for one in quarantine.listed(connection, wards, Which(most=1, newest=True))), default=0)

    def _again(self, page: Sequence[Refused], actor: str, wards: Wards, now: int) -> Counter[str]:
        with self.database.reading() as connection:
            opened = quarantine.opened(connection, self.secret, [one.no for one in page])
        page = [one for one in page if one.no in opened]  # gone meanwhile: erased, or too old
        counts, good = again(page, opened, actor, wards, self.schema, now, self.ahead_ms)
        counts.update(read=len(page))
        for (source, ward), those in good.items():
            sender = Sender(source, actor, frozenset({ward}) if ward else wards)
            with self.writing() as (connection, keep):
                there = quarantine.wards_of(connection, [no for no, _ in those])
                counts["read"] -= len(those)
                those = [one for one in those if there.get(one[0]) == ward]  # else erased, moved or taken meanwhile
                counts["read"] += len(those)
                delivery = Judged([one for _, one in those], sender)
                (receipt,), held = self.intake.take(connection, [delivery], now, self.serving)
                quarantine.remove(connection, [no for no, _ in those])
                self.audit.write(connection, actor, "quarantine.replay", source)
                keep(held)
            counts.update(accepted=receipt.accepted, duplicate=len(receipt.duplicates))
            counts.update(one.reason for one in receipt.rejected)
        return counts

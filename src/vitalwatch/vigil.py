"""The watch over a database, seen from one process: whether it has it, and lets time pass for alarms while it does.

Of all processes on a database one has the watch; the others stand by and take it when that one is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any

from sqlalchemy import Connection

from vitalwatch.alarming import Alarming
from vitalwatch.alerting import system
from vitalwatch.alerting.pulse import Pulse
from vitalwatch.alerting.rules import Rules, span
from vitalwatch.alerting.watchdog import Seen
from vitalwatch.database import judgements, notices, people, quarantine
from vitalwatch.database.connection import Database, given
from vitalwatch.database.readings import waiting_since
from vitalwatch.guarding import Guarding, Post, names_of, seen_elsewhere
from vitalwatch.production import Production
from vitalwatch.settings import Settings

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two signs of life
Writer = Callable[[], AbstractContextManager[tuple[Any, Any]]]


class Vigil:
    """The watch of one engine.

    Args:
        settings, database, rules, alarming, production: Of the engine.
        writer: Its transactions.
        turn: Held by whoever scores: who is stuck there gives no sign of life.
        now: Its clock, UTC ms.

    Attributes:
        guarding: The watchdog and the couriers, while we have the watch.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        rules: Rules,
        alarming: Alarming,
        production: Production,
        *,
        writer: Writer,
        turn: RLock,
        now: Callable[[], int],
    ) -> None:
        self.guarding: Guarding | None = None
        self._settings, self._database, self._rules, self._alarming = settings, database, rules, alarming
        self._production, self._writer, self._turn, self._now = production, writer, turn, now
        self._post = Post.of(settings, database)
        self._beats, self._next = 0, 0.0
        self._refused: dict[str, tuple[int, str]] = {}
        self._looked_at = 0  # newest refused reading by number
        self._seen: Seen | None = None

    def stand(self) -> bool:
        """Take the watch, unless another process has it; let go of it where one took it meanwhile.

        Returns:
            Whether it was taken now: what another process had under way may have been left undone.

        Raises:
            DatabaseError: The database cannot be reached. Who had the watch goes on: the watchdog tells of the silence.
        """
        mine = self._post.take()
        if self.guarding is not None and not mine:
            log.warning("another process has the watch over the database now: it lets time pass for alarms")
            self.guarding.stop()
            self.guarding = None
        if self.guarding is None and mine:
            with self._writer() as (connection, _):
                notices.drop_others(connection, names_of(self._settings))
            self.guarding = Guarding(self._settings, self._rules, notices.Outgoing(self._database))
            self.guarding.start()
            return True
        return False

    def leave(self) -> None:
        """Let another have it."""
        if self.guarding is not None:
            self.guarding.stop()
        self._post.leave()

    def wear(self) -> Mapping[str, str]:
        """Return worn, silent or not_worn of people, by pseudonym, as the watchdog saw last; empty without one."""
        seen = seen_elsewhere(self._settings) if self.guarding is None else self._seen
        return {} if seen is None else seen.wear

    def failing(self) -> Mapping[str, float]:
        """Return the seconds for which receivers fail, by name; empty where another has the watch."""
        return {} if self.guarding is None else self.guarding.failing()

    def undelivered(self) -> Mapping[str, float]:
        """Return the receivers who fail for too long, by name, with seconds; empty where another has the watch."""
        return {} if self.guarding is None else self.guarding.undelivered()

    def due(self) -> bool:
        """Return whether it is time for a tick: once a second, and only for who has the watch."""
        if self.guarding is None or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + EVERY
        return True

    def tick(self) -> None:
        """Give a sign of life and let time pass for alarms."""
        with self._turn:  # a scorer that is stuck in a transaction gives none
            self._beats += 1
        now, unsure = self._now(), frozenset[str]()
        with self._database.reading() as connection:
            everyone, gone = people.everyone(connection), judgements.discharged(connection)
            wearing = self._alarming.wearing(connection, everyone)
            oldest = waiting_since(connection, [one for one in everyone if one.behind])
            refused = self._lately_refused(connection, now)
        here = {one.pseudonym: one.stored for one in everyone if one.no not in gone}
        heard = {one.pseudonym: one.heard for one in everyone if one.no not in gone}
        behind = 0.0 if oldest is None else (now - oldest) / 1000
        if self.guarding is not None:
            pulse = Pulse(self._beats, behind if self._production.ready else 0.0, here, wearing, heard, refused)
            self._seen, unsure = self.guarding.beat(pulse), self.guarding.unsure()
        found = system.Found(self._production.fallback, self.undelivered(), unsure)
        with self._database.reading() as connection:
            observed = self._alarming.due(connection, now, self._seen, found)
        if observed is not None:
            with self._writer() as (connection, _):
                self._alarming.tick(connection, observed, now, self._seen)

    def _lately_refused(self, connection: Connection, now: int) -> dict[str, str]:
        """Return the code of the newest refused reading of people of whom one came within the time of a silence."""
        since, newest = now - span(self._rules.wearing.silence), given(connection, "refused")
        if newest > self._looked_at:
            self._refused |= quarantine.newest_of_people(connection, self._looked_at, since)
        self._looked_at = newest
        self._refused = {person: one for person, one in self._refused.items() if one[0] >= since}
        return {person: reason for person, (_, reason) in self._refused.items()}

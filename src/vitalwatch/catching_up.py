"""Readings that wait, scored: stored before there was a model, or of people whose memory is of another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from vitalwatch.database import people, readings
from vitalwatch.database.connection import Database
from vitalwatch.database.people import Person
from vitalwatch.intake import Intake
from vitalwatch.production import Served
from vitalwatch.recall import Recall
from vitalwatch.replaying import Writing

MOST = 5_000  # waiting readings scored in one transaction
LEFT_MS = 30_000  # who has the watch scores what waits within a second: after this it cannot, and any process does


@dataclass(frozen=True)
class CatchingUp:
    """What it takes.

    Attributes:
        database, recall, intake: Of the engine.
        writing: Yields the writer, and what takes states to put at hand once everything is committed.
        now: The clock, UTC ms.
        look_after: Is called after each transaction: alarms wait for nobody.
    """

    database: Database
    recall: Recall
    intake: Intake
    writing: Writing
    now: Callable[[], int]
    look_after: Callable[[], None]

    def run(self, served: Served | None, *, has_watch: bool = True) -> int:
        """Score what waits, of one person after the other, and return in how many transactions.

        People whose memory is of another run are moved to the one in production, from their readings. Who has the watch
        does so: processes where different runs are in production would move them to and fro for ever. Others move only
        those whose readings are left waiting.
        """
        if served is None:
            return 0
        with self.database.reading() as connection:
            waiting = people.waiting(connection, served.run)
            if not has_watch:
                waiting = [one for one in waiting if self._is_ours(connection, one, served)]
        return sum(self._one(person, served) for person in waiting)

    def _is_ours(self, connection: Connection, person: Person, served: Served) -> bool:
        """Return whether a person's readings wait for us, though another process has the watch."""
        if not person.behind or person.run in ("", served.run):
            return person.behind
        since = readings.waiting_since(connection, [person])
        return since is not None and self.now() - since > LEFT_MS

    def _one(self, person: Person, served: Served) -> int:
        moved, late = None, 0
        if person.scored and person.run != served.run:  # outside of the writer's turn: it may take a second
            with self.database.reading() as connection:
                late = readings.late_through(connection, person, person.scored)
                moved = self.recall.remade(connection, person, served)
        done, behind = 0, True
        while behind:
            with self.writing() as (connection, keep):
                now = people.numbered(connection, person.no)
                if now is None:  # erased meanwhile
                    return done
                if moved is not None and late != readings.late_through(connection, now, person.scored):
                    return done  # another process put some in order meanwhile, which this state lacks: the next time
                if moved is not None:
                    moved = self.recall.replayed(connection, now, served, moved, moved.state.newest)
                    moved = self.recall.write(connection, now, moved)
                    now = replace(now, run=served.run, newest=moved.state.newest)
                    people.move(connection, [now])
                    keep({now.no: moved})
                    moved = None
                elif now.behind:
                    keep(self.intake.catch_up(connection, now, served, self.now(), MOST))
                    done += 1
                behind = (people.numbered(connection, person.no) or now).behind
            self.look_after()
        return done

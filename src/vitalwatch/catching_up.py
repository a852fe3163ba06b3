"""Readings that wait, scored: stored before there was a model, or before production moved to another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vitalwatch.database import people
from vitalwatch.database.connection import Database
from vitalwatch.database.people import Person
from vitalwatch.intake import Intake
from vitalwatch.production import Served
from vitalwatch.recall import Recall
from vitalwatch.replaying import Writing

CATCH_UP = 5_000  # waiting readings scored in one transaction


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

    def everybody(self, served: Served | None) -> int:
        """Score what waits, with the run that answers, and return in how many transactions; nothing without one.

        People whose memory is of another run are moved to this one, from their readings.
        """
        if served is None:
            return 0
        with self.database.reading() as connection:
            waiting = people.waiting(connection, served.run)
        return sum(self._one(person, served) for person in waiting)

    def _one(self, person: Person, served: Served) -> int:
        moved = None
        if person.scored and person.run != served.run:  # outside of the writer's turn: it may take a second
            with self.database.reading() as connection:
                moved = self.recall.remade(connection, person, served)
        done, behind = 0, True
        while behind:
            with self.writing() as (connection, keep):
                now = people.numbered(connection, person.no)
                if now is None:  # erased meanwhile
                    return done
                if moved is not None:
                    moved = self.recall.replayed(connection, now, served, moved, moved.state.newest)
                    moved = self.recall.write(connection, now, moved)
                    now = replace(now, run=served.run, newest=moved.state.newest)
                    people.move(connection, [now])
                    keep({now.no: moved})
                    moved = None
                elif now.behind:
                    keep(self.intake.catch_up(connection, now, served, self.now(), CATCH_UP))
                    done += 1
                behind = (people.numbered(connection, person.no) or now).behind
            self.look_after()
        return done

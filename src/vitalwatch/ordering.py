"""Readings that came late within a bound, put in order: the monitor's state is rewound to before them and goes on anew.

A late reading is kept and told as late when it comes, so that nobody waits for this. Then its person's rows are scored
again from its step on, in one transaction with the mark that it is late no more: after any crash it is done or due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from vitalwatch.alarming import Alarming
from vitalwatch.database import changes, judgements, landmarks, outbox, people, readings, scores, snapshots
from vitalwatch.database.connection import Database
from vitalwatch.database.people import Person
from vitalwatch.errors import DatabaseError
from vitalwatch.intake import Intake
from vitalwatch.production import Served
from vitalwatch.recall import Recall
from vitalwatch.replaying import Writing
from vitalwatch.store import failpoint


@dataclass(frozen=True)
class Ordering:
    """What it takes.

    Attributes:
        database, recall, intake, alarming: Of the engine.
        writing: Yields the writer, and what takes states to put at hand once everything is committed.
        now: The clock, UTC ms.
        look_after: Is called after each person and each day of readings: a state may take seconds to make anew, and
            alarms wait for nobody.
    """

    database: Database
    recall: Recall
    intake: Intake
    alarming: Alarming
    writing: Writing
    now: Callable[[], int]
    look_after: Callable[[], None]

    def everybody(self) -> None:
        """Look at all people: what a process must do that starts anew, or takes the watch from one that died.

        What came late with a person's last load was behind the row that was the newest before it, as when it came.
        """
        with self.database.reading() as connection:
            for one in people.everyone(connection):
                before = scores.newest_until(connection, one, readings.newest_before(connection, one))
                newest = before if before >= 0 else one.newest
                first = readings.disorder(connection, one, newest - self.intake.within_ms)
                if first is not None:
                    self.intake.due(one.no, first)

    def run(self, served: Served | None) -> int:
        """Put late readings in order, of one person after the other, and return how many readings there were.

        Raises:
            DatabaseError: Those of somebody could not be, and are due as before; the others' are in order.
        """
        if served is None:
            return 0
        done, failed = 0, None
        for no in sorted(self.intake.disorder):
            first = self.intake.disorder.pop(no, None)  # before anything is read: what comes meanwhile is due again
            if first is None:  # of a database that is another now
                continue
            try:
                done += self._one(no, first, served)
            except DatabaseError as error:  # busy or full, for a while
                self.intake.due(no, first)
                failed = error
            self.look_after()
        if failed is not None:
            raise failed
        return done

    def _one(self, no: int, first: int, served: Served) -> int:
        with self.database.reading() as connection:
            person = people.numbered(connection, no)
            if person is None:
                return 0
            if person.behind or person.run not in ("", served.run):
                self.intake.due(no, first)
                return 0
            since = self._since(connection, person, first, served)
            if since is None:
                return 0
            basis = _basis(connection, person)
            before = self.recall.before(connection, person, served, since, self.look_after)
        with self.writing() as (connection, keep):
            person = people.numbered(connection, no)
            if person is None:  # erased meanwhile
                return 0
            same = basis == _basis(connection, person) and not person.behind
            if not same or self._since(connection, person, first, served) != since:
                self.intake.due(no, first)
                return 0
            failpoint("order-begun")
            count, now = readings.mark_in_order(connection, person, since), self.now()
            failpoint("order-marked")
            snapshots.forget(connection, person, since)
            landmarks.forget(connection, person, since)
            failpoint("order-snapshots-forgotten")
            judged = self.alarming.remembered(connection, person, served.run, before.judged, before.parts)
            held = replace(before.held, judged=judged)
            keep({no: self.intake.put_in_order(connection, person, held, since, served, now)})
            outbox.add(connection, now, [(outbox.ORDERED, person, {"first": since, "readings": count})])
            failpoint("order-told")
        failpoint("order-committed")
        return count

    def _since(self, connection: Connection, person: Person, floor: int, served: Served) -> int | None:
        """Return the start of the step of a person's earliest late reading from a time on, None where none is.

        What is behind another medication or device stays late: what was normal before it counts no more.
        """
        step_ms = served.monitor.schema.step_ms
        begun = changes.of_person(connection, person)
        if begun:
            floor = max(floor, (readings.newest_until(connection, person, begun[-1].no) // step_ms + 1) * step_ms)
        first = readings.disorder(connection, person, floor)
        return None if first is None else first // step_ms * step_ms


def _basis(connection: Connection, person: Person) -> tuple[str, bytes | None, bytes | None]:
    """Return what a state and what rules remember are made under: run, profile and own rules, sealed."""
    return person.run, person.profile, judgements.limits(connection, [person]).get(person.no)

"""The monitor's states of people: at hand, else from a snapshot and the readings after it, else from the readings.

The readings are the truth; a state can always be made anew from them, equal to the bit, because the monitor answers
equally for one reading and for a month. So a snapshot is only kept when replaying would take long.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection

from vitalwatch import memory
from vitalwatch.alerting.judging import Memory
from vitalwatch.database import changes, landmarks, readings, snapshots
from vitalwatch.database.landmarks import Landmark
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import Person
from vitalwatch.database.snapshots import Snapshot
from vitalwatch.database.vault import Secret
from vitalwatch.monitor import State
from vitalwatch.production import Served
from vitalwatch.tables import DAY, Answers, Readings

ROWS_BETWEEN = 576  # grid rows until the next snapshot: replaying them takes about 20 ms
READINGS_BETWEEN = 20_000
DAYS_MORE = 2  # beside those of the baseline: today's, and one that began before the first


@dataclass(frozen=True)
class Held:
    """A state, whose it is and how far it goes.

    Attributes:
        run: Whose models made it.
        through: Number of the newest reading in it.
        state: Of the monitor.
        rows, count: Grid rows and readings since the last snapshot.
        judged: What rules remember, None where only the database knows.
        profile: What was known of the person, sealed: another process may have written another.
    """

    run: str
    through: int
    state: State
    rows: int = 0
    count: int = 0
    judged: Memory | None = None
    profile: bytes | None = None

    @property
    def due(self) -> bool:
        """Whether a snapshot should be kept."""
        return self.rows >= ROWS_BETWEEN or self.count >= READINGS_BETWEEN

    def advanced(self, served: Served, new: Readings, through: int) -> tuple[Held, Answers]:
        """Return what is held after new readings, and the answers."""
        state, answers = served.monitor.advance(self.state, new, forecast=False, follow=True)
        return replace(
            self,
            run=served.run,
            through=through,
            state=state,
            rows=self.rows + len(answers),
            count=self.count + len(new),
        ), answers


class Before(NamedTuple):
    """What is known of a person before a grid step.

    Attributes:
        held: The state.
        judged: What rules remembered where this begins.
        parts: What is said of the rows from there on.
    """

    held: Held
    judged: Memory
    parts: list[Answers]


class Recall:
    """States of the people heard of last.

    Args:
        layouts, secret: Of the database.
        most: States at hand; one takes about 0.2 MB.
        behind_ms: So far behind a person's newest row readings may begin anew.
    """

    def __init__(self, layouts: Layouts, secret: Secret, most: int, behind_ms: int) -> None:
        self._layouts, self._secret, self._most, self._behind_ms = layouts, secret, most, behind_ms
        self._held: OrderedDict[int, Held] = OrderedDict()
        self._turn = threading.Lock()

    def of(self, connection: Connection, person: Person, served: Served) -> Held:
        """Return the state of a person after the newest reading that is scored."""
        with self._turn:
            held = self._held.get(person.no)
        if held is not None and (held.run, held.through, held.profile) == (served.run, person.scored, person.profile):
            return held
        return self.remade(connection, person, served)

    def remade(self, connection: Connection, person: Person, served: Served) -> Held:
        """Return it from the database alone."""
        return self.replayed(connection, person, served, *self._start(connection, person, served))

    def replayed(self, connection: Connection, person: Person, served: Served, held: Held, since: int) -> Held:
        """Return a state after what is scored and not in it: readings (none before `since`, UTC ms) and changes."""
        for one in changes.of_person(connection, person, after=held.through, through=person.scored):
            held = self._read(connection, person, served, held, since, one.no)
            held, since = self.changed(connection, person, served, held, one.no), max(since, held.state.newest)
        return self._read(connection, person, served, held, since, person.scored)

    def lived(
        self, connection: Connection, person: Person, served: Served, since: int
    ) -> Iterator[tuple[Held, Answers]]:
        """Yield what is held and said of a person's scored readings from a time on (UTC ms), from nothing known."""
        profile = changes.profile_after(connection, self._secret, person, 0)
        held = Held(served.run, 0, served.monitor.begin(person.pseudonym, profile))
        return self.going_on(connection, person, served, held, since)

    def going_on(
        self, connection: Connection, person: Person, served: Served, held: Held, since: int
    ) -> Iterator[tuple[Held, Answers]]:
        """Yield what is held and said of a person's scored readings (none before `since`, UTC ms) after a state."""
        for one in changes.of_person(connection, person, after=held.through, through=person.scored):
            for newer, answers in self._stretches(connection, person, served, held, since, one.no):
                held = newer
                yield held, answers
            held, since = self.changed(connection, person, served, held, one.no), max(since, held.state.newest)
        yield from self._stretches(connection, person, served, held, since, person.scored)

    def before(
        self,
        connection: Connection,
        person: Person,
        served: Served,
        end: int,
        each: Callable[[], None],
    ) -> Before:
        """Return what is known before a grid step (its start, UTC ms), from a landmark or from the readings.

        The step is behind every change of medication or device. `each` is called after each day of readings.
        """
        begun = self._landmark(connection, person, served, end)
        held, since, parts = begun.held, max(begun.held.state.newest, self.first(end, served)), list[Answers]()
        for one in changes.of_person(connection, person, after=held.through, through=person.scored):
            for newer, answers in self._stretches(connection, person, served, held, since, one.no):
                held = newer
                parts.append(answers)
                each()
            held, since = self.changed(connection, person, served, held, one.no), max(since, held.state.newest)
        for newer, answers in self._stretches(connection, person, served, held, since, person.scored, end):
            held = newer
            parts.append(answers)
            each()
        return Before(held, begun.judged, parts)

    def _landmark(self, connection: Connection, person: Person, served: Served, end: int) -> Before:
        """Return the nearest landmark before a grid step; where there is none, nobody known yet."""
        kept = landmarks.before(connection, person, served.run, end)
        if kept is not None and (held := self._unpacked(connection, person, served, kept.snapshot)) is not None:
            return Before(held, kept.judged, [])
        profile = changes.profile_after(connection, self._secret, person, 0)
        begun = Held(served.run, 0, served.monitor.begin(person.pseudonym, profile), profile=person.profile)
        return Before(begun, Memory(), [])

    def course(self, connection: Connection, person: Person, served: Served, since: int) -> tuple[State, Answers]:
        """Return the state before a time (UTC ms), and what is said of a person's scored readings from then on.

        Where a medication or device was another since then, both begin with that: what was before counts no more.
        """
        profile = changes.profile_after(connection, self._secret, person, 0)
        held, first = Held(served.run, 0, served.monitor.begin(person.pseudonym, profile)), self.first(since, served)
        others = changes.of_person(connection, person, after=0, through=person.scored)
        if others:
            held = self.replayed(connection, replace(person, scored=others[-1].no), served, held, first)
            first = max(first, held.state.newest)
        step_ms, after = served.monitor.schema.step_ms, held.through
        since = max(since // step_ms * step_ms, first)
        for one, _ in self._stretches(connection, person, served, held, first, person.scored, since):
            held = one
        rest = readings.of_person(
            connection, self._layouts, person, step_ms, since=since, after=after, through=person.scored
        )
        return held.state, served.monitor.advance(held.state, rest.readings, forecast=False, follow=True)[1]

    def changed(self, connection: Connection, person: Person, served: Served, held: Held, no: int) -> Held:
        """Return a state after the change of this number: what was normal before counts no more."""
        profile = changes.profile_after(connection, self._secret, person, no)
        return replace(held, through=no, state=served.monitor.changed(held.state, profile))

    def _read(
        self, connection: Connection, person: Person, served: Served, held: Held, since: int, through: int
    ) -> Held:
        for one, _ in self._stretches(connection, person, served, held, since, through):
            held = one
        return replace(held, through=through)

    def _stretches(
        self,
        connection: Connection,
        person: Person,
        served: Served,
        held: Held,
        since: int,
        through: int,
        end: int | None = None,
    ) -> Iterator[tuple[Held, Answers]]:
        """Yield what is held after each day with readings (before `end`, if told), and the answers of that day."""
        step_ms, after = served.monitor.schema.step_ms, held.through
        while True:
            first = readings.first_time(connection, person, since=since, after=after, through=through)
            if first is None or (end is not None and first >= end):
                return
            since = first // step_ms * step_ms + DAY  # the next stretch, of whole grid steps
            since = since if end is None else min(since, end)
            some = readings.of_person(
                connection, self._layouts, person, step_ms,
                since=first, until=since, after=after, through=through,
            )  # fmt: skip
            held, answers = held.advanced(served, some.readings, through)
            yield held, answers

    def keep(self, held: dict[int, Held]) -> None:
        """Put states at hand, after the transaction that made them was committed."""
        with self._turn:
            self._held.update(held)
            for no in held:
                self._held.move_to_end(no)
            while len(self._held) > self._most:
                self._held.popitem(last=False)

    def forget(self, *numbers: int) -> None:
        """Let go of people's states."""
        with self._turn:
            for no in numbers:
                self._held.pop(no, None)

    def forget_everybody(self) -> None:
        """Let go of all states: the database is another."""
        with self._turn:
            self._held.clear()

    def write(self, connection: Connection, person: Person, held: Held) -> Held:
        """Keep a snapshot in the database, and as a landmark where it is known what rules remember."""
        snapshot = Snapshot(held.run, held.through, held.state.newest, memory.pack(held.state))
        snapshots.write(connection, person, snapshot)
        if held.judged is not None:
            landmarks.write(connection, person, Landmark(snapshot, held.judged), self._behind_ms)
        return replace(held, rows=0, count=0)

    def _start(self, connection: Connection, person: Person, served: Served) -> tuple[Held, int]:
        """Return a state to go on from, and the time from which later readings are."""
        kept = snapshots.read(connection, person, served.run)
        if kept is not None and kept.through <= person.scored:
            held = self._unpacked(connection, person, served, kept)
            if held is not None:
                return held, kept.newest
        profile = changes.profile_after(connection, self._secret, person, 0)
        begun = Held(served.run, 0, served.monitor.begin(person.pseudonym, profile), profile=person.profile)
        return begun, self.first(person.newest, served)

    def _unpacked(self, connection: Connection, person: Person, served: Served, kept: Snapshot) -> Held | None:
        """Return what a snapshot holds; None where it is of an older version: the readings say it again."""
        try:
            state = memory.unpack(kept.body)
        except memory.ForgottenState:
            return None
        profile = changes.profile_after(connection, self._secret, person, kept.through)
        state = replace(state, person=served.monitor.person_row(profile))
        return Held(served.run, kept.through, state, profile=person.profile)

    @staticmethod
    def first(time: int, served: Served) -> int:
        """Return the time (UTC ms) from which readings matter for what is usual at a later one."""
        return max(time - (served.monitor.chosen.baseline.days_back + DAYS_MORE) * DAY, 0)

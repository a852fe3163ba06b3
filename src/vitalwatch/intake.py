"""Readings in, in one transaction: each once, durable, scored, alarmed for and told; what is refused is kept.

Called by `engine`, under the one writer of the database. Nothing here is remembered before the commit.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection

from vitalwatch.alerting.judging import Memory
from vitalwatch.database import changes, outbox, people, quarantine, readings, scores, vault
from vitalwatch.database.connection import take
from vitalwatch.database.event_ids import EventIds
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import Person
from vitalwatch.database.vault import DEVICE, PERSON, Secret
from vitalwatch.deliveries import CONFLICT, ELSEWHERE, REASONS, Batch, Judged, Receipt, Sent, Told
from vitalwatch.devices import codes
from vitalwatch.production import Served
from vitalwatch.reading import Reading, Rejected
from vitalwatch.recall import Held, Recall
from vitalwatch.store import failpoint
from vitalwatch.tables import Answers, Readings


class New(NamedTuple):
    """One reading to be written."""

    person: Person
    event: bytes
    reading: Reading
    layout: int
    body: bytes
    device: str
    batch: Batch
    sent: Sent

    @property
    def content(self) -> readings.Content:
        """What it says, to tell a repetition from a conflict."""
        return self.person.no, self.reading.time, self.reading.offset, self.layout, self.body


@dataclass(frozen=True)
class Scored:
    """What the monitor said of one person's new readings.

    Attributes:
        before: Start of the newest row that was there.
        again: Whether rows are told again from an earlier one on, as late readings are put in order.
    """

    person: Person
    before: int
    held: Held
    answers: Answers
    again: bool = False


Alarming = Callable[[Connection, Sequence[Scored], int], Mapping[int, Memory]]


def nobody_asks(seconds: float) -> None:
    """Take how long models needed, where nobody wants to know."""


class Intake:
    """Takes readings in.

    Args:
        secret: Of the database.
        layouts, recall: What this process knows of the database.
        within_ms: How far behind a person's newest row a late reading may be to be put in order.
        alarming: Makes alarms of scores, in the same transaction; returns what rules remember, by the person's number.

    Attributes:
        took: Is told the seconds that models needed for what came of one person.
        late: Readings of the transaction under way that came too late to be scored; who begins one says so by `begin`.
        disorder: By the person's number, the earliest time (UTC ms) of readings that are to be put in order: they came
            late, by `within_ms` at most, and are committed. Whoever does so takes them out.
    """

    def __init__(self, secret: Secret, layouts: Layouts, recall: Recall, alarming: Alarming, within_ms: int) -> None:
        self._secret, self._layouts, self._recall, self._alarming = secret, layouts, recall, alarming
        self._pseudonyms: dict[str, str] = {}
        self._ids = EventIds(secret)
        self.took: Callable[[float], None] = nobody_asks
        self.late, self.within_ms = 0, within_ms
        self.disorder: dict[int, int] = {}
        self._near: dict[int, int] = {}  # the same of the transaction under way: nobody else sees its readings yet
        self._turn = threading.Lock()

    def take(
        self, connection: Connection, deliveries: Sequence[Judged], now: int, served: Callable[[str], Served | None]
    ) -> tuple[list[Receipt], dict[int, Held]]:
        """Return what became of each delivery, and the states to put at hand once all are committed.

        What several senders deliver is one load: people are looked up, scored and alarmed for once.

        Args:
            connection: The writer.
            deliveries: In the order in which they came.
            now: The clock, UTC ms.
            served: The run that scores a person whose memory is of a run (empty: of none); None lets readings wait.
        """
        batches = [Batch(one.sender) for one in deliveries]
        failpoint("batch-begun")
        good: list[tuple[Batch, Sent, Reading]] = []
        for batch, delivery in zip(batches, deliveries, strict=True):
            for one in delivery.sent:
                if isinstance(one.judged, Rejected):
                    person = self._pseudonym(one.person) if one.person else ""
                    batch.refuse(one, one.judged.reason, one.judged.detail, person, batch.sender.ward)
                else:
                    good.append((batch, one, one.judged))
        known = self._people(connection, good, now)
        failpoint("people-known")
        new = self._new(connection, good, known)
        failpoint("readings-new")
        held = self._write(connection, new, now, served)
        quarantine.add(connection, self._secret, [one for batch in batches for one in batch.refused], now)
        failpoint("quarantine-written")
        failpoint("before-commit")
        return [batch.receipt() for batch in batches], held

    def begin(self) -> None:
        """Begin a transaction."""
        self.late, self._near = 0, {}

    def committed(self) -> None:
        """Have what came late in the transaction be put in order: it can be seen now."""
        for no, first in self._near.items():
            self.due(no, first)

    def due(self, no: int, first: int) -> None:
        """Have a person's late readings from a time on (UTC ms) be put in order."""
        with self._turn:
            self.disorder[no] = min(first, self.disorder.get(no, first))

    def forget(self) -> None:
        """Forget who waits to be put in order, and how events are named: the database is another."""
        self.disorder.clear()
        self._ids.forget()

    def catch_up(self, connection: Connection, person: Person, served: Served, now: int, most: int) -> dict[int, Held]:
        """Score readings of a person that wait, the oldest first, and return the state to put at hand."""
        change = next(iter(changes.of_person(connection, person, after=person.scored)), None)
        through = person.stored if change is None else min(person.stored, change.no)
        waiting = readings.of_person(
            connection, self._layouts, person, served.monitor.schema.step_ms,
            after=person.scored, through=through, most=most,
        )  # fmt: skip
        if not len(waiting.no):
            people.move(connection, [replace(person, scored=through if change is None else change.no)])
            return {}
        held = self._recall.of(connection, person, served)
        late = waiting.readings.time < held.state.newest
        readings.mark_late(connection, waiting.no[late].tolist())
        self._too_late(connection, [(person, held.state.newest, waiting.readings.time[late].tolist())], now)
        last = int(waiting.no.max())
        scored = self._score(person, held, waiting.readings.rows(~late), last, served)
        if change is not None and (len(waiting.no) < most or last == person.stored):
            begun = self._recall.changed(connection, person, served, scored.held, change.no)
            scored = replace(scored, held=begun, person=replace(scored.person, scored=change.no))
        return self._tell(connection, [scored], {}, now)

    def put_in_order(
        self, connection: Connection, person: Person, before: Held, since: int, served: Served, now: int
    ) -> Held:
        """Score a person's readings anew from a grid step on, late ones among them; return the state to put at hand.

        Args:
            connection: The writer.
            person: Up to date, their late readings marked as in order.
            before: The state, with what rules remember, before that step.
            since: Its start, UTC ms.
            served: The run that made it.
            now: The clock, UTC ms.
        """
        step_ms = served.monitor.schema.step_ms
        rest = readings.of_person(connection, self._layouts, person, step_ms, since=since, through=person.scored)
        number = take(connection, "reading", 1)  # what other processes have at hand is of an earlier one
        moved = replace(person, stored=number, scored=number)
        scored = self._score(moved, before, rest.readings, number, served)
        return self._tell(connection, [replace(scored, before=person.newest, again=True)], {}, now, "order-")[person.no]

    def _people(
        self, connection: Connection, good: Sequence[tuple[Batch, Sent, Reading]], now: int
    ) -> dict[str, Person]:
        """Return people by identifier; new ones get a row, in the sender's ward, and a place in the vault."""
        wards = {reading.person: batch for batch, _, reading in reversed(good)}
        names = {identifier: self._pseudonym(identifier) for identifier in wards}
        found = people.named(connection, names.values())
        new: dict[str, dict[str, str]] = {}
        for identifier, name in names.items():
            if name not in found:
                new.setdefault(wards[identifier].sender.ward, {})[name] = identifier
        for ward, those in new.items():
            found |= people.add(connection, list(those), ward, now)
            vault.remember(connection, self._secret, [(name, PERSON, who) for name, who in those.items()])
        return {identifier: found[name] for identifier, name in names.items()}

    def _pseudonym(self, identifier: str) -> str:
        found = self._pseudonyms.get(identifier)
        if found is None:
            if len(self._pseudonyms) >= 100_000:
                self._pseudonyms.clear()
            found = self._pseudonyms[identifier] = self._secret.pseudonym(identifier)
        return found

    def _new(
        self, connection: Connection, good: Sequence[tuple[Batch, Sent, Reading]], known: Mapping[str, Person]
    ) -> list[New]:
        """Return the readings that were not there before; the others are noted in their batch."""
        candidates = []
        for batch, sent, reading in good:
            person = known[reading.person]
            if not batch.sender.may_send_for(person.ward):
                batch.refuse(sent, ELSEWHERE, REASONS[ELSEWHERE], person.pseudonym, batch.sender.ward)
                continue
            batch.people.setdefault(person.pseudonym, sent.position)
            candidates.append(self._packed(connection, person, reading, batch, sent))
        there = self._there(connection, candidates)
        fresh: dict[bytes, New] = {}
        for new in candidates:
            batch, sent = new.batch, new.sent
            before = there.get(new.event) or (fresh[new.event].content if new.event in fresh else None)
            if before is None:
                fresh[new.event] = new
                batch.accepted += 1
            elif before == new.content:
                batch.duplicates.append(Told(sent.position, event_id=sent.event_id))
            else:
                batch.refuse(sent, CONFLICT, REASONS[CONFLICT], new.person.pseudonym, new.person.ward)
        devices = {new.device: new.reading.device for new in fresh.values() if new.device}
        vault.remember(connection, self._secret, [(name, DEVICE, told) for name, told in devices.items()])
        return list(fresh.values())

    def _there(self, connection: Connection, candidates: Sequence[New]) -> dict[bytes, readings.Content]:
        """Return what stands there already under the events of candidates."""
        there = readings.known(connection, [new.event for new in candidates])
        if self._ids.look(connection):
            former = {new.event: self._ids.former(new.reading.event_id) for new in candidates if new.reading.event_id}
            found = readings.known(connection, list(former.values()))
            for new in candidates:
                told = found.get(former.get(new.event, b""))
                if told is not None and told[0] == new.person.no:
                    there.setdefault(new.event, told)
        return there

    def _packed(self, connection: Connection, person: Person, reading: Reading, batch: Batch, sent: Sent) -> New:
        layout = self._layouts.of_values(connection, reading.values)
        body = layout.pack(reading.values)
        device = self._secret.pseudonym(reading.device, DEVICE) if reading.device else ""
        if reading.event_id:
            event = self._ids.of(person.pseudonym, reading.event_id)
        else:
            place = f"{person.no} {reading.time} {reading.offset} {layout.no} {device}"
            event = self._secret.event(b"content", place.encode(), body)
        return New(person, event, reading, layout.no, body, device, batch, sent)

    def _write(
        self, connection: Connection, new: Sequence[New], now: int, served: Callable[[str], Served | None]
    ) -> dict[int, Held]:
        """Write new readings, score them where people are up to date, and tell."""
        if not new:
            return {}
        by_person: dict[int, list[New]] = {}
        for one in new:
            by_person.setdefault(one.person.no, []).append(one)
        number, rows, scored, moved, latest = take(connection, "reading", len(new)), [], [], [], {}
        too_late: list[tuple[Person, int, list[int]]] = []
        for mine in by_person.values():
            mine.sort(key=lambda one: one.reading.time)
            person, last = mine[0].person, number + len(mine) - 1
            run = None if person.behind else served(person.run)
            newest = person.newest if run is not None else -1
            late = sum(one.reading.time < newest for one in mine)  # sorted: they come first
            rows += [_row(one, number + i, now, late=i < late) for i, one in enumerate(mine)]
            for one in mine[:late]:
                one.batch.late.append(Told(one.sent.position, event_id=one.sent.event_id))
            too_late.append((person, newest, [one.reading.time for one in mine[:late]]))
            moved_to = replace(person, heard=now, stored=last)
            if late < len(mine):
                latest[person.no] = mine[-1]
            if run is None:
                moved.append(moved_to)
            else:
                held = self._recall.of(connection, person, run)
                own = self._readings(connection, person, mine[late:])
                scored.append(self._score(moved_to, held, own, last, run))
            number = last + 1
        readings.insert(connection, rows)
        failpoint("readings-written")
        self._too_late(connection, too_late, now)
        people.move(connection, moved)
        return self._tell(connection, scored, latest, now)

    def _too_late(self, connection: Connection, some: Sequence[tuple[Person, int, Sequence[int]]], now: int) -> None:
        """Tell of readings that are not scored as they come: whose, behind which row, and their times, UTC ms."""
        told = [
            (outbox.LATE, person, {"first": min(times), "last": max(times), "readings": len(times)})
            for person, _, times in some
            if times
        ]
        outbox.add(connection, now, told)
        for person, newest, times in some:
            self.late += len(times)
            near = [time for time in times if time >= newest - self.within_ms]
            if near:
                self._near[person.no] = min(*near, self._near.get(person.no, near[0]))

    def _readings(self, connection: Connection, person: Person, mine: Sequence[New]) -> Readings:
        values = (
            self._layouts.columns(connection, [one.layout for one in mine], [one.body for one in mine]) if mine else {}
        )
        time = np.fromiter((one.reading.time for one in mine), np.int64, len(mine))
        offset = np.fromiter((one.reading.offset for one in mine), np.int16, len(mine))
        return Readings(person.pseudonym, time, offset, values, codes([one.device for one in mine]))

    def _score(self, person: Person, held: Held, new: Readings, through: int, run: Served) -> Scored:
        began = time.perf_counter()
        after, answers = held.advanced(run, new, through)
        self.took(time.perf_counter() - began)
        moved = replace(person, scored=through, newest=after.state.newest, run=run.run)
        return Scored(moved, held.state.newest, after, answers)

    def _tell(
        self, connection: Connection, scored: Sequence[Scored], latest: dict[int, New], now: int, why: str = ""
    ) -> dict[int, Held]:
        """Write what the monitor said, the alarms of it, and events for those who listen; `why` names failpoints."""
        rows: list[tuple[Any, ...]] = []
        again: list[tuple[int, int]] = []
        for one in scored:
            if len(one.answers):
                rows += scores.rows_of(connection, self._layouts, one.person, one.answers, one.held.run)
                if one.answers.time.item(0) <= one.before:
                    again.append((one.person.no, one.answers.time.item(0)))
        scores.write(connection, rows, again)
        failpoint(why + "scores-written")
        people.move(connection, [one.person for one in scored])
        failpoint(why + "people-moved")
        told = [(outbox.READING, new.person, _reading(new)) for new in latest.values()]
        told += [(outbox.SCORE, one.person, score_of(one.answers)) for one in scored if len(one.answers)]
        outbox.add(connection, now, told)
        failpoint(why + "events-written")
        judged = self._alarming(connection, scored, now)
        failpoint(why + "alarms-written")
        held = {}
        for one in scored:
            kept = replace(one.held, judged=judged.get(one.person.no, one.held.judged))
            held[one.person.no] = self._recall.write(connection, one.person, kept) if kept.due else kept
        failpoint(why + "snapshots-written")
        return held


def _row(new: New, number: int, now: int, *, late: bool) -> tuple[Any, ...]:
    """Return a row of `readings.COLUMNS`."""
    told = new.reading
    return (
        number,
        new.event,
        new.person.no,
        told.time,
        told.offset,
        now,
        new.device,
        late,
        new.layout,
        new.body,
    )


def _reading(new: New) -> dict[str, Any]:
    return {"time": new.reading.time, "values": {name: round(value, 3) for name, value in new.reading.values.items()}}


def score_of(answers: Answers) -> dict[str, Any]:
    """Return what is told of the newest row."""
    return {
        "time": int(answers.time[-1]),
        "score": _number(answers.score[-1]),
        "p_value": _number(answers.p_value[-1]),
        "is_anomaly": bool(answers.is_anomaly[-1]),
        "assessable": bool(answers.assessable[-1]),
        "expected_heart_rate": _number(answers.expected_heart_rate[-1]),
    }


def _number(value: Any) -> float | None:
    plain = float(value)
    return round(plain, 4) if math.isfinite(plain) else None

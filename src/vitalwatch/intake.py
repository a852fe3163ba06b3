"""Readings in, in one transaction: each once, durable, scored, alarmed for and told; what is refused is kept.

Called by `engine`, under the one writer of the database. Nothing here is remembered before the commit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from vitalwatch.alerting.judging import Memory
from vitalwatch.database import changes, outbox, people, quarantine, readings, scores, vault
from vitalwatch.database.connection import take
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import Person, Wards
from vitalwatch.database.quarantine import Refused
from vitalwatch.database.vault import DEVICE, PERSON, Secret
from vitalwatch.production import Served
from vitalwatch.reading import VERSION, Reading, Rejected
from vitalwatch.recall import Held, Recall
from vitalwatch.store import failpoint
from vitalwatch.tables import Answers, Readings

Message = bytes | Mapping[str, Any]

CONFLICT = "event_id_conflict"
ELSEWHERE = "not_allowed"
REASONS = {  # beside those of `reading`, of what only the database can know
    CONFLICT: "another reading came under this event_id; give every reading its own",
    ELSEWHERE: "this person is not in a ward of this key",
}


@dataclass(frozen=True)
class Sent:
    """One message, judged.

    Attributes:
        position: Its place in what was sent.
        judged: The reading, or why it is refused.
        message: As it came, or as it was decoded.
        event_id: As sent, empty where it cannot be read or there is none.
        person: As sent, where it can be read.
    """

    position: int
    judged: Reading | Rejected
    message: Message
    event_id: str = ""
    person: str = ""

    @property
    def raw(self) -> bytes:
        """The message as bytes."""
        return self.message if isinstance(self.message, bytes) else json.dumps(self.message).encode()


@dataclass(frozen=True)
class Sender:
    """Who sends: where it comes from, whose key, and the wards of that key (None: all)."""

    source: str
    actor: str
    wards: Wards

    @property
    def ward(self) -> str:
        """Where people are put who are heard for the first time."""
        return min(self.wards) if self.wards else ""


@dataclass(frozen=True)
class Told:
    """One reading that was not taken: its place, why (empty for a duplicate), and its event id as sent."""

    position: int
    reason: str = ""
    detail: str = ""
    event_id: str = ""


@dataclass(frozen=True)
class Receipt:
    """What became of a batch: accepted + duplicates + rejected is what was sent. Accepted means on the disk."""

    accepted: int
    duplicates: tuple[Told, ...] = ()
    rejected: tuple[Told, ...] = ()


@dataclass
class Batch:
    """One batch under way."""

    sender: Sender
    now: int
    accepted: int = 0
    duplicates: list[Told] = field(default_factory=list)
    rejected: list[Told] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, sent: Sent, reason: str, detail: str, person: str, ward: str) -> None:
        """Note a refusal."""
        self.rejected.append(Told(sent.position, reason, detail, sent.event_id))
        self.refused.append(
            Refused(
                self.sender.source[:200], sent.position, reason, detail, VERSION, sent.raw, person, ward,
                self.sender.actor,
            )
        )  # fmt: skip

    def receipt(self) -> Receipt:
        """Return what became of it."""
        return Receipt(self.accepted, tuple(self.duplicates), tuple(sorted(self.rejected, key=lambda t: t.position)))


@dataclass(frozen=True)
class New:
    """One reading to be written."""

    person: Person
    event: bytes
    reading: Reading
    layout: int
    body: bytes
    device: str

    @property
    def content(self) -> readings.Content:
        """What it says, to tell a repetition from a conflict."""
        return self.person.no, self.reading.time, self.reading.offset, self.layout, self.body


@dataclass(frozen=True)
class Scored:
    """What the monitor said of one person's new readings."""

    person: Person
    before: int  # start of the newest row that was there
    held: Held
    answers: Answers


Alarming = Callable[[Connection, Sequence[Scored], int], Mapping[int, Memory]]


class Intake:
    """Takes readings in.

    Args:
        secret: Of the database.
        layouts, recall: What this process knows of the database.
        alarming: Makes alarms of scores, in the same transaction; returns what rules remember, by the person's number.
    """

    def __init__(self, secret: Secret, layouts: Layouts, recall: Recall, alarming: Alarming) -> None:
        self._secret, self._layouts, self._recall, self._alarming = secret, layouts, recall, alarming
        self._pseudonyms: dict[str, str] = {}

    def take(
        self,
        connection: Connection,
        sent: Sequence[Sent],
        sender: Sender,
        now: int,
        served: Callable[[str], Served | None],
    ) -> tuple[Receipt, dict[int, Held]]:
        """Return what became of a batch, and the states to put at hand once it is committed.

        Args:
            connection: The writer.
            sent: Judged messages.
            sender: Who sends.
            now: The clock, UTC ms.
            served: The run that scores a person whose memory is of a run (empty: of none); None lets readings wait.
        """
        batch = Batch(sender, now)
        failpoint("batch-begun")
        good = [(one, one.judged) for one in sent if isinstance(one.judged, Reading)]
        for one in sent:
            if isinstance(one.judged, Rejected):
                person = self._pseudonym(one.person) if one.person else ""
                batch.refuse(one, one.judged.reason, one.judged.detail, person, sender.ward)
        known = self._people(connection, [reading.person for _, reading in good], sender, now)
        failpoint("people-known")
        new = self._new(connection, good, known, batch)
        failpoint("readings-new")
        held = self._write(connection, new, now, served)
        quarantine.add(connection, self._secret, batch.refused, now)
        failpoint("quarantine-written")
        batch.accepted = len(new)
        failpoint("before-commit")
        return batch.receipt(), held

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
        last = int(waiting.no.max())
        scored = self._score(person, held, waiting.readings.rows(~late), last, served)
        if change is not None and (len(waiting.no) < most or last == person.stored):
            begun = self._recall.changed(connection, person, served, scored.held, change.no)
            scored = replace(scored, held=begun, person=replace(scored.person, scored=change.no))
        return self._tell(connection, [scored], {}, now)

    def _people(
        self, connection: Connection, identifiers: Sequence[str], sender: Sender, now: int
    ) -> dict[str, Person]:
        """Return the people of a batch by identifier; new ones get a row, and a place in the vault."""
        pseudonyms = {identifier: self._pseudonym(identifier) for identifier in dict.fromkeys(identifiers)}
        found = people.named(connection, pseudonyms.values())
        new = {name: identifier for identifier, name in pseudonyms.items() if name not in found}
        if new:
            found |= people.add(connection, list(new), sender.ward, now)
            vault.remember(connection, self._secret, [(name, PERSON, who) for name, who in new.items()])
        return {identifier: found[name] for identifier, name in pseudonyms.items()}

    def _pseudonym(self, identifier: str) -> str:
        found = self._pseudonyms.get(identifier)
        if found is None:
            if len(self._pseudonyms) >= 100_000:
                self._pseudonyms.clear()
            found = self._pseudonyms[identifier] = self._secret.pseudonym(identifier)
        return found

    def _new(
        self, connection: Connection, good: Sequence[tuple[Sent, Reading]], known: dict[str, Person], batch: Batch
    ) -> list[New]:
        """Return the readings that were not there before; the others are noted in the batch."""
        wards, candidates = batch.sender.wards, []
        for sent, reading in good:
            person = known[reading.person]
            if wards is not None and person.ward not in wards:
                batch.refuse(sent, ELSEWHERE, REASONS[ELSEWHERE], person.pseudonym, batch.sender.ward)
                continue
            candidates.append((sent, self._packed(connection, person, reading)))
        there = readings.known(connection, [new.event for _, new in candidates])
        fresh: dict[bytes, New] = {}
        for sent, new in candidates:
            before = there.get(new.event) or (fresh[new.event].content if new.event in fresh else None)
            if before is None:
                fresh[new.event] = new
            elif before == new.content:
                batch.duplicates.append(Told(sent.position, event_id=sent.event_id))
            else:
                batch.refuse(sent, CONFLICT, REASONS[CONFLICT], new.person.pseudonym, new.person.ward)
        devices = {new.device: new.reading.device for new in fresh.values() if new.device}
        vault.remember(connection, self._secret, [(name, DEVICE, told) for name, told in devices.items()])
        return list(fresh.values())

    def _packed(self, connection: Connection, person: Person, reading: Reading) -> New:
        layout = self._layouts.of_values(connection, reading.values)
        body = layout.pack(reading.values)
        device = self._secret.pseudonym(reading.device, DEVICE) if reading.device else ""
        if reading.event_id:
            event = self._secret.event(b"id", reading.event_id.encode())
        else:
            place = f"{person.no} {reading.time} {reading.offset} {layout.no} {device}"
            event = self._secret.event(b"content", place.encode(), body)
        return New(person, event, reading, layout.no, body, device)

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
        for mine in by_person.values():
            mine.sort(key=lambda one: one.reading.time)
            person, last = mine[0].person, number + len(mine) - 1
            run = None if person.behind else served(person.run)
            newest = person.newest if run is not None else -1
            late = sum(one.reading.time < newest for one in mine)  # sorted: they come first
            rows += [_row(one, number + i, now, late=i < late) for i, one in enumerate(mine)]
            moved_to = replace(person, heard=now, stored=last)
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
        people.move(connection, moved)
        return self._tell(connection, scored, latest, now)

    def _readings(self, connection: Connection, person: Person, mine: Sequence[New]) -> Readings:
        values = (
            self._layouts.columns(connection, [one.layout for one in mine], [one.body for one in mine]) if mine else {}
        )
        time = np.fromiter((one.reading.time for one in mine), np.int64, len(mine))
        offset = np.fromiter((one.reading.offset for one in mine), np.int16, len(mine))
        return Readings(person.pseudonym, time, offset, values)

    def _score(self, person: Person, held: Held, new: Readings, through: int, run: Served) -> Scored:
        after, answers = held.advanced(run, new, through)
        moved = replace(person, scored=through, newest=after.state.newest, run=run.run)
        return Scored(moved, held.state.newest, after, answers)

    def _tell(
        self, connection: Connection, scored: Sequence[Scored], latest: dict[int, New], now: int
    ) -> dict[int, Held]:
        """Write what the monitor said, the alarms of it, and events for those who listen."""
        rows: list[tuple[Any, ...]] = []
        newest: dict[int, int] = {}
        for one in scored:
            if len(one.answers):
                rows += scores.rows_of(connection, self._layouts, one.person, one.answers, one.held.run)
                newest[one.person.no] = int(one.answers.time[0])
        scores.write(connection, rows, newest)
        failpoint("scores-written")
        people.move(connection, [one.person for one in scored])
        failpoint("people-moved")
        outbox.add(connection, now, [(outbox.READING, new.person, _reading(new)) for new in latest.values()])
        told = [(outbox.SCORE, one.person, score_of(one.answers)) for one in scored if len(one.answers)]
        outbox.add(connection, now, told)
        failpoint("events-written")
        judged = self._alarming(connection, scored, now)
        failpoint("alarms-written")
        held = {}
        for one in scored:
            kept = replace(one.held, judged=judged.get(one.person.no, one.held.judged))
            held[one.person.no] = self._recall.write(connection, one.person, kept) if kept.due else kept
        failpoint("snapshots-written")
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

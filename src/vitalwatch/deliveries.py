"""What is delivered at the door of serving, judged before anybody waits for it, and what its sender is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from vitalwatch.alike import parse_objects
from vitalwatch.database.people import UNASSIGNED, Wards
from vitalwatch.database.quarantine import Opened, Refused
from vitalwatch.messages import decode_all
from vitalwatch.reading import MAX_TEXT, VERSION, Reading, Rejected
from vitalwatch.reading import REASONS as BY_READING
from vitalwatch.schema import Schema
from vitalwatch.timestamps import unsafe


class Unread(NamedTuple):
    """What was delivered and cannot be told apart into readings: its beginning, and why (of `reading.REASONS`)."""

    raw: bytes
    reason: str


Message = bytes | Mapping[str, Any] | Unread

CONFLICT = "event_id_conflict"
ELSEWHERE = "not_allowed"
REASONS = {  # beside those of `reading`, of what only the database can know
    CONFLICT: "another reading of this person came under this event_id; give each its own",
    ELSEWHERE: "this person is not in a ward of this key",
}


@dataclass(frozen=True)
class Sender:
    """Who sends: where it comes from, whose key, and the wards of that key (None: all); `into` is the one they name."""

    source: str
    actor: str
    wards: Wards
    into: str = UNASSIGNED

    @property
    def ward(self) -> str:
        """Where people are put who are heard for the first time: nowhere yet, where a key of several names none."""
        if self.into or self.wards is None or len(self.wards) != 1:
            return self.into
        return next(iter(self.wards))

    def may_send_for(self, ward: str) -> bool:
        """Return whether readings of people in a ward are taken: of the key's wards, and of people who have none."""
        return self.wards is None or ward in self.wards or ward == UNASSIGNED


class Delivery(NamedTuple):
    """What one sender delivers at once.

    Attributes:
        raw: JSON objects as bytes, or already decoded by `messages.decode`; or what is no JSON, as a whole.
        sender: Who.
        idempotency: Stands for the event ids of readings without one: a repeated delivery is a duplicate.
    """

    raw: Sequence[Message]
    sender: Sender
    idempotency: str = ""


class Sent(NamedTuple):
    """One message, judged.

    Attributes:
        position: Its place in what was sent.
        judged: The reading, or why it is refused.
        message: As it came, or as it was decoded.
        event_id: As sent, empty where it cannot be read or there is none.
        person: As sent, where it can be read.
        key: Stands for the event id of a reading without one, by the delivery's key; empty where that has none.
    """

    position: int
    judged: Reading | Rejected
    message: Message
    event_id: str = ""
    person: str = ""
    key: str = ""

    @property
    def raw(self) -> bytes:
        """The message as bytes."""
        if isinstance(self.message, Unread):
            return self.message.raw
        return self.message if isinstance(self.message, bytes) else json.dumps(self.message).encode()

    def named(self, key: str) -> Sent:
        """Return it with a key that stands for the event id of a reading that has none."""
        if not key or isinstance(self.judged, Rejected) or self.judged.event_id:
            return self._replace(key=key)
        return self._replace(key=key, judged=replace(self.judged, event_id=key), event_id=key)


class Judged(NamedTuple):
    """A delivery whose messages are judged."""

    sent: Sequence[Sent]
    sender: Sender


@dataclass(frozen=True)
class Told:
    """One reading that was not taken: its place, why (empty for a duplicate), and its event id as sent."""

    position: int
    reason: str = ""
    detail: str = ""
    event_id: str = ""


@dataclass(frozen=True)
class Receipt:
    """What became of a delivery: accepted + duplicates + rejected is what was sent. Accepted means on the disk.

    Attributes:
        late: Of the accepted, those that belong to a grid step before the newest one of their person: kept, not scored.
        people: Pseudonym -> place of the first reading, of those who are in a ward of the sender's key.
    """

    accepted: int
    duplicates: tuple[Told, ...] = ()
    rejected: tuple[Told, ...] = ()
    late: tuple[Told, ...] = ()
    people: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Batch:
    """One delivery under way."""

    sender: Sender
    accepted: int = 0
    duplicates: list[Told] = field(default_factory=list)
    rejected: list[Told] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    late: list[Told] = field(default_factory=list)
    people: dict[str, int] = field(default_factory=dict)

    def refuse(self, sent: Sent, reason: str, detail: str, person: str, ward: str) -> None:
        """Note a refusal."""
        self.rejected.append(Told(sent.position, reason, detail, sent.event_id))
        self.refused.append(
            Refused(
                self.sender.source[:200], sent.position, reason, detail, VERSION, sent.raw, person, ward,
                self.sender.actor, sent.key,
            )
        )  # fmt: skip

    def receipt(self) -> Receipt:
        """Return what became of it."""
        rejected, late = (tuple(sorted(some, key=lambda one: one.position)) for some in (self.rejected, self.late))
        return Receipt(self.accepted, tuple(self.duplicates), rejected, late, self.people)


def judge(delivery: Delivery, schema: Schema, now_ms: int, max_ahead_ms: int) -> Judged:
    """Return a delivery with each of its messages judged, in the order sent."""
    source = delivery.sender.source
    decoded = iter(decode_all([one for one in delivery.raw if isinstance(one, bytes)]))
    found = [_read(one, decoded) for one in delivery.raw]
    objects = [one for one in found if not isinstance(one, str)]
    readings = iter(parse_objects(objects, schema, source=source, now_ms=now_ms, max_ahead_ms=max_ahead_ms))
    sent = []
    for place, (one, message) in enumerate(zip(found, delivery.raw, strict=True)):
        if isinstance(one, str):
            judged = Sent(place, Rejected(one, BY_READING[one], source), message)
        elif isinstance(told := next(readings), Rejected):
            judged = Sent(place, told, message, *(_sound(one.get(name)) for name in ("event_id", "person")))
        else:
            judged = Sent(place, told, message, told.event_id, told.person)
        sent.append(judged.named(f"{delivery.idempotency}#{place}" if delivery.idempotency else ""))
    return Judged(sent, delivery.sender)


def _read(message: Message, decoded: Iterator[Mapping[str, Any] | str]) -> Mapping[str, Any] | str:
    """Return a message as an object, or the reason why it is none; `decoded` has those that came as bytes."""
    if isinstance(message, Unread):
        return message.reason
    return next(decoded) if isinstance(message, bytes) else message


def again(
    kept: Sequence[Refused],
    opened: Mapping[int, Opened],
    actor: str,
    wards: Wards,
    schema: Schema,
    now_ms: int,
    max_ahead_ms: int,
) -> tuple[Counter[str], dict[tuple[str, str], list[tuple[int, Sent]]]]:
    """Return refused readings judged anew: how many stay by reason, and by source and ward those that do not.

    Args:
        kept: What is refused.
        opened: What was sent, by number.
        actor, wards: Who asks for it.
        schema, now_ms, max_ahead_ms: As `judge`.
    """  # fmt: skip
    stay, good = Counter[str](), dict[tuple[str, str], list[tuple[int, Sent]]]()
    for one in kept:
        raw, key = opened[one.no]
        told = judge(Delivery([raw], Sender(one.source, actor, wards)), schema, now_ms, max_ahead_ms)
        sent = told.sent[0]._replace(position=one.position).named(key)
        if isinstance(sent.judged, Rejected):
            stay[sent.judged.reason] += 1
        else:
            good.setdefault((one.source, one.ward), []).append((one.no, sent))
    return stay, good


def _sound(told: object) -> str:
    """Return a text of a refused reading that can be looked up, empty where it is none."""
    return told if isinstance(told, str) and len(told) <= MAX_TEXT and not unsafe(told) else ""

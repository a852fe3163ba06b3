"""POST /readings: one, a batch, or a line each; what is answered 202 is on the disk and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vitalwatch.api.calls import JSON, NDJSON, Call, Reply, reply
from vitalwatch.api.forms import MOST, Into
from vitalwatch.api.lines import Lines
from vitalwatch.api.problem import Fault, Problem, of_error
from vitalwatch.database.moving import UNKNOWN
from vitalwatch.database.people import UNASSIGNED
from vitalwatch.deliveries import REASONS as BY_DATABASE
from vitalwatch.deliveries import Delivery, Receipt, Sender, Told, Unread
from vitalwatch.errors import VitalsError
from vitalwatch.messages import MAX_BYTES, items, strict
from vitalwatch.reading import MAX_TEXT, REASONS
from vitalwatch.timestamps import unsafe

SOURCE = "rest"


async def readings(call: Call) -> Reply:
    """Take readings in."""
    call.expect(JSON, NDJSON)
    into = _into(call)  # refused before anything is read
    if into and call.caller.wards is None and not await call.desk.ask(call.desk.engine.is_ward, into):
        raise Problem("unknown_value", UNKNOWN, faults=[Fault("/ward", "unknown_value", UNKNOWN)])
    call.desk.readings.admit()
    if call.media == NDJSON:
        return await _by_lines(call)
    one, messages = _objects(await call.body(), call.most)
    if not 0 < len(messages) <= MOST:
        raise Problem("too_many" if messages else "too_few", f"1 to {MOST} readings in one request.")
    return _told(await _taken(call, messages, _idempotency(call)), one)


async def _by_lines(call: Call) -> Reply:
    """Take lines in, part by part: each is on the disk before the next is read."""
    idempotency, lines, all_of_it = _idempotency(call), Lines(call), Sum()
    try:
        while part := await lines.part():
            key = idempotency
            if all_of_it.parts:
                call.desk.rate.take(call.caller.actor)  # as much work as a request of its own
                key = idempotency and f"{idempotency}/{all_of_it.parts}"
            all_of_it.add(await _taken(call, part, key), len(part))
    except (Problem, VitalsError) as error:
        if not all_of_it.parts:
            raise
        problem = error if isinstance(error, Problem) else of_error(error)
        problem.more |= all_of_it.told()
        raise problem from None
    if not all_of_it.parts:
        raise Problem("too_few", "Send a reading a line.")
    return _told(all_of_it.receipt(), False, all_of_it.told() if all_of_it.parts > 1 else None)


async def _taken(call: Call, messages: Sequence[Any], idempotency: str) -> Receipt:
    desk, caller = call.desk, call.caller
    sender = Sender(SOURCE, caller.actor, caller.wards, _into(call))
    receipt = await desk.readings.add(Delivery(messages, sender, idempotency))
    desk.tell()
    _count(call, receipt)
    return receipt


@dataclass
class Sum:
    """What became of several parts; of duplicates, refused and late lines the first MOST are named, all counted."""

    parts: int = 0
    lines: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    late: int = 0
    duplicates: list[Told] = field(default_factory=list)
    rejected: list[Told] = field(default_factory=list)
    those_late: list[Told] = field(default_factory=list)
    people: dict[str, int] = field(default_factory=dict)

    def add(self, receipt: Receipt, lines: int) -> None:
        """Add a part of so many lines."""
        for name, position in receipt.people.items():
            if len(self.people) < MOST:
                self.people.setdefault(name, position + self.lines)
        for kept, new in (
            (self.duplicates, receipt.duplicates),
            (self.rejected, receipt.rejected),
            (self.those_late, receipt.late),
        ):
            kept += [replace(one, position=one.position + self.lines) for one in new[: MOST - len(kept)]]
        self.parts, self.lines, self.accepted = self.parts + 1, self.lines + lines, self.accepted + receipt.accepted
        self.duplicate, self.refused = self.duplicate + len(receipt.duplicates), self.refused + len(receipt.rejected)
        self.late += len(receipt.late)

    def receipt(self) -> Receipt:
        """Return all parts as one."""
        late = tuple(self.those_late)
        return Receipt(self.accepted, tuple(self.duplicates), tuple(self.rejected), late, self.people)

    def told(self) -> dict[str, Any]:
        """Return how many lines were read and what became of them; accepted ones are on the disk."""
        counts = {"accepted": self.accepted, "duplicate": self.duplicate, "refused": self.refused, "late": self.late}
        return {"lines": {"read": self.lines, **counts}}


def _into(call: Call) -> str:
    """Return the ward that is named for people heard for the first time, empty for none; raises Problem."""
    told = call.query(Into).ward if call.scope.get("query_string") else None
    if told is None:
        return UNASSIGNED
    if call.caller.wards is not None and told not in call.caller.wards:
        raise Problem("wards_missing", "This key is not for the ward that `ward` names.")
    return told


def _idempotency(call: Call) -> str:
    told = call.headers.get(b"idempotency-key", b"").decode("latin-1").strip().strip('"')
    if len(told) > MAX_TEXT or unsafe(told):
        raise Problem("bad_text", f"Idempotency-Key has up to {MAX_TEXT} printable characters.")
    return f"{call.caller.actor}:{told}" if told else ""


def _objects(raw: bytes, most: int) -> tuple[bool, list[Any]]:
    """Return whether there is one reading alone, and the messages: decoded, and as bytes what is no object.

    Of an array that is no strict JSON the items are messages by themselves, where they can be told apart; a body of
    which nothing can be told is one message that is refused.
    """
    value, reason = strict(raw, most)
    if reason in ("empty", "too_large"):
        raise Problem("not_json" if reason == "empty" else reason)
    if reason:
        found = items(raw, MOST)
        long = reason if reason == "too_deep" else "too_large"  # the one that is too long is the one that is too deep
        apart = [one if len(one) <= MAX_BYTES else Unread(one[:MAX_BYTES], long) for one in found or ()]
        return (False, apart) if apart else (True, [Unread(raw[:MAX_BYTES], reason)])
    if isinstance(value, list):
        return False, [one if isinstance(one, dict) else b"[]" for one in value]
    if not isinstance(value, dict):
        raise Problem("wrong_type", "Send a reading, or an array of them.")
    if len(raw) > MAX_BYTES:
        raise Problem("too_large", "One reading has up to 64 kB.")
    return True, [value]


def _count(call: Call, receipt: Receipt) -> None:
    figures = call.desk.metrics
    outcomes = {"accepted": receipt.accepted, "duplicate": len(receipt.duplicates), "refused": len(receipt.rejected)}
    for outcome, count in outcomes.items():
        if count:
            figures.readings.labels(outcome).inc(count)
    for one in receipt.rejected:
        figures.quarantined.labels(one.reason).inc()


def _told(receipt: Receipt, one: bool, more: Mapping[str, Any] | None = None) -> Reply:
    told: dict[str, Any] = {
        "accepted": receipt.accepted,
        "duplicates": [duplicate.position for duplicate in receipt.duplicates],
        "rejected": [_refused(refused) for refused in receipt.rejected],
        "late": [late.position for late in receipt.late],
        "people": [{"person": name, "position": first} for name, first in receipt.people.items()],
    }
    told |= more or {}
    if one:
        told["duplicate"] = bool(receipt.duplicates)
    if receipt.accepted:
        return reply(told, 202)
    if receipt.duplicates:
        return reply(told, 200)
    faults = [Fault(_pointer(r, one), r.reason, r.detail) for r in receipt.rejected]
    reasons = {refused.reason for refused in receipt.rejected}
    code = (
        reasons.pop() if len(reasons) == 1 else next(reason for reason in (*REASONS, *BY_DATABASE) if reason in reasons)
    )
    raise Problem(code, f"{len(faults)} refused, none taken; they are kept in quarantine.", faults=faults, more=told)


def _refused(told: Told) -> dict[str, Any]:
    return {"position": told.position, "code": told.reason, "detail": told.detail}


def _pointer(told: Told, one: bool) -> str:
    return "" if one else f"/{told.position}"  # of lines, their number

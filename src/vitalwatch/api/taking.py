"""POST /readings: one, a batch, or a line each; what is answered 202 is on the disk and scored."""

from __future__ import annotations

from typing import Any

from vitalwatch.api.calls import JSON, NDJSON, Call, Reply, parsed, reply
from vitalwatch.api.forms import MOST
from vitalwatch.api.problem import Fault, Problem
from vitalwatch.intake import REASONS as BY_DATABASE
from vitalwatch.intake import Receipt, Told
from vitalwatch.messages import MAX_BYTES
from vitalwatch.reading import MAX_TEXT, REASONS
from vitalwatch.timestamps import unsafe

SOURCE = "rest"


async def readings(call: Call) -> Reply:
    """Take readings in."""
    call.expect(JSON, NDJSON)
    idempotency = _idempotency(call)
    most = call.desk.chosen.max_batch_body
    raw = await call.body(most)
    one, messages = (False, _lines(raw)) if call.media == NDJSON else _objects(raw, most)
    if not 0 < len(messages) <= MOST:
        raise Problem("too_many" if messages else "too_few", f"1 to {MOST} readings in one request.")
    desk, caller = call.desk, call.caller
    receipt = await desk.ask(desk.engine.accept, messages, SOURCE, caller.actor, caller.wards, idempotency=idempotency)
    desk.tell()
    _count(call, receipt)
    return _told(receipt, one)


def _idempotency(call: Call) -> str:
    told = call.headers.get(b"idempotency-key", b"").decode("latin-1").strip().strip('"')
    if len(told) > MAX_TEXT or unsafe(told):
        raise Problem("bad_text", f"Idempotency-Key has up to {MAX_TEXT} printable characters.")
    return f"{call.caller.actor}:{told}" if told else ""


def _lines(raw: bytes) -> list[Any]:
    return [line for line in raw.split(b"\n") if line.strip()]


def _objects(raw: bytes, most: int) -> tuple[bool, list[Any]]:
    """Return whether there is one reading alone, and the messages: decoded, and as bytes what is no object."""
    value = parsed(raw, most)
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


def _told(receipt: Receipt, one: bool) -> Reply:
    told = {
        "accepted": receipt.accepted,
        "duplicates": [duplicate.position for duplicate in receipt.duplicates],
        "rejected": [_refused(refused) for refused in receipt.rejected],
    }
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

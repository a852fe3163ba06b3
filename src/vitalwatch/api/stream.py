"""GET /events: readings, scores and alarms as they happen, as server-sent events that Last-Event-ID resumes.

Who resumes where nothing is kept any more, or behind what a restore undid, is told so before anything else, and who
listens while the database is restored, at once: GAP and RESET mean to read anew what is shown.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

from vitalwatch.api.calls import Call, Reply
from vitalwatch.api.forms import Resume
from vitalwatch.api.problem import Problem, busy
from vitalwatch.database.outbox import Event

GAP, RESET = "gap", "reset"
EVERY = 0.25  # seconds between looks: what other processes did is seen that late
ALIVE = 15.0  # seconds of silence after which a comment says that we are there
ANEW = 30.0  # seconds after which a key is looked up again
MOST = 500  # events in one look


async def events(call: Call) -> Reply | None:
    """Send what happens until the other side or the server ends it."""
    desk = call.desk
    known = desk.engine.transactions.word  # before anything is read: a restore from here on is told
    after, first = await _start(call)
    actor = call.caller.actor
    if desk.streams_of.total() >= desk.chosen.streams:
        raise busy("busy", "Too many streams are open.", 10)
    if desk.streams_of[actor] >= desk.chosen.streams_a_key:
        raise busy("too_many_requests", f"A key may hold {desk.chosen.streams_a_key} streams: close one.", 10)
    desk.streams_of[actor] += 1
    desk.metrics.streams.inc()
    try:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await call.send({"type": "http.response.start", "status": 200, "headers": headers})
        if call.scope["method"] == "HEAD":
            await call.send({"type": "http.response.body", "body": b""})
            return None
        await call.send({"type": "http.response.body", "body": b"retry: 1000\n\n" + first, "more_body": True})
        gone = asyncio.ensure_future(_gone(call))
        try:
            await _flow(call, after, known, gone)
        finally:
            gone.cancel()
        await call.send({"type": "http.response.body", "body": b""})
    finally:
        desk.streams_of[actor] -= 1
        desk.streams_of += Counter()  # forgets who has none
        desk.metrics.streams.dec()
    return None


async def _start(call: Call) -> tuple[int, bytes]:
    """Return the number behind which the stream goes on, and what is to be said of it."""
    after = _resumed(call)
    oldest, newest = await call.desk.ask(call.desk.engine.events_kept)
    if after is None:
        return newest, b""
    if after > newest or await call.desk.ask(call.desk.engine.transactions.undid, after):
        return newest, _written(newest, RESET, {"newest": newest})
    if after + 1 < oldest:
        return oldest - 1, _written(oldest - 1, GAP, {"from": after + 1, "to": oldest - 1})
    return after, b""


def _resumed(call: Call) -> int | None:
    """Return the number that the other side has seen, None where it begins anew; raises Problem."""
    asked = call.query(Resume)
    told = call.headers.get(b"last-event-id")
    if told is None:
        return asked.after
    if not told.isdigit() or len(told) > 15:
        raise Problem("unknown_value", "Last-Event-ID is the number of an event.")
    return int(told)


async def _flow(call: Call, after: int, known: str, gone: asyncio.Future[None]) -> None:
    desk, said, looked = call.desk, time.monotonic(), time.monotonic()
    while not gone.done() and not desk.ending.is_set():
        news = desk.news
        if known != desk.engine.transactions.word:  # restored: what was told is not so any more
            known = desk.engine.transactions.word
            after = (await asyncio.to_thread(desk.engine.events_kept))[1]
            reset = _written(after, RESET, {"newest": after})
            await call.send({"type": "http.response.body", "body": reset, "more_body": True})
        found = await asyncio.to_thread(desk.engine.events, after, call.caller.wards, most=MOST)
        now = time.monotonic()
        if found:
            after, said = found[-1].no, now
            await call.send({"type": "http.response.body", "body": b"".join(map(_event, found)), "more_body": True})
        elif now - said > ALIVE:
            said = now
            await call.send({"type": "http.response.body", "body": b": here\n\n", "more_body": True})
        if now - looked > ANEW:
            looked = now
            if not await _still_may(call):
                return
        if len(found) < MOST:
            await _wait(news, gone, desk.ending)


async def _wait(news: asyncio.Event, gone: asyncio.Future[None], ending: asyncio.Event) -> None:
    """Wait for news of this process, at most until it is time to look for those of others."""
    waiting: list[Any] = [asyncio.ensure_future(news.wait()), asyncio.ensure_future(ending.wait())]
    try:
        await asyncio.wait([*waiting, gone], timeout=EVERY, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _still_may(call: Call) -> bool:
    try:
        caller = await call.desk.access.caller(call.headers, (call.scope.get("client") or ("",))[0])
    except Problem:
        return False
    return "read" in caller.scopes and caller.wards == call.caller.wards


async def _gone(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass


def _event(event: Event) -> bytes:
    return _written(event.no, event.kind, {"at": event.at, **event.body})


def _written(no: int, kind: str, told: dict[str, Any]) -> bytes:
    body = json.dumps(told, separators=(",", ":"), allow_nan=False)
    return f"id: {no}\nevent: {kind}\ndata: {body}\n\n".encode()

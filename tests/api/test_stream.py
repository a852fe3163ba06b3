"""GET /events: everything in order, each once, from where one stopped; only of one's wards; ended with the key."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import delete

from api_world import Api
from serving_world import messages
from tiny import somebody
from vitalwatch.database import backup
from vitalwatch.database.tables import outbox


def events_of(chunks: list[bytes]) -> list[dict]:
    found = []
    for block in b"".join(chunks).decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "id" in lines:
            found.append({"no": int(lines["id"]), "kind": lines["event"], **json.loads(lines["data"])})
    return found


class Stream:
    """A client that reads until it has enough."""

    def __init__(self, api: Api, query: str = "", key: str = "", last: str | None = None) -> None:
        self.chunks: list[bytes] = []
        self.gone, self.ended = asyncio.Event(), False
        headers = [(b"host", b"127.0.0.1")]
        headers += [(b"authorization", f"Bearer {key}".encode())] if key else []
        headers += [(b"last-event-id", last.encode())] if last is not None else []
        scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/events", "raw_path": b"/events"}
        scope |= {"query_string": query.encode(), "headers": headers, "client": ("127.0.0.1", 1), "root_path": ""}
        self.task = api.loop.create_task(api.app(scope | {"http_version": "1.1"}, self.receive, self.send))

    async def receive(self) -> dict:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict) -> None:
        self.chunks.append(message.get("body", b""))
        self.ended = message["type"] == "http.response.body" and not message.get("more_body")

    async def until(self, n: int, seconds: float = 10.0) -> list[dict]:
        async with asyncio.timeout(seconds):
            while len(events_of(self.chunks)) < n:
                await asyncio.sleep(0.01)
        return events_of(self.chunks)

    async def begun(self) -> Stream:
        """Return the stream once it has begun: what happens from then on is told."""
        async with asyncio.timeout(30):
            while b"retry: " not in b"".join(self.chunks):
                await asyncio.sleep(0.01)
        return self

    async def leave(self) -> None:
        self.gone.set()
        await asyncio.wait_for(self.task, 10)


def sent(api: Api, start: int, n: int, **more) -> None:
    api.engine.accept(messages(somebody(0).readings.rows(slice(start, start + n)), "anna"), "test", "nurse", **more)


def test_a_stream_tells_what_happens_from_now_on_and_goes_on_behind_any_event(own):
    sent(own, 0, 50)

    async def listen() -> tuple[list[dict], list[dict], list[dict]]:
        first = await Stream(own).begun()
        await asyncio.to_thread(sent, own, 50, 50)
        here = await first.until(2)
        await first.leave()
        await asyncio.to_thread(sent, own, 100, 100)  # while nobody listens
        again = Stream(own, last=str(here[0]["no"]))
        rest = await again.until(len(here) - 1 + 2)
        await again.leave()
        everything = Stream(own, query="after=0")
        whole = await everything.until(rest[-1]["no"])
        await everything.leave()
        return here, rest, whole

    here, rest, whole = own.loop.run_until_complete(listen())
    assert here[0]["no"] > 1
    assert list(range(here[0]["no"] + 1, rest[-1]["no"] + 1)) == [one["no"] for one in rest]
    assert here[1:] == rest[: len(here) - 1]
    assert list(range(1, whole[-1]["no"] + 1)) == [one["no"] for one in whole]
    assert {"reading", "score"} <= {one["kind"] for one in whole}


def test_a_reading_that_is_sent_over_rest_is_on_the_stream_at_once(own):
    async def listen() -> float:
        stream = await Stream(own).begun()
        start = own.loop.time()
        reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 200}
        assert 202 == (await own.asked("POST", "/readings", reading)).status
        await stream.until(1)
        took = own.loop.time() - start
        await stream.leave()
        return took

    assert own.loop.run_until_complete(listen()) < 5.0


def test_a_stream_tells_of_ones_own_wards_only(own):
    north, south = frozenset({"north"}), frozenset({"south"})
    key = own.key(["read"], south)
    sent(own, 0, 20, wards=north)
    own.engine.accept([{"person": "berta", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}], "test", "n", wards=south)

    async def listen() -> list[dict]:
        stream = Stream(own, query="after=0", key=key)
        found = await stream.until(1)
        await asyncio.sleep(0.4)
        await stream.leave()
        return found + events_of(stream.chunks)

    berta = own.engine.people(south)[0].person
    assert {berta} == {one["person"] for one in own.loop.run_until_complete(listen())}


def test_a_stream_ends_when_its_key_ends_and_when_the_server_stops(own, monkeypatch):
    from vitalwatch.api import stream as streaming
    from vitalwatch.database import access

    monkeypatch.setattr(streaming, "ANEW", 0.1)
    key, other = own.key(["read"]), own.key(["read"])

    async def listen() -> tuple[bool, bool]:
        stream, lasting = await Stream(own, key=key).begun(), await Stream(own, key=other).begun()
        with own.engine.database.writing() as connection:
            access.end(connection, key.split("_")[1], own.engine.now() - 1)
        own.forget()
        await asyncio.wait_for(stream.task, 10)
        lasted = not lasting.ended
        own.app.state.desk.ending.set()
        await asyncio.wait_for(lasting.task, 10)
        return lasted and stream.ended, lasting.ended

    assert (True, True) == own.loop.run_until_complete(listen())


def test_streams_are_counted_and_limited(own, monkeypatch):
    desk = own.app.state.desk
    monkeypatch.setattr(desk, "chosen", desk.chosen.model_copy(update={"streams": 1}))

    async def listen() -> int:
        stream = await Stream(own).begun()
        status = (await own.asked("GET", "/events")).status
        assert b"vitals_event_streams 1.0" in (await own.asked("GET", "/metrics")).body
        await stream.leave()
        return status

    assert 503 == own.loop.run_until_complete(listen())
    assert {} == desk.streams_of


def test_one_key_holds_no_more_than_its_share_of_streams(own, monkeypatch):
    desk = own.app.state.desk
    monkeypatch.setattr(desk, "chosen", desk.chosen.model_copy(update={"streams_a_key": 1}))

    async def listen() -> tuple[int, str]:
        stream = await Stream(own).begun()
        answer = await own.asked("GET", "/events")
        await stream.leave()
        return answer.status, answer.code

    assert (429, "too_many_requests") == own.loop.run_until_complete(listen())
    assert {} == desk.streams_of


def resumed(api: Api, n: int, **more) -> list[dict]:
    """Return the first events of a stream that goes on somewhere."""

    async def listen() -> list[dict]:
        stream = Stream(api, **more)
        found = await stream.until(n)
        await stream.leave()
        return found[:n]

    return api.loop.run_until_complete(listen())


@pytest.fixture
def retained(own) -> tuple[Api, int]:
    """Events of which retention has let go of the older half, up to a number."""
    for n in range(10):
        sent(own, n, 1)
    newest = own.engine.events_kept()[1]
    cut = newest // 2
    with own.engine.database.writing() as connection:
        connection.execute(delete(outbox).where(outbox.c.no <= cut))
    return own, cut


@pytest.mark.parametrize("how", ["last", "query"])
def test_who_goes_on_where_nothing_is_kept_any_more_is_told_of_the_gap_and_gets_all_that_is_kept(retained, how):
    api, cut = retained
    told = resumed(api, 2, **({"last": "2"} if how == "last" else {"query": "after=2"}))

    assert {"no": cut, "kind": "gap", "from": 3, "to": cut} == told[0]
    assert cut + 1 == told[1]["no"]


def test_who_goes_on_at_the_edge_of_what_is_kept_has_missed_nothing(retained):
    api, cut = retained
    told = resumed(api, 2, last=str(cut))

    assert [cut + 1, cut + 2] == [one["no"] for one in told]
    assert "gap" not in {one["kind"] for one in told}


def test_a_gap_goes_up_to_the_newest_where_nothing_at_all_is_kept(own):
    sent(own, 0, 10)
    newest = own.engine.events_kept()[1]
    with own.engine.database.writing() as connection:
        connection.execute(delete(outbox))

    assert [{"no": newest, "kind": "gap", "from": 1, "to": newest}] == resumed(own, 1, last="0")
    assert (newest + 1, newest) == own.engine.events_kept()


def test_who_goes_on_behind_the_newest_is_told_that_numbers_are_others_and_gets_what_comes(own):
    sent(own, 0, 10)
    newest = own.engine.events_kept()[1]

    async def listen() -> list[dict]:
        stream = Stream(own, last=str(newest + 1_000))
        await stream.until(1)
        await asyncio.to_thread(sent, own, 10, 1)
        found = await stream.until(2)
        await stream.leave()
        return found

    first, second = own.loop.run_until_complete(listen())[:2]
    assert {"no": newest, "kind": "reset", "newest": newest} == first
    assert newest + 1 == second["no"]


def test_who_listens_while_the_database_is_restored_is_told_at_once_and_gets_what_comes(own, tmp_path):
    sent(own, 0, 10)
    path, engine = tmp_path / "monday.gz", own.engine
    backup.backup(engine.database, path, engine._secret.id, 5)
    sent(own, 10, 40)
    before = engine.events_kept()[1]

    async def listen() -> tuple[list[dict], dict]:
        stream = await Stream(own).begun()
        await asyncio.to_thread(backup.restore, engine.database, path, replace=True)
        await asyncio.to_thread(engine.transactions.follow)  # as the engine's thread does twice a second
        await stream.until(1)
        await asyncio.to_thread(sent, own, 10, 1)
        found = await stream.until(2)
        await stream.leave()
        again = Stream(own, last=str(before))
        told = (await again.until(1))[0]
        await again.leave()
        return found, told

    (first, second, *_), again = own.loop.run_until_complete(listen())
    assert {"no": before, "kind": "reset", "newest": before} == first
    assert before + 1 == second["no"]
    assert "reset" == again["kind"]


def test_who_begins_while_the_database_is_restored_is_told_too(own, tmp_path, monkeypatch):
    sent(own, 0, 10)
    path, engine, kept = tmp_path / "monday.gz", own.engine, own.engine.events_kept
    backup.backup(engine.database, path, engine._secret.id, 5)
    sent(own, 10, 40)
    before, due = kept()[1], [True]

    def restored_meanwhile() -> tuple[int, int]:
        told = kept()
        if due:
            due.clear()
            backup.restore(engine.database, path, replace=True)
            engine.transactions.follow()  # as the engine's thread does twice a second
        return told

    monkeypatch.setattr(engine, "events_kept", restored_meanwhile)
    assert {"no": before, "kind": "reset", "newest": before} == resumed(own, 1)[0]


def test_who_begins_now_or_has_seen_the_newest_is_told_of_neither(retained):
    api, _ = retained
    newest = api.engine.events_kept()[1]

    async def listen() -> list[dict]:
        streams = [await Stream(api).begun(), await Stream(api, last=str(newest)).begun()]
        await asyncio.to_thread(sent, api, 40, 1)
        found = [(await stream.until(1))[0] for stream in streams]
        for stream in streams:
            await stream.leave()
        return found

    found = api.loop.run_until_complete(listen())
    assert [newest + 1] * 2 == [one["no"] for one in found]
    assert {"reading"} == {one["kind"] for one in found}


def test_retention_is_what_makes_a_gap(own):
    from vitalwatch.database.keeping import KINDS, retain

    sent(own, 0, 10)
    later = own.engine.now() + 8 * 86_400_000
    own.engine.now = lambda: later
    sent(own, 10, 1)
    days = {kind: 7 if kind == "events" else 400 for kind in KINDS}
    gone = retain(own.engine.database, days, later)["events"]

    assert gone > 0
    assert {"no": gone, "kind": "gap", "from": 1, "to": gone} == resumed(own, 1, query="after=0")[0]


def test_last_event_id_is_a_number(own):
    assert 422 == own.ask("GET", "/events", headers={"last-event-id": "1; drop"}).status

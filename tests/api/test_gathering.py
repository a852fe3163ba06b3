"""Readings of several requests in one transaction: each is answered for itself, in order, after the commit."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event, text

from serving_world import messages
from tiny import somebody
from vitalwatch.api.gathering import Gathering
from vitalwatch.deliveries import Delivery, Receipt, Sender
from vitalwatch.timestamps import parse_time

FOREVER = 1 << 60
NURSE = Sender("test", "nurse", None)


def reading(minute: int = 0, **more) -> dict:
    return {"person": "anna", "time": f"2026-01-05T08:{minute:02d}:00Z", "heart_rate": 60, **more}


def together(api, bodies: list, **more) -> list:
    async def all_at_once():
        return await asyncio.gather(*(api.asked("POST", "/readings", body, **more) for body in bodies))

    return api.loop.run_until_complete(all_at_once())


@pytest.fixture
def commits(own) -> list[int]:
    """Every commit of the writer, as it happens."""
    seen: list[int] = []

    def note(connection):
        if connection.get_execution_options().get("writes"):
            seen.append(1)

    event.listen(own.engine.database.engine, "commit", note)
    return seen


def test_requests_that_come_together_share_transactions_and_each_is_answered_for_itself(own, commits):
    told = messages(somebody(0).readings.rows(slice(0, 40)))
    answers = together(own, told)

    assert [202] * 40 == [answer.status for answer in answers]
    assert {1} == {answer.json["accepted"] for answer in answers}
    assert len(commits) < 10
    assert 40 == len(own.engine.timeline("anna", 0, FOREVER))


def test_scores_of_readings_taken_in_together_are_those_of_the_monitor_alone(own, tiny_monitor):
    readings = somebody(0).readings.rows(slice(0, 60))
    together(own, messages(readings))

    alone = tiny_monitor.answer(readings, forecast=False)
    told = own.engine.timeline("anna", 0, FOREVER).values["unusual"]
    assert alone.unusual.tobytes() == told.tobytes()


def test_of_the_same_reading_twice_at_once_the_first_is_taken_and_the_second_is_a_duplicate(own):
    first, again, other = together(own, [reading(event_id="a"), reading(event_id="a"), reading(event_id="a", steps=1)])

    assert (202, 200, 409) == (first.status, again.status, other.status)
    assert again.json["duplicate"]
    assert "event_id_conflict" == other.code


def test_a_refused_reading_is_kept_under_its_own_sender_and_harms_no_other(own):
    good, bad = together(own, [reading(), [reading(1), reading(2, heart_rate=900)]])

    assert (202, 202) == (good.status, bad.status)
    assert [] == good.json["rejected"]
    assert [(1, "out_of_physical_range")] == [(one["position"], one["code"]) for one in bad.json["rejected"]]
    assert 1 == len(own.engine.quarantine().refused)


def test_people_are_put_into_the_ward_of_the_key_that_sent_first(own):
    north, south = (own.key(["ingest", "read"], frozenset({ward})) for ward in ("north", "south"))

    async def both():
        sent = [({"person": "anna"}, north), ({"person": "anna"}, south), ({"person": "bert"}, south)]
        return await asyncio.gather(*(own.asked("POST", "/readings", reading() | who, key=key) for who, key in sent))

    answers = own.loop.run_until_complete(both())
    first = (
        "north" if answers[0].status == 202 else "south"
    )  # keys are looked up beside each other: either may be first
    assert [202, 403] == sorted(answer.status for answer in answers[:2])
    assert 202 == answers[2].status
    assert {("anna", first), ("bert", "south")} == {(one.name, one.ward) for one in own.engine.people(names_for="test")}


def test_a_load_that_fails_is_tried_request_by_request(own):
    broken = parse_time(reading(7)["time"])[0]
    trigger = f"CREATE TRIGGER t BEFORE INSERT ON readings WHEN NEW.time = {broken} BEGIN SELECT RAISE(ABORT, 'x'); END"
    together(own, [reading(59, person="first")])
    with own.engine.database.writing() as connection:
        connection.execute(text(trigger))
    answers = together(own, [reading(minute, person=f"p{minute}") for minute in range(12)])

    assert [503 if minute == 7 else 202 for minute in range(12)] == [answer.status for answer in answers]
    assert "storage" == answers[7].code
    names = {one.name for one in own.engine.people(names_for="test")}
    assert {"first", *(f"p{minute}" for minute in range(12) if minute != 7)} == names


def test_more_than_may_wait_are_sent_away_and_the_others_answered_in_order():
    taken: list[list[int]] = []

    async def take(deliveries):
        taken.append([len(one.raw) for one in deliveries])
        await asyncio.sleep(0)
        return [Receipt(len(one.raw)) for one in deliveries]

    async def ask():
        gathering = Gathering(take, 5)
        wanted = (gathering.add(Delivery([b"{}"] * n, NURSE)) for n in range(1, 8))
        return await asyncio.gather(*wanted, return_exceptions=True)

    told = asyncio.run(ask())
    assert [1, 2, 3, 4, 5] == [one.accepted for one in told[:5]]
    assert ["busy", "busy"] == [one.code for one in told[5:]]
    assert [1, 2, 3, 4, 5] == [n for load in taken for n in load]


def test_a_load_is_no_longer_than_what_is_written_soon():
    loads: list[int] = []

    async def take(deliveries):
        loads.append(sum(len(one.raw) for one in deliveries))
        return [Receipt(len(one.raw)) for one in deliveries]

    async def ask():
        gathering = Gathering(take, 100)
        return await asyncio.gather(*(gathering.add(Delivery([b"{}"] * 1000, NURSE)) for _ in range(9)))

    assert 9 == len(asyncio.run(ask()))
    assert [4000, 4000, 1000] == loads


def test_what_the_writer_cannot_take_is_told_to_everybody_who_waits():
    async def take(deliveries):
        raise OSError("the disk is gone")

    async def ask():
        gathering = Gathering(take, 100)
        told = await asyncio.gather(
            *(gathering.add(Delivery([b"{}"], NURSE)) for _ in range(3)), return_exceptions=True
        )
        return told, await asyncio.gather(gathering.add(Delivery([b"{}"], NURSE)), return_exceptions=True)

    first, later = asyncio.run(ask())
    assert ["the disk is gone"] * 4 == [str(one) for one in (*first, *later)]

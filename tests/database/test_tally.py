"""What happens often costs two entries a minute of the audit log, whatever a flood does, and its chain stays whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from serving_world import Ward
from vitalwatch.database.tally import HOUR, MOST, OTHERS, WINDOW, Tally, What, names_read
from vitalwatch.errors import DatabaseError

READ = What("key-1", "access.refuse", "people", "scope_missing")


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ward(tmp_path: Path, url: str) -> Iterator[Ward]:
    ward = Ward(tmp_path, None, url)
    yield ward
    ward.engine.close()


def entries(ward: Ward) -> list[tuple[str, str, dict]]:
    return [(one.actor, one.object, json.loads(one.detail)) for one in ward.engine.audit.entries()]


def test_the_first_is_written_at_once_and_the_others_of_its_minute_in_one_entry(ward: Ward) -> None:
    clock = Seconds()
    tally = Tally(ward.engine.audit, clock)
    assert tally.note(READ)
    tally.write()
    assert [("key-1", "people", {"code": "scope_missing"})] == entries(ward)

    for _ in range(10_000):
        assert not tally.note(READ)
        tally.write()
    assert 1 == len(entries(ward))
    clock.now += WINDOW
    tally.write()
    assert ("key-1", "people", {"code": "scope_missing", "again": 10_000, "seconds": 60}) == entries(ward)[-1]
    assert 2 == len(entries(ward))
    assert tally.note(READ), "another minute begins"
    ward.engine.audit.move_anchor()
    assert () == ward.engine.audit.verify().problems


def test_what_is_counted_by_the_hour_is_written_after_an_hour(ward: Ward) -> None:
    clock, names = Seconds(), names_read("key-1")
    tally = Tally(ward.engine.audit, clock)
    for _ in range(3):
        tally.note(names)
    tally.write()
    clock.now += WINDOW
    tally.write()
    assert 1 == len(entries(ward))
    clock.now += HOUR - WINDOW
    tally.write()

    assert ("key-1", "", {"again": 2, "seconds": 3600}) == entries(ward)[-1]


def test_one_alone_is_one_entry(ward: Ward) -> None:
    clock = Seconds()
    tally = Tally(ward.engine.audit, clock)
    tally.note(READ)
    tally.write()
    clock.now += WINDOW
    tally.write()

    assert 1 == len(entries(ward))
    assert tally.note(READ)


def test_each_who_and_what_has_a_count_of_its_own_and_a_crowd_of_them_one_together(ward: Ward) -> None:
    clock = Seconds()
    tally = Tally(ward.engine.audit, clock)
    for n in range(50 * MOST):
        tally.note(READ._replace(actor=f"key-{n}"))
    tally.write()
    clock.now += WINDOW
    tally.write()

    found = entries(ward)
    assert MOST + 2 == len(found)
    assert [(OTHERS, OTHERS, {}), (OTHERS, OTHERS, {"again": 49 * MOST - 1, "seconds": 60})] == found[-2:]


def test_who_reads_names_is_known_by_name_whatever_a_crowd_of_refusals_does(ward: Ward) -> None:
    tally = Tally(ward.engine.audit, Seconds())
    for n in range(3 * MOST):
        tally.note(READ._replace(actor=f"key-{n}"))
        tally.note(names_read(f"admin-{n}"))
    tally.write()

    who = [actor for actor, _, _ in entries(ward)]
    assert {f"admin-{n}" for n in range(3 * MOST)} <= set(who)
    assert MOST + 1 == len([actor for actor in who if not actor.startswith("admin")])


def test_what_the_database_does_not_take_is_written_later(ward: Ward) -> None:
    tally = Tally(ward.engine.audit, Seconds())
    engine = ward.engine.database.engine

    def refuse(connection, cursor, statement, *_: object) -> None:
        if "INSERT INTO audit" in statement:
            raise DatabaseError("here", "is read-only", "try again")

    event.listen(engine, "before_cursor_execute", refuse)
    tally.note(READ)
    with pytest.raises(DatabaseError):
        tally.write()
    assert tally.note(READ), "the first is still to be written"
    event.remove(engine, "before_cursor_execute", refuse)
    tally.write(all_of_it=True)

    assert [{"code": "scope_missing"}, {"code": "scope_missing", "again": 1, "seconds": 60}] == [
        detail for _, _, detail in entries(ward)
    ]


def test_an_engine_that_closes_writes_what_it_counted(ward: Ward) -> None:
    for _ in range(3):
        ward.engine.tally.note(READ)
    ward.again()

    assert [1, 2] == [detail.get("again", 1) for _, _, detail in entries(ward)]
    verdict = ward.engine.audit.verify()
    assert (2, ()) == (verdict.anchored, verdict.problems)

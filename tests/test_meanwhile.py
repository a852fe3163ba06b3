"""What changes between a look and the write that it leads to: another request, process or clerk was there meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch import intake
from vitalwatch.database import connection as database_connection
from vitalwatch.database import judgements
from vitalwatch.database.connection import PRAGMAS, Database

FOREVER = 1 << 60
ROWS = 400
LATE = slice(390, 394)
MEAN = {"own": {"own_1": {"when": {"mean": "heart_rate", "over": "3d", "above": 30}, "priority": "low"}}}


@pytest.fixture
def ward(tmp_path, tiny_bundle) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle)
    yield ward
    ward.engine.close()


@pytest.fixture
def calm(tmp_path, tiny_bundle) -> Iterator[Ward]:
    """A ward where nothing happens at the same time."""
    (tmp_path / "calm").mkdir()
    ward = Ward(tmp_path / "calm", tiny_bundle)
    yield ward
    ward.engine.close()


def rows() -> list[dict[str, object]]:
    return messages(somebody(0).readings.rows(slice(0, ROWS)))


def without_late() -> list[dict[str, object]]:
    return rows()[: LATE.start] + rows()[LATE.stop :]


def put_in_order(ward: Ward) -> int:
    return ward.engine.ordering.run(ward.engine.production.answering())


def told(ward: Ward) -> tuple[bytes, ...]:
    line = ward.engine.timeline("anna", 0, FOREVER)
    return (line.time.tobytes(), *(line.values[name].tobytes() for name in ("score", "p_value", "expected_heart_rate")))


def remembered(ward: Ward) -> object:
    with ward.engine.database.reading() as connection:
        return judgements.read(connection, [ward.engine.person("anna")])[1].to_json()


def test_late_readings_that_nobody_can_see_yet_are_put_in_order_once_they_are_committed(ward, monkeypatch):
    looks = []

    def looked(place: str) -> None:
        if place == "before-commit":
            looks.append(put_in_order(ward))

    ward.send(without_late())
    monkeypatch.setattr(intake, "failpoint", looked)
    ward.send(rows()[LATE])

    assert [0] == looks
    assert 4 == put_in_order(ward)


def test_late_readings_of_a_transaction_that_failed_are_not_waited_for(ward, monkeypatch):
    def full(place: str) -> None:
        if place == "before-commit":
            raise OSError

    ward.send(without_late())
    monkeypatch.setattr(intake, "failpoint", full)
    with pytest.raises(OSError):
        ward.send(rows()[LATE])

    assert {} == ward.engine.intake.disorder


def test_late_readings_that_a_busy_database_keeps_from_their_order_are_due_as_before(
    tmp_path, tiny_bundle, monkeypatch
):
    monkeypatch.setattr(database_connection, "PRAGMAS", (*PRAGMAS, "PRAGMA busy_timeout=20"))
    ward = Ward(tmp_path, tiny_bundle)
    ward.send(without_late())
    ward.send(rows()[LATE])
    other = Database(str(ward.engine.database.url))
    with other.writing():
        assert 0 == put_in_order(ward)
    other.close()

    assert 4 == put_in_order(ward)
    ward.engine.close()


def test_late_readings_of_a_process_that_died_are_put_in_order_by_the_one_that_takes_its_watch(ward):
    ward.send(without_late())
    ward.engine.vigil.stand()
    other = ward.open()
    other.start()
    assert other.vigil.guarding is None
    ward.send(rows()[LATE])
    ward.engine.close()
    began = time.monotonic()
    while "ordered" not in {one.kind for one in other.events(0, most=10_000)}:
        assert time.monotonic() - began < 30, "nobody put them in order"
        time.sleep(0.05)
    other.close()


@pytest.mark.parametrize("what", ["rules", "profile"])
def test_what_is_set_for_somebody_while_their_late_readings_are_looked_at_holds_for_them(ward, calm, what):
    def is_set(each: Ward) -> None:
        if what == "rules":
            each.engine.set_limits("anna", MEAN, "nurse")
        else:
            each.engine.set_profile("anna", {"age": 91}, "clerk")

    for each in (calm, ward):
        each.send([*rows()[: LATE.start], *rows()[LATE.stop : -1]])
        each.send(rows()[LATE])
    is_set(calm)
    due = [lambda: is_set(ward)]
    ordering = replace(ward.engine.ordering, look_after=lambda: due and due.pop()())
    assert 0 == ordering.run(ward.engine.production.answering())
    assert [] == due

    for each in (calm, ward):
        assert 4 == put_in_order(each)
        each.send(rows()[-1:])
    assert (told(calm), remembered(calm)) == (told(ward), remembered(ward))

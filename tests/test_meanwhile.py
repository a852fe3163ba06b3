"""What changes between a look and the write that it leads to: another request, process or clerk was there meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from serving_world import OTHER, RUN, Ward, messages
from tiny import somebody
from vitalwatch import intake
from vitalwatch.database import connection as database_connection
from vitalwatch.database import judgements
from vitalwatch.database.connection import PRAGMAS, Database
from vitalwatch.database.erasure import erase
from vitalwatch.errors import DatabaseBusy
from vitalwatch.tables import MINUTE
from vitalwatch.timestamps import rfc3339

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
    with other.writing(), pytest.raises(DatabaseBusy):
        put_in_order(ward)
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


def test_who_starts_anew_puts_in_order_what_came_late_with_hours_of_newer_readings(ward):
    whole, late = rows()[:80], slice(26, 28)
    ward.clock.ms = 1_900_000_000_000
    ward.send([*whole[: late.start], *whole[late.stop : 30]])
    ward.clock.ms += 60_000
    assert 2 == len(ward.send([*whole[late], *whole[30:]]).late)
    ward.again().ordering.everybody()

    assert 2 == put_in_order(ward)


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


def test_rules_remember_what_was_set_though_the_first_readings_after_it_could_not_be_written(ward, calm, monkeypatch):
    def full(place: str) -> None:
        if place == "before-commit":
            raise OSError

    for each in (calm, ward):
        each.send(rows()[:-1])
        each.engine.set_limits("anna", MEAN, "nurse")
    with monkeypatch.context() as patch:
        patch.setattr(intake, "failpoint", full)
        with pytest.raises(OSError):
            ward.send(rows()[-1:])
    for each in (calm, ward):
        each.send(rows()[-1:])

    assert remembered(calm) == remembered(ward)


def test_changed_rules_know_the_rows_that_were_scored_while_they_were_tried(ward, calm, monkeypatch):
    calm.send(rows()[:-1])
    calm.engine.set_limits("anna", MEAN, "nurse")
    ward.send(rows()[:-13])
    tried = ward.engine.try_limits

    def slowly(*asked):
        found = tried(*asked)
        ward.send(rows()[-13:-1])
        return found

    monkeypatch.setattr(ward.engine, "try_limits", slowly)
    ward.engine.set_limits("anna", MEAN, "nurse")
    for each in (calm, ward):
        each.send(rows()[-1:])

    assert remembered(calm) == remembered(ward)


def between(ward: Ward, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Have something happen once before the engine's next transaction begins."""
    due, transactions = [happens], ward.engine.transactions

    def writer() -> AbstractContextManager[object]:
        if due:
            due.pop()()
        return transactions()

    monkeypatch.setattr(ward.engine, "transactions", writer)


def ahead(ward: Ward) -> dict[str, object]:
    """Return a reading that is refused now and passes in an hour."""
    return {"person": "anna", "time": rfc3339(ward.clock() + 60 * MINUTE), "heart_rate": 70}


def test_who_is_erased_while_refused_readings_are_run_again_does_not_come_back_with_them(ward, monkeypatch):
    def erased() -> None:
        with ward.engine.database.writing() as connection:
            erase(connection, ward.engine.person("anna"))

    ward.send([*rows()[:5], ahead(ward)])
    ward.clock.ms += 120 * MINUTE
    between(ward, monkeypatch, erased)

    assert {"read": 0, "accepted": 0, "duplicate": 0} == ward.engine.replay("nurse").counts
    assert [] == ward.engine.people()


def test_two_who_run_refused_readings_again_at_once_take_each_once_and_keep_each_once(ward, monkeypatch):
    one = {"person": "anna", "time": rfc3339(ward.clock()), "heart_rate": 70, "event_id": "a"}
    ward.send([one, one | {"heart_rate": 71}, ahead(ward)])
    ward.clock.ms += 120 * MINUTE
    found = []
    between(ward, monkeypatch, lambda: found.append(ward.engine.replay("colleague").counts))
    found.append(ward.engine.replay("nurse").counts)

    assert {"read": 2, "accepted": 1, "duplicate": 0, "event_id_conflict": 1} == found[0]
    assert {"read": 0, "accepted": 0, "duplicate": 0} == found[1]
    assert {"event_id_conflict": 1} == ward.engine.quarantine().counts


def test_a_process_without_the_watch_leaves_people_with_the_run_that_the_other_serves(ward, tiny_bundle):
    other = ward.open()
    other.run()
    ward.place.add_run(OTHER, tiny_bundle)
    ward.send(rows()[:20])
    assert OTHER == ward.engine.person("anna").run
    former = replace(other.catching_up, now=ward.clock)
    serves = other.production.loaded(RUN)

    assert 0 == former.run(serves, has_watch=False)
    assert OTHER == ward.engine.person("anna").run
    other.close()


def test_who_is_left_waiting_by_the_process_with_the_watch_is_moved_by_any_other(ward, tiny_bundle):
    ward.send(rows()[:20])
    ward.place.add_run(OTHER, tiny_bundle)
    ward.again()  # it knows nothing of the run before
    ward.send(rows()[20:21])
    assert ward.engine.person("anna").behind
    assert 0 == ward.engine.catch_up(has_watch=False)

    ward.clock.ms += 31_000
    assert 1 == ward.engine.catch_up(has_watch=False)
    assert (OTHER, False) == (ward.engine.person("anna").run, ward.engine.person("anna").behind)


def test_who_is_moved_to_another_run_has_what_was_put_in_order_meanwhile(ward, calm, tiny_bundle):
    for each in (calm, ward):
        each.send(without_late()[:-1])
        each.send(rows()[LATE])
    assert 4 == put_in_order(calm)
    former = ward.engine.production.answering()
    for each in (calm, ward):
        each.place.add_run(OTHER, tiny_bundle)
    calm.engine.catch_up()
    due, transactions = [lambda: ward.engine.ordering.run(former)], ward.engine.transactions

    def writer() -> AbstractContextManager[object]:
        if due:
            due.pop()()
        return transactions()

    replace(ward.engine.catching_up, writing=writer).run(ward.engine.production.answering())
    ward.engine.catch_up()
    for each in (calm, ward):
        assert OTHER == each.engine.person("anna").run
        each.send(rows()[-1:])

    assert told(calm) == told(ward)

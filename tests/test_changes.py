"""Another medicine or device: own normal begins anew, at its place among the readings, whatever is made anew later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving_world import OTHER, RUN, Ward, messages
from tiny import somebody
from vitalwatch.database.changes import DEVICE, MEDICATION
from vitalwatch.errors import NotAllowed
from vitalwatch.monitor import Monitor
from vitalwatch.tables import MINUTE, Profile

FOREVER = 1 << 60
DAYS = 288 * 6
BETA = {"medication": ["beta_blocker"]}


@pytest.fixture
def ward(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle)
    yield ward
    ward.engine.close()


def alone(monitor: Monitor, before: int, after: int, told: Profile):
    """What the monitor alone says before and after the change."""
    readings = somebody(1).readings
    state, first = monitor.advance(monitor.begin("anna"), readings.rows(slice(0, before)), forecast=False)
    state = monitor.changed(state, told)
    return first, monitor.advance(state, readings.rows(slice(before, after)), forecast=False)[1]


def sent(ward: Ward, start: int, end: int) -> None:
    ward.send(messages(somebody(1).readings.rows(slice(start, end))))


def same(ward: Ward, monitor: Monitor, before: int, after: int) -> None:
    _, later = alone(monitor, before, after, Profile("anna", medication=("beta_blocker",)))
    line = ward.engine.timeline("anna", int(later.time[0]), FOREVER)
    assert not line.own_baseline.any()
    for name in ("score", "unusual", "expected_heart_rate"):
        assert np.array_equal(getattr(later, name), line.values[name], equal_nan=True), name


def test_own_normal_begins_anew_as_the_monitor_alone_begins_it(ward: Ward, tiny_monitor: Monitor) -> None:
    sent(ward, 0, DAYS)
    assert ward.engine.people()[0].own_baseline
    ward.engine.change("anna", MEDICATION, BETA, "nurse")
    sent(ward, DAYS, DAYS + 30)

    same(ward, tiny_monitor, DAYS, DAYS + 30)
    assert ("beta_blocker",) == ward.engine.profile("anna").medication
    assert not ward.engine.people()[0].own_baseline


def test_a_process_that_starts_anew_knows_of_the_change(ward: Ward, tiny_monitor: Monitor) -> None:
    sent(ward, 0, DAYS)
    ward.engine.change("anna", MEDICATION, BETA, "nurse")
    for start in range(DAYS, DAYS + 30, 10):
        ward.again()
        sent(ward, start, start + 10)

    same(ward, tiny_monitor, DAYS, DAYS + 30)


def test_a_change_among_readings_that_wait_for_a_model_takes_its_turn(
    tmp_path: Path, tiny_bundle: tuple[Path, Path], tiny_monitor: Monitor
) -> None:
    ward = Ward(tmp_path, None)
    try:
        sent(ward, 0, DAYS)
        ward.engine.change("anna", MEDICATION, BETA, "nurse")
        sent(ward, DAYS, DAYS + 30)
        ward.engine.change("anna", DEVICE, {}, "nurse")
        ward.place.add_run(RUN, tiny_bundle)
        ward.engine.catch_up()
        same(ward, tiny_monitor, DAYS, DAYS + 30)
        assert not ward.engine.people()[0].waiting
    finally:
        ward.engine.close()


def test_the_newest_change_holds_though_no_reading_came_after_it(ward: Ward, tiny_bundle: tuple[Path, Path]) -> None:
    ward.engine.monitor()
    sent(ward, 0, DAYS)
    ward.engine.change("anna", DEVICE, {}, "nurse")
    ward.place.add_run(OTHER, tiny_bundle)  # people move to it, made anew from their readings
    ward.engine.catch_up()
    sent(ward, DAYS, DAYS + 1)

    assert OTHER == ward.engine.run()
    assert not ward.engine.people()[0].own_baseline


def test_what_was_scored_before_stays_and_the_change_is_told_with_its_time(ward: Ward) -> None:
    sent(ward, 0, DAYS)
    before = ward.engine.timeline("anna", 0, FOREVER)
    ward.clock.ms += 7 * MINUTE
    ward.engine.change("anna", DEVICE, {}, "nurse")
    sent(ward, DAYS, DAYS + 1)
    after = ward.engine.timeline("anna", 0, int(before.time[-1]))

    assert [(ward.clock.ms, DEVICE)] == [(one.at, one.kind) for one in ward.engine.changes("anna")]
    assert np.array_equal(before.own_baseline[:-1], after.own_baseline)
    told = [one for one in ward.engine.events(0, most=10_000) if one.kind == "person"]
    assert [{"person": ward.engine.people()[0].person, "time": ward.clock.ms, "changed": DEVICE}] == [
        one.body for one in told
    ]


def test_nobody_elsewhere_is_changed(ward: Ward) -> None:
    ward.send(messages(somebody(1).readings.rows(slice(0, 1))), wards=frozenset({"north"}))

    with pytest.raises(NotAllowed):
        ward.engine.change("anna", DEVICE, {}, "nurse", frozenset({"south"}))
    with pytest.raises(NotAllowed):
        ward.engine.changes("anna", frozenset({"south"}))


def test_an_export_has_the_change_and_an_erased_person_leaves_none(ward: Ward) -> None:
    from sqlalchemy import func, select

    from vitalwatch.database import erasure, tables

    sent(ward, 0, 20)
    ward.engine.change("anna", MEDICATION, BETA, "nurse")
    person = ward.engine.person("anna")
    with ward.engine.database.writing() as connection:
        told = erasure.export(connection, ward.engine._secret, person, ward.settings.schema)
        erasure.erase(connection, replace(person))
        left = connection.execute(select(func.count()).select_from(tables.changes)).scalar()

    assert [MEDICATION] == [one["kind"] for one in told["changes"]]
    assert 0 == left

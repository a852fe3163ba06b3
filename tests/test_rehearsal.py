"""Own rules of a person through the engine: tried on stored history, audited, in force at once and after a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.alerts import ACKNOWLEDGE
from vitalwatch.database import audit, erasure, readings
from vitalwatch.database.tables import readings as table
from vitalwatch.errors import NotAllowed, SettingsError
from vitalwatch.tables import DAY, MINUTE

LIFE = somebody(2).readings
ROWS = 2600  # nine days
MEAN = {"when": {"mean": "heart_rate", "over": "3d", "above": 45}, "priority": "medium"}  # always so
FAST = {"when": {"vital": "heart_rate", "above": 64, "hysteresis": 5}, "priority": "low", "lasts": "10min"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory, tiny_bundle) -> Iterator[Ward]:
    ward = Ward(tmp_path_factory.mktemp("rehearsal"), tiny_bundle)
    ward.clock.ms = int(LIFE.time[ROWS - 1]) + 1000
    ward.send(messages(LIFE.rows(slice(0, ROWS))))
    yield ward
    ward.engine.close()


@pytest.fixture
def ward(filled) -> Iterator[Ward]:
    yield filled
    filled.engine.set_limits("anna", {}, "test")


def lives(ward: Ward, row: int, rows: int = 1, person: str = "anna") -> None:
    ward.clock.ms = int(LIFE.time[row + rows - 1]) + 1000
    ward.send(messages(LIFE.rows(slice(row, row + rows)), person))


def test_a_rule_is_tried_on_the_history_of_the_person_and_nothing_is_written(ward):
    tried = ward.engine.try_limits("anna", {"own": {"own_1": FAST}})
    span = (int(LIFE.time[ROWS - 1]) + 5 * MINUTE - int(LIFE.time[0])) / DAY

    assert tried.alarms["own_1"] > 3
    assert "own_1" not in tried.before
    assert span == pytest.approx(tried.days, abs=0.01)
    assert frozenset({"own_1"}) == tried.changed
    assert {} == (ward.engine.limits("anna") or {})


def test_a_looser_rule_would_have_raised_less_and_a_rule_that_is_off_nothing(ward):
    loose = FAST | {"when": {"vital": "heart_rate", "above": 110}}
    off = FAST | {"enabled": False}
    counts = [ward.engine.try_limits("anna", {"own": {"own_1": rule}}).alarms.get("own_1", 0) for rule in (loose, off)]

    assert counts[0] < ward.engine.try_limits("anna", {"own": {"own_1": FAST}}).alarms["own_1"]
    assert 0 == counts[1]


def test_own_limits_are_tried_too(ward):
    before = ward.engine.try_limits("anna", {})
    tried = ward.engine.try_limits("anna", {"limits": {"heart_rate": {"high": 70}}})

    assert tried.alarms["heart_rate_high"] > before.alarms.get("heart_rate_high", 0)
    assert before.alarms.get("heart_rate_high", 0) == tried.before.get("heart_rate_high", 0)
    assert before.alarms == before.before


SOONER = {
    "when": {"vital": "heart_rate", "above": 62, "hysteresis": 1}, "priority": "low",
    "lasts": "12h", "sooner": "10min", "louder": {"medium": 64, "high": 72}, "cool_down": "30min",
}  # fmt: skip


@pytest.mark.parametrize(("name", "rule", "rows", "still"), [("ben", FAST, 900, 0), ("carl", SOONER, 650, 1)])
def test_what_the_history_tells_is_what_the_engine_would_have_raised(ward, name, rule, rows, still):
    """In force from the second hour on, all acknowledged at once, as many alarms are raised as are told after."""
    lives(ward, 0, 12, name)
    ward.engine.set_limits(name, {"own": {"own_1": rule}}, "doctor")
    for row in range(12, rows):
        lives(ward, row, 1, name)
        for one in ward.engine.alarms(person=name):
            if one["state"] in ("signalling", "latched"):
                ward.engine.act(one["id"], ACKNOWLEDGE, "nurse")
    every = ward.engine.alarms(open_only=False, person=name)
    raised = [one for one in every if one["sounded_at"] and one["rule"] == "own_1"]
    tried = ward.engine.try_limits(name, ward.engine.limits(name))

    assert tried.alarms["own_1"] > 3
    assert len(raised) == tried.alarms["own_1"]
    assert still == sum(one["end"] is None for one in raised)


def test_a_rule_holds_at_once_also_one_about_days_and_after_a_restart(ward):
    ward.engine.set_limits("anna", {"own": {"own_1": MEAN}}, "doctor")
    lives(ward, ROWS)
    (found,) = [one for one in ward.engine.alarms(person="anna") if one["rule"] == "own_1"]

    assert "Mean heart rate over 3d is" in found["explanation"]
    assert found["start"] < int(LIFE.time[ROWS - 1])
    assert {"own": {"own_1": MEAN}} == ward.again().limits("anna")
    lives(ward, ROWS + 1)
    assert [found["id"]] == [one["id"] for one in ward.engine.alarms(person="anna") if one["rule"] == "own_1"]

    ward.engine.set_limits("anna", {}, "doctor")
    lives(ward, ROWS + 2)
    (over,) = [one for one in ward.engine.alarms(person="anna") if one["rule"] == "own_1"]
    assert ("latched", True) == (over["state"], over["end"] is not None)


def test_another_process_on_the_database_judges_by_the_new_rule_too(ward):
    lives(ward, ROWS + 3)  # the engine holds the person's state
    page = ward.open()
    page.set_limits("anna", {"own": {"own_2": MEAN}}, "doctor")
    page.close()
    lives(ward, ROWS + 4)

    assert ["own_2"] == [one["rule"] for one in ward.engine.alarms(person="anna") if one["rule"] == "own_2"]


def test_old_and_new_settings_are_written_to_the_audit_log(ward):
    first = {"limits": {"heart_rate": {"low": 44.0}}}
    ward.engine.set_limits("anna", first, "doctor")
    ward.engine.set_limits("anna", {"own": {"own_1": FAST}}, "nurse")
    newest = ward.engine.audit.entries(ward.engine.audit.newest() - 1)[-1]

    assert ("nurse", "limits.set") == (newest.actor, newest.action)
    with ward.engine.database.reading() as connection:
        opened = audit.opened(connection, ward.engine._secret, newest)
    assert {"before": first, "after": {"own": {"own_1": FAST}}} == opened


def test_a_wrong_rule_changes_nothing(ward):
    with pytest.raises(SettingsError, match="is no name of an own rule"):
        ward.engine.set_limits("anna", {"own": {"fast": FAST}}, "doctor")
    with pytest.raises(NotAllowed):
        ward.engine.try_limits("anna", {}, frozenset({"elsewhere"}))
    assert {} == (ward.engine.limits("anna") or {})


def test_own_rules_go_with_the_person(ward, tiny_bundle):
    ward.send(messages(LIFE.rows(slice(0, 30)), "dora"))
    ward.engine.set_limits("dora", {"own": {"own_1": FAST}}, "doctor")
    dora = ward.engine.person("dora")
    with ward.engine.database.reading() as connection:
        told = erasure.export(connection, ward.engine._secret, dora, ward.settings.schema)
    with ward.engine.database.writing() as connection:
        erasure.erase(connection, dora)

    assert {"own": {"own_1": FAST}} == told["limits"]
    with pytest.raises(NotAllowed):
        ward.engine.limits("dora")


def test_without_a_run_rules_are_written_and_nothing_is_tried(tmp_path):
    ward = Ward(tmp_path, None)
    ward.send(messages(LIFE.rows(slice(0, 3))))
    try:
        assert ward.engine.set_limits("anna", {"own": {"own_1": FAST}}, "doctor") is None
        assert {"own": {"own_1": FAST}} == ward.engine.limits("anna")
    finally:
        ward.engine.close()


def test_who_has_too_many_readings_has_fewer_days_tried(ward):
    anna = ward.engine.person("anna")
    with ward.engine.database.reading() as connection:
        times = connection.execute(select(table.c.time).where(table.c.person == anna.no)).scalars().all()

        assert 0 == readings.time_of_newest(connection, anna, len(times))
        assert 500 == sum(time >= readings.time_of_newest(connection, anna, 500) for time in times)

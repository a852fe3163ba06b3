from __future__ import annotations

import pytest

from ui.world import NOW, alarm, course
from vitalwatch.settings import Settings
from vitalwatch.ui import person


def test_newest_values_are_told_beside_what_is_usual(settings: Settings) -> None:
    one = course([60.0, 61.0, 90.0], z={"heart_rate": [0.0, 0.1, 4.2]})

    assert [("Heart rate", "90 bpm", "far above usual")] == person.vitals(one, settings.schema)


def test_a_value_that_is_too_old_is_not_told_as_the_newest(settings: Settings) -> None:
    assert [("Heart rate", "–", "not measured lately")] == person.vitals(course([60.0] + [None] * 5), settings.schema)


def test_pressure_is_told_as_it_is_read(settings: Settings) -> None:
    vitals = {"blood_pressure_systolic": [120.0], "blood_pressure_diastolic": [70.0]}
    one = course([60.0], vitals=vitals, z={"blood_pressure_systolic": [-2.5], "blood_pressure_diastolic": [0.2]})

    assert [("Pressure (mmHg)", "120/70", "clearly below usual")] == person.vitals(one, settings.schema)


def test_a_chart_is_described_for_those_who_do_not_see_it(settings: Settings) -> None:
    told = person.alt(course([60.0, None, 90.0], anomaly=[False, False, True]), "heart_rate", settings.schema)

    assert "Heart rate: newest 90, lowest 60, highest 90 bpm; 1 unusual moments." == told


def test_alarms_that_nobody_took_on_come_first() -> None:
    states = [("high", "acknowledged"), ("low", "signalling"), ("medium", "latched"), ("high", "resolved")]
    told = [alarm(*one, id=str(i)) for i, one in enumerate(states, start=1)]

    assert ["3", "2", "1"] == [one["id"] for one in person.open_alarms(told)]


def test_who_acknowledged_is_told() -> None:
    assert "acknowledged by nurse" == person.state(alarm(state="acknowledged", acknowledged_by="nurse"))


def test_only_what_differs_from_everybodys_is_kept() -> None:
    known = {"a": True, "b": False, "c": True}
    before = {"rules": {"c": {"priority": "high"}}, "wearing": None}
    limits = {"heart_rate": (40.0, None), "body_temperature": (None, None)}

    told = person.personal(before, limits, 2, "yes", {"a": True, "b": True, "c": True}, known)

    assert {"heart_rate": {"low": 40.0}} == told["limits"]
    assert {"b": {"enabled": True}, "c": {"priority": "high"}} == told["rules"]
    assert (2, True) == (told["oxygen_scale"], told["supplemental_oxygen"])


@pytest.mark.parametrize("told", person.OXYGEN)
def test_oxygen_comes_back_as_it_was_told(told: str) -> None:
    assert told == person.OXYGEN[person.oxygen_index(person.personal({}, {}, 1, told, {}, {}))]


def test_limits_the_wrong_way_round_are_named(settings: Settings) -> None:
    wanted = {"limits": {"heart_rate": {"low": 90.0, "high": 60.0}}}

    assert "Heart rate: the lower limit must be below the upper one." == person.problem(wanted, settings.schema)


def test_a_table_of_alarms_names_priority_in_marks_and_words() -> None:
    assert ["** Medium"] == person.alarm_table([alarm(end=NOW)], NOW, 0)["Priority"]

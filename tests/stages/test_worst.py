"""The worst cases are really the worst, each once, and drift is told of quiet days only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from report_world import KINDS, STEP, result, small_settings
from vitalwatch.casework import baseline_drift as drawn
from vitalwatch.casework import draw
from vitalwatch.monitor import Monitor
from vitalwatch.stages import worst
from vitalwatch.stages.judging import PersonResult
from vitalwatch.tables import Event


def shown(person: str, seed: int) -> PersonResult:
    """One of `report_world`'s people whose contributions are their residuals."""
    one = result(person, "test", seed=seed)
    return replace(one, answers=replace(one.answers, contribution=one.answers.residual))


@pytest.fixture
def people() -> list[PersonResult]:
    found = [shown(f"person-{i}", i) for i in range(3)]
    louder = found[1].answers.unusual.copy()
    louder[-3 * 12 - 12 :] += 1  # its false alarm is the furthest above the threshold
    found[1] = replace(found[1], answers=replace(found[1].answers, unusual=louder))
    start = int(found[2].answers.time[8 * 288 + 30])
    missed = Event("person-2", KINDS[0], start, start + 12 * STEP)
    return [*found[:2], replace(found[2], events=(*(found[2].events or ()), missed))]


@pytest.fixture
def cases(people: list[PersonResult], tiny_monitor: Monitor) -> dict[str, list[worst.Case]]:
    settings = small_settings()
    at_half = replace(tiny_monitor.detector.calibration, unusual_threshold=0.5, known_threshold=0.5)
    monitor = Monitor.__new__(Monitor)
    monitor.__dict__ |= tiny_monitor.__dict__
    monitor.detector = type(tiny_monitor.detector)(tiny_monitor.detector._forest, tiny_monitor.detector._known, at_half)
    return worst.judged_by_hand(people, monitor, settings)


def test_each_false_alarm_is_told_once_worst_first_with_what_would_clear_it(cases) -> None:
    found = cases["false_alarms"]

    assert "person-1" == found[0].person
    assert ["person-0", "person-1", "person-2"] == sorted(case.person for case in found)
    assert sorted((case.score for case in found), reverse=True) == [case.score for case in found]
    assert all(case.told == "faster than usual" and case.clearing for case in found)


def test_an_alarm_of_a_known_kind_says_what_its_head_rests_on(cases, people, tiny_monitor: Monitor) -> None:
    known = [case for case in cases["false_alarms"] if case.channel == "known"]
    (mine,) = [one for one in people if one.person == cases["false_alarms"][0].person]
    told = worst._rests(replace(cases["false_alarms"][0], channel="known"), mine, tiny_monitor)

    assert all(case.rests for case in known)
    assert all(not case.rests for case in cases["false_alarms"] if case.channel != "known")
    assert worst.RESTS == told.count(";") + 1
    assert "(all: " in told


def test_a_miss_is_an_episode_without_alarm_and_says_what_the_vitals_did(cases) -> None:
    (case,) = cases["misses"]

    assert ("person-2", KINDS[0]) == (case.person, case.kind)
    assert case.score < 0
    assert "came furthest from usual" in case.told


def test_a_panel_draws_what_the_explanation_names_first() -> None:
    schema = small_settings().schema
    variability = schema.columns["heart_rate_variability_rmssd"].label
    told = f"Respiratory rate 30 /min, 6 above your usual; {variability} 20 ms, 15 below."

    assert ("respiratory_rate", "heart_rate_variability_rmssd") == worst.named_first(told, schema)
    assert ("oxygen_saturation", "heart_rate") == worst.named_first(
        "Oxygen saturation 88 %; heart rate 99 /min.", schema
    )
    assert () == worst.named_first("NEWS2 is 7 of the vitals measured.", schema)


def test_drawn_cases_are_numbered_and_told_in_words(cases) -> None:
    picture = draw(cases["false_alarms"], "worst-alarms", "The worst false alarms.")

    assert picture is not None
    assert "1. unusual, person-1" in picture.svg or "1. known, person-1" in picture.svg
    assert picture.alt.startswith("The worst false alarms. 1: ")
    assert draw([], "worst-misses", "") is None


def test_drift_is_the_daily_median_of_quiet_rows(people: list[PersonResult]) -> None:
    lower = [replace(p, answers=replace(p.answers, residual=p.answers.residual - 2)) for p in people]
    rows = worst.baseline_drift(lower)["heart_rate"]

    assert list(range(10)) == [row["day"] for row in rows]
    assert all(row["people"] == 3 and row["low"] <= row["median"] <= row["high"] for row in rows)
    assert [-2] * 10 == pytest.approx([row["median"] for row in rows], abs=0.2)  # episodes of +30 bpm do not count
    picture = drawn(worst.baseline_drift(lower))
    assert picture is not None
    assert "heart rate -2.0" in picture.alt
    assert drawn({}) is None


def test_of_a_vital_that_nobody_measured_no_drift_is_told(people: list[PersonResult]) -> None:
    unknown = [
        replace(p, answers=replace(p.answers, residual=np.full_like(p.answers.residual, np.nan))) for p in people
    ]

    assert {} == worst.baseline_drift(unknown)


def test_with_two_people_no_drift_is_told(people: list[PersonResult]) -> None:
    assert all(not rows for rows in worst.baseline_drift(people[:2]).values())
    assert np.isfinite(people[0].answers.residual).all()

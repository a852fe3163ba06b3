"""The worst cases are really the worst, each once, and drift is told of quiet days only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from report_world import KINDS, STEP, result, small_settings
from vitalwatch.baseline import VITALS
from vitalwatch.casework import Case, draw, is_short, vitals_drawn
from vitalwatch.casework import baseline_drift as drawn
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
    assert case.told.startswith("Body temperature: ")  # what a fever is named after
    assert "own spreads in the mean of its rows" in case.told


def moved(change: float, *, jolt: float = 0.0, blind: int = 0) -> str:
    """What is told of twelve rows of heart rate moved by so many own spreads, one of them jolted, some not assessed."""
    answers = result("one", "test").answers
    residual, assessable = np.zeros_like(answers.residual), np.ones(len(answers), bool)
    residual[100:112, 0] = change
    residual[105, 0] += jolt
    assessable[100 : 100 + blind] = False
    told = replace(answers, residual=residual, assessable=assessable)
    return worst._moved(told, slice(100, 112), KINDS[1], ("heart_rate",), small_settings())


def test_a_heart_that_was_too_slow_is_told_to_be_below_usual_whatever_one_row_said() -> None:
    assert "Heart rate: -1.2 own spreads in the mean of its rows, -1.5 in the furthest." == moved(-1.5, jolt=4.0)


def missed(kind: str, vitals: tuple[str, ...], **z: float) -> str:
    """What is told of a missed episode of a kind that moved vitals by so many own spreads, NaN: not measured."""
    answers = result("one", "test").answers
    residual = np.zeros_like(answers.residual)
    for vital, moved_by in z.items():
        residual[100:112, answers.vitals.index(vital)] = moved_by
    return worst._moved(replace(answers, residual=residual), slice(100, 112), kind, vitals, small_settings())


def test_a_missed_bradycardia_tells_the_slow_heart_before_what_moved_further() -> None:
    both = ("heart_rate", "heart_rate_variability_rmssd")
    told = missed("bradycardia", both, heart_rate=-0.4, heart_rate_variability_rmssd=0.7)

    assert told.startswith("Heart rate: -0.4 own spreads in the mean of its rows, -0.4 in the furthest. ")
    assert "Heart rate variability (RMSSD): +0.7 own spreads" in told
    assert 1 == missed("bradycardia", both, heart_rate=-0.9, heart_rate_variability_rmssd=0.7).count("own spreads")


def test_of_a_vital_that_was_not_measured_a_miss_tells_nothing() -> None:
    told = missed("fever", ("body_temperature", "heart_rate"), body_temperature=np.nan, heart_rate=0.5)

    assert told.startswith("Heart rate: +0.5")
    assert "Body temperature" not in told


def test_of_a_kind_that_nobody_wrote_down_the_vital_moved_most_is_told() -> None:
    assert missed("fainting", ("heart_rate", "oxygen_saturation"), heart_rate=-2, oxygen_saturation=1).startswith(
        "Heart rate: -2.0"
    )


def test_every_kind_of_the_schema_has_vitals_that_it_is_named_after() -> None:
    schema = small_settings().schema

    assert set(schema.events.kinds) == set(worst.NAMED_AFTER)
    assert set(VITALS) >= {vital for vitals in worst.NAMED_AFTER.values() for vital in vitals}


def test_a_miss_in_which_too_little_was_measured_says_so() -> None:
    assert moved(2.0, blind=9).endswith("Not assessable in 75% of it.")
    assert "Not assessable in 100% of it." == moved(2.0, blind=12)
    assert "assessable" not in moved(2.0)


def test_a_panel_draws_what_the_explanation_names_first() -> None:
    schema = small_settings().schema
    variability = schema.columns["heart_rate_variability_rmssd"].label
    told = f"Respiratory rate 30 /min, 6 above your usual; {variability} 20 ms, 15 below."

    assert ("respiratory_rate", "heart_rate_variability_rmssd") == worst.named_first(told, schema)
    assert ("oxygen_saturation", "heart_rate") == worst.named_first(
        "Oxygen saturation 88 %; heart rate 99 /min.", schema
    )
    assert () == worst.named_first("NEWS2 is 7 of the vitals measured.", schema)


def alarm_of(vitals: tuple[str, ...], hours: float, *, channel: str = "known") -> Case:
    """A case of so many hours in which every vital lies further from usual than the one before it."""
    answers = result("one", "test").answers
    z = np.zeros_like(answers.residual)
    begin = 2000
    rows = slice(begin, begin + int(hours * 12))
    z[rows] = np.arange(len(answers.vitals)) + 1.0
    answers = replace(answers, residual=z, contribution=-z[:, ::-1])
    start, end = int(answers.time[begin]), int(answers.time[begin]) + int(hours * 12) * STEP
    return Case("one", answers, (), start, end, "fever", channel, 1.0, "", vitals=vitals)


def test_an_alarm_is_drawn_by_the_two_vitals_that_it_names_in_their_order() -> None:
    assert ("heart_rate", "body_temperature") == vitals_drawn(alarm_of(("heart_rate", "body_temperature"), 3))
    assert ("body_temperature", "heart_rate") == vitals_drawn(alarm_of(("body_temperature", "heart_rate"), 3))


def test_beside_the_one_vital_that_is_named_stands_the_one_furthest_from_usual() -> None:
    assert ("body_temperature", VITALS[0]) == vitals_drawn(alarm_of(("body_temperature",), 3))


def test_a_miss_is_drawn_by_the_vitals_that_its_kind_moves_the_furthest_first() -> None:
    case = alarm_of(("heart_rate", "respiratory_rate", "body_temperature"), 3, channel="")

    assert ("heart_rate", "respiratory_rate") == vitals_drawn(case)  # contribution falls along VITALS


def test_a_miss_of_less_than_an_hour_is_drawn_as_single_rows_and_an_alarm_never() -> None:
    short, long, alarm = alarm_of((), 0.5, channel=""), alarm_of((), 1, channel=""), alarm_of((), 0.5)

    assert [True, False, False] == [is_short(case) for case in (short, long, alarm)]
    assert (VITALS[-1], VITALS[-2]) == vitals_drawn(short)  # residual rises along VITALS, contribution falls
    assert (VITALS[0], VITALS[1]) == vitals_drawn(long) == vitals_drawn(alarm)
    assert [True, False] == ["single rows" in draw([case], "one", "One.").svg for case in (short, long)]


def test_what_could_not_be_assessed_is_shaded() -> None:
    case = alarm_of(("heart_rate",), 3)
    blind = np.ones(len(case.answers), bool)
    blind[2010:2020] = False
    shaded = replace(case, answers=replace(case.answers, assessable=blind))

    assert "not assessable" in draw([case], "one", "One.").svg
    before, after = (draw([one], "one", "One.").svg.count("--rule") for one in (case, shaded))
    assert before < after


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

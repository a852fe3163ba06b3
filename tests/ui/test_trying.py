from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ui.world import NOW, course
from vitalwatch.settings import Settings
from vitalwatch.tables import Profile
from vitalwatch.ui import trying

if TYPE_CHECKING:
    from vitalwatch.monitor import Monitor


def test_the_form_makes_one_reading_a_step_up_to_now(settings: Settings) -> None:
    readings = trying.steady(settings.schema, {"heart_rate": 70.0, "body_temperature": float("nan")}, 30, NOW)

    assert 6 == len(readings)
    assert ["heart_rate"] == list(readings.values)
    assert 0 <= NOW - readings.time[-1] < settings.schema.step_ms


def test_five_minutes_are_too_little_to_judge(tiny_monitor: Monitor) -> None:
    readings = trying.steady(tiny_monitor.schema, {"heart_rate": 150.0}, 5, NOW)
    judged = trying.judge(tiny_monitor, readings, Profile("form"))

    assert ("unknown", "Not assessable: too little was measured to judge this moment.") == trying.verdict(judged)


def test_hard_work_asks_for_a_faster_heart_than_sleep(tiny_monitor: Monitor) -> None:
    rates = []
    for kind in ("Asleep", "Running"):
        values = trying.activity(tiny_monitor.schema, kind)
        judged = trying.judge(tiny_monitor, trying.steady(tiny_monitor.schema, values, 60, NOW), Profile("form"))
        rates.append(judged.course.expected[-1])

    assert rates[0] < rates[1]


@pytest.mark.parametrize(
    ("p", "anomaly", "state", "begins"),
    [
        (0.0004, True, "unusual", "Fewer than 1 in 1,000 normal moments"),
        (0.004, False, "unusual", "About 1 in 250 normal moments"),
        (0.05, False, "usual", "About 1 in 20 normal moments"),
        (0.6, False, "usual", "About 60% of normal moments"),
    ],
)
def test_a_verdict_says_how_rare_such_a_moment_is(p: float, anomaly: bool, state: str, begins: str) -> None:
    judged = trying.Judged(course([60.0], p_value=[p], anomaly=[anomaly]), (), None)
    told, sentence = trying.verdict(judged)

    assert state == told
    assert sentence.startswith(begins)


def test_a_verdict_says_whose_normal_it_was_judged_against() -> None:
    judged = trying.Judged(course([60.0], own_baseline=[False]), (), None)

    assert "the population's normal" in trying.verdict(judged)[1]


UNREADABLE = [
    ("60", "Write at least two"),
    ("", "Write at least two"),
    ("60 x 61", "Number 2"),
    ("60 900", "Number 2"),
    ("60 nan", "Number 2"),
    ("1e9 60", "Number 1"),
]


@pytest.mark.parametrize(("text", "problem"), UNREADABLE)
def test_what_cannot_be_read_is_named_by_its_place(text: str, problem: str) -> None:
    told = trying.series_of(text)

    assert isinstance(told, str)
    assert told.startswith(problem)


def test_a_dash_is_not_measured() -> None:
    assert np.array_equal([60.0, np.nan, 62.0], trying.series_of("60, -; 62"), equal_nan=True)


def test_a_series_is_forecast_from(tiny_monitor: Monitor) -> None:
    series = trying.of_series(tiny_monitor.schema, [62.0, 63.0, 61.0, 64.0] * 6, NOW)
    judged = trying.judge(tiny_monitor, series, Profile("form"))
    assert judged.ahead is not None

    rows = trying.forecast_rows(judged.ahead, tiny_monitor.schema)

    assert ["Vital", "in 5 min", "in 15 min", "in 30 min", "in 60 min"] == list(rows[0])


VALUES = {"heart_rate": 115.0, "oxygen_saturation": 90.0, "respiratory_rate": 22.0, "body_temperature": 38.5}


def test_the_early_warning_score_is_told_with_its_parts(settings: Settings) -> None:
    told = trying.warning_score(VALUES, settings.schema)

    assert (8, 4) == (told.total, told.known)
    assert [
        ("Breathing", "22 /min", "2"),
        ("Oxygen saturation", "90 %", "3"),
        ("Air or oxygen", "not told", "–"),
    ] == list(told.parts[:3])
    assert "emergency" in told.band


def test_the_second_scale_and_what_was_told_count(settings: Settings) -> None:
    told = trying.warning_score(VALUES, settings.schema, scale=2, oxygen=True, alert=False)

    assert 2 + 0 + 2 + 2 + 3 + 1 == told.total


def test_nothing_measured_is_no_zero(settings: Settings) -> None:
    assert trying.warning_score({}, settings.schema).total is None

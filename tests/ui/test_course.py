from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tiny import somebody
from ui.world import NOW, STEP, alarm, course
from vitalwatch.tables import DAY, MINUTE
from vitalwatch.ui import course as courses
from vitalwatch.ui.course import Ahead, Course

if TYPE_CHECKING:
    from vitalwatch.monitor import Monitor
    from vitalwatch.tables import Answers


@pytest.fixture(scope="module")
def answers(tiny_monitor: Monitor) -> Answers:
    one = somebody(1)
    return tiny_monitor.answer(one.readings.rows(slice(0, 600)), one.profile)


def test_a_course_holds_every_row_and_nothing_carried_forward(answers: Answers) -> None:
    told = courses.of_answers(answers)
    measured = int((np.isfinite(answers.grid.column("heart_rate")) & ~answers.grid.filled[:, 0]).sum())

    assert len(answers) == len(told)
    assert measured == sum(value is not None for value in told.vitals["heart_rate"])


def test_what_cannot_be_judged_has_no_score(answers: Answers) -> None:
    told = courses.of_answers(answers)

    assert answers.assessable.tolist() == [score is not None for score in told.score]


def test_a_course_survives_json(answers: Answers) -> None:
    told = courses.of_answers(answers)

    assert told == Course(**json.loads(json.dumps(told.to_json(), allow_nan=False)))


def test_the_clock_of_a_course_is_the_persons_own(answers: Answers) -> None:
    told = courses.of_answers(answers)

    assert answers.grid.minute.tolist() == [moment % DAY // MINUTE for moment in told.local]
    assert somebody(1).readings.offset[0] == told.offset


def test_the_forecast_is_that_of_the_newest_row(answers: Answers) -> None:
    found = courses.ahead_of(answers)
    assert found is not None

    assert int(answers.time[-1]) == found.time
    assert list(answers.horizons) == [row[0] for row in found.vitals["heart_rate"]]
    assert all(low <= middle <= high for _, low, middle, high in found.vitals["heart_rate"])


def test_nothing_is_forecast_from_nothing(answers: Answers) -> None:
    assert courses.ahead_of(replace(answers, forecast=np.full_like(answers.forecast, np.nan))) is None


def test_a_gap_parts_the_line() -> None:
    rows = courses.chart_rows(course([60.0, None, None, None, None, None, None, None, 62.0]), "heart_rate")

    assert [60.0, None, 62.0] == [row["value"] for row in rows if row["what"] == "measured"]


def test_a_short_gap_does_not() -> None:
    rows = courses.chart_rows(course([60.0, None, None, 62.0]), "heart_rate")

    assert [60.0, 62.0] == [row["value"] for row in rows if row["what"] == "measured"]


def test_an_open_alarm_is_drawn_to_the_end_on_the_persons_clock() -> None:
    rows = courses.chart_rows(course([60.0] * 24), "heart_rate", alarms=[alarm("high", start=NOW - 10 * MINUTE)])
    strips = [row for row in rows if row["what"] == "alarm"]

    assert [(NOW + 50 * MINUTE, NOW + 60 * MINUTE + STEP, "*** High")] == [
        (r["time"], r["end"], r["sign"]) for r in strips
    ]


def test_alarms_are_drawn_apart_by_the_highest_priority_with_its_marks() -> None:
    low = alarm("low", start=NOW - 40 * MINUTE, end=NOW - 10 * MINUTE)
    high = alarm("high", start=NOW - 30 * MINUTE, end=NOW - 20 * MINUTE)
    same = alarm("low", start=NOW - 15 * MINUTE, end=NOW - 5 * MINUTE)
    rows = courses.chart_rows(course([60.0] * 24), "heart_rate", alarms=[high, low, same])
    strips = [row for row in rows if row["what"] == "alarm"]

    assert [(20, 30, "*"), (30, 40, "***"), (40, 55, "*")] == [
        ((r["time"] - NOW) // MINUTE, (r["end"] - NOW) // MINUTE, r["mark"]) for r in strips
    ]


def test_a_summary_after_a_reconnect_is_no_alarm_of_its_own_on_the_chart() -> None:
    """It lasts from the oldest of those that it speaks for to the newest, over all that lies between."""
    summary = alarm("high", rule="backlog", start=NOW - 100 * MINUTE)
    member = alarm("medium", start=NOW - 100 * MINUTE, end=NOW - 90 * MINUTE)
    strips = courses.strips(course([60.0] * 24), [summary, member], 5)

    assert [(NOW - 40 * MINUTE, NOW - 30 * MINUTE, "medium")] == strips


def test_an_alarm_before_the_chart_is_not_drawn() -> None:
    past = alarm(start=NOW - 2 * DAY, end=NOW - DAY)

    assert [] == [
        r for r in courses.chart_rows(course([60.0] * 5), "heart_rate", alarms=[past]) if r["what"] == "alarm"
    ]


def test_the_fan_begins_at_the_newest_value() -> None:
    ahead = Ahead(NOW, {"heart_rate": [(5, 58.0, 60.0, 63.0), (60, 50.0, 61.0, 75.0)]})
    fan = [row for row in courses.chart_rows(course([60.0, 66.0]), "heart_rate", ahead) if row["what"] == "forecast"]

    assert [(66.0, 66.0), (58.0, 63.0), (50.0, 75.0)] == [(row["low"], row["high"]) for row in fan]
    assert [0, 5, 60] == [(row["time"] - ahead.time) // MINUTE - 60 for row in fan]


def test_the_band_of_a_vital_is_what_the_monitor_calls_normal_in_its_own_unit(answers: Answers) -> None:
    told = courses.of_answers(answers)
    place = answers.vitals.index("body_temperature")
    half = 2 * answers.spread[:, place]

    low, high = courses.band(told, "body_temperature")
    assert low == pytest.approx((answers.centre[:, place] - half).tolist(), abs=0.006)
    assert high == pytest.approx((answers.centre[:, place] + half).tolist(), abs=0.006)
    root = answers.vitals.index("heart_rate_variability_rmssd")  # judged on a square-root scale
    above = (answers.centre[:, root] + 2 * answers.spread[:, root]) ** 2
    assert courses.band(told, "heart_rate_variability_rmssd")[1] == pytest.approx(above.tolist(), abs=0.006)


def test_nothing_known_is_no_band() -> None:
    assert [[], []] == courses.band(course([60.0]), "body_temperature")


def test_another_medicine_is_a_line_on_the_persons_clock() -> None:
    one = replace(course([60.0] * 3), changes=[(NOW - STEP, "medication")])
    rows = [row for row in courses.chart_rows(one, "heart_rate") if row["what"] == "change"]

    assert [(NOW - STEP + 60 * MINUTE, "other medication")] == [(row["time"], row["sign"]) for row in rows]


def test_the_band_of_heart_rate_is_that_of_the_moment() -> None:
    rows = [row for row in courses.chart_rows(course([60.0] * 3), "heart_rate") if row["what"] == "usual"]

    assert [(50.0, 80.0)] * 3 == [(row["low"], row["high"]) for row in rows]


def test_coverage_is_the_share_of_a_whole_day() -> None:
    half = course([60.0] * 144, local=[DAY * 20_000 + i * STEP for i in range(144)])

    assert [0.5] == [row["share"] for row in courses.worn_by_day(half)]


def test_the_last_rows_are_cut_in_every_column() -> None:
    cut = course([60.0, 61.0, 62.0]).last(2)

    assert ([61.0, 62.0], 2, 2) == (cut.vitals["heart_rate"], len(cut), len(cut.z["heart_rate"]))

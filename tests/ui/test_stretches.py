"""A long recording over an API: every row is asked once, and alarms that cross a seam are one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import somebody
from ui.world import NOW, STEP, course
from vitalwatch.ui.stretches import MOST, joined, stretches
from vitalwatch.ui.trying import Judged

READINGS = somebody(1).readings


@pytest.mark.parametrize("rows", [1, 288, 1000, 1001, 2000, 4000])
def test_every_reading_is_in_one_stretch(rows: int) -> None:
    whole = READINGS.rows(slice(0, rows))
    parts = stretches(whole)

    assert whole.time.tolist() == [moment for part in parts for moment in part.time.tolist()]
    assert all(0 < len(part) <= MOST for part in parts)
    assert (len(parts) == 1) == (rows <= MOST)


def alarm(start: int, end: int, channel: str = "unusual") -> dict[str, object]:
    return {"channel": channel, "kind": "", "start": NOW + start * STEP, "end": NOW + end * STEP, "priority": "low"}


def test_what_is_told_twice_is_told_once_and_an_alarm_over_a_seam_is_one() -> None:
    first = Judged(
        course([60.0] * 6, z={"steps": [1.0] * 6}), (alarm(-5, -3), alarm(-1, 1), alarm(-4, -3, "rule")), None
    )
    later = course([70.0] * 8)
    second = Judged(
        replace(later, time=[moment + 4 * STEP for moment in later.time], vitals={"oxygen_saturation": [97.0] * 8}),
        (alarm(-2, -1), alarm(-1, 3), alarm(2, 4, "rule")),
        None,
    )
    whole = joined([first, second], STEP)

    assert [NOW + place * STEP for place in range(-5, 5)] == whole.course.time
    assert [60.0] * 6 + [None] * 4 == whole.course.vitals["heart_rate"]
    assert [None] * 6 + [97.0] * 4 == whole.course.vitals["oxygen_saturation"]
    assert 10 == len(whole.course.score) == len(whole.course.z["heart_rate"]) == len(whole.course.z["steps"])
    assert [alarm(-5, -3), alarm(-1, 3), alarm(-4, -3, "rule"), alarm(2, 4, "rule")] == list(whole.alarms)


def test_one_stretch_is_as_it_is() -> None:
    alone = Judged(course(np.full(5, 61.0).tolist()), (alarm(-2, 0),), None)

    assert alone == joined([alone], STEP)

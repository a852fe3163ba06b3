"""Own days teach what is expected of a person; before them, and with few of them, the population speaks."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch import habits
from vitalwatch.baseline import CONTEXTS, SIGNALS, Normal

ASLEEP, REST, ACTIVE = range(len(CONTEXTS))
MINUTE = (np.arange(288) * 5).astype(np.int16)
CONTEXT = np.where(MINUTE < 420, ASLEEP, np.where(MINUTE < 900, REST, ACTIVE)).astype(np.int8)
LIFT = np.where(CONTEXT == ACTIVE, 10 + MINUTE % 40, 0).astype(np.float32)


def normal() -> Normal:
    centre = np.zeros((3, len(SIGNALS)))
    centre[:, 0] = 60, 66, 70
    return Normal(np.zeros((3, len(SIGNALS), 5)), centre, np.ones_like(centre), np.array([7000.0, 3000.0]))


def lived(days: int, above: np.ndarray) -> habits.Habits:
    own = habits.population(normal())
    for _ in range(days):
        own = habits.learn(own, CONTEXT, above, LIFT, MINUTE, normal())
    return own


def told(own: habits.Habits) -> np.ndarray:
    return habits.of_many([own], np.zeros(288, np.intp), CONTEXT, LIFT, MINUTE)[0]


def test_without_own_days_it_is_the_population() -> None:
    expected = np.array([60, 66, 70])[CONTEXT] + LIFT

    np.testing.assert_allclose(expected, told(habits.population(normal())), rtol=1e-6)


def test_two_weeks_tell_the_own_level_the_slope_and_the_time_of_day() -> None:
    above = np.array([50.0, 55.0, 58.0])[CONTEXT] + 0.5 * LIFT + 6.0 * ((MINUTE >= 540) & (MINUTE < 720))
    after = np.sqrt(np.mean((told(lived(14, above)) - LIFT - above) ** 2))
    before = np.sqrt(np.mean((told(habits.population(normal())) - LIFT - above) ** 2))

    assert after < 1.2
    assert before > 8


def test_one_day_moves_the_level_but_hardly_the_time_of_day() -> None:
    above = np.array([50.0, 56.0, 60.0])[CONTEXT] + 8.0 * (MINUTE // 180 == 4)
    own = lived(1, above)

    assert own.offset[REST].mean() == pytest.approx(57, abs=1.5)
    assert np.ptp(own.offset[REST]) < 4


def test_a_day_without_heart_rate_teaches_nothing() -> None:
    own = lived(1, np.full(288, np.nan))

    np.testing.assert_allclose(told(habits.population(normal())), told(own), rtol=1e-6)


def test_usual_rates_by_hour_begin_at_what_is_expected_and_become_own_means() -> None:
    above = np.where(MINUTE < 720, 50.0, 80.0)
    now, rest = np.array([690], np.int16), np.array([REST], np.int8)
    begin, later = (
        habits.of_many([own], np.zeros(1, np.intp), rest, np.zeros(1, np.float32), now)[1]
        for own in (habits.population(normal()), lived(14, above - LIFT))
    )

    assert [[66, 66, 66]] == begin.tolist()
    assert later[0] == pytest.approx([50, 79.6, 79.6], abs=1.2)


def test_one_row_is_told_as_among_many() -> None:
    own, which = [habits.population(normal()), lived(9, 50 + 0.3 * LIFT)], np.repeat([0, 1], 144)
    expected, usual = habits.of_many(own, which, CONTEXT, LIFT, MINUTE)
    for row in range(0, 288, 7):
        one = slice(row, row + 1)
        alone = habits.of_one(own, which[one], CONTEXT[one], LIFT[one], MINUTE[one])

        assert np.array_equal(expected[one], alone[0])
        assert np.array_equal(usual[one], alone[1])

"""A person's own level: learnt from quiet blocks after enrolment, frozen by alarms, the same in any chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vitalwatch import own_level
from vitalwatch.own_level import NOBODYS, Level, Plan, Usual
from vitalwatch.tables import DAY, MINUTE

STEP = 5 * MINUTE
ROWS = DAY // STEP
PLAN = Plan(need=2, of=3, block_ms=6 * 60 * MINUTE, counted_ms=7 * DAY, used_ms=14 * DAY, pull=30.0, keep=1 - 6 / 672)
USUAL = Usual(cut=2.0, mean=0.5)


def days(score: float, count: int, first: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows of whole days that all score the same."""
    rows = np.arange(first * ROWS, (first + count) * ROWS, dtype=np.int64)
    return np.full(len(rows), score, np.float32), rows * STEP


def factors(score: NDArray[np.float32], time: NDArray[np.int64], usual: Usual = USUAL) -> NDArray[np.float64]:
    return own_level.advance(Level(), score, time, usual, PLAN)[1]


def test_nobody_has_an_own_level_in_the_first_two_weeks() -> None:
    told = factors(*days(1.5, 14))
    assert (told == 1.0).all()


@pytest.mark.parametrize(("score", "side"), [(0.9, 1), (0.5, 0), (0.1, -1)])
def test_whose_quiet_days_score_high_is_judged_by_a_higher_level(score: float, side: int) -> None:
    told = factors(*days(score, 28))
    assert side == np.sign(round(told[-1] - 1.0, 6))


def test_the_level_is_the_mean_of_quiet_blocks_drawn_towards_the_population() -> None:
    told = factors(*days(0.9, 28))
    blocks = 0.0
    for _ in range(20 * 4 + 3):  # from the seventh day to the last block but the open one
        blocks = PLAN.keep * blocks + 1.0
    assert pytest.approx((blocks * 0.9 / 0.5 + 30) / (blocks + 30)) == told[-1]


def test_blocks_with_an_alarm_teach_nothing() -> None:
    score, time = days(0.5, 28)
    alarming = score.copy()
    alarming[20 * ROWS : 22 * ROWS] = 5.0  # above the cut
    assert [1.0, 1.0] == [factors(score, time)[-1], factors(alarming, time)[-1]]


def test_a_single_high_row_is_no_level() -> None:
    score, time = days(0.5, 28)
    spiky = score.copy()
    spiky[9 * ROWS :: 50] = 1.9  # never two of three
    assert factors(score, time).tolist() == factors(spiky, time).tolist()


def test_days_of_enrolment_teach_nothing() -> None:
    score, time = days(0.5, 28)
    strange = score.copy()
    strange[: 7 * ROWS - 1] = 1.8  # the last row of enrolment is still among the three of the next one
    assert factors(score, time)[-1] == factors(strange, time)[-1]


def test_rows_that_cannot_be_judged_are_no_quiet_ones() -> None:
    score, time = days(0.9, 28)
    gone = score.copy()
    gone[8 * ROWS :] = np.nan
    told = factors(gone, time)
    blocks = 0.0
    for _ in range(4 + 1):  # of the eighth day, and that of the row after it, which two of three still hold up
        blocks = PLAN.keep * blocks + 1.0
    assert pytest.approx((blocks * 0.9 / 0.5 + 30) / (blocks + 30)) == told[-1]


def test_without_quiet_blocks_of_calibration_people_nobody_has_an_own_level() -> None:
    assert (factors(*days(0.9, 28), NOBODYS) == 1.0).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(1, 20 * 12 - 1), max_size=30),
    gap=st.integers(0, 300),
)
@settings(max_examples=60, deadline=None)
def test_any_chunks_give_the_same_levels_to_the_bit(seed: int, cuts: list[int], gap: int) -> None:
    random = np.random.default_rng(seed)
    plan = Plan(need=2, of=3, block_ms=60 * MINUTE, counted_ms=DAY // 12, used_ms=DAY // 6, pull=3.0, keep=0.9)
    n = 20 * 12
    score = random.exponential(0.5, n).astype(np.float32)
    score[random.random(n) < 0.1] = np.nan
    rows = np.arange(n, dtype=np.int64)
    rows[n // 2 :] += gap
    whole, told = own_level.advance(Level(), score, rows * STEP, USUAL, plan)
    level, parts = Level(), []
    edges = sorted({0, n, *cuts})
    for start, stop in pairwise(edges):
        level, found = own_level.advance(level, score[start:stop], rows[start:stop] * STEP, USUAL, plan)
        parts.append(found)
    assert told.tolist() == np.concatenate(parts).tolist()
    assert whole == level
    one, single = Level(), []
    for i in range(n):
        one, found = own_level.advance(one, score[i : i + 1], rows[i : i + 1] * STEP, USUAL, plan)
        single.extend(found.tolist())
    assert told.tolist() == single
    assert whole == one


def test_calibration_people_are_on_their_own_level_on_average() -> None:
    random = np.random.default_rng(1)
    time = [np.arange(7 * ROWS, 28 * ROWS, dtype=np.int64) * STEP for _ in range(30)]
    own = np.repeat(random.uniform(0.5, 1.5, 30), 21 * ROWS)
    score = random.exponential(0.2, len(own)) * own
    usual = own_level.usual_of(score, time, 3.0, PLAN)
    told = own_level.factors_of(score, time, usual, PLAN).reshape(30, -1)
    assert 0.9 < told[:, -1].mean() < 1.1
    assert np.corrcoef(told[:, -1], own.reshape(30, -1)[:, 0])[0, 1] > 0.9
    assert (told[:, : 7 * ROWS] == 1.0).all()


def test_usual_blocks_come_back_from_json_as_they_were() -> None:
    assert [USUAL, NOBODYS] == [Usual.from_json(one.to_json()) for one in (USUAL, NOBODYS)]

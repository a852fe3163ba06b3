from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vitalwatch.alarms import intervals, merge_and_cut, persisted, persistent
from vitalwatch.tables import MINUTE

STEP = 5 * MINUTE


def rows(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


def test_one_row_over_the_threshold_is_not_yet_an_alarm():
    assert [False] * 5 == persistent(rows("..x.."), need=2, of=3).tolist()


def test_two_rows_of_the_last_three_are():
    assert rows("...x.").tolist() == persistent(rows(".x.x."), need=2, of=3).tolist()
    assert rows("..xx.").tolist() == persistent(rows(".xx.."), need=2, of=3).tolist()


def test_the_rows_before_the_first_count_as_not_over():
    assert rows(".x").tolist() == persistent(rows("xx"), need=2, of=3).tolist()


@pytest.mark.parametrize(("need", "of"), [(1, 1), (1, 3), (2, 3), (3, 3)])
def test_what_comes_later_changes_no_earlier_alarm(need, of):
    over = np.random.default_rng(1).random(60) < 0.4
    whole = persistent(over, need, of)

    assert all(whole[: n + 1].tolist() == persistent(over[: n + 1], need, of).tolist() for n in range(60))


@examples(deadline=None)
@given(
    st.lists(st.one_of(st.floats(-5, 5), st.just(float("nan"))), max_size=40),
    st.sampled_from([(1, 1), (2, 3), (3, 5)]),
    st.floats(-5, 5),
)
def test_a_threshold_on_the_persisted_score_is_persistence_of_the_threshold(scores, rule, threshold):
    score = np.array(scores, np.float64)

    assert persistent(score > threshold, *rule).tolist() == (persisted(score, *rule) > threshold).tolist()


def test_a_stretch_of_rows_is_one_interval_that_ends_with_its_last_step():
    time = np.arange(6) * STEP

    assert [(STEP, 3 * STEP), (4 * STEP, 5 * STEP)] == intervals(rows(".xx.x."), time, STEP)
    assert [] == intervals(rows("......"), time, STEP)


def test_a_gap_in_the_grid_ends_an_interval():
    time = np.array([0, 1, 10, 11]) * STEP

    assert [(0, 2 * STEP), (10 * STEP, 12 * STEP)] == intervals(rows("xxxx"), time, STEP)


def test_alarms_come_back_sorted_merged_and_cut():
    assert [(0, 360), (360, 500), (600, 610)] == merge_and_cut([(600, 610), (0, 440), (100, 120), (480, 500)], 60, 360)


def test_merging_and_cutting_again_changes_nothing():
    rng = np.random.default_rng(3)
    start = rng.integers(0, 5000, 40)
    once = merge_and_cut(np.stack((start, start + rng.integers(1, 700, 40)), axis=1), 60, 360)

    assert once == merge_and_cut(once, 60, 360)
    assert all(end - begin <= 360 for begin, end in once)


def test_no_alarms_stay_no_alarms():
    assert [] == merge_and_cut([], 60, 360)

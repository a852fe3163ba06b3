"""platt: within an hour the order stays, between chosen hours it runs straight, alone it is equal to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch.platt import Platt, nearness

BY_HOURS = Platt((6, 12, 24), (0.3, 0.8, 1.1), (-1.0, -0.4, 0.2))


def one(probability: float, hour: int, by: Platt = BY_HOURS) -> float:
    return float(by(np.asarray([probability], np.float32), np.asarray([hour]))[0])


def test_within_an_hour_the_order_of_scores_stays_and_the_level_moves():
    told = Platt((1,), (0.5,), (-1.0,))(np.asarray([0.1, 0.5, 0.9], np.float32), np.asarray([3, 3, 3]))

    assert (np.diff(told) > 0).all()
    assert 1 / (1 + np.e) == pytest.approx(told[1], rel=1e-5)


@pytest.mark.parametrize(("hour", "offset"), [(1, -1.0), (6, -1.0), (12, -0.4), (24, 0.2), (300, 0.2)])
def test_at_chosen_hours_and_beyond_them_it_is_as_chosen(hour: int, offset: float):
    assert 1 / (1 + np.exp(-offset)) == pytest.approx(one(0.5, hour), rel=1e-6)


def test_between_chosen_hours_it_runs_straight_in_their_logarithm():
    half = one(0.5, 17)  # about halfway from 12 to 24

    assert -0.1 == pytest.approx(np.log(half / (1 - half)), abs=0.01)
    assert np.allclose(1, nearness(BY_HOURS.hours, np.arange(1, 60)).sum(axis=1))


def test_an_hour_alone_is_told_as_among_others_to_the_bit():
    rng = np.random.default_rng(1)
    raw, hour = rng.random(500).astype(np.float32), rng.integers(1, 90, 500)
    together = BY_HOURS(raw, hour)

    assert together.tolist() == [one(value, at) for value, at in zip(raw, hour.tolist(), strict=True)]


def test_a_score_of_none_or_of_certainty_is_an_answer_too():
    assert 0 < one(0.0, 9) < one(1.0, 9) < 1

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, r2_score, root_mean_squared_error

from vitalwatch.metrics import regression
from vitalwatch.metrics.bootstrap import Estimate, estimate, mean_over_people, ratio, weights

RNG = np.random.default_rng(11)
TRUE = RNG.normal(70, 10, 400)
TOLD = TRUE + RNG.normal(1, 5, 400)
HALVES = np.stack([regression.error_sums(TRUE[i::2], TOLD[i::2]) for i in range(2)])


def test_pooled_errors_are_scikit_learns():
    total = HALVES.sum(axis=0)

    assert mean_absolute_error(TRUE, TOLD) == pytest.approx(float(regression.mae(total)))
    assert root_mean_squared_error(TRUE, TOLD) == pytest.approx(float(regression.rmse(total)))
    assert r2_score(TRUE, TOLD) == pytest.approx(float(regression.r2(total)))


def test_rows_without_truth_or_answer_are_left_out():
    sums = regression.error_sums(np.array([60.0, np.nan, 70.0]), np.array([61.0, 5.0, np.nan], np.float32))

    assert [1, 1, 1, 60, 3600] == sums.tolist()


def test_pinball_is_scikit_learns_averaged_over_quantiles():
    told = np.stack((TOLD - 6, TOLD, TOLD + 6), axis=1)
    quantiles = np.array([0.1, 0.5, 0.9])
    expected = np.mean([mean_pinball_loss(TRUE, told[:, i], alpha=q) for i, q in enumerate(quantiles)])

    assert expected == pytest.approx(float(regression.pinball(regression.pinball_sums(TRUE, told, quantiles))))


def test_coverage_and_width_of_an_interval():
    sums = regression.interval_sums(np.array([1.0, 5.0, 9.0, np.nan]), np.full(4, 0.0), np.full(4, 5.0))

    assert pytest.approx(2 / 3) == float(regression.coverage(sums))
    assert 5.0 == float(regression.width(sums))


def test_the_worst_person_is_told_apart_from_the_pool():
    people = np.array([[1000.0, 900, 0], [200.0, 100, 0], [10.0, 0, 0]])

    assert 0.5 == regression.worst_coverage(people)


def test_skill_is_the_share_of_error_that_a_line_loses():
    draws = weights(2, 200, np.random.default_rng(1))
    found = regression.skill(HALVES, HALVES * [1, 2, 4, 1, 1], draws, 0.95)

    assert 0.5 == pytest.approx(found.value)
    assert 0.5 == pytest.approx(found.low)


def test_each_draw_is_as_many_people_as_there_are():
    draws = weights(42, 1000, np.random.default_rng(1))

    assert (1000, 42) == draws.shape
    assert (draws.sum(axis=1) == 42).all()


def test_the_interval_of_a_mean_is_that_of_the_textbook():
    rng = np.random.default_rng(2)
    values = rng.normal(10, 2, 400)
    found = mean_over_people(values, weights(400, 2000, rng), 0.95)

    assert values.mean() == pytest.approx(found.value)
    assert 1.96 * values.std() / 20 == pytest.approx((found.high - found.low) / 2, rel=0.1)


def test_people_without_a_figure_do_not_pull_the_mean():
    found = mean_over_people(np.array([1.0, np.nan, 3.0]), weights(3, 50, np.random.default_rng(1)), 0.9)

    assert 2.0 == found.value


def test_nobody_gives_no_figure_rather_than_zero():
    nothing = estimate(lambda total: ratio(total[..., 0], total[..., 1]), np.zeros((0, 2)), np.zeros((10, 0)), 0.9)

    assert {"value": None, "low": None, "high": None} == nothing.table()
    assert {"value": 0.5, "low": None, "high": None} == Estimate(0.5).table()

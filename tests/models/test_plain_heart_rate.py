"""The line of boosted trees without anything of the person's own."""

from __future__ import annotations

import numpy as np

from vitalwatch.models.plain_heart_rate import LEAST_ROWS, PlainTrees


def test_it_learns_what_activity_does_to_a_heart():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (4000, 3))
    rate = 60 + 50 * (x[:, 0] > 0.5) + rng.normal(0, 1, 4000)
    told = PlainTrees(x, rate, 1).predict(np.array([[0.2, 0.5, 0.5], [0.8, 0.5, 0.5]]))

    np.testing.assert_allclose([60, 110], told, atol=1.0)


def test_the_same_rows_teach_the_same_trees():
    rng = np.random.default_rng(2)
    x, rate = rng.uniform(0, 1, (2000, 3)), rng.normal(70, 9, 2000)

    np.testing.assert_array_equal(PlainTrees(x, rate, 1).predict(x), PlainTrees(x, rate, 2).predict(x))


def test_with_too_few_rows_it_says_their_mean_and_without_any_nothing():
    few = PlainTrees(np.zeros((LEAST_ROWS, 2)), np.linspace(60, 80, LEAST_ROWS), 1)

    np.testing.assert_allclose([70, 70], few.predict(np.zeros((2, 2))), atol=1e-4)
    assert np.isnan(PlainTrees(np.zeros((0, 2)), np.zeros(0), 1).predict(np.zeros((1, 2)))).all()

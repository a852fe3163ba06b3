from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from vitalwatch.metrics import ranking
from vitalwatch.metrics.bootstrap import weights
from vitalwatch.metrics.probability import Told

# What aeon 1.6.0 gives (range_pr_vus_score) for the worlds below at buffers 0, 8 and 24.
AEON = [
    (600, [(100, 140), (300, 310)], 0.9, [0.888400774, 0.865011719, 0.816685572]),
    (1000, [(0, 30), (500, 620), (980, 1000)], 1.5, [0.663600357, 0.662398978, 0.659056777]),
    (400, [(50, 53), (57, 70), (200, 260)], 0.7, [0.986970197, 0.967724792, 0.939932]),
    (400, [(10, 12), (50, 51), (200, 203), (300, 340)], 3.0, [0.270532492, 0.282666615, 0.337077422]),
    (500, [(240, 260)], 50.0, [0.061170425, 0.063999577, 0.073668236]),
]


def world(n: int, spans: list[tuple[int, int]], noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores that are one higher inside; the noise needs no generator."""
    labels = np.zeros(n, bool)
    for start, end in spans:
        labels[start:end] = True
    wobble = np.modf(np.arange(n) * 0.6180339887498949)[0] + np.modf(np.arange(n) * 0.754877666)[0]
    return labels, labels + wobble * noise


@pytest.mark.parametrize(("n", "spans", "noise", "given"), AEON)
def test_vus_pr_is_what_aeon_gives(n, spans, noise, given):
    labels, score = world(n, spans, noise)
    found = [ranking.Surface(labels, range(buffer + 1)).vus_pr(score, trapezoid=True) for buffer in (0, 8, 24)]

    assert given == pytest.approx(found, abs=1e-8)


def test_a_perfect_score_reaches_one_where_there_is_no_buffer():
    labels, _ = world(600, [(100, 140), (300, 310)], 0)

    assert pytest.approx(1.0, abs=1e-3) == ranking.Surface(labels, [0]).vus_pr(labels + np.arange(600) * 1e-6)


def test_detectors_without_skill_get_the_share_of_episode_rows():
    labels, _ = world(4000, [(100, 300), (2000, 2200)], 0)
    surface = ranking.Surface(labels, [0])
    random = np.random.default_rng(1).random(4000)

    assert 0.1 == pytest.approx(surface.vus_pr(np.ones(4000)), abs=1e-9)
    assert 0.1 == pytest.approx(surface.vus_pr(random), abs=0.02)
    assert 0.1 == pytest.approx(ranking.average_precision(labels, np.ones(4000)), abs=1e-9)
    assert 0.1 == pytest.approx(ranking.average_precision(labels, random), abs=0.02)


def test_linear_interpolation_would_pay_a_constant_detector():
    labels, _ = world(4000, [(100, 300), (2000, 2200)], 0)

    assert ranking.Surface(labels, [0]).vus_pr(np.ones(4000), trapezoid=True) > 0.5


def test_rows_that_cannot_be_assessed_rank_lowest():
    labels = np.array([True, False, False, True])

    assert 1.0 == ranking.average_precision(labels, np.array([3.0, np.nan, np.nan, 2.0]))
    assert 0.5 == ranking.average_precision(labels, np.array([np.nan, 2.0, 1.0, np.nan]))


def test_without_both_classes_there_is_no_average_precision():
    assert np.isnan(ranking.average_precision(np.zeros(5, bool), np.arange(5.0)))


def test_the_interval_of_average_precision_holds_its_value():
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(20), 200)
    labels = rng.random(4000) < 0.1
    score = labels + rng.normal(size=4000)
    found = ranking.average_precision_estimate(labels, score, person, weights(20, 500, rng), 0.95)

    assert found.low < found.value < found.high
    assert found.high - found.low < 0.2


def test_brier_is_scikit_learns_and_leaves_unknown_rows_out():
    rng = np.random.default_rng(3)
    labels, told = rng.random(500) < 0.3, rng.random(500)
    known = told.copy()
    told[::7] = np.nan
    found = Told.of(labels, told, np.arange(500) % 5).brier(weights(5, 100, rng), 0.95)

    assert brier_score_loss(labels[np.isfinite(told)], known[np.isfinite(told)]) == pytest.approx(found.value)
    assert found.low <= found.value <= found.high


def test_reliability_shows_an_overconfident_probability():
    labels = np.array([True] * 5 + [False] * 5)
    told = Told.of(labels, np.full(10, 0.95), np.arange(10) % 2)
    (row,) = told.reliability([0.0, 0.9, 1.0], weights(2, 200, np.random.default_rng(1)), 0.95)

    assert (0.9, 1.0, 10, 0.5) == (row["from"], row["to"], row["rows"], row["true"]["value"])
    assert 0.95 == pytest.approx(row["told"])
    assert 0.4 == pytest.approx(row["true"]["low"])  # one of the two people has two of five rows true
    assert 0.6 == pytest.approx(row["true"]["high"])


def test_rows_in_episodes_that_stand_for_fewer_make_episodes_as_rare_as_in_life():
    labels = np.array([True] * 20 + [False] * 80)
    told = Told.of(labels, np.full(100, 0.2), np.zeros(100, int), weight_inside=0.1)
    draws = weights(1, 3, np.random.default_rng(1))

    assert 2 / 82 == pytest.approx(told.mean(told.labels, draws, 0.95).value)
    assert 2 / 82 * 0.8**2 + 80 / 82 * 0.2**2 == pytest.approx(told.brier(draws, 0.95).value)


def test_the_roc_area_of_a_known_order_and_of_no_order():
    labels = np.asarray([False, True, False, True])

    assert 0.75 == ranking.auroc(labels, np.asarray([0.1, 0.4, 0.5, 0.9]))
    assert 0.5 == ranking.auroc(labels, np.full(4, np.nan))
    assert np.isnan(ranking.auroc(np.zeros(4, bool), np.arange(4.0)))


def test_the_roc_interval_by_person_holds_the_value_and_each_draw_is_scikit_learns():
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(20), 30)
    labels = rng.random(600) < 0.2
    score = labels + rng.normal(size=600)
    draws = weights(20, 200, rng)
    found = ranking.auroc_estimate(labels, score, person, draws, 0.95)
    rows = np.repeat(np.arange(600), draws[0][person].astype(int))

    assert found.low < found.value < found.high
    assert ranking.auroc(labels[rows], score[rows]) == pytest.approx(
        ranking.auroc_draws(labels, score, person, draws)[0], abs=2e-3
    )

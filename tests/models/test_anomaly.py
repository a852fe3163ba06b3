"""Forests say how unusual a row is, high is unusual; calibration says how surprising that is among normal people."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tiny import small_settings
from vitalwatch import features
from vitalwatch.attribution import Attribution
from vitalwatch.export import forests_to_onnx, leaf_depths, mean_depth
from vitalwatch.models import anomaly
from vitalwatch.runtime import Model
from vitalwatch.scoring import ASLEEP, Detector, Scale, Scales, one_group
from vitalwatch.tables import MINUTE

DETECTOR = small_settings().params.detector
GROUPS = len(features.GROUPS)
BLOCK = 72  # rows of six hours


def rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (n, len(features.NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def forest() -> Model:
    return Model(anomaly.fit(rows(2000, 1), DETECTOR, seed=1))


def test_each_group_scores_what_is_unusual_for_its_own_organ(forest):
    x = np.zeros((GROUPS + 1, len(features.NAMES)), np.float32)
    for number, columns in enumerate(features.GROUPS.values()):
        x[number, list(columns)] = 6.0
    score = forest.run(x=x)["score"]

    assert (GROUPS + 1, GROUPS) == score.shape
    assert (score[range(GROUPS), range(GROUPS)] > score[GROUPS] + 0.1).all()


def test_training_twice_gives_the_same_bytes_and_another_seed_gives_others():
    x = rows(300, 2)

    assert anomaly.fit(x, DETECTOR, seed=1) == anomaly.fit(x, DETECTOR, seed=1)
    assert anomaly.fit(x, DETECTOR, seed=1) != anomaly.fit(x, DETECTOR, seed=2)


def test_fewer_rows_than_a_trees_sample_are_enough():
    assert np.isfinite(Model(anomaly.fit(rows(20, 3), DETECTOR, seed=1)).run(x=rows(5, 4))["score"]).all()


def surprise_of(scale: Scale, score: np.ndarray, asleep: np.ndarray) -> np.ndarray:
    x = np.ones((len(score), len(features.NAMES)), np.float32)  # everything is measured
    x[:, ASLEEP] = asleep
    return Detector(None, None, anomaly.uncalibrated(scale)).surprise(score, x)


def on(scale: Scale, score: np.ndarray) -> np.ndarray:
    """Return the scale's value of each score, (n,): linear between knots and beyond the last two."""
    place = np.maximum(np.searchsorted(scale.knots, score, side="right") - 1, 0)
    return np.maximum(scale.values[place] + (score - scale.knots[place]) * scale.slopes[place], 0.0)


def test_a_block_is_as_surprising_as_its_highest_row_is_rare_among_blocks():
    rng, days = np.random.default_rng(5), 1000
    normal, new = (rng.random((days * BLOCK, 1)).astype(np.float32) for _ in range(2))
    blocks, awake = np.repeat(np.arange(days), BLOCK), np.zeros(days * BLOCK, np.bool_)
    scale = anomaly.surprise_scale(normal, awake, blocks)
    highest = surprise_of(scale, new, awake)[:, 0].reshape(days, BLOCK).max(axis=1)

    for share in (0.5, 0.2, 0.1, 0.02):
        assert share == pytest.approx((highest > -np.log10(share)).mean(), rel=0.3)
    assert np.log10((days + 1) / 2) == pytest.approx(surprise_of(scale, normal, awake).max(), abs=1e-6)


def test_surprise_rises_beyond_all_that_calibration_saw_ever_slower_and_by_a_decade_at_most():
    rng = np.random.default_rng(6)
    scale = anomaly.surprise_scale(
        rng.random((40 * BLOCK, 2)).astype(np.float32), rng.random(40 * BLOCK) < 0.3, np.repeat(np.arange(40), BLOCK)
    )
    score = np.linspace(-0.5, 2, 400)[:, None].repeat(2, axis=1)

    for asleep in (False, True):
        surprise = surprise_of(scale, score, np.full(400, asleep))
        assert (np.diff(surprise, axis=0) >= 0).all()
        rise = np.diff(surprise[score[:, 0] > 1], axis=0)
        assert (np.diff(rise, axis=0) < 1e-9).all()
        assert (rise[:5] > 0).all()
        assert (surprise >= 0).all()
        assert (surprise[-1] == scale.values[int(asleep), :, -1]).all()
        seen = surprise_of(scale, np.ones((1, 2)), np.full(1, asleep))[0]
        assert (surprise[-1] <= seen + 1.0).all()


def test_saturated_scores_are_told_what_all_who_reach_them_are_and_hardly_more_a_little_above():
    """Forests of few columns give their highest score to many: a hair above it is no rarer than that."""
    rng = np.random.default_rng(14)
    score = np.minimum(rng.gumbel(0.5, 0.05, (2000 * BLOCK, 1)), 0.8).astype(np.float32)
    block = np.repeat(np.arange(2000), BLOCK)
    scale = anomaly.surprise_scale(score, np.zeros(len(score), np.bool_), block)
    reached = (score.reshape(2000, BLOCK).max(axis=1) >= np.float32(0.8)).sum()
    assert reached > 100
    told = surprise_of(scale, np.asarray([[0.8], [0.8 + 1e-6], [0.81], [3.0]]), np.zeros(4, np.bool_))[:, 0]

    assert [-np.log10((1 + reached) / 2001)] * 2 == pytest.approx(told[:2], abs=0.01)
    assert told[2] < told[1] + 0.2
    assert told[3] <= told[1] + 1.0


def test_two_highest_scores_that_lie_close_together_make_no_steep_end():
    rng = np.random.default_rng(15)
    score = rng.gumbel(0.5, 0.05, (1000 * BLOCK, 1))
    order = np.argsort(score[:, 0])
    score[order[-1]] = score[order[-2]] + 1e-5
    scale = anomaly.surprise_scale(score, np.zeros(len(score), np.bool_), np.repeat(np.arange(1000), BLOCK))
    above = score.max() + np.asarray([[0.0], [0.001], [0.01]])
    at, hair, little = surprise_of(scale, above, np.zeros(3, np.bool_))[:, 0]

    assert at == pytest.approx(hair, abs=0.03)
    assert at < little < at + 0.3


def test_sleep_has_a_scale_of_its_own():
    asleep = np.tile(np.repeat([True, False], BLOCK // 2), 200)
    score = np.random.default_rng(7).random((len(asleep), 1)) + 2.0 * ~asleep[:, None]
    scale = anomaly.surprise_scale(score.astype(np.float32), asleep, np.repeat(np.arange(200), BLOCK))
    usual_by_day = np.asarray([[2.5]])

    assert surprise_of(scale, usual_by_day, np.asarray([False]))[0, 0] < 0.1
    assert surprise_of(scale, usual_by_day, np.asarray([True]))[0, 0] > 2


def test_without_a_sleep_signal_both_states_share_one_scale():
    score = np.random.default_rng(8).random((20 * BLOCK, 1)).astype(np.float32)
    scale = anomaly.surprise_scale(score, np.zeros(len(score), np.bool_), np.repeat(np.arange(20), BLOCK))

    assert np.array_equal(scale.knots[0], scale.knots[1])
    assert np.array_equal(scale.values[0], scale.values[1])


def test_rarity_is_the_conformal_p_value_of_normal_rows():
    rng = np.random.default_rng(9)
    normal, new = rng.gamma(2.0, size=4000), rng.gamma(2.0, size=200)
    p = 10.0 ** -on(anomaly.rarity_scale(normal.astype(np.float32)), new)
    exact = (1 + (normal[None, :] >= new[:, None]).sum(axis=1)) / (len(normal) + 1)

    assert np.allclose(exact, p, rtol=0.1, atol=1 / 4000)


def test_the_promise_of_a_p_value_holds_on_new_normal_rows():
    rng = np.random.default_rng(10)
    scale = anomaly.rarity_scale(rng.normal(size=20_000).astype(np.float32))
    p = 10.0 ** -on(scale, rng.normal(size=20_000))

    for promised in (0.5, 0.1, 0.01):
        assert promised == pytest.approx((p <= promised).mean(), rel=0.25)


def test_p_values_of_normal_rows_are_uniform_down_to_the_least_that_there_can_be():
    n = 20_000
    normal = np.random.default_rng(16).gamma(2.0, size=n)
    scale = anomaly.rarity_scale(normal)
    p = 10.0 ** -on(scale, normal)

    for rank in (1, 2, 5, 20, 100, 1000, 10_000):  # as many rows are told so much or less
        assert rank == pytest.approx((p <= (1 + rank) / (n + 1) * (1 + 1e-9)).sum(), rel=0.05, abs=1)
    assert [1 / (n + 1)] == pytest.approx(10.0 ** -on(scale, np.asarray([1e6])))


def test_the_p_value_of_tied_scores_is_that_of_all_of_them():
    normal = np.minimum(np.random.default_rng(17).gamma(2.0, size=20_000), 8.0)
    tied = (normal == 8.0).sum()
    assert tied > 20
    scale = anomaly.rarity_scale(normal.astype(np.float32))

    assert [(1 + tied) / 20_001] * 2 == pytest.approx(10.0 ** -on(scale, np.asarray([8.0, 8.0 + 1e-9])), rel=1e-6)
    assert [1 / 20_001] == pytest.approx(10.0 ** -on(scale, np.asarray([20.0])))


def test_the_rarer_of_two_channels_is_never_told_rarer_than_its_rows_can_show():
    rng = np.random.default_rng(17)
    context, n = np.repeat([0, 1, 2], 4000), 4000
    unusual, known = rng.gamma(2.0, size=(2, 12_000))
    of_unusual, of_known, either = anomaly.rarity_scales(unusual, known, context)
    assert of_known is not None
    assert either is not None
    for scale in (of_unusual, of_known, either):
        told = Scales(one_group(scale)).look_up(np.full((3, 1), 1e6), np.arange(3))

        assert [1 / (n + 1)] * 3 == pytest.approx((10.0**-told)[:, 0])


def test_rows_that_cannot_be_judged_do_not_calibrate():
    score = np.random.default_rng(11).random(500).astype(np.float32)
    holes = np.insert(score, [0, 100, 400], np.nan)

    assert np.array_equal(anomaly.rarity_scale(score).knots, anomaly.rarity_scale(holes).knots)


def test_a_block_belongs_to_one_person_and_six_hours():
    hours = np.asarray([0, 5, 6, 11, 0]) * 60 * MINUTE
    number = anomaly.blocks(hours, np.asarray([0, 0, 0, 0, 1]), 360 * MINUTE)

    assert number[0] == number[1] != number[2] == number[3]
    assert number[4] not in number[:4]


def test_an_uncalibrated_detector_raises_no_alarm():
    nothing = Scale(np.asarray([0.0, 1.0]), np.asarray([0.0, 1.0]))
    limits = anomaly.uncalibrated(nothing)

    assert [np.inf, np.inf] == [limits.unusual_threshold, limits.known_threshold]
    assert () == limits.kinds


def test_rare_means_the_same_asleep_at_rest_and_active():
    """Scores of somebody active are twice as high as asleep: one scale for all would call every third moment rare."""
    rng = np.random.default_rng(12)
    context = rng.integers(0, 3, 60_000)
    normal, new = (rng.gamma(2.0, size=60_000) * (1 + context) for _ in range(2))
    rarity, of_known, of_either = anomaly.rarity_scales(normal, rng.normal(size=60_000), context)
    assert of_known is not None
    assert of_either is not None
    p = 10.0 ** -Scales(one_group(rarity)).look_up(new[:, None], context)[:, 0]

    for code in range(3):
        for promised in (0.1, 0.01):
            assert promised == pytest.approx((p[context == code] <= promised).mean(), rel=0.2)


def test_a_context_that_nobody_was_in_borrows_from_all():
    rng = np.random.default_rng(13)
    score, context = rng.gamma(2.0, size=4000), rng.integers(0, 2, 4000)
    rarity, *_ = anomaly.rarity_scales(score, None, context)

    assert np.array_equal(anomaly.rarity_scale(score).knots, rarity.knots[2])


def test_what_features_add_gives_the_score_of_every_row_and_group():
    x = rows(2000, 1)
    found = anomaly.forests(x, DETECTOR, 1)
    asked = rows(40, 2)
    score = Model(forests_to_onnx(found, x.shape[1])).run(x=asked)["score"]
    told = Attribution(anomaly.trees(found))

    for group in range(len(found)):
        adds, base = told.adds(asked, group)

        assert np.log2(score[:, group]) == pytest.approx(adds.sum(axis=1) + base, abs=1e-5)


def test_of_one_tree_a_features_part_is_its_shapley_value():
    """Every order in which features become known, those not known followed by the shares of rows learnt from."""
    x = rows(300, 5)[:, :3].copy()
    found = anomaly.forests(x, DETECTOR.model_copy(update={"trees": 1, "sample": 64}), 3, {"all": (0, 1, 2)})
    ((forest, _),) = found
    tree, unit = forest.estimators_[0].tree_, -1.0 / mean_depth(np.array([forest.max_samples_]))[0]
    credited, names = leaf_depths(tree) * unit, forest.estimators_features_[0]
    row = rows(1, 6)[0, :3]
    adds, _ = Attribution(anomaly.trees(found)).adds(row[None], 0)

    def value(known: tuple[int, ...], node: int = 0) -> float:
        yes, no = tree.children_left[node], tree.children_right[node]
        if yes < 0:
            return credited[node]
        feature = names[tree.feature[node]]
        if feature in known:
            return value(known, yes if row[feature] <= tree.threshold[node] else no)
        return sum(tree.n_node_samples[child] * value(known, child) for child in (yes, no)) / tree.n_node_samples[node]

    orders = list(itertools.permutations(range(3)))
    for feature in range(3):
        before = [order[: order.index(feature)] for order in orders]
        part = np.mean([value((*known, feature)) - value(known) for known in before])

        assert part == pytest.approx(adds[0, feature], abs=1e-6)

"""Nothing that weighs, drops or makes rows sees anybody but those who are learnt from."""

from __future__ import annotations

import numpy as np
import pytest

from studies.study_world import roles
from tiny import small_settings
from training_world import seen
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import Rule
from vitalwatch.studies import imbalance
from vitalwatch.studies.judging import levels

RULE = Rule.of_params(small_settings().params.alarms, small_settings().schema.step_ms)


def rows(own: int = 20, others: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (own + others, 5)).astype(np.float32)
    episode = np.concatenate((np.repeat(np.arange(2), own // 2), np.full(others, -1)))
    x[:own] += 6
    return x, episode


def test_smote_makes_rows_between_episode_rows_and_leaves_the_given_ones_as_they_are():
    x, episode = rows()
    made = imbalance.smoted(x, episode, 400)
    new = made.x[len(x) :]
    inside = x[episode >= 0]

    assert np.array_equal(x, made.x[: len(x)])
    assert int(imbalance.SMOTE_SHARE * 400) == made.own.sum()
    assert made.own[len(x) :].all()
    assert (new >= inside.min(axis=0) - 1e-5).all()
    assert (new <= inside.max(axis=0) + 1e-5).all()


def test_smote_leaves_a_kind_alone_that_is_too_rare_or_common_enough():
    x, episode = rows()
    rare, common = np.where(np.arange(len(x)) < 4, 0, -1), np.where(np.arange(len(x)) < 200, 0, -1)

    assert len(x) == len(imbalance.smoted(x, rare, 400).x)
    assert len(x) == len(imbalance.smoted(x, common, 400).x)
    assert episode.max() == 1


def test_balanced_weights_make_both_sides_weigh_the_same():
    x, episode = rows()
    told = imbalance.balanced(x, episode, 400)

    assert told.weight[told.own].sum() == pytest.approx(told.weight[~told.own].sum())


def test_undersampling_keeps_all_episode_rows_and_as_many_others():
    x, episode = rows()
    told = imbalance.undersampled(x, episode, 400)

    assert 20 == told.own.sum() == (~told.own).sum()
    assert np.array_equal(x[:20], told.x[told.own])


def test_no_row_of_calibration_or_judged_people_is_ever_resampled():
    everything = roles()
    learnt = {row.tobytes() for row in everything.seen("learn").x}
    held = [everything.seen(role).x.copy() for role in ("calibrate", "judge")]
    handed = []

    def watching(x, episode, outside):
        handed.extend(row.tobytes() for row in x)
        return imbalance.smoted(x, episode, outside)

    params = everything.settings.params
    imbalance.fit_heads(everything.seen("learn"), len(everything.kinds), params.supervised, params.seed, 1, watching)

    assert handed
    assert set(handed) <= learnt
    assert all(
        np.array_equal(before, everything.seen(role).x)
        for before, role in zip(held, ("calibrate", "judge"), strict=True)
    )


def world() -> tuple[Cohort, np.ndarray]:
    """Return people with episodes of two kinds, and a score by kind that is right about both."""
    told = seen(people=3, days=8)
    score = np.random.default_rng(9).random((len(told.x), 2))
    score[told.kind == 0, 0] += 1
    score[told.kind == 1, 1] += 1
    cohort = Cohort(told.tracks, RULE)
    return cohort, np.stack([levels(cohort, column) for column in score.T], axis=1)


def test_a_threshold_a_kind_keeps_to_the_budget_of_all_together():
    cohort, level = world()
    limits = imbalance.spent_where_it_finds_most(cohort, level, 0.2)
    found = cohort.score((level > limits).any(axis=1))

    assert np.isfinite(limits).all()
    assert found.false_alarms_per_day <= 0.2
    assert found.recall > 0.9


def test_dearer_misses_lower_the_threshold():
    cohort, level = world()
    both = level.max(axis=1)

    assert imbalance.least_cost(cohort, both, 100.0) <= imbalance.least_cost(cohort, both, 0.01)

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch.metrics.budget import Cohort, Track, threshold_for_budget
from vitalwatch.metrics.events import Rule
from vitalwatch.tables import DAY, MINUTE

STEP = 5 * MINUTE
RULE = Rule(need=2, of=3, merge_ms=60 * MINUTE, cut_ms=360 * MINUTE, grace_ms=30 * MINUTE, step_ms=STEP)
DAYS = 20


def world(people: int, rng: np.random.Generator) -> tuple[list[Track], list[np.ndarray]]:
    """People with one episode a week each, in which the score is 3 higher."""
    tracks, scores = [], []
    for _ in range(people):
        time = np.arange(DAYS * 288) * STEP
        episodes = np.array([[d * DAY, d * DAY + 6 * 60 * MINUTE] for d in (3, 10, 17)], np.int64)
        score = rng.normal(size=len(time)).astype(np.float32)
        for start, end in episodes:
            score[(time >= start) & (time < end)] += 3
        tracks.append(Track(time, float(DAYS), episodes, ("fever",) * 3))
        scores.append(score)
    return tracks, scores


def test_the_threshold_keeps_to_the_budget_and_spends_it():
    tracks, scores = world(20, np.random.default_rng(1))
    for budget in (0.05, 0.1, 0.5):
        threshold = threshold_for_budget(tracks, scores, budget, RULE)
        cohort = Cohort(tracks, RULE)
        rate = cohort.false_rate(cohort.levels(scores), threshold)

        assert rate <= budget
        assert rate >= budget - 3 / (20 * DAYS)  # within three alarms of all that was allowed


def test_a_larger_budget_never_raises_the_threshold():
    tracks, scores = world(10, np.random.default_rng(2))
    thresholds = [threshold_for_budget(tracks, scores, budget, RULE) for budget in (0.02, 0.05, 0.1, 0.2, 0.4)]

    assert sorted(thresholds, reverse=True) == thresholds


def test_alarms_in_episodes_cost_no_budget():
    tracks, scores = world(5, np.random.default_rng(3))
    quiet = [np.where(score > 2.5, score, 0).astype(np.float32) for score in scores]
    bare = [Track(track.time, track.person_days) for track in tracks]

    assert threshold_for_budget(tracks, quiet, 0.05, RULE) < threshold_for_budget(bare, quiet, 0.05, RULE)


def test_a_budget_set_on_some_people_is_kept_on_others():
    tracks, scores = world(40, np.random.default_rng(4))
    threshold = threshold_for_budget(tracks[:20], scores[:20], 0.2, RULE)
    others = Cohort(tracks[20:], RULE)

    assert 0.2 == pytest.approx(others.false_rate(others.levels(scores[20:]), threshold), abs=0.08)


def test_a_constant_score_never_alarms():
    tracks, scores = world(2, np.random.default_rng(5))
    flat = [np.full(len(score), 0.7, np.float32) for score in scores]
    cohort = Cohort(tracks, RULE)
    threshold = threshold_for_budget(tracks, flat, 0.1, RULE)

    assert not (cohort.levels(flat) > threshold).any()


def test_scores_that_are_all_unknown_have_no_threshold():
    tracks, scores = world(2, np.random.default_rng(5))

    assert np.inf == threshold_for_budget(tracks, [np.full(len(s), np.nan, np.float32) for s in scores], 0.1, RULE)


def test_labels_are_the_rows_inside_episodes():
    tracks, _ = world(2, np.random.default_rng(5))

    assert 2 * 3 * 72 == Cohort(tracks, RULE).labels.sum()


def test_a_search_over_36_people_is_fast():
    import time

    tracks, scores = world(36, np.random.default_rng(6))
    began = time.process_time()
    threshold_for_budget(tracks, scores, 0.1, RULE)

    assert time.process_time() - began < 1.5


def test_the_budget_for_new_people_leaves_room_for_one_more_like_the_worst():
    tracks = [Track(np.arange(2880) * STEP, 10.0) for _ in range(4)]
    scores = [np.zeros(2880, np.float32) for _ in tracks]
    for start in (100, 700, 1500):  # three alarms of the first, one of the second
        scores[0][start : start + 4] = 2.0
    scores[1][900:904] = 2.0
    cohort = Cohort(tracks, RULE)
    levels = cohort.levels(scores)

    assert 4 / 40 == cohort.false_rate(levels, 1.0)
    assert 7 / 50 == cohort.rate_of_new_people(levels, 1.0)
    assert (0.0, 2.0) == (
        cohort.thresholds_for_budgets(levels, [0.12])[0],
        cohort.thresholds_for_budgets(levels, [0.12], for_new_people=True)[0],
    )


def test_a_promise_for_new_people_is_kept_better_by_others_where_some_are_noisier():
    rng, plain, careful = np.random.default_rng(5), [], []
    for _ in range(30):
        tracks, scores = world(16, rng)
        scores = [score * loud for score, loud in zip(scores, rng.lognormal(0, 0.1, 16), strict=True)]
        few, others = Cohort(tracks[:8], RULE), Cohort(tracks[8:], RULE)
        levels, met = few.levels(scores[:8]), others.levels(scores[8:])
        plain.append(others.false_rate(met, few.thresholds_for_budgets(levels, [0.2])[0]))
        careful.append(others.false_rate(met, few.thresholds_for_budgets(levels, [0.2], for_new_people=True)[0]))

    assert 0.2 < np.mean(plain)
    assert 0.1 < np.mean(careful) < np.mean(plain)
    assert 0.2 == pytest.approx(np.mean(careful), abs=0.05)

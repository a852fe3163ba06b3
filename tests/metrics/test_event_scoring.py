from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vitalwatch.alarms import merge_and_cut
from vitalwatch.metrics.bootstrap import weights
from vitalwatch.metrics.budget import Cohort, Track
from vitalwatch.metrics.events import Rule, f1_difference, judge
from vitalwatch.tables import DAY, MINUTE

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "event_scoring.json").read_text())["cases"]
STEP = MINUTE
RULE = Rule(need=1, of=1, merge_ms=60 * MINUTE, cut_ms=360 * MINUTE, grace_ms=30 * MINUTE, step_ms=STEP)


def spans(pairs: list[list[int]], unit: int = 1) -> np.ndarray:
    return np.array(pairs, np.int64).reshape(-1, 2) * unit


def track(episodes: list[list[int]], days: int = 10, kinds: tuple[str, ...] = ()) -> Track:
    """One person measured every minute from minute 0; episodes in minutes."""
    kinds = kinds or ("fever",) * len(episodes)
    return Track(np.arange(days * 1440) * STEP, float(days), spans(episodes, MINUTE), kinds)


def none_or(value: float) -> float | None:
    return None if np.isnan(value) else value


def test_there_are_53_golden_cases():
    assert 53 == len(GOLDEN)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_case(case):
    expected = case["expected"]
    cohort = Cohort([track(case["episodes"])], RULE)
    score = cohort.score_intervals([spans(case["alarms"], MINUTE)])

    assert expected["alarms_after_merge_and_cut"] == [list(p) for p in merge_and_cut(spans(case["alarms"]), 60, 360)]
    assert expected["detected"] == score.detected
    assert expected["episodes"] == score.episodes
    assert expected["false_alarms"] == score.false_alarms
    assert expected["recall"] == none_or(score.recall)
    assert expected["precision"] == none_or(score.precision)
    assert (expected["f1"] is None) == np.isnan(score.f1)
    assert expected["f1"] is None or expected["f1"] == pytest.approx(score.f1, abs=1e-12)
    assert expected["delays_min"] == score.delays_min[score.found].tolist()


def test_people_do_not_touch_each_other():
    first, second = track([[1000, 1100]]), track([[1000, 1100]])
    score = Cohort([first, second], RULE).score_intervals(
        [spans([[1000, 1010]], MINUTE), spans([[5000, 5010]], MINUTE)]
    )

    assert [[1, 1, 0, 10], [1, 0, 1, 10]] == score.counts.tolist()
    assert [[5000 * MINUTE, 5010 * MINUTE]] == score.false_spans.tolist()
    assert [1] == score.alarm_person.tolist()
    assert [1000 * MINUTE] * 2 == score.starts.tolist()


def test_an_alarm_that_ends_where_the_episode_starts_does_not_hide_the_next_one():
    score = Cohort([track([[100, 200]])], RULE).score_intervals([spans([[80, 100], [170, 180]], MINUTE)])

    assert [70.0] == score.delays_min.tolist()
    assert 0 == score.false_alarms


def test_an_alarm_in_an_excused_episode_is_neither_hit_nor_false():
    begun = Track(np.arange(1440) * STEP, 1.0, excused=spans([[-100, 50]], MINUTE))
    score = Cohort([begun], RULE).score_intervals([spans([[0, 20], [500, 510]], MINUTE)])

    assert (0, 0, 1) == (score.episodes, score.detected, score.false_alarms)


def test_always_on_finds_everything_and_is_cut_into_four_false_alarms_a_day():
    cohort = Cohort([track([[5 * 1440 + 60, 5 * 1440 + 120]])], RULE)
    score = cohort.score(np.ones(10 * 1440, bool))

    assert 1.0 == score.recall
    assert 39 == score.false_alarms
    assert score.f1 < 0.05


def test_noise_scores_as_noise_because_points_are_never_adjusted():
    rng = np.random.default_rng(7)
    world = [track([[d * 1440 + 300, d * 1440 + 900] for d in range(1, 28, 5)], days=28) for _ in range(10)]
    cohort = Cohort(world, RULE)
    noise = rng.random(len(cohort.time)) > 0.9995  # about one alarm every day and a half
    score = cohort.score(noise)
    adjusted = [bool(noise[(cohort.time >= start) & (cohort.time < end)].any()) for start, end in cohort.episodes]
    point_f1 = 2 * sum(adjusted) * 600 / (sum(adjusted) * 600 + len(adjusted) * 600 + score.false_alarms)

    assert score.f1 < 0.3
    assert score.f1 + 0.1 < point_f1


def test_macro_recall_weighs_kinds_alike_and_kinds_keep_their_own_recall():
    episodes = [[1000, 1100], [3000, 3100], [5000, 5100], [7000, 7100]]
    cohort = Cohort([track(episodes, kinds=("fever", "fever", "fever", "hypoxia"))], RULE)
    score = cohort.score_intervals([spans([[1000, 1010], [7000, 7010]], MINUTE)])
    draws = weights(1, 10, np.random.default_rng(1))

    assert (1 / 3 + 1) / 2 == pytest.approx(score.macro_recall(draws, 0.95).value)
    assert pytest.approx(1 / 3) == score.of_kind("fever").recall
    assert 0.5 == score.recall


def test_the_same_detector_is_never_better_than_itself():
    rng = np.random.default_rng(5)
    cohort = Cohort([track([[1000 + 100 * i, 1060 + 100 * i]]) for i in range(20)], RULE)
    alarms = [spans([[int(start), int(start) + 10]], MINUTE) for start in rng.integers(0, 4000, 20)]
    score = cohort.score_intervals(alarms)
    gap = f1_difference(score, score, weights(20, 1000, rng), 0.95)

    assert (0, 0, 0) == (gap.value, gap.low, gap.high)


def test_a_clear_difference_lies_outside_its_paired_interval():
    rng = np.random.default_rng(5)
    cohort = Cohort([track([[1000, 1060]]) for _ in range(20)], RULE)
    good = cohort.score_intervals([spans([[1000, 1010]], MINUTE)] * 20)
    starts = [1000 if i % 2 else 9000 for i in range(20)]
    poor = cohort.score_intervals([spans([[start, start + 1]], MINUTE) for start in starts])
    gap = f1_difference(good, poor, weights(20, 1000, rng), 0.95)

    assert gap.low > 0
    assert 0.5 == pytest.approx(gap.value)


def test_judging_without_alarms_or_episodes_is_possible():
    nothing = spans([])

    assert 0 == len(judge(nothing, nothing, 30).false)
    assert [True] == judge(spans([[0, 5]]), nothing, 30).false.tolist()
    assert [False] == judge(nothing, spans([[0, 5]]), 30).detected.tolist()


def test_a_bootstrap_of_42_people_is_fast():
    import time

    rng = np.random.default_rng(5)
    cohort = Cohort([track([[1000, 1060], [5000, 5100]], kinds=("a", "b")) for _ in range(42)], RULE)
    score = cohort.score_intervals([spans([[int(s), int(s) + 9]], MINUTE) for s in rng.integers(0, 6000, 42)])
    began = time.process_time()
    draws = weights(42, 1000, rng)
    score.estimates(draws, 0.95)
    score.macro_recall(draws, 0.95)
    f1_difference(score, score, draws, 0.95)

    assert time.process_time() - began < 0.3


def test_person_days_of_a_cohort_are_what_the_tracks_say():
    cohort = Cohort([track([]), track([], days=3)], RULE)

    assert 13 * DAY == cohort.person_days.sum() * DAY

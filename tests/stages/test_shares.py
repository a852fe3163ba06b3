"""Channel A's share of the budget: thresholds of calibration people, and what they find of kinds whose head is out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from report_world import KINDS, result, small_settings
from tiny import small_settings as tiny_settings
from training_world import seen
from vitalwatch.models import anomaly, episodes
from vitalwatch.own_level import factors_of
from vitalwatch.runtime import Model
from vitalwatch.stages import shares
from vitalwatch.stages.calibrating import Calibrated, calibrated
from vitalwatch.stages.judging import PersonResult

SETTINGS = tiny_settings()
BUDGET = 0.5


@pytest.fixture(scope="module")
def taught() -> Calibrated:
    held, here = seen(people=3, days=6, seed=2), seen(people=2, seed=4)
    forest = anomaly.fit(here.x, SETTINGS.params.detector, seed=1)
    known = Model(episodes.fit(here.x, here.episode, here.kind, 2, SETTINGS.params.supervised, 1, 1))
    return calibrated(held, forest, known, ("kind_0", "kind_1"), asking())


def asking():
    chosen = SETTINGS.params.detector.model_copy(update={"budget": BUDGET, "share_unusual": 0.4, "known_most": BUDGET})
    return replace(SETTINGS, params=SETTINGS.params.model_copy(update={"detector": chosen}))


@pytest.fixture(scope="module")
def limits(taught: Calibrated) -> shares.Limits:
    return shares.thresholds(taught, ("kind_0", "kind_1"), asking())


def test_the_served_share_is_among_those_judged_with_the_thresholds_that_are_served(taught, limits):
    (served,) = [one for one in limits if one["share"] == 0.4]

    assert sorted({*shares.SHARES, 0.4}) == [one["share"] for one in limits]
    assert taught.calibration.unusual_threshold == pytest.approx(served["unusual"])
    assert taught.calibration.known_threshold == pytest.approx(served["known"])


def test_more_of_the_budget_lowers_a_channels_threshold_and_raises_the_others(limits):
    assert (np.diff([one["unusual"] for one in limits]) <= 0).all()
    assert limits[0]["unusual"] > limits[-1]["unusual"]
    assert (np.diff([one["known"] for one in limits]) >= 0).all()
    assert limits[0]["known"] < limits[-1]["known"]


def test_without_a_kinds_head_the_others_keep_to_the_same_budget_on_calibration_people(taught, limits):
    cohort = taught.cohort
    lengths = np.cumsum([len(track.time) for track in cohort.tracks])[:-1]
    assert taught.by_kind is not None
    own = taught.by_kind / _own_levels(taught)[:, None]
    for one in limits:
        for left, kind in ((1, "kind_0"), (0, "kind_1")):
            rate = cohort.rate_of_new_people(cohort.levels(np.split(own[:, left], lengths)), one["without"][kind])
            assert rate <= BUDGET * (1 - one["share"]) + 1e-9


def _own_levels(taught: Calibrated) -> np.ndarray:
    params = SETTINGS.params
    plan = shares.own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)
    time = [track.time for track in taught.cohort.tracks]
    return factors_of(taught.by_kind.max(axis=1), time, taught.calibration.known_blocks, plan)


def test_without_heads_there_is_nothing_to_share(taught):
    assert [] == shares.thresholds(replace(taught, by_kind=None), (), asking())


def person(name: str, seed: int) -> PersonResult:
    """One of `report_world`'s people: channel A sees nothing, and each kind's head its own episodes alone."""
    one = result(name, "test", seed=seed)
    answers = one.answers
    by_kind = np.zeros((len(answers), len(KINDS)), np.float32)
    for event in one.events or ():
        by_kind[(answers.time >= event.start) & (answers.time < event.end), KINDS.index(event.kind)] = 1.0
    quiet = np.zeros(len(answers), np.float32)
    return replace(one, answers=replace(answers, unusual=quiet, by_kind=by_kind))


def row(share: float, unusual: float | None) -> dict:
    return {"share": share, "unusual": unusual, "known": 0.5, "without": dict.fromkeys(KINDS, 0.5)}


def judged(*limits: dict) -> dict:
    people = [person(f"person-{i}", i) for i in range(3)]
    return shares.tables(people, list(limits), small_settings(), np.random.default_rng(1))


def test_a_kind_whose_head_is_left_out_is_found_by_channel_a_or_not_at_all():
    blind, wide = judged(row(0.1, None), row(0.8, -1.0))["shares"]

    assert [1.0, 0.0] == [blind[key]["value"] for key in ("recall", "recall_hidden")]
    assert [1.0, 1.0] == [wide[key]["value"] for key in ("recall", "recall_hidden")]
    assert 1.0 == blind["event_f1"]["value"] > wide["event_f1"]["value"]
    assert 0.0 == blind["false_alarms_per_day"]["value"] == blind["false_alarms_per_day_hidden"]


def test_as_many_alarms_at_other_times_find_little():
    (blind,) = judged(row(0.1, None))["shares"]

    assert 0.0 == blind["recall_hidden_by_chance"]["value"]  # half of the judged time later nobody is ill


def test_a_run_that_kept_no_thresholds_says_why_nothing_is_drawn():
    assert "nothing to share" in judged()["not_assessable"]
    unscored = [replace(result("person-1", "test"), split="test")]
    found = shares.tables(unscored, [row(0.1, None)], small_settings(), np.random.default_rng(1))
    assert "nothing to share" in found["not_assessable"]

"""Alternatives are judged as they are served: on own levels, with a threshold for new people, by one scale."""

from __future__ import annotations

import numpy as np
import pytest

from studies.study_world import roles
from vitalwatch import averaging, own_level
from vitalwatch.metrics.events import DAYS, DETECTED, EPISODES, FALSE
from vitalwatch.models import anomaly, episodes
from vitalwatch.runtime import Model
from vitalwatch.scoring import ALONE, Detector, lift_of
from vitalwatch.stages import calibrating
from vitalwatch.studies import judging, shares
from vitalwatch.studies.costs import Cost
from vitalwatch.studies.detectors import Detectors, strongest
from vitalwatch.studies.judging import HELD
from vitalwatch.studies.table import Line, shown
from vitalwatch.tables import Doubles


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    return Detectors(roles())


@pytest.fixture(scope="module")
def surprise(detectors: Detectors) -> dict[str, Doubles]:
    return detectors.surprise("groups")[0]


def test_the_study_thresholds_channels_at_what_the_stage_that_trains_would_serve(surprise: dict[str, Doubles]):
    people = roles()
    score = {role: surprise[role].max(axis=1) for role in HELD}
    settings, budget = people.settings, people.settings.params.detector.budget
    threshold, blocks = calibrating.on_own_level(people.cohort("calibrate"), score["calibrate"], budget, settings)
    plan = own_level.Plan.of_params(settings.params.alarms, settings.params.own_level, 7)
    judge = people.seen("judge")
    factors = own_level.factors_of(score["judge"], [track.time for track in judge.tracks], blocks, plan)
    served = judging.own(people, score)

    assert threshold == served.threshold
    assert np.array_equal(factors, served.factors["judge"])
    expected = judging.levels(people.cohort("judge"), score["judge"] / factors) > threshold
    assert np.array_equal(expected, judging.over(people, score))


def test_scores_are_those_of_the_served_detector_averaged_and_lifted_for_what_is_not_measured(detectors: Detectors):
    people = roles()
    params, rows, judge = people.settings.params, people.seen("learn"), people.seen("judge")
    forest = anomaly.fit(rows.x[detectors._even()], params.detector, params.seed)
    heads = Model(episodes.fit(rows.x, rows.episode, rows.kind, len(people.kinds), params.supervised, params.seed, 1))
    found = calibrating.calibrate(people.seen("calibrate"), forest, heads, people.kinds, people.settings)
    served = Detector(Model(forest), heads, found)
    lengths = [len(track.time) for track in judge.tracks]
    by_group, by_kind = (
        averaging.of_people(said, judge.sure, lengths, found.rows, alone)
        for said, alone in ((served.by_group(judge.x), ALONE), (served.by_kind(judge.x), ()))
    )
    surprise, level = detectors.surprise("groups")[0]["judge"], detectors.level("heads")[0]["judge"]

    assert lift_of(judge.x).any()
    assert found.rows > 1
    assert np.allclose(served.surprise(by_group, judge.x)[judge.sure], surprise[judge.sure])
    assert np.allclose(served.level(by_kind, judge.x)[judge.sure], level[judge.sure])
    assert np.isnan(surprise[~judge.sure]).all()


def test_a_score_of_any_kind_keeps_its_order_on_the_scale_of_rarity():
    people = roles()
    told = {role: np.random.default_rng(2).gamma(2.0, 3.0, len(people.seen(role).x)) - 5.0 for role in HELD}
    rare = judging.rarity(people, told)["judge"]
    seen = people.seen("judge")
    awake = seen.sure & ~judging.asleep(seen)
    order = np.argsort(judging.averaged(people, "judge", told["judge"][:, None])[awake, 0])

    assert rare[awake].min() >= 0
    assert (np.diff(rare[awake][order]) >= -1e-6).all()


def test_thresholds_a_group_keep_to_the_budget_of_all_of_them_for_new_people(surprise: dict[str, Doubles]):
    people, budget = roles(), 1.5
    calibrating = dict.fromkeys(HELD, surprise["calibrate"])
    same = people.fewer(2, 2)
    same.people["judge"] = people.people["calibrate"]  # those who set the thresholds are judged
    same._seen = {"calibrate": people.seen("calibrate"), "judge": people.seen("calibrate")}
    found = judging.over_each(same, calibrating, budget)

    assert found.any()
    assert judging.rate_of_rows(people.cohort("calibrate"), found) <= budget


def test_shares_of_the_budget_are_judged_on_known_kinds_and_on_each_kind_without_its_head(detectors: Detectors):
    people, told = roles(), shares.Shares(roles(), detectors)
    alternatives = told.alternatives()
    lines = {(one.group, one.name): np.asarray(one.line().sums).sum(axis=0) for one in alternatives}
    today = lines[shares.KNOWN_KINDS, "0.35 (default)"], lines[shares.HIDDEN_KINDS, "0.35 (default)"]
    both, _ = detectors._both()

    assert 2 * (len(shares.SHARES)) == len(lines)
    assert both.sum(axis=0).tolist() == today[0].tolist()
    assert today[0][EPISODES] == today[1][EPISODES]  # each episode by those who did not know its kind
    assert today[1][DETECTED] <= today[1][EPISODES]
    assert len(people.kinds) * today[0][DAYS] == pytest.approx(today[1][DAYS])
    assert today[1][FALSE] > today[0][FALSE]  # sums over kinds


def test_the_picture_of_shares_tells_every_share_and_is_not_drawn_without_both_tables():
    def line(group: str, name: str, figure: str, detected: float) -> Line:
        return Line(group, name, figure, ((10.0, detected, 1.0, 20.0), (10.0, detected, 2.0, 20.0)), Cost())

    made = [
        line(group, name, figure, detected)
        for group, figure in ((shares.KNOWN_KINDS, "event_f1"), (shares.HIDDEN_KINDS, "recall"))
        for name, detected in (("0.35 (default)", 7.0), ("0.6", 6.0))
    ]
    picture = shares.picture(shown(made, 50, 0.95, 1))

    assert picture is not None
    assert "0.35 gives 0.7" in picture.alt
    assert "0.6 gives 0.600" in picture.alt
    assert shares.picture(shown(made[:2], 50, 0.95, 1)) is None


def test_the_strongest_of_several_scores_is_the_one_that_counts(surprise: dict[str, Doubles]):
    assert np.array_equal(surprise["judge"].max(axis=1), strongest((surprise, Cost()))[0]["judge"], equal_nan=True)

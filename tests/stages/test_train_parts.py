"""Thresholds come from calibration people and the budget; what is trained depends on what somebody labelled."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tiny import random_forecaster, small_settings
from training_world import grid, seen
from vitalwatch import attribution, averaging, features, sequences, wearing
from vitalwatch.errors import NotEnoughData
from vitalwatch.export import lstm_to_onnx
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import Rule
from vitalwatch.models import anomaly, episodes
from vitalwatch.own_level import Plan, Usual, usual_of
from vitalwatch.promises import promised
from vitalwatch.residuals import STATIC
from vitalwatch.runtime import Model
from vitalwatch.schema import minutes
from vitalwatch.scoring import ALONE, Calibration, Detector, Scores
from vitalwatch.settings import Settings
from vitalwatch.splits import CALIBRATION, TRAIN
from vitalwatch.stages import calibrating, forecasting, train
from vitalwatch.stages.calibrating import Seen
from vitalwatch.stages.people import Member, enrolled_until, having, labelled_groups
from vitalwatch.stages.train import Windows
from vitalwatch.tables import DAY, MINUTE, Event, Profile

SETTINGS = small_settings()
RULE = Rule.of_params(SETTINGS.params.alarms, SETTINGS.schema.step_ms)


def asking(**detector: float | str) -> Settings:
    chosen = SETTINGS.params.detector.model_copy(update={"budget": 0.5, "known_most": 0.5, **detector})
    return replace(SETTINGS, params=SETTINGS.params.model_copy(update={"detector": chosen}))


@pytest.fixture(scope="module")
def held() -> Seen:
    return seen(people=5, days=6, seed=2)


@pytest.fixture(scope="module")
def forest() -> bytes:
    return anomaly.fit(seen(people=2, seed=3).x, SETTINGS.params.detector, seed=1)


@pytest.fixture(scope="module")
def known() -> Model:
    here = seen(people=3, seed=4)
    return Model(episodes.fit(here.x, here.episode, here.kind, 2, SETTINGS.params.supervised, 1, 1))


def false_rate(held: Seen, score: np.ndarray, threshold: float) -> float:
    cohort = Cohort(held.tracks, RULE)
    stops = np.cumsum([len(track.time) for track in held.tracks])[:-1]
    return cohort.false_rate(cohort.levels(np.split(score, stops)), threshold)


def averaged(held: Seen, said: np.ndarray, alone: tuple[int, ...] = ()) -> np.ndarray:
    rows = features.rows_of(minutes(SETTINGS.params.detector.average), SETTINGS.schema.step_minutes)
    return averaging.of_people(said, held.sure, [len(track.time) for track in held.tracks], rows, alone)


def scored(held: Seen, detector: Detector) -> list[Scores]:
    """Return the scores of each person's rows."""
    rows = np.split(np.arange(len(held.x)), np.cumsum([len(track.time) for track in held.tracks])[:-1])
    return [detector.advance(detector.begin(), held.x[mine], held.sure[mine])[1] for mine in rows]


def unusual(held: Seen, forest: bytes, limits: Calibration) -> np.ndarray:
    detector = Detector(Model(forest), None, limits)
    return detector.surprise(averaged(held, Model(forest).run(x=held.x)["score"], ALONE), held.x).max(axis=1)


def test_without_labels_there_is_no_second_channel_and_the_first_has_the_whole_budget(held, forest):
    limits = calibrating.calibrate(held, forest, None, (), asking(share_unusual=0.35))
    whole = calibrating.calibrate(held, forest, None, (), asking(share_unusual=1.0))

    assert limits.known_rarity is limits.either_rarity is limits.level is None
    assert () == limits.chance
    assert np.inf == limits.known_threshold
    assert whole.unusual_threshold == limits.unusual_threshold
    assert 0.25 < false_rate(held, unusual(held, forest, limits), limits.unusual_threshold) <= 0.5


def test_a_sure_alarm_of_channel_a_is_one_that_a_tenth_of_its_false_alarms_would_be(held, forest):
    limits = calibrating.calibrate(held, forest, None, (), asking(budget=5.0))
    score = unusual(held, forest, limits)

    assert limits.unusual_threshold < limits.unusual_sure < score.max()
    assert 0 < false_rate(held, score, limits.unusual_sure) <= 0.1 * 5.0


def test_simulated_people_under_stress_are_served_at_natural_prevalence_and_recorded_ones_at_their_own(held):
    people = [Member(grid(name, 4), Profile(name), (), np.full(4, CALIBRATION, np.int8), False) for name in ("a", "b")]
    share = float((held.episode[held.sure] >= 0).mean())
    made, recorded = (train.prevalence_of(held, people, names, SETTINGS) for names in (("a", "b"), ("a",)))

    assert {"calibration": share, "served": SETTINGS.params.synthetic.natural_share * share} == made
    assert {"calibration": share, "served": share} == recorded
    assert {} == train.prevalence_of(replace(held, episode=np.full(len(held.x), -1)), people, ("a", "b"), SETTINGS)


def test_what_a_larger_budget_has_more_goes_to_channel_a_from_where_channel_b_may_have_no_more():
    small, large = (asking(budget=one, share_unusual=0.35, known_most=0.08).params.detector for one in (0.1, 0.2))

    assert {"unusual": 0.035, "known": 0.065, "both": 0.1} == pytest.approx(promised(small, known=True))
    assert {"unusual": 0.12, "known": 0.08, "both": 0.2} == pytest.approx(promised(large, known=True))
    assert {"unusual": 0.2, "both": 0.2} == promised(large, known=False)


def test_a_channel_b_that_may_have_no_more_is_stricter(held, forest, known):
    free, capped = (
        calibrating.calibrate(held, forest, known, ("kind_0", "kind_1"), asking(share_unusual=0.4, known_most=most))
        for most in (0.5, 0.1)
    )

    assert free.known_threshold < capped.known_threshold
    assert capped.unusual_threshold < free.unusual_threshold


def test_with_labels_the_channels_share_the_budget(held, forest, known):
    limits = calibrating.calibrate(held, forest, known, ("kind_0", "kind_1"), asking(share_unusual=0.4))
    margin = averaged(held, known.run(x=held.x)["margin"])
    score = Detector(Model(forest), known, limits).level(margin, held.x).max(axis=1)

    assert false_rate(held, unusual(held, forest, limits), limits.unusual_threshold) <= 0.4 * 0.5
    assert 0 < false_rate(held, score, limits.known_threshold) <= 0.6 * 0.5
    assert calibrating.calibrate(held, forest, None, (), asking()).unusual_threshold < limits.unusual_threshold
    assert ("kind_0", "kind_1") == limits.kinds


def test_the_p_value_of_the_rarer_channel_is_as_rare_as_it_says(held, forest, known):
    """The smaller of two p-values would be .1 or less in up to a fifth of normal rows."""
    limits = calibrating.calibrate(held, forest, known, ("kind_0", "kind_1"), asking(share_unusual=0.4))
    p = np.concatenate([one.p_value for one in scored(held, Detector(Model(forest), known, limits))])
    p = p[held.sure & (averaged(held, ~held.far[:, None])[:, 0] == 0)]

    for told in (0.5, 0.1, 0.02):
        assert told == pytest.approx((p <= told).mean(), rel=0.1)


def test_the_probability_of_an_episode_is_the_share_of_such_rows_that_are_in_one(held, forest, known):
    limits = calibrating.calibrate(held, forest, known, ("kind_0", "kind_1"), asking(share_unusual=0.4))
    detector = Detector(Model(forest), known, limits)
    told = np.concatenate([one.probability for one in scored(held, detector)])[held.sure]
    inside = (held.episode >= 0)[held.sure]
    raw = averaged(held, known.run(x=held.x)["probability"][:, None])[held.sure, 0]

    order = np.argsort(raw)
    for some in np.array_split(order, 5):
        assert inside[some].mean() == pytest.approx(told[some].mean(), abs=0.02)
    assert (np.diff(told[order]) >= 0).all()  # who is told more by the heads is told more here


def test_people_nobody_labelled_do_not_calibrate_where_others_are_labelled(held, forest):
    only = held.person != 0
    mixed = replace(held, told=only, x=np.where(only[:, None], held.x, 50 + held.x))
    limits = calibrating.calibrate(mixed, forest, None, (), asking())
    alone = calibrating.calibrate(calibrating.labelled(replace(held, told=only)), forest, None, (), asking())

    assert alone.unusual_threshold == limits.unusual_threshold


def test_rows_that_cannot_be_judged_calibrate_nothing(held, forest):
    unsure = np.arange(len(held.x)) % 10 == 0
    wild = replace(held, sure=~unsure, x=np.where(unsure[:, None], 50 + held.x, held.x))
    quiet = replace(held, sure=~unsure)

    wild_limits, limits = (calibrating.calibrate(some, forest, None, (), asking()) for some in (wild, quiet))
    assert limits.unusual_threshold == wild_limits.unusual_threshold


def test_too_few_judged_rows_say_so():
    with pytest.raises(NotEnoughData, match="grid rows can be learnt from"):
        train._enough(np.empty((train.LEAST_ROWS - 1, 3)), "can be learnt from")


def test_a_larger_budget_lowers_both_thresholds(held, forest, known):
    strict, loose = (calibrating.calibrate(held, forest, known, (), asking(budget=budget)) for budget in (0.4, 1.2))

    assert loose.unusual_threshold < strict.unusual_threshold
    assert loose.known_threshold < strict.known_threshold


def test_labelled_episodes_do_not_calibrate_what_is_normal(held, forest):
    louder = replace(held, x=np.where((held.episode >= 0)[:, None], 9 * held.x, held.x))

    assert (
        calibrating.calibrate(held, forest, None, (), asking()).surprise.to_json()
        == calibrating.calibrate(louder, forest, None, (), asking()).surprise.to_json()
    )


def test_too_few_labelled_episodes_train_no_head():
    few = seen(people=2, days=9)
    assert 2 * 4 == len(np.unique(few.episode)) - 1 < train.LEAST_EPISODES

    assert {} == train._heads(few, ("kind_0", "kind_1"), SETTINGS)


def test_one_kind_trains_one_head():
    many = seen(people=3, days=9, every=288)
    known = wearing.heads(train._heads(replace(many, kind=np.minimum(many.kind, 0)), ("kind_0",), SETTINGS))

    assert known is not None
    assert (4, 1) == known.run(x=many.x[:4])["margin"].shape


def test_heads_for_few_sensors_never_saw_what_these_lack():
    many = seen(people=3, days=9, every=288)
    files = train._heads(many, ("kind_0", "kind_1"), SETTINGS)
    whole, few = (Model(files[name]) for name in (wearing.WHOLE_FILE, wearing.FEW_FILE))
    trees = [json.loads(files[name])["heads"] for name in (attribution.FILE, attribution.FEW_FILE)]
    lacking = wearing.reduced(many.x, wearing.FEW)

    assert [SETTINGS.params.supervised.rounds] * 2 == [len(head) for head in trees[0]]
    assert [SETTINGS.params.supervised.rounds_few] * 2 == [len(head) for head in trees[1]]
    assert np.array_equal(few.run(x=lacking)["margin"], few.run(x=many.x)["margin"])
    assert not np.array_equal(whole.run(x=lacking)["margin"], whole.run(x=many.x)["margin"])


HEART, BREATH = (features.NAMES.index(f"{name}_mean_60min") for name in ("heart_rate", "respiratory_rate"))


class Effortless:
    """Heads that alarm at a heart which is faster than its breathing tells."""

    def run(self, *, x: np.ndarray) -> dict[str, np.ndarray]:
        margin = x[:, HEART] - x[:, BREATH]
        return {"margin": np.stack((margin, -margin), axis=1), "probability": 1 / (1 + np.exp(-margin))}


def test_each_wearing_keeps_the_promise_on_calibration_people(held, forest):
    """Effort raises both by 3 for an hour of eight; whoever tells no breathing would alarm at each of them."""
    moving = np.arange(len(held.x)) % 96 < 12
    x = held.x.copy()
    x[moving] += 3.0 * np.isin(np.arange(x.shape[1]), (HEART, BREATH))
    held, heads = replace(held, x=x), Effortless()
    limits = calibrating.calibrate(held, forest, heads, ("kind_0", "kind_1"), asking(share_unusual=0.4))
    detector, promised = Detector(Model(forest), heads, limits), 0.6 * 0.5
    rates = []
    for worn in range(len(wearing.WEARINGS)):
        less = wearing.reduced(x, worn)
        margin = averaged(held, heads.run(x=less)["margin"])
        rates.append(false_rate(held, detector.level(margin, less).max(axis=1), limits.known_threshold))
    elsewhere = false_rate(held, detector.level(margin, x).max(axis=1), limits.known_threshold)

    assert max(rates) <= promised * 1.1
    assert rates[wearing.WITH_BREATHING] > 0
    assert elsewhere > 3 * promised, "on the scale of those who wear everything"


def test_whose_quiet_blocks_score_half_as_high_has_them_doubled_for_own_levels(held):
    score = np.random.default_rng(5).exponential(size=len(held.x))
    everything, without, few = calibrating.alike_of(
        [score, score, score / 2], Cohort(held.tracks, RULE), Usual(np.inf, 1.0), SETTINGS
    )

    assert everything == without
    assert 2.0 * everything == pytest.approx(few)


def test_quiet_blocks_are_alike_on_the_scale_that_own_levels_learn_from(held):
    score = np.random.default_rng(5).exponential(size=len(held.x))
    other, time, chosen = np.sqrt(score) / 3, [track.time for track in held.tracks], SETTINGS.params
    plan = Plan.of_params(chosen.alarms, chosen.own_level, chosen.baseline.enrolment_days)
    blocks = usual_of(score, time, 2.0, plan)
    _, few = calibrating.alike_of([score, other], Cohort(held.tracks, RULE), blocks, SETTINGS)

    assert blocks.mean == pytest.approx(usual_of(few * other, time, 2.0, plan).mean, rel=0.02)


def test_an_interval_is_widened_only_by_what_calibration_people_showed():
    fitted = random_forecaster(SETTINGS)
    onnx = lstm_to_onnx(fitted.weights, fitted.normalisation, fitted.shape)
    chosen, schema = SETTINGS.params.forecaster, SETTINGS.schema
    vitals, horizons = sequences.vitals(chosen, schema), sequences.horizons(chosen, schema)
    empty = Windows(
        np.empty((0, *fitted.shape), np.float32),
        np.empty((0, len(STATIC)), np.float32),
        np.empty((0, len(vitals), len(horizons)), np.float32),
        np.empty((0, len(vitals)), np.float32),
    )

    assert np.array_equal(np.zeros((len(vitals), len(horizons))), forecasting.blended(onnx, None, empty, SETTINGS)[1])


def test_an_interval_is_moved_until_it_holds_four_fifths_of_what_calibration_people_showed():
    fitted, rng, n = random_forecaster(SETTINGS), np.random.default_rng(7), 400
    onnx = lstm_to_onnx(fitted.weights, fitted.normalisation, fitted.shape)
    chosen, schema = SETTINGS.params.forecaster, SETTINGS.schema
    vitals, horizons = sequences.vitals(chosen, schema), sequences.horizons(chosen, schema)
    x = rng.normal(size=(n, *fitted.shape)).astype(np.float16)
    person = rng.normal(size=(n, len(STATIC))).astype(np.float32)
    last = np.full((n, len(vitals)), 60, np.float32)
    told = Model(onnx).run(x=x.astype(np.float32), person=sequences.static(person, last))["quantiles"]
    above = np.tile(np.arange(1, n + 1, dtype=np.float32), (len(horizons), len(vitals), 1)).T  # by 1, 2, .. 400
    y = last[:, :, None] + told[..., 2] + above
    y[:, 0, 0] = np.nan
    y[:29, 0, 0] = 60.0  # too few to say anything

    _, widening, _ = forecasting.blended(onnx, None, Windows(x, person, y, last), SETTINGS)
    inside = y <= last[:, :, None] + told[..., 2] + widening + 0.01

    assert np.isnan(widening[0, 0])
    assert np.allclose(321, widening.ravel()[1:], atol=0.01)  # 0.8 x 401, upwards
    assert np.allclose(0.8, inside.mean(axis=0).ravel()[1:], atol=0.005)


def test_an_episode_without_a_judged_row_is_excused():
    step = SETTINGS.schema.step_ms
    time = np.arange(100, 200, dtype=np.int64) * step
    spans = {"before": (10, 20), "into": (90, 110), "inside": (150, 160), "after": (300, 310)}
    events = [Event("a", name, start * step, end * step) for name, (start, end) in spans.items()]
    everything = np.ones(len(time), np.bool_)
    track = train._track(time, everything, everything, events, step)

    assert ("inside",) == track.kinds
    assert [[150 * step, 160 * step]] == track.episodes.tolist()
    assert 3 == len(track.excused)
    assert 100 * step / DAY == track.person_days


def member(rows: int, stops: tuple[int, int]) -> Member:
    part = np.repeat([TRAIN, CALIBRATION, 2], np.diff([0, *stops, rows])).astype(np.int8)
    return Member(grid(rows=rows, heart_rate=60.0), Profile("a"), None, part, True)


def test_training_sees_nobodys_later_days():
    one = member(1000, (600, 800))

    assert 600 == len(one.until(TRAIN).grid)
    assert 800 == len(one.until(CALIBRATION).grid)
    assert [one] == having([one], TRAIN)
    assert [] == having([member(10, (10, 10))], CALIBRATION)


def test_the_first_rows_of_a_grid_are_all_of_its_columns():
    cut = grid(rows=10, heart_rate=60.0).rows(slice(4))

    assert [4] * 6 == [len(getattr(cut, n)) for n in ("time", "minute", "segment", "values", "filled", "artefact")]


def test_enrolment_days_are_not_judged_unless_the_recording_is_short():
    assert 7 * DAY == enrolled_until(grid(rows=12 * 288), 7)
    assert 0 == enrolled_until(grid(rows=8 * 288), 7)
    assert 0 == enrolled_until(grid(rows=0), 7)


def test_one_label_says_that_a_group_was_labelled():
    labels = {"p1": [Event("p1", "fever", 0, 1)], "p2": [], "synthetic-p0": []}

    assert {"own"} == labelled_groups(labels)
    assert set() == labelled_groups({"p1": []})


def test_own_people_get_half_of_the_windows_where_synthetic_people_learn_beside_them():
    counts, own = [1000, 3000, 50_000], [True, True, False]

    assert [1, 1, 0.12] == forecasting.draw_shares(counts, own, 10_000, 0.5)
    assert [0.25, 0.25, 0.02] == forecasting.draw_shares(counts, own, 2000, 0.5)


def test_without_synthetic_people_every_row_has_the_same_chance():
    assert [0.5, 0.5] == forecasting.draw_shares([1000, 3000], [True, True], 2000, 0.5)
    assert [0.5, 0.5] == forecasting.draw_shares([1000, 3000], [False, False], 2000, 0.5)
    assert [1, 1] == forecasting.draw_shares([10, 30], [False, True], 2000, 0.5)


def test_a_long_episode_is_told_by_some_rows_spread_over_it_and_a_short_one_by_all():
    episode = np.repeat([-1, 0, -1, 1], [7, 1000, 5, 30])
    kept = train._some_of_each(episode, 100)

    assert 100 == kept[episode == 0].sum()
    assert np.ptp(np.flatnonzero(kept & (episode == 0))) > 900
    assert kept[episode == 1].all()
    assert not kept[episode < 0].any()
    assert 50 == train._some_of_each(episode, 50)[episode == 0].sum()


def test_rows_that_teach_what_is_normal_are_drawn_evenly_whatever_is_in_them():
    time = np.arange(1000) * 5 * MINUTE
    even = train.even_rows(time, 5, SETTINGS)

    assert 200 == even.sum()
    assert {5} == set(np.diff(np.flatnonzero(even)).tolist())


def test_many_people_are_thinned_to_the_rows_that_are_learnt_from():
    people = [
        Member(grid(f"p{i}", 10 * 288), Profile(f"p{i}"), (), np.zeros(10 * 288, np.int8), False) for i in range(4)
    ]
    chosen = SETTINGS.params.model_copy(
        update={
            "supervised": SETTINGS.params.supervised.model_copy(update={"normal_rows": 2000}),
            "detector": SETTINGS.params.detector.model_copy(update={"max_rows": 1000}),
        }
    )

    assert 5 == train.stride_of(people, replace(SETTINGS, params=chosen))
    assert 1 == train.stride_of(people[:0], SETTINGS)


def test_scores_are_averaged_over_as_long_as_was_chosen(held, forest, known):
    nine, one = (
        calibrating.calibrate(held, forest, known, ("kind_0", "kind_1"), asking(average=told))
        for told in ("45min", "5min")
    )
    spike = np.full((12, len(features.NAMES)), 0.01, np.float32)  # measured, and as usual
    spike[5] = 6.0
    detectors = [Detector(Model(forest), known, limits) for limits in (nine, one)]
    found = [d.advance(d.begin(), spike, np.ones(12, bool))[1].unusual for d in detectors]

    assert [9, 1] == [nine.rows, one.rows]
    assert (found[1][4] == found[1][6:]).all()  # alone, a row does not know the one before it
    assert (found[0][5:] > found[0][4]).all()
    assert found[0][5] < found[1][5]

"""The supervised heads learn what labels say, weigh long episodes down, and learn nothing from labels of chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tiny import small_settings
from training_world import A_DAY, seen
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import Rule
from vitalwatch.models import episodes
from vitalwatch.runtime import Model
from vitalwatch.scoring import Line, Scale, Scales
from vitalwatch.stages.calibrating import Seen

CHOSEN = small_settings().params.supervised.model_copy(update={"rounds": 20, "learning_rate": 0.2})


def fitted(rows: Seen, seed: int = 1) -> Model:
    return Model(episodes.fit(rows.x, rows.episode, rows.kind, 2, CHOSEN, seed, 1))


def probability(model: Model, x: np.ndarray) -> np.ndarray:
    return model.run(x=x)["probability"]


def one_column(rows: Seen) -> Seen:
    """Return the rows with episodes in a single column: what is learnt from chance then cannot be right by luck."""
    x = np.random.default_rng(len(rows.x)).normal(0, 1, rows.x.shape).astype(np.float32)
    x[rows.episode >= 0, 7] += 2
    return replace(rows, x=x)


def test_episodes_are_found_in_people_never_seen():
    here, there = seen(people=3, seed=1), seen(people=3, seed=2)
    found = probability(fitted(here), there.x)

    assert roc_auc_score(there.episode >= 0, found) > 0.95
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_permuted_labels_are_chance_on_held_out_people():
    here, there = (one_column(seen(people=4, seed=seed)) for seed in (3, 4))
    order = np.random.default_rng(5).permutation(len(here.x))
    permuted = replace(here, episode=here.episode[order], kind=here.kind[order])
    skill = [roc_auc_score(there.episode >= 0, probability(fitted(rows), there.x)) for rows in (here, permuted)]

    assert skill[0] > 0.8
    assert 0.5 == pytest.approx(skill[1], abs=0.08)


def test_each_head_finds_its_own_kind():
    here, there = seen(people=4, seed=6), seen(people=2, seed=7)
    margin = fitted(here).run(x=there.x)["margin"]
    inside = there.episode >= 0

    assert (len(there.x), 2) == margin.shape
    assert (margin[inside].argmax(axis=1) == there.kind[inside]).mean() > 0.95
    assert (margin[there.kind == 1, 0] < 0).mean() > 0.9


def test_training_twice_gives_the_same_bytes_and_another_seed_gives_others():
    here = seen(people=2)
    once, again, other = (episodes.fit(here.x, here.episode, here.kind, 2, CHOSEN, seed, 1) for seed in (1, 1, 2))

    assert once == again
    assert once != other


def levels(margin: np.ndarray, rows: Seen) -> np.ndarray:
    cohort = Cohort(rows.tracks, Rule.of_params(small_settings().params.alarms, small_settings().schema.step_ms))
    scale = episodes.level_scale(margin, cohort)
    return Scales(Scale(scale.knots[None], scale.values[None])).look_up(margin, np.zeros(len(margin), np.intp))


def test_kinds_stand_on_one_scale_of_false_alarms_whatever_their_margins():
    rows = seen(people=4, days=20, seed=1)
    once = np.random.default_rng(1).normal(0, 1, len(rows.x)).astype(np.float32)
    found = levels(np.stack((once, 100 + 7 * once), axis=1), rows)
    seen_before = found[:, 0] < np.log10(80)  # days: beyond, a margin counts for itself

    np.testing.assert_allclose(found[seen_before, 0], found[seen_before, 1], atol=0.02)
    assert found[seen_before, 0].max() > 0.5


def test_a_level_is_the_rarity_of_false_alarms_at_its_threshold():
    rows = seen(people=6, days=30, seed=1)
    margin = np.random.default_rng(1).normal(0, 1, (len(rows.x), 1)).astype(np.float32)
    score = levels(margin, rows)[:, 0]
    tracks, stops = rows.tracks, np.cumsum([len(track.time) for track in rows.tracks])[:-1]
    cohort = Cohort(tracks, Rule.of_params(small_settings().params.alarms, small_settings().schema.step_ms))
    level = cohort.levels(np.split(score, stops))

    for wanted in (0.5, 0.2, 0.1):
        assert cohort.false_rate(level, -np.log10(wanted)) == pytest.approx(wanted, rel=0.35)


def test_rows_that_cannot_be_judged_have_no_level():
    rows = seen(people=2, days=8)
    margin = np.random.default_rng(1).normal(0, 1, (len(rows.x), 1)).astype(np.float32)
    margin[5:9] = np.nan

    assert [5, 6, 7, 8] == np.flatnonzero(np.isnan(levels(margin, rows)[:, 0])).tolist()


def test_a_row_weighs_less_in_a_longer_episode_by_the_root_of_its_length():
    assert [1, 0.5, 0.5, 0.5, 0.5] == episodes._episode_weight(np.asarray([7, 3, 3, 3, 3])).tolist()


def test_of_four_times_the_length_an_episode_weighs_twice_as_much_altogether():
    lengths = np.repeat([0, 1], [9, 36])
    by_episode = np.bincount(lengths, weights=episodes._episode_weight(lengths))

    assert 2 == pytest.approx(by_episode[1] / by_episode[0])


def test_normal_rows_drawn_stand_for_all_others():
    episode = np.full(10 * A_DAY, -1)
    episode[100:110], episode[500:540] = 0, 1
    drawn = episodes.normal_rows(episode, 200, seed=1)
    used = np.concatenate((episode[drawn], episode[episode >= 0]))
    weight = episodes.weights(used, outside=len(episode) - 50)

    assert 200 == len(np.unique(drawn))
    assert {-1} == set(episode[drawn].tolist())
    assert len(episode) - 50 == pytest.approx(weight[:200].sum())
    assert 50 == pytest.approx(weight[200:].sum())
    assert weight[200] == pytest.approx(2 * weight[-1])


def test_fewer_normal_rows_than_asked_all_train():
    assert [3, 4] == sorted(episodes.normal_rows(np.asarray([0, 0, 0, -1, -1]), 9, seed=1).tolist())


def test_a_probability_for_people_who_are_rarely_ill_holds_for_them():
    """Rows of both classes look alike in both populations; only their shares differ: .2 and .03 in episodes."""
    rng = np.random.default_rng(6)

    def rows(prevalence: float) -> tuple[np.ndarray, np.ndarray]:
        inside = rng.random(300_000) < prevalence
        return 1 / (1 + np.exp(-rng.normal(np.where(inside, 1.5, -1.5), 1.5))), inside

    scale = episodes.chance_scale(*rows(0.2), np.arange(300_000) % 50)
    told, inside = rows(0.03)
    found = Line.of(episodes.at_prevalence(scale, episodes.odds_between(0.2, 0.03))).look_up_all(told)

    assert 0.03 == pytest.approx(found.mean(), rel=0.05)
    assert Line.of(scale).look_up_all(told).mean() > 0.08
    for low, high in ((0.0, 0.05), (0.05, 0.3), (0.3, 1.0)):
        some = (found >= low) & (found < high)
        assert inside[some].mean() == pytest.approx(found[some].mean(), abs=0.04)
    assert (np.diff(found[np.argsort(told)]) >= 0).all()


def test_shifting_odds_there_and_back_changes_nothing():
    told = np.asarray([0.0, 0.01, 0.5, 0.99, 1.0])

    assert told == pytest.approx(episodes.shifted(episodes.shifted(told, 0.15), 1 / 0.15))
    assert 0.15 / 1.15 == pytest.approx(episodes.shifted(0.5, 0.15))


def test_a_chance_that_is_told_too_high_is_put_right_and_keeps_its_order():
    """Two heads that see the same thing, taken as independent: 1 - (1 - p)^2 in place of p."""
    rng = np.random.default_rng(5)
    true = rng.random(200_000) ** 2
    told = (1 - (1 - true) ** 2).astype(np.float32)
    line = Line.of(episodes.chance_scale(told, rng.random(len(true)) < true, np.arange(len(true)) % 50))

    asked = np.asarray([0.02, 0.1, 0.3, 0.6, 0.9])
    found = line.look_up_all(1 - (1 - asked) ** 2)
    assert asked == pytest.approx(found, abs=0.05)
    assert (np.diff(line.look_up_all(np.linspace(0, 1, 101))) >= 0).all()
    assert 0 <= line.look_up(0.0) <= line.look_up(1.0) <= 1


def test_a_week_of_one_persons_harmless_context_lowers_nobody_elses_chance():
    rng = np.random.default_rng(7)
    told = rng.random(80_000)
    inside, person = rng.random(len(told)) < told, np.arange(len(told)) % 40
    week = 2000
    with_week = (
        np.concatenate((told, rng.uniform(0.88, 0.92, week))),
        np.concatenate((inside, np.zeros(week, np.bool_))),
        np.concatenate((person, np.full(week, 40))),
    )
    normal = (~inside & (told > 0.88) & (told < 0.92)).sum()
    assert week > 5 * normal
    counted_in_full = (inside & (told > 0.88) & (told < 0.92)).sum() / (3200 + week)
    found = Line.of(episodes.chance_scale(*with_week)).look_up(0.9)

    assert 0.9 == pytest.approx(Line.of(episodes.chance_scale(told, inside, person)).look_up(0.9), abs=0.03)
    assert 0.9 == pytest.approx(found, abs=0.06)
    assert found > counted_in_full + 0.2


def test_of_a_single_person_every_row_counts():
    rng = np.random.default_rng(8)
    told = rng.random(20_000)
    inside = rng.random(len(told)) < told

    assert 0.5 == pytest.approx(
        Line.of(episodes.chance_scale(told, inside, np.zeros(len(told), np.int64))).look_up(0.5), abs=0.05
    )

"""The supervised heads learn what labels say, weigh long episodes down, and learn nothing from labels of chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tiny import small_settings
from training_world import A_DAY, seen
from vitalwatch.models import episodes
from vitalwatch.runtime import Model
from vitalwatch.stages.train import Seen

CHOSEN = small_settings().params.supervised.model_copy(update={"rounds": 20, "kind_rounds": 6, "learning_rate": 0.2})


def probability(model: bytes, x: np.ndarray) -> np.ndarray:
    return Model(model).run(x=x)["probability"].reshape(len(x))


def one_column(rows: Seen) -> Seen:
    """Return the rows with episodes in a single column: what is learnt from chance then cannot be right by luck."""
    x = np.random.default_rng(len(rows.x)).normal(0, 1, rows.x.shape).astype(np.float32)
    x[rows.episode >= 0, 7] += 2
    return replace(rows, x=x)


def test_episodes_are_found_in_people_never_seen():
    here, there = seen(people=3, seed=1), seen(people=3, seed=2)
    found = probability(episodes.fit(here.x, here.episode, CHOSEN, 1, 1), there.x)

    assert roc_auc_score(there.episode >= 0, found) > 0.95
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_permuted_labels_are_chance_on_held_out_people():
    here, there = (one_column(seen(people=4, seed=seed)) for seed in (3, 4))
    permuted = np.random.default_rng(5).permutation(here.episode)
    skill = [
        roc_auc_score(there.episode >= 0, probability(episodes.fit(here.x, labels, CHOSEN, 1, 1), there.x))
        for labels in (here.episode, permuted)
    ]

    assert skill[0] > 0.8
    assert 0.5 == pytest.approx(skill[1], abs=0.08)


def test_the_kind_is_named():
    here, there = seen(people=4, seed=6), seen(people=2, seed=7)
    model = episodes.fit_kinds(here.x, here.episode, here.kind, 2, CHOSEN, 1, 1)
    inside = there.episode >= 0
    share = Model(model).run(x=there.x[inside])["probabilities"]

    assert (int(inside.sum()), 2) == share.shape
    assert np.allclose(1, share.sum(axis=1), atol=1e-4)
    assert (share.argmax(axis=1) == there.kind[inside]).mean() > 0.95


@pytest.mark.parametrize("kinds", [0, 1])
def test_with_fewer_than_two_kinds_there_is_nothing_to_name(kinds):
    here = seen(people=1)

    assert episodes.fit_kinds(here.x, here.episode, here.kind, kinds, CHOSEN, 1, 1) is None


def test_training_twice_gives_the_same_bytes_and_another_seed_gives_others():
    here = seen(people=2)

    assert episodes.fit(here.x, here.episode, CHOSEN, 1, 1) == episodes.fit(here.x, here.episode, CHOSEN, 1, 1)
    assert episodes.fit(here.x, here.episode, CHOSEN, 1, 1) != episodes.fit(here.x, here.episode, CHOSEN, 2, 1)


def test_a_row_weighs_less_in_a_longer_episode_by_the_root_of_its_length():
    assert [1, 0.5, 0.5, 0.5, 0.5] == episodes._episode_weight(np.asarray([7, 3, 3, 3, 3])).tolist()


def test_of_four_times_the_length_an_episode_weighs_twice_as_much_altogether():
    lengths = np.repeat([0, 1], [9, 36])
    by_episode = np.bincount(lengths, weights=episodes._episode_weight(lengths))

    assert 2 == pytest.approx(by_episode[1] / by_episode[0])


def test_all_episode_rows_train_and_the_normal_rows_drawn_stand_for_all_others():
    episode = np.full(10 * A_DAY, -1)
    episode[100:110], episode[500:540] = 0, 1
    rows, weight = episodes._rows(episode, ratio=4.0, seed=1)
    inside = episode[rows] >= 0

    assert 50 == inside.sum()
    assert 200 == (~inside).sum()
    assert np.array_equal(np.unique(rows), rows)
    assert len(episode) - 50 == pytest.approx(weight[~inside].sum())
    assert 50 == pytest.approx(weight[inside].sum())
    assert weight[inside][0] == pytest.approx(2 * weight[inside][-1])


def test_fewer_normal_rows_than_asked_all_train():
    rows, _ = episodes._rows(np.asarray([0, 0, 0, -1, -1]), ratio=4.0, seed=1)

    assert [0, 1, 2, 3, 4] == rows.tolist()

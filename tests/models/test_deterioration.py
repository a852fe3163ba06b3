"""models.deterioration: learns what precedes, falls to chance on dealt labels, and tells true probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch.early_warning import Platt
from vitalwatch.metrics.ranking import auroc
from vitalwatch.models import deterioration
from vitalwatch.params import EarlyWarning
from vitalwatch.runtime import Model

CHOSEN = EarlyWarning(
    rounds=60, learning_rate=0.1, leaves=7, min_rows_a_leaf=20, columns_a_tree=1.0, l2=1.0, share_of_hours=0.3,
    max_rows=1000,
)  # fmt: skip


def world(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return hours whose first column tells the odds, and what happened."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(patients * 10, 4)).astype(np.float32)
    return x, rng.random(len(x)) < 1 / (1 + np.exp(3 - 2 * x[:, 0]))


def told(x: np.ndarray, happens: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return Model(deterioration.fit(x, happens, CHOSEN, 1, 1)).run(x=asked)["probability"].reshape(-1)


def test_it_ranks_patients_it_never_saw():
    x, happens = world(200, 1)
    other, truth = world(200, 2)

    assert auroc(truth, told(x, happens, other)) > 0.8


def test_with_labels_dealt_anew_it_falls_to_chance():
    x, happens = world(200, 1)
    other, truth = world(200, 2)
    dealt = np.random.default_rng(3).permutation(happens)

    assert 0.5 == pytest.approx(auroc(truth, told(x, dealt, other)), abs=0.08)


def test_nothing_measured_is_an_answer_too():
    x, happens = world(50, 1)

    assert np.isfinite(told(x, happens, np.full((1, 4), np.nan, np.float32))).all()


def test_training_twice_gives_the_same_bytes():
    x, happens = world(50, 1)

    assert deterioration.fit(x, happens, CHOSEN, 1, 1) == deterioration.fit(x, happens, CHOSEN, 1, 1)


def test_calibration_finds_how_often_it_truly_happens():
    rng = np.random.default_rng(4)
    odds = rng.normal(-2, 1.5, 20_000)
    happened = rng.random(len(odds)) < 1 / (1 + np.exp(-(0.6 * odds - 1)))
    raw = (1 / (1 + np.exp(-odds))).astype(np.float32)
    found = deterioration.platt(raw, happened)

    assert (0.6, -1.0) == (pytest.approx(found.slope, abs=0.05), pytest.approx(found.offset, abs=0.1))
    for part in np.array_split(np.argsort(raw), 5):
        assert happened[part].mean() == pytest.approx(found(raw[part]).mean(), abs=0.02)


def test_probabilities_that_are_true_already_stay():
    rng = np.random.default_rng(5)
    raw = rng.random(20_000).astype(np.float32)
    found = deterioration.platt(raw, rng.random(len(raw)) < raw)

    assert Platt(1, 0) == Platt(round(found.slope, 1), round(abs(found.offset), 1))


def test_patients_who_can_be_told_apart_wholly_give_finite_numbers():
    found = deterioration.platt(np.asarray([0.1, 0.2, 0.8, 0.9], np.float32), np.asarray([False, False, True, True]))

    assert np.isfinite([found.slope, found.offset]).all()


def test_hours_with_it_all_train_and_a_share_of_the_others():
    happens = np.arange(1000) >= 900
    rows = deterioration.hours_to_learn(happens, 0.3, np.random.default_rng(1))

    assert set(range(900, 1000)) <= set(rows.tolist())
    assert 270 == pytest.approx(len(rows) - 100, abs=40)


def test_a_stay_of_which_only_the_end_is_known_gives_each_sixth_hour_and_the_last():
    rows = deterioration.hours_to_learn(np.ones(14, np.bool_), 0, np.random.default_rng(1))

    assert [5, 11, 13] == rows.tolist()

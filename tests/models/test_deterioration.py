"""models.deterioration: learns what precedes, falls to chance on dealt labels, and tells true probabilities."""

from __future__ import annotations

import numpy as np
import pytest

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


def hours_of_stays(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores that are believed too much early in stays of 48 hours, the hours, and what came true."""
    rng = np.random.default_rng(seed)
    lasted = np.tile(np.arange(1, 49), patients)
    odds = rng.normal(-2, 1.5, len(lasted))
    slope, offset = (np.interp(np.log2(lasted), np.log2([6, 48]), ends) for ends in ([0.4, 1.0], [-1.2, 0.0]))
    happened = rng.random(len(odds)) < 1 / (1 + np.exp(-(slope * odds + offset)))
    return (1 / (1 + np.exp(-odds))).astype(np.float32), lasted, happened


def test_what_is_told_is_true_at_every_hour_though_early_scores_are_believed_too_much():
    found = deterioration.calibration(*hours_of_stays(1500, 4))
    raw, lasted, happened = hours_of_stays(1500, 5)
    told = found(raw, lasted)

    for first, last in ((1, 6), (7, 12), (13, 24), (25, 48)):
        rows = np.flatnonzero((lasted >= first) & (lasted <= last))
        for part in np.array_split(rows[np.argsort(raw[rows])], 5):
            assert happened[part].mean() == pytest.approx(told[part].mean(), abs=0.025)
    assert (0.4, 1.0) == (pytest.approx(found.slope[0], abs=0.05), pytest.approx(found.slope[-1], abs=0.05))


def test_probabilities_that_are_true_already_stay():
    rng = np.random.default_rng(5)
    raw = rng.random(20_000).astype(np.float32)
    found = deterioration.calibration(raw, rng.choice(deterioration.HOURS, len(raw)), rng.random(len(raw)) < raw)

    assert np.ones(len(found.hours)) == pytest.approx(np.asarray(found.slope), abs=0.15)
    assert np.zeros(len(found.hours)) == pytest.approx(np.asarray(found.offset), abs=0.15)


def test_patients_who_can_be_told_apart_wholly_give_finite_numbers():
    raw, lasted = np.asarray([0.1, 0.2, 0.8, 0.9], np.float32), np.asarray([1, 2, 3, 4])
    found = deterioration.calibration(raw, lasted, np.asarray([False, False, True, True]))

    assert np.isfinite([found.slope, found.offset]).all()


def test_a_score_that_ranks_the_wrong_way_round_still_rises():
    raw = np.linspace(0.01, 0.99, 2000).astype(np.float32)
    found = deterioration.calibration(raw, np.full(len(raw), 6), raw < 0.5)

    assert min(found.slope) > 0


def test_hours_with_it_all_train_and_a_share_of_the_others():
    happens = np.arange(1000) >= 900
    rows = deterioration.hours_to_learn(happens, 0.3, np.random.default_rng(1))

    assert set(range(900, 1000)) <= set(rows.tolist())
    assert 270 == pytest.approx(len(rows) - 100, abs=40)


def test_a_stay_of_which_only_the_end_is_known_gives_each_sixth_hour_and_the_last():
    rows = deterioration.hours_to_learn(np.ones(14, np.bool_), 0, np.random.default_rng(1))

    assert [5, 11, 13] == rows.tolist()

"""The expectation learns what a moment adds to a person's own level, from columns that heart rate is no part of."""

from __future__ import annotations

import numpy as np
import pytest

from tiny import small_settings
from vitalwatch.features import EXPECTATION
from vitalwatch.models import heart_rate
from vitalwatch.runtime import Model

CHOSEN = small_settings().params.regressor.model_copy(update={"rounds": 60, "leaves": 15})
PACE, AGE = EXPECTATION.index("steps_15min"), EXPECTATION.index("age")
LEVEL = np.asarray([55.0, 65.0, 80.0], np.float32)


def moments(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of three people: columns, heart rate (own level + 0.3 a step a minute + noise of 1), and who."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, len(EXPECTATION))).astype(np.float32)
    x[:, PACE] = rng.uniform(0, 120, n)
    who = rng.integers(0, 3, n)
    rate = LEVEL[who] + 0.3 * x[:, PACE] + rng.normal(0, 1, n)
    return x, rate.astype(np.float32), who


def fit(x, rate, who, *, chosen=CHOSEN, seed=1, level=LEVEL) -> bytes:
    return heart_rate.fit(x, rate, level=level[who], who=who, chosen=chosen, seed=seed, threads=1)


def lift(model: bytes, x: np.ndarray) -> np.ndarray:
    return Model(model).run(x=x)["value"].reshape(len(x))


def test_a_planted_relation_is_found_again_on_new_moments():
    new, _, _ = moments(2000, seed=2)
    truth = 0.3 * new[:, PACE]

    assert 1 - np.var(lift(fit(*moments(4000, seed=1)), new) - truth) / np.var(truth) > 0.98


def test_a_persons_level_is_not_learnt():
    x, rate, who = moments(3000, seed=3)
    x[:, AGE] = 30 + 10 * who  # tells who it is
    answer = lift(fit(x, rate, who), x)

    assert [0.3 * 60] * 3 == pytest.approx([answer[who == person].mean() for person in range(3)], abs=1.5)


def test_each_person_weighs_the_same_however_long_the_recording():
    x, _, _ = moments(4000, seed=4)
    who = (np.arange(4000) >= 3600).astype(np.int64)
    rate = np.where(who == 0, 60.0, 80.0).astype(np.float32) + np.random.default_rng(1).normal(0, 0.1, 4000)
    few = CHOSEN.model_copy(update={"rounds": 2})
    answer = lift(fit(x, rate.astype(np.float32), who, chosen=few, level=np.zeros(2, np.float32)), x)

    assert 70 == pytest.approx(answer.mean(), abs=1.0)  # by rows it would be 62


def test_a_column_computed_from_heart_rate_stops_the_training():
    x, rate, who = moments(500, seed=5)
    x[:, PACE] = 4.0 * rate * (1 + 0.001 * np.random.default_rng(1).normal(size=500))  # like calories

    assert ["steps_15min"] == heart_rate.leaks(x, rate)
    with pytest.raises(ValueError, match="steps_15min"):
        fit(x, rate, who)


def test_a_curve_of_heart_rate_is_found_too():
    x, rate, _ = moments(500, seed=6)
    x[:, 0] = 60_000 / rate  # milliseconds between beats

    assert [EXPECTATION[0]] == heart_rate.leaks(x, rate)


def test_activity_itself_and_constant_columns_pass():
    x, rate, _ = moments(500, seed=7)
    x[:, 3] = 1.0

    assert [] == heart_rate.leaks(x, rate)


def test_rows_drawn_are_few_enough_in_order_and_never_twice():
    rows = heart_rate.sample(1000, 300, seed=1)

    assert 300 == len(set(rows.tolist()))
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, heart_rate.sample(1000, 300, seed=1))
    assert list(range(10)) == heart_rate.sample(10, 300, seed=1).tolist()


def test_training_twice_gives_the_same_bytes_and_another_seed_gives_others():
    told = moments(600, seed=8)

    assert fit(*told) == fit(*told)
    assert fit(*told) != fit(*told, seed=2)

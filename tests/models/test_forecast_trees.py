"""Trees beside the LSTM: what they see, what they learn, and their share."""

from __future__ import annotations

import numpy as np

from vitalwatch import lags, sequences
from vitalwatch.models import forecast_trees
from vitalwatch.residuals import STATIC
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings

SMALL = {"tree_rounds": 30, "tree_leaves": 7, "tree_learning_rate": 0.2, "tree_min_rows_a_leaf": 20}


def windows(settings: Settings, n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Windows whose heart rate goes on by what the turn says, and by twice that at the longer horizons."""
    rng, chosen = np.random.default_rng(seed), settings.params.forecaster
    names = sequences.channels(chosen, settings.schema)
    x = rng.normal(size=(n, 24, len(names))).astype(np.float32)
    person = rng.normal(70, 3, (n, len(STATIC))).astype(np.float32)
    last = rng.normal(70, 3, (n, len(sequences.vitals(chosen, settings.schema)))).astype(np.float32)
    turn = x[:, -1, names.index(sequences.TURN)]
    y = np.full((n, last.shape[1], 2), np.nan, np.float32)
    y[:, 0] = last[:, :1] + 10 * turn[:, None] * [1, 2]
    return x, person, y, last


def test_each_horizon_learns_its_own_answer(settings: Settings) -> None:
    drawn = forecast_trees.rows_of(*windows(settings, 3000), 0)
    onnx = forecast_trees.fit(drawn, settings.params.forecaster.model_copy(update=SMALL), 1, 1)
    assert drawn is not None
    assert onnx is not None
    new = forecast_trees.rows_of(*windows(settings, 500, seed=5), 0)
    assert new is not None
    told = Model(onnx).run(x=new.x)["value"]

    assert (np.abs(told - new.moved).mean(axis=0) < 0.35 * np.abs(new.moved).mean(axis=0)).all()


def test_columns_are_equal_to_the_bit_alone_and_in_bulk(settings: Settings) -> None:
    x, person, _, last = windows(settings, 40)
    many = lags.lagged(x, person, last, 0)

    for i in range(40):
        np.testing.assert_array_equal(many[[i]], lags.lagged(x[[i]], person[[i]], last[[i]], 0))


def test_too_few_rows_or_no_heart_rate_give_no_trees(settings: Settings) -> None:
    assert (
        forecast_trees.fit(forecast_trees.rows_of(*windows(settings, 400), 0), settings.params.forecaster, 1, 1) is None
    )
    assert forecast_trees.rows_of(*windows(settings, 400), -1) is None


def test_the_share_is_that_with_the_least_error() -> None:
    moved = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    moved[:50, 2] = np.nan
    wrong = moved + 5
    alone = np.stack([moved[:, 0], wrong[:, 1], moved[:, 2] - 1], axis=1)
    trees = np.stack([wrong[:, 0], moved[:, 1], moved[:, 2] + 3], axis=1)

    assert [0, 1, 0.25] == forecast_trees.share(alone, trees, moved).tolist()

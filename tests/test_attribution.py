"""TreeSHAP of boosted heads: LightGBM's own contributions are the reference."""

from __future__ import annotations

import json

import lightgbm
import numpy as np
import pytest

from vitalwatch.attribution import Attribution, told

ROWS, COLUMNS = 900, 7


def head(seed: int, leaves: int = 8, rounds: int = 25):
    """Return a booster on columns of which some are missing, and rows to ask about."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=ROWS) > 0.5).astype(float)
    x[rng.random(x.shape) < 0.15] = np.nan
    options = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "seed": seed}
    return lightgbm.train(options, lightgbm.Dataset(x, y), rounds), x


@pytest.mark.parametrize("leaves", [2, 8, 31])
def test_contributions_are_those_of_lightgbm(leaves: int) -> None:
    booster, x = head(1, leaves)
    reference = booster.predict(x[:150], pred_contrib=True)
    found, base = Attribution(told([booster])).adds(x[:150], 0)

    np.testing.assert_allclose(reference[:, :-1], found, atol=1e-6)
    assert base == pytest.approx(reference[0, -1], abs=1e-6)


def test_they_add_up_to_the_log_odds() -> None:
    booster, x = head(2)
    found, base = Attribution(told([booster])).adds(x, 0)

    np.testing.assert_allclose(booster.predict(x, raw_score=True), found.sum(axis=1) + base, atol=1e-6)


def test_each_head_is_taken_apart_by_itself() -> None:
    heads = [head(seed)[0] for seed in (3, 4)]
    x = head(3)[1][:5]
    both = Attribution(told(heads))

    for number, one in enumerate(heads):
        np.testing.assert_allclose(one.predict(x, pred_contrib=True)[:, :-1], both.adds(x, number)[0], atol=1e-6)


def test_a_column_that_no_tree_asks_for_adds_nothing() -> None:
    booster, x = head(5)
    unused = [i for i, count in enumerate(booster.feature_importance()) if count == 0]
    x[:, 3] = 0
    rest = lightgbm.train({"objective": "binary", "verbose": -1, "num_leaves": 4},
                          lightgbm.Dataset(x, (x[:, 0] > 0).astype(float)), 5)  # fmt: skip
    found, _ = Attribution(told([rest])).adds(x, 0)

    assert 0 == np.abs(found[:, 3]).max()
    assert all(0 == np.abs(Attribution(told([booster])).adds(x, 0)[0][:, i]).max() for i in unused)


def test_a_head_that_learnt_nothing_says_so() -> None:
    x = np.zeros((50, 2), np.float32)
    flat = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, np.arange(50.0) < 10), 2)
    found, base = Attribution(told([flat])).adds(x[:3], 0)

    assert 0 == np.abs(found).max()
    assert base == pytest.approx(flat.predict(x[:1], raw_score=True)[0], abs=1e-6)
    assert {"columns", "heads", "units"} == set(json.loads(told([flat])))

"""What is exported answers as the original does, and the same alone as in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vitalwatch import export
from vitalwatch.runtime import Model

COLUMNS = 12


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1500, COLUMNS)).astype(np.float32)


def chunks(n: int, seed: int) -> Iterator[slice]:
    """Cut n rows into random pieces, some of one row."""
    rng, start = np.random.default_rng(seed), 0
    while start < n:
        size = int(rng.choice([1, 2, 7, 60, 129, 400]))
        yield slice(start, start + size)
        start += size


def in_chunks(model: Model, x: np.ndarray, output: str, seed: int) -> np.ndarray:
    return np.concatenate([model.run(x=x[piece])[output] for piece in chunks(len(x), seed)])


def on_thresholds(trees: list[Any], columns: list[int], x: np.ndarray) -> np.ndarray:
    """Rows of `x` with one value each put on a threshold of a tree, or one float32 step to either side."""
    rng, out = np.random.default_rng(3), x.copy()
    for i in range(len(out)):
        tree = trees[rng.integers(len(trees))]
        node = rng.choice(np.flatnonzero(tree.children_left >= 0))
        value = np.float32(tree.threshold[node])
        near = [value, np.nextafter(value, np.float32(np.inf)), np.nextafter(value, np.float32(-np.inf))]
        out[i, columns[tree.feature[node]]] = near[rng.integers(3)]
    return out


@pytest.fixture(scope="module")
def forests(rows: np.ndarray) -> list[tuple[Any, list[int]]]:
    from sklearn.ensemble import IsolationForest

    groups = [[0, 3, 5], [11, 1], list(range(COLUMNS))]
    return [
        (IsolationForest(n_estimators=12, max_samples=128, random_state=i).fit(rows[:, columns]), columns)
        for i, columns in enumerate(groups)
    ]


@pytest.fixture(scope="module")
def forest_model(forests: list[tuple[Any, list[int]]]) -> Model:
    return Model(export.forests_to_onnx(forests, COLUMNS))


def test_forests_score_as_scikit_learn_and_high_is_unusual(
    forests: list[tuple[Any, list[int]]], forest_model: Model, rows: np.ndarray
) -> None:
    far = np.full((1, COLUMNS), 9, np.float32)
    expected = np.stack([-forest.score_samples(rows[:, columns]) for forest, columns in forests], axis=1)

    assert np.abs(expected - forest_model.run(x=rows)["score"]).max() < 1e-6
    assert (forest_model.run(x=far)["score"] > np.quantile(expected, 0.99, axis=0)).all()


def test_a_row_on_a_threshold_goes_the_way_scikit_learn_sends_it(
    forests: list[tuple[Any, list[int]]], forest_model: Model, rows: np.ndarray
) -> None:
    for target, (forest, columns) in enumerate(forests):
        edge = on_thresholds([tree.tree_ for tree in forest.estimators_], columns, rows)
        expected = -forest.score_samples(edge[:, columns])

        # one tree of 12 that goes the other way moves a score by far more than 1e-6
        assert np.abs(expected - forest_model.run(x=edge)["score"][:, target]).max() < 1e-6


def test_forests_trained_with_missing_values_send_them_the_same_way(rows: np.ndarray) -> None:
    from sklearn.ensemble import IsolationForest

    holed = rows.copy()
    holed[np.random.default_rng(5).random(rows.shape) < 0.2] = np.nan
    forest = IsolationForest(n_estimators=20, max_samples=128, random_state=0).fit(holed)
    model = Model(export.forests_to_onnx([(forest, range(COLUMNS))], COLUMNS))

    assert np.abs(-forest.score_samples(holed) - model.run(x=holed)["score"][:, 0]).max() < 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_forest_scores_are_equal_to_the_bit_in_any_chunks(forest_model: Model, rows: np.ndarray, seed: int) -> None:
    np.testing.assert_array_equal(forest_model.run(x=rows)["score"], in_chunks(forest_model, rows, "score", seed))


def test_the_same_forests_give_the_same_bytes(forests: list[tuple[Any, list[int]]]) -> None:
    assert export.forests_to_onnx(forests, COLUMNS) == export.forests_to_onnx(forests, COLUMNS)


@pytest.mark.parametrize("columns", [[], [0, COLUMNS], [-1]])
def test_a_forest_on_columns_that_are_not_there_is_refused(
    forests: list[tuple[Any, list[int]]], columns: list[int]
) -> None:
    with pytest.raises(ValueError, match="columns must lie"):
        export.forests_to_onnx([(forests[0][0], columns)], COLUMNS)


OUTPUT = {"regression": "value", "quantile": "value", "binary": "probability"}


def boosted(objective: str, x: np.ndarray, **more: Any) -> Any:
    import lightgbm

    line = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) ** 2 + 2 * np.isnan(x[:, 2])
    label = {"binary": line > 1, "multiclass": np.digitize(line, [0.0, 1.0])}.get(objective, 70 + 10 * line)
    chosen = {"objective": objective, "num_leaves": 15, "verbose": -1, "num_threads": 1, "deterministic": True, **more}
    if objective == "multiclass":
        chosen["num_class"] = 3
    return lightgbm.train(chosen, lightgbm.Dataset(x, label), num_boost_round=15)


def holes(x: np.ndarray, share: float) -> np.ndarray:
    return np.where(np.random.default_rng(8).random(x.shape) < share, np.float32(np.nan), x)


@pytest.mark.parametrize("objective", OUTPUT)
@pytest.mark.parametrize("trained_on_holes", [True, False])
def test_boosted_trees_answer_as_lightgbm_also_for_missing_values(
    rows: np.ndarray, objective: str, trained_on_holes: bool
) -> None:
    booster = boosted(objective, holes(rows, 0.2) if trained_on_holes else rows)
    model, asked = Model(export.boosted_to_onnx(booster, COLUMNS)), holes(rows, 0.3)
    expected = booster.predict(asked.astype(np.float64))
    answer = model.run(x=asked)[OUTPUT[objective]]

    assert expected.shape == answer.shape
    np.testing.assert_allclose(answer, expected, rtol=1.2e-7, atol=1e-5)  # the last digit of float32
    np.testing.assert_array_equal(answer, in_chunks(model, asked, OUTPUT[objective], seed=1))


def test_a_row_on_a_threshold_goes_the_way_lightgbm_sends_it(rows: np.ndarray) -> None:
    booster = boosted("regression", rows)
    model, rng, edge = Model(export.boosted_to_onnx(booster, COLUMNS)), np.random.default_rng(2), rows.copy()
    splits = booster.trees_to_dataframe().dropna(subset=["threshold"])
    for i in range(len(edge)):
        split = splits.iloc[rng.integers(len(splits))]
        value = np.float32(split["threshold"])
        near = [value, np.nextafter(value, np.float32(np.inf)), np.nextafter(value, np.float32(-np.inf))]
        edge[i, int(split["split_feature"].removeprefix("Column_"))] = near[i % 3]

    np.testing.assert_allclose(model.run(x=edge)["value"], booster.predict(edge.astype(np.float64)), rtol=1e-6)


def test_heads_against_the_rest_answer_each_for_itself_and_all_together(rows: np.ndarray) -> None:
    heads = [boosted("binary", rows * sign) for sign in (np.float32(1), np.float32(-1), np.float32(0.5))]
    model, asked = Model(export.one_against_rest_to_onnx(heads, COLUMNS)), holes(rows, 0.3)
    alone = np.stack([head.predict(asked.astype(np.float64)) for head in heads], axis=1)
    answer = model.run(x=asked)

    np.testing.assert_allclose(1 / (1 + np.exp(-answer["margin"].astype(np.float64))), alone, atol=1e-5)
    np.testing.assert_allclose(answer["probability"], 1 - np.prod(1 - alone, axis=1), atol=1e-5)
    for name in ("margin", "probability"):
        np.testing.assert_array_equal(answer[name], in_chunks(model, asked, name, seed=1))


@pytest.mark.parametrize("objectives", [(), ("regression",), ("binary", "regression")])
def test_only_binary_heads_stand_against_the_rest(rows: np.ndarray, objectives: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="objective"):
        export.one_against_rest_to_onnx([boosted(objective, rows) for objective in objectives], COLUMNS)


def test_what_cannot_be_written_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="objective"):
        export.boosted_to_onnx(boosted("poisson", rows), COLUMNS)
    with pytest.raises(ValueError, match="columns"):
        export.boosted_to_onnx(boosted("regression", rows), COLUMNS + 1)
    with pytest.raises(ValueError, match="zero_as_missing"):
        export.boosted_to_onnx(boosted("regression", rows, zero_as_missing=True), COLUMNS)


def lstm(
    c: int = 7, u: int = 5, s: int = 4, v: int = 2, h: int = 3
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(4)
    shapes = {
        "kernel": (c, 4 * u), "recurrent": (u, 4 * u), "bias": (4 * u,),
        "dense_kernel": (u + s, u), "dense_bias": (u,), "head_kernel": (u, 3 * v * h), "head_bias": (3 * v * h,),
    }  # fmt: skip
    weights = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    normal = {name: rng.normal(size=n).astype(np.float32) for name, n in (("x_mean", c), ("person_mean", s))}
    normal |= {name: rng.uniform(0.5, 3, n).astype(np.float32) for name, n in (("x_scale", c), ("person_scale", s))}
    return weights, normal | {"y_scale": rng.uniform(0.5, 3, (v, h)).astype(np.float32)}


def by_hand(
    weights: dict[str, np.ndarray], normal: dict[str, np.ndarray], x: np.ndarray, person: np.ndarray
) -> np.ndarray:
    """The same forecaster in float64: Hochreiter and Schmidhuber 1997 with a forget gate, as Keras orders it."""
    x = (x.astype(np.float64) - normal["x_mean"]) / normal["x_scale"]
    known = np.nan_to_num((person.astype(np.float64) - normal["person_mean"]) / normal["person_scale"])
    state = cell = np.zeros((len(x), len(weights["recurrent"])))
    for t in range(x.shape[1]):
        i, f, c, o = np.split(x[:, t] @ weights["kernel"] + state @ weights["recurrent"] + weights["bias"], 4, axis=1)
        cell = cell / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
        state = np.tanh(cell) / (1 + np.exp(-o))
    hidden = np.maximum(np.hstack([state, known]) @ weights["dense_kernel"] + weights["dense_bias"], 0)
    median, below, above = np.split(hidden @ weights["head_kernel"] + weights["head_bias"], 3, axis=1)
    standard = np.stack([median - np.logaddexp(0, below), median, median + np.logaddexp(0, above)], axis=-1)
    return standard.reshape(len(x), *normal["y_scale"].shape, 3) * normal["y_scale"][..., None]


def test_the_forecaster_answers_as_its_equations_and_never_crosses() -> None:
    weights, normal = lstm()
    rng = np.random.default_rng(6)
    x, person = rng.normal(size=(80, 9, 7)).astype(np.float32), rng.normal(size=(80, 4)).astype(np.float32)
    person[::3, 1] = np.nan
    model = Model(export.lstm_to_onnx(weights, normal, (9, 7)))
    answer = model.run(x=x, person=person)["quantiles"]

    assert answer.shape == (80, 2, 3, 3)
    np.testing.assert_allclose(answer, by_hand(weights, normal, x, person), atol=1e-5)
    assert (np.diff(answer, axis=-1) >= 0).all()
    for i in range(0, 80, 9):  # a matrix product may round by batch size: a stated tolerance, not equal to the bit
        alone = model.run(x=x[i : i + 1], person=person[i : i + 1])["quantiles"]
        np.testing.assert_allclose(alone, answer[i : i + 1], atol=1e-5)

"""Trees without what few people wear: equal to the bit where that was not measured, and not asked elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny import small_settings
from vitalwatch import features, few_sensors, synthetic
from vitalwatch.bundle import Bundle, load
from vitalwatch.few_sensors import COLUMNS
from vitalwatch.monitor import Monitor
from vitalwatch.runtime import Model
from vitalwatch.tables import Readings

WORN = ("heart_rate", "oxygen_saturation", "steps", "sleep")


@pytest.fixture(scope="module")
def whole(tiny_bundle: tuple[Path, Path]) -> Bundle:
    return load(tiny_bundle[0], [tiny_bundle[1]])


@pytest.fixture(scope="module")
def trees(whole: Bundle) -> dict[str, bytes]:
    return {name: data for name, data in whole.files.items() if name.startswith(("forest", "known"))}


@pytest.fixture
def rows() -> np.ndarray:
    found = np.random.default_rng(3).normal(scale=2.0, size=(500, len(features.NAMES))).astype(np.float32)
    found[:, COLUMNS] = 0.0
    return found


def test_rows_without_these_columns_get_equal_answers_from_fewer_splits(trees: dict[str, bytes], rows: np.ndarray):
    whole, few = (Model(trees[f"forest{ending}"]) for ending in (".onnx", few_sensors.ENDING))
    expected, told = whole.run(x=rows), few.run(x=rows)
    assert {key: value.tobytes() for key, value in expected.items()} == {k: v.tobytes() for k, v in told.items()}
    assert len(trees[f"forest{few_sensors.ENDING}"]) < 0.8 * len(trees["forest.onnx"])


def test_one_measured_value_among_the_rows_asks_the_whole_trees(trees: dict[str, bytes], rows: np.ndarray):
    rows[:, COLUMNS] = np.random.default_rng(4).normal(size=(500, len(COLUMNS)))
    expected = Model(trees["forest.onnx"]).run(x=rows)
    told = few_sensors.trees(trees, "forest").run(x=rows)
    assert {key: value.tobytes() for key, value in expected.items()} == {k: v.tobytes() for k, v in told.items()}
    wrong = Model(trees[f"forest{few_sensors.ENDING}"]).run(x=rows)["score"]
    assert not np.array_equal(expected["score"], wrong), "these columns decide nothing here, so this test cannot fail"


def test_a_tree_all_of_whose_splits_go_is_a_leaf(trees: dict[str, bytes], rows: np.ndarray):
    every = range(len(features.NAMES))
    leaves = Model(few_sensors.without(trees["known.onnx"], every)).run(x=rows)["margin"]
    nothing = Model(trees["known.onnx"]).run(x=np.zeros_like(rows))["margin"]
    assert np.array_equal(nothing, leaves)


def test_whoever_wears_few_sensors_is_judged_as_by_the_whole_trees(whole: Bundle):
    settings = small_settings()
    made = synthetic.person(5, settings.schema, settings.params.synthetic, 1, days=2).readings
    worn = Readings(made.person, made.time, made.offset, {name: made.values[name] for name in WORN})
    twice = whole.files | {f"forest{few_sensors.ENDING}": whole.files["forest.onnx"]}
    expected, told = (Monitor(files, whole.card).answer(worn, forecast=False) for files in (twice, whole.files))
    for name in ("unusual", "known", "probability", "p_value"):
        assert getattr(expected, name).tobytes() == getattr(told, name).tobytes(), name
    assert np.isfinite(told.unusual).any()

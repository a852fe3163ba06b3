"""The pieces that alternatives are made of: features over time, answers that hold, models made smaller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import random_forecaster, small_settings
from training_world import A_DAY, seen
from vitalwatch import features
from vitalwatch.export import lstm_to_onnx
from vitalwatch.models.forecast import Fitted
from vitalwatch.runtime import Model
from vitalwatch.studies.costs import microseconds
from vitalwatch.studies.detectors import extended
from vitalwatch.studies.forecasters import blocks
from vitalwatch.studies.shrinking import SHRINKS, eight_bit_weights, fewer_units, sparse, standardised
from vitalwatch.studies.streaming import MODELS, held, means, streamed

WIDTH = len(features.NAMES)


def test_extended_features_tell_the_change_over_an_hour_of_the_same_person():
    told = seen(people=2, days=2)
    wide = extended(told)
    row = 2 * A_DAY + 20  # of the second person

    assert (len(told.x), 3 * WIDTH) == wide.shape
    assert np.array_equal(told.x, wide[:, :WIDTH])
    assert np.allclose(told.x[row] - told.x[row - 12], wide[row, WIDTH : 2 * WIDTH])


def test_extended_features_know_of_no_change_before_the_first_row_of_a_person():
    wide = extended(seen(people=2, days=2))

    assert not wide[:12, WIDTH : 2 * WIDTH].any()
    assert not wide[2 * A_DAY : 2 * A_DAY + 12, WIDTH : 2 * WIDTH].any()
    assert wide[12, WIDTH : 2 * WIDTH].any()


def test_a_change_is_not_told_across_a_row_that_is_missing():
    told = seen(people=1, days=2)
    kept = np.arange(len(told.x)) != 30
    without = replace(
        told, **{name: getattr(told, name)[kept] for name in ("x", "time", "episode", "kind", "far", "sure", "person")}
    )

    assert not extended(without)[
        41, WIDTH : 2 * WIDTH
    ].any()  # the row that had number 42: an hour after the missing one


def test_an_answer_holds_until_the_next_one():
    every_row, means_of_three = (held(np.array([7.0, 7, 1, 7, 7, 2, 7]), 7, 3), held(np.array([1.0, 2]), 7, 3, 3))

    for told in (every_row, means_of_three):
        assert np.isnan(told[:2]).all()
        assert [1, 1, 1, 2, 2] == told[2:].tolist()
    assert np.isnan(held(np.empty(0), 2, 3, 3)).all()


def test_a_half_hour_is_told_as_the_mean_of_what_was_measured_in_it():
    x = np.array([[1.0, np.nan], [3, np.nan], [np.nan, 5], [9, np.nan], [7, 7]])

    np.testing.assert_array_equal([[2, np.nan], [9, 5]], means(x, 2))
    np.testing.assert_array_equal(x, means(x, 1))


class Hearer:
    """A detector whose score is how many rows it learnt before."""

    def __init__(self) -> None:
        self.learnt: list[dict[str, float]] = []

    def score_one(self, row: dict[str, float]) -> float:
        return len(self.learnt)

    def learn_one(self, row: dict[str, float]) -> None:
        self.learnt.append(row)


def test_a_streaming_detector_learns_every_row_and_is_asked_at_the_last_of_each_six():
    hearer, x = Hearer(), np.arange(14.0)[:, None]
    score = streamed(x, hearer, 6)[0]

    assert list(range(14)) == [row["c0"] for row in hearer.learnt]
    assert [5, 11] == np.flatnonzero(np.isfinite(score)).tolist()
    assert [5, 11] == score[[5, 11]].tolist()  # of the rows before it: none is scored after it was learnt


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_streaming_detector_finds_a_jump_and_is_silent_where_nothing_was_measured(name):
    rng = np.random.default_rng(2)
    x = rng.normal(60, 2, (800, 2))
    x[760:770] += 60
    x[100] = np.nan
    score, seconds, size = streamed(x, MODELS[name](1, 336))

    assert np.isnan(score[100])
    assert np.isfinite(np.delete(score, 100)).all()
    assert score[760] > np.quantile(score[700:760], 0.95)
    assert seconds > 0
    assert size > 0


def scaled_forecaster() -> Fitted:
    """A forecaster by chance whose inputs differ in size as served ones do: pressures, temperatures, zeros and ones."""
    fitted, rng = random_forecaster(small_settings()), np.random.default_rng(7)
    normal = {name: value.copy() for name, value in fitted.normalisation.items()}
    normal["x_scale"][:5] = [10.0, 1.0, 2.0, 12.0, 9.0]
    normal["person_scale"] = rng.uniform(0.5, 20, len(normal["person_scale"])).astype(np.float32)
    normal["person_mean"] = rng.uniform(0, 150, len(normal["person_mean"])).astype(np.float32)
    return replace(fitted, normalisation=normal)


def answers(made: bytes, fitted: Fitted | None = None) -> np.ndarray:
    fitted = fitted or random_forecaster(small_settings())
    rng, normal = np.random.default_rng(4), fitted.normalisation
    x = rng.normal(0, 1, (16, *fitted.shape)).astype(np.float32) * normal["x_scale"]
    person = normal["person_mean"] + normal["person_scale"] * rng.normal(0, 1, (16, len(normal["person_mean"])))
    person[:3, :2] = np.nan
    return Model(made).run(x=x, person=person.astype(np.float32))["quantiles"]


def made_by(shrink, fitted: Fitted) -> bytes:
    return shrink(fitted.weights, fitted.normalisation, fitted.shape, None)


def test_scaling_inputs_in_the_graph_answers_as_scaling_them_in_the_weights_does():
    fitted = scaled_forecaster()
    model = made_by(standardised, fitted)

    assert np.allclose(
        answers(made_by(lstm_to_onnx, fitted), fitted), answers(model.SerializeToString(), fitted), atol=1e-4
    )


@pytest.mark.parametrize("name", [name for name in SHRINKS if "8 bits" in name])
def test_eight_bits_answer_nearly_as_thirty_two_whatever_the_size_of_inputs(name):
    fitted = scaled_forecaster()
    before = answers(made_by(lstm_to_onnx, fitted), fitted)
    small = made_by(SHRINKS[name], fitted)

    assert len(small) < len(made_by(lstm_to_onnx, fitted)) + 2000  # nodes of the scaling; weights are few here
    assert np.abs(answers(small, fitted) - before).max() < 0.05 * np.abs(before).max()
    assert not np.array_equal(answers(small, fitted), before)


def test_weights_in_eight_bits_are_whole_numbers_with_a_scale_a_unit():
    import onnx
    from onnx import numpy_helper

    fitted = scaled_forecaster()
    graph = onnx.load_from_string(made_by(eight_bit_weights, fitted)).graph
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    units = fitted.weights["recurrent"].shape[0]

    assert all(np.int8 == kept[f"{name}_whole"].dtype for name in ("W", "R", "dense_kernel", "head_kernel"))
    assert (4 * units,) == kept["R_unit"].shape
    assert np.abs(kept["R_whole"].astype(int)).max(axis=(0, 2)).min() == 127  # each unit uses its whole scale


def test_pruning_looks_at_a_weight_before_the_size_of_its_input_is_folded_in():
    import onnx
    from onnx import numpy_helper

    fitted = scaled_forecaster()
    kept = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(made_by(sparse, fitted)).graph.initializer
    }
    pruned = (kept["W"][0] == 0).mean(axis=0)

    assert 0.5 == pytest.approx((kept["R"] == 0).mean(), abs=0.02)
    assert 0.5 == pytest.approx(pruned.mean(), abs=0.02)
    assert 0.5 == pytest.approx(pruned[:5].mean(), abs=0.15)  # large inputs have small weights, which stay as well
    assert (kept["B"] != 0).any()
    assert np.isfinite(answers(made_by(sparse, fitted), fitted)).all()


def test_units_that_nobody_listens_to_can_be_left_out_without_a_change():
    fitted = random_forecaster(small_settings())
    units = fitted.weights["recurrent"].shape[0]
    deaf = {name: value.copy() for name, value in fitted.weights.items()}
    deaf["dense_kernel"][: units // 2] = 0.0
    deaf["recurrent"][: units // 2] = 0.0  # nor do the other units
    before = lstm_to_onnx(deaf, fitted.normalisation, fitted.shape)
    after = lstm_to_onnx(fewer_units(deaf, 0.5), fitted.normalisation, fitted.shape)

    assert len(after) < len(before)
    assert np.allclose(answers(before), answers(after), atol=1e-5)


def test_rows_are_asked_in_blocks_that_leave_none_out():
    assert [1024, 1024, 452] == [len(range(*one.indices(2500))) for one in blocks(2500)]
    assert 1 == len(blocks(0))


def test_a_row_alone_and_in_bulk_are_timed_on_rows_that_exist():
    asked = []
    alone, bulk = microseconds(lambda rows: asked.append((rows.start, rows.stop)), 50)

    assert max(stop for _, stop in asked) == 50
    assert (7, 8) in asked
    assert alone >= 0
    assert bulk >= 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LSTM", "GRU", "temporal convolution"])
def test_a_network_of_each_kind_answers_as_onnx_as_it_does_in_keras(name):
    from vitalwatch.models import forecast
    from vitalwatch.studies.networks import KINDS, fitted_of, maker

    rng = np.random.default_rng(6)
    x = rng.normal(0, 2, (512, 24, 15)).astype(np.float32)
    person = rng.normal(50, 10, (512, 14)).astype(np.float32)
    last = rng.normal(70, 5, (512, 5)).astype(np.float32)
    y = last[:, :, None] + rng.normal(0, 4, (512, 5, 4)).astype(np.float32)
    chosen = small_settings().params.forecaster.model_copy(update={"epochs": 1, "units": 8})
    trained = forecast.trained(x, person, y, last, chosen, seed=1, memory=KINDS[name].layers)
    fitted = fitted_of(trained)
    made = Model(maker(trained, KINDS[name])(fitted.weights, fitted.normalisation, fitted.shape))
    known = np.concatenate((person, last), axis=1)
    normal = trained.normalisation
    standard = ((x - normal["x_mean"]) / normal["x_scale"], (known - normal["person_mean"]) / normal["person_scale"])
    head = np.asarray(trained.model(standard))[:, :20].reshape(-1, 5, 4) * normal["y_scale"]

    assert np.allclose(head, made.run(x=x, person=known)["quantiles"][..., 1], atol=1e-3)

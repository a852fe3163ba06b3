"""The pieces that alternatives are made of: features over time, answers that hold, models made smaller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import random_forecaster, small_settings
from training_world import A_DAY, seen
from vitalwatch import features
from vitalwatch.export import lstm_to_onnx
from vitalwatch.runtime import Model
from vitalwatch.studies.costs import microseconds
from vitalwatch.studies.detectors import extended
from vitalwatch.studies.forecasters import blocks, fewer_units, int8, sparse
from vitalwatch.studies.streaming import MODELS, held, streamed

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
    told = held(np.array([1.0, 2.0]), 7, 3)

    assert np.isnan(told[:2]).all()
    assert [1, 1, 1, 2, 2] == told[2:].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_streaming_detector_finds_a_jump_and_is_silent_where_nothing_was_measured(name):
    rng = np.random.default_rng(2)
    x = rng.normal(60, 2, (800, 2))
    x[760:770] += 60
    x[100] = np.nan
    score, seconds, size = streamed(x, MODELS[name], 1)

    assert np.isnan(score[100])
    assert np.isfinite(np.delete(score, 100)).all()
    assert score[760] > np.quantile(score[700:760], 0.95)
    assert seconds > 0
    assert size > 0


def forecaster_onnx() -> bytes:
    fitted = random_forecaster(small_settings())
    return lstm_to_onnx(fitted.weights, fitted.normalisation, fitted.shape)


def answers(made: bytes) -> np.ndarray:
    fitted = random_forecaster(small_settings())
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (16, *fitted.shape)).astype(np.float32)
    person = rng.normal(0, 1, (16, len(fitted.normalisation["person_mean"]))).astype(np.float32)
    return Model(made).run(x=x, person=person)["quantiles"]


def test_eight_bits_answer_nearly_as_thirty_two():
    made = forecaster_onnx()
    small, before = int8(made), answers(made)

    assert len(small) < len(made)
    assert np.abs(answers(small) - before).max() < 0.1 * np.abs(before).max()
    assert not np.array_equal(answers(small), before)


def test_half_of_the_weights_are_zero_when_half_are_pruned():
    import onnx
    from onnx import numpy_helper

    kept = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(sparse(forecaster_onnx())).graph.initializer
    }

    assert 0.5 == pytest.approx((kept["R"] == 0).mean(), abs=0.02)
    assert (kept["B"] != 0).any()
    assert np.isfinite(answers(sparse(forecaster_onnx()))).all()


def test_the_units_of_the_vitals_are_no_weights_and_stay_as_they_are():
    import onnx
    from onnx import numpy_helper

    for made in (sparse(forecaster_onnx()), int8(forecaster_onnx())):
        kept = {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(made).graph.initializer}
        before = {
            one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(forecaster_onnx()).graph.initializer
        }
        assert np.array_equal(before["spread"], kept["spread"])


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
    from vitalwatch.studies.networks import KINDS, onnx_of

    rng = np.random.default_rng(6)
    x = rng.normal(0, 2, (512, 24, 15)).astype(np.float32)
    person = rng.normal(50, 10, (512, 14)).astype(np.float32)
    last = rng.normal(70, 5, (512, 5)).astype(np.float32)
    y = last[:, :, None] + rng.normal(0, 4, (512, 5, 4)).astype(np.float32)
    chosen = small_settings().params.forecaster.model_copy(update={"epochs": 1, "units": 8})
    trained = forecast.trained(x, person, y, last, chosen, seed=1, memory=KINDS[name].layers)
    made = Model(onnx_of(trained, KINDS[name]))
    known = np.concatenate((person, last), axis=1)
    normal = trained.normalisation
    standard = ((x - normal["x_mean"]) / normal["x_scale"], (known - normal["person_mean"]) / normal["person_scale"])
    head = np.asarray(trained.model(standard))[:, :20].reshape(-1, 5, 4) * normal["y_scale"]

    assert np.allclose(head, made.run(x=x, person=known)["quantiles"][..., 1], atol=1e-3)

"""The forecaster learns what can be learnt, ignores what was not measured, and keeps its promise of 80 %."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vitalwatch.errors import NotEnoughData
from vitalwatch.export import lstm_to_onnx
from vitalwatch.models import forecast
from vitalwatch.params import Forecaster
from vitalwatch.runtime import Model
from vitalwatch.sequences import static

Windows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def waves(n: int, seed: int) -> Windows:
    """Two vitals on slow waves, 12 steps seen, 2 horizons; the second vital has no target at the longer one."""
    rng = np.random.default_rng(seed)
    phase, t = rng.uniform(0, 2 * np.pi, (n, 1, 1)), np.arange(-11, 8)[None, :, None]
    path = 70 + 10 * np.sin(t / 4 + phase + np.array([0, 1])) + rng.normal(0, 0.5, (n, 19, 2))
    last = path[:, 11].astype(np.float32)
    x = np.concatenate([path[:, :12] - last[:, None], np.ones((n, 12, 2))], axis=2).astype(np.float32)
    y = path[:, [13, 17]].transpose(0, 2, 1).astype(np.float32)
    y[:, 1, 1] = np.nan
    y[rng.random(y.shape) < 0.2] = np.nan
    return x, rng.normal(size=(n, 2)).astype(np.float32), y, last


@pytest.fixture(scope="module")
def chosen() -> Forecaster:
    return Forecaster(
        history="1h", horizons=(10, 30), vitals=("heart_rate", "respiratory_rate"), units=12, epochs=6, batch=128,
        learning_rate=0.01, max_windows=4000,
        own_share=0.5, tree_rounds=20, tree_leaves=7, tree_learning_rate=0.1, tree_min_rows_a_leaf=20,
    )  # fmt: skip


def answers(fitted: forecast.Fitted, windows: Windows) -> np.ndarray:
    x, person, _, last = windows
    model = Model(lstm_to_onnx(fitted.weights, fitted.normalisation, fitted.shape))
    return model.run(x=x, person=static(person, last))["quantiles"]


def fit_files_on_one_core(source: Path, target: Path, chosen: Forecaster, seed: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    forecast.fit_files(source, target, chosen, seed)


def coverage(ahead: np.ndarray, widening: np.ndarray, windows: Windows) -> np.ndarray:
    moved = windows[2] - windows[3][:, :, None]
    inside = (moved >= ahead[..., 0] - widening) & (moved <= ahead[..., 2] + widening)
    return inside.sum(axis=0) / np.maximum(np.isfinite(moved).sum(axis=0), 1)  # NaN is never inside


def quantiles(n: int, half_width: float) -> np.ndarray:
    return np.broadcast_to(np.array([-half_width, 0, half_width], np.float32), (n, 1, 1, 3))


@pytest.mark.parametrize("half_width", [0.1, 1.28, 5.0])
def test_the_widening_brings_too_narrow_and_too_wide_intervals_to_80_percent(half_width: float) -> None:
    y = np.random.default_rng(0).normal(size=(1000, 1, 1)).astype(np.float32)
    widening = forecast.conformal(quantiles(1000, half_width), y, np.zeros((1000, 1), np.float32))

    assert (np.abs(y) <= half_width + widening).mean() == pytest.approx(0.801, abs=0.0011)  # ceil(1001 x 0.8)
    assert (widening[0, 0] > 0) == (half_width < 1.2)


def test_the_widening_leaves_out_what_was_not_measured() -> None:
    y = np.random.default_rng(0).normal(size=(500, 1, 1)).astype(np.float32)
    holed = np.concatenate([y, np.full_like(y, np.nan)])
    last = np.zeros((1000, 1), np.float32)

    assert forecast.conformal(quantiles(500, 1), y, last[:500]) == forecast.conformal(quantiles(1000, 1), holed, last)


def test_too_few_targets_give_no_widening_at_all() -> None:
    y = np.zeros((29, 1, 1), np.float32)

    assert np.isnan(forecast.conformal(quantiles(29, 1), y, np.zeros((29, 1), np.float32))).all()


def test_too_few_windows_are_refused_before_anything_heavy_is_loaded(chosen: Forecaster) -> None:
    with pytest.raises(NotEnoughData, match="255 windows"):
        forecast.fit(*waves(255, 0), chosen, seed=1)


def test_windows_without_any_target_are_refused(chosen: Forecaster) -> None:
    x, person, y, last = waves(300, 0)

    with pytest.raises(NotEnoughData):
        forecast.fit(x, person, np.full_like(y, np.nan), last, chosen, seed=1)


def test_a_fitted_forecaster_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=3).astype(np.float32) for name in ("kernel", *forecast.NORMALISATION)}
    fitted = forecast.Fitted({"kernel": arrays.pop("kernel")}, arrays, (24, 15), (0.5, 0.25))
    fitted.save(tmp_path / "fitted.npz")
    back = forecast.Fitted.load(tmp_path / "fitted.npz")

    assert (fitted.shape, fitted.loss) == (back.shape, back.loss)
    for one, other in ((fitted.weights, back.weights), (fitted.normalisation, back.normalisation)):
        assert list(one) == list(other)
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_loss_is_pinball_over_the_measured_and_blind_to_the_rest() -> None:
    moved = np.array([[1.0, np.nan], [-2.0, 0.5]], np.float32)
    head = np.array([[0.5, 9, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.float32)
    gap = np.log(2)  # softplus(0)
    error = np.array([[0.5 + gap, 0.5, 0.5 - gap], [-2 + gap, -2, -2 - gap], [0.5 + gap, 0.5, 0.5 - gap]])
    levels = np.array([0.1, 0.5, 0.9])
    expected = np.maximum(levels * error, (levels - 1) * error).mean()

    assert float(forecast.pinball(moved, head)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_the_exported_forecaster_answers_as_keras_does(chosen: Forecaster) -> None:
    windows = waves(512, 1)
    fitted = forecast.fit(*windows, chosen.model_copy(update={"epochs": 1}), seed=3)
    x, person, _, last = windows
    model = forecast.network(12, 4, 4, 4, chosen.units)
    names = {"lstm": ("kernel", "recurrent", "bias")} | {k: (f"{k}_kernel", f"{k}_bias") for k in ("dense", "head")}
    for layer, arrays in names.items():
        model.get_layer(layer).set_weights([fitted.weights[name] for name in arrays])
    normal = fitted.normalisation
    known = (static(person, last) - normal["person_mean"]) / normal["person_scale"]
    head = model.predict([(x - normal["x_mean"]) / normal["x_scale"], known], verbose=0)
    median, below, above = np.split(head, 3, axis=1)
    expected = np.stack([median - np.logaddexp(0, below), median, median + np.logaddexp(0, above)], axis=-1)
    answer = answers(fitted, windows) / normal["y_scale"][..., None]  # in standard units, whatever the vital's unit

    np.testing.assert_allclose(answer, expected.reshape(answer.shape), atol=1e-5)


@pytest.mark.slow
def test_it_beats_persistence_and_covers_80_percent_of_people_not_trained_on(chosen: Forecaster) -> None:
    fitted = forecast.fit(*waves(4000, 1), chosen, seed=3)
    calibration, new = waves(2000, 2), waves(2000, 4)
    widening = forecast.conformal(answers(fitted, calibration), calibration[2], calibration[3])
    ahead, moved = answers(fitted, new), new[2] - new[3][:, :, None]
    measured = [(0, 0), (0, 1), (1, 0)]

    assert all(
        np.nanmean(np.abs(moved - ahead[..., 1])[:, *at]) < 0.5 * np.nanmean(np.abs(moved[:, *at])) for at in measured
    )
    assert all(abs(coverage(ahead, widening, new)[at] - 0.8) < 0.04 for at in measured)
    assert np.isnan(widening[1, 1])  # never measured: never forecast
    assert (np.diff(ahead, axis=-1) >= 0).all()


@pytest.mark.slow
def test_targets_that_were_not_measured_change_nothing_but_their_own_loss(chosen: Forecaster) -> None:
    fitted = forecast.fit(*waves(512, 1), chosen, seed=3)

    assert all(np.isfinite(array).all() for array in fitted.weights.values())
    assert fitted.loss[-1] < fitted.loss[0]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_in_another_process_on_one_core(
    chosen: Forecaster, tmp_path: Path
) -> None:
    import multiprocessing

    windows, told = waves(600, 1), []
    windows = (windows[0].astype(np.float16), *windows[1:])
    here = forecast.fit(*windows, chosen, seed=3, progress=lambda epoch, loss: told.append(epoch))
    other = forecast.fit(*windows, chosen, seed=4)
    forecast.save_windows(tmp_path / "windows.npz", *windows)
    child = multiprocessing.get_context("spawn").Process(
        target=fit_files_on_one_core, args=(tmp_path / "windows.npz", tmp_path / "fitted.npz", chosen, 3)
    )
    child.start()
    child.join()
    there = forecast.Fitted.load(tmp_path / "fitted.npz")

    assert child.exitcode == 0
    assert told == [1, 2, 3, 4, 5, 6]
    assert all(np.array_equal(here.weights[name], there.weights[name]) for name in here.weights)
    assert not np.array_equal(here.weights["kernel"], other.weights["kernel"])

"""The forecaster: a Keras LSTM that tells how far each vital will have moved, with how much doubt.

It predicts the difference from the last measured value (persistence is the line to beat, so it starts there) for each
vital and horizon as three quantiles that cannot cross: the median, and softplus gaps below and above it. A target that
was not measured carries no loss. `conformal` then moves the outer quantiles on people not trained on, so that they
hold 80 % of what comes (conformalised quantile regression: Romano, Patterson and Candes 2019).

Serving runs the ONNX that `export.lstm_to_onnx` makes of `Fitted`; `fit_files` lets a pipeline train in a process of
its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.errors import NotEnoughData
from vitalwatch.params import Forecaster
from vitalwatch.sequences import QUANTILES, static
from vitalwatch.tables import Doubles, Floats

MIN_WINDOWS = 256  # fewer cannot tell a trend from chance
MIN_CALIBRATION = 30  # measured targets that a widening needs
COVERED = QUANTILES[2] - QUANTILES[0]

Memory = Callable[[Any, int], Any]  # of `network`
Progress = Callable[[int, float], None]  # epoch from 1, mean pinball loss in standard units


@dataclass(frozen=True)
class Fitted:
    """A trained forecaster as arrays; `export.lstm_to_onnx(weights, normalisation, shape)` makes it run.

    Attributes:
        weights: As Keras keeps them; names in `export.lstm_to_onnx`.
        normalisation: `x_mean`, `x_scale` (c,), `person_mean`, `person_scale` (s + v,), `y_scale` (v, h).
        shape: (T, c).
        loss: Mean pinball loss of each epoch, in standard units.
    """

    weights: dict[str, Floats]
    normalisation: dict[str, Floats]
    shape: tuple[int, int]
    loss: tuple[float, ...]

    def save(self, path: Path) -> None:
        """Write all arrays into one .npz file."""
        np.savez(path, shape=self.shape, loss=self.loss, **self.weights, **self.normalisation)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Fitted:
        """Read what `save` wrote; object arrays are refused."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        time, width = (int(size) for size in arrays.pop("shape"))
        loss = tuple(float(value) for value in arrays.pop("loss"))
        normal = {name: arrays.pop(name) for name in NORMALISATION}
        return cls(arrays, normal, (time, width), loss)


NORMALISATION = ("x_mean", "x_scale", "person_mean", "person_scale", "y_scale")


def fit(
    x: NDArray[Any],
    person: Floats,
    y: Floats,
    last: Floats,
    chosen: Forecaster,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Fitted:
    """Train on windows of the training people; the same arguments give the same weights.

    Returns what `trained` returns, as arrays; arguments and errors as there.
    """
    return arrays(trained(x, person, y, last, chosen, seed=seed, progress=progress))


@dataclass(frozen=True)
class Trained:
    """A trained Keras model, with the constants and losses as of `Fitted`."""

    model: Any
    normalisation: dict[str, Floats]
    shape: tuple[int, int]
    loss: tuple[float, ...]


def arrays(found: Trained) -> Fitted:
    """Return a trained LSTM forecaster as arrays."""
    return Fitted(_weights(found.model), found.normalisation, found.shape, found.loss)


def trained(
    x: NDArray[Any],
    person: Floats,
    y: Floats,
    last: Floats,
    chosen: Forecaster,
    *,
    seed: int,
    progress: Progress | None = None,
    memory: Memory | None = None,
) -> Trained:
    """Train a Keras forecaster on windows of the training people.

    Args:
        x: (n, T, c) from `sequences.windows`, float32 or float16.
        person: (n, s) what is known of the person, NaN where unknown.
        y: (n, v, h) from `sequences.targets`, NaN where not measured.
        last: (n, v) from `sequences.windows`.
        chosen: Units, epochs, batch, learning rate.
        seed: Of weights and order.
        progress: Told each epoch's number and loss.
        memory: What turns windows into their memory, by default the LSTM.

    Raises:
        NotEnoughData: Fewer than 256 windows, or none with a target.
    """
    moved = (y - last[:, :, None]).astype(np.float32)
    if len(x) < MIN_WINDOWS or not np.isfinite(moved).any():
        raise NotEnoughData(f"{len(x)} windows for the forecaster", f"{MIN_WINDOWS} with measured vitals after them")
    normal = _normalisation(x, static(person, last), moved)
    batch = min(chosen.batch, len(x))
    batches = len(x) // batch  # every batch full: one shape, one compilation

    keras = keras_on_jax()
    keras.utils.set_random_seed(seed)
    outputs = moved.shape[1] * moved.shape[2]
    model = network(x.shape[1], x.shape[2], person.shape[1] + last.shape[1], outputs, chosen.units, memory)
    rate = keras.optimizers.schedules.CosineDecay(chosen.learning_rate, chosen.epochs * batches, alpha=0.05)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss=pinball)
    feed = _batches(x, static(person, last), moved, normal, batch, np.random.default_rng(seed))
    tell = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: progress(epoch + 1, float(logs["loss"])) if progress else None
    )
    told = model.fit(feed, steps_per_epoch=batches, epochs=chosen.epochs, verbose=0, shuffle=False, callbacks=[tell])
    loss = tuple(float(value) for value in told.history["loss"])
    return Trained(model, normal, (x.shape[1], x.shape[2]), loss)


def network(length: int, width: int, static_width: int, outputs: int, units: int, memory: Memory | None = None) -> Any:
    """Return the Keras model: standardised (n, T, c), (n, s) -> head (n, 3 outputs): medians, gaps below and above.

    `memory` makes (n, units) of the Keras input (n, T, c) and the units; by default the last state of an LSTM.
    """
    keras = keras_on_jax()
    x = keras.Input((length, width), name="x")
    person = keras.Input((static_width,), name="person")
    state = memory(x, units) if memory else keras.layers.LSTM(units, name="lstm")(x)
    joint = keras.layers.Concatenate(name="joint")([state, person])
    hidden = keras.layers.Dense(units, activation="relu", name="dense")(joint)
    return keras.Model([x, person], keras.layers.Dense(3 * outputs, name="head")(hidden))


def pinball(moved: Any, head: Any) -> Any:
    """Return the mean pinball loss over measured targets (Koenker and Bassett 1978) of a batch.

    Args:
        moved: (n, outputs) standardised differences, NaN where not measured.
        head: (n, 3 outputs) of `network`.
    """
    ops = keras_on_jax().ops
    median, below, above = ops.split(head, 3, axis=1)
    measured = ops.isfinite(moved)
    target = ops.where(measured, moved, 0.0)  # before any arithmetic: a NaN would poison the gradient
    total = 0.0
    for level, quantile in zip(
        QUANTILES, (median - ops.softplus(below), median, median + ops.softplus(above)), strict=True
    ):
        error = target - quantile
        total += ops.sum(ops.where(measured, ops.maximum(level * error, (level - 1) * error), 0.0))
    count = ops.sum(ops.cast(measured, head.dtype))
    return total / (len(QUANTILES) * ops.maximum(count, 1.0))


def conformal(ahead: Floats, y: Floats, last: Floats, *, covered: float = COVERED) -> Doubles:
    """Return how far to move the outer quantiles outwards (below 0: inwards), in each vital's unit: (v, h).

    NaN where fewer than 30 targets were measured: such a forecast is not given.

    Args:
        ahead: (n, v, h, 3) answers of the exported model on people that it was not trained on.
        y: (n, v, h) what came, NaN where not measured.
        last: (n, v) the value that `ahead` is the difference from.
        covered: Share of targets that should fall inside.
    """
    moved = y - last[:, :, None]
    outside = np.maximum(ahead[..., 0] - moved, moved - ahead[..., 2]).astype(np.float64)  # NaN where not measured
    widening = np.full(outside.shape[1:], np.nan)
    for cell in np.ndindex(*widening.shape):
        scores = outside[:, *cell]
        scores = np.sort(scores[np.isfinite(scores)])
        if len(scores) >= MIN_CALIBRATION:
            rank = int(np.ceil((len(scores) + 1) * covered - 1e-9))  # the smallest sum that holds its promise
            widening[cell] = scores[min(rank, len(scores)) - 1]
    return widening


def save_windows(path: Path, x: NDArray[Any], person: Floats, y: Floats, last: Floats) -> None:
    """Write training windows for `fit_files`; `x` is stored as float16 (steps of 0.06 at a difference of 100)."""
    np.savez(path, x=x.astype(np.float16), person=person, y=y, last=last)


def fit_files(source: Path, target: Path, chosen: Forecaster, seed: int) -> None:
    """Train on the windows in `source` (from `save_windows`) and write `Fitted` to `target`, both .npz.

    Meant to run in a process of its own, beside other training: Keras and jax take 0.8 GB and go with the process.
    """
    with np.load(source, allow_pickle=False) as stored:
        x, person, y, last = (stored[name] for name in ("x", "person", "y", "last"))
    fit(x, person, y, last, chosen, seed=seed).save(target)


def keras_on_jax() -> Any:
    """Return Keras on jax: measured, the smallest install that trains an LSTM fast on CPUs.

    XLA splits sums by its number of threads, which it takes from `NPROC`: with a fixed number the weights are the same
    to the bit on one core and on many (measured; without it they differ in the fifth digit). More are no faster here.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("NPROC", "2")
    import keras

    return keras


def _normalisation(x: NDArray[Any], known: Floats, moved: Floats) -> dict[str, Floats]:
    """Return the constants that bring inputs and targets to about 1; those of vitals leave their zeros zero."""
    width, vitals = x.shape[2], moved.shape[1]
    x_scale = np.ones(width, np.float32)
    for channel in range(vitals):  # differences from the last value; masks, context and clock are within -1..1 already
        values = x[..., channel]
        x_scale[channel] = _spread(values[values != 0].astype(np.float64))
    counted = np.isfinite(known)
    mean = np.where(counted, known, 0).sum(0, dtype=np.float64) / np.maximum(counted.sum(0), 1)
    person_scale = [_spread((known[:, i] - mean[i])[counted[:, i]]) for i in range(known.shape[1])]
    y_scale = [
        [_spread(moved[:, i, j][np.isfinite(moved[:, i, j])]) for j in range(moved.shape[2])] for i in range(vitals)
    ]
    return {
        "x_mean": np.zeros(width, np.float32),
        "x_scale": x_scale,
        "person_mean": mean.astype(np.float32),
        "person_scale": np.array(person_scale, np.float32),
        "y_scale": np.array(y_scale, np.float32),
    }


def _spread(values: NDArray[Any]) -> float:
    """Return the root mean square, or 1 where there is nothing to scale by."""
    size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if len(values) else 0.0
    return size if size > 1e-6 else 1.0


def _batches(
    x: NDArray[Any], known: Floats, moved: Floats, normal: dict[str, Floats], batch: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[Floats, Floats], Floats]]:
    """Yield standardised full batches for ever, in a new order each epoch."""
    steady = np.nan_to_num((known - normal["person_mean"]) / normal["person_scale"], nan=0.0)
    while True:
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            rows = np.sort(order[start : start + batch])  # sorted: memory is read in one direction
            inputs = ((x[rows] - normal["x_mean"]) / normal["x_scale"]).astype(np.float32)
            yield (inputs, steady[rows]), (moved[rows] / normal["y_scale"]).reshape(batch, -1)


def _weights(model: Any) -> dict[str, Floats]:
    kernel, recurrent, bias = model.get_layer("lstm").get_weights()
    named = {"kernel": kernel, "recurrent": recurrent, "bias": bias}
    for layer in ("dense", "head"):
        named[f"{layer}_kernel"], named[f"{layer}_bias"] = model.get_layer(layer).get_weights()
    return {name: np.asarray(value, np.float32) for name, value in named.items()}

"""Recurrent and convolutional memories of the forecaster in Keras, each as ONNX around native nodes, parity tested.

Everything else is the forecaster's own: inputs, targets, loss, head, order of batches. A memory turns standardised
windows (n, T, c) into what is remembered at their end (n, units).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.export import Memory, lstm_memory, quantiles_to_onnx
from vitalwatch.models.forecast import Fitted, Trained, keras_on_jax
from vitalwatch.sequences import Beside

KERNEL = 3  # rows that a convolution of the temporal network sees


@dataclass(frozen=True)
class Kind:
    """A memory: what makes its Keras layers, and what makes ONNX nodes of them."""

    layers: Callable[[Any, int], Any]  # input (n, T, c), units -> (n, units)
    memory: Callable[[Any, Mapping[str, NDArray[Any]]], Memory]  # Keras model, normalisation -> nodes


def fitted_of(trained: Trained) -> Fitted:
    """Return what stands behind the memory of a trained forecaster of any kind, as arrays."""
    weights = dict[str, NDArray[Any]]()
    for layer in ("dense", "head"):
        kernel, bias = trained.model.get_layer(layer).get_weights()
        weights |= {f"{layer}_kernel": np.asarray(kernel), f"{layer}_bias": np.asarray(bias)}
    return Fitted(weights, trained.normalisation, trained.shape, trained.loss)


def maker(trained: Trained, kind: Kind) -> Callable[..., bytes]:
    """Return what makes ONNX of `fitted_of` this forecaster, as `export.lstm_to_onnx` does of an LSTM's arrays."""

    def to_onnx(
        weights: Mapping[str, NDArray[Any]],
        normalisation: Mapping[str, NDArray[Any]],
        shape: tuple[int, int],
        beside: Beside | None = None,
    ) -> bytes:
        return quantiles_to_onnx(kind.memory(trained.model, normalisation), weights, normalisation, shape, beside)

    return to_onnx


def _lstm(x: Any, units: int) -> Any:
    return keras_on_jax().layers.LSTM(units, name="lstm")(x)


def _lstm_nodes(model: Any, normal: Mapping[str, NDArray[Any]]) -> Memory:
    kernel, recurrent, bias = model.get_layer("lstm").get_weights()
    return lstm_memory({"kernel": kernel, "recurrent": recurrent, "bias": bias}, normal)


def _gru(x: Any, units: int) -> Any:
    return keras_on_jax().layers.GRU(units, name="gru")(x)


def _gru_nodes(model: Any, normal: Mapping[str, NDArray[Any]]) -> Memory:
    """Keras and ONNX both keep gates in the order z, r, h; a bias each for inputs and state (`reset_after`)."""
    from onnx import helper

    kernel, recurrent, (bias, state_bias) = model.get_layer("gru").get_weights()
    kernel = kernel.astype(np.float64) / normal["x_scale"][:, None]
    bias = bias - normal["x_mean"].astype(np.float64) @ kernel
    units = recurrent.shape[0]
    constants = {
        "W": kernel.T[None],
        "R": recurrent.T[None],
        "B": np.concatenate((bias, state_bias))[None],
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["x_steps"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["x_steps", "W", "R", "B"], ["", "state"], hidden_size=units, linear_before_reset=1),
        helper.make_node("Reshape", ["state", "flat"], ["memory"]),
    ]
    return Memory(nodes, {name: np.asarray(v, np.float32) for name, v in constants.items()}, units)


def _convolutions(x: Any, units: int) -> Any:
    """Return causal convolutions whose reach doubles until it spans the window (Bai, Kolter and Koltun 2018)."""
    keras = keras_on_jax()
    for i in range(_depth(x.shape[1])):
        layer = keras.layers.Conv1D(
            units, KERNEL, dilation_rate=2**i, padding="causal", activation="relu", name=f"conv_{i}"
        )
        told = layer(x)
        x = told if i == 0 else keras.layers.Add(name=f"sum_{i}")([x, told])
    return x[:, -1, :]


def _convolution_nodes(model: Any, normal: Mapping[str, NDArray[Any]]) -> Memory:
    from onnx import helper

    units, nodes, constants = 0, [helper.make_node("Transpose", ["x"], ["c0"], perm=[0, 2, 1])], {}
    for i in range(_depth(model.inputs[0].shape[1])):
        kernel, bias = model.get_layer(f"conv_{i}").get_weights()
        units = len(bias)
        if i == 0:  # padding stands for the mean, as it does behind the standardised input
            kernel = kernel / normal["x_scale"][None, :, None]
            nodes.append(helper.make_node("Sub", ["c0", "x_mean"], ["centred_0"]))
            constants["x_mean"] = normal["x_mean"][None, :, None]
        constants |= {f"K{i}": kernel.transpose(2, 1, 0), f"b{i}": bias}
        source, reach = "centred_0" if i == 0 else f"c{i}", (KERNEL - 1) * 2**i
        nodes += [
            helper.make_node("Conv", [source, f"K{i}", f"b{i}"], [f"k{i}"], pads=[reach, 0], dilations=[2**i]),
            helper.make_node("Relu", [f"k{i}"], [f"r{i}"]),
            helper.make_node("Identity", [f"r{i}"], [f"c{i + 1}"])
            if i == 0
            else helper.make_node("Add", [f"c{i}", f"r{i}"], [f"c{i + 1}"]),
        ]
    depth = _depth(model.inputs[0].shape[1])
    constants |= {"newest": np.asarray(-1, np.int64)}
    nodes.append(helper.make_node("Gather", [f"c{depth}", "newest"], ["memory"], axis=2))
    plain = {
        name: value if value.dtype == np.int64 else np.asarray(value, np.float32) for name, value in constants.items()
    }
    return Memory(nodes, plain, units)


def _depth(length: int) -> int:
    """Return how many doublings of the reach span a window of `length` rows."""
    return max(math.ceil(math.log2((length - 1) / (KERNEL - 1) + 1)), 1)


KINDS: Mapping[str, Kind] = {
    "LSTM": Kind(_lstm, _lstm_nodes),
    "GRU": Kind(_gru, _gru_nodes),
    "temporal convolution": Kind(_convolutions, _convolution_nodes),
}

"""A trained forecaster made smaller, as ONNX: weights or arithmetic in 8 bits, small weights or whole units left out.

Serving folds the scales of inputs into the weights, which costs nothing at run time and spreads the weights of a layer
over two decades: a body temperature's are as small as its numbers are large. Whatever is made smaller is therefore
made so where every input has a size of about one: `standardised` scales inputs in the graph, and pruning looks at a
weight before it is folded (zeros stay zeros). Each function has the arguments of `export.lstm_to_onnx`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.export import lstm_to_onnx
from vitalwatch.sequences import Beside
from vitalwatch.tables import Floats

PRUNED = 0.5  # share of weights, or of units, that is left out
LSTM, DENSE = ("W", "R"), ("dense_kernel", "head_kernel")  # weight matrices, as the graph names them
STEPS = 127  # of 8 bits, to each side of 0

Arrays = Mapping[str, Floats]
Shrink = Callable[[Arrays, Arrays, tuple[int, int], Beside | None], bytes]


def eight_bit_weights(
    weights: Arrays, normalisation: Arrays, shape: tuple[int, int], beside: Beside | None = None
) -> bytes:
    """Return a forecaster whose weights are kept in 8 bits, a scale a unit; it computes in 32."""
    model = standardised(weights, normalisation, shape, beside)
    for name, axis in {**dict.fromkeys(LSTM, 1), **dict.fromkeys(DENSE, 1)}.items():
        _kept_in_eight_bits(model.graph, name, axis)
    return _checked(model)


def eight_bit_arithmetic(
    weights: Arrays, normalisation: Arrays, shape: tuple[int, int], beside: Beside | None = None, *, dense: bool
) -> bytes:
    """Return a forecaster that computes in 8 bits, a scale a unit of the weights (onnxruntime, dynamic quantisation).

    The LSTM operator takes weights with a scale a unit and quantises what comes in and the state at each step, with one
    scale for all channels (`DynamicQuantizeLSTM`).

    Args:
        weights, normalisation, shape, beside: As in `export.lstm_to_onnx`.
        dense: Whether the layers behind the LSTM compute in 8 bits, too.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        source, shaped, target = (Path(folder) / f"{name}.onnx" for name in ("float32", "shaped", "int8"))
        source.write_bytes(_checked(standardised(weights, normalisation, shape, beside)))
        quant_pre_process(str(source), str(shaped), skip_symbolic_shape=True, skip_optimization=True)
        model = onnx.load(shaped)
        for number, node in enumerate(model.graph.node):
            node.name = f"{number}"
        used = LSTM + DENSE if dense else LSTM
        others = [node.name for node in model.graph.node if not set(used) & set(node.input)]
        others += [f"{name}_MatMul" for name in others]  # what onnxruntime makes of a Gemm
        quantize_dynamic(model, target, weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=others)
        return target.read_bytes()


def sparse(
    weights: Arrays,
    normalisation: Arrays,
    shape: tuple[int, int],
    beside: Beside | None = None,
    *,
    share: float = PRUNED,
) -> bytes:
    """Return a forecaster without the smallest `share` of each layer's weights: zeros, which take as many bytes."""
    names = ("kernel", "recurrent", *DENSE)
    pruned = {name: _pruned(value, share) if name in names else value for name, value in weights.items()}
    return lstm_to_onnx(pruned, normalisation, shape, beside)


def narrow(
    weights: Arrays,
    normalisation: Arrays,
    shape: tuple[int, int],
    beside: Beside | None = None,
    *,
    share: float = PRUNED,
) -> bytes:
    """Return a forecaster without the `share` of its units that say least to what follows."""
    return lstm_to_onnx(fewer_units(weights, share), normalisation, shape, beside)


SHRINKS: Mapping[str, Shrink] = {
    "float32 (default)": lstm_to_onnx,
    "weights kept in 8 bits, computed in float32": eight_bit_weights,
    "LSTM computed in 8 bits (dynamic, per channel)": partial(eight_bit_arithmetic, dense=False),
    "LSTM and dense layers computed in 8 bits": partial(eight_bit_arithmetic, dense=True),
    f"{PRUNED:.0%} of weights pruned by size": sparse,
    f"{PRUNED:.0%} of units pruned": narrow,
}


def fewer_units(weights: Arrays, share: float) -> dict[str, Floats]:
    """Return an LSTM without the `share` of its units that say least to what follows (the norm of their weights).

    Args:
        weights: As `forecast.Fitted` has them.
        share: Of the units.
    """
    units = weights["recurrent"].shape[0]
    strength = np.linalg.norm(weights["dense_kernel"][:units], axis=1)
    kept = np.sort(np.argsort(-strength)[: units - int(share * units)])
    gates = np.concatenate([kept + gate * units for gate in range(4)])
    rest = np.arange(units, len(weights["dense_kernel"]))
    pruned: dict[str, NDArray[Any]] = {
        "kernel": weights["kernel"][:, gates],
        "recurrent": weights["recurrent"][kept][:, gates],
        "bias": weights["bias"][gates],
        "dense_kernel": weights["dense_kernel"][np.concatenate((kept, rest))],
    }
    return {**weights, **pruned}


def _pruned(values: Floats, share: float) -> Floats:
    return np.where(np.abs(values) < np.quantile(np.abs(values), share), 0.0, values).astype(np.float32)


@dataclass(frozen=True)
class _Scaling:
    """A node that scales an input for one reader of it: what is read, what stands in its place, constants."""

    reader: str  # operator that reads it
    source: str
    scaled: str
    away: Floats | None  # taken off first
    scale: Floats


def standardised(weights: Arrays, normalisation: Arrays, shape: tuple[int, int], beside: Beside | None) -> Any:
    """Return the ONNX model of `export.lstm_to_onnx` with inputs scaled by nodes of their own, weights as trained.

    Lines beside it read what they read before: they were never scaled.
    """
    import onnx
    from onnx import numpy_helper

    plain = {
        **normalisation,
        **{name: np.ones_like(normalisation[name]) for name in ("x_scale", "person_scale")},
        **{name: np.zeros_like(normalisation[name]) for name in ("x_mean", "person_mean")},
    }
    model = onnx.load_from_string(lstm_to_onnx(weights, plain, shape, beside))
    for one in (
        _Scaling("Transpose", "x", "x_standard", None, normalisation["x_scale"]),
        _Scaling("Concat", "static", "static_standard", normalisation["person_mean"], normalisation["person_scale"]),
    ):
        _scaled(model.graph, one)
    (mean,) = [tensor for tensor in model.graph.initializer if tensor.name == "mean"]
    mean.CopyFrom(numpy_helper.from_array(normalisation["person_mean"], "mean"))  # stands for what is not known
    return model


def _scaled(graph: Any, told: _Scaling) -> None:
    """Put the scaling before the first node of its kind that reads the source; other readers keep the source."""
    from onnx import helper, numpy_helper

    place = next(i for i, node in enumerate(graph.node) if node.op_type == told.reader and told.source in node.input)
    reader = graph.node[place]
    reader.input[:] = [told.scaled if name == told.source else name for name in reader.input]
    source, nodes = told.source, []
    if told.away is not None:
        source = f"{told.scaled}_apart"
        nodes.append(helper.make_node("Sub", [told.source, f"{told.scaled}_mean"], [source]))
        graph.initializer.append(numpy_helper.from_array(told.away, f"{told.scaled}_mean"))
    nodes.append(helper.make_node("Div", [source, f"{told.scaled}_scale"], [told.scaled]))
    graph.initializer.append(numpy_helper.from_array(told.scale, f"{told.scaled}_scale"))
    _inserted(graph, place, nodes)


def _kept_in_eight_bits(graph: Any, name: str, axis: int) -> None:
    """Keep a weight matrix as whole numbers of 8 bits and a scale along one axis."""
    from onnx import helper, numpy_helper

    (tensor,) = [one for one in graph.initializer if one.name == name]
    values = numpy_helper.to_array(tensor)
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = np.maximum(np.abs(values).max(axis=others), 1e-12).astype(np.float32) / np.float32(STEPS)
    along = scale.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    whole = np.clip(np.rint(values / along), -STEPS, STEPS).astype(np.int8)
    tensor.CopyFrom(numpy_helper.from_array(whole, f"{name}_whole"))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_unit"))
    _inserted(graph, 0, [helper.make_node("DequantizeLinear", [f"{name}_whole", f"{name}_unit"], [name], axis=axis)])


def _inserted(graph: Any, place: int, nodes: Iterable[Any]) -> None:
    every = [*graph.node[:place], *nodes, *graph.node[place:]]
    del graph.node[:]
    graph.node.extend(every)


def _checked(model: Any) -> bytes:
    import onnx

    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))

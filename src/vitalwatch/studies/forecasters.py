"""Forecasters beside each other, and what they lose when they are made smaller, on windows of people never learnt from.

The figure is the mean absolute error of the median heart rate, all horizons together; every line stands beside
persistence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import sequences
from vitalwatch.export import lstm_to_onnx
from vitalwatch.metrics.regression import error_sums
from vitalwatch.models import forecast, forecast_trees
from vitalwatch.runtime import Model
from vitalwatch.stages.forecasting import Windows, rate_at
from vitalwatch.studies import networks
from vitalwatch.studies.costs import Cost, processor_time, timed
from vitalwatch.studies.people import Roles, joined
from vitalwatch.studies.table import Alternative
from vitalwatch.tables import Doubles, Floats

GROUP, SMALLER = "Forecaster, heart rate", "Forecaster made smaller"
JUDGED = 40_000  # windows of judged people
UNITS = "spread"  # constant of `export.quantiles_to_onnx` that holds each vital's unit: no weight
PRUNED = 0.5  # share of weights, or of units, that is left out

Ahead = Callable[[Windows], Floats]  # windows -> difference of the median from the last value, bpm (n, h)


class Forecasters:
    """The alternatives of both tables; what several of them share is made once."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._made: dict[str, tuple[forecast.Trained, float]] = {}

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the table; the first is what params.yaml has."""
        table: dict[str, Callable[[], tuple[Doubles, Cost]]] = {
            "LSTM and boosted trees, blended (default)": partial(self.blended, "LSTM"),
            **{f"{name} alone": partial(self._alone, name) for name in networks.KINDS},
            "GRU and boosted trees, blended": partial(self.blended, "GRU"),
            "temporal convolution and boosted trees, blended": partial(self.blended, "temporal convolution"),
            "boosted trees alone": self._trees_alone,
            "persistence": self._persistence,
        }
        return [Alternative(GROUP, name, "mae", judge) for name, judge in table.items()]

    def smaller(self) -> list[Alternative]:
        """Return the forecaster's lines of the table of compression."""
        table: dict[str, Callable[[bytes], bytes]] = {
            "LSTM, float32 (default)": lambda made: made,
            "LSTM, int8 (weights quantised, onnxruntime)": int8,
            f"LSTM, {PRUNED:.0%} of weights pruned by size": sparse,
        }
        found = [Alternative(SMALLER, name, "mae", partial(self._shrunk, make)) for name, make in table.items()]
        units = f"LSTM, {PRUNED:.0%} of units pruned, not trained again"
        return [*found, Alternative(SMALLER, units, "mae", self._fewer_units)]

    @cached_property
    def _learn(self) -> Windows:
        return joined(self._roles.windows("learn", self._roles.settings.params.forecaster.max_windows))

    @cached_property
    def _calibrate(self) -> Windows:
        return joined(self._roles.windows("calibrate", self._roles.settings.params.forecaster.max_windows // 4))

    @cached_property
    def _judge(self) -> list[Windows]:
        return self._roles.windows("judge", JUDGED)

    @cached_property
    def _fitted(self) -> forecast.Fitted:
        """The LSTM as arrays, so that it can be pruned."""
        return forecast.arrays(self._trained("LSTM")[0])

    def _network(self, name: str) -> tuple[bytes, float]:
        """Return a network as ONNX and the processor seconds of its training."""
        trained, seconds = self._trained(name)
        return networks.onnx_of(trained, networks.KINDS[name]), seconds

    def _trained(self, name: str) -> tuple[forecast.Trained, float]:
        if name not in self._made:
            learn, params, kind = self._learn, self._roles.settings.params, networks.KINDS[name]
            with processor_time() as clock:
                trained = forecast.trained(
                    *(learn.x, learn.person, learn.y, learn.last, params.forecaster),
                    seed=params.seed,
                    memory=kind.layers,
                )
            self._made[name] = trained, clock.seconds
        return self._made[name]

    @cached_property
    def _trees(self) -> tuple[bytes, float]:
        learn, params, at = self._learn, self._roles.settings.params, rate_at(self._roles.settings)
        drawn = forecast_trees.rows_of(learn.x, learn.person, learn.y, learn.last, at)
        with processor_time() as clock:
            made = forecast_trees.fit(drawn, params.forecaster, params.seed, self._roles.settings.config.jobs)
        assert made is not None, "simulated people have heart rates enough"
        return made, clock.seconds

    def _alone(self, name: str) -> tuple[Doubles, Cost]:
        made, seconds = self._network(name)
        ahead = self._of_network(made)
        return self._sums(ahead), self._cost(made, seconds, ahead)

    def _trees_alone(self) -> tuple[Doubles, Cost]:
        made, seconds = self._trees
        ahead = self._of_trees(made)
        return self._sums(ahead), self._cost(made, seconds, ahead)

    def blended(self, name: str) -> tuple[Doubles, Cost]:
        """Blend with the trees by shares that calibration people choose, as the pipeline does."""
        (network, a), (trees, b) = self._network(name), self._trees
        one, other, calibrate = self._of_network(network), self._of_trees(trees), self._calibrate
        at = rate_at(self._roles.settings)
        moved = (calibrate.y - calibrate.last[:, :, None])[:, at]
        share = forecast_trees.share(one(calibrate), other(calibrate), moved)

        def ahead(windows: Windows) -> Floats:
            alone = one(windows)
            return alone + share * (other(windows) - alone)

        return self._sums(ahead), self._cost(network + trees, a + b, ahead)

    def _persistence(self) -> tuple[Doubles, Cost]:
        horizons = self._judge[0].y.shape[2]
        return self._sums(lambda windows: np.zeros((len(windows.x), horizons), np.float32)), Cost(0.0, 0)

    def _shrunk(self, shrink: Callable[[bytes], bytes]) -> tuple[Doubles, Cost]:
        fitted = self._fitted
        made = shrink(lstm_to_onnx(fitted.weights, fitted.normalisation, fitted.shape))
        ahead = self._of_network(made)
        return self._sums(ahead), self._cost(made, None, ahead)

    def _fewer_units(self) -> tuple[Doubles, Cost]:
        fitted = self._fitted
        made = lstm_to_onnx(fewer_units(fitted.weights, PRUNED), fitted.normalisation, fitted.shape)
        ahead = self._of_network(made)
        return self._sums(ahead), self._cost(made, None, ahead)

    def _of_network(self, made: bytes) -> Ahead:
        model, at = Model(made), rate_at(self._roles.settings)

        def ahead(windows: Windows) -> Floats:
            x, person = windows.x.astype(np.float32), sequences.static(windows.person, windows.last)
            parts = [model.run(x=x[rows], person=person[rows])["quantiles"][:, at, :, 1] for rows in blocks(len(x))]
            return np.concatenate(parts)

        return ahead

    def _of_trees(self, made: bytes) -> Ahead:
        model, at = Model(made), rate_at(self._roles.settings)

        def ahead(windows: Windows) -> Floats:
            x = windows.x.astype(np.float32)
            parts = [
                model.run(x=sequences.lagged(x[rows], windows.person[rows], windows.last[rows], at))["value"]
                for rows in blocks(len(x))
            ]
            return np.concatenate(parts)

        return ahead

    def _sums(self, ahead: Ahead) -> Doubles:
        """Return the error sums of each judged person, all horizons together, (p, 5)."""
        at, found = rate_at(self._roles.settings), []
        for windows in self._judge:
            moved = (windows.y - windows.last[:, :, None])[:, at]
            told = ahead(windows) if len(windows.x) else np.zeros(moved.shape, np.float32)
            found.append(error_sums(moved.ravel(), told.ravel()))
        return np.stack(found)

    def _cost(self, made: bytes, seconds: float | None, ahead: Ahead) -> Cost:
        windows = joined(self._judge)
        return timed(made, seconds, lambda rows: ahead(part(windows, rows)), len(windows.x))


def blocks(rows: int) -> Sequence[slice]:
    """Return slices of at most 1,024 rows; one even without any."""
    return [slice(start, start + sequences.AT_ONCE) for start in range(0, max(rows, 1), sequences.AT_ONCE)]


def part(windows: Windows, rows: slice) -> Windows:
    """Return some windows."""
    return Windows(*(getattr(windows, name)[rows] for name in ("x", "person", "y", "last")))


def int8(made: bytes) -> bytes:
    """Return a model with its weights in 8 bits; activations are quantised as they come (dynamic quantisation)."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        source, shaped, target = (Path(folder) / f"{name}.onnx" for name in ("float32", "shaped", "int8"))
        source.write_bytes(made)
        quant_pre_process(str(source), str(shaped), skip_symbolic_shape=True, skip_optimization=True)
        model = onnx.load(shaped)
        for number, node in enumerate(model.graph.node):
            node.name = f"{number}"
        units = [node.name for node in model.graph.node if UNITS in node.input]
        quantize_dynamic(model, target, weight_type=QuantType.QInt8, nodes_to_exclude=units)
        return target.read_bytes()


def sparse(made: bytes, share: float = PRUNED) -> bytes:
    """Return a model with the smallest `share` of every weight matrix set to 0; as many bytes, more of them alike."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(made)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name != UNITS and values.dtype == np.float32 and values.squeeze().ndim == 2:
            values[np.abs(values) < np.quantile(np.abs(values), share)] = 0.0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bytes(model.SerializeToString(deterministic=True))


def fewer_units(weights: dict[str, Floats], share: float) -> dict[str, Floats]:
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

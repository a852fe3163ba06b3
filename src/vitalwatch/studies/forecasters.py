"""Forecasters beside each other, and what they lose when they are made smaller, on windows of people never learnt from.

The figure is the mean absolute error of the median heart rate, all horizons together; every line stands beside
persistence. Blends go the way of the stage that trains (`stages.forecasting.finished`): ridge lines in the network's
graph, then boosted trees, each by the shares that calibration people choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np

from vitalwatch import lags, sequences
from vitalwatch.metrics.regression import error_sums
from vitalwatch.models import forecast, forecast_linear, forecast_trees
from vitalwatch.models.forecast import Fitted
from vitalwatch.runtime import Model
from vitalwatch.sequences import Beside
from vitalwatch.stages.forecasting import ToOnnx, Windows, finished, rate_at, with_lines
from vitalwatch.studies import networks
from vitalwatch.studies.costs import Cost, processor_time, timed
from vitalwatch.studies.people import Roles, joined
from vitalwatch.studies.shrinking import SHRINKS
from vitalwatch.studies.table import Alternative
from vitalwatch.tables import Doubles, Floats

GROUP = "Forecaster, heart rate"
SMALLER, SERVED_SMALLER = "Forecaster made smaller: the LSTM alone", "Forecaster made smaller: as served"
JUDGED = 40_000  # windows of judged people
NUMBER = 4  # bytes of a float32

Ahead = Callable[[Windows], Floats]  # windows -> difference of the median from the last value, bpm (n, h)
Judged = tuple[Doubles, Cost]


class Forecasters:
    """The alternatives of the tables; what several of them share is made once."""

    def __init__(self, roles: Roles) -> None:
        self._roles, self._at = roles, rate_at(roles.settings)
        self._made: dict[str, tuple[forecast.Trained, float]] = {}

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the table; the first is what params.yaml has."""
        others = [name for name in networks.KINDS if name != "LSTM"]
        table: dict[str, Callable[[], Judged]] = {
            "LSTM, lines and boosted trees, blended (default)": partial(self.blended, "LSTM"),
            **{f"{name}, lines and boosted trees, blended": partial(self.blended, name) for name in others},
            "LSTM and lines, blended": self._with_lines,
            **{f"{name} alone": partial(self._alone, name) for name in networks.KINDS},
            "boosted trees alone": self._trees_alone,
            "ridge lines alone": self._lines_alone,
            "persistence": self._persistence,
        }
        return [Alternative(GROUP, name, "mae", judge) for name, judge in table.items()]

    def smaller(self) -> list[Alternative]:
        """Return the forecaster's lines of the tables of compression; nothing is trained again."""
        judges = {SMALLER: self._shrunk, SERVED_SMALLER: self._shrunk_as_served}
        return [
            Alternative(group, name, "mae", partial(judge, shrink))
            for group, judge in judges.items()
            for name, shrink in SHRINKS.items()
        ]

    @cached_property
    def _learn(self) -> Windows:
        return joined(self._roles.windows("learn", self._roles.settings.params.forecaster.max_windows))

    @cached_property
    def _calibrate(self) -> Windows:
        return joined(self._roles.windows("calibrate", self._roles.settings.params.forecaster.max_windows // 4))

    @cached_property
    def _judge(self) -> list[Windows]:
        return self._roles.windows("judge", JUDGED)

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

    def _network(self, name: str) -> tuple[Fitted, ToOnnx, float]:
        """Return a network as arrays, what makes ONNX of them, and the processor seconds of its training."""
        trained, seconds = self._trained(name)
        return networks.fitted_of(trained), networks.maker(trained, networks.KINDS[name]), seconds

    @cached_property
    def _lstm(self) -> Fitted:
        """The LSTM as arrays, so that it can be made smaller."""
        return forecast.arrays(self._trained("LSTM")[0])

    @cached_property
    def _lines(self) -> tuple[Beside, float]:
        learn = self._learn
        with processor_time() as clock:
            made = forecast_linear.fit(learn.x, learn.person, learn.y, learn.last)
        return made, clock.seconds

    @cached_property
    def _trees(self) -> tuple[bytes, float]:
        learn, params = self._learn, self._roles.settings.params
        drawn = forecast_trees.rows_of(learn.x, learn.person, learn.y, learn.last, self._at)
        with processor_time() as clock:
            made = forecast_trees.fit(drawn, params.forecaster, params.seed, self._roles.settings.config.jobs)
        assert made is not None, "simulated people have heart rates enough"
        return made, clock.seconds

    def blended(self, name: str) -> Judged:
        """Blend a network with lines and trees, as the pipeline does with the LSTM."""
        fitted, to_onnx, seconds = self._network(name)
        return self._as_served(fitted, to_onnx, seconds + self._lines[1] + self._trees[1])

    def _as_served(self, fitted: Fitted, to_onnx: ToOnnx, seconds: float | None) -> Judged:
        trees, settings = self._trees[0], self._roles.settings
        onnx, blend, _, _ = finished(fitted, self._lines[0], trees, self._calibrate, settings, to_onnx)
        return self._judged(self._of_network(onnx, blend), onnx + trees, seconds)

    def _with_lines(self) -> Judged:
        fitted, to_onnx, seconds = self._network("LSTM")
        onnx, _ = with_lines(fitted, self._lines[0], self._calibrate, self._roles.settings, to_onnx)
        return self._judged(self._of_network(onnx), onnx, seconds + self._lines[1])

    def _alone(self, name: str) -> Judged:
        fitted, to_onnx, seconds = self._network(name)
        onnx = to_onnx(fitted.weights, fitted.normalisation, fitted.shape)
        return self._judged(self._of_network(onnx), onnx, seconds)

    def _trees_alone(self) -> Judged:
        made, seconds = self._trees
        return self._judged(self._of_trees(made), made, seconds)

    def _lines_alone(self) -> Judged:
        line, seconds = self._lines
        numbers = sum(part.size for part in (line.window, line.known, line.constant))
        return self._judged(self._of_lines(line), bytes(NUMBER * numbers), seconds)

    def _persistence(self) -> Judged:
        horizons = self._judge[0].y.shape[2]
        return self._sums(lambda windows: np.zeros((len(windows.x), horizons), np.float32)), Cost(0.0, 0)

    def _shrunk(self, shrink: ToOnnx) -> Judged:
        onnx = shrink(self._lstm.weights, self._lstm.normalisation, self._lstm.shape, None)
        return self._judged(self._of_network(onnx), onnx, None)

    def _shrunk_as_served(self, shrink: ToOnnx) -> Judged:
        return self._as_served(self._lstm, shrink, None)

    def _of_network(self, onnx: bytes, blend: sequences.Blend | None = None) -> Ahead:
        model, at = Model(onnx), self._at

        def ahead(windows: Windows) -> Floats:
            x = windows.x.astype(np.float32)
            told: Floats = sequences.ahead(model, x, windows.person, windows.last, blend)[:, at, :, 1]
            return told

        return ahead

    def _of_trees(self, made: bytes) -> Ahead:
        model, at = Model(made), self._at

        def ahead(windows: Windows) -> Floats:
            x = windows.x.astype(np.float32)
            parts = [
                model.run(x=lags.lagged(x[rows], windows.person[rows], windows.last[rows], at))["value"]
                for rows in blocks(len(x))
            ]
            return np.concatenate(parts)

        return ahead

    def _of_lines(self, line: Beside) -> Ahead:
        mean = self._trained("LSTM")[0].normalisation["person_mean"]

        def ahead(windows: Windows) -> Floats:
            known = sequences.static(windows.person, windows.last)
            return forecast_linear.medians(line, windows.x.astype(np.float32), known, mean)[:, self._at]

        return ahead

    def _judged(self, ahead: Ahead, made: bytes, seconds: float | None) -> Judged:
        windows = joined(self._judge)
        cost = timed(made, seconds, lambda rows: ahead(part(windows, rows)), len(windows.x))
        return self._sums(ahead), cost

    def _sums(self, ahead: Ahead) -> Doubles:
        """Return the error sums of each judged person, all horizons together, (p, 5)."""
        found = []
        for windows in self._judge:
            moved = (windows.y - windows.last[:, :, None])[:, self._at]
            told = ahead(windows) if len(windows.x) else np.zeros(moved.shape, np.float32)
            found.append(error_sums(moved.ravel(), told.ravel()))
        return np.stack(found)


def blocks(rows: int) -> Sequence[slice]:
    """Return slices of at most 1,024 rows; one even without any."""
    return [slice(start, start + sequences.AT_ONCE) for start in range(0, max(rows, 1), sequences.AT_ONCE)]


def part(windows: Windows, rows: slice) -> Windows:
    """Return some windows."""
    return Windows(*(getattr(windows, name)[rows] for name in ("x", "person", "y", "last")))

"""What each part of the served forecast says alone of the heart rate: LSTM, ridge line, boosted trees, all blended.

Parts are asked of the models in the bundle, on an hourly draw of the test people's rows, all on the same ones. The LSTM
and its lines are one graph; the numbers before they are joined are read out of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import lags, learning, sequences
from vitalwatch.baseline import Normal
from vitalwatch.learning import Person
from vitalwatch.metrics import regression
from vitalwatch.metrics.bootstrap import Estimate, difference, estimate, weights
from vitalwatch.monitor import Monitor
from vitalwatch.residuals import Learnt
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings
from vitalwatch.stages.judging import PersonResult, judged_rows, not_assessable
from vitalwatch.stages.number_tables import Sums
from vitalwatch.tables import Doubles, Floats

EVERY = 12  # rows from one that is judged to the next: neighbours err alike
PARTS = ("lstm", "line", "trees", "served")
VITAL = "heart_rate"


@dataclass(frozen=True)
class Parts:
    """The parts of a bundle's forecaster of heart rate.

    Attributes:
        graph: LSTM and lines, with what they tell before they are joined as outputs of its own.
        unit: Of each horizon's LSTM median, (h,).
        line_share, trees_share: Of the line in the LSTM's median, and of the trees in both, (h,); None without them.
        trees: Boosted trees, None where there are none.
        at: Place of the heart rate among the vitals.
    """

    graph: Model
    unit: Doubles
    line_share: Doubles | None
    trees_share: Doubles | None
    trees: Model | None
    at: int

    @staticmethod
    def of(files: Mapping[str, bytes], vitals: int, horizons: int, at: int) -> Parts:
        """Return the parts of a bundle's files.

        Args:
            files: Of the bundle.
            vitals, horizons: How many are forecast.
            at: Place of the heart rate among them.
        """
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        model = onnx.load_from_string(files["forecast.onnx"])
        (spread,) = [numpy_helper.to_array(one) for one in model.graph.initializer if one.name == "spread"]
        k, own = vitals * horizons, np.arange(horizons) + at * horizons
        lined = len(spread) == 4 * k  # medians, gaps below, gaps above, lines
        for name in ("median", "lines")[: 1 + lined]:
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", k)))
        told = json.loads(files["forecast.json"])
        trees = files.get(sequences.TREES)
        return Parts(
            graph=Model(model.SerializeToString()),
            unit=-spread[k + own, 3 * own].astype(np.float64),  # a gap below is taken off in the vital's unit
            line_share=spread[3 * k + own, 3 * own + 1].astype(np.float64) if lined else None,
            trees_share=np.asarray(told["trees_share"], np.float64) if trees else None,
            trees=Model(trees) if trees else None,
            at=at,
        )

    def ahead(self, x: Floats, person: Floats, last: Floats) -> dict[str, Floats]:
        """Return what each part says of windows, as differences from the last value, bpm (n, h); arguments as of
        `sequences.ahead`.
        """
        h = len(self.unit)
        mine = slice(self.at * h, (self.at + 1) * h)
        told = self.graph.run(x=x, person=sequences.static(person, last))
        found = {"lstm": (told["median"][:, mine] * self.unit).astype(np.float32)}
        if self.line_share is not None:
            found["line"] = told["lines"][:, mine]
        if self.trees is not None:
            found["trees"] = self.trees.run(x=lags.lagged(x, person, last, self.at))["value"]
        return found


def tables(
    results: Sequence[PersonResult],
    files: Mapping[str, bytes],
    monitor: Monitor,
    settings: Settings,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return horizon in minutes -> mean absolute error of each part and of all blended, on the same rows.

    Args:
        results: `test` people are judged.
        files: Of the bundle that `monitor` is.
        monitor: Whose answers `results` are.
        settings: Draws and confidence of the intervals.
        rng: Draws people.
    """
    vitals, horizons = monitor.forecast_vitals, monitor.horizons
    judged = [result for result in results if result.split == "test" and len(result.answers)]
    if "forecast.onnx" not in files or VITAL not in vitals or not judged:
        return not_assessable("no forecast of the heart rate, or nobody to judge it on")
    parts = Parts.of(files, len(vitals), len(horizons), vitals.index(VITAL))
    normal = json.loads(files["normal.json"])
    usual = np.asarray(normal["usual_person"], np.float32)
    learnt = Learnt(Model(files["heart_rate.onnx"]), Normal.from_json(normal), usual)
    sums = _sums(judged, parts, learnt, monitor, settings)
    if not sums.found or not sums.found[horizons[0], "served"][:, regression.ROWS].sum():
        return not_assessable("no row of theirs was forecast and measured")
    draws = weights(len(judged), settings.params.evaluation.draws, rng)
    return {
        "every": EVERY,
        "horizons": {
            str(horizon): _row(sums, horizon, draws, settings.params.evaluation.confidence) | _shares(parts, place)
            for place, horizon in enumerate(horizons)
        },
    }


def _sums(judged: Sequence[PersonResult], parts: Parts, learnt: Learnt, monitor: Monitor, settings: Settings) -> Sums:
    from joblib import Parallel, delayed

    def one(result: PersonResult) -> dict[str, tuple[Floats, Floats]]:
        return _of_person(result, parts, learnt, monitor)

    jobs = Parallel(n_jobs=settings.config.jobs, prefer="threads")
    sums = Sums(len(judged))
    for i, found in enumerate(jobs(delayed(one)(result) for result in judged)):
        for name, (true, told) in found.items():
            for place, horizon in enumerate(monitor.horizons):
                sums.put(i, (horizon, name), regression.error_sums(true[:, place], told[:, place]))
    return sums


def _of_person(
    result: PersonResult, parts: Parts, learnt: Learnt, monitor: Monitor
) -> dict[str, tuple[Floats, Floats]]:
    """Return what came and what each part told of it, bpm (n, h) each."""
    answers, schema, chosen = result.answers, monitor.schema, monitor.chosen
    grid = answers.grid
    served = answers.forecast[:, parts.at, :, 1]
    hourly = np.arange(len(grid)) % EVERY == 0
    ends = np.flatnonzero(hourly & judged_rows(result) & grid.worn & np.isfinite(served).all(axis=1))
    if not len(ends):
        return {}
    rows = learning.rows_of(Person(grid, result.profile), learnt, chosen.baseline, schema.step_minutes)
    x, last = sequences.windows(grid, ends, chosen.forecaster, schema)
    now = last[:, parts.at : parts.at + 1]
    told = {name: now + ahead for name, ahead in parts.ahead(x, rows.static[ends], last).items()}
    told |= {"served": served[ends], "persistence": np.broadcast_to(now, told["lstm"].shape)}
    true = sequences.targets(grid, ends, chosen.forecaster, schema)[:, parts.at]
    return {name: (true, values) for name, values in told.items()}


def _row(sums: Sums, horizon: int, draws: Doubles, confidence: float) -> dict[str, Any]:
    told = {name: sums.found[horizon, name] for name in (*PARTS, "persistence") if (horizon, name) in sums.found}
    row: dict[str, Any] = {"rows": int(told["served"][:, regression.ROWS].sum())}
    row |= {name: estimate(regression.mae, one, draws, confidence).table() for name, one in told.items()}
    pairs = {"trees_against_lstm": ("trees", "lstm"), "served_against_trees": ("served", "trees")}
    return row | {
        name: _apart(told[a], told[b], draws, confidence).table()
        for name, (a, b) in pairs.items()
        if {a, b} <= set(told)
    }


def _apart(a: Doubles, b: Doubles, draws: Doubles, confidence: float) -> Estimate:
    return difference(regression.mae, a, b, draws, confidence)


def _shares(parts: Parts, place: int) -> dict[str, float]:
    shares: dict[str, NDArray[np.float64] | None] = {"line": parts.line_share, "trees": parts.trees_share}
    return {f"share_of_{name}": round(float(share[place]), 3) for name, share in shares.items() if share is not None}

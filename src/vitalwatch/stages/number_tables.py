"""Numbers judged: forecasts by vital and horizon, expected heart rate, and the classical row-by-row figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vitalwatch.lines import expected, forecast
from vitalwatch.metrics import regression
from vitalwatch.metrics.bootstrap import Estimate, estimate, plain, ratio, weights
from vitalwatch.models.plain_heart_rate import PlainTrees
from vitalwatch.settings import Settings
from vitalwatch.stages import staying
from vitalwatch.stages.judging import PersonResult, judged_rows, learnt_rows, not_assessable
from vitalwatch.stages.number_groups import by_group, errors, in_fault
from vitalwatch.stages.staying import QUANTILES
from vitalwatch.tables import MINUTE, Answers, Bools, Doubles, Floats, Grid

NOMINAL_COVERAGE = 0.8
FORECAST_LINES = ("persistence", "seasonal_24h", "person_hour_mean", "ridge")
LAST_READING = ("last_reading", "ridge_last_reading")  # lines that see what the model alone saw before: heart rate only
COLD = "cold"
EXPECTED_LINES = ("constant", "person_mean", "reserve_formula", "linear", "plain_boosting")
PLAIN_EVERY = 12  # rows from one that plain trees learn from to the next: neighbours say the same
REST_CADENCE, EXERCISE_CADENCE = 5.0, 60.0  # steps/min, now and at t + h: what counts as going from rest to exercise
REST_INTENSITY, EXERCISE_INTENSITY = 0.15, 0.45  # shares, where steps say nothing (cycling)


class Sums:
    """Per-person sums by name; a name that a person lacks counts as nothing."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.found: dict[tuple[Any, ...], Doubles] = {}

    def put(self, person: int, name: tuple[Any, ...], values: Doubles) -> None:
        """Add what one person contributes under a name."""
        if name not in self.found:
            self.found[name] = np.zeros((self.people, len(values)))
        self.found[name][person] += values


def forecasts(
    judged: Sequence[PersonResult], learners: Sequence[PersonResult], settings: Settings, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the forecast table: vital -> horizon in minutes -> figures, each beside the lines to beat.

    A row counts where the vital was measured (not carried forward) at t + h and some value was at hand at t, so
    every line is judged on the same rows.
    """
    told = [result for result in judged if np.isfinite(result.answers.forecast).any()]
    if not told:
        return not_assessable("no forecast: too little history, or the bundle has no forecaster")
    first = told[0].answers
    draws = weights(len(told), settings.params.evaluation.draws, rng)
    tables: dict[str, Any] = {}
    for v, vital in enumerate(first.forecast_vitals):
        ridge = _fit_ridge([*told, *learners], vital, first.horizons, settings.schema.step_minutes, forecast.design)
        newest = None
        if vital == "heart_rate":
            newest = _fit_ridge(
                [*told, *learners], vital, first.horizons, settings.schema.step_minutes, forecast.design_with_newest
            )
        stays = staying.intervals(told, [*told, *learners], vital, settings.schema.step_minutes)
        sums = Sums(len(told))
        for i, result in enumerate(told):
            _add_person(sums, i, result, v, vital, ridge, newest, stays[i], settings.schema.step_minutes)
        tables[vital] = {
            str(horizon): _forecast_row(sums, horizon, draws, settings.params.evaluation.confidence)
            for horizon in first.horizons
        }
        _add_groups(tables[vital], told, sums, max(first.horizons), draws, settings.params.evaluation.confidence)
    return {"people": len(told), "nominal_coverage": NOMINAL_COVERAGE, "vitals": tables}


def _add_groups(
    table: dict[str, Any],
    told: Sequence[PersonResult],
    sums: Sums,
    horizon: int,
    draws: Doubles,
    confidence: float,
) -> None:
    """Tell the longest horizon by group of people, and while a sensor fails."""
    row = table[str(horizon)]
    if "mae" not in row:
        return
    model, line, inside = (sums.found[horizon, name] for name in ("model", "persistence", "interval"))
    row["by_group"] = by_group(told, errors(model, line, draws, confidence, inside))
    everybody = np.ones(len(told), np.bool_)
    for name in ("fault", "no_fault"):
        if (horizon, "model", name) in sums.found:
            model, line = (sums.found[horizon, what, name] for what in ("model", "persistence"))
            figures = errors(model, line, draws, confidence)(everybody)
            row["by_group"].setdefault("sensor", {})[name] = {"people": len(told), **figures}


Design = Callable[[Grid, str, int], Doubles]


def _fit_ridge(
    results: Sequence[PersonResult], vital: str, horizons: Sequence[int], step_minutes: int, design: Design
) -> Doubles:
    model: forecast.Ridge | None = None
    for result in results:
        grid, rows = result.answers.grid, learnt_rows(result)
        if not len(grid):
            continue
        x = design(grid, vital, step_minutes)
        model = model or forecast.Ridge(x.shape[1], len(horizons))
        model.add(
            x,
            [np.where(forecast.ends_within(grid, rows, h), forecast.target(grid, vital, h), np.nan) for h in horizons],
        )
    assert model is not None, "at least one person has rows"
    return model.coefficients()


def _add_person(
    sums: Sums,
    i: int,
    result: PersonResult,
    v: int,
    vital: str,
    ridge: Doubles,
    newest: Doubles | None,
    stays: Mapping[str, Floats],
    step_minutes: int,
) -> None:
    answers, grid, rows = result.answers, result.answers.grid, judged_rows(result)
    x = forecast.design(grid, vital, step_minutes)
    last = forecast.persistence(grid, vital)
    hours, fault = forecast.hour_table(grid, vital), in_fault(result)
    seen = None if newest is None else forecast.design_with_newest(grid, vital, step_minutes)
    for h, horizon in enumerate(answers.horizons):
        model = answers.forecast[:, v, h]
        use = rows & np.isfinite(model).all(axis=1) & np.isfinite(last)
        true = np.where(use, forecast.target(grid, vital, horizon), np.nan)
        told: dict[str, Floats] = {
            "model": model[:, 1],
            "persistence": last,
            "seasonal_24h": forecast.seasonal(grid, vital, horizon),
            "person_hour_mean": forecast.hour_mean(grid, vital, horizon, hours),
            "ridge": (x @ ridge[h]).astype(np.float32),
        }
        if seen is not None and newest is not None:
            told["last_reading"] = seen[:, 0].astype(np.float32)
            told["ridge_last_reading"] = (seen @ newest[h]).astype(np.float32)
        starts = _rest_to_exercise(grid, horizon, step_minutes)
        for name, values in told.items():
            sums.put(i, (horizon, name), regression.error_sums(true, values))
            if fault is not None and name in ("model", "persistence"):
                sums.put(i, (horizon, name, "fault"), regression.error_sums(np.where(fault, true, np.nan), values))
                sums.put(i, (horizon, name, "no_fault"), regression.error_sums(np.where(fault, np.nan, true), values))
            if starts.any():
                sums.put(i, (horizon, name, "start"), regression.error_sums(np.where(starts, true, np.nan), values))
        sums.put(i, (horizon, "pinball"), regression.pinball_sums(true, model, QUANTILES))
        sums.put(i, (horizon, "interval"), regression.interval_sums(true, model[:, 0], model[:, 2]))
        for name, line in stays.items():
            sums.put(i, (horizon, name, "pinball"), regression.pinball_sums(true, line[:, h], QUANTILES))
            sums.put(i, (horizon, name, "interval"), regression.interval_sums(true, line[:, h, 0], line[:, h, 2]))
        moving = regression.interval_sums(np.where(starts, true, np.nan), model[:, 0], model[:, 2])
        sums.put(i, (horizon, "interval", "start"), moving)


def _rest_to_exercise(grid: Grid, horizon: int, step_minutes: int) -> Bools:
    """Return the rows at rest now whose t + h is in exercise, by steps or intensity; shape (n,)."""
    cadence, intensity = grid.column("steps") / np.float32(step_minutes), grid.column("intensity")
    later = grid.time + horizon * MINUTE
    moving_then = forecast.at(grid, cadence, later) >= EXERCISE_CADENCE
    moving_then |= forecast.at(grid, intensity, later) >= EXERCISE_INTENSITY
    return moving_then & ~(cadence > REST_CADENCE) & ~(intensity > REST_INTENSITY)


def _forecast_row(sums: Sums, horizon: int, draws: Doubles, confidence: float) -> dict[str, Any]:
    model = sums.found[horizon, "model"]
    rows = int(model[:, regression.ROWS].sum())
    if not rows:
        return not_assessable("this vital was never measured this long after a forecast")
    inside = sums.found[horizon, "interval"]
    table: dict[str, Any] = {
        "rows": rows,
        "mae": estimate(regression.mae, model, draws, confidence).table(),
        "rmse": estimate(regression.rmse, model, draws, confidence).table(),
        "pinball": estimate(regression.pinball, sums.found[horizon, "pinball"], draws, confidence).table(),
        "coverage": estimate(regression.coverage, inside, draws, confidence).table(),
        "coverage_worst_person": plain(regression.worst_coverage(inside)),
        "width": estimate(regression.width, inside, draws, confidence).table(),
        **{name: _beside(sums, horizon, name, draws, confidence) for name in staying.INTERVALS},
        "lines": {
            name: _against(model, sums.found[horizon, name], draws, confidence)
            for name in (*FORECAST_LINES, *LAST_READING)
            if (horizon, name) in sums.found
        },
    }
    moving = sums.found.get((horizon, "model", "start"))
    if moving is None or not moving[:, regression.ROWS].sum():
        return table | {"rest_to_exercise": not_assessable("nobody went from rest to exercise within this time")}
    others = {name: sums.found[horizon, name, "start"] for name in FORECAST_LINES}
    held = sums.found[horizon, "interval", "start"]
    return table | {
        "rest_to_exercise": {
            "rows": int(moving[:, regression.ROWS].sum()),
            "mae": estimate(regression.mae, moving, draws, confidence).table(),
            "coverage": estimate(regression.coverage, held, draws, confidence).table(),
            "lines": {name: _against(moving, other, draws, confidence) for name, other in others.items()},
        }
    }


def _beside(sums: Sums, horizon: int, name: str, draws: Doubles, confidence: float) -> dict[str, Any]:
    ours, line = (
        (sums.found[horizon, *who, "interval"], sums.found[horizon, *who, "pinball"]) for who in ((), (name,))
    )
    return staying.beside(ours, line, draws, confidence)


def _against(model: Doubles, line: Doubles, draws: Doubles, confidence: float) -> dict[str, Any]:
    return {
        "mae": estimate(regression.mae, line, draws, confidence).table(),
        "rmse": estimate(regression.rmse, line, draws, confidence).table(),
        "r2": plain(float(regression.r2(line.sum(axis=0)))),
        "skill": regression.skill(model, line, draws, confidence).table(),
    }


def expected_heart_rate(
    judged: Sequence[PersonResult], learners: Sequence[PersonResult], settings: Settings, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the table of the expected heart rate: all rows and awake rows, each beside the lines to beat."""
    told = [result for result in judged if np.isfinite(result.answers.expected_heart_rate).any()]
    if not told:
        return not_assessable("no expected heart rate was told")
    step = settings.schema.step_minutes
    constant, linear, plainly = _fit_expected([*told, *learners], step, settings.config.jobs)
    sums = Sums(len(told))
    for i, result in enumerate(told):
        grid, learn, rows = result.answers.grid, learnt_rows(result), judged_rows(result)
        rate = forecast.measured(grid, "heart_rate")
        mean = _or(expected.person_mean(rate, learn), constant)
        resting = _or(expected.resting_rate(rate, learn), constant)
        true = np.where(rows & np.isfinite(result.answers.expected_heart_rate), rate, np.nan)
        awake = np.where(grid.column("sleep") == 0, true, np.nan)  # whose sleep nobody measured may be asleep
        x = expected.design(grid, result.profile, mean, step)
        values = {
            "model": result.answers.expected_heart_rate,
            "constant": np.full(len(grid), constant),
            "person_mean": np.full(len(grid), mean),
            "reserve_formula": expected.reserve_formula(grid, result.profile, resting),
            "linear": x @ linear,
            "plain_boosting": plainly.predict(x[:, 1:-1]),
        }
        if result.cold is not None:
            values[COLD] = result.cold
        for name, guess in values.items():
            sums.put(i, ("all", name), regression.error_sums(true, guess))
            sums.put(i, ("awake", name), regression.error_sums(awake, guess))
    draws = weights(len(told), settings.params.evaluation.draws, rng)
    confidence = settings.params.evaluation.confidence
    found: dict[str, Any] = {"people": len(told)}
    found |= {part: _expected_part(sums, part, draws, confidence) for part in ("all", "awake")}
    if "mae" in found["all"]:
        model, line = sums.found["all", "model"], sums.found["all", "person_mean"]
        found["all"]["by_group"] = by_group(told, errors(model, line, draws, confidence))
    return found


def _or(value: float, otherwise: float) -> float:
    return value if np.isfinite(value) else otherwise


def _fit_expected(
    results: Sequence[PersonResult], step_minutes: int, threads: int
) -> tuple[float, Doubles, PlainTrees]:
    """Return the mean heart rate, the linear line's coefficients and plain trees, from rows that may be learnt from."""
    model, total, count = None, 0.0, 0
    drawn: list[tuple[Doubles, Doubles]] = []
    for result in results:
        grid, learn = result.answers.grid, learnt_rows(result)
        rate = np.where(learn, forecast.measured(grid, "heart_rate"), np.nan)
        x = expected.design(grid, result.profile, _or(expected.person_mean(rate, learn), 0.0), step_minutes)
        model = model or forecast.Ridge(x.shape[1], 1)
        model.add(x, [rate])
        some = np.flatnonzero(np.isfinite(rate))[::PLAIN_EVERY]
        drawn.append((x[some, 1:-1], rate[some].astype(np.float64)))
        total, count = total + float(np.nansum(rate, dtype=np.float64)), count + int(np.isfinite(rate).sum())
    assert model is not None, "somebody was told an expected heart rate"
    trees = PlainTrees(np.concatenate([x for x, _ in drawn]), np.concatenate([y for _, y in drawn]), threads)
    return (total / count if count else float("nan")), model.coefficients()[0], trees


UNMEASURED = {
    "all": "no heart rate was measured in these rows",
    "awake": "nobody's sleep was measured, so nobody is known to be awake",
}


def _expected_part(sums: Sums, part: str, draws: Doubles, confidence: float) -> dict[str, Any]:
    model = sums.found[part, "model"]
    if not model[:, regression.ROWS].sum():
        return not_assessable(UNMEASURED[part])
    return {
        "rows": int(model[:, regression.ROWS].sum()),
        "mae": estimate(regression.mae, model, draws, confidence).table(),
        "rmse": estimate(regression.rmse, model, draws, confidence).table(),
        "r2": estimate(regression.r2, model, draws, confidence).table(),
        "lines": {name: _against(model, sums.found[part, name], draws, confidence) for name in EXPECTED_LINES},
        **({COLD: _cold(sums, part, draws, confidence)} if (part, COLD) in sums.found else {}),
    }


def _cold(sums: Sums, part: str, draws: Doubles, confidence: float) -> dict[str, Any]:
    """Return how well a heart is expected from profile, activity, sleep and clock alone, beside the simplest lines."""
    cold = sums.found[part, COLD]
    return {
        "mae": estimate(regression.mae, cold, draws, confidence).table(),
        "rmse": estimate(regression.rmse, cold, draws, confidence).table(),
        "r2": estimate(regression.r2, cold, draws, confidence).table(),
        "skill_against": {
            name: regression.skill(cold, sums.found[part, name], draws, confidence).table()
            for name in ("constant", "person_mean", "plain_boosting")
        },
    }


def classical(results: Sequence[PersonResult]) -> dict[str, Any]:
    """Return row-by-row figures of train and test people: expected heart rate and anomalies, beside constant answers.

    Rows of one long episode are not independent, so nothing here is a headline; accuracy of a rare event is won by
    the constant answer, which stands beside it. Of heart rate it is the mean of training people.
    """
    of = {part: [result for result in results if result.split == part] for part in ("train", "test")}
    learnt = sum((_expected_sums(result) for result in of["train"]), np.zeros(5))
    constant = float(ratio(learnt[regression.TRUE], learnt[regression.ROWS]))
    return {part: _classical(part, people, constant) for part, people in of.items()}


def _classical(part: str, results: Sequence[PersonResult], constant: float) -> dict[str, Any]:
    if not results:
        return not_assessable(f"no {part} people among the results")
    numbers = sum((_expected_sums(result) for result in results), np.zeros(5))
    beside = sum((_expected_sums(result, constant) for result in results), np.zeros(5))
    labelled = [result for result in results if result.events is not None]
    cells = sum((_confusion(result) for result in labelled), np.zeros(4))
    return {
        "people": len(results),
        "expected_heart_rate": {
            "rows": int(numbers[regression.ROWS]),
            **_number_figures(numbers),
            "constant": _number_figures(beside)
            if np.isfinite(constant)
            else not_assessable("no training people among the results to take the mean of"),
        },
        "rows": row_figures(cells) if cells.sum() else not_assessable("no labelled rows"),
    }


def _number_figures(sums: Doubles) -> dict[str, float | None]:
    figures = {"mae": regression.mae, "rmse": regression.rmse, "r2": regression.r2}
    return {name: plain(float(figure(sums))) for name, figure in figures.items()}


def _expected_sums(result: PersonResult, constant: float | None = None) -> Doubles:
    """Return the sums of the model's errors, or of a constant's on the same rows."""
    rate = np.where(judged_rows(result), forecast.measured(result.answers.grid, "heart_rate"), np.nan)
    told = result.answers.expected_heart_rate
    return regression.error_sums(rate, told if constant is None else np.where(np.isfinite(told), constant, np.nan))


def row_labels(answers: Answers, result: PersonResult) -> Bools:
    """Return the rows that start inside a labelled episode, shape (n,)."""
    labels = np.zeros(len(answers), np.bool_)
    for event in result.events or ():
        labels[slice(*np.searchsorted(answers.time, (event.start, event.end)))] = True
    return labels


def _confusion(result: PersonResult) -> Doubles:
    """Return true positives, false positives, false negatives, true negatives over judged, assessable rows."""
    answers = result.answers
    rows = judged_rows(result) & answers.assessable
    true, told = row_labels(answers, result)[rows], answers.is_anomaly[rows]
    cells = np.bincount(2 * ~true + ~told, minlength=4)  # 0 both, 1 only true, 2 only told, 3 neither
    return cells[[0, 2, 1, 3]].astype(np.float64)


def row_figures(cells: Doubles) -> dict[str, Any]:
    """Return accuracy, precision, recall and F1 of rows, beside the two constant answers; `cells` as tp, fp, fn, tn."""
    share = (cells[0] + cells[2]) / cells.sum()

    def figures(tp: float, fp: float, fn: float, tn: float) -> dict[str, float | None]:
        return {
            "accuracy": plain(float(ratio(tp + tn, tp + fp + fn + tn))),
            "precision": plain(float(ratio(tp, tp + fp))),
            "recall": plain(float(ratio(tp, tp + fn))),
            "f1": plain(float(ratio(2 * tp, 2 * tp + fp + fn))),
        }

    return {
        "share_in_episodes": plain(float(share)),
        "model": figures(*cells),
        "always_normal": figures(0.0, 0.0, share, 1 - share),
        "always_anomaly": figures(share, 1 - share, 0.0, 0.0),
    }


def estimates(table: Mapping[str, Any], *keys: str) -> Estimate | None:
    """Return a figure from a table by its path, None where it is not assessable."""
    found: Any = table
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    if not isinstance(found, Mapping) or found.get("value") is None:
        return None
    values = (float("nan") if found.get(k) is None else found[k] for k in ("value", "low", "high"))
    return Estimate(*values)

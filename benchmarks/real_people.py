"""Forecasts and expected heart rate on real wearers, each judged by models that never saw them.

    python benchmarks/real_people.py [--source FOLDER] [--people 60] [--only real both synthetic] [--windows 60000]
                                     [--expected]

Leave one person out over the four Fitabase wearers (VITALWATCH_REAL_DATA), on 5-minute means of heart rate: trained and
calibrated on `both` (the other three and synthetic people), `real` (the other three alone; the calibration is
theirs, too) or `synthetic` (people of the simulator alone). Prints one JSON line each: mean over people of MAE at each
horizon for what is served, its parts and the lines to beat, coverage of the 80 % interval pooled and of the worst
person, and RMSE of the expected heart rate cold (population only) and after seven own days. Intervals are a bootstrap
over people and, within them, days. With `--expected` only the expected heart rate is judged, which takes a minute.

**`real` alone never saw the person left out in any form.** The simulation was fitted to statistics of all four wearers
(docs/figures.md, realism), so behind `both` and `synthetic` stands a little of the person who is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import cleaning, features, lags, learning, recordings, sequences, synthetic
from vitalwatch.learning import Person
from vitalwatch.lines import forecast as lines
from vitalwatch.models import forecast, forecast_linear, forecast_trees
from vitalwatch.residuals import Learnt, Rows
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings, load_settings
from vitalwatch.stages import forecasting
from vitalwatch.stages.ingest import ingest
from vitalwatch.tables import Doubles, Floats, Grid, Profile

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("VITALWATCH_REAL_DATA", ROOT.parent / "shared" / "data")) / "fitabase"
HORIZONS = (5, 15, 30, 60)
ASKED: Mapping[str, Any] = {
    "forecast": {"5": 4.35, "15": 6.30, "30": 7.25, "60": 7.98},
    "coverage": [0.78, 0.82],
    "coverage_worst_person": [0.74, 0.86],
    "expected_cold": 9.13,
    "expected_warm": 7.94,
}
WAYS = ("real", "both", "synthetic")
DRAWS = 1000
CALIBRATE = 5  # every fifth day or person calibrates
WARM_DAYS = 7


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--source", type=Path, default=DATA)
    asked.add_argument("--people", type=int, default=60, help="synthetic people")
    asked.add_argument("--windows", type=int, default=60_000, help="of the forecaster, at most")
    asked.add_argument("--only", nargs="+", choices=WAYS, default=WAYS)
    asked.add_argument("--expected", action="store_true", help="judge the expected heart rate alone")
    given = asked.parse_args()
    settings = load_settings(ROOT, environment="base")
    real = wearers(given.source, settings)
    made = [someone(index, settings) for index in range(given.people)] if given.only != ["real"] else []
    print(json.dumps({"asked": ASKED}), flush=True)
    for name in given.only:
        clock = time.perf_counter()
        if given.expected:
            found = expected_alone(name, real, made, settings)
        else:
            found = judged(name, real, made, settings, given.windows)
        print(json.dumps({name: found | {"seconds": round(time.perf_counter() - clock, 1)}}), flush=True)


def wearers(source: Path, settings: Settings) -> list[Person]:
    """Return the people of a source, their tables' clocks brought together."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        ingest([source], out, settings, now_ms=1_790_000_000_000)
        told = recordings.read_profiles(out / "profiles.parquet")
        return [
            Person(cleaning.to_grid(one, settings.schema, settings.params.cleaning), told.get(one.person, Profile("")))
            for one in recordings.iter_people(out / "readings.parquet", settings.schema)
        ]


def someone(index: int, settings: Settings) -> Person:
    made = synthetic.person(index, settings.schema, settings.params.synthetic, settings.params.seed)
    return Person(cleaning.to_grid(made.readings, settings.schema, settings.params.cleaning), made.profile, made.events)


@dataclass(frozen=True)
class Trained:
    """What one training leaves behind."""

    learnt: Learnt
    model: Model
    widening: Doubles
    blend: sequences.Blend


def judged(
    name: str, real: Sequence[Person], made: Sequence[Person], settings: Settings, windows: int
) -> dict[str, Any]:
    """Return the figures of one way to train, over the real people."""
    days, shares, fitted = [], [], None
    for i, person in enumerate(real):
        others, learners = learners_of(name, i, real, made)
        if fitted is None or others:  # synthetic people alone: one training serves all
            fitted = trained(others, learners, settings, windows)
        shares.append(fitted.blend.share)
        days.append(by_day(person, fitted, learners, settings))
    return figures(days) | {"trees_share": [round(float(value), 2) for value in np.mean(shares, axis=0)]}


def learners_of(
    name: str, left_out: int, real: Sequence[Person], made: Sequence[Person]
) -> tuple[list[Person], list[Person]]:
    """Return the real people whom one of WAYS learns from, and everybody whom it learns from."""
    others = [] if name == "synthetic" else [one for j, one in enumerate(real) if j != left_out]
    return others, [*others, *made] if name == "both" else others or list(made)


def expected_alone(name: str, real: Sequence[Person], made: Sequence[Person], settings: Settings) -> dict[str, Any]:
    """Return the figures of the expected heart rate of one way to train."""
    params, step, days = settings.params, settings.schema.step_minutes, []
    for i, person in enumerate(real):
        learners = learners_of(name, i, real, made)[1]
        _, learnt = learning.learn(learners, params.regressor, params.baseline, step, params.seed, settings.config.jobs)
        rows = learning.rows_of(person, learnt, params.baseline, step)
        days.append(expected(person, rows, lines.measured(person.grid, "heart_rate"), learnt))
    return figures(days)


def trained(own: Sequence[Person], people: Sequence[Person], settings: Settings, windows: int) -> Trained:
    """Train on people; every fifth day of the own ones, or else every fifth person, calibrates."""
    params, step = settings.params, settings.schema.step_minutes
    learners = list(people) if own else [one for i, one in enumerate(people) if i % CALIBRATE]
    _, learnt = learning.learn(learners, params.regressor, params.baseline, step, params.seed, settings.config.jobs)
    counts = [len(one.grid) for one in people]
    shares = forecasting.draw_shares(
        counts, [any(one is other for other in own) for one in people], windows, params.forecaster.own_share
    )
    parts: dict[bool, list[forecasting.Windows]] = {False: [], True: []}
    for i, (one, share) in enumerate(zip(people, shares, strict=True)):
        held = one.grid.date % CALIBRATE == 0 if i < len(own) else np.full(len(one.grid), not own and not i % CALIBRATE)
        rows = learning.rows_of(one, learnt, params.baseline, step)
        for calibrates in (False, True):
            mine = held if calibrates else ~held
            rng = np.random.default_rng([params.seed, i, calibrates])
            parts[calibrates].append(forecasting.windows_of(one, rows, mine, share, rng, settings))
    seen, probation = (joined(parts[calibrates]) for calibrates in (False, True))
    fitted = forecast.fit(seen.x, seen.person, seen.y, seen.last, params.forecaster, seed=params.seed)
    drawn = forecast_trees.rows_of(seen.x, seen.person, seen.y, seen.last, 0)
    trees = forecast_trees.fit(drawn, params.forecaster, params.seed, settings.config.jobs)
    drawn_lines = forecast_linear.fit(seen.x, seen.person, seen.y, seen.last)
    lstm, blend, widening, _ = forecasting.finished(fitted, drawn_lines, trees, probation, settings)
    assert blend is not None, "real wearers have heart rates enough"
    return Trained(learnt, Model(lstm), widening, blend)


def joined(parts: Sequence[forecasting.Windows]) -> forecasting.Windows:
    return forecasting.Windows(
        *(np.concatenate([getattr(one, name) for one in parts]) for name in ("x", "person", "y", "last"))
    )


def by_day(person: Person, fitted: Trained, others: Sequence[Person], settings: Settings) -> dict[str, Doubles]:
    """Return figure -> sum and rows of each day, (days, 2)."""
    params, schema, grid = settings.params, settings.schema, person.grid
    rows = learning.rows_of(person, fitted.learnt, params.baseline, schema.step_minutes)
    stream = sequences.Stream(fitted.model, fitted.widening, params.forecaster, schema, fitted.blend)
    served = stream.advance(stream.begin(), grid, rows.static, ask=True)[1][:, 0]
    x, last = sequences.windows(grid, np.arange(len(grid)), params.forecaster, schema)
    plain = sequences.forecast(fitted.model, fitted.widening, x, rows.static, last, params.forecaster, schema)[:, 0]
    trees = fitted.blend.trees.run(x=lags.lagged(x, rows.static, last, 0))["value"] + last[:, :1]
    ridge, ridge_newest = (
        lines_ridge(others, schema.step_minutes, how) for how in (lines.design, lines.design_with_newest)
    )
    now, hours = lines.measured(grid, "heart_rate"), lines.hour_table(grid, "heart_rate")
    design, date, found = lines.design(grid, "heart_rate", schema.step_minutes), grid.date, {}
    newest = lines.design_with_newest(grid, "heart_rate", schema.step_minutes)
    for h, horizon in enumerate(HORIZONS):
        true = np.where(np.isfinite(now), lines.target(grid, "heart_rate", horizon), np.nan)
        told = {
            "served": served[:, h, 1],
            "lstm": plain[:, h, 1],
            "trees": trees[:, h],
            "persistence": now,
            "person_hour_mean": lines.hour_mean(grid, "heart_rate", horizon, hours),
            "ridge": design @ ridge[h],
            "last_reading": newest[:, 0],
            "ridge_last_reading": newest @ ridge_newest[h],
        }
        for name, values in told.items():
            found[f"{name} {horizon}"] = summed(np.abs(values - true), date)
        for name, answer in (("inside", served), ("inside_unadapted", plain)):
            inside = np.where(np.isfinite(true), (true >= answer[:, h, 0]) & (true <= answer[:, h, 2]), np.nan)
            found[f"{name} {horizon}"] = summed(inside, date)
        found[f"width {horizon}"] = summed(np.where(np.isfinite(true), served[:, h, 2] - served[:, h, 0], np.nan), date)
    return found | expected(person, rows, now, fitted.learnt)


def expected(person: Person, rows: Rows, now: Floats, learnt: Learnt) -> dict[str, Doubles]:
    """Return squares of the expected heart rate's errors by day: cold, and after the first seven own days."""
    date = person.grid.date
    lift = learning.lift(learnt.expectation, rows.moments, features.person_row(person.profile, learnt.usual_person))
    late = date >= date[0] + WARM_DAYS
    told = {
        "cold": now - lift - learnt.normal.centre[rows.context, 0],
        "warm": np.where(late, now - rows.expected, np.nan),
        "warm_person_mean": np.where(late, now - np.nanmean(now[~late]), np.nan),
    }
    return {name: summed(error.astype(np.float64) ** 2, date) for name, error in told.items()}


def lines_ridge(people: Sequence[Person], step_minutes: int, design: Callable[[Grid, str, int], Doubles]) -> Doubles:
    model: lines.Ridge | None = None
    for one in people:
        x = design(one.grid, "heart_rate", step_minutes)
        model = model or lines.Ridge(x.shape[1], len(HORIZONS))
        model.add(x, [lines.target(one.grid, "heart_rate", horizon) for horizon in HORIZONS])
    assert model is not None, "somebody to learn from"
    return model.coefficients()


def summed(values: NDArray[Any], date: NDArray[np.int64]) -> Doubles:
    """Return sum and count of the finite values of each day, (days, 2)."""
    known = np.isfinite(values)
    day = date[known] - date[0]
    return np.stack((np.bincount(day, values[known]), np.bincount(day)), axis=1)


def figures(people: Sequence[Mapping[str, Doubles]]) -> dict[str, Any]:
    """Return every figure with its interval: mean over people, draws over people and their days."""
    rng = np.random.default_rng(1)
    who = np.stack([np.arange(len(people)), *rng.integers(len(people), size=(DRAWS, len(people)))])
    table: dict[str, Any] = {}
    for name in people[0]:
        root = name.startswith(("cold", "warm"))
        drawn = np.empty(who.shape)
        for i, one in enumerate(people):
            days = one[name]
            drawn[who == i] = ratio(
                rng.multinomial(len(days), np.full(len(days), 1 / len(days)), size=int((who == i).sum())) @ days
            )
        drawn[0] = [ratio(one[name].sum(axis=0)) for one in people]
        mean = (np.sqrt(drawn) if root else drawn).mean(axis=1)
        low, high = np.quantile(mean[1:], (0.025, 0.975))
        figure, *horizon = name.split()
        told: dict[str, Any] = {"value": round(mean[0], 3), "low": round(low, 3), "high": round(high, 3)}
        if figure.startswith("inside"):
            everybody = np.sum([one[name].sum(axis=0) for one in people], axis=0)
            told |= {
                "pooled": round(ratio(everybody), 3),
                "people": [round(drawn[0].min(), 3), round(drawn[0].max(), 3)],
            }
        if horizon:
            table.setdefault(figure, {})[horizon[0]] = told
        else:
            table[f"expected_{figure}"] = told
    return table


def ratio(sums: Doubles) -> Any:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


if __name__ == "__main__":
    main()

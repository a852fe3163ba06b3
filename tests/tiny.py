"""A small but real bundle in seconds: a few synthetic people through the code that trains, a forecaster by chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import attribution, bundle, cleaning, few_sensors, learning, sequences, wearing
from vitalwatch.export import forests_to_onnx
from vitalwatch.models import anomaly, forecast_linear, forecast_trees
from vitalwatch.models.forecast import Fitted
from vitalwatch.monitor import Monitor
from vitalwatch.probing import probe_of
from vitalwatch.residuals import STATIC
from vitalwatch.schema import minutes
from vitalwatch.settings import Settings, load_settings
from vitalwatch.splits import CALIBRATION, TRAIN
from vitalwatch.stages import calibrating, forecasting, train
from vitalwatch.stages.people import Member
from vitalwatch.synthetic import SyntheticPerson, person
from vitalwatch.tables import MINUTE, Profile, Readings

ROOT = Path(__file__).parent.parent
LEARNERS, CALIBRATORS, DAYS, UNITS = 3, 2, 12, 8
SMALLER = (
    "regressor.rounds=8",
    "regressor.leaves=7",
    "regressor.min_rows_a_leaf=50",
    "regressor.max_rows=6000",
    "detector.trees=6",
    "detector.sample=64",
    "detector.budget=3.0",
    "detector.known_most=3.0",
    "supervised.rounds=8",
    "supervised.rounds_few=6",
    "supervised.leaves=4",
    "supervised.min_rows_a_leaf=20",
    "forecaster.max_windows=400",
    "forecaster.tree_rounds=4",
)


@lru_cache(maxsize=4)
def small_settings(step: str = "5min") -> Settings:
    """Return the settings of the checkout with few trees and rounds."""
    return load_settings(ROOT, environment="base", overrides=[*SMALLER, f"schema.step={step}"])


@lru_cache(maxsize=16)
def somebody(index: int, days: int = DAYS, step: str = "5min") -> SyntheticPerson:
    """Return a synthetic person of the small population."""
    settings = small_settings(step)
    return person(index, settings.schema, settings.params.synthetic, settings.params.seed, days=days)


def train_tiny(
    settings: Settings, learners: int = LEARNERS, calibrators: int = CALIBRATORS
) -> tuple[dict[str, bytes], dict[str, object]]:
    """Return files and card of a bundle, trained as the pipeline trains but for the forecaster's weights."""
    step = settings.schema.step
    members = [_member(somebody(i, DAYS, step), settings, i < learners) for i in range(learners + calibrators)]
    learning_from, held_out = members[:learners], members[learners:]
    chosen = settings.params
    everyone = [member.until(TRAIN) for member in learning_from]
    expectation, learnt = learning.learn(
        everyone, chosen.regressor, chosen.baseline, settings.schema.step_minutes, chosen.seed, 1
    )
    kinds = tuple(sorted({event.kind for member in learning_from for event in member.events or ()}))
    seen, windows = train.see(learning_from, TRAIN, learnt, settings, kinds, 1000)
    drawn = forecast_trees.rows_of(windows.x, windows.person, windows.y, windows.last, 0)
    forests = anomaly.forests(seen.x, chosen.detector, chosen.seed)
    forest = forests_to_onnx(forests, seen.x.shape[1])
    heads = train.heads_of(seen, kinds, settings)
    held, probation = train.see(held_out, CALIBRATION, learnt, settings, kinds, 1000)
    calibration = calibrating.calibrate(held, forest, wearing.heads(heads), kinds, settings)
    fitted = random_forecaster(settings)
    lines = forecast_linear.fit(windows.x, windows.person, windows.y, windows.last)
    trees = forecast_trees.fit(drawn, chosen.forecaster, chosen.seed, 1) or b""
    forecast, blend, widening, _ = forecasting.finished(fitted, lines, trees, probation, settings)
    told = {"schema": settings.schema.model_dump(mode="json"), **train._chosen(settings).to_json()}
    files = {
        "heart_rate.onnx": expectation,
        **few_sensors.files_of("forest", forest),
        attribution.FOREST_FILE: anomaly.trees(forests),
        "forecast.onnx": forecast,
        **heads,
        "normal.json": as_json({**learnt.normal.to_json(), "usual_person": learnt.usual_person.tolist()}),
        "calibration.json": as_json(calibration.to_json()),
        "forecast_trees.onnx": trees,
        "forecast.json": as_json(forecasting.forecast_json(np.nan_to_num(widening), blend)),
        "settings.json": as_json(told),
    }
    return files, train._card(members, calibration, held, fitted, settings)


def write_tiny(folder: Path, settings: Settings) -> tuple[Path, Path]:
    """Train and write a signed bundle; return its folder and the trusted public key."""
    files, card = train_tiny(settings)
    probe = {"readings": probe_of(train.probe_day(settings), Profile("probe", age=50.0, sex="female"), 12)}
    probe["answers"] = Monitor(files, card).probe(probe)
    key = bundle.SigningKey.load_or_create(folder / "signing.key")
    bundle.write(folder / "models", files, card, probe, key)
    return folder / "models", folder / "signing.pub"


def resigned(
    source: tuple[Path, Path],
    folder: Path,
    *,
    files: Mapping[str, bytes] | None = None,
    card: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
) -> Path:
    """Write a bundle again, validly signed by the same key, with some of its files, card or probe changed."""
    old = bundle.load(source[0], [source[1]])
    key = bundle.SigningKey.load_or_create(source[1].with_suffix(".key"))
    bundle.write(
        folder, {**old.files, **(files or {})}, {**old.card, **(card or {})}, {**old.probe, **(probe or {})}, key
    )
    return folder


def random_forecaster(settings: Settings, seed: int = 5) -> Fitted:
    """Return a forecaster whose weights are drawn by chance: it answers nonsense, but always the same."""
    chosen, schema = settings.params.forecaster, settings.schema
    vitals, horizons = sequences.vitals(chosen, schema), sequences.horizons(chosen, schema)
    width = len(sequences.channels(chosen, schema))
    static, outputs = len(STATIC) + len(vitals), len(vitals) * len(horizons)
    rng = np.random.default_rng(seed)
    shapes = {
        "kernel": (width, 4 * UNITS),
        "recurrent": (UNITS, 4 * UNITS),
        "bias": (4 * UNITS,),
        "dense_kernel": (UNITS + static, UNITS),
        "dense_bias": (UNITS,),
        "head_kernel": (UNITS, 3 * outputs),
        "head_bias": (3 * outputs,),
    }
    ones = {"x_scale": (width,), "person_scale": (static,), "y_scale": (len(vitals), len(horizons))}
    normal = {name: np.ones(shape, np.float32) for name, shape in ones.items()}
    normal |= {"x_mean": np.zeros(width, np.float32), "person_mean": np.zeros(static, np.float32)}
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    return Fitted(weights, normal, (minutes(chosen.history) // schema.step_minutes, width), (1.0,))


def as_json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def readings(start: int = 0, step_ms: int = 5 * MINUTE, offset: int = 0, **columns: list[float]) -> Readings:
    """Return readings of person `a`, one a step from `start` ms on; columns not named are not measured."""
    n = max(len(column) for column in columns.values())
    values = {name: np.asarray(column, np.float32) for name, column in columns.items()}
    return Readings("a", start + np.arange(n, dtype=np.int64) * step_ms, np.full(n, offset, np.int16), values)


def _member(one: SyntheticPerson, settings: Settings, learner: bool) -> Member:
    grid = cleaning.to_grid(one.readings, settings.schema, settings.params.cleaning)
    part = np.full(len(grid), TRAIN if learner else CALIBRATION, np.int8)
    return Member(grid, one.profile, one.events, part, False)

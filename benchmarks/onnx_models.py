"""What the exported models cost, beside what they were exported from, in one run: `python benchmarks/onnx_models.py`.

Alone is one row a call, a different row each call (asking for the same row again and again flatters trees: every
branch is foreseen). Bulk is 1,024 rows a call. One thread throughout; the original gets one thread too.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", NPROC="1")  # before numpy, LightGBM and XLA look

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from vitalwatch.export import boosted_to_onnx, forests_to_onnx, lstm_to_onnx
from vitalwatch.models import forecast
from vitalwatch.runtime import Model

ROWS, AT_ONCE, REPEATS = 8192, 1024, 3
FEATURES, GROUPS, GROUP = 108, 9, 12
STEPS, CHANNELS, PERSON, VITALS, HORIZONS = 24, 15, 17, 5, 4

Ask = Callable[[slice], Any]


def alone(ask: Ask, calls: int) -> float:
    """Return microseconds a call of one row, the best of a few rounds."""
    best = np.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        for row in range(calls):
            ask(slice(row, row + 1))
        best = min(best, (time.perf_counter() - start) / calls)
    return best * 1e6


def bulk(ask: Ask) -> float:
    """Return rows a second in calls of 1,024 rows, the best of a few rounds."""
    best = np.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        for row in range(0, ROWS, AT_ONCE):
            ask(slice(row, row + AT_ONCE))
        best = min(best, time.perf_counter() - start)
    return ROWS / best


def compare(name: str, made: bytes, ours: Ask, theirs: Ask, parity: float, slow_calls: int) -> None:
    ours(slice(0, AT_ONCE)), theirs(slice(0, AT_ONCE)), theirs(slice(0, 1))  # warm
    mine, other = (alone(ours, 2000), bulk(ours)), (alone(theirs, slow_calls), bulk(theirs))
    print(
        f"{name:34s} {len(made) / 1e3:7.0f} kB  {mine[0]:8.1f} us ({other[0] / mine[0]:7.1f} x faster)"
        f"  {mine[1]:9.0f} rows/s ({mine[1] / other[1]:5.2f} x)  differs by {parity:.1e}",
        flush=True,
    )


def forests(trees: int, x: np.ndarray) -> None:
    from sklearn.ensemble import IsolationForest

    groups = [range(start, start + GROUP) for start in range(0, FEATURES, GROUP)]
    fitted = [
        (IsolationForest(n_estimators=trees, max_samples=512, random_state=i).fit(x[:, list(columns)]), columns)
        for i, columns in enumerate(groups)
    ]
    made = forests_to_onnx(fitted, FEATURES)
    model = Model(made)

    def theirs(rows: slice) -> np.ndarray:
        return np.stack([-forest.score_samples(x[rows][:, list(columns)]) for forest, columns in fitted], axis=1)

    parity = float(np.abs(theirs(slice(0, ROWS)) - model.run(x=x)["score"]).max())
    compare(f"{GROUPS} forests of {trees} trees", made, lambda rows: model.run(x=x[rows]), theirs, parity, 20)


def boosted(name: str, x: np.ndarray, label: np.ndarray, output: str, **chosen: Any) -> None:
    import lightgbm

    chosen = {"num_leaves": 31, "verbose": -1, "num_threads": 1, **chosen}
    booster = lightgbm.train(chosen, lightgbm.Dataset(x, label), num_boost_round=140)
    made = boosted_to_onnx(booster, FEATURES)
    model, wide = Model(made), x.astype(np.float64)
    parity = float(np.abs(booster.predict(wide, num_threads=1) - model.run(x=x)[output]).max())
    compare(
        f"LightGBM {name}, 140 rounds",
        made,
        lambda rows: model.run(x=x[rows]),
        lambda rows: booster.predict(wide[rows], num_threads=1),
        parity,
        200,
    )


def lstm(units: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(ROWS, STEPS, CHANNELS)).astype(np.float32)
    person = rng.normal(size=(ROWS, PERSON)).astype(np.float32)
    network: Any = forecast.network(STEPS, CHANNELS, PERSON, VITALS * HORIZONS, units)
    kernel, recurrent, bias = network.get_layer("lstm").get_weights()
    weights = {"kernel": kernel, "recurrent": recurrent, "bias": bias}
    for layer in ("dense", "head"):
        weights[f"{layer}_kernel"], weights[f"{layer}_bias"] = network.get_layer(layer).get_weights()
    normal = {
        "x_mean": np.zeros(CHANNELS), "x_scale": np.ones(CHANNELS), "person_mean": np.zeros(PERSON),
        "person_scale": np.ones(PERSON), "y_scale": np.ones((VITALS, HORIZONS)),
    }  # fmt: skip
    made = lstm_to_onnx(weights, {name: value.astype(np.float32) for name, value in normal.items()}, (STEPS, CHANNELS))
    model = Model(made)

    def theirs(rows: slice) -> np.ndarray:
        return np.asarray(network.predict_on_batch([x[rows], person[rows]]))

    median = theirs(slice(0, ROWS))[:, : VITALS * HORIZONS].reshape(-1, VITALS, HORIZONS)
    parity = float(np.abs(median - model.run(x=x, person=person)["quantiles"][..., 1]).max())
    compare(
        f"LSTM {STEPS} x {CHANNELS} -> {units} -> {VITALS} x {HORIZONS} x 3",
        made,
        lambda rows: model.run(x=x[rows], person=person[rows]),
        theirs,
        parity,
        200,
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--trees", type=int, nargs="*", default=[50], help="trees a forest")
    asked.add_argument("--units", type=int, nargs="*", default=[32], help="units of the LSTM")
    options = asked.parse_args()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    line = x[:, 0] + x[:, 1] * x[:, 2]
    print(f"{'model':34s} {'size':>10s}  alone (against the original)  bulk, one thread (against the original)")
    for trees in options.trees:
        forests(trees, x)
    boosted("regressor", x, 70 + 10 * line, "value", objective="regression")
    boosted("binary", x, line > 1, "probability", objective="binary", num_leaves=15)
    for units in options.units:
        lstm(units, rng)


if __name__ == "__main__":
    main()

"""What a monitor costs: one new reading, its parts, a day of many people, and the import.

    OMP_NUM_THREADS=1 python benchmarks/monitor.py [--models FOLDER --trusted KEY.pub] [--people 1000]

Processor time of one core, for a synthetic person's readings after ten days of history. Beside it, in the
same run, two yardsticks: 300 additions of 64 numbers in numpy, and scikit-learn's answer for one row from a forest of
50 trees (one of the organ groups that a monitor asks, and no features, alarms or forecast). The models are those of the
production run; where there is none, a small bundle trained here (its trees are fewer and so faster), and it says which.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import Targets
from vitalwatch import synthetic
from vitalwatch.monitor import Monitor, State
from vitalwatch.settings import Settings, load_settings
from vitalwatch.store import Store
from vitalwatch.tables import Readings

ROOT = Path(__file__).parent.parent
HEAVY = ("pandas", "sklearn", "keras", "jax", "lightgbm", "pyarrow", "onnx", "mlflow", "matplotlib", "scipy")
HISTORY = 10 * 288
TARGET_US = 500
BULK = {"rows_per_s": 10_000, "rows_per_s_without_forecast": 20_000}
PASSES = 5  # over the same readings; the quietest is told, as the machine is shared


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--models", type=Path, help="folder of a bundle")
    asked.add_argument("--trusted", type=Path, help="public key that signed it")
    asked.add_argument("--people", type=int, default=100, help="people of the bulk day")
    asked.add_argument("--readings", type=int, default=1000, help="readings told one at a time")
    given = asked.parse_args()
    settings = load_settings(ROOT, environment="base")
    targets, started = Targets(), imported()
    print(json.dumps({"import": started}))
    targets.at_most("import of the monitor, processor", started["cpu_s"], started["target_s"], "s")
    targets.at_most("heavy modules that come along", len(started["heavy_modules"]), 0)
    with tempfile.TemporaryDirectory() as temp:
        name, monitor = opened(given, settings, Path(temp))
        print(json.dumps({"models": name}))
        one = one_reading(monitor, settings, given.readings)
        print(json.dumps({"one_reading": one}))
        targets.at_most("one reading, processor, p50", one["p50_us"], TARGET_US, "us")
        day = bulk(monitor, settings, given.people)
        print(json.dumps({"bulk": day}))
        judge_bulk(targets, day)
    return targets.end()


def judge_bulk(targets: Targets, day: dict[str, Any]) -> None:
    """Note what was asked of a day of many people, with everything and without the forecast."""
    for name, least in BULK.items():
        targets.at_least(f"a day of {day['people']} people, {name}", day[name], least, "rows/s")


def imported() -> dict[str, Any]:
    """Return processor seconds of importing the monitor in a fresh process, and heavy modules that came along."""
    code = (
        "import sys, time; clock = time.process_time(); import vitalwatch.monitor;"
        f"print(time.process_time() - clock, *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    return {"cpu_s": round(min(float(one[0]) for one in told), 3), "target_s": 0.5, "heavy_modules": told[0][1:]}


def opened(given: argparse.Namespace, settings: Settings, temp: Path) -> tuple[str, Monitor]:
    """Return the monitor that is measured, and which it is."""
    if given.models:
        return str(given.models), Monitor.open(given.models, [given.trusted])
    store = Store(settings.artifacts)
    run = store.production() if settings.artifacts.is_dir() else None
    if run is not None:
        trusted = [settings.path(path) for path in settings.config.signing.trusted]
        return f"production run {run}", Monitor.open(
            store.folder(run) / "models", trusted, seal=store.seal(run, "models/manifest.json")
        )
    sys.path.insert(0, str(ROOT / "tests"))
    import tiny

    folder, key = tiny.write_tiny(temp, tiny.small_settings())
    return "a small bundle trained here, as in the tests", Monitor.open(folder, [key])


def one_reading(monitor: Monitor, settings: Settings, n: int) -> dict[str, Any]:
    """Return microseconds of a reading told alone, and of its parts."""
    days = (HISTORY + n) // 200 + 2
    made = synthetic.person(3, settings.schema, settings.params.synthetic, 1, days=days)
    start, _ = monitor.advance(monitor.begin("a", made.profile), made.readings.rows(slice(0, HISTORY)), forecast=False)
    new = [made.readings.rows(slice(i, i + 1)) for i in range(HISTORY, HISTORY + n)]
    whole = min((stream(monitor, start, new, True) for _ in range(PASSES)), key=np.median)
    without = min((stream(monitor, start, new, False) for _ in range(PASSES)), key=np.median)
    parts = parts_of(monitor, start, new)
    yard, forest = yardstick(), one_forest()
    p50 = float(np.percentile(whole, 50))
    return {
        "p50_us": round(p50),
        "p95_us": round(float(np.percentile(whole, 95))),
        "mean_cpu_us": round(cpu(lambda: stream(monitor, start, new, True)) / n),
        "p50_without_forecast_us": round(float(np.percentile(without, 50))),
        "target_p50_us": TARGET_US,
        "parts_cpu_us": parts,
        "yardstick_300_additions_us": round(yard),
        "times_yardstick": round(p50 / yard, 2),
        "sklearn_one_forest_one_row_us": round(forest),
        "of_sklearn_one_forest": round(p50 / forest, 3),
    }


def stream(monitor: Monitor, state: Any, new: Sequence[Readings], forecast: bool) -> list[float]:
    """Return the processor microseconds of each reading told after the other."""
    spent = []
    for reading in new:
        clock = time.process_time()
        state, _ = monitor.advance(state, reading, forecast=forecast)
        spent.append((time.process_time() - clock) * 1e6)
    return spent


def parts_of(monitor: Monitor, start: Any, new: Sequence[Readings]) -> dict[str, float]:
    """Return microseconds of each part, told alone again and again (so with warm caches)."""
    from vitalwatch import cleaning

    _, grid = cleaning.advance(start.cleaning, new[0], monitor._cleaning)
    grid = monitor.advance(start, new[0])[1].grid
    _, rows = monitor._residuals(start.body, start.person, grid)
    kept = start.body.scored
    _, scores = monitor.detector.advance(kept, rows.features, rows.assessable)
    about = np.zeros((1, 29), np.float32)
    parts: dict[str, Callable[[], object]] = {
        "cleaning": lambda: cleaning.advance(start.cleaning, new[0], monitor._cleaning),
        "features": lambda: monitor._residuals(start.body, start.person, grid),
        "of which expectation": lambda: monitor._learnt.expectation.run(x=about),
        "scores": lambda: monitor.detector.advance(kept, rows.features, rows.assessable),
        "of which forests": lambda: monitor.detector._forest.run(x=rows.features),
        "forecast": lambda: monitor._stream.advance(start.body.recent, grid, rows.static, ask=True),
        "alarms": lambda: monitor._channels.advance(start.body.channels, grid, rows, scores),
    }
    return {name: round(alone(ask), 1) for name, ask in parts.items()}


def alone(ask: Callable[[], object], calls: int = 500) -> float:
    """Return processor microseconds a call, the best of five rounds."""
    return min(cpu(lambda: [ask() for _ in range(calls)]) for _ in range(5)) / calls


def cpu(ask: Callable[[], object]) -> float:
    clock = time.process_time()
    ask()
    return (time.process_time() - clock) * 1e6


def yardstick() -> float:
    """Return microseconds of 300 additions of 64 numbers: what this machine does in numpy."""
    a, b = np.ones(64), np.ones(64)
    return alone(lambda: [np.add(a, b) for _ in range(300)], 30)


def one_forest() -> float:
    """Return microseconds of scikit-learn's score of one row by one forest of 50 trees."""
    from sklearn.ensemble import IsolationForest

    x = np.random.default_rng(0).normal(size=(2000, 12)).astype(np.float32)
    forest = IsolationForest(n_estimators=50, max_samples=512, random_state=0).fit(x)
    return alone(lambda: forest.score_samples(x[:1]), 20)


def bulk(monitor: Monitor, settings: Settings, people: int) -> dict[str, Any]:
    """Return rows a second of a day of many people, each told at once after some history."""
    made = [synthetic.person(i, settings.schema, settings.params.synthetic, 1, days=3) for i in range(people)]
    states, days = [], []
    for one in made:
        cut = int(np.searchsorted(one.readings.time, one.readings.time[-1] - 86_400_000))
        states.append(
            monitor.advance(monitor.begin("a", one.profile), one.readings.rows(slice(0, cut)), forecast=False)[0]
        )
        days.append(one.readings.rows(slice(cut, None)))
    rows = sum(len(day) for day in days)
    told: dict[str, Any] = {"people": people, "rows": rows}
    for name, forecast in (("rows_per_s", True), ("rows_per_s_without_forecast", False)):
        told[name] = round(rows / cpu(partial(advance_all, monitor, states, days, forecast)) * 1e6)
    return told


def advance_all(monitor: Monitor, states: Sequence[State], days: Sequence[Readings], forecast: bool) -> None:
    for state, day in zip(states, days, strict=True):
        monitor.advance(state, day, forecast=forecast)


if __name__ == "__main__":
    raise SystemExit(main())

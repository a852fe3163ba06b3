"""What training the regressor and the forests costs on as many rows as the peer project has: 50 people x 21 days.

    python benchmarks/training.py

Prints processor seconds of fitting (expectation and forests, with and without the features they read), and the ratio
to the peer's choices on the same rows in the same run: a random forest of 500 trees of depth 15 and an Isolation Forest
of 200 trees over 120,000 rows each with `contamination` (which scores every row in `fit`). Those are run with a few
trees and scaled up, which is linear in trees.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from bench import Targets
from vitalwatch import cleaning, features, learning, synthetic
from vitalwatch.learning import Person
from vitalwatch.models import anomaly
from vitalwatch.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
PEOPLE, DAYS = 50, 21  # 302,400 grid rows
TARGET_CPU_S = 22.0
FEW_TREES = 4


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    settings = load_settings(ROOT, environment="base")
    people = [person(index, settings) for index in range(PEOPLE)]
    rows = sum(len(one.grid) for one in people)
    clock = time.process_time()
    _, learnt = learning.learn(
        people, settings.params.regressor, settings.params.baseline, settings.schema.step_minutes, 1, 2
    )
    regressor = time.process_time() - clock
    clock = time.process_time()
    found = [learning.rows_of(one, learnt, settings.params.baseline, settings.schema.step_minutes) for one in people]
    x = np.concatenate([one.features[one.assessable] for one in found])
    made = time.process_time() - clock
    clock = time.process_time()
    anomaly.fit(x, settings.params.detector, 1)
    forests = time.process_time() - clock
    peer = reference(people)
    print(
        json.dumps(
            {
                "rows": rows,
                "regressor_cpu_s": round(regressor, 2),
                "forests_cpu_s": round(forests, 2),
                "features_cpu_s": round(made, 2),
                "regressor_and_forests_cpu_s": round(regressor + forests, 2),
                "of_target": round((regressor + forests) / TARGET_CPU_S, 3),
                "peer_cpu_s_extrapolated": round(peer, 1),
                "times_faster_than_peer": round(peer / (regressor + forests), 1),
            }
        )
    )
    targets = Targets()
    targets.at_most("regressor and forests on 302,400 rows, processor", regressor + forests, TARGET_CPU_S, "s")
    return targets.end()


def person(index: int, settings: Settings) -> Person:
    made = synthetic.person(index, settings.schema, settings.params.synthetic, 1, days=DAYS)
    return Person(cleaning.to_grid(made.readings, settings.schema, settings.params.cleaning), made.profile, made.events)


def reference(people: list[Person]) -> float:
    """Return processor seconds of the peer's two models on the same rows, from few trees."""
    from sklearn.ensemble import IsolationForest, RandomForestRegressor

    x, y = [], []
    for one in people:
        moments, _ = learning.moments_of(one.grid, 5)
        rate = features.signals(one.grid)[:, 0]
        known = np.isfinite(rate)
        x.append(moments[known])
        y.append(rate[known])
    inputs, target = np.concatenate(x), np.concatenate(y)
    clock = time.process_time()
    RandomForestRegressor(n_estimators=FEW_TREES, max_depth=15, random_state=0).fit(inputs, target)
    forest = (time.process_time() - clock) * 500 / FEW_TREES
    clock = time.process_time()
    IsolationForest(
        n_estimators=FEW_TREES, max_samples=min(120_000, len(inputs)), contamination=0.035, random_state=0
    ).fit(inputs)
    return forest + (time.process_time() - clock) * 200 / FEW_TREES


if __name__ == "__main__":
    raise SystemExit(main())

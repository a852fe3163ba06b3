"""How far a promise of false alarms holds depends on which people it was chosen on: many divisions of the same people.

    OMP_NUM_THREADS=1 python benchmarks/promise.py [--learn 112] [--calibrate 60] [--judge 100] [--divisions 10]

Prints JSON lines. People are made in memory under another seed (the run's + 8). Models learn once; then those who are
left are divided anew again and again into people who set scales and thresholds, by the pipeline's own code, and people
who are judged. `met_promised` is the rate met over that promised: its mean over divisions, their standard deviation,
the least and the greatest. A single study, or a run's own evaluation, is one such division.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality import show
from vitalwatch import own_level, wearing
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import Rule
from vitalwatch.models import anomaly
from vitalwatch.own_level import Plan, Usual
from vitalwatch.promises import promised
from vitalwatch.runtime import Model
from vitalwatch.scoring import Detector
from vitalwatch.settings import Settings, load_settings
from vitalwatch.splits import TRAIN
from vitalwatch.stages import calibrating, train
from vitalwatch.stages.calibrating import Seen
from vitalwatch.studies.people import Roles, Size, members, with_params
from vitalwatch.tables import Bools, Doubles
from vitalwatch.wearing import Heads

SEED = 8  # added to the run's
BUDGETS = (0.1, 0.2)  # false alarms a worn person-day, both channels together
COLUMNS = ("x", "time", "episode", "kind", "far", "sure", "person", "told")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--learn", type=int, default=112, help="people who models learn from")
    asked.add_argument("--calibrate", type=int, default=60, help="people of a division who set thresholds")
    asked.add_argument("--judge", type=int, default=100, help="people of a division who are judged")
    asked.add_argument("--divisions", type=int, default=10)
    given = asked.parse_args()
    settings = load_settings(Path(__file__).resolve().parent.parent)
    began, seed = time.process_time(), settings.params.seed + SEED
    roles = Roles.made(Size(given.learn, given.calibrate, given.judge), settings, seed)
    forest, heads = models(roles)
    everybody = joined(roles.seen("calibrate"), roles.seen("judge"))
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(everybody.tracks)) for _ in range(given.divisions)]
    for budget in BUDGETS:
        chosen = with_params(settings, "detector", {"budget": budget})
        found = []
        for order in orders:
            held, judged = (of(everybody, np.sort(who)) for who in np.split(order, [given.calibrate]))
            found.append(division(held, judged, forest, heads, roles.kinds, chosen))
        for channel in found[0]:
            told = np.asarray([one[channel] for one in found])
            show(
                {
                    "channel": channel,
                    "promised": round(promised(chosen.params.detector, known=True)[channel], 3),
                    **summary(told),
                }
            )
    show({"cpu_s": round(time.process_time() - began, 1)})


def models(roles: Roles) -> tuple[bytes, Heads]:
    """Return the forests, and heads by what is worn, that the pipeline would train on the learners."""
    seen, settings = roles.seen("learn"), roles.settings
    params, stride = settings.params, train.stride_of(members(roles.people["learn"], TRAIN), settings)
    forest = anomaly.fit(seen.x[train.even_rows(seen.time, stride, settings)], params.detector, params.seed)
    heads = wearing.heads(train._heads(seen, roles.kinds, settings))
    if heads is None:
        raise SystemExit("Too few labelled episodes among so few people: give --learn more.")
    return forest, heads


def joined(a: Seen, b: Seen) -> Seen:
    """Return people of two parts as one, numbered from 0."""
    columns = {name: np.concatenate((getattr(a, name), getattr(b, name))) for name in COLUMNS}
    tracks = (*a.tracks, *b.tracks)
    columns["person"] = np.arange(len(tracks)).repeat([len(track.time) for track in tracks])
    return Seen(**columns, tracks=tracks)


def of(everybody: Seen, who: NDArray[np.intp]) -> Seen:
    """Return some of the people."""
    rows = np.isin(everybody.person, who)
    columns = {name: getattr(everybody, name)[rows] for name in COLUMNS}
    return Seen(**columns, tracks=tuple(everybody.tracks[i] for i in who))


def division(
    held: Seen, judged: Seen, forest: bytes, heads: Heads, kinds: tuple[str, ...], settings: Settings
) -> dict[str, tuple[float, float]]:
    """Return rate met over that promised, and event F1, of each channel."""
    limits = calibrating.calibrate(held, forest, heads, kinds, settings)
    detector, scores = Detector(Model(forest), heads, limits), []
    stops = np.cumsum([len(track.time) for track in judged.tracks])[:-1]
    for x, sure in zip(np.split(judged.x, stops), np.split(judged.sure, stops), strict=True):
        scores.append(detector.advance(detector.begin(), x, sure)[1])
    unusual, known = (np.concatenate([getattr(one, name) for one in scores]) for name in ("unusual", "known"))
    cohort = Cohort(judged.tracks, Rule.of_params(settings.params.alarms, settings.schema.step_ms))
    over_a = over(cohort, unusual, limits.unusual_blocks, limits.unusual_threshold, settings)
    over_b = over(cohort, known, limits.known_blocks, limits.known_threshold, settings)
    told = {"unusual": over_a, "known": over_b, "both": over_a | over_b}
    found = {}
    promises = promised(settings.params.detector, known=True)
    for channel, rows in told.items():
        score = cohort.score(rows)
        found[channel] = (score.false_alarms_per_day / promises[channel], score.f1)
    return found


def over(cohort: Cohort, score: NDArray[np.floating], blocks: Usual, threshold: float, settings: Settings) -> Bools:
    """Return rows that alarm, on each person's own level."""
    params, times = settings.params, [track.time for track in cohort.tracks]
    plan = Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)
    on_own = score / own_level.factors_of(score.astype(np.float64), times, blocks, plan)
    found: Bools = cohort.levels(np.split(on_own, np.cumsum([len(one) for one in times])[:-1])) > threshold
    return found


def summary(told: Doubles) -> dict[str, Any]:
    met, f1 = told.T
    return {
        "divisions": len(told),
        "met_promised": {"mean": round(met.mean(), 2), "sd": round(met.std(), 2), "least": round(met.min(), 2)}
        | {"greatest": round(met.max(), 2)},
        "event_f1": {"mean": round(f1.mean(), 3), "sd": round(f1.std(), 3)},
    }


if __name__ == "__main__":
    main()

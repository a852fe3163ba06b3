"""Whoever wears fewer sensors than the people learnt from: what the run in production finds, and the promise it keeps.

    OMP_NUM_THREADS=1 python benchmarks/wearing.py [--people 40] [--only NAME ...] [--artifacts FOLDER] [--trusted KEY]

Prints a JSON line for each of WORN: the same fresh simulated people (the run's seed + 5) of whom no other columns are
kept, with event F1 and false alarms a worn person-day of each channel as served beside those promised, and recall and
false alarms by kind of channel B. Episodes of kinds that these sensors cannot show count as missed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from quality import CHANNELS, Table, beside, cohort, in_production, rounded, row, show
from vitalwatch.stages import detection_tables
from vitalwatch.stages.assess import thresholds_of
from vitalwatch.stages.judging import Case, World, world_of
from vitalwatch.tables import MINUTE

FRESH = 5  # added to the run's seed
GRACE = 30 * MINUTE  # as in params.yaml: an alarm this close to an episode counts as its own
LEAST = ("heart_rate", "steps", "intensity")
RING = (*LEAST, "sleep", "heart_rate_spread", "heart_rate_variability_rmssd", "body_temperature")
WORN: Mapping[str, tuple[str, ...] | None] = {
    "everything": None,
    "no breathing, no cuff": (*RING, "oxygen_saturation", "oxygen_saturation_min"),
    "a ring: no breathing, cuff, oxygen": RING,
    "a watch: heart rate, oxygen, sleep, steps": (
        *LEAST,
        *("sleep", "heart_rate_spread", "oxygen_saturation", "oxygen_saturation_min"),
    ),
    "heart rate by the second, steps": (*LEAST, "heart_rate_spread"),
    "heart rate and steps": LEAST,
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--people", type=int, default=40)
    asked.add_argument("--only", nargs="+", choices=tuple(WORN), default=tuple(WORN))
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    given = asked.parse_args()
    run, _, monitor, settings = in_production(asked, given)
    show({"run": run, "people": given.people, "promised": monitor.card["promised_false_alarms"]})
    for name in given.only:
        cases = cohort(monitor, settings, given.people, FRESH, worn=WORN[name])
        world = world_of(cases, settings, np.random.default_rng(settings.params.seed))
        found = detection_tables.channels(world, thresholds_of(monitor))
        scores = {channel: world.cohort.score(found[channel].over) for channel in CHANNELS if channel in found}
        recall = detection_tables.by_kind(scores["known"], world)
        show(
            {
                name: {
                    **{channel: beside(channel, row(score, world)) for channel, score in scores.items()},
                    "recall_by_kind": {kind: rounded(one["recall"]) for kind, one in recall.items()},
                    "false_alarms_a_day_by_kind": by_kind(cases, world),
                }
            }
        )


def by_kind(cases: list[Case], world: World) -> Table:
    """Return how many alarms of channel B a worn day, of each kind, touch no episode."""
    days, found = float(world.cohort.person_days.sum()), Counter[str]()
    for case in cases:
        spans = np.concatenate((case.track.episodes, case.track.excused))
        for alarm in case.result.answers.alarms:
            near = (alarm.start < spans[:, 1] + GRACE) & (alarm.end > spans[:, 0] - GRACE)
            if alarm.channel == "known" and alarm.start >= case.result.enrolled_until and not near.any():
                found[alarm.kind] += 1
    return {kind: round(count / days, 3) for kind, count in found.most_common()}


if __name__ == "__main__":
    main()

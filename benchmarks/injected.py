"""Episodes put into the heart rate of real wearers: what the run in production finds of them.

    OMP_NUM_THREADS=1 python benchmarks/injected.py [--source FOLDER] [--rounds 5] [--artifacts FOLDER] [--trusted KEY]

The Fitabase wearers (VITALWATCH_REAL_DATA) with resting tachycardia, bradycardia, irregular rhythm, a fever's heart
rate and chronotropic incompetence from an injector that shares no code with the simulator (`synthetic.injection`), in
as many rounds as asked, each with other places and sizes. Only heart rate and steps are measured there.

Prints JSON lines: event F1 and false alarms a worn person-day as served and by channel, and recall by kind, beside the
same figures of the untouched recordings' alarms (`untouched`: every alarm there is false, as far as anybody knows).
`unusual_at_budget_of_wearers` is channel A with a threshold that spends its share of the budget on the untouched
recordings of the other wearers, never on the one judged: the bundle's is for people with every sensor.
Intervals are over wearers and rounds; the wearers are few, so they are too narrow for people in general.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quality import CHANNELS, Table, beside, in_production, rounded, row, show
from vitalwatch.metrics.budget import threshold_for_budget
from vitalwatch.metrics.events import EventScore, Rule
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.stages import detection_tables
from vitalwatch.stages.judging import Case, PersonResult, Thresholds, World, case_of, world_of
from vitalwatch.stages.people import enrolled_until
from vitalwatch.stages.realism import wearers
from vitalwatch.synthetic.injection import injected
from vitalwatch.tables import Bools, Event, Profile, Readings

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("VITALWATCH_REAL_DATA", ROOT.parent / "shared" / "data")) / "fitabase"
NOW = 1_790_000_000_000  # UTC ms, later than any of them


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--source", type=Path, default=DATA)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    given = asked.parse_args()
    if not given.source.is_dir():
        show({"skipped": f"there is no {given.source.name}; name the folder of recordings with VITALWATCH_REAL_DATA"})
        return
    run, _, monitor, of_run = in_production(asked, given)
    people = wearers(given.source, of_run, NOW)
    show({"run": run, "wearers": len(people), "rounds": given.rounds})
    untouched = [case(one, (), monitor, of_run) for one in people]
    judged("untouched", untouched, untouched, monitor, of_run)
    found = [
        case(*injected(one, np.random.default_rng([of_run.params.seed, number, k]), each=2), monitor, of_run)
        for number in range(given.rounds)
        for k, one in enumerate(people)
    ]
    judged("injected", found, untouched, monitor, of_run)


def case(one: Readings, events: Sequence[Event], monitor: Monitor, settings: Settings) -> Case:
    answers = monitor.answer(one, Profile(one.person), forecast=False)
    told = PersonResult(
        person=one.person,
        profile=Profile(one.person),
        events=tuple(events),
        bookkeeping=(),
        split="test",
        answers=answers,
        enrolled_until=enrolled_until(answers.grid, settings.params.baseline.enrolment_days),
    )
    return case_of(told, settings.schema.step_ms)


def judged(name: str, cases: Sequence[Case], untouched: Sequence[Case], monitor: Monitor, settings: Settings) -> None:
    world = world_of(cases, settings, np.random.default_rng(settings.params.seed))
    told = monitor.detector.calibration
    known = told.known_threshold if np.isfinite(told.known_threshold) else None
    found = detection_tables.channels(world, Thresholds(told.unusual_threshold, known))
    tables = {channel: found[channel] for channel in CHANNELS if channel in found}
    scores = {channel: world.cohort.score(one.over) for channel, one in tables.items()}
    scores["unusual_at_budget_of_wearers"] = world.cohort.score(at_budget_of_others(cases, untouched, settings))
    show(
        {
            name: {
                "person_days": round(float(world.cohort.person_days.sum()), 1),
                "episodes": len(world.cohort.episodes),
                "served": beside("served", detection_tables.served(world)),
                **{channel: beside(channel, row(score, world)) for channel, score in scores.items()},
                "recall_by_kind": {channel: recall_by_kind(score, world) for channel, score in scores.items()},
            }
        }
    )


def at_budget_of_others(cases: Sequence[Case], untouched: Sequence[Case], settings: Settings) -> Bools:
    """Return the rows over a threshold of channel A that spends its budget on the other wearers' untouched days."""
    chosen, rule = settings.params.detector, Rule.of_params(settings.params.alarms, settings.schema.step_ms)
    over = []
    for one in cases:
        others = [other for other in untouched if other.result.person != one.result.person]
        scores = [other.result.answers.unusual[other.judged] for other in others]
        budget = chosen.budget * chosen.share_unusual
        limit = threshold_for_budget([other.track for other in others], scores, budget, rule)
        over.append(one.result.answers.unusual[one.judged] > limit)
    return np.concatenate(over)


def recall_by_kind(score: EventScore, world: World) -> Table:
    return {
        kind: {"episodes": found["episodes"], **rounded(found["recall"])}
        for kind, found in detection_tables.by_kind(score, world).items()
    }


if __name__ == "__main__":
    main()

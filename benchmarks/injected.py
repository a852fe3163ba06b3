"""Episodes put into the heart rate of real wearers: what the run in production finds of them.

    OMP_NUM_THREADS=1 python benchmarks/injected.py [--source FOLDER] [--rounds 5] [--artifacts FOLDER] [--trusted KEY]

The Fitabase wearers (VITALWATCH_REAL_DATA) with resting tachycardia, bradycardia, irregular rhythm, a fever's heart
rate and chronotropic incompetence from an injector that shares no code with the simulator (`synthetic.injection`), in
as many rounds as asked, each with other places and sizes. Only heart rate and steps are measured there.

Prints JSON lines: event F1 and false alarms a worn person-day as served and by channel, and recall by kind, beside the
same figures of the untouched recordings' alarms (`untouched`: every alarm there is false, as far as anybody knows).
`unusual_at_budget_of_wearers` is channel A with a threshold that spends its share of the budget on the untouched
recordings of the other wearers, never on the one judged: the bundle's is for people with every sensor. `lines` are
chance, an alarm that is always on, and max |z| of the residuals, averaged, with thresholds for A's share of the budget
and for all of it from the same other wearers; `unusual_minus_this` is paired.
Intervals are over wearers and rounds; the wearers are few, so they are too narrow for people in general.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from quality import CHANNELS, Table, beside, in_production, rounded, row, show
from vitalwatch import features
from vitalwatch.alarms import persisted
from vitalwatch.lines.detection import Watched, detection_lines
from vitalwatch.metrics.budget import threshold_for_budget
from vitalwatch.metrics.events import EventScore, Rule, f1_difference
from vitalwatch.monitor import Monitor
from vitalwatch.promises import promised
from vitalwatch.schema import minutes
from vitalwatch.settings import Settings
from vitalwatch.stages import detection_tables
from vitalwatch.stages.judging import Case, PersonResult, Thresholds, World, case_of, world_of
from vitalwatch.stages.people import enrolled_until
from vitalwatch.stages.realism import wearers
from vitalwatch.synthetic.injection import injected
from vitalwatch.tables import Bools, Event, Floats, Profile, Readings

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
    ours = scores["unusual_at_budget_of_wearers"]
    show(
        {
            name: {
                "person_days": round(float(world.cohort.person_days.sum()), 1),
                "episodes": len(world.cohort.episodes),
                "served": beside("served", detection_tables.served(world)),
                **{channel: beside(channel, row(score, world)) for channel, score in scores.items()},
                "lines": {line: told_of(score, ours, world) for line, score in lines(cases, untouched, world).items()},
                "recall_by_kind": {channel: recall_by_kind(score, world) for channel, score in scores.items()},
            }
        }
    )


def at_budget_of_others(cases: Sequence[Case], untouched: Sequence[Case], settings: Settings) -> Bools:
    """Return the rows over a threshold of channel A that spends its budget on the other wearers' untouched days."""
    budget = promised(settings.params.detector, known=True)["unusual"]
    return over_others(lambda case: case.result.answers.unusual[case.judged], cases, untouched, budget, settings)


def over_others(
    score: Callable[[Case], Floats], cases: Sequence[Case], untouched: Sequence[Case], budget: float, settings: Settings
) -> Bools:
    """Return the rows whose persisted score is over a threshold that spends a budget on the other wearers."""
    rule, over = Rule.of_params(settings.params.alarms, settings.schema.step_ms), []
    for one in cases:
        others = [other for other in untouched if other.result.person != one.result.person]
        limit = threshold_for_budget(
            [other.track for other in others], [score(other) for other in others], budget, rule
        )
        over.append(persisted(score(one), rule.need, rule.of) > limit)
    return np.concatenate(over)


def lines(cases: Sequence[Case], untouched: Sequence[Case], world: World) -> dict[str, EventScore]:
    """Return what simple rules find, at thresholds from the other wearers where they have none of their own."""
    settings, chosen = world.settings, world.settings.params.detector
    rows = features.rows_of(minutes(chosen.average), settings.schema.step_minutes)
    of = {line.name: line for line in detection_lines((), np.random.default_rng(settings.params.seed), rows)}

    def score(name: str) -> Callable[[Case], Floats]:
        def told(case: Case) -> Floats:
            answers = case.result.answers
            found = of[name].score(Watched(answers.grid, answers.residual, settings.schema))
            return np.where(answers.assessable, found, np.nan).astype(np.float32)[case.judged]

        return told

    always = np.concatenate([score("always_on")(case) > 0 for case in cases])
    found = {"always_on": world.cohort.score(always)}
    for name in ("chance", "max_abs_z"):
        for budget in (promised(chosen, known=True)["unusual"], chosen.budget):
            over = over_others(score(name), cases, untouched, budget, settings)
            found[f"{name}_at_{budget:.3f}"] = world.cohort.score(over)
    return found


def told_of(score: EventScore, ours: EventScore, world: World) -> Table:
    """Return figures of a line, and what channel A with a threshold from the same people has more."""
    gain = f1_difference(ours, score, world.draws, world.confidence)
    return {name: rounded(one) for name, one in row(score, world).items()} | {
        "unusual_minus_this": rounded(gain.table()),
        "recall_by_kind": recall_by_kind(score, world),
    }


def recall_by_kind(score: EventScore, world: World) -> Table:
    return {
        kind: {"episodes": found["episodes"], **rounded(found["recall"])}
        for kind, found in detection_tables.by_kind(score, world).items()
    }


if __name__ == "__main__":
    main()

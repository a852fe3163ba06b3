"""What an illness does to a person's own normal, with the guards against it and without.

    OMP_NUM_THREADS=1 python benchmarks/contamination.py [--people 40] [--artifacts FOLDER] [--trusted KEY.pub]

Prints JSON lines. The models are those of the production run; people are made in memory under another seed (the run's
+ 6), 42 days each, and only those who have a long illness (fever, mild infection) are kept. They are answered twice:

- `ill_after_enrolment`: from their first reading on, as the simulator has it, which makes nobody ill in the first week.
- `ill_in_enrolment`: from two days before that illness on, as if the device had come then: the week that own normal
  begins with holds it. What is judged begins a week later for both, so that they are the same days and episodes.

`guards` are those of params.yaml: days that look like an infection do not count (`suspect_z`), unless `frozen_days` in
a row do, and the last days are left out (`days_skip`). Each is switched off when serving, models and thresholds stay.
False alarms a worn person-day and recall with 95 % intervals over people; `more` is paired against all guards.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from medication import figures
from quality import in_production, show
from vitalwatch import synthetic
from vitalwatch.metrics import bootstrap
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.stages.detection_tables import raised
from vitalwatch.stages.judging import PersonResult, case_of, world_of
from vitalwatch.synthetic import SyntheticPerson
from vitalwatch.tables import DAY, Doubles, Event, Readings

SEED = 6  # added to the run's
DAYS = 42
LONG = ("fever", "mild_infection")
BEFORE = 2 * DAY  # from the device's coming to the illness
LEFT = 14 * DAY  # at least, after the week that is not judged
NEVER = 1e6  # own spreads, and days: no day is suspected, none is ever frozen
OFF: dict[str, dict[str, float]] = {
    "all": {},
    "without suspect_z": {"suspect_z": NEVER},
    "without days_skip": {"days_skip": 0},
    "without frozen_days": {"frozen_days": int(NEVER)},
    "none": {"suspect_z": NEVER, "days_skip": 0},
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    asked.add_argument("--people", type=int, default=40, help="people who are judged")
    given = asked.parse_args()
    run, _, monitor, settings = in_production(asked, given)
    began = time.process_time()
    people = list(islice(ill(settings), given.people))
    show({"run": run, "people": len(people), "days": DAYS})
    for line in lines(people, monitor, settings):
        show(line)
    show({"cpu_s": round(time.process_time() - began, 1)})


def ill(settings: Settings) -> Iterator[tuple[int, int]]:
    """Yield numbers of people with a long illness that leaves enough days to judge, and when it begins, UTC ms."""
    for index in count():
        made = someone(index, settings)
        first = next((event for event in made.events if event.kind in LONG), None)
        if first is not None and first.start - BEFORE + week(settings) + LEFT <= made.readings.time[-1]:
            yield index, first.start


def someone(index: int, settings: Settings) -> SyntheticPerson:
    params = settings.params
    return synthetic.person(index, settings.schema, params.synthetic, params.seed + SEED, days=DAYS)


def week(settings: Settings) -> int:
    return settings.params.baseline.enrolment_days * DAY


def lines(people: list[tuple[int, int]], monitor: Monitor, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield what each guard is worth, for people ill after and in enrolment, paired with all guards."""
    draws = bootstrap.weights(
        len(people), settings.params.evaluation.draws, np.random.default_rng(settings.params.seed)
    )
    for early in (False, True):
        guarded: Doubles | None = None
        for name, changes in OFF.items():
            counts = judged(people, guarded_by(monitor, changes), settings, early=early)
            guarded = counts if guarded is None else guarded
            when = "ill_in_enrolment" if early else "ill_after_enrolment"
            yield {"people": when, "guards": name, **figures(counts, guarded, draws)}


def guarded_by(monitor: Monitor, changes: dict[str, float]) -> Monitor:
    """Return a monitor of the same models with some guards of the baseline switched off."""
    other = Monitor.__new__(Monitor)
    other.__dict__ |= monitor.__dict__
    baseline = monitor.chosen.baseline.model_copy(update=changes)
    other.chosen = replace(monitor.chosen, baseline=baseline)
    return other


def judged(people: list[tuple[int, int]], monitor: Monitor, settings: Settings, *, early: bool) -> Doubles:
    """Return episodes, detected, false alarms and days of each person from a week after the illness on, (p, 4)."""
    jobs = Parallel(n_jobs=settings.config.jobs, prefer="threads")
    found = jobs(delayed(answered)(index, start, monitor, settings, early=early) for index, start in people)
    cases = [case_of(result, settings.schema.step_ms) for result in found]
    return raised(world_of(cases, settings, np.random.default_rng(settings.params.seed))).counts


def answered(index: int, start: int, monitor: Monitor, settings: Settings, *, early: bool) -> PersonResult:
    """Return one person's answers from a week after the device came, or would have come."""
    made = someone(index, settings)
    came = start - BEFORE
    readings = since(made.readings, came) if early else made.readings
    answers = monitor.answer(readings, made.profile, forecast=False)
    events: tuple[Event, ...] = made.events
    until = came + week(settings)
    return PersonResult(made.profile.person, made.profile, events, made.bookkeeping, "test", answers, until)


def since(readings: Readings, moment: int) -> Readings:
    return readings.rows(readings.time >= moment)


if __name__ == "__main__":
    main()

"""What a change of medication or device costs in false alarms, told to the monitor or not.

    OMP_NUM_THREADS=1 python benchmarks/medication.py [--people 40] [--artifacts FOLDER] [--trusted KEY.pub]

Prints JSON lines. The models are those of the production run; people are made in memory under another seed (the run's
+ 5), so nobody was learnt from, and those who take a beta-blocker anyway are left out. On day 21 of 35 something
changes, and the fortnight after it is judged: false alarms a worn person-day of both channels (0.10 promised) and
recall of the episodes in it, each with its 95 % interval over people; `more` is paired, against the same people without
a change.

- `beta_blocker`: heart rate 7 bpm lower, pressure 6/4 mmHg lower, as the simulator has it.
- `device`: another wearable, which reads saturation 1.5 % lower, temperature .25 Cel and pressure 8/5 mmHg higher.
- `untold`: nobody tells the monitor. `told`: `Monitor.changed` is called, with the profile that holds from then on.
- `no_change`: the same people without a change; `told` there is a call of `changed` for nothing.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from quality import in_production, rounded, show
from vitalwatch import synthetic
from vitalwatch.metrics import bootstrap, events
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.stages.detection_tables import raised
from vitalwatch.stages.judging import PersonResult, case_of, world_of
from vitalwatch.synthetic import SyntheticPerson
from vitalwatch.tables import DAY, Doubles, Profile, Readings

SEED = 5  # added to the run's
DAYS, CHANGE = 35, 21
BETA = "beta_blocker"
DEVICE = {  # another device's bias, in the units of the columns
    "oxygen_saturation": -1.5,
    "oxygen_saturation_min": -1.5,
    "body_temperature": 0.25,
    "blood_pressure_systolic": 8.0,
    "blood_pressure_diastolic": 5.0,
}
WHAT = ("no_change", "beta_blocker", "device")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    asked.add_argument("--people", type=int, default=40, help="people who are judged")
    given = asked.parse_args()
    run, _, monitor, settings = in_production(asked, given)
    began = time.process_time()
    people = list(islice(untreated(settings), given.people))
    show({"run": run, "people": len(people), "change_on_day": CHANGE, "days": DAYS})
    for line in lines(people, monitor, settings):
        show(line)
    show({"cpu_s": round(time.process_time() - began, 1)})


def untreated(settings: Settings) -> Iterator[int]:
    """Yield numbers of people who neither take a beta-blocker nor start one by chance."""
    for index in count():
        made = someone(index, settings)
        if BETA not in made.profile.medication and not any("medication_start" in e.kind for e in made.bookkeeping):
            yield index


def someone(index: int, settings: Settings, *, medicated: bool = False) -> SyntheticPerson:
    params = settings.params
    since = CHANGE if medicated else None
    return synthetic.person(
        index, settings.schema, params.synthetic, params.seed + SEED, days=DAYS, medicated_from=since
    )


def lines(people: list[int], monitor: Monitor, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield what each change does, told and untold, beside the same people without a change."""
    draws = bootstrap.weights(
        len(people), settings.params.evaluation.draws, np.random.default_rng(settings.params.seed)
    )
    alone: Doubles | None = None
    for what in WHAT:
        for told in (False, True):
            counts = judged(people, what, monitor, settings, told=told)
            alone = counts if alone is None else alone
            yield {"change": what, "monitor": "told" if told else "untold", **figures(counts, alone, draws)}


def judged(people: list[int], what: str, monitor: Monitor, settings: Settings, *, told: bool) -> Doubles:
    """Return episodes, detected, false alarms and days of each person in the fortnight after the change, (p, 4)."""
    jobs = Parallel(n_jobs=settings.config.jobs, prefer="threads")
    found = jobs(delayed(answered)(index, what, monitor, settings, told=told) for index in people)
    cases = [case_of(result, settings.schema.step_ms) for result in found]
    return raised(world_of(cases, settings, np.random.default_rng(settings.params.seed))).counts


def answered(index: int, what: str, monitor: Monitor, settings: Settings, *, told: bool) -> PersonResult:
    """Return one person's answers after the change, which the monitor is told of or not."""
    made = someone(index, settings, medicated=what == "beta_blocker")
    readings = other_device(made.readings) if what == "device" else made.readings
    moment = changed_at(readings)
    state, _ = monitor.advance(
        monitor.begin(readings.person, made.profile), readings.rows(readings.time < moment), forecast=False
    )
    if told:
        state = monitor.changed(state, profile_after(made.profile, what))
    _, answers = monitor.advance(state, readings.rows(readings.time >= moment), forecast=False)
    return PersonResult(made.profile.person, made.profile, made.events, made.bookkeeping, "test", answers, moment)


def changed_at(readings: Readings) -> int:
    """Return the local midnight that begins the day of the change, UTC ms."""
    local = readings.time + readings.offset.astype(np.int64) * 60_000
    return int(readings.time[np.searchsorted(local, (local[0] // DAY + CHANGE) * DAY)])


def other_device(readings: Readings) -> Readings:
    """Return the readings as another device tells them from the change on."""
    after = readings.time >= changed_at(readings)
    moved = {
        name: (column + np.float32(DEVICE.get(name, 0.0)) * after).astype(np.float32)
        for name, column in readings.values.items()
    }
    capped = {name: np.minimum(moved[name], 100) for name in moved if name.startswith("oxygen_saturation")}
    return replace(readings, values={**moved, **capped})


def profile_after(profile: Profile, what: str) -> Profile:
    taken = tuple(name for name in profile.medication if name != "none")
    return replace(profile, medication=(*taken, BETA)) if what == "beta_blocker" else profile


def figures(counts: Doubles, alone: Doubles, draws: Doubles) -> Mapping[str, Any]:
    rate, found = events.false_alarm_rate, events.recall
    return {
        "episodes": int(counts[:, events.EPISODES].sum()),
        "false_alarms_per_day": rounded(bootstrap.estimate(rate, counts, draws, 0.95).table()),
        "more": rounded(bootstrap.difference(rate, counts, alone, draws, 0.95).table()),
        "recall": rounded(bootstrap.estimate(found, counts, draws, 0.95).table()),
        "recall_more": rounded(bootstrap.difference(found, counts, alone, draws, 0.95).table()),
    }


if __name__ == "__main__":
    main()

"""How well episodes are found: by the run in production where it was judged, and on people that nobody ever used.

    OMP_NUM_THREADS=1 python benchmarks/quality.py [--people 40] [--artifacts FOLDER] [--trusted KEY.pub]

Prints JSON lines: figures with their interval over people, beside what is asked of them, which is an event F1 of at
least 0.50 (channel unusual) and 0.65 (channel known) at no more than 0.12 false alarms per worn person-day.

- `held_out`: from the run's own evaluation.json.
- `fresh`: people of the same simulator under another seed (the run's + 1). `served` is what the monitor itself
  raised; unusual, known and both are its channels at the thresholds of the bundle.
- `shifted`: people of that seed in another world, with 1.5 times the sensor noise, time constants of the heart rate
  1.3 times as long, twice the sensor faults and a reading every two minutes; models, thresholds and their grid stay.

- `natural`: as many people with the natural share of episodes: how often channel B's probability, which is told for
  such people, comes true, beside the plain rate.

`alone_at_whole_budget` tells what a channel does by itself: its threshold spends the whole budget of params.yaml on
further people (the run's seed + 2, the simulator unchanged), never on those judged. Those thresholds are their own
estimate from a few people, so the false alarms met with them are printed beside the F1.

The models, and the schema and params that people are made and judged with, are those of the production run. People are
made in memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from joblib import Parallel, delayed

from bench import Targets
from vitalwatch import synthetic
from vitalwatch.metrics.budget import threshold_for_budget
from vitalwatch.metrics.events import EventScore, Rule
from vitalwatch.monitor import Monitor
from vitalwatch.params import Params
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings, load_settings
from vitalwatch.stages import detection_tables, probabilities
from vitalwatch.stages.assess import thresholds_of
from vitalwatch.stages.judging import Case, PersonResult, Thresholds, World, case_of, world_of
from vitalwatch.stages.people import enrolled_until
from vitalwatch.store import Store

ROOT = Path(__file__).parent.parent
CHANNELS = ("unusual", "known", "both")
ASKED = {"unusual": 0.50, "known": 0.65}  # event F1
MOST_FALSE_ALARMS = 0.12  # per worn person-day
FRESH, CALIBRATION = 1, 2  # added to the run's seed
SHIFTED = {"noise": 1.5, "time_constants": 1.3, "faults": 2.0}
OTHER_RATE = "2min"  # between readings of the shifted world; the monitor keeps its grid
NATURAL = {"prevalence": "natural"}
FIGURES = ("event_f1", "false_alarms_per_day")

Table = dict[str, Any]


def in_production(asked: argparse.ArgumentParser, given: argparse.Namespace) -> tuple[str, Path, Monitor, Settings]:
    """Return the run in production, its folder, its monitor and the settings that it was made with."""
    settings = load_settings(ROOT, environment="base")
    artifacts = given.artifacts or settings.artifacts
    store = Store(artifacts) if artifacts.is_dir() else None
    run = store.production() if store else None
    if store is None or run is None:
        asked.error(f"no run is in production in {artifacts}; `python main.py` makes one, or name a store: --artifacts")
    folder = store.folder(run)
    keys = [given.trusted] if given.trusted else [settings.path(path) for path in settings.config.signing.trusted]
    monitor = Monitor.open(folder / "models", keys, seal=store.seal(run, "models/manifest.json"))
    of_run = settings_of(folder, settings)
    return run, folder, monitor, of_run


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    asked.add_argument("--people", type=int, default=40, help="people who are judged")
    asked.add_argument("--calibration", type=int, default=30, help="people who set the threshold of a channel alone")
    given = asked.parse_args()
    run, folder, monitor, of_run = in_production(asked, given)
    show({"run": run, "people_trained_on": len(monitor.card["trained_on"]), "seed": of_run.params.seed})
    held, targets = held_out(folder), Targets()
    show({"held_out": held})
    asked_of(targets, "held-out", held)
    clock = time.perf_counter()
    limits = whole_budget(cohort(monitor, of_run, given.calibration, CALIBRATION), of_run)
    for name, moved, every in (("fresh", {}, None), ("shifted", SHIFTED, OTHER_RATE)):
        found = judged(cohort(monitor, of_run, given.people, FRESH, moved, every), monitor, of_run, limits)
        show({name: found})
        if not moved:  # of another world nothing is asked
            asked_of(targets, name, found["alone_at_whole_budget"] | {"served": found["served"]})
    show({"natural": believed(cohort(monitor, of_run, given.people, FRESH, NATURAL, every=None), monitor, of_run)})
    show({"seconds": round(time.perf_counter() - clock, 1)})
    return targets.end()


def asked_of(targets: Targets, people: str, found: Table) -> None:
    """Note what is asked of people's figures: event F1 of channels, false alarms of what is served."""
    for name in ASKED:
        if "event_f1" in found.get(name, {}):
            targets.at_least(f"{people} people, {name}, event F1", _value(found[name], "event_f1"), ASKED[name])
    if "false_alarms_per_day" in found.get("served", {}):
        alarms = _value(found["served"], "false_alarms_per_day")
        targets.at_most(f"{people} people, false alarms a person-day", alarms, MOST_FALSE_ALARMS)


def _value(row: Table, name: str) -> float:
    value = row[name]["value"]
    return float("nan") if value is None else float(value)


def show(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def settings_of(run: Path, here: Settings) -> Settings:
    """Return the settings that the run was made with; only config is of this place."""
    told = {name: yaml.safe_load((run / f"{name}.yaml").read_text(encoding="utf-8")) for name in ("schema", "params")}
    return replace(here, schema=Schema.model_validate(told["schema"]), params=Params.model_validate(told["params"]))


def held_out(run: Path) -> Table:
    """Return what the run's evaluation says of its own test people."""
    detection = json.loads((run / "reports" / "evaluation.json").read_text(encoding="utf-8"))["detection"]
    if "channels" not in detection:
        return dict(detection)
    told = {name: beside(name, detection["channels"][name]) for name in CHANNELS if name in detection["channels"]}
    return {
        **{name: detection[name] for name in ("people", "person_days", "episodes")},
        "served": beside("served", detection["served"]),
        **told,
    }


def beside(channel: str, row: Mapping[str, Any]) -> Table:
    """Return a row's figures beside what is asked of them; a channel that does not exist says why."""
    if "event_f1" not in row:
        return dict(row)
    table: Table = {name: rounded(row[name]) for name in FIGURES}
    table["event_f1"] |= {"asked": ASKED[channel]} if channel in ASKED else {}
    table["false_alarms_per_day"] |= {"asked_at_most": MOST_FALSE_ALARMS}
    return table


def rounded(figure: Mapping[str, float | None]) -> Table:
    return {name: None if value is None else round(value, 3) for name, value in figure.items()}


def cohort(
    monitor: Monitor,
    settings: Settings,
    people: int,
    seed: int,
    moved: Mapping[str, float | str] | None = None,
    every: str | None = None,
    worn: Collection[str] | None = None,
) -> list[Case]:
    """Return people made anew and answered, ready to be judged.

    Args:
        monitor: The model.
        settings: Of the run.
        people: How many.
        seed: Added to the run's.
        moved: Settings of the simulator that differ.
        every: Time between readings, where it is not the grid's.
        worn: Columns that they measure, all of them by default.
    """
    world = settings.params.synthetic.model_copy(update=dict(moved or {}))
    step = {"step": every} if every else {}
    sensors = Schema.model_validate(settings.schema.model_dump() | step)

    def one(index: int) -> Case:
        made = synthetic.person(index, sensors, world, settings.params.seed + seed)
        readings = made.readings
        if worn is not None:
            readings = replace(readings, values={name: readings.values[name] for name in worn})
        answers = monitor.answer(readings, made.profile, forecast=False)
        until = enrolled_until(answers.grid, settings.params.baseline.enrolment_days)
        told = PersonResult(
            person=made.profile.person,
            profile=made.profile,
            events=made.events,
            bookkeeping=made.bookkeeping,
            split="test",
            answers=answers,
            enrolled_until=until,
        )
        return case_of(told, settings.schema.step_ms)

    jobs = Parallel(n_jobs=settings.config.jobs, prefer="threads")
    found: list[Case] = jobs(delayed(one)(index) for index in range(people))
    return found


def whole_budget(cases: Sequence[Case], settings: Settings) -> dict[str, float]:
    """Return, for each channel there is, the threshold that spends the whole budget on these people."""
    rule = Rule.of_params(settings.params.alarms, settings.schema.step_ms)
    found = {}
    for name in ASKED:
        scores = [np.asarray(getattr(case.result.answers, name)[case.judged]) for case in cases]
        if any(np.isfinite(score).any() for score in scores):
            tracks = [case.track for case in cases]
            found[name] = threshold_for_budget(tracks, scores, settings.params.detector.budget, rule)
    return found


def judged(cases: Sequence[Case], monitor: Monitor, settings: Settings, limits: Mapping[str, float]) -> Table:
    """Return figures of a cohort: as served, by channel as served, and of each channel alone."""
    world = world_of(cases, settings, np.random.default_rng(settings.params.seed))
    at_bundle = detection_tables.channels(world, thresholds_of(monitor))
    alone = detection_tables.channels(world, Thresholds(limits.get("unusual"), limits.get("known")))
    return {
        "people": len(cases),
        "person_days": round(float(world.cohort.person_days.sum()), 1),
        "episodes": len(world.cohort.episodes),
        "served": beside("served", detection_tables.served(world)),
        **{name: beside(name, row(world.cohort.score(found.over), world)) for name, found in at_bundle.items()},
        "budget": settings.params.detector.budget,
        "alone_at_whole_budget": {
            name: beside(name, row(world.cohort.score(alone[name].over), world)) for name in ASKED if name in alone
        },
    }


def believed(cases: Sequence[Case], monitor: Monitor, settings: Settings) -> Table:
    """Return how often channel B's probability comes true among people who are ill as often as people are."""
    chosen = settings.params.model_copy(
        update={"synthetic": settings.params.synthetic.model_copy(update={"prevalence": "natural"})}
    )
    world = world_of(cases, replace(settings, params=chosen), np.random.default_rng(settings.params.seed))
    told = probabilities.probability(world, thresholds_of(monitor).odds)
    return {"people": len(cases), "episodes": len(world.cohort.episodes), "probability": told}


def row(score: EventScore, world: World) -> Table:
    return {name: found.table() for name, found in score.estimates(world.draws, world.confidence).items()}


if __name__ == "__main__":
    raise SystemExit(main())

"""How often an explanation names the channel that was moved, and how often what it says would clear an alarm does.

    OMP_NUM_THREADS=1 python benchmarks/explanations.py [--people 24] [--sizes 1 0.5 0.25] [--artifacts FOLDER]

Prints JSON lines, shares with their 95 % interval over people. The models are those of the production run; people are
made in memory under another seed (the run's + 3), so nobody was learnt from.

- `injected`: one channel of a quiet person (no episodes, no sensor faults) is moved for some hours, the others are left
  alone. `contribution`: it ranks first among the contributions of the last moved row. `would_name`: an alarm of the
  most surprising organ group in that row would name it first, whether or not one comes. `raised`: the forests or the
  supervised heads raise an alarm. `alarm`: that alarm names it first (asked: 0.90). Beside them what naming by chance
  reaches, and what naming the vital furthest from usual does. Sizes are those of clear illness or a plainly broken
  sensor, and shares of them: at a small one fewer alarms come, and their explanation is harder.
- `clearing`: alarms of people as the default run makes them, every one of the forests and heads, every eighth of the
  rules. What is said to clear an alarm is applied to the readings and they are scored again: `cleared` are those that
  are gone, of all; `answered` those for which something was found.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import synthetic
from vitalwatch.explaining import SENSORS, first_named
from vitalwatch.metrics.bootstrap import estimate, plain, ratio, weights
from vitalwatch.monitor import Monitor
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings, load_settings
from vitalwatch.store import Store
from vitalwatch.synthetic.single_channel import INJECTIONS, Injection, inject
from vitalwatch.tables import DAY, MINUTE, Alarm, Answers, Profile, Readings

ROOT = Path(__file__).parent.parent
SEED = 3  # added to the run's seed
LEARNT = ("unusual", "known")
DAYS, FROM_DAY = 14, 9  # of the quiet people; enrolment is over and a baseline there
DRAWS, CONFIDENCE = 1000, 0.95

Cells = dict[str, dict[int, list[bool]]]  # name -> person -> right or not


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--people", type=int, default=24)
    asked.add_argument("--sizes", type=float, nargs="+", default=[1.0, 0.5, 0.25], help="shares of the full injections")
    asked.add_argument("--artifacts", type=Path, help="folder of runs, by default that of the settings")
    asked.add_argument("--trusted", type=Path, help="public key that signed the models")
    given = asked.parse_args()
    settings = load_settings(ROOT, environment="base")
    store = Store(given.artifacts or settings.artifacts)
    run = store.production()
    trusted = [given.trusted] if given.trusted else [settings.path(p) for p in settings.config.signing.trusted]
    if run is None:
        raise SystemExit("No run is in production: `python main.py` makes one.")
    monitor = Monitor.open(store.folder(run) / "models", trusted, seal=store.seal(run, "models/manifest.json"))
    print(json.dumps({"models": f"production run {run}", "people": given.people}))
    began = time.process_time()
    for size in given.sizes:
        for name, told in injected(monitor, settings, given.people, size).items():
            print(json.dumps({"injected": name, "size": size, **told}))
    for name, told in clearing(monitor, settings, given.people).items():
        print(json.dumps({"clearing": name, **told}))
    print(json.dumps({"cpu_s": round(time.process_time() - began, 1)}))


def injected(monitor: Monitor, settings: Settings, people: int, size: float) -> dict[str, Any]:
    """Return shares by channel, and over all, with injections at a share of their size."""
    quiet = settings.params.synthetic.model_copy(update={"prevalence": "natural", "natural_share": 0.0, "faults": 0.0})
    cells: Cells = defaultdict(lambda: defaultdict(list))
    for index in range(people):
        one = synthetic.person(index, settings.schema, quiet, settings.params.seed + SEED, days=DAYS)
        rng = np.random.default_rng([settings.params.seed, index])
        before = monitor.answer(one.readings, one.profile, forecast=False)
        for what in (whole.of_size(size) for whole in INJECTIONS):
            start = _worn_start(one.readings, what, rng)
            moved = inject(one.readings, what, start, settings.schema, rng)
            after = monitor.answer(moved, one.profile, forecast=False)
            would = first_of(monitor, after, start, what, one.profile)
            for name, right in {"would_name": would, **judged(what, start, before, after, settings.schema)}.items():
                cells[f"{what.channel}.{name}"][index].append(right)
                cells[f"all.{name}"][index].append(right)
    told: dict[str, Any] = defaultdict(dict)
    for name, found in sorted(cells.items()):
        channel, figure = name.split(".")
        told[channel][figure] = _share(found, people)
    told["all"]["by_chance"] = round(1 / len(SENSORS), 2)
    return dict(told)


def first_of(monitor: Monitor, after: Answers, start: int, what: Injection, profile: Profile) -> bool:
    """Return whether the score of the most surprising group in the last moved row rests on the channel first."""
    row = int(np.searchsorted(after.time, start + what.hours * 60 * MINUTE)) - 1
    return monitor.reasons(after, row, profile).group_by_sensor[0][0] in what.columns


def judged(what: Injection, start: int, before: Answers, after: Answers, schema: Schema) -> dict[str, bool]:
    """Return whether the channel is named first, by contribution and by the first alarm that the injection raised."""
    end = start + what.hours * 60 * MINUTE
    row = int(np.searchsorted(after.time, end)) - 1
    told = {}
    if what.channel in after.vitals:
        told["contribution"] = after.vitals[int(np.abs(after.contribution[row]).argmax())] == what.channel
    if _first(before, start, end) is not None:  # an alarm that would have come anyway explains something else
        return told
    alarm = _first(after, start, end)
    told["raised"] = alarm is not None
    if alarm is not None:
        told["alarm"] = first_named(alarm.explanation, schema) in what.columns
        row = int(np.searchsorted(after.time, alarm.start))
        furthest = after.vitals[int(np.abs(after.contribution[row]).argmax())]
        told["furthest_from_usual"] = furthest == what.channel
    return told


def _first(answers: Answers, start: int, end: int) -> Alarm | None:
    found = (a for a in answers.alarms if a.channel in LEARNT and a.start < end and start < a.end)
    return next(found, None)


def _worn_start(readings: Readings, what: Injection, rng: np.random.Generator) -> int:
    """Return a moment from which the channel is measured in nine of ten steps, by chance."""
    known = np.isfinite(readings.column("heart_rate"))
    while True:
        start = int(readings.time[0]) + FROM_DAY * DAY + int(rng.integers(0, (DAYS - FROM_DAY - 1) * 288)) * 5 * MINUTE
        inside = (readings.time >= start) & (readings.time < start + what.hours * 60 * MINUTE)
        if (inside & known).sum() >= 0.9 * what.hours * 12:
            return start


def clearing(monitor: Monitor, settings: Settings, people: int) -> dict[str, Any]:
    """Return, by channel of alarms, the share that is gone once what is said to clear it is applied to the readings."""
    cells: Cells = defaultdict(lambda: defaultdict(list))
    answered: Cells = defaultdict(lambda: defaultdict(list))
    columns: dict[str, list[int]] = defaultdict(list)
    spent = [0.0, 0.0]
    for index in range(people):
        one = synthetic.person(index, settings.schema, settings.params.synthetic, settings.params.seed + SEED)
        clock = time.process_time()
        answers = monitor.answer(one.readings, one.profile)
        spent[0] += time.process_time() - clock
        clock = time.process_time()
        found = monitor.clearing(answers, one.profile)
        spent[1] += time.process_time() - clock
        of = {name: [c for c in found if c.alarm.channel == name] for name in (*LEARNT, "rule")}
        for name, some in of.items():
            for what in some[:: 1 if name in LEARNT else 8]:  # rules are many, and all alike
                again = monitor.answer(what.applied(one.readings, settings.schema.step_ms), one.profile, forecast=False)
                left = any(
                    a.channel == name and a.start < what.alarm.end and what.alarm.start < a.end for a in again.alarms
                )
                cells[name][index].append(bool(what.changes) and not left)
                answered[name][index].append(bool(what.changes))
                columns[name].append(len(what.changes))
    told = {
        name: {
            "cleared": _share(found, people),
            "answered": _share(answered[name], people),
            "columns_changed": round(float(np.mean(columns[name])), 2),
        }
        for name, found in cells.items()
    }
    return {**told, "cost": {"answer_cpu_s_a_person": round(spent[0] / people, 3),
                             "clearing_cpu_s_a_person": round(spent[1] / people, 3)}}  # fmt: skip


def _share(found: dict[int, list[bool]], people: int) -> dict[str, Any]:
    sums = np.array([(sum(found.get(i, ())), len(found.get(i, ()))) for i in range(people)], np.float64)
    draws = weights(people, DRAWS, np.random.default_rng(0))
    told = estimate(lambda total: ratio(total[..., 0], total[..., 1]), sums, draws, CONFIDENCE).table()
    return {name: plain(value, 3) for name, value in told.items()} | {"of": int(sums[:, 1].sum())}


if __name__ == "__main__":
    main()

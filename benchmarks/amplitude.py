"""Is a kind found because it is strong, or because the simulation marks it? Recall by size, and without its sensor.

    OMP_NUM_THREADS=1 python benchmarks/amplitude.py [--people 70] [--artifacts FOLDER] [--trusted KEY]

Fresh people (the run's seed + 1) with fever, mild infection, night hypoxia or irregular rhythm are answered by the run
in production as they were worn, without a thermometer, with one that is read every four hours, without the lowest
oxygen saturation of each step, without the heart rate's spread within it, and without that and the variability
between beats. Prints a JSON line each: recall of channel B as served, of all and by thirds of the size that
episodes are drawn with, and the median delay in minutes; 95 % intervals over people. A mark would be found whatever
the size, and without the sensor that the kind is about.

`rests_on` tells of every detection, as worn, what the head of the kind rests on where it was surest: the log-odds that
each feature adds (TreeSHAP) as shares of all that speaks for the kind, mean over detections, by feature and by signal.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from quality import FRESH, Table, in_production, rounded, show
from vitalwatch import features, synthetic
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.stages import detection_tables
from vitalwatch.stages.judging import Case, PersonResult, Thresholds, case_of, world_of
from vitalwatch.stages.people import enrolled_until
from vitalwatch.synthetic import SyntheticPerson
from vitalwatch.tables import Event, Readings

ROOT = Path(__file__).parent.parent
KINDS = ("fever", "mild_infection", "night_hypoxia", "irregular_rhythm")
ROWS = 48  # of five minutes between two readings of a thermometer that is not worn
# name: columns, and every how many rows they are kept (0: never)
WORN = {
    "as_worn": ((), 1),
    "no_thermometer": (("body_temperature",), 0),
    "temperature_every_4_hours": (("body_temperature",), ROWS),
    "no_lowest_oxygen": (("oxygen_saturation_min",), 0),
    "no_spread": (("heart_rate_spread",), 0),
    "no_spread_and_variability": (("heart_rate_spread", "heart_rate_variability_rmssd"), 0),
}
NAMED = 8
THIRDS = ("smallest third", "middle third", "largest third")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--people", type=int, default=70)
    asked.add_argument("--artifacts", type=Path, help="folder of the store, by default the configured one")
    asked.add_argument("--trusted", type=Path, help="public key that signed the bundle")
    asked.add_argument("--explained", type=int, default=1000, help="detections of a kind that are explained, at most")
    given = asked.parse_args()
    run, _, monitor, of_run = in_production(asked, given)
    seed = of_run.params.seed + FRESH
    made = [synthetic.person(i, of_run.schema, of_run.params.synthetic, seed) for i in range(given.people)]
    ill = [one for one in made if any(event.kind in KINDS for event in one.events)]
    show({"run": run, "people": len(ill)})
    for name, (columns, every) in WORN.items():
        cases = [answered(one, kept(one.readings, columns, every), monitor, of_run) for one in ill]
        thirds = [relabelled(case, of_run) for case in cases]
        show({name: {**recall(cases, monitor, of_run), **recall(thirds, monitor, of_run)}})
        if name == "as_worn":
            show({"rests_on": {kind: rests_on(kind, cases, monitor, given.explained) for kind in KINDS}})


def kept(readings: Readings, columns: Sequence[str], every: int) -> Readings:
    """Return readings with one in so many values of some columns."""
    rows = np.arange(len(readings)) % every == 0 if every else np.zeros(len(readings), np.bool_)
    some = {name: np.where(rows, readings.column(name), np.nan).astype(np.float32) for name in columns}
    return replace(readings, values={**readings.values, **some})


def answered(one: SyntheticPerson, readings: Readings, monitor: Monitor, settings: Settings) -> Case:
    answers = monitor.answer(readings, one.profile, forecast=False)
    told = PersonResult(
        person=one.profile.person,
        profile=one.profile,
        events=one.events,
        bookkeeping=(),
        split="test",
        answers=answers,
        enrolled_until=enrolled_until(answers.grid, settings.params.baseline.enrolment_days),
    )
    return case_of(told, settings.schema.step_ms)


def relabelled(case: Case, settings: Settings) -> Case:
    """Return a case whose kinds name the third of sizes that an episode is from."""
    events = tuple(by_third(case.result.events or ()))
    return case_of(replace(case.result, events=events), settings.schema.step_ms)


def by_third(events: Iterable[Event]) -> Iterable[Event]:
    for event in events:
        yield replace(event, kind=f"{event.kind}, {THIRDS[min(int(3 * event.magnitude), 2)]}")


def rests_on(kind: str, cases: Sequence[Case], monitor: Monitor, most: int) -> Table:
    """Return what the head of a kind rests on over its detections: shares of what speaks for it, largest first."""
    found: list[dict[str, float]] = []
    for case in cases:
        for start, end in detections(kind, case):
            if len(found) < most:
                rows = slice(*np.searchsorted(case.result.answers.time, (start, end)))
                row = rows.start + int(np.nan_to_num(case.result.answers.known[rows], nan=-np.inf).argmax())
                told = monitor.reasons(case.result.answers, row, case.result.profile).kind_by_feature
                total = sum(max(adds, 0.0) for _, adds in told)
                found.append({name: max(adds, 0.0) / total for name, adds in told})
    mean = {name: float(np.mean([one[name] for one in found])) for name in (found[0] if found else {})}
    signals: dict[str, float] = {}
    for feature in features.FEATURES:
        signals[feature.track] = signals.get(feature.track, 0.0) + mean.get(feature.name, 0.0)
    return {"detections": len(found), "by_signal": largest(signals), "by_feature": largest(mean)}


def detections(kind: str, case: Case) -> Iterable[tuple[int, int]]:
    """Yield where alarms of channel B that name a kind lie within episodes of it."""
    for event in case.result.events or ():
        alarms = [a for a in case.result.answers.alarms if (a.channel, a.kind) == ("known", kind)]
        met = [a for a in alarms if a.start < event.end and event.start < a.end]
        if event.kind == kind and met:
            yield max(met[0].start, event.start), min(met[-1].end, event.end)


def largest(shares: Table) -> Table:
    return {name: round(share, 3) for name, share in sorted(shares.items(), key=lambda one: -one[1])[:NAMED]}


def recall(cases: Sequence[Case], monitor: Monitor, settings: Settings) -> Table:
    """Return episodes, recall and delay by kind."""
    world = world_of(cases, settings, np.random.default_rng(settings.params.seed))
    told = monitor.detector.calibration
    over = detection_tables.channels(world, Thresholds(told.unusual_threshold, told.known_threshold))["known"].over
    return {
        kind: {"episodes": row["episodes"], **rounded(row["recall"]), "delay_median_min": row["delay_median_min"]}
        for kind, row in detection_tables.by_kind(world.cohort.score(over), world).items()
        if kind.startswith(KINDS)
    }


if __name__ == "__main__":
    main()

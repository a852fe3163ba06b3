"""Early warning in training: stays whose outcome is known -> models, calibrated on patients held out of fitting."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.care import CareFile, read_outcomes
from vitalwatch.early_warning import FILE, QUESTIONS, VARIANTS, care_names, columns_of, features, stays
from vitalwatch.models import deterioration
from vitalwatch.pipeline import Work
from vitalwatch.platt import Platt
from vitalwatch.recordings import iter_people, read_events, read_profiles
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings
from vitalwatch.tables import Bools, Event, Floats, Profile, Times

HOURLY = ("sepsis",)  # labelled hour by hour, by episodes of that kind
APART = "{} is learnt and judged by the early warning alone: its hours are no episodes of the detector."
LEAST_PATIENTS = 20  # with the outcome, to learn from
LEAST_HELD = 5  # with and without it, to calibrate on and to judge on
RECORDS = tuple(f"{name}.parquet" for name in ("readings", "care", "profiles", "events", "outcomes"))


@dataclass(frozen=True)
class Course:
    """All hours of one patient.

    Attributes:
        person: Pseudonym.
        time: Start of each hour, UTC ms (n,).
        x: Columns of `early_warning.features` (n, f).
        lasted: How many hours the stay had lasted when each was over (n,).
        happens: Question -> whether it does, of each hour (n,); only questions whose answer is known.
        profile: Age, sex and the like, where told.
    """

    person: str
    time: Times
    x: Floats
    lasted: NDArray[np.int64]
    happens: Mapping[str, Bools]
    profile: Profile


@dataclass(frozen=True)
class Records:
    """Where the tables of a run lie."""

    readings: Path
    care: Path
    profiles: Path
    events: Path
    outcomes: Path

    @staticmethod
    def of(folder: Path) -> Records:
        """Return the tables of an ingested folder."""
        return Records(*(folder / name for name in RECORDS))

    @staticmethod
    def of_work(work: Work) -> Records:
        """Return the tables that a stage declared to read."""
        return Records(*(work.path(name) for name in RECORDS))


def people_of(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return who is in which part; people divided by time are in none: their outcome is no matter of days."""
    names = ("train", "calibration", "test")
    return {part: {person for person, entry in splits.items() if entry["part"] == part} for part in names}


def courses(records: Records, settings: Settings, only: Collection[str] | None = None) -> Iterator[Course]:
    """Yield patients of whom an outcome is known, one after another, in bounded memory."""
    known = read_outcomes(records.outcomes)
    asked = {person for question in QUESTIONS for person in known.get(question, {})}
    asked = asked if only is None else asked & set(only)
    if not asked:
        return
    schema, profiles, events = settings.schema, read_profiles(records.profiles), read_events(records.events)
    names = care_names(tuple(schema.care))
    with CareFile(records.care, tuple(schema.care)) as beside:
        for readings in iter_people(records.readings, schema, only=asked):
            person = readings.person
            profile = profiles.get(person, Profile(person))
            found = stays(readings, beside.of(person), profile, names)
            time = np.concatenate([stay.time for stay in found])
            told = {question: known[question][person] for question in QUESTIONS if person in known.get(question, {})}
            happens = {
                question: _inside(time, events.get(person, ()), question) if question in HOURLY else
                np.full(len(time), value)
                for question, value in told.items()
            }  # fmt: skip
            x, lasted = (np.concatenate(some) for some in zip(*((features(s), s.lasted) for s in found), strict=True))
            yield Course(person, time, x, lasted, happens, profile)


def _inside(time: Times, events: Sequence[Event], kind: str) -> Bools:
    found = np.zeros(len(time), np.bool_)
    for event in events:
        if event.kind == kind:
            found |= (time >= event.start) & (time < event.end)
    return found


@dataclass
class _Hours:
    """Hours of many patients for one question."""

    x: list[Floats]
    happens: list[Bools]

    def joined(self) -> tuple[Floats, Bools]:
        return np.concatenate(self.x), np.concatenate(self.happens)


def learn(
    records: Records, settings: Settings, people: Mapping[str, Collection[str]]
) -> tuple[dict[str, bytes], dict[str, Any], list[str]]:
    """Return files of the bundle, what its card says, and notes; all empty where no outcome is known.

    Args:
        records: Tables.
        settings: Schema, params.
        people: `train` and `calibration`.
    """
    hours = _hours(records, settings, people["train"])
    if not hours:
        return {}, {}, []
    files, told, notes = dict[str, bytes](), dict[str, Any](), list[str]()
    names = care_names(tuple(settings.schema.care))
    columns, groups = columns_of(names)
    held = _Held(people["calibration"])
    for question, (some, patients) in hours.items():
        if patients < LEAST_PATIENTS:
            notes.append(f"No early warning of {QUESTIONS[question]}: {patients} patients with it, "
                         f"{LEAST_PATIENTS} are needed to learn from.")  # fmt: skip
            continue
        x, happens = some.joined()
        for variant, seen in VARIANTS.items():
            name = f"{question}-{variant}.onnx".replace("_", "-")
            files[name] = _fit(x, happens, np.isin(groups, seen), settings)
            held.add(question, variant, Model(files[name]), np.flatnonzero(np.isin(groups, seen)))
    platts, unheld = held.calibrated(records, settings)
    for question in unheld:
        notes.append(f"No early warning of {QUESTIONS[question]}: too few calibration patients with or without it.")
    for (question, variant), platt in platts.items():
        head = {"file": f"{question}-{variant}.onnx".replace("_", "-"), "groups": VARIANTS[variant]}
        told.setdefault(question, {})[variant] = {**head, "calibration": asdict(platt)}
    files = {head["file"]: files[head["file"]] for heads in told.values() for head in heads.values()}
    if not files:
        return {}, {}, notes
    notes += [APART.format(question.capitalize()) for question in told if question in HOURLY]
    files[FILE] = json.dumps({"care": names, "columns": columns, "questions": told}, allow_nan=False).encode()
    card = {
        "purpose": deterioration.PURPOSE,
        "limits": [*deterioration.LIMITS, *(x for q in told for x in deterioration.LIMITS_OF.get(q, ()))],
        "negative_results": [x for q in told for x in deterioration.NEGATIVE_RESULTS_OF.get(q, ())],
        "questions": {question: QUESTIONS[question] for question in told},
        "variants": {variant: list(seen) for variant, seen in VARIANTS.items()},
        "columns": len(columns),
    }
    return files, card, notes


def _fit(x: Floats, happens: Bools, seen: Bools, settings: Settings) -> bytes:
    params = settings.params
    return deterioration.fit(
        np.ascontiguousarray(x[:, seen]), happens, params.early_warning, params.seed, settings.config.jobs
    )


def _hours(records: Records, settings: Settings, people: Collection[str]) -> dict[str, tuple[_Hours, int]]:
    """Return question -> hours to learn from and how many patients have it."""
    import pyarrow.parquet as pq

    chosen, seed = settings.params.early_warning, settings.params.seed
    rows = pq.ParquetFile(records.readings).metadata.num_rows  # about the hours of everybody
    share = min(chosen.share_of_hours, chosen.max_rows / max(rows, 1))
    found: dict[str, tuple[_Hours, int]] = {}
    for number, course in enumerate(courses(records, settings, people)):
        for question, happens in course.happens.items():
            kept = deterioration.hours_to_learn(
                happens, share if question in HOURLY else 0, np.random.default_rng([seed, number])
            )
            hours, patients = found.get(question, (_Hours([], []), 0))
            hours.x.append(course.x[kept])
            hours.happens.append(happens[kept])
            found[question] = hours, patients + bool(happens.any())
    return found


class _Held:
    """Heads asked about patients held out of fitting, to calibrate them; one patient is in memory."""

    def __init__(self, people: Collection[str]) -> None:
        self._people = people
        self._heads: dict[tuple[str, str], tuple[Model, NDArray[np.intp]]] = {}

    def add(self, question: str, variant: str, model: Model, columns: NDArray[np.intp]) -> None:
        self._heads[question, variant] = (model, columns)

    def calibrated(self, records: Records, settings: Settings) -> tuple[dict[tuple[str, str], Platt], set[str]]:
        told: dict[tuple[str, str], list[Floats]] = {}
        labels: dict[str, list[Bools]] = {}
        lasted: dict[str, list[NDArray[np.int64]]] = {}
        for course in courses(records, settings, self._people) if self._heads else ():
            for question, happens in course.happens.items():
                labels.setdefault(question, []).append(happens)
                lasted.setdefault(question, []).append(course.lasted)
            for (question, variant), (model, columns) in self._heads.items():
                if question in course.happens:
                    x = np.ascontiguousarray(course.x[:, columns])
                    one = model.run(x=x)["probability"].reshape(len(course.time))
                    told.setdefault((question, variant), []).append(one)
        enough = {question for question, some in labels.items() if both(some)}
        platts = {
            (question, variant): deterioration.calibration(
                np.concatenate(some), np.concatenate(lasted[question]), np.concatenate(labels[question])
            )
            for (question, variant), some in told.items()
            if question in enough
        }
        return platts, {question for question, _ in self._heads} - enough


def both(labels: Sequence[Bools]) -> bool:
    """Return whether enough patients have it and enough have not, to calibrate on or to judge on."""
    having = sum(bool(some.any()) for some in labels)
    return LEAST_HELD <= having <= len(labels) - LEAST_HELD

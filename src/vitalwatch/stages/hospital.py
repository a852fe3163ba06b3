"""Early warning in training and evaluation: stays whose outcome is known -> models, and figures on unseen patients."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.care import CareFile, read_outcomes
from vitalwatch.early_warning import FILE, VARIANTS, EarlyWarning, care_names, columns_of, features, stays
from vitalwatch.metrics.bootstrap import Estimate, interval, plain, weights
from vitalwatch.metrics.ranking import (
    auroc,
    auroc_draws,
    auroc_estimate,
    average_precision_estimate,
    brier_estimate,
)
from vitalwatch.models import deterioration
from vitalwatch.params import Gates
from vitalwatch.pipeline import Work
from vitalwatch.recordings import iter_people, read_events, read_profiles
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings
from vitalwatch.tables import Bools, Event, Floats, Profile, Times

QUESTIONS = {"sepsis": "sepsis within 6 hours", "death_in_hospital": "death in this stay"}
HOURLY = ("sepsis",)  # labelled hour by hour, by episodes of that kind
LEAST_PATIENTS = 20  # with the outcome, to learn from
LEAST_HELD = 5  # with and without it, to calibrate on and to judge on
RECORDS = tuple(f"{name}.parquet" for name in ("readings", "care", "profiles", "events", "outcomes"))
NOBODY = "nobody's sepsis or death in hospital is known in these data"


@dataclass(frozen=True)
class Course:
    """All hours of one patient.

    Attributes:
        person: Pseudonym.
        time: Start of each hour, UTC ms (n,).
        x: Columns of `early_warning.features` (n, f).
        happens: Question -> whether it does, of each hour (n,); only questions whose answer is known.
    """

    person: str
    time: Times
    x: Floats
    happens: Mapping[str, Bools]


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
            found = stays(readings, beside.of(person), profiles.get(person, Profile(person)), names)
            time = np.concatenate([stay.time for stay in found])
            told = {question: known[question][person] for question in QUESTIONS if person in known.get(question, {})}
            happens = {
                question: _inside(time, events.get(person, ()), question) if question in HOURLY else
                np.full(len(time), value)
                for question, value in told.items()
            }  # fmt: skip
            yield Course(person, time, np.concatenate([features(stay) for stay in found]), happens)


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
        told.setdefault(question, {})[variant] = {**head, "slope": platt.slope, "offset": platt.offset}
    files = {head["file"]: files[head["file"]] for heads in told.values() for head in heads.values()}
    if not files:
        return {}, {}, notes
    files[FILE] = json.dumps({"care": names, "columns": columns, "questions": told}, allow_nan=False).encode()
    card = {
        "purpose": deterioration.PURPOSE,
        "limits": [*deterioration.LIMITS, *(x for q in told for x in deterioration.LIMITS_OF.get(q, ()))],
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

    def calibrated(self, records: Records, settings: Settings) -> tuple[dict[tuple[str, str], Any], set[str]]:
        told: dict[tuple[str, str], list[Floats]] = {}
        labels: dict[str, list[Bools]] = {}
        for course in courses(records, settings, self._people) if self._heads else ():
            for question, happens in course.happens.items():
                labels.setdefault(question, []).append(happens)
            for (question, variant), (model, columns) in self._heads.items():
                if question in course.happens:
                    x = np.ascontiguousarray(course.x[:, columns])
                    one = model.run(x=x)["probability"].reshape(len(course.time))
                    told.setdefault((question, variant), []).append(one)
        enough = {question for question, some in labels.items() if _both(some)}
        platts = {
            (question, variant): deterioration.platt(np.concatenate(some), np.concatenate(labels[question]))
            for (question, variant), some in told.items()
            if question in enough
        }
        return platts, {question for question, _ in self._heads} - enough


def _both(labels: Sequence[Bools]) -> bool:
    having = sum(bool(some.any()) for some in labels)
    return LEAST_HELD <= having <= len(labels) - LEAST_HELD


def tables(
    records: Records, models: EarlyWarning, settings: Settings, people: Collection[str] | None
) -> dict[str, Any]:
    """Return the figures of each question on patients nobody learnt from, beside the lines to beat.

    Args:
        records: Tables.
        models: Of the bundle.
        settings: Schema (the bundle's), params.
        people: Who is judged; None is everybody.
    """
    found: dict[str, _Judged] = {}
    news = columns_of(models.names)[0].index("news2_last")
    for course in courses(records, settings, people):
        for question in models.questions:
            if question in course.happens:
                judged = found.setdefault(question, _Judged([], [], {}))
                rows = slice(None) if question in HOURLY else slice(-1, None)  # death: when the recording ends
                judged.happens.append(course.happens[question][rows])
                judged.lines.append(course.x[rows, news])
                for variant in VARIANTS:
                    told = models.told(question, variant, course.x[rows])
                    judged.told.setdefault(variant, []).append(told)
    if not found:
        return {"not_assessable": NOBODY}
    rng = np.random.default_rng(settings.params.seed)
    return {question: judged.table(question, settings, rng) for question, judged in found.items()}


@dataclass
class _Judged:
    happens: list[Bools]
    lines: list[Floats]
    told: dict[str, list[Floats]]

    def table(self, question: str, settings: Settings, rng: np.random.Generator) -> dict[str, Any]:
        if not _both(self.happens):
            return {"not_assessable": f"fewer than {LEAST_HELD} test patients with or without it"}
        person = np.repeat(np.arange(len(self.happens)), [len(one) for one in self.happens])
        happens, chosen = np.concatenate(self.happens), settings.params.evaluation
        draws = weights(len(self.happens), chosen.draws, rng)
        told = {variant: np.concatenate(some) for variant, some in self.told.items()}
        news = np.concatenate(self.lines)
        return {
            "question": QUESTIONS[question],
            "patients": len(self.happens),
            "patients_with": sum(bool(one.any()) for one in self.happens),
            "rows": len(happens),
            "rate": plain(float(happens.mean())),
            "lines": {"news2": figures(happens, news, person, draws, chosen.confidence)},
            "variants": {
                variant: figures(happens, score, person, draws, chosen.confidence, probability=True, beside=news)
                for variant, score in told.items()
            },
        }


def gates(told: Mapping[str, Any], chosen: Gates) -> list[dict[str, Any]]:
    """Return the verdicts on the figures that `tables` returns; a question that could not be judged has none.

    Against NEWS2 the upper end of the interval counts: few patients must not stop a run by chance.
    """
    found = []
    for question, table in told.items():
        variants = table.get("variants", {}) if isinstance(table, Mapping) else {}
        if not variants:
            continue
        served = [variants[name] for name in ("vitals", "care")]
        for name, value, limit in (
            ("auroc_gain", served[0]["auroc_gain_over_news2"]["high"], chosen.min_warning_auroc_gain),
            ("brier_skill", min(one["brier_skill"] for one in served), chosen.min_warning_brier_skill),
        ):
            verdict = {"name": f"{question}_{name}", "value": value, "limit": limit, "passed": bool(value >= limit)}
            found.append({**verdict, "side": "at least"})
    return found


def figures(
    happens: Bools,
    score: Floats,
    person: NDArray[np.intp],
    draws: NDArray[np.float64],
    confidence: float,
    *,
    probability: bool = False,
    beside: Floats | None = None,
) -> dict[str, Any]:
    """Return AUROC and average precision with intervals by patient, and for probabilities how true they are.

    Args:
        happens: Of each row (n,).
        score: Higher is worse (n,).
        person: Number of each row's patient (n,).
        draws: From `bootstrap.weights`.
        confidence: Share of draws inside the intervals.
        probability: Whether the score is one.
        beside: A line to beat: the gain in AUROC over it is told, paired.
    """
    found: dict[str, Any] = {
        "auroc": auroc_estimate(happens, score, person, draws, confidence).table(),
        "average_precision": average_precision_estimate(happens, score, person, draws, confidence).table(),
    }
    if beside is not None:
        gain = auroc_draws(happens, score, person, draws) - auroc_draws(happens, beside, person, draws)
        value = auroc(happens, score) - auroc(happens, beside)
        found["auroc_gain_over_news2"] = Estimate(value, *interval(gain, confidence)).table()
    if probability:
        rate = float(happens.mean())
        brier = brier_estimate(happens, score, person, draws, confidence)
        found["brier"] = brier.table()
        found["brier_skill"] = plain(1 - brier.value / (rate * (1 - rate)))
        found["told_over_true"] = plain(float(score.mean()) / rate)
        found["reliability"] = by_tenths(happens, score)
    return found


def by_tenths(happens: Bools, probability: Floats) -> list[dict[str, float]]:
    """Return, for tenths of the rows by rising probability, rows, mean told and share that came true."""
    order = np.argsort(probability, kind="stable")
    return [
        {"rows": len(some), "told": float(probability[some].mean()), "true": float(happens[some].mean())}
        for some in np.array_split(order, 10)
        if len(some)
    ]

"""The evaluate stage: test people through the one door, then every table, the gates and the report."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import bundle, learning, report
from vitalwatch.bundle import SigningKey
from vitalwatch.errors import NotEnoughData
from vitalwatch.models.episodes import odds_between
from vitalwatch.monitor import Monitor
from vitalwatch.pipeline import Work
from vitalwatch.recordings import iter_people, read_events, read_profiles
from vitalwatch.settings import Settings
from vitalwatch.stages import forecast_parts, hospital, hospital_tables, leakage, p_values, shares, worst
from vitalwatch.stages.evaluate import Gate, tables_of
from vitalwatch.stages.judging import PersonResult, Thresholds
from vitalwatch.stages.people import enrolled_until, group_of, labelled_groups, read_episodes
from vitalwatch.stages.realism import realism_gate, realism_of
from vitalwatch.stages.transform import read_splits
from vitalwatch.tables import Event, Floats, Grid, Profile, Readings

MOST_LEARNERS = 12  # training people who are shown beside the test people in the classical table
EXAMPLES = 3

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Known:
    """What is known of people beside their readings."""

    profiles: Mapping[str, Profile]
    events: Mapping[str, Sequence[Event]]
    bookkeeping: Mapping[str, Sequence[Event]]

    def events_of(self, person: str) -> tuple[Event, ...] | None:
        """Return a person's labels, None where nobody labelled the group that they are of."""
        return tuple(self.events.get(person, ())) if group_of(person) in labelled_groups(self.events) else None


def evaluate(work: Work) -> dict[str, Any]:
    """Judge the run on people it never saw; writes reports/evaluation.json and reports/report.html."""
    settings = work.settings
    models = bundle.load(work.path("models"), trusted_keys(settings))
    monitor = Monitor.verified(models, work.path("models"))
    splits = read_splits(work.path("splits.json"))
    known = Known(
        read_profiles(work.path("profiles.parquet")),
        read_episodes(work.path("events.parquet"), work.path("outcomes.parquet")),
        read_events(work.path("bookkeeping.parquet")),
    )
    parts = asked(splits["people"], settings.params.seed)
    readings = iter_people(work.path("readings.parquet"), settings.schema, only=set(parts))
    results = list(answer_all(monitor, readings, known, parts, splits["people"], settings, work.progress, len(parts)))
    tables = judge(results, monitor, settings, splits)
    _warned(tables, hospital.Records.of_work(work), monitor, settings, hospital.people_of(splits["people"])["test"])
    realistic = _realism(work, parts, known)
    if verdict := realism_gate(realistic, settings.params.gates):
        _with_gates(tables, [verdict])
    if "vitals" in tables["forecast"]:
        rng, told_of = np.random.default_rng(settings.params.seed), _told_of(results, splits)
        tables["forecast"]["parts"] = forecast_parts.tables(told_of, models.files, monitor, settings, rng)
    limits, rng = models.files.get(shares.FILE, b"[]"), np.random.default_rng(settings.params.seed)
    tables["shares"] = shares.tables(_told_of(results, splits), json.loads(limits), settings, rng)
    tables["baseline_drift"] = worst.baseline_drift(results)
    folder = work.out("reports/evaluation.json").parent
    (folder / "evaluation.json").write_text(json.dumps(tables, indent=1), encoding="utf-8")
    facts = {
        "run": work.run,
        "created": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "simulated": any(result.bookkeeping is not None for result in results),
        "units": {name: column.shown for name, column in settings.schema.columns.items()},
        "split": splits["note"],
        "realism": realistic,
        "ingest": _read(work.path("ingest.json")),
        "quality": _read(work.path("quality.json")),
        "card": dict(monitor.card),
    }
    cases = worst.judged_by_hand(results, monitor, settings)
    page = report.render(tables, facts, examples(results, settings.schema.steps_per_day), cases)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return {"passed": tables["passed"], "people": tables["people"], "summary": report.summary(tables)}


def evaluate_on(
    folder: Path, monitor: Monitor, settings: Settings, progress: Told = lambda done, total: None
) -> dict[str, Any]:
    """Return the evaluation tables of a model on ingested recordings: everybody is tested, nobody is learnt from.

    Args:
        folder: Holds readings.parquet, profiles.parquet, events.parquet, care.parquet and outcomes.parquet.
        monitor: The model.
        settings: As loaded; the model's own grid step is used.
        progress: Told (people done, people).
    """
    episodes = read_episodes(folder / "events.parquet", folder / "outcomes.parquet")
    known = Known(read_profiles(folder / "profiles.parquet"), episodes, {})
    parts = _Everybody()
    people = iter_people(folder / "readings.parquet", settings.schema)
    results = list(answer_all(monitor, people, known, parts, {}, settings, progress, 0))
    seen = len({result.person for result in results} & set(monitor.card["trained_on"]))
    note = f"Everybody is tested; {seen or 'none'} of them bear names that the run learnt from or was calibrated on."
    tables = _tables(results, monitor, settings, note, by_time=False)
    _warned(tables, hospital.Records.of(folder), monitor, settings, None)
    return tables


def _warned(
    tables: dict[str, Any],
    records: hospital.Records,
    monitor: Monitor,
    settings: Settings,
    people: Collection[str] | None,
) -> None:
    """Add the figures and gates of the early warning, where the models have one."""
    if monitor.early_warning is None:
        return
    tables["early_warning"] = hospital_tables.tables(records, monitor.early_warning, settings, people)
    _with_gates(tables, hospital_tables.gates(tables["early_warning"], settings.params.gates))


def _with_gates(tables: dict[str, Any], more: Sequence[Gate]) -> None:
    tables["gates"] += more
    tables["passed"] = all(gate["passed"] is not False for gate in tables["gates"])


def trusted_keys(settings: Settings) -> list[Path]:
    """Return the public keys whose signatures are accepted, the run's own made if there is none yet."""
    SigningKey.load_or_create(settings.path(settings.config.signing.key))
    return [settings.path(path) for path in settings.config.signing.trusted]


class _Everybody(dict[str, str]):
    def __missing__(self, person: str) -> str:
        return "test"


def asked(people: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, str]:
    """Return who is asked of the monitor, and as what: test and calibration people, and a few training people."""
    parts = {person: "test" if entry["part"] == "time" else str(entry["part"]) for person, entry in people.items()}
    learners = sorted(person for person, part in parts.items() if part == "train")
    kept = set(np.random.default_rng(seed).permutation(learners)[:MOST_LEARNERS].tolist())
    return {person: part for person, part in parts.items() if part != "train" or person in kept}


def answer_all(
    monitor: Monitor,
    people: Iterable[Readings],
    known: Known,
    parts: Mapping[str, str],
    splits: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    progress: Told,
    total: int,
) -> Iterable[PersonResult]:
    """Yield everybody's answers: test people are forecast, and calibration people, who only set lines, not scored."""
    from joblib import Parallel, delayed

    def one(readings: Readings) -> PersonResult:
        person = readings.person
        profile = known.profiles.get(person, Profile(person))
        part = parts[person]
        tested, scored = part == "test", part != "calibration"
        answers = monitor.answer(readings, profile, forecast=tested, detect=scored, by_kind=tested)
        begins = splits.get(person, {}).get("test")
        enrolled = enrolled_until(answers.grid, settings.params.baseline.enrolment_days)
        return PersonResult(
            person=person,
            profile=profile,
            events=known.events_of(person),
            bookkeeping=tuple(known.bookkeeping[person]) if person in known.bookkeeping else None,
            split=parts[person],
            answers=answers,
            enrolled_until=max(enrolled, begins or 0),
            cold=cold(monitor, answers.grid, profile) if tested else None,
        )

    work = Parallel(n_jobs=settings.config.jobs, prefer="threads", return_as="generator", pre_dispatch="2*n_jobs")
    for done, result in enumerate(work(delayed(one)(readings) for readings in people), start=1):
        progress(done, total)
        yield result


def cold(monitor: Monitor, grid: Grid, profile: Profile) -> Floats:
    """Return the heart rate expected of rows from activity, sleep, clock and profile, no own day known, bpm (n,)."""
    moments, context = learning.moments_of(grid, monitor.schema.step_minutes)
    about = monitor.person_row(profile)
    x = np.concatenate((moments, np.broadcast_to(about, (len(grid), len(about)))), axis=1)
    return monitor.cold(x, context).astype(np.float32)


def _realism(work: Work, parts: Mapping[str, str], known: Known) -> dict[str, Any]:
    """Return how like life the simulated test people are: figures on them count as far as that goes."""
    schema = work.settings.schema
    simulated = {person for person, part in parts.items() if part == "test" and person in known.bookkeeping}
    people = iter_people(work.path("readings.parquet"), schema, only=simulated)
    return realism_of(people, schema.step_minutes) if simulated else {}


def judge(
    results: Sequence[PersonResult], monitor: Monitor, settings: Settings, splits: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the tables: of unseen people, and, where the user's own people were split by time, of their last days."""
    told_of = _told_of(results, splits)
    if splits["how"] == "person":
        return _tables(told_of, monitor, settings, splits["note"], by_time=False)
    own = [result for result in results if group_of(result.person) == "own"]
    if all(group_of(result.person) == "own" for result in told_of):
        return _tables(own, monitor, settings, splits["note"], by_time=True)
    tables = _tables(told_of, monitor, settings, splits["note"], by_time=False)
    tables["own"] = _tables(own, monitor, settings, "Your people, on their last days.", by_time=True)
    return tables


def _told_of(results: Sequence[PersonResult], splits: Mapping[str, Any]) -> Sequence[PersonResult]:
    """Return those whom the main tables are of: unseen people where there are any, else the user's own."""
    if splits["how"] == "person":
        return results
    others = [result for result in results if group_of(result.person) == "population"]
    return others or [result for result in results if group_of(result.person) == "own"]


def _tables(
    results: Sequence[PersonResult], monitor: Monitor, settings: Settings, note: str, *, by_time: bool
) -> dict[str, Any]:
    if not any(result.split == "test" and len(result.answers) for result in results):
        raise NotEnoughData("nobody with a reading to test on", "at least one")
    tables = tables_of(
        results,
        settings,
        thresholds=thresholds_of(monitor),
        trained_on=monitor.card["trained_on"],
        rng=np.random.default_rng(settings.params.seed),
        split_note=note,
        by_time=by_time,
        more_gates=leakage.gates(results, monitor, settings),
    )
    tables["p_values"] = p_values.tables(results, monitor, settings, np.random.default_rng(settings.params.seed))
    return tables


def thresholds_of(monitor: Monitor) -> Thresholds:
    """Return where a bundle's channels alarm, what they promise, and for which odds its probability is."""
    limits, told = monitor.detector.calibration, monitor.card.get("prevalence")
    known = limits.known_threshold if np.isfinite(limits.known_threshold) else None
    odds = odds_between(told["calibration"], told["served"]) if told else 1.0
    return Thresholds(limits.unusual_threshold, known, monitor.card["promised_false_alarms"], odds)


def examples(results: Sequence[PersonResult], steps_per_day: int) -> list[report.Example]:
    """Return a few test people with more than a day to draw: the user's own first, then those with most episodes."""
    tested = [result for result in results if result.split == "test" and len(result.answers) > steps_per_day]
    ordered = sorted(tested, key=lambda result: (group_of(result.person) != "own", -len(result.events or ())))
    return [
        report.Example(result.person, result.answers, result.events or (), "Heart rate", result.bookkeeping is not None)
        for result in ordered[:EXAMPLES]
    ]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

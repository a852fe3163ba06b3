"""Where readings come from: the user's sources, synthetic people, or both where the user's own are too few."""

from __future__ import annotations

import heapq
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitalwatch import recordings
from vitalwatch.errors import SourceError
from vitalwatch.pipeline import Work
from vitalwatch.quarantine import FILE
from vitalwatch.recordings import storing
from vitalwatch.settings import Settings
from vitalwatch.splits import FEW
from vitalwatch.stages.ingest import ingest
from vitalwatch.stages.transform import POPULATION
from vitalwatch.stages.validate import MIN_PERSON_DAYS
from vitalwatch.synthetic import write_recording

MANY_PERSON_DAYS = 20_000  # below, starting processes costs more time and memory than they save
SUMMED = ("read", "accepted", "merged", "duplicate", "conflict", "emptied", "rows", "people", "person_days",
          "quarantined", "events", "profiles")  # fmt: skip


def gather(work: Work, sources: Sequence[Path], format: str | None, now_ms: int) -> dict[str, Any]:
    """Ingest the sources, or the default synthetic people without any; returns what ingest.json holds.

    Fewer than FEW own people are joined by the synthetic ones, under pseudonyms that begin with `synthetic-`. Too
    little of their own data to train on at all stays alone, so that validation says so.

    Args:
        work: Where ingest's tables and bookkeeping.parquet are written.
        sources: Recordings; empty means synthetic people alone.
        format: Of the sources; None means by content.
        now_ms: The clock, UTC milliseconds.

    Raises:
        SourceError: A source cannot be read, or one of its people bears a name kept for synthetic people.
    """
    scratch = work.folder / "population"
    chosen = work.settings.params.synthetic
    try:
        if not sources:
            report = _simulated(work, scratch, work.folder, "", now_ms) | {"synthetic_people": chosen.people}
        else:
            report = _own(work, sources, format, now_ms) | {"synthetic_people": 0}
            if report["people"] < FEW and report["person_days"] >= MIN_PERSON_DAYS:
                others = _simulated(work, scratch, scratch / "ingested", POPULATION, now_ms)
                _join(work.folder, scratch / "ingested", work.settings)
                report = _sum(report, others) | {"synthetic_people": chosen.people}
        known = recordings.read_events(scratch / "recording" / "bookkeeping.parquet")
        recordings.write_events(work.out("bookkeeping.parquet"), [event for found in known.values() for event in found])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    work.out("ingest.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _own(work: Work, sources: Sequence[Path], format: str | None, now_ms: int) -> dict[str, Any]:
    def told(what: str, done: int, total: int) -> None:
        work.progress(done, total)

    report = ingest(sources, work.folder, work.settings, format=format, now_ms=now_ms, progress=told)
    if any(person.startswith(POPULATION) for person in recordings.people(work.folder / "readings.parquet")):
        names = ", ".join(map(str, sources))
        hint = "Give that person another name, or leave a recording of synthetic people out."
        raise SourceError(names, f"a person's name begins with {POPULATION}, which is kept for synthetic people", hint)
    return report


def _simulated(work: Work, scratch: Path, out: Path, prefix: str, now_ms: int) -> dict[str, Any]:
    """Write the default synthetic people as a recording and ingest it into `out`, by the rules of any recording."""
    settings, people = work.settings, work.settings.params.synthetic.people
    recording = scratch / "recording"
    write_recording(
        recording,
        people=people,
        days=settings.params.synthetic.days,
        seed=settings.params.seed,
        schema=settings.schema,
        params=settings.params.synthetic,
        jobs=settings.config.jobs if people * settings.params.synthetic.days >= MANY_PERSON_DAYS else 1,
        prefix=prefix,
        on_person=lambda done: work.progress(done, people),
    )
    ours = replace(settings, config=settings.config.model_copy(update={"columns": {}}))
    report = ingest([recording], out, ours, format="table", now_ms=now_ms)
    report["sources"][0] |= {"source": f"{people} synthetic people", "synthetic": True}
    return report


def _join(own: Path, others: Path, settings: Settings) -> None:
    """Bring the tables of two folders together in the first."""
    name = "readings.parquet"
    together = own / "together.parquet"
    both = (recordings.iter_people(folder / name, settings.schema) for folder in (own, others))
    recordings.write_readings(together, settings.schema, heapq.merge(*both, key=lambda readings: readings.person))
    together.replace(own / name)
    profiles = {
        **recordings.read_profiles(own / "profiles.parquet"),
        **recordings.read_profiles(others / "profiles.parquet"),
    }
    recordings.write_profiles(own / "profiles.parquet", [profiles[person] for person in sorted(profiles)])
    found = [recordings.read_events(folder / "events.parquet") for folder in (own, others)]
    recordings.write_events(own / "events.parquet", [e for events in found for some in events.values() for e in some])
    with storing(own), (own / "quarantine" / FILE).open("ab") as rejects:
        rejects.write((others / "quarantine" / FILE).read_bytes())


def _sum(own: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Return one report; the share of refused rows stays that of the user's own."""
    note = (
        f"{own['people']} people of your own are fewer than {FEW}, too few to tell what is normal for people: "
        f"{others['people']} synthetic people, named {POPULATION}..., were added."
    )
    return {
        **own,
        **{name: own[name] + others[name] for name in SUMMED},
        "sources": [*own["sources"], *others["sources"]],
        "rejected": dict(Counter(own["rejected"]) + Counter(others["rejected"])),
        "labels": own["labels"],
        "notes": [*own["notes"], note],
        "own_people": own["people"],
    }

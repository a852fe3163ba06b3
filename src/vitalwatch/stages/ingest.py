"""Sources of any known format -> readings, profiles and events tables, with the books balanced."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import readers, recordings
from vitalwatch.care import CareGatherer, write_outcomes
from vitalwatch.errors import BooksDoNotBalance, SourceError
from vitalwatch.quarantine import Quarantine
from vitalwatch.reading import REASONS, VERSION, Rows
from vitalwatch.recordings import ReadingsWriter, storing
from vitalwatch.schema import minutes
from vitalwatch.settings import Settings
from vitalwatch.stages.gather import Gatherer
from vitalwatch.tables import DAY, MINUTE, Event, Outcome, Profile, Readings
from vitalwatch.timestamps import rfc3339

COUNTED = ("read", "accepted", "merged", "duplicate", "conflict", "emptied")
Progress = Callable[[str, int, int], None]
BESIDE = ("care.parquet", "outcomes.parquet")
FILES = (
    "readings.parquet",
    "profiles.parquet",
    "events.parquet",
    *BESIDE,
    "quarantine",
    "ingest.json",
)  # the last one last


def ingest(
    sources: Sequence[Path],
    out: Path,
    settings: Settings,
    *,
    format: str | None = None,
    now_ms: int,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Read all sources into `out`: readings, profiles, events (.parquet), quarantine/ and ingest.json.

    Rows of the same person and moment are brought together: what adds a column is merged, what says nothing new or
    something else is counted as duplicate (`conflict` names the latter; the better signal is kept).

    Args:
        sources: Files or folders of a format in `readers.FORMATS`.
        out: Folder; its tables are replaced when all is done, and left alone after any error.
        settings: Schema, limits of clock and refused share, column names.
        format: A name of `readers.FORMATS`; default: by content.
        now_ms: The clock, UTC milliseconds.
        progress: Called with (what, done, total); total is 0 where it is not known.

    Returns:
        The report, as in ingest.json: read = accepted + duplicate + rejected, in all and for each source.

    Raises:
        SourceError: A source cannot be read, or no row of all sources was accepted.
        StoreError: The disk is full or `out` may not be written.
        BooksDoNotBalance: A bug.
    """
    scratch = out / f".ingest-{os.getpid()}"
    try:
        with storing(out):
            scratch.mkdir(parents=True, exist_ok=True)
            gathered = _read_all(sources, scratch, settings, format, now_ms, progress)
            report = _write(gathered, scratch, settings, progress) | {"now": rfc3339(now_ms), "validator": VERSION}
            (scratch / "ingest.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            for name in FILES:
                _replace(scratch / name, out / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return report


@dataclass
class _Source:
    """The books of one source."""

    path: Path
    format: str
    read: int = 0
    kept: int = 0
    emptied: int = 0  # rows in which every number is a code for no value
    refused: Counter[str] = field(default_factory=Counter)
    labels: int = 0
    refused_labels: Counter[str] = field(default_factory=Counter)  # by what is wrong
    notes: list[str] = field(default_factory=list)
    days: dict[str, set[int]] = field(default_factory=dict)  # person -> local days with readings
    first: int | None = None
    last: int | None = None

    def take(self, batch: readers.Batch) -> None:
        """Enter a batch."""
        self.read += batch.read
        self.kept += len(batch.rows)
        self.emptied += batch.emptied
        self.refused.update(batch.refused)
        self.labels += batch.labels
        self.refused_labels.update(reject.detail for reject in batch.refused_labels)
        self.notes += batch.notes
        self._span(batch.rows)

    def _span(self, rows: Rows) -> None:
        if not len(rows):
            return
        low, high = int(rows.time.min()), int(rows.time.max())
        self.first = low if self.first is None else min(self.first, low)
        self.last = high if self.last is None else max(self.last, high)
        days = (rows.time + rows.offset.astype(np.int64) * MINUTE) // DAY
        for pair in np.unique(rows.person.astype(np.int64) << 32 | days):
            self.days.setdefault(rows.people[int(pair) >> 32], set()).add(int(pair) & 0xFFFFFFFF)

    def mostly_emptied(self) -> bool:
        """Return whether most rows hold nothing but codes for no value: nobody wears that, something is wrong."""
        return 2 * self.emptied > self.read

    def told_of_emptied(self) -> list[str]:
        """Return a sentence on rows with nothing but codes for no value, none where there are none."""
        if not self.emptied:
            return []
        rows = f"{self.path.name}: {self.emptied} of {self.read} rows hold only codes for no value (as 0, -1 or 255)"
        if not self.mostly_emptied():
            return [f"{rows} and count as empty."]
        return [f"{rows}, which is most of them: see whether the sensor was worn and the right columns are named."]

    def coverage(self) -> float:
        """Return the share of days with readings between each person's first and last."""
        spanned = sum(max(days) - min(days) + 1 for days in self.days.values())
        return round(sum(map(len, self.days.values())) / spanned, 4) if spanned else 0.0


@dataclass
class _Gathered:
    sources: list[_Source]
    rows: Gatherer
    profiles: dict[str, Profile]
    events: dict[tuple[str, str, int, int], Event]
    quarantined: int
    care: CareGatherer
    outcomes: dict[tuple[str, str], Outcome]


def _read_all(
    sources: Sequence[Path], scratch: Path, settings: Settings, format: str | None, now_ms: int, progress: Progress
) -> _Gathered:
    if not sources:
        raise SourceError("no source", "nothing was named to read", "Name one with --source PATH.")
    rows = Gatherer(settings.schema, scratch / "spool", len(sources))
    books: list[_Source] = []
    profiles: dict[str, Profile] = {}
    events: dict[tuple[str, str, int, int], Event] = {}
    care, outcomes = CareGatherer(scratch / "spool"), dict[tuple[str, str], Outcome]()
    ahead = minutes(settings.params.ingest.max_clock_ahead) * MINUTE
    with Quarantine(scratch / "quarantine") as quarantine:
        for number, path in enumerate(sources):
            columns = settings.config.columns
            book = _Source(path, readers.resolve(path, format=format, columns=columns))
            books.append(book)
            for batch in readers.read(path, settings.schema, format=book.format, columns=columns, now_ms=now_ms,
                                      max_ahead_ms=ahead):  # fmt: skip
                if batch.read != len(batch.rows) + sum(batch.refused.values()):
                    raise BooksDoNotBalance(batch.read, len(batch.rows), 0, sum(batch.refused.values()))
                book.take(batch)
                rows.add(batch.rows, number)
                quarantine.add(batch.rejects)
                quarantine.add(batch.refused_labels)
                for profile in batch.profiles:
                    known = profiles.get(profile.person)
                    profiles[profile.person] = _fuller(known, profile) if known else profile
                events.update({(e.person, e.kind, e.start, e.end): e for e in batch.events})
                outcomes.update({(o.person, o.kind): o for o in batch.outcomes})
                if batch.care is not None:
                    care.add(batch.care)
                progress(f"read {path.name}", book.read, 0)
    return _Gathered(books, rows, profiles, events, quarantine.count, care, outcomes)


def _fuller(known: Profile, more: Profile) -> Profile:
    """Return the known profile with what it lacks taken from the other."""
    changes: dict[str, Any] = {}
    for name in ("age", "height", "weight"):
        if math.isnan(getattr(known, name)):
            changes[name] = getattr(more, name)
    if known.sex == "unknown":
        changes["sex"] = more.sex
    for name in ("conditions", "medication"):
        changes[name] = getattr(known, name) or getattr(more, name)
    return replace(known, **changes)


def _write(gathered: _Gathered, scratch: Path, settings: Settings, progress: Progress) -> dict[str, Any]:
    written, days, people = 0, 0, set[str]()
    if not sum(book.kept for book in gathered.sources):
        raise _nothing(gathered.sources)
    with ReadingsWriter(scratch / "readings.parquet", settings.schema) as writer:
        for readings in gathered.rows.people():
            writer.write(readings)
            written, days = written + len(readings), days + _days(readings)
            people.add(readings.person)
            progress("write", written, sum(book.kept for book in gathered.sources))
    recordings.write_profiles(scratch / "profiles.parquet", [one for _, one in sorted(gathered.profiles.items())])
    recordings.write_events(scratch / "events.parquet", gathered.events.values())
    beside = gathered.care.write(scratch / "care.parquet", tuple(settings.schema.care), people)
    outcomes = [one for (person, _), one in gathered.outcomes.items() if person in people]
    write_outcomes(scratch / "outcomes.parquet", outcomes)
    settled = gathered.rows.settled
    sources = [_entry(book, number, gathered) for number, book in enumerate(gathered.sources)]
    report = {
        "sources": sources,
        **{name: sum(one[name] for one in sources) for name in COUNTED},
        "rejected": dict(sum((book.refused for book in gathered.sources), Counter())),
        "rows": written,
        "people": len(people),
        "person_days": days,
        "care": {"kept": beside, "dropped": gathered.care.dropped},
        "outcomes": len(outcomes),
        "quarantined": gathered.quarantined,
        "events": len(gathered.events),
        "profiles": len(gathered.profiles),
        "labels": _labels(sources),
        "notes": [*(note for one in sources for note in one["notes"]), *_strangers(gathered, people)],
    }
    rejected = sum(report["rejected"].values())
    bad = rejected - report["rejected"].get("empty", 0)  # rows in which nothing is measured are no fault
    report["bad_share"] = round(bad / report["read"], 6)
    report["too_many_refused"] = report["bad_share"] > settings.params.ingest.max_bad_share
    kept = written + int(settled.merged.sum())
    if report["read"] != report["accepted"] + report["duplicate"] + rejected or kept != report["accepted"]:
        raise BooksDoNotBalance(report["read"], kept, report["duplicate"], rejected)
    return report


def _entry(book: _Source, number: int, gathered: _Gathered) -> dict[str, Any]:
    settled = gathered.rows.settled
    conflict = int(settled.conflict[number])
    duplicate = int(settled.duplicate[number]) + conflict
    return {
        "source": str(book.path),
        "format": book.format,
        "read": book.read,
        "accepted": book.kept - duplicate,
        "merged": int(settled.merged[number]),
        "duplicate": duplicate,
        "conflict": conflict,
        "rejected": dict(book.refused),
        "emptied": book.emptied,
        "labels": {"read": book.labels, "rejected": dict(book.refused_labels)},
        "mostly_emptied": book.mostly_emptied(),
        "synthetic": False,
        "people": len(book.days),
        "first": None if book.first is None else rfc3339(book.first),
        "last": None if book.last is None else rfc3339(book.last),
        "coverage": book.coverage(),
        "notes": [*dict.fromkeys(book.notes), *book.told_of_emptied()],
    }


def _labels(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many rows of tables of episodes were read, and how many refused by what is wrong."""
    told = [one["labels"] for one in sources]
    return {
        "read": sum(one["read"] for one in told),
        "rejected": dict(sum((Counter(one["rejected"]) for one in told), Counter())),
    }


def _strangers(gathered: _Gathered, people: Collection[str]) -> list[str]:
    """Return a sentence on episodes of people without a reading, none where there are none."""
    theirs = [event.person for event in gathered.events.values() if event.person not in people]
    if not theirs:
        return []
    who = f"{len(theirs)} labelled episodes are of {len(set(theirs))} people without a reading"
    return [f"{who} and are not used: see whether `person` is written alike in both tables."]


def _days(readings: Readings) -> int:
    local = readings.time + readings.offset.astype(np.int64) * MINUTE
    return len(np.unique(local // DAY))


def _nothing(books: Sequence[_Source]) -> SourceError:
    refused: Counter[str] = sum((book.refused for book in books), Counter())
    names = ", ".join(str(book.path) for book in books)
    if not refused:
        return SourceError(names, "holds no row", "Export it again with the readings.")
    reason, count = refused.most_common(1)[0]
    problem = f"no row was accepted; {count} of {sum(refused.values())} are refused as {reason} ({REASONS[reason]})"
    return SourceError(names, problem, "Mend that column and read it again.")


def _replace(new: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    new.replace(old)

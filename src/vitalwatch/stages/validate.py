"""Is this enough, and good enough, to learn from? A quality report, or the reason why not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.errors import NotEnoughData, SourceError
from vitalwatch.reading import REASONS
from vitalwatch.recordings import iter_people, storing
from vitalwatch.schema import Column, minutes
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY, MINUTE, Floats, Readings
from vitalwatch.timestamps import rfc3339

MIN_PERSON_DAYS = 10
BINS = 2_000  # of a column's histogram over its possible range; the median is exact to one bin


def validate(work: Path, settings: Settings) -> dict[str, Any]:
    """Judge readings.parquet in the folder `work`, write quality.json there, and return it.

    Raises:
        SourceError: More rows were refused than params.ingest.max_bad_share allows, or the table cannot be read.
        NotEnoughData: Fewer than 10 days of readings, all people together.
        StoreError: The report cannot be written.
    """
    columns = {name: _Column(column) for name, column in settings.schema.columns.items()}
    people = {}
    rows = 0
    for readings in iter_people(work / "readings.parquet", settings.schema):
        rows += len(readings)
        people[readings.person] = _person(readings, minutes(settings.params.cleaning.max_gap) * MINUTE)
        for name, column in columns.items():
            column.add(readings.column(name))
    days = sum(person["days"] for person in people.values())
    report = {
        "rows": rows,
        "people": len(people),
        "person_days": days,
        "days_a_person": _spread([person["days"] for person in people.values()]),
        "interval_s": _spread([person["interval_s"] for person in people.values() if person["rows"] > 1]),
        "gaps": sum(person["gaps"] for person in people.values()),
        "duplicated_stamps": sum(person["duplicated_stamps"] for person in people.values()),
        "clock_changes": sum(person["clock_changes"] for person in people.values()),
        "columns": {name: column.report(rows) for name, column in columns.items()},
        "by_person": people,
    }
    with storing(work):
        part = work / ".quality.json.part"
        part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        part.replace(work / "quality.json")
    _refused(work, settings)
    if days < MIN_PERSON_DAYS:
        raise NotEnoughData(f"{days} days of readings of {len(people)} people", f"{MIN_PERSON_DAYS} days")
    return report


class _Column:
    """Running figures of one column, in its unit."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._count, self._unusual = 0, 0
        self._low, self._high = np.inf, -np.inf
        self._histogram = np.zeros(BINS, np.int64)

    def add(self, values: Floats) -> None:
        """Count the measured values."""
        known = values[~np.isnan(values)]
        if not len(known):
            return
        low, high = self._column.possible
        self._count += len(known)
        self._low, self._high = min(self._low, float(known.min())), max(self._high, float(known.max()))
        place = ((known - low) * ((BINS - 1) / (high - low))).astype(np.int64).clip(0, BINS - 1)
        self._histogram += np.bincount(place, minlength=BINS)
        if self._column.usual is not None:
            self._unusual += int(((known < self._column.usual[0]) | (known > self._column.usual[1])).sum())

    def report(self, rows: int) -> dict[str, Any]:
        """Return share measured, minimum, median, maximum, and the share outside the usual range."""
        if not self._count:
            return {"measured": 0.0}
        low, high = self._column.possible
        middle = int(np.searchsorted(np.cumsum(self._histogram), (self._count + 1) // 2))
        median = min(max(low + middle * (high - low) / (BINS - 1), self._low), self._high)
        found = {
            "measured": round(self._count / rows, 4),
            "minimum": round(self._low, 3),
            "median": round(median, 3),
            "maximum": round(self._high, 3),
        }
        return found | ({"unusual": round(self._unusual / self._count, 4)} if self._column.usual is not None else {})


def _person(readings: Readings, max_gap: int) -> dict[str, Any]:
    """Return one person's days, interval, gaps (longer than `max_gap` ms and three intervals), clock oddities."""
    steps = np.diff(readings.time)
    interval = float(np.median(steps)) if len(steps) else 0.0
    local = readings.time + readings.offset.astype(np.int64) * MINUTE
    return {
        "rows": len(readings),
        "days": len(np.unique(local // DAY)),
        "first": rfc3339(int(readings.time[0]), int(readings.offset[0])),
        "last": rfc3339(int(readings.time[-1]), int(readings.offset[-1])),
        "interval_s": round(interval / 1000, 3),
        "gaps": int((steps > max(max_gap, 3 * interval)).sum()),
        "longest_gap_h": round(float(steps.max()) / 3_600_000, 2) if len(steps) else 0.0,
        "duplicated_stamps": int((steps == 0).sum()),
        "clock_changes": int((np.diff(readings.offset) != 0).sum()),  # travel, or summer time
    }


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    low, middle, high = np.percentile(values, [0, 50, 100])
    return {"minimum": float(low), "median": float(middle), "maximum": float(high)}


def _refused(work: Path, settings: Settings) -> None:
    """Raise SourceError where ingest refused too much."""
    path = work / "ingest.json"
    if not path.is_file():
        return
    report = json.loads(path.read_text(encoding="utf-8"))
    limit = settings.params.ingest.max_bad_share
    if report["bad_share"] <= limit:
        return
    counts = Counter({reason: count for reason, count in report["rejected"].items() if reason != "empty"})
    reasons = "; ".join(f"{count} {reason} ({REASONS[reason]})" for reason, count in counts.most_common(3))
    names = ", ".join(source["source"] for source in report["sources"])
    problem = f"{report['bad_share']:.0%} of the rows were refused, {limit:.0%} is allowed: {reasons}"
    raise SourceError(names, problem, "Mend these, or raise ingest.max_bad_share.")

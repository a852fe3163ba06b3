"""What every reader yields, and how typed rows become it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitalwatch.reading import ACCEPTED, EMPTIED, Reject, Rows, check, explain
from vitalwatch.schema import Schema
from vitalwatch.tables import CareRows, Event, Outcome, Profile, Times
from vitalwatch.timestamps import rfc3339

NOMINAL_START = 946_684_800_000  # 2000-01-01T00:00Z, UTC ms: for recordings that tell only the time since admission


@dataclass(frozen=True)
class Task:
    """What to read and by which rules."""

    path: Path
    schema: Schema
    now_ms: int
    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> the file's name
    chunk_rows: int = 200_000
    max_ahead_ms: int = 300_000


@dataclass(frozen=True)
class Batch:
    """A part of a source: `read` = len(rows) + sum of `refused`; `emptied` of the `empty` held only codes for no value.

    `rejects` are the refused rows themselves, but for rows in which nothing was measured: those are only counted.
    `labels` are rows read of a table of episodes: they became `events` or `refused_labels`, and are none of `read`.
    """

    rows: Rows
    read: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    rejects: Sequence[Reject] = ()
    profiles: Sequence[Profile] = ()
    events: Sequence[Event] = ()
    notes: Sequence[str] = ()
    care: CareRows | None = None
    outcomes: Sequence[Outcome] = ()
    emptied: int = 0
    labels: int = 0
    refused_labels: Sequence[Reject] = ()


NO_ROWS = Rows((), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int16), {})


def judged(
    rows: Rows,
    task: Task,
    *,
    source: str,
    keys: NDArray[np.uint16] | None = None,
    position: Callable[[int], str] = lambda row: f"row {row + 1}",
    raw: Callable[[int], bytes] | None = None,
    early: Sequence[Reject] = (),
    notes: Sequence[str] = (),
    profiles: Sequence[Profile] = (),
    events: Sequence[Event] = (),
) -> Batch:
    """Return the batch that typed rows make: what the rules accept, and the rest with its reasons.

    Args:
        rows: Typed rows, in the units of the schema.
        task: The rules.
        source: Name of the file, for the rejects.
        keys: What typing the cells found (see `reading.text_key`).
        position: Row index -> where it stands in the source.
        raw: Row index -> the cells as they came, as a JSON object; default: the typed row.
        early: Rows that were refused before they could be typed.
        notes, profiles, events: Passed on.
    """
    checked, keys = check(rows, task.schema, now_ms=task.now_ms, max_ahead_ms=task.max_ahead_ms, keys=keys)
    bad = np.flatnonzero(keys != ACCEPTED)
    refused: dict[str, int] = {}
    rejects, emptied = list(early), 0
    for reject in early:
        refused[reject.reason] = refused.get(reject.reason, 0) + 1
    for key, count in zip(*np.unique(keys[bad], return_counts=True), strict=True):
        why = explain(key, task.schema)
        refused[why.reason] = refused.get(why.reason, 0) + int(count)
        if why.reason == "empty":
            emptied += int(count) if why.detail == EMPTIED else 0
            continue
        for row in bad[keys[bad] == key].tolist():
            cells = raw(row) if raw else typed_cells(rows, row)
            rejects.append(Reject(source, position(row), why.reason, why.detail, cells))
    kept = checked.take(keys == ACCEPTED) if len(bad) else checked
    return Batch(kept, len(rows) + len(early), refused, rejects, profiles, events, notes, emptied=emptied)


def care_rows(
    people: Sequence[str],
    person: NDArray[np.int32],
    time: Times,
    columns: Mapping[str, NDArray[np.floating]],
    schema: Schema,
    dropped: int = 0,
) -> CareRows:
    """Return what was measured beside the vitals, from columns of the schema's `care`; NaN is not measured.

    Args:
        people: Names that `person` indexes.
        person: Of each row (n,).
        time: Of each row, UTC ms (n,).
        columns: Name -> (n,) in the schema's unit; what lies outside `possible` is dropped and counted.
        schema: Knows the names.
        dropped: Values that could not even be read.
    """
    names = tuple(schema.care)
    rows, what, values = [], [], []
    for name, column in columns.items():
        low, high = schema.care[name].possible
        there = np.flatnonzero(np.isfinite(column))
        kept = there[(column[there] >= low) & (column[there] <= high)]
        dropped += len(there) - len(kept)
        rows.append(kept)
        what.append(np.full(len(kept), names.index(name), np.int16))
        values.append(column[kept].astype(np.float32))
    if not rows:
        return CareRows(tuple(people), person[:0], time[:0], np.zeros(0, np.int16), np.zeros(0, np.float32), dropped)
    at = np.concatenate(rows)
    return CareRows(tuple(people), person[at], time[at], np.concatenate(what), np.concatenate(values), dropped)


def typed_cells(rows: Rows, row: int) -> bytes:
    """Return one typed row as a JSON object of text cells."""
    cells = {"person": rows.people[rows.person[row]], "time": rfc3339(int(rows.time[row]), int(rows.offset[row]))}
    for name, column in rows.values.items():
        if not np.isnan(column[row]):
            cells[name] = repr(float(column[row]))
    return json.dumps(cells).encode()


def encode(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the distinct names and each one's place among them."""
    places: dict[str, int] = {}
    codes = np.fromiter((places.setdefault(name, len(places)) for name in names), np.int32, len(names))
    return tuple(places), codes

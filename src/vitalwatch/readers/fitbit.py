"""Fitbit exports in the layout of Fitabase: heart rate by the second, steps and intensity by the minute.

Every row of a table (every minute of a wide one) is a reading; readings of one moment are joined later by ingest. Times
carry no zone: they are the wearer's local clock. Tables of one person can disagree on that clock; see `clocks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.errors import SourceError
from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, Batch, Task, judged
from vitalwatch.readers.clocks import agreed_clock
from vitalwatch.reading import ACCEPTED, RANK, Reject, Rows, explain
from vitalwatch.tables import MINUTE, Floats, Times

TIMES = ("Time", "ActivityMinute", "ActivityHour", "date")
COLUMNS = {"Value": "heart_rate", "HeartRate": "heart_rate", "Steps": "steps", "Intensity": "intensity"}
WIDE = re.compile(r"(Steps|Intensity)([0-5][0-9])")
UNUSED = {"SleepDay": "a day's sleep", "ActivityDate": "a day's activity", "WeightKg": "weight",
          "Calories": "calories", "METs": "energy", "StepTotal": "steps by the hour",
          "TotalIntensity": "intensity by the hour"}  # fmt: skip
FORMATS_OF_TIME = ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")
LOCAL_NOTE = "Times carry no zone: they were read as the wearer's local clock (utc_offset 0)."
# Of the reserve, of the classes sedentary, light (1.5 to 3 METs), moderate (to 6) and vigorous (taken to 9; Garber
# 2011, 10.1249/MSS.0b013e318213fefb): (METs - 1) / 10 of their middles. Thirds told twice the effort of steps.
SHARES = (0.0, 0.125, 0.35, 0.65)
INTENSITY_NOTE = "Intensity classes 0 to 3 were read as shares 0, 0.125, 0.35 and 0.65 of the most there is."


@dataclass
class _Wearer:
    """The tables of one person: kind -> parts; a part is (local ms, column -> values)."""

    seconds: list[tuple[Times, Floats]] = field(default_factory=list)
    minutes: list[tuple[Times, Mapping[str, Floats]]] = field(default_factory=list)


def recognises(path: Path) -> bool:
    """Return whether this is a Fitbit table, or a folder that holds one."""
    if path.is_dir():
        return any(_kind(_header(file)) for file in _files(path))
    return bool(_kind(_header(path)))


def read(task: Task) -> Iterator[Batch]:
    """Yield all tables of a file or folder, person by person, with the clocks of their tables brought together.

    Tables are held in memory until all are read (12 bytes a value), because the clocks are compared across files.
    """
    wearers: dict[str, _Wearer] = {}
    notes = [LOCAL_NOTE]
    beats = False
    for file in _files(task.path):
        names = _header(file)
        kind = _kind(names)
        if kind in ("seconds", "minutes", "wide", "sleep"):
            beats = beats or "Value" in names or "HeartRate" in names
            notes += [INTENSITY_NOTE] if any("Intensity" in name for name in names) else []
            yield from _load(file, kind, names, task, wearers)
        else:
            notes.append(f"{file.name}: {kind or 'a table of another kind'}, not used.")
    if not beats:
        hint = "Add heartrate_seconds_merged.csv of the same export to the folder."
        raise SourceError(str(task.path), "has no table with heart rate", hint)
    for person, wearer in sorted(wearers.items()):
        yield from _emit(person, wearer, task)
    yield Batch(NO_ROWS, notes=tuple(dict.fromkeys(notes)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.name.lower().endswith((".csv", ".csv.gz")))


def _header(path: Path) -> list[str]:
    try:
        return text.header(path)
    except SourceError:
        return []


def _kind(names: list[str]) -> str:
    """Return seconds, minutes, wide, sleep, or what an unused table holds; empty if this is no Fitbit table."""
    if not names or names[0] != "Id":
        return ""
    for name, about in UNUSED.items():
        if name in names and not {"HeartRate", "Steps"} & set(names):
            return about
    if names[1:] == ["Time", "Value"]:
        return "seconds"
    if names[1:3] == ["date", "value"]:
        return "sleep"
    if len(names) > 2 and names[1] == "ActivityHour" and WIDE.fullmatch(names[2]):
        return "wide"
    if len(names) > 2 and names[1] in TIMES and {"HeartRate", "Steps", "Intensity"} & set(names):
        return "minutes"
    return ""


def _load(file: Path, kind: str, names: list[str], task: Task, wearers: dict[str, _Wearer]) -> Iterator[Batch]:
    """Type a table and add it to its wearers; yield what could not be typed."""
    for table, before, ragged in text.text_tables(file, names, names=names):
        time, bad_time = local_times(table.column(names[1]))
        keys = np.where(bad_time, np.uint16(RANK["bad_timestamp"] * 256), ACCEPTED)
        values: dict[str, Floats] = {}
        for name in names[2:]:
            column = {"value": "sleep"}.get(name) if kind == "sleep" else COLUMNS.get(name)
            if kind == "wide" or column:
                values[name], ranks, rows = text.text_numbers(table.column(name))
                ours = column or COLUMNS[str(WIDE.fullmatch(name)[1])]  # type: ignore[index]
                text.text_keys(keys, ranks, rows, text.place_of(task.schema, ours))
        bad = np.flatnonzero(keys != ACCEPTED)
        if len(bad) or ragged:
            yield _untyped(file, table, keys, bad, before, ragged, task, 60 if kind == "wide" else 1)
        good = np.flatnonzero(keys == ACCEPTED)
        people, codes = _people(table.column("Id"))
        for place, person in enumerate(people):
            rows = good[codes[good] == place]
            _add(wearers.setdefault(person, _Wearer()), kind, time[rows], {n: v[rows] for n, v in values.items()})


def _add(wearer: _Wearer, kind: str, time: Times, values: Mapping[str, Floats]) -> None:
    if kind == "seconds":
        wearer.seconds.append((time, values["Value"]))
    elif kind == "wide":
        minutes = (time[:, None] + MINUTE * np.arange(len(values))).ravel()
        column = COLUMNS[str(WIDE.fullmatch(next(iter(values)))[1])]  # type: ignore[index]
        wearer.minutes.append((minutes, {column: _share(column, np.stack(list(values.values()), 1).ravel())}))
    elif kind == "sleep":
        asleep = np.where(np.isnan(values["value"]), np.nan, values["value"] == 1).astype(np.float32)  # 2, 3: awake
        wearer.minutes.append((time, {"sleep": asleep}))
    else:
        wearer.minutes.append((time, {COLUMNS[name]: _share(COLUMNS[name], v) for name, v in values.items()}))


def _share(column: str, values: Floats) -> Floats:
    if column != "intensity":
        return values
    return np.interp(values, range(len(SHARES)), SHARES, left=-1.0, right=np.nan).astype(np.float32)


def local_times(column: Any) -> tuple[Times, NDArray[np.bool_]]:
    """Return (local clock in ms, where it could not be read) of ISO or US times with AM/PM, without zone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.combine_chunks()
    time, bad = np.zeros(len(column), np.int64), np.ones(len(column), np.bool_)
    for form in FORMATS_OF_TIME:
        found = pc.strptime(column, format=form, unit="ms", error_is_null=True)
        valid = found.is_valid().to_numpy(zero_copy_only=False) & bad
        moments = found.cast(pa.int64()).fill_null(0).to_numpy()
        time[valid], bad[valid] = moments[valid], False
        if not bad.any():
            break
    return time, bad


def _untyped(
    file: Path,
    table: Any,
    keys: NDArray[np.uint16],
    bad: NDArray[np.intp],
    before: int,
    ragged: list[Reject],
    task: Task,
    readings: int,
) -> Batch:
    rejects, refused = list(ragged), {"ragged_row": len(ragged) * readings} if ragged else {}
    for row in bad.tolist():
        why = explain(int(keys[row]), task.schema)
        line = ",".join(str(table.column(name)[row].as_py()) for name in table.column_names)
        rejects.append(Reject(str(file), f"row {before + row + 2}", why.reason, why.detail, line.encode(), "line"))
        refused[why.reason] = refused.get(why.reason, 0) + readings
    return Batch(NO_ROWS, sum(refused.values()), refused, rejects)


def _people(column: Any) -> tuple[list[str], NDArray[np.int32]]:
    coded = column.combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy()


def _emit(person: str, wearer: _Wearer, task: Task) -> Iterator[Batch]:
    """Yield one person's readings; heart rate is moved to the clock of the minute tables where they disagree."""
    seconds = np.concatenate([time for time, _ in wearer.seconds]) if wearer.seconds else np.zeros(0, np.int64)
    beats = np.concatenate([rate for _, rate in wearer.seconds]) if wearer.seconds else np.zeros(0, np.float32)
    notes: list[str] = []
    if len(seconds) and wearer.minutes:
        hours, notes = agreed_clock(person, seconds, beats, wearer.minutes)
        seconds = seconds - hours * 3_600_000
    for start in range(0, len(seconds), task.chunk_rows):
        rows = slice(start, start + task.chunk_rows)
        yield _batch(person, seconds[rows], {"heart_rate": beats[rows]}, task, "seconds", start)
    covered = np.unique(seconds // MINUTE) if len(seconds) else seconds
    for time, values in wearer.minutes:
        if "heart_rate" in values and len(covered):  # the seconds say it better
            double = np.isin(time // MINUTE, covered)
            values = {**values, "heart_rate": np.where(double, np.float32(np.nan), values["heart_rate"])}
        for start in range(0, len(time), task.chunk_rows):
            rows = slice(start, start + task.chunk_rows)
            yield _batch(person, time[rows], {n: v[rows] for n, v in values.items()}, task, "minutes", start)
    if notes:
        yield Batch(NO_ROWS, notes=notes)


def _batch(person: str, time: Times, values: Mapping[str, Floats], task: Task, table: str, before: int) -> Batch:
    n = len(time)
    rows = Rows((person,), np.zeros(n, np.int32), time, np.zeros(n, np.int16), values)
    where = f"{task.path} ({table})"
    return judged(rows, task, source=where, position=lambda row: f"reading {before + row + 1}")

"""Numerics of bedside monitors in WFDB records (.hea and .dat), such as the MIMIC databases; 0.0 means "no signal"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.errors import SourceError
from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, NOMINAL_START, Batch, Task, judged
from vitalwatch.reading import Rows
from vitalwatch.tables import Doubles

# Our column -> signal names by preference, as found in MIMIC; a unit that does not fit leaves the signal out.
SIGNALS = {
    "heart_rate": ("HR", "PULSE"),
    "oxygen_saturation": ("SpO2", "SPO2", "%SpO2"),
    "respiratory_rate": ("RESP", "RR"),
    "body_temperature": ("Temp", "TEMP", "T1"),
    "blood_pressure_systolic": ("ABPSys", "ABP Sys", "ABP SYS", "NBPSys", "NBP Sys", "NBP SYS"),
    "blood_pressure_diastolic": ("ABPDias", "ABP Dias", "ABP DIAS", "NBPDias", "NBP Dias", "NBP DIAS"),
}
UNITS = {
    "heart_rate": ("bpm",),
    "oxygen_saturation": ("%",),
    "respiratory_rate": ("pm", "bpm", "/min", "resp/min"),
    "body_temperature": ("degC", "C", "deg C"),
    "blood_pressure_systolic": ("mmHg",),
    "blood_pressure_diastolic": ("mmHg",),
}
_FIRST = re.compile(rb"[\w./-]+ +[0-9]+ +[0-9.]+")


def recognises(path: Path) -> bool:
    """Return whether this is a WFDB header, or a folder that holds one."""
    if path.is_dir():
        return next(path.rglob("*.hea"), None) is not None
    return path.suffix == ".hea" and _FIRST.match(text.head(path)) is not None


def read(task: Task) -> Iterator[Batch]:
    """Yield one batch a record; the folder that holds a record is the person."""
    headers = sorted(task.path.rglob("*.hea")) if task.path.is_dir() else [task.path]
    beats = False
    for header in headers:
        record = _record(header)
        signals, notes = _signals(record, header)
        if not signals:
            yield Batch(NO_ROWS, notes=(f"{header.name}: no vital sign by name and unit, not used.",))
            continue
        beats = beats or "heart_rate" in signals
        yield from _batches(record, signals, header, task, notes)
    if not beats:
        hint = f"Known names: {', '.join(SIGNALS['heart_rate'])} in bpm."
        raise SourceError(str(task.path), "has no signal with heart rate", hint)


def _record(header: Path) -> Any:
    import wfdb

    try:
        return wfdb.rdrecord(str(header.with_suffix("")))
    except FileNotFoundError as error:
        missing = Path(error.filename or "").name
        raise SourceError(
            str(header), f"its signal file {missing} is missing", "Copy all files of the record."
        ) from None
    except (ValueError, IndexError, KeyError, OSError):
        raise SourceError(str(header), "is not a readable WFDB record", "Copy or download it again.") from None


def _signals(record: Any, header: Path) -> tuple[dict[str, Doubles], list[str]]:
    """Return our columns, with a signal's second name where the first has none, and notes on what was left out."""
    taken: set[str] = set()
    columns: dict[str, Doubles] = {}
    notes = []
    for ours, names in SIGNALS.items():
        for name in (name for name in names if name in (record.sig_name or ())):
            place = record.sig_name.index(name)
            taken.add(name)
            if record.units[place] not in UNITS[ours]:
                notes.append(f"{header.name}: {name} is in another unit than {UNITS[ours][0]}, not used.")
                continue
            signal = np.asarray(record.p_signal[:, place], np.float64)
            signal = np.where(signal == 0.0, np.nan, signal)
            columns[ours] = np.where(np.isnan(columns[ours]), signal, columns[ours]) if ours in columns else signal
    left = [name for name in record.sig_name or () if name not in taken]
    return columns, [*notes, *([f"{header.name}: not used: {', '.join(left)}."] if left else [])]


def _batches(record: Any, signals: dict[str, Doubles], header: Path, task: Task, notes: list[str]) -> Iterator[Batch]:
    n = len(record.p_signal)
    start, told = NOMINAL_START, record.base_datetime
    if told is not None and 1970 <= told.year <= 2199:
        start = int(np.datetime64(told.replace(tzinfo=None), "ms").astype(np.int64))
    if told is None or not 1970 <= told.year <= 2199 or start > task.now_ms:
        # dates are moved into the future to protect patients; the time of day is kept
        clock = (told.hour * 60 + told.minute) * 60_000 + told.second * 1000 if told is not None else 0
        start = NOMINAL_START + clock
        notes.append(f"{header.name}: its date is unknown or moved; the record was set to 2000-01-01.")
    time = start + np.round(np.arange(n) * (1000.0 / record.fs)).astype(np.int64)
    person = header.parent.name if header.parent.name else header.stem
    for begin in range(0, n, task.chunk_rows):
        part = slice(begin, begin + task.chunk_rows)
        size = len(time[part])
        values = {name: column[part].astype(np.float32) for name, column in signals.items()}
        rows = Rows((person,), np.zeros(size, np.int32), time[part], np.zeros(size, np.int16), values)
        yield judged(rows, task, source=str(header), notes=notes, position=_position(begin))
        notes = []


def _position(begin: int) -> Callable[[int], str]:
    return lambda row: f"sample {begin + row + 1}"

"""PhysioNet/CinC Challenge 2012 (doi 10.13026/C23W2R): one file a stay, lines of Time,Parameter,Value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, NOMINAL_START, Batch, Task, judged
from vitalwatch.reading import REASONS, Reject, Rows, number
from vitalwatch.schema import Limit
from vitalwatch.tables import MINUTE, Profile

HEADER = b"Time,Parameter,Value"
# Invasive pressures come first: where both were taken at one time, the arterial line is kept with the first reading.
COLUMNS = {
    "HR": "heart_rate",
    "SaO2": "oxygen_saturation",
    "RespRate": "respiratory_rate",
    "Temp": "body_temperature",
    "SysABP": "blood_pressure_systolic",
    "NISysABP": "blood_pressure_systolic",
    "DiasABP": "blood_pressure_diastolic",
    "NIDiasABP": "blood_pressure_diastolic",
}
INVASIVE = frozenset(("SysABP", "DiasABP"))
SEX = {0.0: "female", 1.0: "male"}
NOTES = (
    "Times are hours since admission: 00:00 was set to 2000-01-01T00:00Z, so the hour of the day means nothing.",
    "A reading is what was measured at one time of a stay; -1 was read as unknown; laboratory values were not used.",
)
OUTCOMES_NOTE = "Outcomes-a.txt lies beside it: deaths in hospital are no episodes and were not used."


def recognises(path: Path) -> bool:
    """Return whether this is a file of the challenge, or a folder or archive of them."""
    if path.is_dir():
        unpacked = any(text.head(file).startswith(HEADER) for file in sorted(path.rglob("*.txt"))[:3])
        return unpacked or text.archived(path, ".txt")
    start = text.head(path)
    if start.startswith(b"PK"):
        return any(name.endswith(".txt") for name in text.names_in(path))
    return start.startswith(HEADER)


def read(task: Task) -> Iterator[Batch]:
    """Yield the stays; many small files make one batch."""
    stays: list[_Stay] = []
    rows = 0
    for name, data in text.members(task.path, ".txt"):
        if data.startswith(HEADER):
            stays.append(_Stay(name, data, task))
            rows += len(stays[-1].readings)
        if rows >= task.chunk_rows:
            yield _batch(stays, task)
            stays, rows = [], 0
    yield _batch(stays, task)
    folder = task.path if task.path.is_dir() else task.path.parent
    yield Batch(NO_ROWS, notes=(*NOTES, *((OUTCOMES_NOTE,) if (folder / "Outcomes-a.txt").is_file() else ())))


class _Stay:
    """The lines of one stay, put together by time."""

    def __init__(self, name: str, data: bytes, task: Task) -> None:
        self.person = Path(name).stem
        self.facts: dict[str, float] = {}
        self.rejects: list[Reject] = []
        # (minute since admission, the how-manieth of that minute) -> column -> value
        self.readings: dict[tuple[int, int], dict[str, float]] = {}
        for place, line in enumerate(data.decode("utf-8", "replace").splitlines()[1:], start=2):
            reason = self._line(line)
            if reason:
                where = f"{name}, line {place}"
                raw = line.encode()
                self.rejects.append(Reject(str(task.path), where, reason, REASONS[reason], raw, "line"))

    def _line(self, line: str) -> str:
        cells = line.split(",")
        if len(cells) != 3:
            return "ragged_row"
        clock, parameter, cell = cells
        if parameter == "RecordID":
            self.person = cell
            return ""
        column = COLUMNS.get(parameter)
        if column is None and parameter not in ("Age", "Gender", "Height", "Weight"):
            return ""
        value = number(cell)
        if isinstance(value, str):
            return value
        if column is None:
            self.facts.setdefault(parameter, value)
            return ""
        hours, _, minutes = clock.partition(":")
        if not (hours.isdecimal() and minutes.isdecimal() and len(hours) <= 3 and int(minutes) < 60):
            return "bad_timestamp"
        if value != -1:
            self._put(int(hours) * 60 + int(minutes), column, value, parameter in INVASIVE)
        return ""

    def _put(self, minute: int, column: str, value: float, invasive: bool) -> None:
        """Set the value; a second one of the same minute makes a second reading, the arterial line's stays first."""
        turn = 0
        while column in (reading := self.readings.setdefault((minute, turn), {})):
            if invasive:
                reading[column], value = value, reading[column]
                invasive = False
            turn += 1
        reading[column] = value

    def profile(self, task: Task) -> Profile:
        """Return the facts of the stay; what is out of range is unknown."""
        rule = task.schema.profile

        def known(name: str, limit: Limit) -> float:
            value = self.facts.get(name, math.nan)
            return value if limit.possible[0] <= value <= limit.possible[1] else math.nan

        sex = SEX.get(self.facts.get("Gender", -1.0), "unknown")
        return Profile(
            self.person, known("Age", rule.age), sex, known("Height", rule.height), known("Weight", rule.weight)
        )


def _batch(stays: list[_Stay], task: Task) -> Batch:
    names = tuple(dict.fromkeys(COLUMNS.values()))
    lengths = [len(stay.readings) for stay in stays]
    minutes = np.array([minute for stay in stays for minute, _ in sorted(stay.readings)], np.int64)
    ordered = [stay.readings[key] for stay in stays for key in sorted(stay.readings)]
    values = {name: np.array([one.get(name, math.nan) for one in ordered], np.float32) for name in names}
    person = np.repeat(np.arange(len(stays), dtype=np.int32), lengths)
    people = tuple(stay.person for stay in stays)
    rows = Rows(people, person, NOMINAL_START + minutes * MINUTE, np.zeros(len(minutes), np.int16), values)
    early = [reject for stay in stays for reject in stay.rejects]
    return judged(
        rows,
        task,
        source=str(task.path),
        position=lambda row: f"{people[person[row]]}, minute {minutes[row]}",
        early=early,
        profiles=[stay.profile(task) for stay in stays],
    )

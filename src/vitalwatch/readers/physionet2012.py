"""PhysioNet/CinC Challenge 2012 (doi 10.13026/C23W2R): one file a stay, lines of Time,Parameter,Value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, NOMINAL_START, Batch, Task, judged
from vitalwatch.reading import REASONS, Reject, Rows, number
from vitalwatch.schema import Limit
from vitalwatch.tables import MINUTE, CareRows, Outcome, Profile

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
# Where two names mean one thing, the first measured of an hour and the second count alike.
CARE = {
    "MAP": "blood_pressure_mean",
    "NIMAP": "blood_pressure_mean",
    "GCS": "gcs",
    "Urine": "urine",
    "MechVent": "ventilated",
    "FiO2": "fio2",
    "pH": "ph",
    "PaCO2": "paco2",
    "PaO2": "pao2",
    "HCT": "hematocrit",
    "K": "potassium",
    "Na": "sodium",
    "Platelets": "platelets",
    "Creatinine": "creatinine",
    "BUN": "bun",
    "Mg": "magnesium",
    "HCO3": "bicarbonate",
    "Glucose": "glucose",
    "WBC": "wbc",
    "Lactate": "lactate",
    "Bilirubin": "bilirubin",
    "AST": "ast",
    "ALT": "alt",
    "ALP": "alkaline_phosphatase",
    "Albumin": "albumin",
    "TroponinT": "troponin_t",
    "TroponinI": "troponin_i",
    "Cholesterol": "cholesterol",
}
DEATHS = "Outcomes-a.txt"
INVASIVE = frozenset(("SysABP", "DiasABP"))
SEX = {0.0: "female", 1.0: "male"}
NOTES = (
    "Times are hours since admission: 00:00 was set to 2000-01-01T00:00Z, so the hour of the day means nothing.",
    "A reading is what was measured at one time of a stay; -1 was read as unknown.",
    "Laboratory values, consciousness, urine and ventilation serve the early warning alone.",
)
OUTCOMES_NOTE = f"{DEATHS} lies beside it: deaths in hospital are no episodes; they teach the early warning."


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
    folder = task.path if task.path.is_dir() else task.path.parent
    died = _deaths(folder / DEATHS)
    for name, data in text.members(task.path, ".txt"):
        if data.startswith(HEADER):
            stays.append(_Stay(name, data, task))
            rows += len(stays[-1].readings)
        if rows >= task.chunk_rows:
            yield _batch(stays, task, died)
            stays, rows = [], 0
    yield _batch(stays, task, died)
    yield Batch(NO_ROWS, notes=(*NOTES, *((OUTCOMES_NOTE,) if died else ())))


def _deaths(path: Path) -> dict[str, bool]:
    """Return stay -> whether it ended in death, as the file says; other lines are left out."""
    if not path.is_file():
        return {}
    lines = path.read_text("utf-8", "replace").splitlines()
    names = lines[0].split(",") if lines else []
    if "In-hospital_death" not in names:
        return {}
    place = names.index("In-hospital_death")
    told = [cells for line in lines[1:] if len(cells := line.split(",")) == len(names)]
    return {cells[0]: cells[place].strip() == "1" for cells in told if cells[place].strip() in ("0", "1")}


class _Stay:
    """The lines of one stay, put together by time."""

    def __init__(self, name: str, data: bytes, task: Task) -> None:
        self.person = Path(name).stem
        self.facts: dict[str, float] = {}
        self.rejects: list[Reject] = []
        # (minute since admission, the how-manieth of that minute) -> column -> value
        self.readings: dict[tuple[int, int], dict[str, float]] = {}
        self.care: list[tuple[int, str, float]] = []  # minute, our name, value
        self.unreadable = 0
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
        if parameter in CARE:
            self._beside(clock, CARE[parameter], cell)
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
        minute = _minute(clock)
        if minute is None:
            return "bad_timestamp"
        if value != -1:
            self._put(minute, column, value, parameter in INVASIVE)
        return ""

    def _beside(self, clock: str, name: str, cell: str) -> None:
        value, minute = number(cell), _minute(clock)
        if isinstance(value, str) or minute is None:
            self.unreadable += 1
        elif value != -1:
            self.care.append((minute, name, value))

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


def _minute(clock: str) -> int | None:
    """Return minutes since admission, None where the text is no time."""
    hours, _, minutes = clock.partition(":")
    right = hours.isdecimal() and minutes.isdecimal() and len(hours) <= 3 and int(minutes) < 60
    return int(hours) * 60 + int(minutes) if right else None


def _batch(stays: list[_Stay], task: Task, died: Mapping[str, bool]) -> Batch:
    names = tuple(dict.fromkeys(COLUMNS.values()))
    lengths = [len(stay.readings) for stay in stays]
    minutes = np.array([minute for stay in stays for minute, _ in sorted(stay.readings)], np.int64)
    ordered = [stay.readings[key] for stay in stays for key in sorted(stay.readings)]
    values = {name: np.array([one.get(name, math.nan) for one in ordered], np.float32) for name in names}
    person = np.repeat(np.arange(len(stays), dtype=np.int32), lengths)
    people = tuple(stay.person for stay in stays)
    rows = Rows(people, person, NOMINAL_START + minutes * MINUTE, np.zeros(len(minutes), np.int16), values)
    early = [reject for stay in stays for reject in stay.rejects]
    batch = judged(
        rows,
        task,
        source=str(task.path),
        position=lambda row: f"{people[person[row]]}, minute {minutes[row]}",
        early=early,
        profiles=[stay.profile(task) for stay in stays],
    )
    outcomes = [Outcome(name, "death_in_hospital", died[name]) for name in people if name in died]
    return replace(batch, care=_care(stays, task), outcomes=outcomes)


def _care(stays: list[_Stay], task: Task) -> CareRows:
    names = {name: place for place, name in enumerate(task.schema.care)}
    told = [(code, *one) for code, stay in enumerate(stays) for one in stay.care if one[1] in names]
    told += [(code, 0, name, 0.0) for code, _ in enumerate(stays) for name in ("icu_hours",) if name in names]
    what = np.array([names[name] for _, _, name, _ in told], np.int16)
    value = np.array([value for *_, value in told], np.float32)
    low, high = np.array([rule.possible for rule in task.schema.care.values()] or [(0.0, 0.0)]).T
    right = (value >= low[what]) & (value <= high[what])
    person = np.array([code for code, *_ in told], np.int32)
    time = NOMINAL_START + np.array([minute for _, minute, *_ in told], np.int64) * MINUTE
    dropped = int((~right).sum()) + sum(stay.unreadable for stay in stays)
    people = tuple(stay.person for stay in stays)
    return CareRows(people, person[right], time[right], what[right], value[right], dropped)

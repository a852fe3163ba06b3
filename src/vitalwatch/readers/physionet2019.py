"""PhysioNet/CinC Challenge 2019 (Reyna et al. 2020, doi 10.13026/v64v-d857): a `|`-separated file a patient, hourly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.errors import SourceError
from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, NOMINAL_START, Batch, Task, care_rows, judged
from vitalwatch.reading import ACCEPTED, Rows
from vitalwatch.tables import CareRows, Event, Floats, Outcome, Profile, Times

HOUR = 3_600_000
COLUMNS = {
    "heart_rate": "HR",
    "oxygen_saturation": "O2Sat",
    "respiratory_rate": "Resp",
    "body_temperature": "Temp",
    "blood_pressure_systolic": "SBP",
    "blood_pressure_diastolic": "DBP",
}
CARE = {
    "blood_pressure_mean": "MAP",
    "etco2": "EtCO2",
    "base_excess": "BaseExcess",
    "bicarbonate": "HCO3",
    "fio2": "FiO2",
    "ph": "pH",
    "paco2": "PaCO2",
    "sao2": "SaO2",
    "ast": "AST",
    "bun": "BUN",
    "alkaline_phosphatase": "Alkalinephos",
    "calcium": "Calcium",
    "chloride": "Chloride",
    "creatinine": "Creatinine",
    "bilirubin_direct": "Bilirubin_direct",
    "glucose": "Glucose",
    "lactate": "Lactate",
    "magnesium": "Magnesium",
    "phosphate": "Phosphate",
    "potassium": "Potassium",
    "bilirubin": "Bilirubin_total",
    "troponin_i": "TroponinI",
    "hematocrit": "Hct",
    "hemoglobin": "Hgb",
    "ptt": "PTT",
    "wbc": "WBC",
    "fibrinogen": "Fibrinogen",
    "platelets": "Platelets",
}
BEFORE_ICU = "HospAdmTime"  # hours between admission to the hospital and to intensive care, below 0
OTHERS = ("Age", "Gender", "ICULOS", "SepsisLabel")
SEX: dict[float, str] = {0: "female", 1: "male"}
NOTES = (
    "Times are hours since admission: hour 1 was set to 2000-01-01T00:00Z, so the hour of the day means nothing.",
    "Sepsis episodes run from the first to the last hour with SepsisLabel 1, which begins 6 h before onset.",
    "Laboratory values, mean pressure and hours since admission serve the early warning alone.",
)


def recognises(path: Path) -> bool:
    """Return whether this is a .psv file with the challenge's columns, or a folder or archive of them."""
    if path.is_dir():
        first = next(path.rglob("*.psv"), None)
        return text.archived(path, ".psv") if first is None else recognises(first)
    start = text.head(path)
    if start.startswith(b"PK"):
        return any(name.endswith(".psv") for name in text.names_in(path))
    return start.startswith(b"HR|O2Sat|Temp")


def read(task: Task) -> Iterator[Batch]:
    """Yield the patients; many small files make one batch."""
    import pyarrow as pa

    tables: list[Any] = []
    people: list[str] = []
    rows = 0
    for name, data in text.members(task.path, ".psv"):
        table = _table(task.path / name, data)
        tables.append(table)
        people.append(Path(name).stem)
        rows += len(table)
        if rows >= task.chunk_rows:
            yield _batch(pa.concat_tables(tables), [len(one) for one in tables], people, task)
            tables, people, rows = [], [], 0
    if tables:
        yield _batch(pa.concat_tables(tables), [len(one) for one in tables], people, task)
    yield Batch(NO_ROWS, notes=NOTES)


def _table(name: Path, data: bytes) -> Any:
    """Return one patient's wanted columns as text; cells with `NaN` become empty."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv

    needed, more = [*COLUMNS.values(), *OTHERS], [*CARE.values(), BEFORE_ICU]
    there = set(data[: data.find(b"\n") if b"\n" in data else None].decode("utf-8", "replace").strip().split("|"))
    wanted = [*needed, *(name for name in more if name in there)]
    options = csv.ConvertOptions(
        column_types={column: pa.string() for column in wanted}, include_columns=wanted, strings_can_be_null=False
    )
    try:
        table = csv.read_csv(
            pa.BufferReader(data), csv.ReadOptions(use_threads=False), csv.ParseOptions(delimiter="|"), options
        )
    except (pa.ArrowException, KeyError):
        hint = f"It must have these columns, separated by '|': {', '.join(needed)}."
        raise SourceError(str(name), "is not a file of the 2019 challenge", hint) from None
    columns = [pc.if_else(pc.equal(column, "NaN"), "", column) for column in table.columns]
    found = dict(zip(wanted, columns, strict=True))
    nothing = pa.array([""] * len(table), pa.string())
    return pa.table({name: found.get(name, nothing) for name in (*needed, *more)})


def _batch(table: Any, lengths: list[int], people: list[str], task: Task) -> Batch:
    keys = np.full(len(table), ACCEPTED)
    numbers: dict[str, Floats] = {}
    for name, theirs in (*COLUMNS.items(), *zip(OTHERS, OTHERS, strict=True)):
        numbers[name], ranks, refused = text.text_numbers(table.column(theirs))
        place = text.place_of(task.schema, name) if name in COLUMNS else 0
        text.text_keys(keys, ranks, refused, place)
    person = np.repeat(np.arange(len(people), dtype=np.int32), lengths)
    time = NOMINAL_START + (np.nan_to_num(numbers["ICULOS"], nan=1.0).astype(np.int64) - 1) * HOUR
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)
    profiles = [
        _profile(name, numbers["Age"][start], numbers["Gender"][start], task)
        for name, start, length in zip(people, starts, lengths, strict=True)
        if length
    ]
    sick = np.flatnonzero(numbers["SepsisLabel"] == 1)
    events = []
    for code in np.unique(person[sick]):
        hours = time[sick[person[sick] == code]]
        events.append(Event(people[code], "sepsis", int(hours.min()), int(hours.max()) + HOUR))
    values = {name: numbers[name] for name in COLUMNS}
    rows = Rows(tuple(people), person, time, np.zeros(len(time), np.int16), values)
    batch = judged(
        rows,
        task,
        source=str(task.path),
        keys=keys,
        position=lambda row: f"{people[person[row]]}, row {row - starts[person[row]] + 2}",
        profiles=profiles,
        events=events,
    )
    septic = {event.person for event in events}
    outcomes = [Outcome(name, "sepsis", name in septic) for name in people]
    return replace(batch, care=_care(table, numbers["ICULOS"], people, person, time, task), outcomes=outcomes)


def _care(
    table: Any, hours: Floats, people: list[str], person: NDArray[np.int32], time: Times, task: Task
) -> CareRows | None:
    """Return laboratory values and hours since both admissions; nothing where the schema knows no such things."""
    columns, dropped = {}, 0
    for name, theirs in CARE.items():
        if name in task.schema.care:
            columns[name], _, refused = text.text_numbers(table.column(theirs))
            dropped += len(refused)
    if "icu_hours" in task.schema.care and "hospital_hours" in task.schema.care:
        before, _, _ = text.text_numbers(table.column(BEFORE_ICU))
        columns |= {"icu_hours": hours, "hospital_hours": hours - before}
    return care_rows(people, person, time, columns, task.schema, dropped) if columns else None


def _profile(person: str, age: float, sex: float, task: Task) -> Profile:
    low, high = task.schema.profile.age.possible
    return Profile(person, float(age) if low <= age <= high else float("nan"), SEX.get(sex, "unknown"))

"""PhysioNet/CinC Challenge 2019 (Reyna et al. 2020, doi 10.13026/v64v-d857): a `|`-separated file a patient, hourly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.errors import SourceError
from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, NOMINAL_START, Batch, Task, judged
from vitalwatch.reading import ACCEPTED, Rows
from vitalwatch.tables import Event, Floats, Profile

HOUR = 3_600_000
COLUMNS = {
    "heart_rate": "HR",
    "oxygen_saturation": "O2Sat",
    "respiratory_rate": "Resp",
    "body_temperature": "Temp",
    "blood_pressure_systolic": "SBP",
    "blood_pressure_diastolic": "DBP",
}
OTHERS = ("Age", "Gender", "ICULOS", "SepsisLabel")
SEX: dict[float, str] = {0: "female", 1: "male"}
NOTES = (
    "Times are hours since admission: hour 1 was set to 2000-01-01T00:00Z, so the hour of the day means nothing.",
    "Sepsis episodes run from the first to the last hour with SepsisLabel 1, which begins 6 h before onset.",
    "Laboratory values, mean pressure and EtCO2 were not used.",
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

    wanted = [*COLUMNS.values(), *OTHERS]
    options = csv.ConvertOptions(
        column_types={column: pa.string() for column in wanted}, include_columns=wanted, strings_can_be_null=False
    )
    try:
        table = csv.read_csv(
            pa.BufferReader(data), csv.ReadOptions(use_threads=False), csv.ParseOptions(delimiter="|"), options
        )
    except (pa.ArrowException, KeyError):
        hint = f"It must have these columns, separated by '|': {', '.join(wanted)}."
        raise SourceError(str(name), "is not a file of the 2019 challenge", hint) from None
    columns = [pc.if_else(pc.equal(column, "NaN"), "", column) for column in table.columns]
    return pa.table(dict(zip(wanted, columns, strict=True)))


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
    return judged(
        rows,
        task,
        source=str(task.path),
        keys=keys,
        position=lambda row: f"{people[person[row]]}, row {row - starts[person[row]] + 2}",
        profiles=profiles,
        events=events,
    )


def _profile(person: str, age: float, sex: float, task: Task) -> Profile:
    low, high = task.schema.profile.age.possible
    return Profile(person, float(age) if low <= age <= high else float("nan"), SEX.get(sex, "unknown"))

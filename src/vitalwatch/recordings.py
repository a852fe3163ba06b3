"""The tables that stages hand each other, as Parquet files: readings, profiles and events.

Every page carries a checksum that is verified on reading (without it a flipped bit is a wrong vital, in silence), and
every file appears whole or not at all.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.errors import SourceError, StoreError
from vitalwatch.schema import Schema
from vitalwatch.tables import Event, Profile, Readings

GROUP_ROWS = 100_000  # persons are packed into a row group until it holds this many rows
DAMAGED = "Make it again with the stage that wrote it, or restore it from a copy."
PARQUET = {"compression": "zstd", "compression_level": 1, "write_page_checksum": True}

PASSING = (".tmp-", ".ingest-")  # names that `store.temporary` and `ingest` give
IMPOSSIBLE = (errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EIO, errno.ENODEV, errno.ENXIO)


@contextmanager
def storing(where: Path) -> Iterator[None]:
    """Turn a full disk, a missing permission, an impossible place into a StoreError that names what will last of it."""
    try:
        yield
    except OSError as error:
        where = lasting(where)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(where, "the disk is full", "Free some space, nothing half-written was kept.") from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise StoreError(where, "is no folder, or lies in a file", "Name another folder.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(where, "cannot be written (no permission)", "Name another folder or change it.") from error
        if error.errno in IMPOSSIBLE:
            raise StoreError(where, f"cannot be made or written ({error.strerror})", "Name another folder.") from error
        raise


def lasting(path: Path) -> Path:
    """Return the path up to what a command makes for its own time: nobody finds that afterwards."""
    passing = next((i for i, part in enumerate(path.parts) if part.startswith(PASSING)), len(path.parts))
    return Path(*path.parts[:passing])


def append(blocks: Iterable[NDArray[Any]], folder: Path, name: str, buckets: int) -> None:
    """Append rows to the file `<name>-<bucket>` of their person, so that a bucket of people fits into memory.

    Args:
        blocks: Structured arrays with a whole number `person`.
        folder: Exists.
        name: Of the files, before the bucket.
        buckets: How many.
    """
    for block in blocks:
        bucket = block["person"] % buckets
        for place in np.unique(bucket):
            with (folder / f"{name}-{place}").open("ab") as file:
                block[bucket == place].tofile(file)


def settle(part: Path, path: Path) -> None:
    """Give a written file its name once it is on the disk: a power cut leaves the old file or the new one, whole."""
    for step in (part, path.parent):
        handle = os.open(step, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if step is part:
            part.replace(path)


class ReadingsWriter:
    """Writes readings.parquet, one person after another; the file appears when the block ends without an error.

    Raises:
        StoreError: The disk is full or the folder may not be written.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        self._names = schema.names
        self._people: set[str] = set()
        self._waiting: list[Readings] = []
        self._rows = 0
        self._file: Any = None

    def __enter__(self) -> ReadingsWriter:
        import pyarrow.parquet as pq

        with storing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(self._part, _readings_schema(self._names), **PARQUET)
        return self

    def write(self, readings: Readings) -> None:
        """Add all readings of one person.

        Raises:
            ValueError: The person was written before, or the times decrease.
        """
        if readings.person in self._people:
            raise ValueError(f"{readings.person} was written before: hand over all readings of a person at once")
        if len(readings) and np.any(np.diff(readings.time) < 0):
            raise ValueError(f"{readings.person}: times must not decrease")
        self._people.add(readings.person)
        self._waiting.append(readings)
        self._rows += len(readings)
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            with storing(self._path):
                self._file.write_table(_table(self._waiting, self._names), row_group_size=max(self._rows, 1))
        self._waiting, self._rows = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
            with storing(self._path):
                self._file.close()
                if kind is None:
                    settle(self._part, self._path)
        finally:
            self._part.unlink(missing_ok=True)


def write_readings(path: Path, schema: Schema, people: Iterable[Readings]) -> None:
    """Write all people to readings.parquet at `path`."""
    with ReadingsWriter(path, schema) as writer:
        for readings in people:
            writer.write(readings)


def iter_people(path: Path, schema: Schema, *, only: Collection[str] | None = None) -> Iterator[Readings]:
    """Yield the readings of one person after another, in bounded memory (one row group).

    Args:
        path: A readings.parquet.
        schema: Columns that the file lacks are absent in the readings; others are ignored.
        only: Yield these people alone.

    Raises:
        SourceError: The file is missing, damaged, or a person stands in two row groups.
    """
    seen: set[str] = set()
    with _open(path) as file:
        names = [name for name in schema.names if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            if only is not None and not _holds(file, path, group, only):
                continue
            table = checked(
                path, lambda g=group: file.read_row_group(g, columns=["person", "time", "utc_offset", *names])
            )
            for readings in _split(table, names):
                if readings.person in seen:
                    raise SourceError(str(path), "a person stands in two row groups", DAMAGED)
                seen.add(readings.person)
                if only is None or readings.person in only:
                    yield readings


def people(path: Path) -> list[str]:
    """Return everyone in a readings.parquet, in file order."""
    with _open(path) as file:
        return [person for group in range(file.num_row_groups) for person in _group_people(file, path, group)]


def write_profiles(path: Path, profiles: Iterable[Profile]) -> None:
    """Write profiles.parquet; lists are joined by `;`."""
    import pyarrow as pa

    rows = list(profiles)
    numbers = {name: pa.array([getattr(row, name) for row in rows], pa.float64(), from_pandas=True) for name in NUMBERS}
    texts = {
        "person": [row.person for row in rows],
        "sex": [row.sex for row in rows],
        "conditions": [";".join(row.conditions) for row in rows],
        "medication": [";".join(row.medication) for row in rows],
    }
    arrays = numbers | {name: pa.array(values, pa.string()) for name, values in texts.items()}
    order = ("person", "age", "sex", "height", "weight", "conditions", "medication")
    _write(path, pa.table({name: arrays[name] for name in order}))


def read_profiles(path: Path) -> dict[str, Profile]:
    """Return the profile of each person of a profiles.parquet; empty where there is no such file."""
    return {
        row["person"]: Profile(
            person=row["person"],
            sex=row["sex"] or "unknown",
            conditions=split(row["conditions"]),
            medication=split(row["medication"]),
            **{name: number(row[name]) for name in NUMBERS},
        )
        for row in _rows(path)
    }


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Write events.parquet; `start` and `end` are UTC."""
    import pyarrow as pa

    rows = sorted(events, key=lambda event: (event.person, event.start, event.end, event.kind))
    stamp = pa.timestamp("ms", "UTC")
    _write(
        path,
        pa.table(
            {
                "person": pa.array([row.person for row in rows], pa.string()),
                "kind": pa.array([row.kind for row in rows], pa.string()),
                "start": pa.array([row.start for row in rows], pa.int64()).cast(stamp),
                "end": pa.array([row.end for row in rows], pa.int64()).cast(stamp),
                "magnitude": pa.array([row.magnitude for row in rows], pa.float64(), from_pandas=True),
                "channels": pa.array([";".join(row.channels) for row in rows], pa.string()),
            }
        ),
    )


def read_events(path: Path) -> dict[str, list[Event]]:
    """Return the labelled episodes of each person, oldest first; empty where there is no such file."""
    found: dict[str, list[Event]] = {}
    for row in _rows(path, ("start", "end")):
        event = Event(
            row["person"], row["kind"], row["start"], row["end"], number(row["magnitude"]), split(row["channels"])
        )
        found.setdefault(event.person, []).append(event)
    return {person: sorted(events, key=lambda event: (event.start, event.end)) for person, events in found.items()}


NUMBERS = ("age", "height", "weight")


def split(text: str | None) -> tuple[str, ...]:
    """Return the parts of a `;`-joined cell."""
    return tuple(part for part in (text or "").split(";") if part)


def number(value: float | None) -> float:
    """Return the number, NaN for an empty cell."""
    return float("nan") if value is None else float(value)


def _readings_schema(names: tuple[str, ...]) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("person", pa.dictionary(pa.int32(), pa.string())),
            ("time", pa.timestamp("ms", "UTC")),
            ("utc_offset", pa.int16()),
            *((name, pa.float32()) for name in names),
        ]
    )


def _table(people: list[Readings], names: tuple[str, ...]) -> Any:
    import pyarrow as pa

    codes = np.repeat(np.arange(len(people), dtype=np.int32), [len(readings) for readings in people])
    arrays = [
        pa.DictionaryArray.from_arrays(
            pa.array(codes), pa.array([readings.person for readings in people], pa.string())
        ),
        pa.array(np.concatenate([readings.time for readings in people])).cast(pa.timestamp("ms", "UTC")),
        pa.array(np.concatenate([readings.offset for readings in people]).astype(np.int16)),
    ]
    for name in names:
        column = np.concatenate([readings.column(name) for readings in people]).astype(np.float32)
        arrays.append(pa.array(column, from_pandas=True))
    return pa.Table.from_arrays(arrays, schema=_readings_schema(names))


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    if not path.is_file():
        raise SourceError(str(path), "there is no such file", "Run the stage that writes it first.")
    with checked(path, lambda: pq.ParquetFile(path, page_checksum_verification=True)) as file:
        yield file


def checked(path: Path, read: Any) -> Any:
    """Return what `read` returns; a damaged page or footer is a SourceError that names the file."""
    import pyarrow as pa

    try:
        return read()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise SourceError(str(path), "is damaged (a checksum or its structure does not fit)", DAMAGED) from error


def _group_people(file: Any, path: Path, group: int) -> list[str]:
    column = checked(path, lambda: file.read_row_group(group, columns=["person"])).column(0)
    return [str(person) for person in column.unique().to_pylist()]


def _holds(file: Any, path: Path, group: int, wanted: Collection[str]) -> bool:
    return any(person in wanted for person in _group_people(file, path, group))


def _split(table: Any, names: list[str]) -> Iterator[Readings]:
    import pyarrow as pa

    person = table.column("person").combine_chunks()
    if not pa.types.is_dictionary(person.type):
        person = person.dictionary_encode()
    codes, known = person.indices.to_numpy(), person.dictionary.to_pylist()
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, np.intp)
    time = table.column("time").cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    offset = table.column("utc_offset").to_numpy()
    values = {name: table.column(name).to_numpy().astype(np.float32, copy=False) for name in names}
    for start, end in zip(starts, np.r_[starts[1:], len(codes)], strict=True):
        rows = slice(start, end)
        yield Readings(known[codes[start]], time[rows], offset[rows], {name: v[rows] for name, v in values.items()})


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, part, **PARQUET)
            settle(part, path)
    finally:
        part.unlink(missing_ok=True)


def _rows(path: Path, stamps: tuple[str, ...] = ()) -> list[Mapping[str, Any]]:
    import pyarrow as pa

    if not path.is_file():
        return []
    with _open(path) as file:
        table = checked(path, file.read)
    for name in stamps:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(pa.timestamp("ms", "UTC")).cast(pa.int64()))
    rows: list[Mapping[str, Any]] = table.to_pylist()
    return rows

"""A recording of synthetic people on disk: person after person, in order, whatever the number of processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitalwatch.errors import StoreError, UsageError
from vitalwatch.params import Synthetic
from vitalwatch.schema import Schema
from vitalwatch.synthetic.people import Identity, identities
from vitalwatch.synthetic.simulation import SyntheticPerson, person
from vitalwatch.tables import Event, Floats, Profile

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("parquet", "csv", "jsonl")
GROUP_ROWS = 100_000  # rows of a Parquet row group, at least; whole persons
# columns for which a dictionary takes longer than it spares, and what takes the least time for them
ENCODINGS = {
    "heart_rate": "BYTE_STREAM_SPLIT",
    "respiratory_rate": "BYTE_STREAM_SPLIT",
    "body_temperature": "BYTE_STREAM_SPLIT",
    "heart_rate_variability_rmssd": "BYTE_STREAM_SPLIT",
    "heart_rate_spread": "BYTE_STREAM_SPLIT",
    "steps": "BYTE_STREAM_SPLIT",
    "oxygen_saturation": "PLAIN",
    "oxygen_saturation_min": "PLAIN",
    "signal_quality": "PLAIN",
    "sleep": "PLAIN",
}
BATCH = 1 << 17  # values that the Parquet writer encodes at a time
WORN_AT_LEAST = 0.7  # share of the grid that a person wears the sensor, for planning groups


def write_recording(
    out: Path,
    *,
    people: int,
    days: int,
    seed: int,
    schema: Schema,
    params: Synthetic,
    jobs: int = 1,
    format: str = "parquet",
    prefix: str = "",
    on_person: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write the tables readings, profiles, events, bookkeeping and identities; return rows by table.

    The files do not depend on `jobs`. They appear in `out` all at once, or not at all.

    Args:
        out: Folder of the recording; must be absent or empty.
        people, days, seed: How many people, local days each, and the seed of the population.
        schema: Columns and grid step.
        params: How the people are simulated.
        jobs: Processes over groups of people.
        format: parquet, csv or jsonl.
        prefix: Stands before every pseudonym.
        on_person: Called with the number of people done.

    Raises:
        StoreError: `out` holds something already or cannot be written.
        UsageError: The format is unknown, or there are no people or days.
    """
    if format not in FORMATS:
        raise UsageError(f"format is one of {', '.join(FORMATS)}")
    if people < 1 or days < 1:
        raise UsageError("people and days must be at least 1")
    _must_be_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise StoreError(out, error.strerror or "cannot be written", "Choose a folder that you may write.") from error
    try:
        counts = _write(scratch, people, days, seed, schema, params, jobs, format, prefix, on_person)
        scratch.chmod(0o755)
        if out.exists():
            out.rmdir()
        scratch.rename(out)
    except OSError as error:
        raise StoreError(out, error.strerror or "cannot be written", "Free space or choose another folder.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return counts


def _must_be_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(out, "holds something already", "Choose an empty or a new folder.")


def _write(
    folder: Path,
    people: int,
    days: int,
    seed: int,
    schema: Schema,
    params: Synthetic,
    jobs: int,
    format: str,
    prefix: str,
    on_person: Callable[[int], None] | None,
) -> dict[str, int]:
    size = group_size(days, schema)
    counts = dict.fromkeys(("readings", "profiles", "events", "bookkeeping", "identities"), 0)
    sinks = {name: _Sink(folder / f"{name}.{format}") for name in counts}
    done = 0
    try:
        for first, tables in _groups(people, days, seed, schema, params, jobs, size, prefix):
            tables["identities"] = _identities(range(first, min(first + size, people)), seed, prefix)
            for name, table in tables.items():
                sinks[name].write(table)
                counts[name] += table.num_rows
            for _ in range(tables["profiles"].num_rows):
                done += 1
                if on_person is not None:
                    on_person(done)
    finally:
        for sink in sinks.values():
            sink.close()
    return counts


def group_size(days: int, schema: Schema) -> int:
    """Return how many people share a row group."""
    return -(-GROUP_ROWS // max(int(WORN_AT_LEAST * days * schema.steps_per_day), 1))


def _groups(
    people: int, days: int, seed: int, schema: Schema, params: Synthetic, jobs: int, size: int, prefix: str
) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """Yield the first index and the tables of each group of people, in order."""
    firsts = range(0, people, size)
    work = ((first, min(first + size, people), days, seed, schema, params, prefix) for first in firsts)
    if jobs <= 1 or len(firsts) == 1:
        results: Any = (tables_of(*task) for task in work)
    else:
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=min(jobs, len(firsts)), return_as="generator", pre_dispatch="n_jobs")
        results = parallel(delayed(tables_of)(*task) for task in work)
    yield from zip(firsts, results, strict=True)


def tables_of(
    first: int, last: int, days: int, seed: int, schema: Schema, params: Synthetic, prefix: str = ""
) -> dict[str, pa.Table]:
    """Return readings, profiles, events and bookkeeping of the people first..last-1 as Arrow tables."""
    crowd = [_named(person(index, schema, params, seed, days=days), prefix) for index in range(first, last)]
    return {
        "readings": _readings(crowd, schema),
        "profiles": _profiles([one.profile for one in crowd]),
        "events": _events([event for one in crowd for event in one.events]),
        "bookkeeping": _events([event for one in crowd for event in one.bookkeeping]),
    }


def _named(one: SyntheticPerson, prefix: str) -> SyntheticPerson:
    """Return the person under a pseudonym that begins with `prefix`."""
    if not prefix:
        return one
    name = prefix + one.profile.person
    return SyntheticPerson(
        replace(one.readings, person=name),
        replace(one.profile, person=name),
        tuple(replace(event, person=name) for event in one.events),
        tuple(replace(event, person=name) for event in one.bookkeeping),
    )


def _readings(crowd: list[SyntheticPerson], schema: Schema) -> pa.Table:
    import pyarrow as pa

    rows = [len(one.readings) for one in crowd]
    names = pa.array([one.readings.person for one in crowd], pa.string())
    code = np.repeat(np.arange(len(crowd), dtype=np.int32), rows)
    columns: dict[str, pa.Array] = {
        "person": pa.DictionaryArray.from_arrays(code, names),
        "time": pa.array(np.concatenate([one.readings.time for one in crowd])).view(pa.timestamp("ms", "UTC")),
        "utc_offset": pa.array(np.concatenate([one.readings.offset for one in crowd])),
    }
    for name in schema.names:
        values = np.concatenate([one.readings.values[name] for one in crowd])
        columns[name] = _nullable(values)
    return pa.table(columns)


def _nullable(values: Floats) -> pa.Array:
    """Return the column with null for NaN, which is not measured."""
    import pyarrow as pa

    known = ~np.isnan(values)
    missing = len(known) - int(np.count_nonzero(known))
    mask = pa.py_buffer(np.packbits(known, bitorder="little")) if missing else None
    return pa.Array.from_buffers(pa.float32(), len(values), [mask, pa.py_buffer(values)], missing)


def _profiles(profiles: list[Profile]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "person": pa.array([p.person for p in profiles], pa.string()),
            "age": pa.array([p.age for p in profiles], pa.float64()),
            "sex": pa.array([p.sex for p in profiles], pa.string()),
            "height": pa.array([p.height for p in profiles], pa.float64()),
            "weight": pa.array([p.weight for p in profiles], pa.float64()),
            "conditions": pa.array([";".join(p.conditions) for p in profiles], pa.string()),
            "medication": pa.array([";".join(p.medication) for p in profiles], pa.string()),
        }
    )


def _events(events: list[Event]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "person": pa.array([e.person for e in events], pa.string()),
            "kind": pa.array([e.kind for e in events], pa.string()),
            "start": pa.array([e.start for e in events], pa.timestamp("ms", "UTC")),
            "end": pa.array([e.end for e in events], pa.timestamp("ms", "UTC")),
            "magnitude": pa.array([e.magnitude for e in events], pa.float64()),
            "channels": pa.array([";".join(e.channels) for e in events], pa.string()),
        }
    )


def _identities(indices: range, seed: int, prefix: str = "") -> pa.Table:
    import pyarrow as pa

    rows = [astuple(replace(one, person=prefix + one.person)) for one in identities(indices, seed)]
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {name: pa.array(c, pa.string()) for name, c in zip(Identity.__dataclass_fields__, columns, strict=True)}
    )


class _Sink:
    """One table's file, written piece by piece; the format is its suffix."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: Any = None
        self._file: Any = None

    def write(self, table: pa.Table) -> None:
        kind = self.path.suffix[1:]
        if kind == "parquet":
            self._parquet(table)
        elif kind == "csv":
            self._csv(table)
        else:
            self._jsonl(table)

    def _parquet(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        if self._writer is None:
            import pyarrow as pa

            times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
            encoding = dict.fromkeys(times, "DELTA_BINARY_PACKED")
            encoding |= {name: how for name, how in ENCODINGS.items() if name in table.column_names}
            keys = [name for name in ("person", "time") if name in table.column_names]
            self._writer = pq.ParquetWriter(
                self.path,
                table.schema,
                compression="snappy",
                use_dictionary=[name for name in table.column_names if name not in encoding],
                column_encoding=encoding,
                write_statistics=keys,
                write_page_checksum=True,
                write_batch_size=BATCH,
            )
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def _csv(self, table: pa.Table) -> None:
        import pyarrow.csv as csv

        if self._writer is None:
            plain = _plain(table.slice(0, 0))
            self._writer = csv.CSVWriter(self.path, plain.schema)
        self._writer.write_table(_plain(table))

    def _jsonl(self, table: pa.Table) -> None:
        import json

        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="\n")
        plain = _plain(table)
        for batch in plain.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                self._file.write(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def _plain(table: pa.Table) -> pa.Table:
    """Return the table for text files: times as RFC 3339 with zone, float32 as the shortest decimal."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {}
    for field in table.schema:
        column = table[field.name]
        if pa.types.is_timestamp(field.type):
            column = pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
        elif pa.types.is_dictionary(field.type):
            column = column.cast(pa.string())
        elif pa.types.is_float32(field.type):
            column = pc.round(column.cast(pa.float64()), 2)
        columns[field.name] = column
    return pa.table(columns)

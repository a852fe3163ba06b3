"""What was measured beside the vitals, and what became of people, as tables: care.parquet and outcomes.parquet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.recordings import PARQUET, append, checked, storing
from vitalwatch.tables import Care, CareRows, Outcome

GROUP_ROWS = 200_000
MAX_ROWS = 8_000_000  # rows in memory, 18 bytes each
BUCKETS = 64
KIND = np.dtype([("person", "<i4"), ("what", "<i2"), ("time", "<i8"), ("value", "<f4")])


class CareGatherer:
    """Collects rows of any sources; `write` leaves them by person and time. More than MAX_ROWS wait in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, int] = {}
        self._waiting: list[NDArray[Any]] = []
        self._rows = 0
        self._spooled = False
        self.dropped = 0

    def add(self, rows: CareRows) -> None:
        """Take rows.

        Raises:
            StoreError: The disk is full.
        """
        codes = np.array([self._places.setdefault(name, len(self._places)) for name in rows.people], np.int32)
        block = np.empty(len(rows), KIND)
        block["person"] = codes[rows.person] if len(codes) else 0
        block["what"], block["time"], block["value"] = rows.what, rows.time, rows.value
        self._waiting.append(block)
        self._rows += len(block)
        self.dropped += rows.dropped
        if self._rows > MAX_ROWS:
            self._spool()

    def write(self, path: Path, names: Sequence[str], known: set[str]) -> int:
        """Write care.parquet with what was told of known people, each fact once; return its rows."""
        people = {code: name for name, code in self._places.items() if name in known}
        allowed = np.zeros(len(self._places) + 1, np.bool_)
        allowed[list(people)] = True
        if self._spooled:
            self._spool()
        written = 0
        with _Writer(path, tuple(names)) as writer:
            for bucket in range(BUCKETS if self._spooled else 1):
                block = self._bucket(bucket)
                block = block[allowed[block["person"]]]
                block = block[np.lexsort((block["what"], block["time"], block["person"]))]
                same = (block["person"][1:] == block["person"][:-1]) & (block["time"][1:] == block["time"][:-1])
                same &= (block["what"][1:] == block["what"][:-1]) & (block["value"][1:] == block["value"][:-1])
                block = block[np.r_[True, ~same]] if len(block) else block
                writer.write(block, people)
                written += len(block)
        return written

    def _bucket(self, number: int) -> NDArray[Any]:
        if not self._spooled:
            return np.concatenate(self._waiting) if self._waiting else np.empty(0, KIND)
        path = self._folder / f"care-{number}"
        return np.fromfile(path, KIND) if path.is_file() else np.empty(0, KIND)

    def _spool(self) -> None:
        self._spooled = True
        with storing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            append(self._waiting, self._folder, "care", BUCKETS)
        self._waiting, self._rows = [], 0


class _Writer:
    """Writes care.parquet in row groups of whole people; the file appears when the block ends without an error."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        self._names = names
        self._file: Any = None

    def __enter__(self) -> _Writer:
        import pyarrow.parquet as pq

        with storing(self._path):
            self._file = pq.ParquetWriter(self._part, _schema(), **PARQUET)
        return self

    def write(self, block: NDArray[Any], people: dict[int, str]) -> None:
        """Write rows sorted by person."""
        import pyarrow as pa

        starts = np.flatnonzero(np.r_[True, np.diff(block["person"]) != 0]) if len(block) else np.zeros(0, np.intp)
        cuts = [0]
        for end in (*starts[1:].tolist(), len(block)):
            if end - cuts[-1] >= GROUP_ROWS or end == len(block):
                cuts.append(end)
        for a, b in pairwise(cuts):
            some = block[a:b]
            codes, place = np.unique(some["person"], return_inverse=True)
            names = pa.array([people[int(code)] for code in codes], pa.string())
            what = pa.array(self._names, pa.string())
            arrays = [
                pa.DictionaryArray.from_arrays(pa.array(place.astype(np.int32)), names),
                pa.array(some["time"]).cast(pa.timestamp("ms", "UTC")),
                pa.DictionaryArray.from_arrays(pa.array(some["what"]), what),
                pa.array(some["value"]),
            ]
            if len(some):
                with storing(self._path):
                    self._file.write_table(pa.Table.from_arrays(arrays, schema=_schema()), row_group_size=len(some))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            with storing(self._path):
                self._file.close()
                if kind is None:
                    self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)


def _schema() -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            ("person", text),
            ("time", pa.timestamp("ms", "UTC")),
            ("what", pa.dictionary(pa.int16(), pa.string())),
            ("value", pa.float32()),
        ]
    )


class CareFile:
    """A care.parquet, asked person by person; one row group is in memory, and the place of everybody.

    A missing file is one without rows: recordings of an earlier version have none.

    Args:
        path: care.parquet.
        names: Names of the schema's `care`, which `Care.what` will index.

    Raises:
        SourceError: The file is damaged.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        self._path, self._names = path, tuple(names)
        self._groups: dict[str, int] = {}
        self._held: tuple[int, dict[str, Care]] = (-1, {})
        self._file: Any = None
        if path.is_file():
            self._file = checked(path, lambda: pq.ParquetFile(path, page_checksum_verification=True))
            for group in range(self._file.num_row_groups):
                column = checked(path, lambda g=group: self._file.read_row_group(g, columns=["person"])).column(0)
                self._groups.update(dict.fromkeys(column.unique().to_pylist(), group))

    def __enter__(self) -> CareFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._groups)

    def of(self, person: str) -> Care | None:
        """Return what is known of a person, None where that is nothing."""
        group = self._groups.get(person)
        if group is None:
            return None
        if self._held[0] != group:
            self._held = (group, self._read(group))
        return self._held[1][person]

    def _read(self, group: int) -> dict[str, Care]:
        import pyarrow as pa

        table = checked(self._path, lambda: self._file.read_row_group(group))
        person, what = (_coded(table.column(name)) for name in ("person", "what"))
        place = {name: i for i, name in enumerate(self._names)}
        ours = np.array([place.get(name, -1) for name in what.dictionary.to_pylist()], np.int16)
        codes, kinds = person.indices.to_numpy(), ours[what.indices.to_numpy()]
        time = table.column("time").cast(pa.int64()).to_numpy()
        value, known = table.column("value").to_numpy().astype(np.float32, copy=False), person.dictionary.to_pylist()
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, np.intp)
        found = {}
        for a, b in zip(starts, np.r_[starts[1:], len(codes)], strict=True):
            keep = np.flatnonzero(kinds[a:b] >= 0) + a  # a name that this schema does not have is left out
            name = known[codes[a]]
            found[name] = Care(name, time[keep], kinds[keep], value[keep], self._names)
        return found


def _coded(column: Any) -> Any:
    import pyarrow as pa

    array = column.combine_chunks()
    array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write outcomes.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted(outcomes, key=lambda one: (one.person, one.kind))
    table = pa.table(
        {
            "person": pa.array([one.person for one in rows], pa.string()),
            "kind": pa.array([one.kind for one in rows], pa.string()),
            "happened": pa.array([one.happened for one in rows], pa.bool_()),
        }
    )
    with storing(path):
        pq.write_table(table, path, **PARQUET)


def read_outcomes(path: Path) -> dict[str, dict[str, bool]]:
    """Return kind -> person -> whether it happened; empty where there is no such file."""
    import pyarrow.parquet as pq

    found: dict[str, dict[str, bool]] = {}
    if path.is_file():
        for row in checked(path, lambda: pq.read_table(path)).to_pylist():
            found.setdefault(row["kind"], {})[row["person"]] = row["happened"]
    return found

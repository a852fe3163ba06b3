"""Accepted rows of any order -> one person after another, oldest first, each moment once; in bounded memory.

Rows wait in memory until there are too many; then they go to files by person, which are settled one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.reading import Rows
from vitalwatch.recordings import append, storing
from vitalwatch.schema import Schema
from vitalwatch.tables import Bools, Readings

MAX_ROWS = 4_000_000  # rows in memory, about 70 bytes each
BUCKETS = 64


@dataclass
class Settled:
    """What became of rows of the same person and moment, by source: arrays of counts."""

    merged: NDArray[np.int64]  # gave another row what that one lacked
    duplicate: NDArray[np.int64]  # said nothing new
    conflict: NDArray[np.int64]  # said something else: the reading of better quality, then with more columns, is kept


class Gatherer:
    """Collects rows with `add`; `people` yields each person's readings once, sorted by name."""

    def __init__(self, schema: Schema, folder: Path, sources: int) -> None:
        self._schema, self._folder = schema, folder
        self._kind = np.dtype(
            [
                ("person", "<i4"),
                ("source", "<i2"),
                ("offset", "<i2"),
                ("time", "<i8"),
                ("values", "<f4", (len(schema.names),)),
            ]
        )
        self._places: dict[str, int] = {}
        self._waiting: list[NDArray[Any]] = []
        self._rows = 0
        self._spooled = False
        self.settled = Settled(*(np.zeros(sources, np.int64) for _ in range(3)))

    def add(self, rows: Rows, source: int) -> None:
        """Take rows of the source with this number.

        Raises:
            StoreError: The disk is full.
        """
        codes = np.array([self._places.setdefault(person, len(self._places)) for person in rows.people], np.int32)
        block = np.empty(len(rows), self._kind)
        block["person"], block["source"], block["offset"] = codes[rows.person] if len(codes) else 0, source, rows.offset
        block["time"] = rows.time
        for place, name in enumerate(self._schema.names):
            block["values"][:, place] = rows.values.get(name, np.nan)
        self._waiting.append(block)
        self._rows += len(block)
        if self._rows > MAX_ROWS:
            self._spool()

    def people(self) -> Iterator[Readings]:
        """Yield everyone's readings, sorted by name, times increasing; to be called once, after the last `add`."""
        if self._spooled:
            self._spool()
            buckets = [self._settle_file(bucket) for bucket in range(BUCKETS)]
        else:
            buckets = [self._settle(np.concatenate(self._waiting) if self._waiting else np.empty(0, self._kind))]
            self._waiting = []
        where = {}
        for number, block in enumerate(buckets):
            starts, ends, codes = _runs(block["person"])
            where.update({int(code): (number, int(a), int(b)) for code, a, b in zip(codes, starts, ends, strict=True)})
        for person, code in sorted(self._places.items()):
            if code in where:
                number, start, end = where[code]
                yield self._readings(person, buckets[number][start:end])

    def _readings(self, person: str, block: NDArray[Any]) -> Readings:
        columns = np.ascontiguousarray(block["values"].T)
        values = {name: columns[place] for place, name in enumerate(self._schema.names)}
        return Readings(person, block["time"].copy(), block["offset"].copy(), values)

    def _spool(self) -> None:
        self._spooled = True
        with storing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            append(self._waiting, self._folder, "bucket", BUCKETS)
        self._waiting, self._rows = [], 0

    def _settle_file(self, bucket: int) -> NDArray[Any]:
        path = self._folder / f"bucket-{bucket}"
        if not path.is_file():
            return np.empty(0, self._kind)
        block = self._settle(np.fromfile(path, self._kind))
        with storing(self._folder):
            block.tofile(path)
        return np.memmap(path, self._kind, "r")

    def _settle(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return the rows sorted by person and time, each moment once."""
        person, time = block["person"], block["time"]
        later = (person[1:] > person[:-1]) | ((person[1:] == person[:-1]) & (time[1:] > time[:-1]))
        if later.all():
            return block
        block = block[np.lexsort((time, person))]
        same = (block["person"][1:] == block["person"][:-1]) & (block["time"][1:] == block["time"][:-1])
        if not same.any():
            return block
        starts = np.flatnonzero(np.r_[True, ~same])
        sizes = np.diff(np.r_[starts, len(block)])
        several = np.flatnonzero(sizes > 1)
        inside = np.repeat(sizes > 1, sizes)
        block[inside] = _best_first(block[inside], self._schema)
        keep = np.r_[True, ~same]
        for turn in range(1, int(sizes.max())):
            groups = several[sizes[several] > turn]
            self._join(block, starts[groups], starts[groups] + turn)
        return block[keep]

    def _join(self, block: NDArray[Any], first: NDArray[np.intp], other: NDArray[np.intp]) -> None:
        """Give the first rows what they lack and the others have, unless both disagree; count the others."""
        a, b = block["values"][first], block["values"][other]
        lacks, has = np.isnan(a), ~np.isnan(b)
        joined = np.where(lacks, b, a)
        clash = (~lacks & has & (a != b)).any(1) | self._impossible(joined)
        adds = (lacks & has).any(1)
        block["values"][first] = np.where(clash[:, None], a, joined)
        source, n = block["source"][other], len(self.settled.merged)
        self.settled.conflict += np.bincount(source[clash], minlength=n)
        self.settled.merged += np.bincount(source[~clash & adds], minlength=n)
        self.settled.duplicate += np.bincount(source[~clash & ~adds], minlength=n)

    def _impossible(self, values: NDArray[np.float32]) -> Bools:
        found = np.zeros(len(values), np.bool_)
        for low, high in self._schema.pairs:
            found |= values[:, self._schema.names.index(low)] >= values[:, self._schema.names.index(high)]
        return found


def _best_first(block: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Sort rows of the same moments so that the best signal, then the fullest row, then the first to come leads."""
    values = block["values"]
    quality = np.full(len(block), 0.5)
    if "signal_quality" in schema.names:
        quality = np.nan_to_num(values[:, schema.names.index("signal_quality")], nan=0.5)
    measured = (~np.isnan(values)).sum(1)
    return block[np.lexsort((-measured, -quality, block["time"], block["person"]))]


def _runs(codes: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
    """Return (starts, ends, codes) of runs of equal codes."""
    if not len(codes):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.int32)
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    return starts, np.r_[starts[1:], len(codes)], codes[starts]

"""grid.parquet: cleaned people between the transform stage and those after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.cleaning import grid_columns
from vitalwatch.recordings import checked, storing
from vitalwatch.schema import Schema
from vitalwatch.tables import Grid

ROWS_A_GROUP = 100_000


def write_grids(path: Path, grids: Iterable[Grid], schema: Schema) -> int:
    """Write grids, whole people a row group, and return the number of rows; without people there is no file.

    `filled` is one bit a vital, `artefact` one column a vital.

    Raises:
        StoreError: The disk refuses.
    """
    rows, waiting, writer = 0, [], None
    with storing(path):
        for grid in grids:
            rows += len(grid)
            waiting.append(_table(grid, schema))
            if sum(len(table) for table in waiting) >= ROWS_A_GROUP:
                writer = _flush(path, writer, waiting)
                waiting = []
        writer = _flush(path, writer, waiting) if waiting else writer
        if writer is not None:
            writer.close()
    return rows


def read_grids(path: Path, schema: Schema) -> Iterator[Grid]:
    """Yield the grids as written, person by person; raises SourceError where the file is missing or damaged."""
    import pyarrow.parquet as pq

    with checked(path, lambda: pq.ParquetFile(path, page_checksum_verification=True)) as file:
        for group in range(file.num_row_groups):
            yield from _grids(checked(path, lambda g=group: file.read_row_group(g)), schema)


def _flush(path: Path, writer: Any, tables: list[Any]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables(tables)
    if writer is None:
        writer = pq.ParquetWriter(
            path,
            table.schema,
            compression="zstd",
            compression_level=1,
            write_page_checksum=True,
            use_dictionary=["person"],
        )
    writer.write_table(table, row_group_size=len(table))
    return writer


def _table(grid: Grid, schema: Schema) -> Any:
    import pyarrow as pa

    bits = (grid.filled * (1 << np.arange(grid.filled.shape[1], dtype=np.uint32))).sum(axis=1, dtype=np.uint32)
    columns = {
        "person": pa.array([grid.person] * len(grid), pa.string()),
        "time": pa.array(grid.time, pa.timestamp("ms", "UTC")),
        "minute": pa.array(grid.minute),
        "segment": pa.array(grid.segment),
        **{name: pa.array(grid.values[:, i]) for i, name in enumerate(grid.names)},
        "filled": pa.array(bits),
        **{f"artefact_{name}": pa.array(grid.artefact[:, i]) for i, name in enumerate(schema.vitals)},
    }
    return pa.table(columns)


def _grids(table: Any, schema: Schema) -> Iterator[Grid]:
    people = table.column("person").combine_chunks().dictionary_encode()
    codes = people.indices.to_numpy() if hasattr(people, "indices") else np.empty(0, np.int32)
    names = people.dictionary.to_pylist() if len(table) else []
    columns = {name: table.column(name).to_numpy() for name in table.column_names if name != "person"}
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    wide = grid_columns(schema)
    for start, stop in zip(starts, [*starts[1:], len(codes)], strict=True):
        rows = slice(int(start), int(stop))
        bits = columns["filled"][rows, None] >> np.arange(len(schema.vitals), dtype=np.uint32)
        yield Grid(
            person=names[codes[start]],
            time=columns["time"][rows].astype("datetime64[ms]").astype(np.int64),
            minute=columns["minute"][rows],
            segment=columns["segment"][rows],
            names=wide,
            values=np.stack([columns[name][rows] for name in wide], axis=1),
            filled=(bits & 1).astype(np.bool_),
            artefact=np.stack([columns[f"artefact_{name}"][rows] for name in schema.vitals], axis=1),
        )

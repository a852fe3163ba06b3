"""Cleaned people come back from grid.parquet as they were, to the bit; a damaged file is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tiny import small_settings, somebody
from training_world import SCHEMA, grid
from vitalwatch import cleaning, grids
from vitalwatch.errors import SourceError, StoreError
from vitalwatch.tables import Grid


def same(a: Grid, b: Grid) -> None:
    for field in fields(Grid):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, field.name
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), field.name
        else:
            assert one == other, field.name


def everywhere(person: str, rows: int, seed: int) -> Grid:
    """A grid in which every bit of every mark occurs."""
    rng, plain = np.random.default_rng(seed), grid(person, rows, heart_rate=60.0)
    return replace(
        plain,
        minute=rng.integers(0, 1440, rows).astype(np.int16),
        segment=rng.integers(-1, 9, rows).astype(np.int32),
        values=rng.normal(size=plain.values.shape).astype(np.float32),
        filled=rng.random(plain.filled.shape) < 0.5,
        artefact=rng.integers(0, 256, plain.artefact.shape).astype(np.uint8),
    )


def written(path: Path, *found: Grid) -> list[Grid]:
    assert sum(map(len, found)) == grids.write_grids(path, found, SCHEMA)
    return list(grids.read_grids(path, SCHEMA))


def test_values_fills_and_marks_come_back_to_the_bit(tmp_path):
    before = [everywhere("b", 500, 1), everywhere("a", 1, 2), everywhere("c", 70, 3)]

    for one, other in zip(before, written(tmp_path / "grid.parquet", *before), strict=True):
        same(one, other)


def test_a_simulated_person_comes_back_to_the_bit(tmp_path):
    before = cleaning.to_grid(somebody(0).readings, SCHEMA, small_settings().params.cleaning)

    assert before.filled.any()
    assert before.artefact.any()
    same(before, written(tmp_path / "grid.parquet", before)[0])


def test_a_group_of_rows_holds_whole_people(tmp_path, monkeypatch):
    monkeypatch.setattr(grids, "ROWS_A_GROUP", 100)
    before = [everywhere(f"p{i}", 60, i) for i in range(5)]
    after = written(tmp_path / "grid.parquet", *before)
    file = pq.ParquetFile(tmp_path / "grid.parquet")

    assert [120, 120, 60] == [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert [one.person for one in before] == [one.person for one in after]
    for one, other in zip(before, after, strict=True):
        same(one, other)


def test_without_people_there_is_no_file(tmp_path):
    assert 0 == grids.write_grids(tmp_path / "grid.parquet", [], SCHEMA)
    assert [] == list(tmp_path.iterdir())


def test_a_flipped_bit_is_not_read(tmp_path):
    path = tmp_path / "grid.parquet"
    grids.write_grids(path, [everywhere("a", 2000, 4)], SCHEMA)
    column = pq.ParquetFile(path).metadata.row_group(0).column(6)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises((SourceError, OSError)):
        list(grids.read_grids(path, SCHEMA))


def test_a_file_in_the_folders_place_is_told(tmp_path):
    (tmp_path / "taken").write_text("1")

    with pytest.raises(StoreError, match="is no folder"):
        grids.write_grids(tmp_path / "taken" / "grid.parquet", [everywhere("a", 3, 5)], SCHEMA)

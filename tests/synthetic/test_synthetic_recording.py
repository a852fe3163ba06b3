"""A recording of synthetic people: streamed in order, the same for any number of processes, all or nothing."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vitalwatch.errors import StoreError, UsageError
from vitalwatch.synthetic import identity, person, write_recording, writer

SEED = 3
TABLES = {"readings", "profiles", "events", "bookkeeping", "identities"}


@pytest.fixture
def write(settings, tmp_path):
    def run(name: str = "recording", people: int = 3, days: int = 9, **more: object) -> tuple[Path, dict[str, int]]:
        out = tmp_path / name
        given = {"schema": settings.schema, "params": settings.params.synthetic, "seed": SEED} | more
        return out, write_recording(out, people=people, days=days, **given)

    return run


def test_a_recording_holds_the_people_in_order(write, settings):
    seen: list[int] = []
    out, counts = write(on_person=seen.append)
    table = pq.read_table(out / "readings.parquet", page_checksum_verification=True)
    one = person(1, settings.schema, settings.params.synthetic, SEED, days=9).readings
    rows = np.array(table["person"].to_pylist()) == one.person

    assert {f"{name}.parquet" for name in TABLES} == {file.name for file in out.iterdir()}
    assert seen == [1, 2, 3]
    assert table["person"].unique().to_pylist() == ["p3-000000", "p3-000001", "p3-000002"]
    assert counts["readings"] == table.num_rows
    assert ("person", "time", "utc_offset", *settings.schema.names) == tuple(table.column_names)
    np.testing.assert_array_equal(one.time, table["time"].to_numpy().astype("datetime64[ms]").astype(np.int64)[rows])
    np.testing.assert_array_equal(one.column("heart_rate"), table["heart_rate"].to_numpy()[rows])
    assert 3 == counts["profiles"] == counts["identities"]


@pytest.mark.slow  # starts processes
def test_the_bytes_do_not_depend_on_the_number_of_processes(write, monkeypatch):
    monkeypatch.setattr(writer, "GROUP_ROWS", 500)  # several groups from few people
    alone, _ = write("one", people=4, days=3)
    shared, _ = write("two", people=4, days=3, jobs=2)

    assert pq.ParquetFile(alone / "readings.parquet").metadata.num_row_groups == 4
    for name in TABLES:
        assert (alone / f"{name}.parquet").read_bytes() == (shared / f"{name}.parquet").read_bytes()


def test_more_people_leave_the_first_ones_as_they_are(write):
    few, _ = write("few", people=2)
    more, _ = write("more", people=3)
    a, b = (pq.read_table(out / "readings.parquet") for out in (few, more))

    assert a.to_pydict() == b.slice(0, a.num_rows).to_pydict()


def test_row_groups_hold_whole_persons_and_enough_rows(settings):
    for days in (1, 9, 28, 365):
        size = writer.group_size(days, settings.schema)
        assert size * days * 288 * writer.WORN_AT_LEAST >= writer.GROUP_ROWS
        assert (size - 1) * days * 288 * writer.WORN_AT_LEAST < writer.GROUP_ROWS + 288


def test_no_identifying_field_leaves_the_identities_table(write):
    out, _ = write()
    told = [identity(index, SEED) for index in range(3)]

    for name in TABLES - {"identities"}:
        table = pq.read_table(out / f"{name}.parquet")
        assert not {"name", "email", "address", "phone"} & set(table.column_names)
        text = repr([table[c].unique().to_pylist() for c in table.column_names if str(table[c].type).count("string")])
        for one in told:
            assert one.name not in text
            assert one.email not in text
    assert [one.name for one in told] == pq.read_table(out / "identities.parquet")["name"].to_pylist()


def test_csv_and_jsonl_hold_the_same_readings_with_empty_cells_for_what_is_not_measured(write):
    parquet, _ = write("a", people=1, days=2)
    comma, _ = write("b", people=1, days=2, format="csv")
    lines, _ = write("c", people=1, days=2, format="jsonl")
    rows = pq.read_table(parquet / "readings.parquet").to_pylist()
    with (comma / "readings.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    objects = [json.loads(line) for line in (lines / "readings.jsonl").read_text("utf-8").splitlines()]

    assert len(rows) == len(cells) == len(objects)
    for row, cell, thing in zip(rows, cells, objects, strict=True):
        assert row["time"].isoformat(timespec="milliseconds").replace("+00:00", "Z") == cell["time"] == thing["time"]
        for name in ("heart_rate", "oxygen_saturation", "blood_pressure_systolic"):
            if row[name] is None:
                assert cell[name] == ""
                assert name not in thing
            else:
                assert np.float32(row[name]) == np.float32(cell[name]) == np.float32(thing[name])
    assert {file.stem for file in lines.iterdir()} == TABLES


def test_a_folder_that_holds_something_is_refused_and_left_alone(write, tmp_path):
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "mine.txt").write_text("kept")

    with pytest.raises(StoreError, match="holds something already"):
        write()
    assert [file.name for file in (tmp_path / "recording").iterdir()] == ["mine.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["recording"]


def test_an_interrupted_recording_leaves_nothing_behind(write, tmp_path):
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(on_person=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_and_no_people_are_wrong_use(write):
    with pytest.raises(UsageError, match="parquet, csv, jsonl"):
        write(format="xlsx")
    with pytest.raises(UsageError, match="at least 1"):
        write(people=0)

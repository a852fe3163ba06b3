"""recordings: what is written is read back, whole persons at a time, and damage is never passed on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vitalwatch import recordings
from vitalwatch.errors import SourceError, StoreError
from vitalwatch.recordings import ReadingsWriter
from vitalwatch.settings import Settings
from vitalwatch.tables import Event, Profile, Readings


def person(name: str, rows: int = 3) -> Readings:
    rate = np.arange(60, 60 + rows, dtype=np.float32)
    rate[1::3] = np.nan
    return Readings(name, 1_000 * np.arange(rows), np.full(rows, -90, np.int16), {"heart_rate": rate})


def test_people_come_back_as_they_were_written(tmp_path: Path, settings: Settings):
    path = tmp_path / "readings.parquet"
    recordings.write_readings(path, settings.schema, [person("007"), person("NULL", 5)])

    back = list(recordings.iter_people(path, settings.schema))

    assert ["007", "NULL"] == [readings.person for readings in back] == recordings.people(path)
    assert person("NULL", 5).time.tolist() == back[1].time.tolist()
    assert [-90] * 5 == back[1].offset.tolist()
    np.testing.assert_array_equal(person("NULL", 5).values["heart_rate"], back[1].column("heart_rate"))
    assert set(settings.schema.names) == set(back[0].values)
    assert np.isnan(back[0].column("steps")).all()
    assert np.float32 == back[0].column("steps").dtype


def test_row_groups_hold_whole_persons(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "GROUP_ROWS", 10)
    path = tmp_path / "readings.parquet"
    recordings.write_readings(path, settings.schema, [person(f"p{i}", 4) for i in range(7)])
    import pyarrow.parquet as pq

    assert [12, 12, 4] == [pq.ParquetFile(path).metadata.row_group(group).num_rows for group in range(3)]
    assert [f"p{i}" for i in range(7)] == [
        readings.person for readings in recordings.iter_people(path, settings.schema)
    ]
    assert ["p5"] == [readings.person for readings in recordings.iter_people(path, settings.schema, only={"p5"})]


def test_nothing_appears_when_writing_fails(tmp_path: Path, settings: Settings):
    path = tmp_path / "readings.parquet"

    def half() -> Iterator[Readings]:
        yield person("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recordings.write_readings(path, settings.schema, half())

    assert [] == list(tmp_path.iterdir())


def test_a_person_is_written_once_and_in_order(tmp_path: Path, settings: Settings):
    with ReadingsWriter(tmp_path / "readings.parquet", settings.schema) as writer:
        writer.write(person("a"))
        with pytest.raises(ValueError, match="written before"):
            writer.write(person("a"))
        with pytest.raises(ValueError, match="decrease"):
            writer.write(Readings("b", np.array([2, 1]), np.zeros(2, np.int16), {}))


def test_no_flipped_bit_is_read_as_a_vital(tmp_path: Path, settings: Settings):
    path = tmp_path / "readings.parquet"
    recordings.write_readings(path, settings.schema, [person("a", 400)])
    whole = path.read_bytes()
    good = next(iter(recordings.iter_people(path, settings.schema)))
    wrong = named = 0
    for place in np.random.default_rng(3).integers(4, len(whole) - 8, 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            [back] = recordings.iter_people(path, settings.schema)
        except SourceError as error:
            named += "readings.parquet" in error.source
            continue
        wrong += not np.array_equal(back.column("heart_rate"), good.column("heart_rate"), equal_nan=True)
        wrong += not np.array_equal(back.time, good.time)

    assert named > 0
    assert 0 == wrong


def test_a_missing_file_says_what_to_do(tmp_path: Path, settings: Settings):
    with pytest.raises(SourceError, match="Run the stage"):
        list(recordings.iter_people(tmp_path / "readings.parquet", settings.schema))


def test_a_full_disk_is_a_store_error(tmp_path: Path):
    with pytest.raises(StoreError, match="disk is full"), recordings.storing(tmp_path):
        raise OSError(28, "No space left on device")


def test_profiles_and_events_come_back(tmp_path: Path):
    profiles = [Profile("a", 40, "female", 170, 65.5, ("copd", "asthma"), ("none",)), Profile("b")]
    events = [Event("a", "fever", 5_000, 9_000, 1.5, ("body_temperature",)), Event("a", "sepsis", 1_000, 2_000)]
    recordings.write_profiles(tmp_path / "profiles.parquet", profiles)
    recordings.write_events(tmp_path / "events.parquet", events)

    back = recordings.read_profiles(tmp_path / "profiles.parquet")

    assert profiles[0] == back["a"]
    assert np.isnan(back["b"].age)
    assert "unknown" == back["b"].sex
    assert ["sepsis", "fever"] == [event.kind for event in recordings.read_events(tmp_path / "events.parquet")["a"]]
    assert events[0] == recordings.read_events(tmp_path / "events.parquet")["a"][1]
    assert {} == recordings.read_profiles(tmp_path / "nothing.parquet")

"""stages.validate: a report on what there is, and a stop where it is too little or too bad."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vitalwatch import recordings
from vitalwatch.errors import NotEnoughData, SourceError
from vitalwatch.settings import Settings
from vitalwatch.stages.validate import validate
from vitalwatch.tables import DAY, Readings

STEP = 300_000


def write(folder: Path, settings: Settings, days: int, **ingest: object) -> None:
    time = STEP * np.arange(days * 288)
    rate = np.tile(np.array([50, 60, 70, 140], np.float32), days * 72)
    rate[::2] = np.nan
    person = Readings("p1", time, np.zeros(len(time), np.int16), {"heart_rate": rate})
    recordings.write_readings(folder / "readings.parquet", settings.schema, [person])
    report = {"bad_share": 0.0, "rejected": {}, "sources": [{"source": "a.csv"}]} | ingest
    (folder / "ingest.json").write_text(json.dumps(report))


def test_a_column_is_described(tmp_path: Path, settings: Settings):
    write(tmp_path, settings, 12)
    report = validate(tmp_path, settings)

    assert report == json.loads((tmp_path / "quality.json").read_text())
    assert {"measured": 0.5, "minimum": 60, "maximum": 140, "unusual": 0.5} == {
        name: value for name, value in report["columns"]["heart_rate"].items() if name != "median"
    }
    assert 60 == pytest.approx(report["columns"]["heart_rate"]["median"], abs=0.2)
    assert {"measured": 0.0} == report["columns"]["steps"]
    assert (12 * 288, 1, 12) == (report["rows"], report["people"], report["person_days"])
    assert 300 == report["by_person"]["p1"]["interval_s"]


def test_gaps_and_a_changed_clock_are_counted(tmp_path: Path, settings: Settings):
    time = np.r_[STEP * np.arange(288 * 10), 20 * DAY + STEP * np.arange(10)]
    offset = np.r_[np.zeros(2880, np.int16), np.full(10, 60, np.int16)]
    person = Readings("p1", time, offset, {"heart_rate": np.full(2890, 60, np.float32)})
    recordings.write_readings(tmp_path / "readings.parquet", settings.schema, [person])
    report = validate(tmp_path, settings)

    assert (1, 1, 0) == (report["gaps"], report["clock_changes"], report["duplicated_stamps"])
    assert 240.08 == report["by_person"]["p1"]["longest_gap_h"]


def test_under_ten_days_is_too_little(tmp_path: Path, settings: Settings):
    write(tmp_path, settings, 9)

    with pytest.raises(NotEnoughData, match="9 days of readings of 1 people"):
        validate(tmp_path, settings)
    assert (tmp_path / "quality.json").is_file()


def test_too_many_refused_rows_stop_with_the_reasons(tmp_path: Path, settings: Settings):
    write(tmp_path, settings, 12, bad_share=0.6, rejected={"clock_skew": 5, "unit_suspect": 90, "empty": 400})

    with pytest.raises(SourceError, match=r"60% of the rows were refused, 50% is allowed: 90 unit_suspect") as error:
        validate(tmp_path, settings)
    assert "empty" not in str(error.value)

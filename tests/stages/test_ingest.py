"""stages.ingest: whatever comes in is accepted, a duplicate, or refused with its reason; the books balance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitalwatch import readers, recordings
from vitalwatch.errors import BooksDoNotBalance, SourceError, StoreError
from vitalwatch.quarantine import read_rejects, replay
from vitalwatch.readers import Batch
from vitalwatch.readers.batch import NO_ROWS
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings
from vitalwatch.stages import gather
from vitalwatch.stages import ingest as stage
from vitalwatch.stages.ingest import ingest
from vitalwatch.tables import Readings

NOW = 1_790_000_000_000
HEAD = "person,time,heart_rate,oxygen_saturation,signal_quality\n"
TABLES = [
    "care.parquet",
    "events.parquet",
    "ingest.json",
    "outcomes.parquet",
    "profiles.parquet",
    "quarantine",
    "readings.parquet",
]


def at(clock: str, cells: str, person: str = "p1", zone: str = "+01:00", day: str = "2026-01-05") -> str:
    return f"{person},{day}T{clock}:00{zone},{cells}\n"


def source(folder: Path, *rows: str, name: str = "readings.csv") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(HEAD + "".join(rows))
    return path


def run(settings: Settings, out: Path, *sources: Path) -> tuple[dict[str, object], list[Readings]]:
    report = ingest(list(sources), out, settings, now_ms=NOW)
    rejected = sum(report["rejected"].values())
    assert report["read"] == report["accepted"] + report["duplicate"] + rejected
    for one in report["sources"]:
        assert one["read"] == one["accepted"] + one["duplicate"] + sum(one["rejected"].values())
    return report, list(recordings.iter_people(out / "readings.parquet", settings.schema))


def clocks(readings: Readings) -> list[str]:
    return [str(np.datetime64(int(time), "ms"))[11:16] for time in readings.time]


def test_rows_out_of_order_and_in_blocks_become_sorted_people(tmp_path: Path, settings: Settings):
    path = source(tmp_path / "in", at("09:00", "70,97,"), at("08:00", "60,97,"), at("08:00", "50,97,", "007"),
                  at("08:30", "65,97,"), at("07:00", "40,97,", "NULL"))  # fmt: skip
    report, people = run(settings, tmp_path / "out", path)

    assert ["007", "NULL", "p1"] == [readings.person for readings in people]
    assert [60, 65, 70] == people[2].column("heart_rate").tolist()
    assert TABLES == sorted(file.name for file in (tmp_path / "out").iterdir())
    assert report == json.loads((tmp_path / "out" / "ingest.json").read_text())


def test_the_same_reading_again_is_a_duplicate(tmp_path: Path, settings: Settings):
    path = source(tmp_path / "in", at("08:00", "60,97,"), at("08:00", "60,97,"), at("08:00", "60,,"))
    again = source(tmp_path / "in", at("08:00", "60,97,"), at("07:00", "60,97,", zone="+00:00"), name="again.csv")
    report, [p1] = run(settings, tmp_path / "out", path, again)

    assert 1 == len(p1)
    assert (5, 1, 4, 0) == tuple(report[name] for name in ("read", "accepted", "duplicate", "conflict"))
    assert [2, 2] == [one["duplicate"] for one in report["sources"]]


def test_of_two_devices_the_better_signal_is_kept(tmp_path: Path, settings: Settings):
    rows = [at("08:00", "60,97,0.4"), at("08:00", "90,97,0.9"), at("08:05", "60,,"), at("08:05", "90,97,")]
    report, [p1] = run(settings, tmp_path / "out", source(tmp_path / "in", *rows))

    assert [90, 90] == p1.column("heart_rate").tolist()
    assert (2, 2) == (report["duplicate"], report["conflict"])


def test_readings_that_complete_each_other_are_merged(tmp_path: Path, settings: Settings):
    report, [p1] = run(settings, tmp_path / "out", source(tmp_path / "in", at("08:00", "60,,"), at("08:00", ",97,")))

    assert (60, 97) == (p1.column("heart_rate")[0], p1.column("oxygen_saturation")[0])
    assert (2, 2, 1, 0) == tuple(report[name] for name in ("read", "accepted", "merged", "duplicate"))


def test_parts_that_are_impossible_together_are_not_merged(tmp_path: Path, settings: Settings):
    path = tmp_path / "readings.csv"
    path.write_text("person,time,heart_rate,blood_pressure_systolic,blood_pressure_diastolic\n"
                    "p1,2026-01-05T08:00:00Z,60,100,\np1,2026-01-05T08:00:00Z,,,120\n")  # fmt: skip
    report, [p1] = run(settings, tmp_path / "out", path)

    assert np.isnan(p1.column("blood_pressure_diastolic")[0])
    assert 1 == report["conflict"]


def test_an_hour_recorded_twice_at_a_clock_change_stays_two_hours(tmp_path: Path, settings: Settings):
    rows = [
        at("02:30", "60,97,", zone="+02:00", day="2025-10-26"),
        at("02:30", "61,97,", zone="+01:00", day="2025-10-26"),
    ]
    report, [p1] = run(settings, tmp_path / "out", source(tmp_path / "in", *rows))

    assert ["00:30", "01:30"] == clocks(p1)
    assert [120, 60] == p1.offset.tolist()
    assert 0 == report["duplicate"]


def test_a_step_back_of_hours_after_travel_keeps_the_order_of_time(tmp_path: Path, settings: Settings):
    rows = [
        at("12:00", "60,97,", zone="+09:00"),
        at("05:00", "61,97,", zone="+01:00"),
        at("06:00", "62,97,", zone="+01:00"),
    ]
    _, [p1] = run(settings, tmp_path / "out", source(tmp_path / "in", *rows))

    assert ["03:00", "04:00", "05:00"] == clocks(p1)
    assert [540, 60, 60] == p1.offset.tolist()


def test_weeks_without_readings_and_mixed_rates_are_kept_as_they_are(tmp_path: Path, settings: Settings):
    rows = [f"p1,2026-01-05T08:00:{second:02}Z,60,,\n" for second in range(0, 60, 5)]
    rows += [
        at("08:00", "61,,", zone="Z", day="2026-01-05").replace("08:00:00", "08:10:00"),
        at("08:00", "62,,", day="2026-03-05"),
    ]
    report, [p1] = run(settings, tmp_path / "out", source(tmp_path / "in", *rows))

    assert 14 == len(p1)
    assert 0.0333 == pytest.approx(report["sources"][0]["coverage"], abs=1e-3)


def test_steps_that_end_before_the_heart_rate_stay_missing(tmp_path: Path, settings: Settings):
    path = tmp_path / "readings.csv"
    path.write_text("person,time,heart_rate,steps\np1,2026-01-05T08:00:00Z,60,0\np1,2026-01-05T08:05:00Z,60,\n")
    _, [p1] = run(settings, tmp_path / "out", path)

    assert 0 == p1.column("steps")[0]
    assert np.isnan(p1.column("steps")[1])


def test_many_rows_go_over_files_with_the_same_result(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(5)
    rows = []
    for person, hour, minute, rate in rng.integers((0, 0, 0, 50), (30, 3, 60, 53), (900, 4)).tolist():
        rows.append(at(f"{hour:02}:{minute:02}", f"{rate},97,", f"p{person:02}"))
    paths = [source(tmp_path / "in", *rows[:400]), source(tmp_path / "in", *rows[400:], name="more.csv")]
    report, people = run(settings, tmp_path / "memory", *paths)
    monkeypatch.setattr(gather, "MAX_ROWS", 100)
    spooled, others = run(settings, tmp_path / "files", *paths)

    assert report == spooled
    assert report["conflict"] > 0
    assert [readings.person for readings in people] == [readings.person for readings in others]
    for one, other in zip(people, others, strict=True):
        assert one.time.tolist() == other.time.tolist()
        np.testing.assert_array_equal(one.column("heart_rate"), other.column("heart_rate"))
    assert TABLES == sorted(file.name for file in (tmp_path / "files").iterdir())


def test_refused_rows_wait_in_quarantine_and_can_come_back(tmp_path: Path, settings: Settings):
    path = source(tmp_path / "in", at("08:00", "60,97,"), at("08:05", "900,97,"), at("08:10", ",,"))
    report, _ = run(settings, tmp_path / "out", path)

    assert {"out_of_physical_range": 1, "empty": 1} == report["rejected"]
    assert 1 == report["quarantined"]
    [reject] = read_rejects(tmp_path / "out" / "quarantine")
    assert ("row 3", "900") == (reject.position, json.loads(reject.raw)["heart_rate"])
    assert 0.333333 == report["bad_share"]
    assert report["too_many_refused"] is False
    assert 1 == replay(tmp_path / "out" / "quarantine", settings.schema, now_ms=NOW)["out_of_physical_range"]


def test_nothing_accepted_names_the_commonest_reason_and_leaves_what_was_there(tmp_path: Path, settings: Settings):
    run(settings, tmp_path / "out", source(tmp_path / "in", at("08:00", "60,97,")))
    bad = source(
        tmp_path / "in", at("08:00", "60,97,", zone=""), at("08:00", "61,97,", zone=""), at("08:00", "900,97,")
    )

    with pytest.raises(SourceError, match="2 of 3 are refused as timestamp_without_zone"):
        ingest([bad], tmp_path / "out", settings, now_ms=NOW)
    assert TABLES == sorted(file.name for file in (tmp_path / "out").iterdir())
    assert ["p1"] == recordings.people(tmp_path / "out" / "readings.parquet")


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    path = source(tmp_path / "in", at("08:00", "60,97,"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings, "_write", full)
    with pytest.raises(StoreError, match="disk is full"):
        ingest([path], tmp_path / "out", settings, now_ms=NOW)
    assert [] == list((tmp_path / "out").iterdir())


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path, settings: Settings):
    (tmp_path / "out").write_text("")

    with pytest.raises(StoreError, match="is no folder"):
        ingest([source(tmp_path / "in", at("08:00", "60,97,"))], tmp_path / "out", settings, now_ms=NOW)


def test_books_that_do_not_balance_stop_everything(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    def loses_a_row(*_: object, **__: object) -> Iterator[Batch]:
        yield Batch(NO_ROWS, read=1)

    monkeypatch.setattr(stage.readers, "read", loses_a_row)
    with pytest.raises(BooksDoNotBalance):
        ingest([source(tmp_path / "in", at("08:00", "60,97,"))], tmp_path / "out", settings, now_ms=NOW)
    assert [] == list((tmp_path / "out").iterdir())


def test_two_sources_know_a_person_better_than_one(tmp_path: Path, settings: Settings):
    for folder, profile in (("a", "p1,44,,170"), ("b", "p1,,female,180")):
        source(tmp_path / folder, at("08:00", "60,97,"))
        (tmp_path / folder / "profiles.csv").write_text(f"person,age,sex,height\n{profile}\n")
    run(settings, tmp_path / "out", tmp_path / "a", tmp_path / "b")

    p1 = recordings.read_profiles(tmp_path / "out" / "profiles.parquet")["p1"]
    assert (44, "female", 170) == (p1.age, p1.sex, p1.height)


def test_what_a_replay_accepted_is_a_source(tmp_path: Path, settings: Settings):
    run(settings, tmp_path / "out", source(tmp_path / "in", at("08:00", "60,97,"), at("08:05", "260,97,")))
    schema = settings.schema.model_dump()
    schema["columns"]["heart_rate"]["possible"] = (20, 300)
    wider = replace(settings, schema=Schema.model_validate(schema))
    replay(tmp_path / "out" / "quarantine", wider.schema, now_ms=NOW)
    _, [p1] = run(wider, tmp_path / "again", tmp_path / "in", tmp_path / "out" / "quarantine" / "replayed")

    assert [60, 260] == p1.column("heart_rate").tolist()


def test_progress_is_told(tmp_path: Path, settings: Settings):
    told: list[tuple[str, int, int]] = []
    path = source(tmp_path / "in", at("08:00", "60,97,"))
    ingest([path], tmp_path / "out", settings, now_ms=NOW, progress=lambda *step: told.append(step))

    assert ("read readings.csv", 1, 0) in told
    assert ("write", 1, 1) == told[-1]


@pytest.mark.parametrize(
    "name", [pytest.param("fitabase", marks=pytest.mark.slow), "physionet2019_setB/sample_raw", "mimic_numerics_wfdb"]
)
def test_real_recordings_balance(name: str, tmp_path: Path, real_data: Path, settings: Settings):
    report, people = run(settings, tmp_path / "out", real_data / name)

    assert report["people"] == len(people)
    for readings in people:
        assert (np.diff(readings.time) > 0).all()


def test_every_format_is_in_the_table():
    assert {"table", "fitbit", "physionet2019", "physionet2012", "wfdb"} == set(readers.FORMATS)

"""readers.physionet2012, physionet2019 and wfdb: intensive-care data, from a nominal start."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from vitalwatch import readers
from vitalwatch.errors import SourceError
from vitalwatch.readers import Batch
from vitalwatch.readers.batch import NOMINAL_START
from vitalwatch.settings import Settings

NOW = 1_790_000_000_000
HOUR = 3_600_000
LABS = ("EtCO2", "Lactate")
PSV = ("HR", "O2Sat", "Temp", "SBP", "MAP", "DBP", "Resp", *LABS, "Age", "Gender", "ICULOS", "SepsisLabel")


def read(
    path: Path, settings: Settings, **options: object
) -> tuple[list[tuple[str, int, dict[str, float]]], list[Batch]]:
    rows = []
    batches = list(readers.read(path, settings.schema, now_ms=NOW, **options))  # type: ignore[arg-type]
    for batch in batches:
        assert batch.read == len(batch.rows) + sum(batch.refused.values())
        taken = batch.rows
        for i in range(len(taken)):
            values = {name: round(float(v[i]), 3) for name, v in taken.values.items() if not np.isnan(v[i])}
            rows.append((taken.people[taken.person[i]], int(taken.time[i]) - NOMINAL_START, values))
    return rows, batches


def psv(*rows: str) -> str:
    return "|".join(PSV) + "\n" + "".join(row + "\n" for row in rows)


def test_psv_hours_become_times_and_labels_become_an_episode(tmp_path: Path, settings: Settings):
    (tmp_path / "p000001.psv").write_text(
        psv(
            "NaN|NaN|NaN|NaN|NaN|NaN|NaN|NaN|NaN|71|1|1|0",
            "64|97|36.4|118|84|66.5|14|31|NaN|71|1|2|0",
            "70|NaN|NaN|41|50|47|12|30|NaN|71|1|3|1",
            "71|NaN|NaN|NaN|NaN|NaN|NaN|NaN|NaN|71|1|4|1",
        )
    )
    # the challenge's files start with HR|O2Sat|Temp, by which they are known
    rows, batches = read(tmp_path, settings)

    assert "physionet2019" == readers.detect(tmp_path)
    assert [("p000001", 1 * HOUR), ("p000001", 3 * HOUR)] == [(person, time) for person, time, _ in rows]
    assert 66.5 == rows[0][2]["blood_pressure_diastolic"]
    assert {"empty": 1, "impossible_pair": 1} == batches[0].refused
    assert ("male", 71.0) == (batches[0].profiles[0].sex, batches[0].profiles[0].age)
    [event] = batches[0].events
    assert ("sepsis", 2 * HOUR, 4 * HOUR) == (event.kind, event.start - NOMINAL_START, event.end - NOMINAL_START)
    assert any("2000-01-01" in note for note in batches[-1].notes)


def beside(batches: list[Batch], settings: Settings) -> list[tuple[str, float, str, float]]:
    """Return (person, hour, name, value) of everything beside the vitals."""
    names, found = tuple(settings.schema.care), []
    for batch in batches:
        if (told := batch.care) is not None:
            hours = (told.time - NOMINAL_START) / HOUR
            rows = zip(told.person, hours, told.what, told.value, strict=True)
            found += [(told.people[p], float(h), names[w], round(float(v), 3)) for p, h, w, v in rows]
    return sorted(found)


def test_laboratory_and_the_hours_of_both_admissions_travel_beside_the_vitals(tmp_path: Path, settings: Settings):
    head = "HR|O2Sat|Temp|SBP|MAP|DBP|Resp|Lactate|Age|Gender|HospAdmTime|ICULOS|SepsisLabel\n"
    (tmp_path / "p1.psv").write_text(
        head + "60|97|36|120|80|70|16|NaN|70|0|-5|1|0\n" + "61|NaN|NaN|NaN|NaN|NaN|NaN|2.5|70|0|-5|2|0\n"
    )
    (tmp_path / "p2.psv").write_text(head + "60|97|36|120|80|70|16|999|70|0|NaN|1|1\n")
    _, batches = read(tmp_path, settings)

    assert [
        ("p1", 0.0, "blood_pressure_mean", 80.0),
        ("p1", 0.0, "hospital_hours", 6.0),
        ("p1", 0.0, "icu_hours", 1.0),
        ("p1", 1.0, "hospital_hours", 7.0),
        ("p1", 1.0, "icu_hours", 2.0),
        ("p1", 1.0, "lactate", 2.5),
        ("p2", 0.0, "blood_pressure_mean", 80.0),
        ("p2", 0.0, "icu_hours", 1.0),
    ] == beside(batches, settings)
    assert 1 == sum(batch.care.dropped for batch in batches if batch.care is not None)  # a lactate of 999
    assert {("p1", False), ("p2", True)} == {(o.person, o.happened) for batch in batches for o in batch.outcomes}


def test_a_psv_file_without_its_columns_is_named(tmp_path: Path, settings: Settings):
    (tmp_path / "p1.psv").write_text("HR|O2Sat|Temp\n60|99|36\n")

    with pytest.raises(SourceError, match=r"p1\.psv"):
        read(tmp_path, settings)


def test_stays_of_2012_are_put_together_by_time(tmp_path: Path, settings: Settings):
    text = (
        "Time,Parameter,Value\n00:00,RecordID,900001\n00:00,Age,47\n00:00,Gender,0\n00:00,Height,-1\n00:00,Weight,80.5\n"
        "00:12,HR,81\n00:12,NISysABP,138\n00:12,NIDiasABP,71\n00:12,Urine,250\n00:12,SysABP,152\n26:10,HR,-1\n26:10,Temp,36.6\n"
        "26:20,HR,7e\nxx,HR,70\n"
    )
    with zipfile.ZipFile(tmp_path / "set-a.zip", "w") as archive:
        archive.writestr("set-a/900001.txt", text)
    (tmp_path / "Outcomes-a.txt").write_text("RecordID,In-hospital_death\n900001,0\n")
    rows, batches = read(tmp_path / "set-a.zip", settings)

    assert [
        (
            "900001",
            12 * 60_000,
            {"heart_rate": 81.0, "blood_pressure_systolic": 152.0, "blood_pressure_diastolic": 71.0},
        ),
        ("900001", 12 * 60_000, {"blood_pressure_systolic": 138.0}),
        ("900001", 26 * HOUR + 10 * 60_000, {"body_temperature": 36.6}),
    ] == rows
    assert {"wrong_type": 1, "bad_timestamp": 1} == batches[0].refused
    profile = batches[0].profiles[0]
    assert ("female", 47.0, 80.5, True) == (profile.sex, profile.age, profile.weight, np.isnan(profile.height))
    assert any("Outcomes-a.txt" in note for note in batches[-1].notes)
    assert [("900001", 0.0, "icu_hours", 0.0), ("900001", round(12 / 60, 6), "urine", 250.0)] == [
        (person, round(hour, 6), name, value) for person, hour, name, value in beside(batches, settings)
    ]
    assert [("900001", "death_in_hospital", False)] == [
        (o.person, o.kind, o.happened) for batch in batches for o in batch.outcomes
    ]


def test_an_archive_that_unpacks_to_far_too_much_is_refused(tmp_path: Path, settings: Settings):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("a.psv", psv() + "0" * 5_000_000)

    with pytest.raises(SourceError, match="too large"):
        read(tmp_path / "bomb.zip", settings)


def monitor(folder: Path, **changes: object) -> None:
    """Write a WFDB record of four minutes."""
    import wfdb

    signals = np.array([[80.0, 97.0, 5.0], [0.0, 96.0, 5.0], [82.0, 0.0, 5.0], [0.0, 0.0, 0.0]])
    names = {"sig_name": ["HR", "SpO2", "PVC"], "units": ["bpm", "%", "/min"]} | changes
    folder.mkdir()
    wfdb.wrsamp("rec", fs=1 / 60, p_signal=signals, fmt=["16"] * 3, adc_gain=[10] * 3, baseline=[0] * 3,
                write_dir=str(folder), **names)  # fmt: skip


def test_a_monitors_zero_is_no_signal(tmp_path: Path, settings: Settings):
    monitor(tmp_path / "s1")
    rows, batches = read(tmp_path / "s1", settings)

    assert "wfdb" == readers.detect(tmp_path / "s1")
    assert [
        ("s1", 0, {"heart_rate": 80.0, "oxygen_saturation": 97.0}),
        ("s1", 60_000, {"oxygen_saturation": 96.0}),
        ("s1", 120_000, {"heart_rate": 82.0}),
    ] == rows
    assert {"empty": 1} == batches[0].refused
    assert any("not used: PVC" in note for note in batches[0].notes)


def test_a_signal_in_another_unit_is_not_converted(tmp_path: Path, settings: Settings):
    monitor(tmp_path / "s1", units=["Hz", "%", "/min"])

    with pytest.raises(SourceError, match="no signal with heart rate"):
        read(tmp_path / "s1", settings)


def test_a_record_without_its_signal_file_says_which(tmp_path: Path, settings: Settings):
    monitor(tmp_path / "s1")
    (tmp_path / "s1" / "rec.dat").unlink()

    with pytest.raises(SourceError, match=r"rec\.dat"):
        read(tmp_path / "s1", settings)


@pytest.mark.parametrize("name", ["physionet2019_setB/sample_raw", "mimic_numerics_wfdb"])
def test_real_recordings_are_read_to_the_end(name: str, real_data: Path, settings: Settings):
    rows, batches = read(real_data / name, settings)

    assert len(rows) > 50
    assert any(batch.notes for batch in batches)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "people"), [("physionet2019_setB/setB_even.zip", 4635), ("physionet2012/set-a.zip", 4000)]
)
def test_whole_challenges_are_read_to_the_end(name: str, people: int, real_data: Path, settings: Settings):
    profiles = read_count = kept = 0
    for batch in readers.read(real_data / name, settings.schema, now_ms=NOW):
        profiles += len(batch.profiles)
        read_count += batch.read
        kept += len(batch.rows)
        assert batch.read == len(batch.rows) + sum(batch.refused.values())

    assert people == profiles
    assert kept > 0.8 * read_count

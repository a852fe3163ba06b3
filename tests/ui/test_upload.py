from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from command_world import Place, day_of
from fitbit_world import export
from tiny import ROOT
from ui.world import EVIL, NOW
from vitalwatch.ui import upload
from vitalwatch.ui.upload import Models, Told, UploadRefused

HEAD = "person,time,heart_rate"


@pytest.fixture
def models(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Models:
    place = Place(tmp_path)
    place.add_run("000000000001", tiny_bundle)
    folder = place.store.folder("000000000001") / "models"
    return Models("000000000001", folder, (tiny_bundle[1],), place.store.seal("000000000001", "models/manifest.json"))


def read(files: dict[str, bytes], models: Models, **more: float) -> Told:
    return upload.read(files, models, ROOT, NOW, **more)


def csv_bytes(rows: list[str], head: str = HEAD) -> bytes:
    return "\n".join([head, *rows]).encode()


@pytest.mark.slow
def test_a_recording_is_read_judged_and_told(models: Models) -> None:
    rows = [*day_of("anna", 2), "anna,2026-01-06T00:00:00Z,900", f"{EVIL},2026-01-06T00:00:00Z,60"]
    told = read({"mine.csv": csv_bytes(rows)}, models)

    assert (578, 576) == (told.books["read"], told.books["accepted"])
    assert 2 == sum(told.books["rejected"].values())
    assert [("anna", 576)] == [(one.course.person, one.rows) for one in told.people]
    assert [1.0, 1.0] == [row["share"] for row in told.people[0].coverage]
    assert b"<!DOCTYPE html>" == told.report[:15]
    assert b"no medical device" in told.report


@pytest.mark.slow
def test_a_fitbit_export_is_known_by_its_content(models: Models) -> None:
    files = export(2)
    rows = sum(content.count(b"\n") - 1 for content in files.values())
    told = read(files, models)

    assert ["fitbit"] == told.books["formats"]
    assert rows == told.books["read"]
    assert 0 == sum(told.books["rejected"].values())
    assert [("7", 2 * 288)] == [(one.course.person, one.rows) for one in told.people]
    assert 0.9 < told.people[0].assessable / told.people[0].rows


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b.csv", ".hidden.csv", "x" * 300 + ".csv", "<b>.csv", ""])
def test_no_name_leaves_the_folder_of_the_upload(name: str) -> None:
    told = upload._file_name(name, 3)

    assert Path(told).name == told
    assert not told.startswith(".")
    assert 0 < len(told) <= 80


def test_a_file_in_no_known_format_is_refused_without_its_place(models: Models) -> None:
    with pytest.raises(UploadRefused, match=r"^notes.txt: is in no format known here") as caught:
        read({"notes.txt": b"hello"}, models)

    assert "vitalwatch-upload" not in str(caught.value)


def test_nothing_is_refused(models: Models) -> None:
    with pytest.raises(UploadRefused, match="Choose at least one file"):
        read({}, models)


def test_too_much_is_refused_before_it_is_written(models: Models) -> None:
    with pytest.raises(UploadRefused, match="more than 20 MB"):
        read({f"{i}.csv": bytes(5 << 20) for i in range(5)}, models)


def test_a_reading_that_takes_too_long_is_stopped(models: Models) -> None:
    with pytest.raises(UploadRefused, match=r"^Reading took more than 0 seconds"):
        read({"a.csv": csv_bytes(day_of("anna"))}, models, wall=0.2)


@pytest.mark.slow
def test_a_bomb_ends_the_child_and_not_the_page(models: Models) -> None:
    buffer = io.BytesIO()
    name, size = "p000001.psv", 64 << 20
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(b"HR|O2Sat|Temp|SBP|MAP|DBP|Resp\n")
        for _ in range(60):
            file.write(bytes(size))
    with pytest.raises(UploadRefused):
        read({"bomb.zip": buffer.getvalue()}, models)


def test_the_child_cannot_take_more_memory_than_its_limit() -> None:
    code = "from vitalwatch.ui.reading_child import limit; limit(1 << 30, 60); bytearray(2 << 30)"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)

    assert 1 == ended.returncode
    assert b"MemoryError" in ended.stderr


def test_the_child_cannot_take_more_processor_time_than_its_limit() -> None:
    code = "from vitalwatch.ui.reading_child import limit; limit(1 << 30, 1)\nwhile True: pass"

    assert 0 > subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode


@pytest.mark.slow
def test_cells_of_the_csv_are_no_formulas(models: Models) -> None:
    told = read({"a.csv": csv_bytes(day_of("anna", 2, rate=180))}, models)
    alarms = [{**alarm, "explanation": "=cmd()", "kind": "@x"} for alarm in told.people[0].alarms]
    changed = upload.Uploaded(**{**vars(told.people[0]), "alarms": alarms})
    rows = list(csv.DictReader(io.StringIO(upload.alarms_csv((changed,)).decode())))

    assert rows
    assert {("'=cmd()", "'@x")} == {(row["explanation"], row["kind"]) for row in rows}

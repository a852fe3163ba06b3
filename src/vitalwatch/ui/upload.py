"""What somebody uploads, read by a child process with limits; and the sample."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.errors import VitalsError
from vitalwatch.settings import Settings
from vitalwatch.tables import Profile, Readings
from vitalwatch.timestamps import rfc3339
from vitalwatch.ui.course import Ahead, Course, worn_by_day
from vitalwatch.ui.plain import sheet_cell
from vitalwatch.ui.trying import Judged

WALL_SECONDS = 120
MOST_BYTES = 20 << 20  # of all files together; one file is limited by server.maxUploadSize
MOST_TOLD = 64 << 20  # bytes of the child's answer
SUFFIXES = ["csv", "parquet", "jsonl", "json", "psv", "txt", "zip", "hea", "dat"]
Judge = Callable[[Readings, Profile], Judged]
SAMPLE_PERSON, SAMPLE_DAYS = 100_007, 14  # as docs/person.svg: nobody that a run learns from


class UploadRefused(VitalsError):
    """An upload was not read: why, and what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True)
class Models:
    """Which run judges an upload, where its models lie, and what they must be."""

    run: str
    folder: Path
    trusted: tuple[Path, ...]
    seal: str


@dataclass(frozen=True)
class Uploaded:
    """One person of an upload."""

    course: Course
    coverage: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    ahead: Ahead | None
    rows: int
    assessable: int
    own: int


@dataclass(frozen=True)
class Told:
    """What an upload holds: the books (read = accepted + duplicate + rejected), people, and a report as HTML."""

    books: Mapping[str, Any]
    people: tuple[Uploaded, ...]
    report: bytes


def read(files: Mapping[str, bytes], models: Models, root: Path, now: int, *, wall: float = WALL_SECONDS) -> Told:
    """Return what some files hold and what the models here say of it.

    Args:
        files: Name -> content, as uploaded; one file, or the files of one export.
        models: Of the run in production.
        root: Of the project: schema.yaml and params.yaml.
        now: UTC ms.
        wall: Seconds that the child may take.

    Raises:
        UploadRefused: No file, too much, no format fits, too slow, or the child ended badly.
    """
    job = {
        "run": models.run,
        "models": str(models.folder),
        "trusted": [str(path) for path in models.trusted],
        "seal": models.seal,
    }
    told, report = _read(files, {**job, "root": str(root), "now": now}, wall)
    people = tuple(_person(one) for one in told.pop("people"))
    return Told(told, people, report)


def read_there(
    files: Mapping[str, bytes], judge: Judge, settings: Settings, now: int, *, wall: float = WALL_SECONDS
) -> Told:
    """Return what some files hold and what models elsewhere say of it; as `read`.

    The child summarises readings by grid step, no model is needed here. `judge` is asked for each person.
    """
    from vitalwatch.ui import upload_report

    told, _ = _read(files, {"root": str(settings.root), "now": now}, wall)
    people, pictured = list[Uploaded](), []
    for one in told.pop("people"):
        readings = _readings(one)
        judged = judge(readings, Profile(**{**one["profile"], "person": readings.person}))
        alarms = [{**alarm, "person": readings.person} for alarm in judged.alarms]
        course = judged.course
        people.append(
            Uploaded(
                course.last(SAMPLE_DAYS * settings.schema.steps_per_day), worn_by_day(course), alarms, judged.ahead,
                len(course), sum(course.assessable), sum(course.own_baseline),
            )
        )  # fmt: skip
        pictured.append(upload_report.told_over(people[-1], settings.schema))
    report = upload_report.render(told, pictured, settings.schema)
    return Told(told, tuple(people), report.encode())


def _read(files: Mapping[str, bytes], job: Mapping[str, Any], wall: float) -> tuple[dict[str, Any], bytes]:
    """Return what the child tells of files, and its report."""
    if not files:
        raise UploadRefused("Nothing was sent. Choose at least one file.")
    if sum(map(len, files.values())) > MOST_BYTES:
        raise UploadRefused(f"That is more than {MOST_BYTES >> 20} MB together. Send fewer files or days at once.")
    with tempfile.TemporaryDirectory(prefix="vitalwatch-upload-") as name:
        folder = Path(name)
        (folder / "upload").mkdir()
        for number, (told, data) in enumerate(files.items()):
            (folder / "upload" / _file_name(told, number)).write_bytes(data)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _call(folder, wall)
        return _answer(folder)


def sample(settings: Settings) -> dict[str, bytes]:
    """Return two weeks of one synthetic person as the CSV file that somebody might upload."""
    from vitalwatch import synthetic  # as slow to load as the rest of the page, and seldom asked for

    one = synthetic.person(
        SAMPLE_PERSON, settings.schema, settings.params.synthetic, settings.params.seed, days=SAMPLE_DAYS
    )
    names = [name for name in settings.schema.names if np.isfinite(one.readings.column(name)).any()]
    lines = [",".join(("person", "time", *names))]
    columns = [one.readings.column(name) for name in names]
    for i, (moment, offset) in enumerate(zip(one.readings.time.tolist(), one.readings.offset.tolist(), strict=True)):
        cells = ["" if np.isnan(column[i]) else f"{column[i]:.6g}" for column in columns]
        lines.append(",".join(("sample", rfc3339(moment, offset), *cells)))
    return {"sample.csv": ("\n".join(lines) + "\n").encode()}


def alarms_csv(people: tuple[Uploaded, ...]) -> bytes:
    """Return all alarms as CSV that a spreadsheet opens without running anything."""
    import csv
    import io

    names = ("person", "start", "end", "channel", "kind", "priority", "explanation")
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    for person in people:
        for alarm in person.alarms:
            told = {**alarm, "start": rfc3339(alarm["start"]), "end": rfc3339(alarm["end"])}
            writer.writerow([sheet_cell(told[name]) for name in names])
    return buffer.getvalue().encode()


def _file_name(told: str, number: int) -> str:
    """Return a harmless name that keeps the ending, by which some formats are known."""
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(told).name).lstrip(".")[-80:]
    return kept or f"file{number}"


def _call(folder: Path, wall: float) -> None:
    command = [sys.executable, "-m", "vitalwatch.ui.reading_child", str(folder)]
    try:
        ended = subprocess.run(command, timeout=wall, check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise UploadRefused(f"Reading took more than {wall:.0f} seconds and was stopped. Send less at once.") from None
    if ended.returncode != 0 or not (folder / "told.json").is_file():
        raise UploadRefused("Reading needed more memory or time than an upload may take, or the file is damaged. "
                            "Send fewer days at once, or check the file.")  # fmt: skip


def _answer(folder: Path) -> tuple[dict[str, Any], bytes]:
    if (folder / "told.json").stat().st_size > MOST_TOLD:
        raise UploadRefused("That is more than a page can show. Send fewer days at once.")
    told: dict[str, Any] = json.loads((folder / "told.json").read_bytes())
    if "problem" in told:
        raise UploadRefused(told["problem"])
    report = folder / "report.html"
    return told, report.read_bytes() if report.is_file() else b""


def _readings(one: Mapping[str, Any]) -> Readings:
    columns = {name: np.asarray([np.nan if value is None else value for value in column], np.float32)
               for name, column in one["values"].items()}  # fmt: skip
    return Readings(one["person"], np.asarray(one["time"], np.int64), np.asarray(one["offset"], np.int16), columns)


def _person(one: Mapping[str, Any]) -> Uploaded:
    ahead = one["ahead"] and Ahead(**one["ahead"])
    numbers = {name: one[name] for name in ("rows", "assessable", "own")}
    return Uploaded(Course(**one["course"]), one["coverage"], one["alarms"], ahead or None, **numbers)

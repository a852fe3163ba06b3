"""What somebody uploads, read by a child process with limits; and the sample."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.errors import VitalsError
from vitalwatch.settings import Settings
from vitalwatch.timestamps import rfc3339
from vitalwatch.ui.course import Ahead, Course
from vitalwatch.ui.plain import sheet_cell

WALL_SECONDS = 120
MOST_BYTES = 20 << 20  # of all files together; one file is limited by server.maxUploadSize
MOST_TOLD = 64 << 20  # bytes of the child's answer
SUFFIXES = ["csv", "parquet", "jsonl", "json", "psv", "txt", "zip", "hea", "dat"]
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
    """Return what some files hold and what the models say of it.

    Args:
        files: Name -> content, as uploaded; one file, or the files of one export.
        models: Of the run in production.
        root: Of the project: schema.yaml and params.yaml.
        now: UTC ms.
        wall: Seconds that the child may take.

    Raises:
        UploadRefused: No file, too much, no format fits, too slow, or the child ended badly.
    """
    if not files:
        raise UploadRefused("Nothing was sent. Choose at least one file.")
    if sum(map(len, files.values())) > MOST_BYTES:
        raise UploadRefused(f"That is more than {MOST_BYTES >> 20} MB together. Send fewer files or days at once.")
    with tempfile.TemporaryDirectory(prefix="vitalwatch-upload-") as name:
        folder = Path(name)
        (folder / "upload").mkdir()
        for number, (told, data) in enumerate(files.items()):
            (folder / "upload" / _file_name(told, number)).write_bytes(data)
        job = {
            "run": models.run,
            "models": str(models.folder),
            "trusted": [str(path) for path in models.trusted],
            "seal": models.seal,
        }
        (folder / "job.json").write_text(json.dumps({**job, "root": str(root), "now": now}), encoding="utf-8")
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


def _answer(folder: Path) -> Told:
    if (folder / "told.json").stat().st_size > MOST_TOLD:
        raise UploadRefused("That is more than a page can show. Send fewer days at once.")
    told = json.loads((folder / "told.json").read_bytes())
    if "problem" in told:
        raise UploadRefused(told["problem"])
    people = tuple(_person(one) for one in told.pop("people"))
    return Told(told, people, (folder / "report.html").read_bytes())


def _person(one: Mapping[str, Any]) -> Uploaded:
    ahead = one["ahead"] and Ahead(**one["ahead"])
    numbers = {name: one[name] for name in ("rows", "assessable", "own")}
    return Uploaded(Course(**one["course"]), one["coverage"], one["alarms"], ahead or None, **numbers)

"""Reads what somebody uploaded, in a process of its own with limits: a bomb or a parser's fault ends here.

`python -m vitalwatch.ui.reading_child FOLDER` reads FOLDER/job.json and FOLDER/upload/, and writes FOLDER/told.json and
FOLDER/report.html. Memory, processor time and file size are limited before anything of the upload is opened; the parent
limits the wall time.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # limits come first, before anything else is loaded
    from vitalwatch.monitor import Monitor
    from vitalwatch.schema import Schema
    from vitalwatch.settings import Settings
    from vitalwatch.tables import Profile, Readings

MEMORY, PROCESSOR_SECONDS, FILE_SIZE, FILES = 3 << 30, 90, 256 << 20, 256
MOST_PEOPLE, SHOWN_DAYS = 12, 14


def main(folder: Path) -> int:
    """Limit this process, read the upload, write what it holds."""
    limit(MEMORY, PROCESSOR_SECONDS)
    from vitalwatch.errors import VitalsError

    try:
        told = read(folder, json.loads((folder / "job.json").read_bytes()))
    except VitalsError as error:
        told = {"problem": _without_place(str(error), folder)}
    except MemoryError:
        told = {"problem": "This needs more memory than an upload may take. Send fewer days or people at once."}
    (folder / "told.json").write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
    return 0


def limit(memory: int, seconds: int) -> None:
    """Let this process take no more than so many bytes of memory and seconds of processor time."""
    limits = ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, FILE_SIZE))
    for what, most in (*limits, (resource.RLIMIT_NOFILE, FILES), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def read(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Return what the upload holds and what the run in production says of it; without one, its readings by grid step.

    Raises:
        VitalsError: It cannot be read, or the models are refused.
    """
    from vitalwatch.settings import load_settings
    from vitalwatch.stages.ingest import ingest

    settings, monitor = load_settings(Path(job["root"])), None
    if "models" in job:
        from vitalwatch.monitor import Monitor

        monitor = Monitor.open(Path(job["models"]), [Path(path) for path in job["trusted"]], seal=job["seal"])
        settings = replace(settings, schema=monitor.schema)
    upload = folder / "upload"
    files = sorted(upload.iterdir())
    source = files[0] if len(files) == 1 else upload
    report = ingest([source], folder / "tables", settings, now_ms=job["now"])
    people, left_out = _people(folder / "tables", settings.schema)
    told = {"run": job.get("run", ""), "left_out": left_out, **_books(report, folder)}
    if monitor is None:
        return {**told, "people": [_by_step(one, profile, settings) for one, profile in people]}
    return {**told, "people": _judged(folder, told, people, monitor)}


def _people(tables: Path, schema: Schema) -> tuple[list[tuple[Readings, Profile | None]], int]:
    """Return the first people with their profiles, and how many more there are."""
    from vitalwatch.recordings import iter_people, read_profiles

    profiles, left_out = read_profiles(tables / "profiles.parquet"), 0
    people: list[tuple[Readings, Profile | None]] = []
    for readings in iter_people(tables / "readings.parquet", schema):
        if len(people) < MOST_PEOPLE:
            people.append((readings, profiles.get(readings.person)))
        else:
            left_out += 1
    return people, left_out


def _by_step(readings: Readings, profile: Profile | None, settings: Settings) -> dict[str, Any]:
    """Return a person's readings, one a grid step, and who they are, as plain values."""
    from vitalwatch.cleaning import Plan, summarise
    from vitalwatch.tables import Profile

    plan = Plan.of(settings.schema, settings.params.cleaning)
    steps, offsets, rows = summarise(readings, plan)
    values = {
        name: [None if value != value else value for value in rows[:, place].tolist()]
        for name, place in plan.at.items()
        if name in settings.schema.columns
    }
    known = {name: value for name, value in vars(profile or Profile(readings.person)).items() if value == value}
    return {
        "person": readings.person,
        "time": (steps * settings.schema.step_ms).tolist(),
        "offset": offsets.tolist(),
        "values": {name: column for name, column in values.items() if any(value is not None for value in column)},
        "profile": known,
    }


def _judged(
    folder: Path, told: dict[str, Any], those: list[tuple[Readings, Profile | None]], monitor: Monitor
) -> list[dict[str, Any]]:
    """Return people as the page shows them, and write the report."""
    from vitalwatch.ui import course, upload_report

    people: list[dict[str, Any]] = []
    pictures = []
    for readings, profile in those:
        answers = monitor.answer(readings, profile)
        whole = course.of_answers(answers)
        ahead = course.ahead_of(answers)
        people.append(
            {
                "course": whole.last(SHOWN_DAYS * monitor.schema.steps_per_day).to_json(),
                "coverage": course.worn_by_day(whole),
                "alarms": [vars(alarm) for alarm in answers.alarms],
                "ahead": None if ahead is None else vars(ahead),
                "rows": len(answers),
                "assessable": int(answers.assessable.sum()),
                "own": int(answers.own_baseline.sum()),
            }
        )
        pictures.append(upload_report.told_of(answers, readings.person))
    (folder / "report.html").write_text(upload_report.render(told, pictures, monitor.schema), encoding="utf-8")
    return people


def _books(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    names = ("read", "accepted", "merged", "duplicate", "rejected", "person_days")
    formats = sorted({source["format"] for source in report["sources"]})
    notes = [_without_place(note, folder) for source in report["sources"] for note in source["notes"]]
    return {**{name: report[name] for name in names}, "formats": formats, "notes": notes}


def _without_place(text: str, folder: Path) -> str:
    """Return text without the temporary folder's name: it means nothing to the one who uploaded."""
    return (
        text.replace(f"{folder / 'upload'}/", "")
        .replace(str(folder / "upload"), "what you sent")
        .replace(str(folder), "")
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""How far simulated people move like real ones, told beside the figures that were got from them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import recordings
from vitalwatch.metrics.bootstrap import plain
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY, MINUTE, Readings

MOST_PEOPLE = 100  # statistics are means over people, and those of a dozen miss the bounds by chance
STEPS = (5, 1)  # minutes, of the grids that real wearers were measured on
UNITS = {"persistence": "bpm", "bpm_per_100_steps": "bpm", "heart_rate_sd": "bpm", "still_heart_rate": "bpm",
         "night_drop": "bpm"}  # fmt: skip


def realism_of(readings: Iterable[Readings], step_minutes: int) -> dict[str, Any]:
    """Return `statistics` and `failures` of simulated people for the report, ready for JSON.

    Args:
        readings: Of simulated people, regular; the first 100 count who walked and were awake with a heart rate for half
            a day.
        step_minutes: Grid step; bounds are known for 1 and 5 minutes.

    Returns:
        statistics (name -> figure, None where there is none) and failures (name -> what was wanted); empty where
        nobody can be judged.
    """
    from vitalwatch.synthetic import realism

    chosen: list[Readings] = []
    for one in readings:
        if _enough(one, step_minutes):
            chosen.append(one)
        if len(chosen) == MOST_PEOPLE:
            break
    if not chosen:
        return {}
    found = realism.statistics(chosen, step_minutes)
    statistics = {name: plain(value) for name, value in found.items()}
    return {"statistics": statistics, "failures": realism.failures(found, step_minutes)}


def compared(settings: Settings, people: int, source: Path | None, now_ms: int) -> dict[str, Any]:
    """Return the statistics of synthetic people beside real wearers', and whether a classifier tells them apart.

    Args:
        settings: Of the simulator, the default grid and the seed.
        people: Synthetic people, made anew.
        source: Recordings of real wearers, at least four; None where there are none.
        now_ms: UTC, for the reader.

    Returns:
        `statistics` and `told_apart` by grid step in minutes (text), `red` (how many statistics are not within
        +-15 %) of `judged`, and `note` (why something is missing, else empty).
    """
    from vitalwatch.stages import likeness
    from vitalwatch.synthetic import person, realism

    real = wearers(source, settings, now_ms) if source else []
    table: dict[str, list[dict[str, Any]]] = {}
    apart: dict[str, Any] = {}
    for step in STEPS:
        schema = Schema.model_validate(settings.schema.model_dump() | {"step": f"{step}min"})
        made = [
            realism.course(person(index, schema, settings.params.synthetic, settings.params.seed).readings, step)
            for index in range(people)
        ]
        courses = [realism.course(one, step) for one in real]
        table[str(step)] = _rows(made, courses, step)
        if len(courses) >= likeness.FOLDS <= people:
            apart[str(step)] = likeness.told_apart(
                courses, made, settings.params.seed, settings.config.jobs, settings.params.evaluation.confidence
            )
    enough = f"Told apart needs {likeness.FOLDS} real wearers and as many synthetic people."
    return {
        "people": people,
        "wearers": len(real),
        "statistics": table,
        "told_apart": apart,
        "red": sum(row["passed"] is False for rows in table.values() for row in rows),
        "judged": sum(row["passed"] is not None for rows in table.values() for row in rows),
        "note": "" if apart else f"{enough} Name the folder of recordings with VITALWATCH_REAL_DATA.",
    }


def wearers(source: Path, settings: Settings, now_ms: int) -> list[Readings]:
    """Return the people of a source, its tables' clocks brought together."""
    from vitalwatch.stages.ingest import ingest

    with tempfile.TemporaryDirectory() as folder:
        ingest([source], Path(folder), settings, now_ms=now_ms)
        return list(recordings.iter_people(Path(folder) / "readings.parquet", settings.schema))


def _rows(made: Sequence[Any], real: Sequence[Any], step: int) -> list[dict[str, Any]]:
    from vitalwatch.synthetic import realism

    found = realism.means([realism.of_person(one) for one in made])
    measured = realism.means([realism.of_person(one) for one in real]) if real else {}
    bounds = realism.WEARERS[step]
    rows = []
    for name, value in found.items():
        judge = bounds.get(name) or realism.PUBLISHED.get(name)
        published = realism.PUBLISHED.get(name)
        rows.append(
            {
                "name": name,
                "unit": UNITS.get(name.partition("_")[0], UNITS.get(name, "")),
                "synthetic": plain(value),
                "wearers": [bounds[name].mean, bounds[name].low, bounds[name].high] if name in bounds else None,
                "published": [published.mean, published.low, published.high] if published else None,
                "measured_here": plain(measured.get(name, float("nan"))),
                "beyond": plain(judge.beyond(value)) if judge else None,
                "passed": judge.holds(value) if judge else None,
                "wanted": judge.words() if judge else "",
            }
        )
    return rows


def _enough(one: Readings, step_minutes: int) -> bool:
    """Return whether half a day of heart rate is known awake, and neither it nor the steps always stay the same."""
    heart = one.column("heart_rate")
    known = heart[np.isfinite(heart) & ~(one.column("sleep") > 0)]
    long = len(known) >= DAY // (2 * step_minutes * MINUTE)
    return bool(long and np.ptp(known) > 0 and np.nansum(one.column("steps")) > 0)

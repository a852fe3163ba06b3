"""How far simulated people move like real ones, told beside the figures that were got from them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import recordings
from vitalwatch.metrics.bootstrap import plain
from vitalwatch.params import Gates
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings
from vitalwatch.stages.evaluate import gate
from vitalwatch.tables import DAY, MINUTE, Readings

NAME = "simulation_unlike_wearers"
LEAST_PEOPLE = 30  # for the gate
MOST_PEOPLE = 100  # statistics are means over people, and those of a dozen miss the bounds by chance
STEPS = (5, 1)  # minutes, of the grids that real wearers were measured on
UNITS = {"persistence": "bpm", "bpm_per_100_steps": "bpm", "heart_rate_sd": "bpm", "still_heart_rate": "bpm",
         "still_heart_rate_sd": "bpm", "night_drop": "bpm", "own_days_mae": "bpm", "bpm_per_degree": "bpm",
         "breaths_per_degree": "/min", "quiet": "bpm"}  # fmt: skip


def realism_of(readings: Iterable[Readings], step_minutes: int) -> dict[str, Any]:
    """Return `statistics` and `failures` of simulated people for the report, ready for JSON.

    Args:
        readings: Of simulated people, regular; the first 100 count who walked and were awake with a heart rate for half
            a day.
        step_minutes: Grid step; bounds are known for 1 and 5 minutes.

    Returns:
        people (how many counted), statistics (name -> figure, None where there is none), real (name -> mean, low and
        high of real people, for those that have bounds), judged (how many these are) and failures (name -> what was
        wanted); empty where nobody can be judged.
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
    bounds = realism.WEARERS.get(step_minutes, {}) | realism.PUBLISHED
    real = {name: [bound.mean, bound.low, bound.high] for name, bound in bounds.items() if name in found}
    failures = realism.failures(found, step_minutes)
    return {
        "people": len(chosen), "statistics": statistics, "real": real, "judged": len(real), "failures": failures,
    }  # fmt: skip


def realism_gate(found: Mapping[str, Any], chosen: Gates) -> dict[str, Any] | None:
    """Return the verdict on the simulation, None where nobody is simulated: figures on it count as far as it holds.

    Args:
        found: From `realism_of`.
        chosen: Of params.yaml.
    """
    if not found:
        return None
    share, limit = len(found["failures"]) / max(found["judged"], 1), chosen.max_unrealistic
    if found["people"] < LEAST_PEOPLE:
        why = f"not assessable: {found['people']} simulated test people; means of under {LEAST_PEOPLE} miss by chance"
        return gate(NAME, share, limit, None, why)
    return gate(NAME, share, limit, share <= limit)


def compared(settings: Settings, people: int, source: Path | None, now_ms: int) -> dict[str, Any]:
    """Return the statistics of synthetic people beside real wearers', and whether a classifier tells them apart.

    Args:
        settings: Of the simulator, the default grid and the seed.
        people: Synthetic people, made anew.
        source: Recordings of real wearers, at least four; None where there are none.
        now_ms: UTC, for the reader.

    Returns:
        `statistics`, `told_apart` and `synthetic_to_real` by grid step in minutes (text), `red` (how many statistics
        are not within +-15 %) of `judged`, and `note` (why something is missing, else empty).
    """
    from vitalwatch.stages import likeness, transfer
    from vitalwatch.synthetic import person, realism

    real = wearers(source, settings, now_ms) if source else []
    table: dict[str, list[dict[str, Any]]] = {}
    apart: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for step in STEPS:
        schema = Schema.model_validate(settings.schema.model_dump() | {"step": f"{step}min"})
        crowd = (person(index, schema, settings.params.synthetic, settings.params.seed) for index in range(people))
        made, ill = [], []
        for one in crowd:
            made.append(realism.course(one.readings, step))
            if any(event.kind == "fever" for event in one.events):
                ill.append((one.readings, one.events))
        courses = [realism.course(one, step) for one in real]
        table[str(step)] = _rows(made, courses, step, realism.per_degree(ill, step))
        if len(courses) >= likeness.FOLDS <= people:
            found = transfer.from_synthetic_to_real(courses, made, settings.params.seed, settings.config.jobs)
            moved |= {str(step): found} if found else {}
            apart[str(step)] = likeness.told_apart(
                courses, made, settings.params.seed, settings.config.jobs, settings.params.evaluation.confidence
            )
    enough = f"Told apart needs {likeness.FOLDS} real wearers and as many synthetic people."
    return {
        "people": people,
        "wearers": len(real),
        "statistics": table,
        "told_apart": apart,
        "synthetic_to_real": moved,
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


def _rows(made: Sequence[Any], real: Sequence[Any], step: int, by_fever: Mapping[str, float]) -> list[dict[str, Any]]:
    from vitalwatch.synthetic import realism

    found, measured = (realism.of_people(some) for some in (made, real))
    found |= by_fever
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

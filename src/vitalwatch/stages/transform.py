"""Readings -> cleaned grids, and who is learnt from and who is tested on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch import cleaning
from vitalwatch.artefacts import ARTEFACTS
from vitalwatch.grids import write_grids
from vitalwatch.pipeline import Work
from vitalwatch.recordings import iter_people
from vitalwatch.splits import split_people
from vitalwatch.tables import Grid

POPULATION = "synthetic-"  # pseudonyms of synthetic people who stand in for a population


def transform(work: Work) -> dict[str, Any]:
    """Clean everybody and divide people; returns what the manifest shows.

    Reads readings.parquet; writes grid.parquet and splits.json.
    """
    schema, params = work.settings.schema, work.settings.params
    spans: dict[str, tuple[int, int]] = {}
    counts: Counter[str] = Counter()

    def grids() -> Iterator[Grid]:
        for number, readings in enumerate(iter_people(work.path("readings.parquet"), schema), start=1):
            grid = cleaning.to_grid(readings, schema, params.cleaning)
            spans[grid.person] = (int(grid.time[0]), int(grid.time[-1]))
            _count(counts, grid, readings_in=len(readings))
            work.progress(number, 0)
            yield grid

    rows = write_grids(work.out("grid.parquet"), grids(), schema)
    splits = divide(spans, work.settings.params.splits, params.seed)
    work.out("splits.json").write_text(json.dumps(splits, indent=1), encoding="utf-8")
    return {"people": len(spans), "rows": rows, "how": splits["how"], "note": splits["note"], **dict(counts)}


def divide(spans: dict[str, tuple[int, int]], chosen: Any, seed: int) -> dict[str, Any]:
    """Return who is in which part: the user's own people by person or by time, a stand-in population by person.

    Args:
        spans: Person -> first and last grid time, UTC ms.
        chosen: params.Splits.
        seed: Decides who.
    """
    own = split_people([person for person in spans if not person.startswith(POPULATION)], chosen, seed)
    others = [person for person in spans if person.startswith(POPULATION)]
    people: dict[str, Any] = {}
    if own.how == "time":
        for person in own.part:
            calibration, test = own.bounds(*spans[person])
            people[person] = {"part": "time", "calibration": calibration, "test": test}
    else:
        people = {person: {"part": part} for person, part in own.part.items()}
    note = own.note
    if others:
        population = split_people(others, chosen, seed)
        people |= {person: {"part": part} for person, part in population.part.items()}
        note += f" {len(others)} synthetic people stand in for a population. {population.note}"
    return {"how": own.how, "note": note, "people": people}


def _count(counts: Counter[str], grid: Grid, readings_in: int) -> None:
    counts["readings"] += readings_in
    counts["carried_forward"] += int(grid.filled.sum())
    counts["segments"] += len(np.unique(grid.segment[grid.segment >= 0]))
    for name, bit in ARTEFACTS.items():
        counts[f"artefact_{name}"] += int((grid.artefact & bit > 0).sum())


def parts(person: dict[str, Any], time: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the part of each row as an index into `splits.PARTS`, (n,), from an entry of splits.json."""
    if person["part"] != "time":
        return np.full(len(time), ("train", "calibration", "test").index(person["part"]), np.int8)
    at = np.asarray(time)
    return (at >= person["calibration"]).astype(np.int8) + (at >= person["test"]).astype(np.int8)


def read_splits(path: Path) -> dict[str, Any]:
    """Return splits.json."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

"""Grids and judged rows made by hand, for tests of what is learnt from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tiny import small_settings
from vitalwatch import features
from vitalwatch.cleaning import grid_columns
from vitalwatch.metrics.budget import Track
from vitalwatch.stages.calibrating import Seen
from vitalwatch.tables import DAY, MINUTE, Grid

SCHEMA = small_settings().schema
STEP = 5 * MINUTE
A_DAY = DAY // STEP


def grid(person: str = "a", rows: int = A_DAY, start: int = 0, **columns: NDArray[np.floating] | float) -> Grid:
    """Return a cleaned person at UTC with the named columns; the others were not measured."""
    names, time = grid_columns(SCHEMA), start + np.arange(rows, dtype=np.int64) * STEP
    values = np.full((rows, len(names)), np.nan, np.float32)
    for name, column in columns.items():
        values[:, names.index(name)] = column
    vitals = len(SCHEMA.vitals)
    return Grid(
        person=person,
        time=time,
        minute=(time // MINUTE % 1440).astype(np.int16),
        segment=np.zeros(rows, np.int32),
        names=names,
        values=values,
        filled=np.zeros((rows, vitals), np.bool_),
        artefact=np.zeros((rows, vitals), np.uint8),
    )


def asleep(rows: int) -> NDArray[np.float64]:
    """Return 1 from midnight to eight, else 0."""
    return (np.arange(rows) % A_DAY < 96).astype(np.float64)


def walks(rows: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return steps a row: walks of some rows at some pace, by day only."""
    paces = rng.integers(15, 120, rows // 8 + 1) * (rng.random(rows // 8 + 1) < 0.3)
    return np.repeat(paces, 8)[:rows] * 5.0 * (1 - asleep(rows))


def seen(people: int = 6, days: int = 8, seed: int = 1, every: int = 2 * A_DAY) -> Seen:
    """Return judged rows of chance, in which an episode of three hours begins after each `every` rows.

    Inside episodes of kind 0 every column is 2 higher, inside those of kind 1 every column is 2 lower.
    """
    rng = np.random.default_rng(seed)
    rows = days * A_DAY
    x = rng.normal(0, 1, (people * rows, len(features.NAMES))).astype(np.float32)
    x[:, features.NAMES.index("asleep")] = np.tile(asleep(rows), people)
    number, far, tracks = np.full((people, rows), -1), np.ones((people, rows), np.bool_), []
    time = np.arange(rows, dtype=np.int64) * STEP
    for person in range(people):
        starts = np.arange(every, rows - 36, every)
        for i, start in enumerate(starts):
            number[person, start : start + 36] = person * len(starts) + i
            far[person, start - 6 : start + 42] = False
        spans = np.stack((time[starts], time[starts] + 36 * STEP), axis=1).reshape(-1, 2)
        kinds = tuple(f"kind_{n % 2}" for n in range(person * len(starts), person * len(starts) + len(starts)))
        tracks.append(Track(time, float(days), spans, kinds))
    episode = number.ravel()
    kind = np.where(episode >= 0, episode % 2, -1)
    x[kind == 0] += 2
    x[kind == 1] -= 2
    owner = np.repeat(np.arange(people), rows)
    told = np.ones(len(x), np.bool_)
    return Seen(x, np.tile(time, people), episode, kind, far.ravel(), told.copy(), owner, told, tuple(tracks))

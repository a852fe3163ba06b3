"""Episodes of the heart rate put into recordings of real wearers: a second injector, which knows nothing of the first.

`synthetic.events` moves latent signals before a simulated sensor reads them. Here a recording is all there is: readings
are changed where they lie, and what is not measured stays so. Shapes and sizes are chosen anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import DAY, MINUTE, Doubles, Event, Readings

HOUR = 60 * MINUTE
FREE = 8 * HOUR  # between two episodes
ENROL = 8 * DAY  # nothing before
LEAST = 0.7  # share of a span's five-minute steps with a heart rate
TRIES = 200
POSSIBLE = 30.0, 220.0  # bpm
BRISK = 60.0  # steps a minute over five minutes
Shape = Callable[[np.random.Generator, Doubles, Doubles], Doubles]


def _trapezoid(position: Doubles, edge: float) -> Doubles:
    """Return the strength at each position (0-1 of the span): straight up, level, straight down."""
    return np.clip(np.minimum(position, 1 - position) / edge, 0, 1)


def _fast(rng: np.random.Generator, position: Doubles, heart: Doubles) -> Doubles:
    return rng.uniform(15, 30) * _trapezoid(position, 0.15)


def _slow(rng: np.random.Generator, position: Doubles, heart: Doubles) -> Doubles:
    return -rng.uniform(0.15, 0.28) * heart * _trapezoid(position, 0.15)


def _irregular(rng: np.random.Generator, position: Doubles, heart: Doubles) -> Doubles:
    jitter = rng.uniform(6, 12) * rng.standard_normal(len(position))
    return (rng.uniform(5, 20) + jitter) * _trapezoid(position, 0.05)


def _feverish(rng: np.random.Generator, position: Doubles, heart: Doubles) -> Doubles:
    return rng.uniform(8, 18) * np.sin(np.pi * position) ** 0.5


def _blunted(rng: np.random.Generator, position: Doubles, heart: Doubles) -> Doubles:
    return -rng.uniform(0.4, 0.65) * np.maximum(heart - np.percentile(heart, 5), 0)


# kind -> shortest and longest span in hours, and the change of the heart rate within it
KINDS: Mapping[str, tuple[float, float, Shape]] = {
    "resting_tachycardia": (1.5, 5.0, _fast),
    "bradycardia": (1.5, 5.0, _slow),
    "irregular_rhythm": (1.0, 6.0, _irregular),
    "fever": (16.0, 40.0, _feverish),
    "chronotropic_incompetence": (0.4, 1.5, _blunted),
}


def injected(one: Readings, rng: np.random.Generator, each: int = 1) -> tuple[Readings, tuple[Event, ...]]:
    """Return a recording with episodes in its heart rate, and their labels, oldest first.

    Args:
        one: A wearer's readings, of any rate, with heart rate and steps; needs more than eight days.
        rng: Where, how long and how strong.
        each: Episodes of each kind, where there is room: apart from each other and measured well enough.
    """
    heart = one.column("heart_rate").astype(np.float64)
    known = np.flatnonzero(np.isfinite(heart))
    events: list[Event] = []
    for kind, (low, high, shape) in KINDS.items():
        for _ in range(each):
            span = _place(one, known, rng, kind, (low, high), events)
            if span is None:
                continue
            start, end = span
            rows = known[(one.time[known] >= start) & (one.time[known] < end)]
            moved = heart[rows] + shape(rng, (one.time[rows] - start) / (end - start), heart[rows])
            heart[rows] = np.clip(moved, *POSSIBLE)
            events.append(Event(one.person, kind, start, end, 1.0, ("heart_rate",)))
    changed = {**one.values, "heart_rate": heart.astype(np.float32)}
    return replace(one, values=changed), tuple(sorted(events, key=lambda e: e.start))


def _place(
    one: Readings,
    known: NDArray[np.intp],
    rng: np.random.Generator,
    kind: str,
    hours: tuple[float, float],
    taken: list[Event],
) -> tuple[int, int] | None:
    """Return start and end where there is room, None where none was found; an effort that fails begins with effort."""
    first, last = int(one.time[0]) + ENROL, int(one.time[-1])
    starts = _efforts(one) if kind == "chronotropic_incompetence" else None
    for _ in range(TRIES):
        length = int(HOUR * rng.uniform(*hours))
        if last - length <= first or (starts is not None and not len(starts)):
            return None
        start = int(rng.integers(first, last - length)) if starts is None else int(rng.choice(starts))
        end = start + length
        inside = one.time[known[(one.time[known] >= start) & (one.time[known] < end)]]
        covered = len(np.unique(inside // (5 * MINUTE))) >= LEAST * length / (5 * MINUTE)
        apart = all(end + FREE <= other.start or other.end + FREE <= start for other in taken)
        if covered and apart and first <= start and end <= last:
            return start, end
    return None


def _efforts(one: Readings) -> NDArray[np.int64]:
    """Return when twenty minutes of brisk walking begin, UTC ms."""
    step = 5 * MINUTE
    row = one.time // step
    pace = np.bincount(row - row[0], np.nan_to_num(one.column("steps"))) / 5
    brisk = pace >= BRISK
    begun = np.flatnonzero(brisk[1:-3] & ~brisk[:-4] & brisk[2:-2] & (brisk[3:-1] | brisk[4:])) + 1
    return (begun + row[0]) * np.int64(step)

"""What training computes from cleaned people before any detector is fitted: expectation, population's normal, features.

Everything learnt here comes from training people only; calibration and test people are passed through what was learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch import baseline, features, params, residuals
from vitalwatch.baseline import CONTEXTS, LEAST_SPREAD, MAD_TO_SD, SIGNALS, Normal
from vitalwatch.models import heart_rate
from vitalwatch.moment import activity, moment_rows
from vitalwatch.residuals import Learnt, Rows
from vitalwatch.runtime import Model
from vitalwatch.tables import Bools, Doubles, Event, Floats, Grid, Profile

RATE = SIGNALS.index("heart_rate")
LEAST_ROWS = 200  # of a person in a context, for that person to speak for the population
RIDGE = 1e-3  # keeps slopes finite where a driver never moves
FALLBACK_CENTRE = np.asarray([65.0, 97.0, 15.0, 36.6, 120.0, 75.0, 5.9, 1.6, 96.0])  # a healthy adult at rest
FALLBACK_SPREAD = np.asarray([9.0, 1.0, 2.0, 0.3, 10.0, 8.0, 1.2, 0.5, 1.2])
FALLBACK_PERSON = np.asarray([45.0, 0.5, 0.5, 170.0, 74.0, 25.6, 0.0], np.float32)
FALLBACK_STEPS = (7000.0, 3000.0)


@dataclass(frozen=True)
class Person:
    """One cleaned person with what is known of them."""

    grid: Grid
    profile: Profile
    events: tuple[Event, ...] = ()


def learn(
    people: Sequence[Person],
    regressor: params.Regressor,
    chosen: params.Baseline,
    step_minutes: int,
    seed: int,
    threads: int,
) -> tuple[bytes, Learnt]:
    """Learn the expectation and the population's normal from training people.

    Returns:
        The expectation as ONNX, and what `residuals.advance` needs.
    """
    usual_person = usual_people([person.profile for person in people])
    moments = [moments_of(person.grid, step_minutes) for person in people]
    expectation = _fit_expectation(people, moments, usual_person, regressor, seed, threads)
    model = Model(expectation)
    lifts = [
        lift(model, moment, features.person_row(person.profile, usual_person))
        for person, (moment, _) in zip(people, moments, strict=True)
    ]
    normal = learn_normal([person.grid for person in people], moments, lifts, step_minutes)
    return expectation, Learnt(model, normal, usual_person)


def usual_people(profiles: Sequence[Profile]) -> Floats:
    """Return the middle value of each PERSON column over people who told it, (7,)."""
    told = np.asarray([features.person_row(p, np.full(len(features.PERSON), np.nan, np.float32)) for p in profiles])
    count = np.isfinite(told).sum(axis=0)
    middle, _ = baseline.median(told.astype(np.float64))
    return np.where(count > 0, middle, FALLBACK_PERSON).astype(np.float32)


def moments_of(grid: Grid, step_minutes: int) -> tuple[Floats, NDArray[np.int8]]:
    """Return the MOMENT columns and contexts of a whole grid."""
    return moment_rows(activity(grid, step_minutes), grid.minute, len(grid), step_minutes)


def lift(model: Model, moment: Floats, person: Floats) -> Floats:
    """Return what the expectation adds to a person's own level, bpm (n,)."""
    x = np.concatenate((moment, np.broadcast_to(person, (len(moment), len(person)))), axis=1)
    return model.run(x=np.ascontiguousarray(x, np.float32))["value"].reshape(len(moment))


def resting_level(rate: Floats, context: NDArray[np.int8]) -> float:
    """Return the median heart rate at rest (of all rows where rest is rare), bpm."""
    measured = np.isfinite(rate)
    quiet = measured & (context == features.AT_REST)
    used = rate[quiet if quiet.sum() >= LEAST_ROWS else measured]
    return float(np.median(used)) if len(used) else float("nan")


def _fit_expectation(
    people: Sequence[Person],
    moments: Sequence[tuple[Floats, NDArray[np.int8]]],
    usual_person: Floats,
    chosen: params.Regressor,
    seed: int,
    threads: int,
) -> bytes:
    x, y, level, who = [], [], [], []
    share = min(1.0, chosen.max_rows / max(sum(len(p.grid) for p in people), 1))
    rng = np.random.default_rng([seed, 1])
    for number, (person, (moment, context)) in enumerate(zip(people, moments, strict=True)):
        rate = features.signals(person.grid)[:, 0].astype(np.float32)
        rows = np.flatnonzero(np.isfinite(rate) & (rng.random(len(rate)) < share))
        about = features.person_row(person.profile, usual_person)
        x.append(np.concatenate((moment[rows], np.broadcast_to(about, (len(rows), len(about)))), axis=1))
        y.append(rate[rows])
        level.append(np.full(len(rows), resting_level(rate, context), np.float32))
        who.append(np.full(len(rows), number))
    return heart_rate.fit(
        np.concatenate(x),
        np.concatenate(y),
        level=np.concatenate(level),
        who=np.concatenate(who),
        chosen=chosen,
        seed=seed,
        threads=threads,
    )


def learn_normal(
    grids: Sequence[Grid],
    moments: Sequence[tuple[Floats, NDArray[np.int8]]],
    lifts: Sequence[Floats],
    step_minutes: int,
) -> Normal:
    """Return centre, spread and slopes of every signal over training people, by context."""
    slope = _slopes(grids, moments)
    nothing = Normal(slope, np.zeros(slope.shape[:2]), np.ones(slope.shape[:2]), np.asarray([0.0, 1.0]))
    middles, spreads, days = [], [], []
    for grid, (moment, context), add in zip(grids, moments, lifts, strict=True):
        signal = residuals.surplus(grid, add, moment, context, nothing)
        middle, spread = _by_context(signal, context)
        middles.append(middle)
        spreads.append(spread)
        days.extend(_steps_by_day(grid, 1440 // step_minutes))
    centre, between, within = _across(np.stack(middles), np.stack(spreads))
    usual = np.median(days) if days else 0.0
    steps = (float(usual), max(MAD_TO_SD * float(np.median(np.abs(np.asarray(days) - usual))), 1000.0) if days else 0.0)
    spread = np.maximum(np.sqrt(within**2 + between**2), LEAST_SPREAD)
    return Normal(slope, centre, spread, np.asarray(steps if len(days) >= 5 else FALLBACK_STEPS))


def _by_context(signal: Doubles, context: NDArray[np.int8]) -> tuple[Doubles, Doubles]:
    middle = np.full((len(CONTEXTS), signal.shape[1]), np.nan)
    spread = middle.copy()
    for code in range(len(CONTEXTS)):
        rows = signal[context == code]
        if len(rows):
            middle[code], _ = baseline.median(rows)
            deviation, _ = baseline.median(np.abs(rows - middle[code]))
            spread[code] = MAD_TO_SD * deviation
    return middle, spread


def _across(middles: Doubles, spreads: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return centre over people, spread between people and within people, (3, s); healthy adults where nobody knows.

    The heart rate's centre is the mean over people: it is what somebody without own days is told to expect, and
    squared errors ask for a mean. The others are medians, because a source may tell a few people in wrong units.
    """
    centre, count = baseline.median(middles)
    between, _ = baseline.median(np.abs(middles - centre))
    known = np.isfinite(middles[:, :, RATE])
    total = np.where(known, middles[:, :, RATE], 0.0).sum(axis=0)
    centre[:, RATE] = np.divide(total, known.sum(axis=0), out=centre[:, RATE], where=known.any(axis=0))
    within, _ = baseline.median(spreads)
    # a context that nobody had borrows from rest, and a signal that nobody had from healthy adults
    for code in (features.AT_REST, features.ASLEEP, features.ACTIVE):
        lacking = count[code] == 0
        for target, rest, fallback in (
            (centre, centre[features.AT_REST], FALLBACK_CENTRE),
            (within, within[features.AT_REST], FALLBACK_SPREAD),
            (between, between[features.AT_REST], np.zeros(len(SIGNALS))),
        ):
            borrowed = np.where(np.isfinite(rest), rest, fallback)
            target[code, lacking] = borrowed[lacking]
    return centre, MAD_TO_SD * between, within


def _steps_by_day(grid: Grid, steps_per_day: int) -> list[float]:
    steps = grid.column("steps").astype(np.float64)
    measured = np.isfinite(steps)
    date = grid.date - (grid.date.min() if len(grid) else 0)  # flown west at midnight, a first day comes after the next
    total = np.bincount(date, np.where(measured, steps, 0.0)) if len(grid) else np.empty(0)
    worn = np.bincount(date, measured) if len(grid) else np.empty(0)
    return [float(value) for value in total[worn >= steps_per_day / 2]]


def _slopes(grids: Sequence[Grid], moments: Sequence[tuple[Floats, NDArray[np.int8]]]) -> Doubles:
    """Return least-squares slopes of signals on DRIVERS within person and context, (3, s, k); heart rate's are zero."""
    k, s = len(features.DRIVERS), len(SIGNALS)
    square = np.zeros((len(CONTEXTS), s, k, k))
    product = np.zeros((len(CONTEXTS), s, k))
    columns = [features.MOMENT.index(name) for name in features.DRIVERS]
    for grid, (moment, context) in zip(grids, moments, strict=True):
        signal, driver = features.signals(grid), moment[:, columns].astype(np.float64)
        for code in range(len(CONTEXTS)):
            for i in range(1, s):
                rows = (context == code) & np.isfinite(signal[:, i])
                if rows.sum() < 24:
                    continue
                x = driver[rows] - driver[rows].mean(axis=0)
                y = signal[rows, i] - signal[rows, i].mean()
                square[code, i] += x.T @ x
                product[code, i] += x.T @ y
    scale = np.einsum("cskk->csk", square)
    ridge = RIDGE * np.einsum("csk,kl->cskl", scale, np.eye(k)) + 1e-9 * np.eye(k)
    return np.linalg.solve(square + ridge, product[..., None])[..., 0]


def rows_of(person: Person, learnt: Learnt, chosen: params.Baseline, step_minutes: int) -> Rows:
    """Return all rows of one person as serving would see them, from the first reading on."""
    about = features.person_row(person.profile, learnt.usual_person)
    return residuals.advance(residuals.begin(learnt.normal), person.grid, about, learnt, chosen, step_minutes)[1]


def episode_rows(grid: Grid, events: Sequence[Event], step_ms: int, grace_ms: int) -> tuple[NDArray[np.int64], Bools]:
    """Return for each row the number of the event that it lies in (-1 for none), and rows far from every event."""
    number = np.full(len(grid), -1, np.int64)
    far = np.ones(len(grid), np.bool_)
    for i, event in enumerate(events):
        number[(grid.time + step_ms > event.start) & (grid.time < event.end)] = i
        far &= (grid.time + step_ms <= event.start - grace_ms) | (grid.time >= event.end + grace_ms)
    return number, far

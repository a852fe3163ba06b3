"""Grid rows -> how far each signal is from what this person does in such a moment, and the detector's features.

Training, evaluation and serving all call `advance`; what is learnt (the expectation and the population's normal) comes
in as arguments. State of one person is a day of rows and the last completed days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vitalwatch import baseline, features, params
from vitalwatch.baseline import Day, Normal, Own
from vitalwatch.runtime import Model
from vitalwatch.tables import Bools, Doubles, Floats, Grid

Z_LIMIT = 8.0  # beyond this a value is just as unusual
STATIC = (*features.PERSON, "own_asleep", "own_at_rest", "own_active", "expected_heart_rate")  # of the forecaster


@dataclass(frozen=True)
class Learnt:
    """What training found out about the population.

    Attributes:
        expectation: Heart rate above the person's own level from EXPECTATION columns, float32 (n, 28) -> (n,).
        normal: Centres and spreads of all signals.
        usual_person: PERSON columns of the middle training person, for what a profile does not tell, (7,).
    """

    expectation: Model
    normal: Normal
    usual_person: Floats


@dataclass(frozen=True)
class State:
    """What is remembered of one person: tails of rows for the windows, today's rows, completed days."""

    active: Doubles  # (k, 4)
    track: Doubles  # (k, 2 t)
    date: int | None
    today: tuple[tuple[NDArray[np.int8], Doubles, Doubles], ...]  # context, signals, steps of today's rows so far
    days: tuple[Day, ...]
    own: Own


@dataclass(frozen=True)
class Rows:
    """What is known of each grid row; first axis n.

    Attributes:
        z: Signals in own spreads from own normal, float64 (n, s); NaN is not measured.
        features: float32 (n, f) in `features.NAMES` order.
        stronger: Mean z over the last hour or six, float32 (n, s).
        context: Index into CONTEXTS (n,).
        moments: MOMENT columns (n, m).
        expected: Expected heart rate of this person, bpm (n,).
        centre, spread: Own normal of each signal in this context (n, s), on the signal's scale.
        static: STATIC columns for the forecaster, float32 (n, 11).
        own_days: Completed days behind the own normal (n,).
        assessable: (n,).
    """

    z: Doubles
    features: Floats
    stronger: Floats
    context: NDArray[np.int8]
    moments: Floats
    expected: Floats
    centre: Doubles
    spread: Doubles
    static: Floats
    own_days: NDArray[np.int16]
    assessable: Bools


def begin(normal: Normal) -> State:
    """Return the state of a person of whom nothing is known: the population's normal holds."""
    tracks = 2 * len(features.TRACKS)
    own = Own(normal.centre, normal.spread, 0, float(normal.steps[0]), float(normal.steps[1]))
    return State(np.empty((0, 4)), np.empty((0, tracks)), None, (), (), own)


def advance(
    state: State, grid: Grid, person: Floats, learnt: Learnt, chosen: params.Baseline, step_minutes: int
) -> tuple[State, Rows]:
    """Return the next state and what is known of the rows of `grid`, which follow those seen before.

    Args:
        state: From `begin` or an earlier call.
        grid: New rows of the same person.
        person: PERSON columns, float32 (7,), nothing missing.
        learnt: Expectation and population's normal.
        chosen: Personal baseline.
        step_minutes: Minutes in a grid step.
    """
    new = len(grid)
    active = np.concatenate((state.active, features.activity(grid, step_minutes)))
    moments, context = features.moment(active, grid.minute, new, step_minutes)
    about = np.empty((new, len(features.EXPECTATION)), np.float32)
    about[:, : moments.shape[1]] = moments
    about[:, moments.shape[1] :] = person
    lift = learnt.expectation.run(x=about)["value"].reshape(new) if new else np.empty(0, np.float32)
    signal = surplus(grid, lift, moments, context, learnt.normal)
    steps = grid.values[:, grid.names.index("steps")].astype(np.float64)

    state, centre, spread, usual_steps, own_days = _through_days(
        state, grid, context, signal, steps, learnt.normal, chosen, features.rows_of(1440, step_minutes)
    )
    z = np.clip((signal - centre) / spread, -Z_LIMIT, Z_LIMIT)
    track = np.concatenate((state.track, features.tracks(z, context, active[len(active) - new :, 0])))
    columns, stronger, assessable = features.detector_features(track, moments, context, usual_steps, new, step_minutes)
    expected = (lift + centre[:, 0]).astype(np.float32)
    static = np.empty((new, len(STATIC)), np.float32)
    static[:, : len(person)] = person
    static[:, len(person) : -1] = usual_steps[:, 2:]
    static[:, -1] = expected
    rows = Rows(z, columns, stronger, context, moments, expected, centre, spread, static, own_days, assessable)
    keep_active = features.rows_of(features.CONTEXT_LOOKBACK, step_minutes)
    keep_track = features.rows_of(features.DETECTOR_LOOKBACK, step_minutes)
    return replace(state, active=active[-keep_active:], track=track[-keep_track:]), rows


def surplus(grid: Grid, lift: Floats, moments: Floats, context: NDArray[np.int8], normal: Normal) -> Doubles:
    """Return the signals minus what the population does in such a moment, float64 (n, s); NaN is not measured.

    Heart rate loses the expectation's lift, the others their slope on DRIVERS; sums in a fixed order, so that a row is
    the same to the bit alone or among many.
    """
    signal = features.signals(grid)
    signal[:, 0] -= lift
    slope = normal.slope[context]  # (n, s, k)
    for k, name in enumerate(features.DRIVERS):
        signal[:, 1:] -= slope[:, 1:, k] * moments[:, features.MOMENT.index(name)].astype(np.float64)[:, None]
    return signal


def _through_days(
    state: State,
    grid: Grid,
    context: NDArray[np.int8],
    signal: Doubles,
    steps: Doubles,
    normal: Normal,
    chosen: params.Baseline,
    steps_per_day: int,
) -> tuple[State, Doubles, Doubles, Doubles, NDArray[np.int16]]:
    """Walk through local days: each row is judged by the days completed before its own.

    Returns:
        State, centre and spread of each row's context (n, s), own usual steps of a day with spread and own heart-rate
        centres by context (n, 5), and days behind the own normal (n,).
    """
    n = len(grid)
    date = grid.date if state.date is None else np.maximum(grid.date, state.date)
    date = np.maximum.accumulate(date) if n else date
    starts = np.flatnonzero(np.concatenate(([n > 0], date[1:] != date[:-1])))
    centre, spread = np.empty_like(signal), np.empty_like(signal)
    usual, own_days = np.empty((n, 5)), np.empty(n, np.int16)
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        rows = slice(int(start), int(stop))
        today = int(date[start])
        if state.date != today:
            state = _next_day(state, today, normal, chosen, steps_per_day)
        own = state.own
        centre[rows], spread[rows] = own.centre[context[rows]], own.spread[context[rows]]
        usual[rows, 0], usual[rows, 1] = own.steps, own.steps_spread
        usual[rows, 2:] = own.centre[:, 0]
        own_days[rows] = own.days
        state = replace(state, today=(*state.today, (context[rows], signal[rows], steps[rows])))
    return state, centre, spread, usual, own_days


def _next_day(state: State, today: int, normal: Normal, chosen: params.Baseline, steps_per_day: int) -> State:
    days: Sequence[Day] = state.days
    if state.date is not None and state.today:
        context, signal, steps = (np.concatenate(parts) for parts in zip(*state.today, strict=True))
        days = (*days, baseline.summarise(state.date, context, signal, steps, chosen, steps_per_day))
    kept = tuple(day for day in days if day.date >= today - chosen.days_back)
    return replace(state, date=today, today=(), days=kept, own=baseline.own(kept, today, normal, chosen))

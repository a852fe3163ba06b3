"""Grid rows -> how far each signal is from what this person does in such a moment, and the detector's features.

Training, evaluation and serving all call `advance`; what is learnt (the expectation and the population's normal) comes
in as arguments. State of one person is a day of rows and the last completed days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch import baseline, features, habits, params
from vitalwatch.baseline import VITALS, Day, Normal, Own
from vitalwatch.habits import Habits
from vitalwatch.moment import activity, advance_moment
from vitalwatch.records import record
from vitalwatch.runtime import Model
from vitalwatch.tables import Bools, Doubles, Floats, Grid, local_date

Z_LIMIT = 8.0  # beyond this a value is just as unusual
USUAL = tuple(f"usual_in_{ahead}min" for ahead in habits.AHEAD)
OTHERS = slice(1, len(VITALS))  # signals whose own centre in such a moment forecasts are told
OWN = tuple(f"own_{name}" for name in VITALS[OTHERS])
STATIC = (
    *features.PERSON,
    *OWN,
    "own_asleep",
    "own_at_rest",
    "own_active",
    *USUAL,
    "expected_heart_rate",
)  # of forecasts


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


Today = tuple[NDArray[np.int8], Doubles, Doubles, Floats, NDArray[np.int16]]  # context, signals, steps, lift, minute


@record
class State:
    """What is remembered of one person: tails of window sums (None at first), today's rows, earlier days."""

    active: Doubles | None
    track: Doubles | None
    date: int  # -1 before the first row
    today: tuple[Today, ...]  # today's rows so far
    days: tuple[Day, ...]
    own: Own
    habits: Habits


@record
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
        pace: As in `features.tracks`, (n, 2).
        static: STATIC columns for the forecaster, float32 (n, 20).
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
    pace: Doubles
    static: Floats
    own_days: NDArray[np.int16]
    assessable: Bools


def begin(normal: Normal) -> State:
    """Return the state of a person of whom nothing is known: the population's normal holds."""
    return State(None, None, -1, (), (), baseline.population(normal), habits.population(normal))


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
    n = len(grid)
    active = activity(grid, step_minutes)
    active_tails, moments, context = advance_moment(state.active, active, grid.minute, step_minutes)
    whom = person[None] if n == 1 else person[None].repeat(n, axis=0)
    about = np.concatenate((moments, whom), axis=1)
    lift = learnt.expectation.run(x=about)["value"].reshape(n) if n else np.empty(0, np.float32)
    steps = grid.values[:, grid.names.index("steps")].astype(np.float64)
    signal = (_surplus_of_one if n == 1 else surplus)(grid, lift, moments, context, learnt.normal)
    date, today, days, owns, ways, which = _through_days(
        state, grid, (context, signal, steps, lift), learnt.normal, chosen, features.rows_of(1440, step_minutes)
    )
    judged = _of_one if n == 1 else _of_many
    expected, hourly = (habits.of_one if n == 1 else habits.of_many)(ways, which, context, lift, grid.minute)
    z, track, centre, spread, usual, own_days, pace = judged(signal, owns, which, context, active, lift, expected)
    track_tails, columns, stronger, assessable = features.advance_features(
        state.track, track, moments, context, usual, step_minutes
    )
    parts = (whom, centre[:, OTHERS], usual[:, 2:], hourly, expected[:, None])
    static = np.concatenate(parts, axis=1, dtype=np.float32)
    following = State(active_tails, track_tails, date, today, days, owns[-1], ways[-1])
    return following, Rows(
        z, columns, stronger, context, moments, expected, centre, spread, pace, static, own_days, assessable
    )


Judged = tuple[Doubles, Doubles, Doubles, Doubles, Doubles, NDArray[np.int16], Doubles]


def _of_many(
    signal: Doubles,
    owns: list[Own],
    which: NDArray[np.intp],
    context: NDArray[np.int8],
    active: Doubles,
    lift: Floats,
    expected: Floats,
) -> Judged:
    """Return z (n, s), tracks (n, 2 t), centre and spread (n, s), usual steps (n, 5), own days (n,), pace (n, 2).

    Args:
        signal: From `surplus`.
        owns: What was normal on each day.
        which: By which of them each row is judged, (n,).
        context: (n,).
        active: From `moment.activity`.
        lift: What the moment adds to anybody's heart rate, bpm (n,).
        expected: Heart rate expected of the person, bpm (n,).
    """
    centre = np.array([own.centre for own in owns])[which, context]
    spread = np.array([own.spread for own in owns])[which, context]
    usual = np.array([own.usual for own in owns])[which]
    z = (signal - centre) / spread
    z = np.minimum(np.maximum(z, -Z_LIMIT, out=z), Z_LIMIT, out=z)
    own_days = np.array([own.days for own in owns], np.int16)[which]
    added = lift.astype(np.float64)
    pace = np.empty((len(z), 2))
    pace[:, 0] = centre[:, 0] + added - expected
    pace[:, 1] = np.maximum(added, 0.0)
    pace /= spread[:, :1]
    return z, features.tracks(z, context, active[:, 0], pace), centre, spread, usual, own_days, pace


def _of_one(
    signal: Doubles,
    owns: list[Own],
    which: NDArray[np.intp],
    context: NDArray[np.int8],
    active: Doubles,
    lift: Floats,
    expected: Floats,
) -> Judged:
    """Return `_of_many` of one row, in plain numbers."""
    own, code = owns[which.item()], context.item()
    apart = zip(signal[0].tolist(), *own.plain[code], strict=True)
    free = [(value - centre) / spread for value, centre, spread in apart]
    z = [-Z_LIMIT if value < -Z_LIMIT else Z_LIMIT if value > Z_LIMIT else value for value in free]
    (usual_rate, *_), (usual_spread, *_) = own.plain[code]
    added = lift.item()
    pace = (usual_rate + added - expected.item()) / usual_spread, max(added, 0.0) / usual_spread
    track = features.tracks_of_one(z, code == features.ACTIVE, active.item(0), pace)
    days = np.array([own.days], np.int16)
    return (
        np.array([z]),
        track,
        own.centre[code : code + 1],
        own.spread[code : code + 1],
        own.usual[None],
        days,
        np.array([pace]),
    )


def surplus(grid: Grid, lift: Floats, moments: Floats, context: NDArray[np.int8], normal: Normal) -> Doubles:
    """Return the signals minus what the population does in such a moment, float64 (n, s); NaN is not measured.

    Heart rate loses the expectation's lift (its slopes are zero), the others their slope on DRIVERS; added up driver
    by driver, so that a row is the same to the bit alone or among many.
    """
    signal = features.signals(grid)
    signal -= _added(lift, moments, context, normal)
    return signal


def _added(lift: Floats, moments: Floats, context: NDArray[np.int8], normal: Normal) -> Doubles:
    """Return what moments add to the signals, float64 (n, s)."""
    driver = moments.take(DRIVERS, axis=1).astype(np.float64)
    added: Doubles = np.add.reduce(normal.by_driver[context] * driver[:, :, None], axis=1)
    added[:, 0] += lift
    return added


def usual(rows: Rows, person: Floats, learnt: Learnt) -> Doubles:
    """Return what is usual for the person in each row's moment, on the signals' scale, float64 (n, s).

    Args:
        rows: From `advance`.
        person, learnt: As given there.
    """
    about = np.concatenate((rows.moments, np.broadcast_to(person, (len(rows.moments), len(person)))), axis=1)
    lift = learnt.expectation.run(x=about)["value"].reshape(len(about)) if len(about) else np.empty(0, np.float32)
    return rows.centre + _added(lift, rows.moments, rows.context, learnt.normal)


def _surplus_of_one(grid: Grid, lift: Floats, moments: Floats, context: NDArray[np.int8], normal: Normal) -> Doubles:
    """Return `surplus` of one row, (1, s), in plain numbers and the same order."""
    a, b, c, d, e = [moments.item(place) for place in PLAIN_DRIVERS]
    slopes = normal.plain_slope[context.item()]
    told = [
        value - (a * p + b * q + c * r + d * s + e * t)
        for value, (p, q, r, s, t) in zip(features.signals_of_one(grid), slopes, strict=True)
    ]
    told[0] -= lift.item()
    return np.array([told])


MANY = 32  # pieces of a day: of more, copying the tuple would cost a lone row too much


def _joined(today: tuple[Today, ...]) -> Today:
    """Return the pieces of a day as one."""
    context, signal, steps, lift, minute = (np.concatenate(parts) for parts in zip(*today, strict=True))
    return context, signal, steps, lift, minute


DRIVERS = np.asarray([features.MOMENT.index(name) for name in features.DRIVERS], np.intp)
PLAIN_DRIVERS: list[int] = DRIVERS.tolist()
FIRST = np.zeros(1, np.intp)


def _through_days(
    state: State,
    grid: Grid,
    rows: tuple[NDArray[np.int8], Doubles, Doubles, Floats],
    normal: Normal,
    chosen: params.Baseline,
    steps_per_day: int,
) -> tuple[int, tuple[Today, ...], tuple[Day, ...], list[Own], list[Habits], NDArray[np.intp]]:
    """Walk through local days: each row is judged by the days completed before its own.

    Returns:
        The last row's date, the rows of that day, the days completed before it; what was normal and usual on each day
        walked through, and which of these each row is judged by, (n,).
    """
    n = len(grid)
    if n == 1 and local_date(grid.time.item(), grid.minute.item()) <= state.date:
        today = state.today if len(state.today) < MANY else (_joined(state.today),)
        return state.date, (*today, (*rows, grid.minute)), state.days, [state.own], [state.habits], FIRST
    columns = (*rows, grid.minute)
    date = np.maximum.accumulate(np.maximum(grid.date, state.date))
    if n == 0 or date[-1] == state.date:
        today = (*state.today, columns) if n else state.today
        return state.date, today, state.days, [state.own], [state.habits], np.zeros(n, np.intp)
    which = np.cumsum(np.diff(date, prepend=state.date) > 0) - (date[0] > state.date)
    today, now, days, own, way = state.today, state.date, state.days, state.own, state.habits
    owns, ways = [], []
    starts = np.flatnonzero(np.diff(which, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        if date[start] != now:
            if today:
                context, signal, steps, lift, minute = _joined(today)
                day = baseline.summarise(now, context, signal, steps, chosen, steps_per_day)
                days = baseline.with_day(days, day, own, chosen)
                if not days[-1].suspect:
                    way = habits.learn(way, context, signal[:, 0], lift, minute, normal)
            today, now = (), int(date[start])
            days = tuple(day for day in days if day.date >= now - chosen.days_back - chosen.frozen_days)
            own = baseline.own(days, now, normal, chosen)
        owns.append(own)
        ways.append(way)
        context, signal, steps, lift, minute = columns
        part = slice(start, stop)
        today = (
            *today,
            (
                context[part].copy(),
                signal[part].copy(),
                steps[part].copy(),
                lift[part].copy(),
                minute[part].copy(),
            ),
        )
    return now, today, days, owns, ways, which

"""What would clear an alarm: the least that a vital would have to come back, searched for and told in its unit.

A change holds readings of one sensor at or within a bound, so many of the person's own spreads from what is usual in
each moment, from some hours before the alarm to its end. The search puts bounds on the residuals of those rows and asks
the channel's models again: first which few sensors, held at what is usual, take every row of the alarm below its
threshold, then how long and how loosely they have to be held. `Clearing.applied` makes the same change to readings, so
that anybody can score them again; rules are cleared by the limits that they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features
from vitalwatch.baseline import ROOT, SIGNALS
from vitalwatch.explaining import SENSORS, Rules, number
from vitalwatch.features import LOWEST, TRACKS, WINDOWS
from vitalwatch.moment import activity
from vitalwatch.residuals import Rows
from vitalwatch.schema import Column, Schema
from vitalwatch.scoring import ALONE, Detector
from vitalwatch.tables import Alarm, Doubles, Floats, Grid, Readings, Times
from vitalwatch.wearing import wearing_of

NOTHING = "No change of a few vitals alone was found that would clear it."
MOST_SENSORS = 4  # that one answer names
HOURS = (1, 3, 6, 12, 24)  # how long before an alarm readings may have to change; no window is longer
FIRST_TRIED = ((24, 0.0), (6, 0.5), (3, 1.0))  # hours and own spreads, in which sensors are chosen
LEVELS = (3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 0.0)  # own spreads from usual, loosest first
EASY = 1.0  # a bound tighter than this is told only where no longer time does with a looser one
ROOM = 0.02  # below the threshold, so that rounding of readings does not decide
ALIVE = np.float32(0.02)  # of how far a value was out, it lies inside: one that repeats itself is taken for stuck
LOOKED_AT = 6  # rows of an alarm that the search asks; what it finds is then held against all of them
CARRIED = 90  # minutes that a value may be carried forward into a rule: `cleaning.max_gap_slow`
CHANGING = np.asarray([i for i, f in enumerate(features.FEATURES) if f.track in TRACKS and f.track != "steps"], np.intp)
NO_STEPS = np.array([0.0, 1.0])  # of the columns that no vital moves, those of the row itself are kept


@dataclass(frozen=True)
class Change:
    """Readings of one grid column held at a bound.

    Attributes:
        column: Grid column (a vital, or a detail of one).
        above: True where readings are held at or above the bound, False at or below.
        time: Starts of the grid steps that change, UTC ms (m,).
        bound: Of each, in the column's unit (m,).
    """

    column: str
    above: bool
    time: Times
    bound: Doubles

    def of(self, time: Times, step_ms: int, values: Floats) -> Floats:
        """Return values at these times, those beyond the bound of their step brought back to it; (n,)."""
        place = np.searchsorted(self.time, time, side="right") - 1
        inside = (place >= 0) & (time < self.time[place] + step_ms)
        bound = self.bound[place].astype(np.float32)
        beyond = inside & ((values < bound) if self.above else (values > bound))
        return np.where(beyond, bound - ALIVE * (values - bound), values)


@dataclass(frozen=True)
class Clearing:
    """What would clear one alarm; without changes nothing was found that would."""

    alarm: Alarm
    changes: tuple[Change, ...]
    sentence: str

    def applied(self, readings: Readings, step_ms: int) -> Readings:
        """Return readings of the same person, changed; a detail that the source does not bring is left out."""
        values = dict(readings.values)
        for change in self.changes:
            if change.column in values:
                values[change.column] = change.of(readings.time, step_ms, values[change.column])
        return replace(readings, values=values)


@dataclass(frozen=True)
class Bound:
    """A sensor held so many own spreads from usual, on the side that it left; `rows` before the alarm and all since."""

    sensor: int
    above: bool
    z: float
    rows: int


class Seeker:
    """Finds what would clear the alarms of some rows of one person.

    Args:
        grid: Rows, from before the alarms: a day before, as far as there are any.
        rows: What is known of them.
        usual: From `residuals.usual`, (n, s).
        detector, rules, schema: Of the monitor.
        levels: Own level of each row on each channel, (n, 2).
        of: Rows among which some have to be over for an alarm.
        whole: Whether nothing came before the first of these rows.
    """

    def __init__(
        self,
        grid: Grid,
        rows: Rows,
        usual: Doubles,
        detector: Detector,
        rules: Rules,
        schema: Schema,
        *,
        levels: Floats,
        of: int,
        whole: bool,
    ) -> None:
        self._grid, self._rows, self._usual, self._schema = grid, rows, usual, schema
        self._detector, self._rules, self._of, self._whole = detector, rules, of, whole
        self._levels = levels
        self._steps = activity(grid, schema.step_minutes)[:, 0] if len(grid) else np.empty(0)
        self._widths = np.asarray([features.rows_of(w, schema.step_minutes) for w in WINDOWS], np.intp)

    def clear(self, alarm: Alarm) -> Clearing:
        """Return what would clear an alarm of these rows."""
        first, stop = np.searchsorted(self._grid.time, (alarm.start, alarm.end))
        watched = slice(max(int(first) - self._of + 1, 0), int(stop))
        if alarm.channel == "technical":
            return Clearing(alarm, (), "")
        if alarm.channel == "rule":
            return self._ruled(alarm, watched)
        enough = self._whole or watched.start >= self._widths[-1] + self._detector.calibration.rows - 1
        bounds = self._search(alarm.channel, watched) if enough and stop > first else ()
        changes = tuple(change for bound in bounds for change in self._changes(bound, watched))
        return Clearing(alarm, changes, self._sentence(bounds, watched))

    def _search(self, channel: str, watched: slice) -> tuple[Bound, ...]:
        """Return the bounds that take all rows of an alarm below the threshold, none where no few sensors do."""
        case = _Case(self, channel, watched)
        asked = case.hardest(LOOKED_AT)
        for hours, z in FIRST_TRIED:
            held = self._sensors(case, asked, features.rows_of(60 * hours, self._schema.step_minutes), z)
            found = self._loosest(case, held, asked) if held else ()
            if found:
                return found
        return ()

    def _sensors(self, case: _Case, asked: NDArray[np.intp], rows: int, z: float) -> tuple[Bound, ...]:
        """Return the few sensors that do when they are held so close for so long, the most telling first."""
        chosen: tuple[Bound, ...] = ()
        for _ in range(MOST_SENSORS):
            left = [i for i in range(len(SENSORS)) if i not in {bound.sensor for bound in chosen}]
            tried = [(*chosen, Bound(i, case.low[i], -z if case.low[i] else z, rows)) for i in left]
            over = case.excess(tried, asked)
            chosen = tried[int(over.argmin())]
            if over.min() <= 0:
                return chosen
        return ()

    def _loosest(self, case: _Case, held: Sequence[Bound], asked: NDArray[np.intp]) -> tuple[Bound, ...]:
        """Return the shortest and loosest hold on these sensors that clears every row, nothing if none does."""
        step = self._schema.step_minutes
        tried = [
            tuple(replace(bound, z=0.0 - level if bound.above else level, rows=features.rows_of(60 * hours, step))
                  for bound in held)
            for hours in HOURS for level in LEVELS
        ]  # fmt: skip
        clear = case.excess(tried, asked) <= 0
        easy = [abs(one[0].z) >= EASY for one in tried]
        order = sorted(np.flatnonzero(clear).tolist(), key=lambda i: (not easy[i], i))
        everything = np.arange(case.watched.start, case.watched.stop)
        for i in order[: len(LEVELS)]:
            if case.excess([tried[i]], everything)[0] <= 0:
                return tried[i]
        return ()

    def _changes(self, bound: Bound, watched: slice) -> list[Change]:
        where = slice(max(watched.start - bound.rows + 1, 0), watched.stop)
        return [
            Change(SIGNALS[i], bound.above, self._grid.time[where], self._in_units(i, bound.z, where))
            for i in SENSORS[bound.sensor]
        ]

    def _in_units(self, signal: int, z: float, where: slice) -> Doubles:
        value: Doubles = self._usual[where, signal] + z * self._rows.spread[where, signal]
        return np.maximum(value, 0.0) ** 2 if SIGNALS[signal] in ROOT else value

    def _sentence(self, bounds: Sequence[Bound], watched: slice) -> str:
        if not bounds:
            return NOTHING
        hours = bounds[0].rows * self._schema.step_minutes // 60
        told = " and ".join(self._told(bound, watched.stop - 1) for bound in bounds)
        return f"Clears with {told}, from {hours} h before the alarm on."

    def _told(self, bound: Bound, row: int) -> str:
        signal = SENSORS[bound.sensor][0]
        value, usual = (float(self._in_units(signal, z, slice(row, row + 1))[0]) for z in (bound.z, 0.0))
        apart = f"{number(abs(value - usual))} {'above' if value > usual else 'below'} your usual"
        column = self._schema.columns[SIGNALS[signal]]
        return f"{_back(column, value, bound.above)} ({apart if bound.z else 'your usual'})"

    def _ruled(self, alarm: Alarm, watched: slice) -> Clearing:
        """Return the limits, and where NEWS2 alarms the bands, that the vitals outside would have to come back to."""
        back = features.rows_of(CARRIED, self._schema.step_minutes)
        where = slice(max(watched.start - back, 0), watched.stop)
        grid, context = self._grid.rows(where), self._rows.context[where]
        looked = slice(watched.start - where.start, None)
        changes: dict[tuple[str, bool], Change] = {}  # the bands of NEWS2 come after the limits, and are tighter
        for name, low, high in self._rules.named(self._grid.names):
            over = self._rules.rows(grid.rows(looked), context[looked])
            if not over.any():
                break
            column = grid.column(name)
            for limit, above, out in ((low, True, column < low), (high, False, column > high)):
                if (out[looked] & over).any():
                    changes[name, above] = Change(name, above, grid.time, np.full(len(grid), limit))
                    grid = _changed(grid, changes[name, above], self._schema.step_ms)
        told = [_back(self._schema.columns[c.column], float(c.bound[0]), c.above) for c in changes.values()]
        return Clearing(alarm, tuple(changes.values()), f"Clears with {' and '.join(told)}." if told else NOTHING)


class _Case:
    """One alarm: how far its rows would stay above the threshold if readings were held at bounds."""

    def __init__(self, seeker: Seeker, channel: str, watched: slice) -> None:
        self._seeker, self.watched, self._channel = seeker, watched, channel
        limits = seeker._detector.calibration
        self._threshold = limits.unusual_threshold if channel == "unusual" else limits.known_threshold
        self._levels = seeker._levels[:, 0 if channel == "unusual" else 1]
        self._back = np.arange(limits.rows - 1, -1, -1)  # rows that a score is averaged over, so many rows back
        self._first = max(watched.start - int(seeker._widths[-1]) + 1 - limits.rows + 1, 0)
        rows, every = seeker._rows, np.arange(watched.start, watched.stop)
        self._scores = self._score(rows.features[None, self._needed(every)], every)[0] / self._levels[watched]
        worst = watched.start + int(np.nanargmax(self._scores))
        self._z = rows.z[self._first : watched.stop]
        strongest = rows.stronger[worst]
        self.low = [bool(strongest[max(sensor, key=lambda i: abs(strongest[i]))] < 0) for sensor in SENSORS]

    def hardest(self, most: int) -> NDArray[np.intp]:
        """Return a few rows of the alarm, the highest scores among them, oldest first."""
        known = np.flatnonzero(np.isfinite(self._scores))
        order = known[np.argsort(-self._scores[known], kind="stable")]
        spread = order[np.unique(np.linspace(0, len(order) - 1, most).astype(np.intp))]
        return np.sort(spread) + self.watched.start

    def excess(self, tried: Sequence[Sequence[Bound]], asked: NDArray[np.intp]) -> Doubles:
        """Return for each set of bounds the largest score of the rows asked, above the threshold, (k,)."""
        seeker, k, m = self._seeker, len(tried), len(self._z)
        z = np.repeat(self._z[None], k, axis=0)
        for one, bounds in zip(z, tried, strict=True):
            for bound in bounds:
                part = one[max(self.watched.start - bound.rows + 1 - self._first, 0) :, list(SENSORS[bound.sensor])]
                held = (np.maximum if bound.above else np.minimum)(part, bound.z)
                one[len(one) - len(part) :, list(SENSORS[bound.sensor])] = held
        inside = slice(self._first, self.watched.stop)
        context, steps = np.tile(seeker._rows.context[inside], k), np.tile(seeker._steps[inside], k)
        pace = np.tile(seeker._rows.pace[inside], (k, 1))
        track = features.tracks(z.reshape(k * m, len(SIGNALS)), context, steps, pace).reshape(k, m, 2 * len(TRACKS))
        score = self._score(self._features(track, self._needed(asked)), asked) / self._levels[asked]
        sure = seeker._rows.assessable[asked]
        return np.where(sure, score, -np.inf).max(axis=1) - self._threshold + ROOM

    def _features(self, track: Doubles, asked: NDArray[np.intp]) -> Floats:
        """Return the features of the rows asked, float32 (k, r, f)."""
        seeker, (k, _, columns), rows = self._seeker, track.shape, asked - self._first
        total = np.concatenate((np.zeros((k, 1, columns)), np.cumsum(track, axis=1)), axis=1)
        begin = np.maximum(rows[:, None] + 1 - seeker._widths, 0)  # (r, w)
        sums = total[:, rows + 1][:, :, None] - total[:, begin]  # (k, r, w, 2 t)
        back = rows[:, None] - np.arange(features.rows_of(30, seeker._schema.step_minutes))
        low = np.where(back >= 0, track[:, np.maximum(back, 0), LOWEST], 0.0).min(axis=2)  # (k, r)
        known = seeker._rows
        moments, context = (np.concatenate([part[asked]] * k) for part in (known.moments, known.context))
        usual_steps = np.broadcast_to(NO_STEPS, (k * len(asked), 2))
        found, _, _ = features.features_of_sums(
            sums.reshape(-1, *sums.shape[2:]), low.ravel(), moments, context, usual_steps, seeker._schema.step_minutes
        )
        x = np.concatenate([known.features[asked]] * k)
        x[:, CHANGING] = found[:, CHANGING]
        return x.reshape(k, len(asked), -1)

    def _needed(self, asked: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the rows that the scores of the rows asked are averaged over, sorted."""
        return np.unique(np.maximum(asked[:, None] - self._back, 0))

    def _score(self, x: Floats, asked: NDArray[np.intp]) -> Doubles:
        """Return the scores of the rows asked, (k, r), from features of the rows needed, (k, m, f).

        What was measured tells the heads and the scale: a vital held at its usual, 0, is worn all the same.
        """
        detector, (k, m, columns), needed = self._seeker._detector, x.shape, self._needed(asked)
        unusual, measured = self._channel == "unusual", self._seeker._rows.features
        flat, wearing = np.ascontiguousarray(x).reshape(k * m, columns), np.tile(wearing_of(measured[needed]), k)
        said = (detector.by_group(flat) if unusual else detector.by_kind(flat, wearing)).reshape(k, m, -1)
        window = asked[:, None] - self._back  # (r, w)
        weight = (window >= 0) & self._seeker._rows.assessable[np.maximum(window, 0)]
        place = np.searchsorted(needed, np.maximum(window, 0))
        mean = (said[:, place] * weight[..., None]).sum(axis=2) / np.maximum(weight.sum(axis=1), 1)[:, None]
        here = np.searchsorted(needed, asked)
        if unusual:
            mean[..., list(ALONE)] = said[:, here][..., list(ALONE)]
        mean, own = mean.reshape(k * len(asked), -1), np.tile(measured[asked], (k, 1))
        found = detector.surprise(mean, own) if unusual else detector.level(mean, own)
        return found.max(axis=1).reshape(k, len(asked))


def _changed(grid: Grid, change: Change, step_ms: int) -> Grid:
    values = grid.values.copy()
    place = grid.names.index(change.column)
    values[:, place] = change.of(grid.time, step_ms, values[:, place])
    return replace(grid, values=values)


def _back(column: Column, value: float, above: bool) -> str:
    """Return a bound as it is read, rounded to the side that keeps it."""
    digits = 0 if abs(value) >= 50 else 1
    rounded = (np.ceil if above else np.floor)(round(value * 10**digits, 6)) / 10**digits
    shown = f"{rounded:.{digits}f}".removesuffix(".0")
    return f"{column.label.lower()} back at {shown} {column.shown} or {'more' if above else 'less'}"

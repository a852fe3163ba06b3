"""Comparisons of rules.yaml on grid rows: values of each row, and whether each comparison holds there.

A row says 1 (holds), -1 (does not) or 0 (cannot be told: not measured, marked as artefact, or the person is active).
So `all` is the smallest of its terms and `any` the largest, as in Kleene's logic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.alerting.rules import LIMIT, Personal, Rule, Term, span
from vitalwatch.artefacts import ARTEFACTS, COARSE
from vitalwatch.baseline import VITALS
from vitalwatch.cleaning import SLOW
from vitalwatch.clinical import PARTS, News2, news2, usual_limits
from vitalwatch.explaining import QUIET
from vitalwatch.features import ACTIVE_INTENSITY, ACTIVE_STEPS
from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE, Answers, Bools, Doubles, Grid, Times

HOLDS, UNKNOWN, HOLDS_NOT = 1, 0, -1
Codes = NDArray[np.int8]
REST = 15 * MINUTE  # after activity, before a heart counts as at rest
HOUR = 60 * MINUTE
LOOSE = 60 * MINUTE  # after a thermometer was off the skin, before what it tells is of the body again
TEMPERATURE, OFF = "body_temperature", np.uint8(ARTEFACTS["detached_sensor"])
MOST_POINTS = 3  # of a single part of NEWS2
SCORED = {  # parts of NEWS2 and the vitals that they score
    "respiration": "respiratory_rate",
    "saturation": "oxygen_saturation",
    "systolic": "blood_pressure_systolic",
    "pulse": "heart_rate",
    "temperature": "body_temperature",
}
# a 2-scale person scores 0 at 88-92 %, and whatever is above that depends on oxygen that may be given
QUIET_2: dict[str, tuple[float, float]] = QUIET | {"oxygen_saturation": (87.5, 92.5)}
ENOUGH = 0.5  # share of the rows of a mean that must have been measured


@dataclass(frozen=True)
class Comparison:
    """A term for one person.

    Attributes:
        term: As written.
        sign: 1 where higher is worse, -1 where lower is.
        at: What it is compared with.
        equal: Whether equal counts.
        beyond: Own spreads beyond the person's own usual that it needs to begin, None where it needs none.
    """

    term: Term
    sign: int
    at: float
    equal: bool
    beyond: float | None = None

    @staticmethod
    def of(term: Term, personal: Personal, schema: Schema) -> Comparison:
        """Return the term with a person's own limit in it."""
        sign = -1 if term.below is not None else 1
        told = term.at_least if term.at_least is not None else term.above if sign > 0 else term.below
        own = personal.limits.get(term.vital or "")
        mine = (own.high if sign > 0 else own.low) if own is not None else None
        usual = None
        if told == LIMIT:
            scale, given = personal.oxygen_scale, personal.supplemental_oxygen
            usual = usual_limits(term.signal, schema.columns[term.signal].usual, scale, given)
        limit = usual[sign > 0] if usual is not None else told
        assert isinstance(limit, float)  # `rules.check_term` saw to it
        told_otherwise = mine is not None or (term.news2 is not None and personal.on_oxygen)
        beyond = None if told_otherwise else term.beyond_usual
        return Comparison(term, sign, float(mine if mine is not None else limit), term.at_least is not None, beyond)

    def codes(self, value: Doubles) -> tuple[Codes, Codes]:
        """Return whether it begins to hold and whether it still does, after hysteresis, (n,) each."""
        return self._codes(value, self.at), self._codes(value, self.at - self.sign * self.term.hysteresis)

    def _codes(self, value: Doubles, at: float) -> Codes:
        over = self.sign * (value - at)
        holds = np.where(over >= 0 if self.equal else over > 0, HOLDS, HOLDS_NOT)
        return np.where(np.isnan(value), UNKNOWN, holds).astype(np.int8)


@dataclass(frozen=True)
class Asked:
    """A rule for one person: its comparisons, and the values from which it is louder, in order of priority."""

    name: str
    rule: Rule
    comparisons: tuple[Comparison, ...]
    louder: tuple[tuple[str, float], ...]

    @staticmethod
    def of(name: str, rule: Rule, personal: Personal, schema: Schema) -> Asked:
        """Return the rule with a person's limits in it."""
        comparisons = tuple(Comparison.of(term, personal, schema) for term in rule.terms)
        worst = comparisons[0]  # a louder value never lies inside the person's own limit
        louder = {name: worst.sign * max(worst.sign * at, worst.sign * worst.at) for name, at in rule.louder.items()}
        order = ("medium", "high")
        return Asked(name, rule, comparisons, tuple((name, louder[name]) for name in order if name in louder))

    def codes(self, values: Sequence[Doubles], rows: Rows) -> tuple[Codes, Codes]:
        """Return whether the rule begins to hold and whether it still does, (n,) each."""
        each = [one.codes(value) for one, value in zip(self.comparisons, values, strict=True)]
        for one, value, (begins, _) in zip(self.comparisons, values, each, strict=True):
            if one.beyond is not None and (begins == HOLDS).any():
                begins[(begins == HOLDS) & rows.within_usual(one) & ~self._loud(value)] = HOLDS_NOT
        join = np.maximum if self.rule.any else np.minimum
        enter, stay = (join.reduce([codes[i] for codes in each]) for i in (0, 1))
        return enter, stay

    def _loud(self, value: Doubles) -> Bools:
        """Return the rows whose value makes the rule louder than it is, (n,)."""
        if not self.louder:
            return np.zeros(len(value), np.bool_)
        first, (_, at) = self.comparisons[0], self.louder[0]
        over = first.sign * (value - at)
        loud: Bools = (over >= 0) if first.equal else (over > 0)
        return loud

    def lasted(self, held: int, loud: int | None) -> bool:
        """Return whether it held long enough to be a condition.

        Args:
            held: Milliseconds it held.
            loud: Milliseconds it was louder, None where it is not now.
        """
        return held >= span(self.rule.lasts) or (loud is not None and loud >= span(self.rule.sooner or self.rule.lasts))

    def lasts_at(self, value: float) -> str:
        """Return how long a condition must last at a value of its first comparison."""
        return self.rule.sooner or self.rule.lasts if self.priority(value) != self.rule.priority else self.rule.lasts

    def priority(self, value: float) -> str:
        """Return the priority at a value of its first comparison."""
        found: str = self.rule.priority or "low"
        first = self.comparisons[0]
        for name, at in self.louder:
            over = first.sign * (value - at)
            if over > 0 or (over == 0 and first.equal):
                found = name
        return found


@dataclass(frozen=True)
class Rows:
    """What comparisons look at, for n grid rows of one person.

    Attributes:
        answers: Of the monitor.
        resting: No activity now and in the last quarter of an hour, (n,).
        stuck: The heart rate is exactly that of the row before: a beat that does not change at all may be a sensor that
            is stuck, long before that is certain, so it confirms nothing, (n,).
        loose: The thermometer was off the skin within the last hour, so it says nothing yet, (n,).
        busy_at: Time of the newest active row, UTC ms, -1 for none.
        beat: Time and heart rate of the newest row, None where it was not measured.
        loose_at: Time of the newest row with a thermometer off the skin, UTC ms, -1 for none.
        score: NEWS2 of these rows, None where no rule asks.
    """

    answers: Answers
    resting: Bools
    stuck: Bools
    loose: Bools
    busy_at: int
    beat: tuple[int, float] | None
    loose_at: int
    score: News2 | None

    @property
    def time(self) -> Times:
        """Starts of the rows, UTC ms (n,)."""
        return self.answers.time

    @staticmethod
    def of(
        answers: Answers,
        busy_at: int,
        beat: tuple[int, float] | None,
        loose_at: int,
        personal: Personal,
        step_minutes: int,
        *,
        scored: bool,
    ) -> Rows:
        """Return the rows after activity at `busy_at`, a row with a `beat`, and a thermometer off at `loose_at`."""
        grid = answers.grid
        resting, busy_at = resting_rows(grid, busy_at, step_minutes)
        stuck, newest = _stuck(grid, beat, step_minutes)
        loose, loose_at = loose_rows(grid, loose_at)
        score = _score(grid, loose, personal) if scored else None
        return Rows(answers, resting, stuck, loose, busy_at, newest, loose_at, score)

    def values(self, term: Term) -> Doubles:
        """Return what a term other than a mean compares, (n,); NaN cannot be told."""
        if term.news2 is not None and self.score is not None:
            score = self.score.total if term.news2 == "total" else np.fmax.reduce(self.score.parts, axis=1)
            value = score.astype(np.float64)
        elif term.usual is not None:
            known = self.answers.own_baseline & self.answers.assessable
            value = np.where(known, self.answers.contribution[:, VITALS.index(term.usual)], np.nan).astype(np.float64)
        else:
            value = measured(self.answers.grid, term.signal)
        if term.vital == "heart_rate" or term.news2 is not None:
            value = np.where(self.stuck, np.nan, value)
        if term.vital == TEMPERATURE:
            value = np.where(self.loose, np.nan, value)
        return np.where(self.resting, value, np.nan) if term.resting else value

    def within_usual(self, one: Comparison) -> Bools:
        """Return the rows that are as usual for this person: not `one.beyond` own spreads beyond, (n,).

        Nothing is as usual while the person's own usual is not known.
        """
        assert one.beyond is not None
        if one.term.news2 is None:
            far = self._strength(VITALS.index(one.term.vital or ""), one.sign) >= one.beyond
        else:
            far = self._points_beyond(one.beyond) >= MOST_POINTS
        return self._known() & ~far

    def _known(self) -> Bools:
        return self.answers.own_baseline & self.answers.assessable

    def _strength(self, vital: int, sign: int) -> Doubles:
        """Return own spreads beyond the usual: now, or in the mean of the last hour or six, whichever is more, (n,)."""
        now, lately = (told[:, vital].astype(np.float64) for told in (self.answers.residual, self.answers.contribution))
        strength: Doubles = np.fmax(sign * now, sign * lately)
        return _or_nothing(strength)

    def _points_beyond(self, beyond: float) -> Doubles:
        """Return the points of NEWS2 from vitals that are not as usual for this person, (n,)."""
        assert self.score is not None
        total = np.zeros(len(self.time))
        for part, vital in SCORED.items():
            place = VITALS.index(vital)
            low, high = QUIET[vital]
            value = self.answers.grid.column(vital)
            far = np.where(value < low, self._strength(place, -1), 0) >= beyond
            far |= np.where(value > high, self._strength(place, 1), 0) >= beyond
            total += np.where(far, _or_nothing(self.score.parts[:, PARTS.index(part)]), 0)
        return total


def _or_nothing(value: NDArray[Any]) -> NDArray[Any]:
    """Return values with 0 where nothing was measured."""
    return np.where(np.isnan(value), 0, value)


def busy_rows(grid: Grid, step_minutes: int) -> Bools:
    """Return the rows in which the person is active, (n,)."""
    busy: Bools = (grid.column("steps") > ACTIVE_STEPS * step_minutes) | (grid.column("intensity") > ACTIVE_INTENSITY)
    return busy  # NaN is neither


def resting_rows(grid: Grid, busy_at: int, step_minutes: int) -> tuple[Bools, int]:
    """Return the rows a while after any activity, (n,), and the time of the newest active row."""
    if not len(grid):
        return np.zeros(0, np.bool_), busy_at
    last = np.maximum.accumulate(np.where(busy_rows(grid, step_minutes), grid.time, busy_at))
    return (grid.time - last >= REST) | (last < 0), int(last[-1])


def loose_rows(grid: Grid, loose_at: int) -> tuple[Bools, int]:
    """Return the rows within an hour of one with a thermometer off the skin, (n,), and the time of the newest such row.

    A loose thermometer hovers about what cleaning takes back, and a little above it tells of a cold body.
    """
    if not len(grid):
        return np.zeros(0, np.bool_), loose_at
    off = (grid.artefact[:, grid.names.index(TEMPERATURE)] & OFF) > 0  # vitals come first
    last = np.maximum.accumulate(np.where(off, grid.time, loose_at))
    return (last >= 0) & (grid.time - last < LOOSE), int(last[-1])


def newest_beat(grid: Grid, step_minutes: int) -> tuple[int, float] | None:
    """Return time and heart rate of the newest row, None where there is none or steps are too long to tell."""
    rate = float(grid.column("heart_rate")[-1]) if len(grid) and step_minutes <= COARSE else float("nan")
    return (int(grid.time[-1]), rate) if rate == rate else None


def _stuck(grid: Grid, beat: tuple[int, float] | None, step_minutes: int) -> tuple[Bools, tuple[int, float] | None]:
    """Return the rows whose heart rate is exactly that of the row before, and time and heart rate of the newest."""
    rate, step = grid.column("heart_rate").astype(np.float64), step_minutes * MINUTE  # carried forward is stuck too
    if not len(rate) or step_minutes > COARSE:  # two equal hourly values are no stuck sensor
        return np.zeros(len(rate), np.bool_), None
    time, value = beat if beat is not None else (-1, np.nan)
    near = np.diff(grid.time, prepend=time) == step
    stuck = (np.diff(rate, prepend=value) == 0) & near
    return stuck, newest_beat(grid, step_minutes)


def measured(grid: Grid, vital: str) -> Doubles:
    """Return a vital where it was measured; slow ones also where cleaning carries them forward, (n,)."""
    column = grid.names.index(vital)  # vitals come first
    value = grid.values[:, column].astype(np.float64)
    return value if vital in SLOW else np.where(grid.filled[:, column], np.nan, value)


def _score(grid: Grid, loose: Bools, personal: Personal) -> News2:
    """Return NEWS2, without a temperature where the thermometer is loose.

    Rows where everything lies in the quiet bands score 0 without a look at the tables.
    """
    quiet = QUIET if personal.oxygen_scale == 1 else QUIET_2
    columns = grid.values[:, [grid.names.index(name) for name in quiet]].astype(np.float64)
    columns[loose, list(quiet).index(TEMPERATURE)] = np.nan
    low, high = np.asarray(list(quiet.values())).T
    outside: Bools = np.logical_or.reduce((columns < low) | (columns > high), axis=1)
    parts = np.zeros((len(grid), 7), np.float32)
    parts[np.logical_and.reduce(np.isnan(columns), axis=1)] = np.nan
    total = parts[:, 0].copy()
    oxygen = personal.supplemental_oxygen
    rows = np.flatnonzero(outside) if not oxygen else np.arange(len(grid))
    if len(rows):
        v = dict(zip(quiet, columns[rows].T, strict=True))
        found = news2(
            respiration=v["respiratory_rate"],
            saturation=v["oxygen_saturation"],
            systolic=v["blood_pressure_systolic"],
            pulse=v["heart_rate"],
            temperature=v["body_temperature"],
            oxygen=np.nan if oxygen is None else float(oxygen),
            scale=personal.oxygen_scale,
        )
        total[rows], parts[rows] = found.total, found.parts
    return News2(total, parts)


@dataclass(frozen=True)
class Mean:
    """Memory of a mean: sums and counts by hour, oldest first; plain numbers.

    Attributes:
        first: Hour of the first row ever, -1 before it.
        hours: Hour, sum and count of each hour with a value, at most as many as the mean is long, and one.
        value: The mean up to the start of the newest hour, NaN where it is not known.
    """

    first: int = -1
    hours: tuple[tuple[int, float, int], ...] = ()
    value: float = float("nan")


def advance_mean(mean: Mean, value: Doubles, time: Times, over: int, step_ms: int) -> tuple[Mean, Doubles]:
    """Return the next memory and the mean as each row's hour began, (n,).

    Args:
        mean: Memory before these rows.
        value: Of these rows, NaN is not measured, (n,).
        time: Their starts, UTC ms (n,).
        over: Length of the mean, ms.
        step_ms: Length of a row.
    """
    out = np.empty(len(value))
    hour = time // HOUR
    first, hours, told = mean.first, list(mean.hours), mean.value
    newest = hours[-1][0] if hours else -1
    starts = np.flatnonzero(np.diff(hour, prepend=-1))
    for begin, end in zip(starts, [*starts[1:], len(hour)], strict=True):
        now = int(hour[begin])
        first = now if first < 0 else first
        if now != newest:
            hours = [one for one in hours if one[0] >= now - over // HOUR]
            told = _mean(hours, now - first, over, step_ms)
            hours.append((now, 0.0, 0))
            newest = now
        _, total, count = hours.pop()
        for one in value[begin:end].tolist():
            if one == one:
                total, count = total + one, count + 1
        hours.append((now, total, count))
        out[begin:end] = told
    return Mean(first, tuple(hours), told), out


def _mean(hours: Sequence[tuple[int, float, int]], known: int, over: int, step_ms: int) -> float:
    """Return the mean of whole hours, NaN until so many have passed and enough of them was measured."""
    count = sum(one[2] for one in hours)
    if known < over // HOUR or count < ENOUGH * over / step_ms:
        return float("nan")
    return sum(one[1] for one in hours) / count


def over_of(term: Term) -> int:
    """Return the length of a mean in milliseconds, whole hours."""
    return span(term.over or "1h") // HOUR * HOUR

"""Why an alarm: in the person's own units, one sentence; and the rules that need no learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features
from vitalwatch.artefacts import ARTEFACTS
from vitalwatch.baseline import CONTEXTS, ROOT, SIGNALS
from vitalwatch.cleaning import grid_columns
from vitalwatch.clinical import URGENT, news2, news2_once
from vitalwatch.features import ACTIVE
from vitalwatch.residuals import Rows
from vitalwatch.schema import Schema
from vitalwatch.scoring import Detector, Scores
from vitalwatch.tables import Alarm, Bools, Doubles, Floats, Grid

# How soon somebody should look, in the words of IEC 60601-1-8; chosen with a clinician's order of urgency in mind
PRIORITY = {
    "deterioration": "high",
    "sepsis": "high",
    "irregular_rhythm": "medium",
    "night_hypoxia": "medium",
    "hypertensive": "medium",
    "fever": "medium",
    "resting_tachycardia": "medium",
    "bradycardia": "medium",
}
# Signals of one sensor: what is wrong with it, or with what it measures, moves them together
SENSORS = tuple(
    tuple(map(SIGNALS.index, names))
    for names in (
        ("heart_rate",),
        ("oxygen_saturation", "oxygen_saturation_min"),
        ("respiratory_rate",),
        ("body_temperature",),
        ("blood_pressure_systolic",),
        ("blood_pressure_diastolic",),
        ("heart_rate_variability_rmssd",),
        ("heart_rate_spread",),
    )
)


def _told_by(signal: int) -> list[int]:
    """Return the features that a signal moves."""
    tracks = (SIGNALS[signal], *(("heart_rate_active", "heart_rate_quiet") if signal == 0 else ()))
    return [i for i, feature in enumerate(features.FEATURES) if feature.track in tracks]


SENSOR_FEATURES = tuple([i for signal in sensor for i in _told_by(signal)] for sensor in SENSORS)
# Vitals inside these bands score nothing in NEWS2; a total of 5 needs at least two outside
QUIET = {
    "respiratory_rate": (11.5, 20.5),
    "oxygen_saturation": (95.5, 101.0),
    "blood_pressure_systolic": (110.5, 219.5),
    "heart_rate": (50.5, 90.5),
    "body_temperature": (36.05, 38.05),
}
BAND = 2.0  # own spreads on each side of the centre that are shown as usual
FAULTS = ("flat_line", "cadence_lock", "detached_sensor", "low_signal_quality", "low_perfusion", "spike")


Score = Callable[[Floats, Floats], Doubles]  # versions of rows (n, w, f), the rows as measured (w, f) -> (n, m)

MOVED = ("heart_rate", "respiratory_rate", "heart_rate_variability_rmssd")  # say nothing while a person is active
FAULT_BITS = np.uint8(sum(ARTEFACTS[name] for name in FAULTS))


@dataclass(frozen=True)
class Rules:
    """The rules that need no learning, worked out once for a schema.

    Attributes:
        columns: Places in the grid of the vitals with limits and then of those of NEWS2, (l + 5,).
        low, high: Limits of the former, then QUIET bands of the latter, (l + 5,).
        limited: l.
        moved: True for limits that hold at rest only, (l,).
        bands, moves: Columns, low and high, and `moved`, as plain values for one row.
    """

    columns: NDArray[np.intp]
    low: Doubles
    high: Doubles
    limited: int
    moved: Bools
    bands: tuple[tuple[int, float, float], ...]
    moves: tuple[bool, ...]

    @staticmethod
    def of(schema: Schema) -> Rules:
        """Return the rules of schema.yaml's `usual` limits and of NEWS2."""
        names = grid_columns(schema)
        usual = {name: schema.columns[name].usual for name in schema.vitals}
        limits = {name: limit for name, limit in usual.items() if limit is not None}
        low, high = np.asarray([*limits.values(), *QUIET.values()], np.float64).T.copy()
        columns = [names.index(name) for name in (*limits, *QUIET)]
        return Rules(
            columns=np.asarray(columns, np.intp),
            low=low,
            high=high,
            limited=len(limits),
            moved=np.asarray([name in MOVED for name in limits], np.bool_),
            bands=tuple(zip(columns, low.tolist(), high.tolist(), strict=True)),
            moves=tuple(name in MOVED for name in limits),
        )

    def named(self, names: tuple[str, ...]) -> list[tuple[str, float, float]]:
        """Return vital, low and high of the limits and then of the bands of NEWS2; `names` are the grid's."""
        return [(names[i], low, high) for i, low, high in self.bands]

    def rows(self, grid: Grid, context: NDArray[np.int8]) -> Bools:
        """Return rows where a limit is passed, at rest where movement explains it, or NEWS2 reaches 5, (n,)."""
        if len(grid) == 1:
            return np.array([self.of_one(grid, context)])
        outside = self._outside(grid)
        passed, busy = outside[:, : self.limited], outside[:, self.limited :]
        found = np.zeros(len(grid), np.bool_)
        if np.count_nonzero(passed):
            found |= (passed & ~(self.moved & (context == ACTIVE)[:, None])).any(axis=1)
        if np.count_nonzero(busy) >= 2:
            found |= self._warning(grid, context, busy) >= URGENT
        return found

    def warning_score(self, grid: Grid, context: NDArray[np.int8]) -> Floats:
        """Return NEWS2 (SpO2 scale 1) of rows where it can reach 5, else 0, (n,); activity is no illness."""
        return self._warning(grid, context, self._outside(grid)[:, self.limited :])

    def of_one(self, grid: Grid, context: NDArray[np.int8]) -> bool:
        """Return `rows` of one row, in plain numbers."""
        row, active = grid.values[0].tolist(), context.item() == ACTIVE
        outside = [row[i] < low or row[i] > high for i, low, high in self.bands]  # NaN is neither
        passed, busy = outside[: self.limited], outside[self.limited :]
        if True in passed and any(
            one and not (active and moved) for one, moved in zip(passed, self.moves, strict=True)
        ):
            return True
        if active or busy.count(True) < 2:
            return False
        breaths, saturation, systolic, pulse, temperature = (row[i] for i, _, _ in self.bands[self.limited :])
        total, _, _ = news2_once(
            respiration=breaths, saturation=saturation, systolic=systolic, pulse=pulse, temperature=temperature
        )
        return total >= URGENT

    def _outside(self, grid: Grid) -> Bools:
        values = grid.values.take(self.columns, axis=1)
        outside: Bools = (values < self.low) | (values > self.high)  # NaN is neither
        return outside

    def _warning(self, grid: Grid, context: NDArray[np.int8], busy: Bools) -> Floats:
        total = np.zeros(len(grid), np.float32)
        rows = np.flatnonzero((np.add.reduce(busy, axis=1, dtype=np.int64) >= 2) & (context != ACTIVE))
        if len(rows):
            v = grid.values[rows][:, self.columns[self.limited :]]
            found = news2(respiration=v[:, 0], saturation=v[:, 1], systolic=v[:, 2], pulse=v[:, 3], temperature=v[:, 4])
            total[rows] = np.nan_to_num(found.total)
        return total


def technical_rows(grid: Grid, step_minutes: int) -> Bools:
    """Return rows where a sensor is stuck, jumps, is dim, locked to the steps, off the skin, or newly silent, (n,).

    A silence is told once, in its first hour: not worn is a state, not an alarm that never ends.
    """
    faulty: Bools = np.zeros(len(grid), np.bool_)
    if len(grid) == 1 and grid.segment.item() >= 0 and not np.count_nonzero(grid.artefact):
        return faulty
    if np.count_nonzero(grid.artefact):
        faulty = np.logical_or.reduce(grid.artefact & FAULT_BITS, axis=1)
    silent = grid.segment < 0
    if np.count_nonzero(silent):  # a gap's rows come all at once, with the reading that ends it
        index = np.arange(len(grid))
        since = index - np.maximum.accumulate(np.where(silent, -1, index))
        faulty |= silent & (since <= max(60 // step_minutes, 3))
    return faulty


class Explainer:
    """Makes the alarms of some rows of one person; each method takes a row number and the alarm's start in ms."""

    def __init__(
        self,
        grid: Grid,
        rows: Rows,
        scores: Scores,
        detector: Detector,
        schema: Schema,
        rules: Rules,
    ) -> None:
        self._grid, self._rows, self._scores, self._schema, self._rules = grid, rows, scores, schema, rules
        self._detector, self._limits = detector, detector.calibration

    def unusual(self, row: int, start: int) -> Alarm:
        """Channel A: what the vitals do that the firing group's score rests on."""
        sure = self._scores.unusual[row] > self._limits.unusual_sure
        sentence = self._sentence(row, self._detector.unusual_of, int(self._scores.group[row]))
        return Alarm(self._grid.person, start, start, "", "unusual", "medium" if sure else "low", sentence)

    def known(self, row: int, start: int) -> Alarm:
        """Channel B: the likeliest kind, and what the vitals do that its score rests on."""
        kind = self._limits.kinds[int(self._scores.kind[row])]
        sentence = self._sentence(row, self._detector.known_of, int(self._scores.kind[row]))
        named = f"Looks like {kind.replace('_', ' ')}: {sentence}"
        return Alarm(self._grid.person, start, start, kind, "known", PRIORITY.get(kind, "low"), named)

    def rule(self, row: int, start: int) -> Alarm:
        """Fixed limits and NEWS2."""
        total = float(self._rules.warning_score(_row(self._grid, row), self._rows.context[row : row + 1])[0])
        priority = "high" if total >= 7 else "medium"
        parts = [f"NEWS2 is {total:.0f} of the vitals measured"] if total >= URGENT else []
        for name in self._schema.vitals:
            column, value = self._schema.columns[name], float(self._grid.column(name)[row])
            if column.usual and not np.isnan(value) and not column.usual[0] <= value <= column.usual[1]:
                side = "below" if value < column.usual[0] else "above"
                limit = column.usual[0] if value < column.usual[0] else column.usual[1]
                told = number(value) if number(value) != number(limit) else f"{value:.1f}"  # 91.6 is below 92
                parts.append(f"{column.label} is {told} {column.shown}, {side} {number(limit)}")
        kind = "news2" if total >= URGENT else "limit"
        sentence = ("; ".join(parts) or "A vital was outside its usual limits") + "."
        return Alarm(self._grid.person, start, start, kind, "rule", priority, sentence)

    def technical(self, row: int, start: int) -> Alarm:
        """Sensor faults."""
        found = {
            fault: [v for i, v in enumerate(self._schema.vitals) if self._grid.artefact[row, i] & ARTEFACTS[fault]]
            for fault in FAULTS
        }
        parts = [
            f"{fault.replace('_', ' ')} ({', '.join(self._schema.columns[v].label.lower() for v in vitals)})"
            for fault, vitals in found.items()
            if vitals
        ]
        if self._grid.segment[row] < 0:
            told = "No reading came for a while: is the device worn, charged and connected?"
            return Alarm(self._grid.person, start, start, "silence", "technical", "low", told)
        kind = next((fault for fault, vitals in found.items() if vitals), "sensor")
        sentence = f"Check the sensor: {'; '.join(parts) or 'it was unreliable a moment ago'}."
        return Alarm(self._grid.person, start, start, kind, "technical", "low", sentence)

    def _sentence(self, row: int, score: Score, which: int) -> str:
        """Return the one or two vitals that the score rests on most.

        Args:
            row: Number of the row.
            score: The row is asked alone, whatever came before it.
            which: Group or kind that fires.
        """
        z = self._rows.stronger[row].astype(np.float64)
        share = shares(self._rows.features[row : row + 1], score, which)
        leading = [max(sensor, key=lambda i: abs(float(z[i]))) for sensor in SENSORS]
        order = sorted(range(len(SENSORS)), key=lambda i: (-max(float(share[i]), 0.0), -abs(float(z[leading[i]]))))
        named = [order[0], *(i for i in order[1:2] if share[i] > 0 and abs(z[leading[i]]) >= 1.0)]
        told = " and ".join(self._deviation(row, leading[i], float(z[leading[i]])) for i in named)
        return f"{told[:1].upper()}{told[1:]}{self._when(row)}."

    def _when(self, row: int) -> str:
        """Return what the person was doing, empty where neither activity nor sleep were measured.

        At night whoever is not known to move is held against the normal of sleep (`moment.activity`), but that is no
        reason to say of somebody that they slept.
        """
        context = CONTEXTS[int(self._rows.context[row])]
        if context == "active":
            return ", while active"
        if np.isfinite(self._grid.column("sleep")[row]):
            return f", {context}"
        moving = (self._grid.column(name)[row] for name in ("steps", "intensity"))
        still = any(np.isfinite(measured) for measured in moving)
        return (", still at night" if context == "asleep" else f", {context}") if still else ""

    def _deviation(self, row: int, signal: int, z: float) -> str:
        name = SIGNALS[signal]
        column = self._schema.columns.get(name)
        delta = in_units(name, z, self._rows.centre[row, signal], self._rows.spread[row, signal])
        side = "above" if delta >= 0 else "below"
        label = column.label.lower() if column else name
        return f"{label} {number(abs(delta))} {column.shown if column else ''} {side} your usual"


def shares(window: Floats, score: Score, which: int) -> Doubles:
    """Return how much of a score goes when one sensor after the other is as usual in every window, by SENSORS, (k,).

    Args:
        window: Features of the rows that the score is of, (w, f).
        score: The channel's, by the models and on the scale of what these rows wear, whatever is as usual.
        which: Which of the m scores.
    """
    x = np.repeat(window[None], len(SENSORS) + 1, axis=0)
    for without, columns in zip(x[1:], SENSOR_FEATURES, strict=True):
        without[:, columns] = 0.0  # own spreads from own normal
    told = score(x, window)[:, which]
    left: Doubles = told[0] - told[1:]
    return left


def first_named(sentence: str, schema: Schema) -> str:
    """Return the column that an explanation names first, empty where it names none."""
    told = sentence.lower()
    places = [(told.find(column.label.lower()), -len(column.label), name) for name, column in schema.columns.items()]
    return min((place for place in places if place[0] >= 0), default=(0, 0, ""))[2]


def named(sentence: str, schema: Schema) -> tuple[str, ...]:
    """Return the vitals that an explanation names, in the order of the schema; a detail is its vital."""
    left, found = sentence.lower(), set[str]()
    for name, column in sorted(schema.columns.items(), key=lambda one: -len(one[1].label)):
        label = column.label.lower()
        if label in left:  # the longest first: "heart rate variability" is no heart rate
            found.add(column.of or name)
            left = left.replace(label, "")
    return tuple(vital for vital in schema.vitals if vital in found)


def in_units(name: str, z: float, centre: float | Doubles, spread: float | Doubles) -> float:
    """Return how far `z` own spreads are in the vital's unit (square-root signals are squared back)."""
    if name in ROOT:
        return float(max(centre + z * spread, 0.0) ** 2 - centre**2)
    return float(z * spread)


def usual_range(name: str, centre: Floats | Doubles, spread: Floats | Doubles) -> tuple[Doubles, Doubles]:
    """Return what is usual of a vital in its unit: BAND own spreads around the centre, lower and upper end (n,)."""
    middle, half = np.asarray(centre, np.float64), BAND * np.asarray(spread, np.float64)
    low, high = middle - half, middle + half
    return (np.maximum(low, 0.0) ** 2, high**2) if name in ROOT else (low, high)


def _row(grid: Grid, row: int) -> Grid:
    return replace(grid, values=grid.values[row : row + 1], time=grid.time[row : row + 1])


def number(value: float) -> str:
    """Return a value of a vital as it is read."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"

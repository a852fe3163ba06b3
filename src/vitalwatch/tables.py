"""The tables that flow, as arrays with units: one person at a time, times in UTC milliseconds.

`NaN` always means "not measured"; there is no other stand-in for a missing value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.records import record

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Times = NDArray[np.int64]
Bools = NDArray[np.bool_]

MINUTE = 60_000  # milliseconds
DAY = 1440 * MINUTE


@dataclass(frozen=True)
class Readings:
    """Accepted readings of one person, oldest first.

    Attributes:
        person: Pseudonym.
        time: UTC, milliseconds since 1970-01-01, shape (n,), not decreasing.
        offset: Local clock minus UTC, minutes, int16, shape (n,).
        values: Schema column -> float32 (n,); a column that the source lacks may be absent.
        device: What stands for the device of each reading (`devices.code`), int64 (n,); None where none tells one.
    """

    person: str
    time: Times
    offset: NDArray[np.int16]
    values: Mapping[str, Floats]
    device: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.time)

    def column(self, name: str) -> Floats:
        """Return the column, all NaN where the source lacks it; shape (n,)."""
        found = self.values.get(name)
        return np.full(len(self.time), np.nan, np.float32) if found is None else found

    def rows(self, keep: slice | NDArray[np.intp] | Bools) -> Readings:
        """Return the chosen rows."""
        return replace(
            self,
            time=self.time[keep],
            offset=self.offset[keep],
            values={name: column[keep] for name, column in self.values.items()},
            device=None if self.device is None else self.device[keep],
        )


@dataclass(frozen=True)
class Profile:
    """Who a person is, as far as models may know; NaN and `unknown` where not told. No identifying fields."""

    person: str
    age: float = float("nan")  # years
    sex: str = "unknown"
    height: float = float("nan")  # cm
    weight: float = float("nan")  # kg
    conditions: tuple[str, ...] = ()
    medication: tuple[str, ...] = ()


@dataclass(frozen=True)
class Care:
    """What was measured or done beside the vitals, of one person, oldest first.

    Attributes:
        person: Pseudonym.
        time: UTC ms (n,), not decreasing.
        what: Index into `names`, int16 (n,).
        value: In the unit of the schema, measured (never NaN), float32 (n,).
        names: Names of the schema's `care`.
    """

    person: str
    time: Times
    what: NDArray[np.int16]
    value: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class CareRows:
    """`Care` of several people, in any order, as a source tells it.

    Attributes:
        people: Names that `person` indexes.
        person: int32 (n,).
        time: UTC ms (n,).
        what: Index into the schema's `care`, int16 (n,).
        value: float32 (n,).
        dropped: Values that were no numbers or not possible.
    """

    people: tuple[str, ...]
    person: NDArray[np.int32]
    time: Times
    what: NDArray[np.int16]
    value: Floats
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Outcome:
    """What became of a person: whether it happened, as somebody wrote down afterwards."""

    person: str
    kind: str
    happened: bool


@dataclass(frozen=True)
class Event:
    """A labelled episode [start, end), UTC milliseconds."""

    person: str
    kind: str
    start: int
    end: int
    magnitude: float = float("nan")
    channels: tuple[str, ...] = ()


@record
class Grid:
    """One person on the regular grid: a row for every step from the first to the last reading.

    Gaps longer than the limit keep their rows (all NaN, `segment` -1), at most one day of them: windows are
    spans of time, so a day of nothing looks the same as a week of it.

    Attributes:
        person: Pseudonym.
        time: Start of the step, UTC milliseconds, shape (n,).
        minute: Local minute of the day, int16, shape (n,).
        segment: Number of the stretch without a long gap, int32, -1 inside a gap, shape (n,).
        names: Grid columns (see `cleaning.grid_columns`).
        values: float32, shape (n, c), in the units of the schema; NaN is not measured or marked as artefact.
        filled: True where a vital was carried forward, shape (n, v) in schema.vitals order.
        artefact: Bit mask by vital (see `artefacts.ARTEFACTS`, `devices.TWO_DEVICES`), uint8, shape (n, v).
    """

    person: str
    time: Times
    minute: NDArray[np.int16]
    segment: NDArray[np.int32]
    names: tuple[str, ...]
    values: Floats
    filled: Bools
    artefact: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time)

    def column(self, name: str) -> Floats:
        """Return one grid column, shape (n,)."""
        return self.values[:, self.names.index(name)]

    def rows(self, keep: slice) -> Grid:
        """Return the chosen rows."""
        return replace(
            self,
            time=self.time[keep],
            minute=self.minute[keep],
            segment=self.segment[keep],
            values=self.values[keep],
            filled=self.filled[keep],
            artefact=self.artefact[keep],
        )

    @property
    def date(self) -> NDArray[np.int64]:
        """Local days since 1970, shape (n,); see `local_date`."""
        return local_date(self.time, self.minute)

    @property
    def worn(self) -> Bools:
        """True where the heart rate was measured (not carried forward), shape (n,)."""
        return np.isfinite(self.column("heart_rate")) & ~self.filled[:, 0]


def local_date(time: Any, minute: Any) -> Any:
    """Return local days since 1970 for UTC ms and local minutes of the day, arrays or plain numbers.

    The clock offset is told from `minute`, so +12 h counts as -12 h.
    """
    utc = time // MINUTE
    return (utc + (minute - utc + 720) % 1440 - 720) // 1440


@dataclass(frozen=True)
class Alarm:
    """One alarm of one person.

    Attributes:
        channel: `unusual` (forests), `known` (supervised), `rule` (limits, NEWS2) or `technical` (sensor, silence).
        kind: Named by the supervised channel or the rule, else empty.
        start, end: UTC milliseconds; `end` is exclusive.
        priority: high, medium or low (IEC 60601-1-8 words).
        explanation: One sentence in the person's own units.
    """

    person: str
    start: int
    end: int
    kind: str
    channel: str
    priority: str
    explanation: str


@record
class Answers:
    """What a monitor says about grid rows of one person; all arrays share the first axis, shape (n, ...).

    Attributes:
        time: Start of each grid step, UTC ms (n,).
        score: Unusualness in [0, 1], high = unusual, NaN where not assessable (n,).
        p_value: Share of normal rows in the same context (asleep, at rest, active) at least as unusual, in (0, 1] (n,).
        is_anomaly: An alarm of channel A or B covers this row (n,).
        unusual: Channel A, score by the forests on the person's own level, higher is more unusual (n,); threshold in
            the bundle's card.
        known: Channel B, minus log10 of the false alarms a day that a threshold here would cost, on the person's own
            level, NaN where nothing was labelled to learn from (n,); threshold in the bundle's card.
        probability: Of an episode of a known kind, where people are ill as often as in life (the card's `prevalence`),
            NaN where nothing was labelled to learn from (n,).
        kind: Index into `kinds` for rows in a `known` alarm, else -1 (n,).
        kinds: Names that `kind` indexes.
        residual: z of each vital against the person's own normal, (n, v) in `vitals` order; NaN is not measured.
        contribution: z of each vital, mean over the last hour or six, whichever is stronger (n, v); 0 is usual.
        vitals: Names of the vitals in `residual` and `contribution`.
        expected_heart_rate: bpm, from person, activity, sleep and clock (n,).
        usual_heart_rate_spread: bpm, the person's own spread around it (n,).
        forecast: (n, v_f, h, 3) for quantiles 0.1/0.5/0.9, in each vital's unit; NaN where not forecast.
        forecast_vitals, horizons: Names (v_f) and minutes (h) of the forecast axes.
        own_level: What the scores of each channel were divided by because of how high the person's quiet days score,
            1 at first, (n, 2); see `own_level`.
        own_baseline: True where the person's own baseline was used rather than the population's (n,).
        assessable: False where too little was measured to judge (n,).
        alarms: Episodes, oldest first.
        grid: The grid rows that these answers belong to.
        late: Readings left out because they came after the step that followed theirs.
        by_kind: Channel B's score of each of `kinds` on the person's own level, (n, kinds); empty unless asked for.
        centre, spread: Own normal of each vital in the row's context and what it varies by, (n, v), on the scale that
            `explaining.in_units` reads.
    """

    person: str
    time: Times
    score: Floats
    p_value: Floats
    is_anomaly: Bools
    unusual: Floats
    known: Floats
    probability: Floats
    kind: NDArray[np.int16]
    kinds: tuple[str, ...]
    residual: Floats
    vitals: tuple[str, ...]
    expected_heart_rate: Floats
    usual_heart_rate_spread: Floats
    forecast: Floats
    forecast_vitals: tuple[str, ...]
    horizons: tuple[int, ...]
    own_baseline: Bools
    assessable: Bools
    grid: Grid
    alarms: tuple[Alarm, ...] = field(default=())
    contribution: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))
    late: int = 0
    own_level: Floats = field(default_factory=lambda: np.ones((0, 2), np.float32))
    by_kind: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))
    centre: Doubles = field(default_factory=lambda: np.empty((0, 0)))
    spread: Doubles = field(default_factory=lambda: np.empty((0, 0)))

    def __len__(self) -> int:
        return len(self.time)

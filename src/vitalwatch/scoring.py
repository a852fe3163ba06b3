"""Features -> how unusual (channel A), how likely a known episode (channel B), and how surprising either is.

Both channels judge the mean of their models' outputs over the last minutes (`averaging`), not one row; but for groups
of what a cuff measures about hourly (`ALONE`), whose features last longer than that already.

Channel A: a forest per organ group. A group's score is put on one scale by conformal calibration: surprise is minus
log10 of the share of six-hour blocks of calibration people, asleep or awake alike, whose highest score reaches it
(block maxima, because neighbouring rows are one event; Vovk et al. 2005 for the conformal p-value). Beyond all their
blocks it goes on as their whole tail does, ever slower, by a factor of ten at most. The largest surprise of all groups
is the channel's score. Who wears few sensors has fewer groups to be surprised by, and as many
alarms only at a lower score: `lift_of` adds what the groups that are not measured would have (Bonferroni's rule).

Channel B: a supervised head a kind. A head's log-odds are put on one scale, minus log10 of the false alarms a day that
a threshold there costs calibration people who wear as much (see `wearing`); the largest of all kinds is the channel's
score, and names the kind.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import lcm, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import averaging, features
from vitalwatch.averaging import Kept
from vitalwatch.baseline import SPARSE
from vitalwatch.own_level import NOBODYS, Usual
from vitalwatch.records import record
from vitalwatch.runtime import Asked
from vitalwatch.tables import Bools, Doubles, Floats
from vitalwatch.wearing import WEARINGS, Heads, wearing_of, wearing_of_one


@dataclass(frozen=True)
class Scale:
    """A rising map from scores to a common scale, linear between knots and beyond the last two.

    Attributes:
        knots: Scores, rising, (..., k).
        values: Value at each knot, (..., k).
    """

    knots: Doubles
    values: Doubles

    @property
    def slopes(self) -> Doubles:
        """Change of value per score after each knot; the last continues the one before it, (..., k)."""
        rise = np.diff(self.values, axis=-1) / np.maximum(np.diff(self.knots, axis=-1), 1e-12)
        return np.concatenate((rise, rise[..., -1:]), axis=-1)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"knots": self.knots.tolist(), "values": self.values.tolist()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Scale:
        """Read back what `to_json` wrote."""
        return Scale(np.asarray(data["knots"], np.float64), np.asarray(data["values"], np.float64))


@dataclass(frozen=True)
class Calibration:
    """What calibration people taught.

    Attributes:
        surprise: By state (awake, asleep) and group, knots (2, g, k).
        rarity: By context, channel A's score -> minus log10 of the share of its normal rows at least as high, (3, k).
        level: By wearing and kind, log-odds -> channel B's scale, knots (3, kinds, k); None without labels.
        known_rarity: As `rarity` for channel B, None without labels.
        either_rarity: The larger of both -> the same of it: the smaller of two p-values is small more often than one.
        chance: By wearing, what the heads tell of any kind -> share of such rows in an episode; empty without labels.
        unusual_threshold, known_threshold: A row is over when its score is above; infinite where there is no channel.
        unusual_sure: Channel A's threshold at a tenth of the false alarms; above it an alarm is of medium priority.
        kinds: Names in the order of the heads.
        rows: Outputs of the models are averaged over so many.
        unusual_blocks, known_blocks: What quiet blocks are like on each channel, for `own_level`.
        known_alike: By wearing, what channel B's scores are multiplied by so that quiet blocks are as high as
            `known_blocks` says, which is of those who wear everything; kinds that few sensors cannot tell are silent.
    """

    surprise: Scale
    rarity: Scale
    level: Scale | None
    known_rarity: Scale | None
    either_rarity: Scale | None
    chance: tuple[Scale, ...]
    unusual_threshold: float
    known_threshold: float
    unusual_sure: float
    kinds: tuple[str, ...]
    rows: int = 1
    unusual_blocks: Usual = NOBODYS
    known_blocks: Usual = NOBODYS
    known_alike: tuple[float, ...] = (1.0,) * len(WEARINGS)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        known = self.known_threshold
        return {
            "surprise": self.surprise.to_json(),
            "rarity": self.rarity.to_json(),
            "level": self.level.to_json() if self.level else None,
            "known_rarity": self.known_rarity.to_json() if self.known_rarity else None,
            "either_rarity": self.either_rarity.to_json() if self.either_rarity else None,
            "chance": [scale.to_json() for scale in self.chance],
            "unusual_threshold": self.unusual_threshold,
            "known_threshold": known if np.isfinite(known) else None,
            "unusual_sure": self.unusual_sure,
            "kinds": list(self.kinds),
            "rows": self.rows,
            "unusual_blocks": self.unusual_blocks.to_json(),
            "known_blocks": self.known_blocks.to_json(),
            "known_alike": list(self.known_alike),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Calibration:
        """Read back what `to_json` wrote."""
        known = data["known_threshold"]
        return Calibration(
            surprise=Scale.from_json(data["surprise"]),
            rarity=Scale.from_json(data["rarity"]),
            level=Scale.from_json(data["level"]) if data["level"] else None,
            known_rarity=Scale.from_json(data["known_rarity"]) if data["known_rarity"] else None,
            either_rarity=Scale.from_json(data["either_rarity"]) if data["either_rarity"] else None,
            chance=tuple(map(Scale.from_json, data["chance"])),
            unusual_threshold=float(data["unusual_threshold"]),
            known_threshold=float("inf") if known is None else float(known),
            unusual_sure=float(data["unusual_sure"]),
            kinds=tuple(data["kinds"]),
            rows=int(data["rows"]),
            unusual_blocks=Usual.from_json(data["unusual_blocks"]),
            known_blocks=Usual.from_json(data["known_blocks"]),
            known_alike=tuple(data["known_alike"]),
        )


@record
class Scores:
    """Scores of n rows; NaN where a row cannot be judged.

    Attributes:
        unusual: Channel A's surprise (n,).
        group: Index into `features.GROUPS` of the most surprising group (n,).
        known: Channel B's score, minus log10 of false alarms a day (n,), NaN without supervised heads.
        kind: Index of its kind (n,), -1 without supervised heads.
        probability: Of any labelled kind, at the prevalence in `card["prevalence"]` (n,); NaN without heads.
        p_value: (1 + normal calibration rows of this context whose rarer channel is as rare or more) / (1 + all) (n,).
        by_kind: Channel B's score of each kind, (n, kinds); (n, 0) without supervised heads.
        wearing: What was measured within the day, an index into `wearing.WEARINGS` (n,).
    """

    unusual: Floats
    group: NDArray[np.int8]
    known: Floats
    kind: NDArray[np.int16]
    probability: Floats
    p_value: Floats
    by_kind: Doubles
    wearing: NDArray[np.intp]

    @staticmethod
    def unknown(n: int) -> Scores:
        """Return the scores of rows that nobody asked for."""
        nothing = np.full(n, np.nan, np.float32)
        group, none, worn = np.zeros(n, np.int8), np.full(n, -1, np.int16), np.zeros(n, np.intp)
        return Scores(nothing, group, nothing, none, nothing, nothing, np.empty((n, 0)), worn)


class Detector:
    """The forests, the supervised heads and their calibration."""

    def __init__(self, forest: Asked, known: Asked | None, calibration: Calibration) -> None:
        self._forest, self.calibration = forest, calibration
        whoever = known if known is None or isinstance(known, Heads) else Heads(known, known)  # one model judges all
        self._known = whoever if calibration.level else None
        self._groups = calibration.surprise.knots.shape[1]
        self._columns = self._groups + (
            calibration.level.knots.shape[1] + 1 if self._known and calibration.level else 0
        )
        self._surprise = Scales(calibration.surprise)
        self._level = Scales(calibration.level) if calibration.level else None
        self._rarity = Scales(one_group(calibration.rarity))
        self._chance = tuple(map(Line.of, calibration.chance))
        both = calibration.known_rarity, calibration.either_rarity
        self._both = (Scales(one_group(both[0])), Scales(one_group(both[1]))) if both[0] and both[1] else None

    def begin(self) -> Kept:
        """Return what `advance` remembers of somebody of whom nothing is known."""
        return averaging.begin(self.calibration.rows, self._columns)

    def advance(self, kept: Kept, x: Floats, assessable: Bools) -> tuple[Kept, Scores]:
        """Return what to remember, and the scores of rows that follow each other.

        Args:
            kept: From `begin` or an earlier call.
            x: `features.NAMES` columns, float32 (n, f).
            assessable: (n,).
        """
        n = len(x)
        if n == 0:
            return kept, Scores.unknown(0)
        if n == 1:
            return self._advance_one(kept, x, assessable.item())
        kept, mean = averaging.advance(kept, np.column_stack(self._outputs(x)), assessable, ALONE)
        surprise = self.surprise(mean[:, : self._groups], x)
        unusual = np.maximum.reduce(surprise, axis=1)
        context = context_of(x)
        rarity = self._rarity.look_up(unusual[:, None], context)
        told = np.full((4, n), np.nan, np.float32)
        kind, level = np.full(n, -1, np.int16), np.empty((n, 0))
        wearing = wearing_of(x)
        if self._known is not None and self._level is not None:
            level = self._level.look_up(mean[:, self._groups : -1], wearing)
            kind = level.argmax(axis=1).astype(np.int16)
            told[1] = known = np.maximum.reduce(level, axis=1)
            told[2] = self._probability(mean[:, -1], wearing)
            if self._both is not None:
                of_known, either = self._both
                rarity = either.look_up(np.maximum(rarity, of_known.look_up(known[:, None], context)), context)
        told[0] = unusual
        told[3] = 10.0 ** -rarity[:, 0]
        np.copyto(told, np.nan, where=~assessable)
        np.copyto(level, np.nan, where=~assessable[:, None])
        group = surprise.argmax(axis=1).astype(np.int8)
        return kept, Scores(told[0], group, told[1], kind, told[2], told[3], level, wearing)

    def _advance_one(self, kept: Kept, x: Floats, assessable: bool) -> tuple[Kept, Scores]:
        """Return `advance` of one row, in plain numbers."""
        kept, mean = averaging.advance_one(kept, [part.ravel() for part in self._outputs(x)], assessable, ALONE)
        asleep = x.item(ASLEEP) > 0
        context = features.ASLEEP if asleep else features.ACTIVE if x.item(ACTIVE) > 0 else features.AT_REST
        surprise = self._surprise.look_up_one(mean[: self._groups], asleep)
        measured = x[0] != 0.0
        lift, wearing = LIFTS.item(int(WHOLE.dot(measured))), wearing_of_one(measured)
        surprise = [value + lift for value in surprise]
        unusual, known, kind, probability, level = max(surprise), nan, -1, nan, list[float]()
        (rarity,) = self._rarity.look_up_one([unusual], context)
        if self._known is not None and self._level is not None:
            level = self._level.look_up_one(mean[self._groups : -1], wearing)
            known, probability = max(level), self._chance[wearing].look_up(mean[-1]) if self._chance else nan
            kind = level.index(known)
            if self._both is not None:
                of_known, either = self._both
                (rarity,) = either.look_up_one([max(rarity, *of_known.look_up_one([known], context))], context)
        p_value = np.power(10.0, -rarity)  # numpy's, whose last bit is not always that of `**`
        told = np.array([[unusual], [known], [probability], [p_value]], np.float32)
        by_kind = np.array([level])
        if not assessable:
            told.fill(nan)
            by_kind.fill(nan)
        group = np.array([surprise.index(unusual)], np.int8)
        named, worn = np.array([kind], np.int16), np.array([wearing])
        return kept, Scores(told[0], group, told[1], named, told[2], told[3], by_kind, worn)

    def _outputs(self, x: Floats) -> tuple[Floats, ...]:
        """Return what the models say of rows: by group (n, g), and with heads by kind (n, k) and of any kind (n,)."""
        by_group = self._forest.run(x=x)["score"]
        if self._known is None:
            return (by_group,)
        found = self._known.run(x=x)
        return by_group, found["margin"], found["probability"]

    def unusual_of(self, versions: Floats, measured: Floats) -> Doubles:
        """Return the surprise of each group at the last of some judged rows, in versions of them, (k, g).

        Args:
            versions: Features of the rows, some of them set to usual, (k, w, f).
            measured: Features of the rows as they were, (w, f). What is worn is theirs to tell in every version: a
                vital at its usual is 0 there, as one that nobody measures.
        """
        said = self._said(self.by_group, versions)
        mean = said.mean(axis=1)
        mean[:, list(ALONE)] = said[:, -1, list(ALONE)]
        return self.surprise(mean, measured[-1:].repeat(len(versions), axis=0))

    def known_of(self, versions: Floats, measured: Floats) -> Doubles:
        """Return the score of each kind at the last of some judged rows, in versions as above, (k, kinds)."""
        wearing = np.tile(wearing_of(measured), len(versions))
        mean = self._said(lambda x: self.by_kind(x, wearing), versions).mean(axis=1)
        return self.level(mean, measured[-1:].repeat(len(versions), axis=0))

    @staticmethod
    def _said(ask: Callable[[Floats], Floats], window: Floats) -> Doubles:
        rows = np.ascontiguousarray(window).reshape(-1, window.shape[-1])
        return ask(rows).reshape(*window.shape[:2], -1).astype(np.float64)

    def by_group(self, x: Floats) -> Floats:
        """Return what the forests say of features (n, f), high is unusual, (n, g)."""
        return self._forest.run(x=x)["score"]

    def by_kind(self, x: Floats, wearing: NDArray[np.intp] | None = None) -> Floats:
        """Return what the heads say of features (n, f), log-odds (n, k); only where there are heads.

        `wearing` is that of each row, (n,), where it is not for the features to tell.
        """
        assert self._known is not None
        return self._known.run(x=x, wearing=wearing)["margin"]

    def surprise(self, by_group: NDArray[np.floating], x: Floats) -> Doubles:
        """Return forest scores (n, g) of rows measured as x (n, f) on the common scale, (n, g); see the module."""
        surprise = self._surprise.look_up(by_group, x[:, ASLEEP] > 0)
        surprise += lift_of(x)[:, None]
        return surprise

    def level(self, margin: NDArray[np.floating], x: Floats) -> Doubles:
        """Return log-odds (n, k) of rows measured as x (n, f) on channel B's scale, (n, k); see the module."""
        assert self._level is not None
        return self._level.look_up(margin, wearing_of(x))

    def _probability(self, told: Doubles, wearing: NDArray[np.intp]) -> Doubles:
        """Return the probability of any kind at rows of a wearing by what the heads tell of it, all (n,)."""
        if not self._chance:
            return np.full(len(told), nan)
        if len(alike := np.unique(wearing)) == 1:
            return self._chance[alike.item()].look_up_all(told)
        found = np.empty(len(told))
        for one in alike.tolist():
            rows = wearing == one
            found[rows] = self._chance[one].look_up_all(told[rows])
        return found


def one_group(scale: Scale) -> Scale:
    """Return a scale by state, knots (s, k), as one of a single group, (s, 1, k)."""
    return Scale(scale.knots[:, None], scale.values[:, None])


ASLEEP, ACTIVE = features.NAMES.index("asleep"), features.NAMES.index("active")


def context_of(x: Floats) -> NDArray[np.intp]:
    """Return the context of each row of features, an index into `baseline.CONTEXTS`, (n,)."""
    awake = np.where(x[:, ACTIVE] > 0, features.ACTIVE, features.AT_REST)
    return np.where(x[:, ASLEEP] > 0, features.ASLEEP, awake)


ALONE = tuple(
    number
    for number, columns in enumerate(features.GROUPS.values())
    if {features.FEATURES[column].track for column in columns} <= set(SPARSE)
)

# What a measured column counts, in whole numbers so that sums are exact in any order: each of a group's, its share of
# one group. By the sum over measured columns: log10 of all groups over those measured, of which one is always counted.
ONE = lcm(*map(len, features.GROUPS.values()))
WHOLE = np.zeros(len(features.NAMES))
for _columns in features.GROUPS.values():
    WHOLE[list(_columns)] += ONE // len(_columns)
ALL = len(features.GROUPS) * ONE
LIFTS = np.log10(ALL / np.maximum(np.arange(ALL + 1), ONE))


def lift_of(x: Floats) -> Doubles:
    """Return what a row's surprise gains for groups that are not measured, (n,).

    With g groups a surprise of s comes g times as often as with one, so a person of whom a quarter is measured gets as
    many alarms as others at a surprise that is log10 of 4 lower. A group counts by the share of its columns measured.

    Args:
        x: `features.NAMES` columns, (n, f); what is not measured counts as usual there, which is 0.
    """
    return LIFTS.take(((x != 0.0) @ WHOLE).astype(np.intp))


class Scales:
    """A scale for each state and group, looked up all at once.

    Knots stand in one table as (number of the scale) + i (knot): complex numbers sort by their real part first, so
    that a single search finds the place in the right scale.
    """

    def __init__(self, scale: Scale) -> None:
        states, groups, k = scale.knots.shape
        number = np.arange(states * groups, dtype=np.float64)
        self._knots, self._values, self._slopes = (np.ravel(part) for part in (scale.knots, scale.values, scale.slopes))
        self._ordered = np.repeat(number, k) + 1j * self._knots
        self._number = number.reshape(states, groups)
        self._first = (self._number * k).astype(np.intp)
        self._lines = [
            [Line.of(Scale(scale.knots[state, group], scale.values[state, group])) for group in range(groups)]
            for state in range(states)
        ]

    def look_up(self, score: NDArray[np.floating], state: NDArray[Any]) -> Doubles:
        """Return the value of each score, never below 0, (n, g).

        Args:
            score: (n, g).
            state: Number of the state, (n,).
        """
        state = state.astype(np.intp)
        wanted = np.empty(score.shape, np.complex128)
        wanted.real, wanted.imag = self._number[state], score
        place = self._ordered.searchsorted(wanted, side="right") - 1
        np.maximum(place, self._first[state], out=place)  # a score below all knots belongs to the first
        return _on_line(score, self._knots.take(place), self._values.take(place), self._slopes.take(place))

    def look_up_one(self, score: list[float], state: int) -> list[float]:
        """Return `look_up` of one row's scores, g of them."""
        told = []
        for line, value in zip(self._lines[state], score, strict=True):  # `Line.look_up`, called less
            knot, start, slope = line.pieces[bisect_right(line.inner, value)]
            found = (value - knot) * slope + start
            told.append(0.0 if found < 0.0 else found)
        return told


@dataclass(frozen=True)
class Line:
    """A scale ready to be asked, for one score as plain numbers or for many as arrays."""

    scale: Scale
    slopes: Doubles
    inner: list[float]  # knots but the first
    pieces: list[tuple[float, float, float]]  # knot, value and slope after it

    @staticmethod
    def of(scale: Scale) -> Line:
        """Return the line through a scale's knots, (k,)."""
        pieces = zip(scale.knots.tolist(), scale.values.tolist(), scale.slopes.tolist(), strict=True)
        return Line(scale, scale.slopes, scale.knots[1:].tolist(), list(pieces))

    def look_up(self, score: float) -> float:
        """Return the value of one score, never below 0."""
        knot, value, slope = self.pieces[bisect_right(self.inner, score)]
        return max((score - knot) * slope + value, 0.0)

    def look_up_all(self, score: NDArray[np.floating]) -> Doubles:
        """Return the value of each score, never below 0, (n,)."""
        place = self.scale.knots[1:].searchsorted(score, side="right")
        return _on_line(score, self.scale.knots.take(place), self.scale.values.take(place), self.slopes.take(place))


def _on_line(score: NDArray[np.floating], knots: Doubles, values: Doubles, slopes: Doubles) -> Doubles:
    apart: Doubles = score - knots
    apart *= slopes
    apart += values
    return np.maximum(apart, 0.0, out=apart)

"""Bands in which no rule can begin to hold: a look at a row that passes most rules over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch.alerting.rules import Personal
from vitalwatch.alerting.terms import MOST_POINTS, QUIET_2, Asked, Comparison
from vitalwatch.baseline import VITALS
from vitalwatch.cleaning import grid_columns
from vitalwatch.explaining import QUIET
from vitalwatch.schema import Schema
from vitalwatch.tables import Answers, Bools, Doubles

NO_MOST = {  # inside these bands no part scores 3, on either oxygen scale (on air)
    "respiratory_rate": (8.5, 24.5),
    "oxygen_saturation": (91.5, 101.0),
    "blood_pressure_systolic": (90.5, 219.5),
    "heart_rate": (40.5, 130.5),
    "body_temperature": (35.05, 99.0),
}


@dataclass(frozen=True)
class Glance:
    """Bands in which a comparison cannot begin to hold: most rules are passed over by it, of most rows all.

    Attributes:
        measured: Bands of what is compared as measured, and of single parts of NEWS2.
        usual: Bands of vitals compared with the person's own usual.
        scored: Bands of what NEWS2 scores; one value outside alone makes no total above MOST_POINTS.
        paired: Comparisons that need two values outside of `scored` in a row.
        rules: Name of each rule, its comparisons, and whether one that begins is enough.
        always: Names of rules that must always be looked at: means, points that are none, or somebody given oxygen.
    """

    measured: Bands
    usual: Bands
    scored: Bands
    paired: frozenset[int]
    rules: tuple[tuple[str, tuple[int, ...], bool], ...]
    always: frozenset[str]

    @staticmethod
    def of(asked: Sequence[Asked], personal: Personal, schema: Schema) -> Glance:
        """Return the bands of the rules that are asked of a person."""
        places = {name: i for i, name in enumerate(grid_columns(schema))}
        quiet = QUIET if personal.oxygen_scale == 1 else QUIET_2
        measured_ones, usual, rules = list[Band](), list[Band](), []
        always, paired = set[str](), set[int]()
        number = 0
        for rule in asked:
            first = number
            for one in rule.comparisons:
                term = one.term
                if term.vital is not None:
                    measured_ones.append((number, places[term.vital], *_calm(one)))
                elif term.usual is not None:
                    usual.append((number, VITALS.index(term.usual), *_calm(one)))
                elif term.news2 == "total" and one.at > MOST_POINTS:
                    paired.add(number)
                elif term.news2 is not None:
                    bands = NO_MOST if one.at >= MOST_POINTS and term.news2 == "single" else quiet
                    measured_ones += [(number, places[name], *band) for name, band in bands.items()]
                points = term.news2 is not None and (
                    one.at <= 0 or one.sign < 0 or bool(personal.supplemental_oxygen)  # 0 points are enough
                )
                if term.mean is not None or points:
                    always.add(rule.name)
                number += 1
            rules.append((rule.name, tuple(range(first, number)), bool(rule.rule.any)))
        pairs = [(-1, places[name], *band) for name, band in quiet.items()] if paired else []
        return Glance(
            Bands.of(measured_ones),
            Bands.of(usual),
            Bands.of(pairs),
            frozenset(paired),
            tuple(rules),
            frozenset(always),
        )

    def begins(self, answers: Answers) -> frozenset[str]:
        """Return the names of the rules that may begin to hold in one of these rows; the others do not."""
        values = answers.grid.values
        found = self.measured.left(values) | self.usual.left(answers.contribution)
        if self.paired and self.scored.left_twice(values):
            found |= self.paired
        if not found:
            return self.always
        return self.always.union(
            name
            for name, ours, one_is_enough in self.rules
            if (any if one_is_enough else all)(i in found for i in ours)
        )


Band = tuple[int, int, float, float]  # comparison, place of its column, low, high


@dataclass(frozen=True)
class Bands:
    """Bands of columns, and whose comparison each is: places, lows, highs and numbers, (k,) each."""

    columns: NDArray[np.intp]
    low: Doubles
    high: Doubles
    whose: NDArray[np.intp]

    @staticmethod
    def of(told: Sequence[Band]) -> Bands:
        """Return the bands as arrays."""
        whose, columns, low, high = zip(*told, strict=True) if told else ((), (), (), ())
        places = np.asarray(columns, np.intp), np.asarray(whose, np.intp)
        return Bands(places[0], np.asarray(low, np.float64), np.asarray(high, np.float64), places[1])

    def left(self, values: NDArray[np.floating]) -> frozenset[int]:
        """Return the comparisons of the bands that a row of values (n, c) leaves."""
        outside = self._outside(values)
        if not np.count_nonzero(outside):
            return NOTHING
        return frozenset(self.whose[np.logical_or.reduce(outside, axis=0)].tolist())

    def left_twice(self, values: NDArray[np.floating]) -> bool:
        """Return whether a row leaves two bands."""
        outside = self._outside(values)
        return bool(np.count_nonzero(outside) > 1 and (np.add.reduce(outside, axis=1, dtype=np.int64) > 1).any())

    def _outside(self, values: NDArray[np.floating]) -> Bools:
        value = values.take(self.columns, axis=1)
        outside: Bools = (value < self.low) | (value > self.high)  # NaN is neither
        return outside


NOTHING: frozenset[int] = frozenset()


def _calm(one: Comparison) -> tuple[float, float]:
    """Return the band in which a comparison does not begin to hold; a float32 value is compared as it is."""
    if one.sign > 0:
        return -np.inf, float(np.nextafter(one.at, -np.inf)) if one.equal else one.at
    return one.at, np.inf

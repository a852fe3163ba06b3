"""A score and how long the stay has lasted -> a probability that is true at every hour (Platt 1999, by hours).

What a score is worth changes with the hours behind it: early it says less about the end of the stay, so the same
log-odds must be told nearer the usual rate. Slope and offset therefore run straight, in the logarithm of the hours,
from one of a few chosen hours to the next; before the first and after the last they stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Doubles, Floats

EDGE = 1e-7  # probabilities nearer to 0 or 1 have no log-odds that mean anything


@dataclass(frozen=True)
class Platt:
    """Score -> probability: 1 / (1 + exp(-(slope s + offset))) of the score's log-odds s.

    Attributes:
        hours: Of the stay, rising, at which slope and offset are known (k,).
        slope: At those hours, above 0, so that within an hour the order of patients stays (k,).
        offset: At those hours (k,).
    """

    hours: tuple[int, ...]
    slope: tuple[float, ...]
    offset: tuple[float, ...]

    def __call__(self, probability: Floats, hour: NDArray[np.integer]) -> Floats:
        """Return calibrated probabilities, float32 (n,).

        Args:
            probability: As the model tells them (n,).
            hour: How many hours the stay has lasted, 1 for the first (n,).
        """
        near = nearness(self.hours, hour)
        slope, offset = (_mixed(near, values) for values in (self.slope, self.offset))
        return (1 / (1 + np.exp(-(slope * log_odds(probability) + offset)))).astype(np.float32)


def log_odds(probability: Floats) -> Doubles:
    """Return the log-odds of probabilities, those of none and of certainty kept finite, (n,)."""
    inside = np.clip(probability.astype(np.float64), EDGE, 1 - EDGE)
    return np.log(inside / (1 - inside))


def nearness(hours: Sequence[int], hour: NDArray[np.integer]) -> Doubles:
    """Return the share that each of the chosen hours has in what holds at an hour; a row adds up to 1, (n, k)."""
    known = np.log2(np.asarray(hours, np.float64))
    lasted = np.log2(np.arange(1, hours[-1] + 1))
    table = np.stack([np.interp(lasted, known, row) for row in np.eye(len(hours))], axis=1)
    return table[np.clip(hour, 1, hours[-1]) - 1]


def _mixed(near: Doubles, values: Sequence[float]) -> Doubles:
    """Return the values that hold in each row (n,), added in a fixed order: equal for a row alone and among others."""
    total = np.zeros(len(near))
    for share, value in zip(near.T, values, strict=True):
        total += share * value
    return total

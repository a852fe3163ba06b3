"""Intervals of "it stays", followed: each person's own, by the code that serves, and nothing of what comes later."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch import adaptive
from vitalwatch.stages import staying

AHEAD = np.array([1, 6])
CALM, RESTLESS = 1.0, 4.0


def walk(rows: int, spread: float, seed: int) -> np.ndarray:
    return (60 + spread * np.random.default_rng(seed).normal(size=rows)).astype(np.float32)


def told(values: np.ndarray, half: float = 3.0) -> np.ndarray:
    """The last value, and as much below as above it, at both horizons."""
    return np.stack([values[:, None] + step * np.ones(2) for step in (-half, 0, half)], axis=2).astype(np.float32)


def coverage(interval: np.ndarray, values: np.ndarray, h: int) -> float:
    rows = int(AHEAD[h])
    low, high, later = interval[:-rows, h, 0], interval[:-rows, h, 2], values[rows:]
    return float(((low <= later) & (later <= high))[500:].mean())


def test_the_calm_and_the_restless_both_get_intervals_that_hold_four_fifths():
    values = [walk(4000, CALM, 1), walk(3500, RESTLESS, 2)]
    found = staying.followed([told(one) for one in values], values, AHEAD)

    for h in range(2):
        assert [0.8, 0.8] == pytest.approx([coverage(*both, h) for both in zip(found, values, strict=True)], abs=0.02)
        assert coverage(told(values[0]), values[0], h) > 0.93
        assert coverage(told(values[1]), values[1], h) < 0.6


def test_people_side_by_side_are_followed_as_each_alone_is():
    values = [walk(1300, CALM, 1), walk(1100, RESTLESS, 2)]
    values[0][40:60] = np.nan
    plan = adaptive.Plan.of(1, AHEAD)
    for one, found in zip(values, staying.followed([told(v) for v in values], values, AHEAD), strict=True):
        alone = adaptive.advance(adaptive.begin(plan), told(one)[:, None], one[:, None], plan)[1]

        np.testing.assert_array_equal(alone[:, 0], found)

"""Intervals find the width that a person needs, from what came only, and never run away."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch import adaptive

AHEAD = np.array([1, 3])
PLAN = adaptive.Plan.of(1, AHEAD)


def told(n: int) -> np.ndarray:
    """Forecasts of one vital: 60, and 58 to 62."""
    return np.broadcast_to(np.array([58, 60, 62], np.float32), (n, 1, 2, 3))


def walk(n: int, spread: float) -> np.ndarray:
    return (60 + spread * np.random.default_rng(3).normal(size=(n, 1))).astype(np.float32)


def coverage(out: np.ndarray, measured: np.ndarray) -> list[float]:
    inside = []
    for h, rows in enumerate(AHEAD):
        low, high, later = out[:-rows, 0, h, 0], out[:-rows, 0, h, 2], measured[rows:, 0]
        inside.append(float(((low <= later) & (later <= high))[500:].mean()))
    return inside


@pytest.mark.parametrize("spread", [0.6, 1.56, 4.0])
def test_whoever_it_is_four_fifths_fall_inside(spread: float) -> None:
    measured = walk(4000, spread)
    _, out = adaptive.advance(adaptive.begin(PLAN), told(4000), measured, PLAN)

    assert coverage(out, measured) == pytest.approx([0.8, 0.8], abs=0.02)


def test_a_jump_beyond_all_measure_widens_up_to_the_bound_only() -> None:
    measured = np.where(np.arange(2000) % 2, 20, 220).astype(np.float32)[:, None]
    kept, out = adaptive.advance(adaptive.begin(PLAN), told(2000), measured, PLAN)

    assert kept.factor.max() <= adaptive.MOST
    assert out[..., 2].max() <= 60 + 2 * adaptive.MOST


def test_what_was_not_measured_or_not_forecast_changes_nothing() -> None:
    unknown = np.full((300, 1), np.nan, np.float32)
    silent = np.full((300, 1, 2, 3), np.nan, np.float32)
    begin = adaptive.begin(PLAN)

    assert (adaptive.advance(begin, told(300), unknown, PLAN)[0].factor == 1).all()
    assert (adaptive.advance(begin, silent, walk(300, 5), PLAN)[0].factor == 1).all()


def test_what_comes_later_does_not_change_an_interval() -> None:
    measured = walk(200, 3)
    other = measured.copy()
    other[120:] = 200
    _, before = adaptive.advance(adaptive.begin(PLAN), told(200), measured, PLAN)
    _, after = adaptive.advance(adaptive.begin(PLAN), told(200), other, PLAN)

    np.testing.assert_array_equal(before[:120], after[:120])
    assert not np.array_equal(before[120:], after[120:])


def test_row_by_row_and_all_at_once_are_equal_to_the_bit() -> None:
    measured = walk(60, 3)
    measured[::7] = np.nan
    whole, out = adaptive.advance(adaptive.begin(PLAN), told(60), measured, PLAN)
    kept = adaptive.begin(PLAN)
    for row in range(60):
        kept, alone = adaptive.advance(kept, told(1), measured[row : row + 1], PLAN)
        np.testing.assert_array_equal(out[row : row + 1], alone)

    np.testing.assert_array_equal(whole.factor, kept.factor)
    np.testing.assert_array_equal(whole.waiting, kept.waiting)

"""What boosted trees see of a window: a lone one to the bit as among many."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch.lags import CONTEXT, MEANS, lagged

VITALS, AT = 5, 0
WIDTH = 2 * VITALS + len(CONTEXT) + 3


def windows(n: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.normal(0, 9, (n, length, WIDTH)).astype(np.float32)
    return x, rng.normal(70, 9, (n, 20)).astype(np.float32), rng.normal(70, 9, (n, VITALS)).astype(np.float32)


@pytest.mark.parametrize("length", [24, 2, 1, 120])
def test_a_lone_window_is_seen_to_the_bit_as_among_many(length: int) -> None:
    x, person, last = windows(200, length)
    many = lagged(x, person, last, AT)

    for i in range(len(x)):
        own = slice(i, i + 1)
        assert many[own].tobytes() == lagged(x[own], person[own], last[own], AT).tobytes()


def test_means_are_those_of_the_last_rows() -> None:
    x, person, last = windows(1, 24)
    told = lagged(x, person, last, AT)[0]
    beats = told[-8 - 4 * len(MEANS) : -8 : 4]

    np.testing.assert_allclose([x[0, -rows:, AT].mean() for rows in MEANS], beats, rtol=1e-5, atol=1e-5)

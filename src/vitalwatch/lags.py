"""What boosted trees see of a forecaster's window: lags and means of heart rate and activity, clock and usual rates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Floats

CONTEXT = ("steps", "intensity", "sleep")  # channels of a window beside the vitals
OWN = 7  # last columns of `person` that are heart rates: own by context, usual by hour, expected
LAGS = (1, 2, 3, 4, 5, 6, 8, 11, 17, 23)  # rows back
RECENT = (0, 1, 2, 3, 5)
MEANS = (3, 6, 12, 24)  # rows


def lagged(x: Floats, person: Floats, last: Floats, at: int) -> Floats:
    """Return what trees see of windows: lags and means of heart rate and activity, clock, usual rates; (n, k).

    Args:
        x: From `windows`, (n, T, c).
        person: As the model's, own and usual heart rates and the expected one last, (n, s).
        last: From `windows`, (n, v).
        at: Place of the heart rate among the vitals.
    """
    n, length, width = x.shape
    places = _lagged_places(length, width, at)
    flat = x.reshape(n, length * width)
    rate = last[:, at : at + 1]
    own = person[:, -OWN:] - rate
    if n == 1:  # sums of all channels cost no more than finding those that are asked for
        sums = np.add.accumulate(np.add.reduceat(x[0], places.starts, axis=0)[::-1], axis=0)
        mean = sums.take(places.of_sums)
        mean /= places.rows_of_sums
        return np.concatenate((flat.take(places.as_it_is, axis=1), mean[None], own, rate), axis=1)
    stretches = np.add.reduceat(flat.take(places.moving, axis=1).reshape(n, length, -1), places.starts, axis=1)
    means = np.add.accumulate(stretches[:, ::-1], axis=1).take(places.window, axis=1)
    means /= places.rows
    return np.concatenate((flat.take(places.as_it_is, axis=1), means.reshape(n, -1), own, rate), axis=1)


@dataclass(frozen=True)
class _Lagged:
    """Places in a flat window, worked out once.

    Attributes:
        as_it_is: What trees see as it is.
        moving: What they see means of, row by row.
        starts: First rows of the stretches between one window of means and the next, oldest first.
        window: Stretches, newest first, that reach as far back as each window, (w,).
        rows: In each window, (w, 1).
        of_sums, rows_of_sums: Places of the means among sums by stretch and channel, and the rows of each, (4 w,).
    """

    as_it_is: NDArray[np.intp]
    moving: NDArray[np.intp]
    starts: NDArray[np.intp]
    window: NDArray[np.intp]
    rows: Floats
    of_sums: NDArray[np.intp]
    rows_of_sums: Floats


@lru_cache(maxsize=8)
def _lagged_places(length: int, width: int, at: int) -> _Lagged:
    newest, context = length - 1, width - 3 - len(CONTEXT)
    places = [(max(newest - lag, 0), at) for lag in LAGS]
    places += [(max(newest - lag, 0), context + i) for lag in RECENT for i in (0, 1)]
    places += [(max(newest - lag, 0), width - 3) for lag in (0, 1)]  # the turn
    places += [(newest, width - 2), (newest, width - 1)]  # the clock
    moving = np.array((at, context, context + 1, context + 2), np.intp)
    starts = sorted({max(length - rows, 0) for rows in MEANS})
    window = [len(starts) - 1 - starts.index(max(length - rows, 0)) for rows in MEANS]
    return _Lagged(
        as_it_is=np.array([row * width + column for row, column in places], np.intp),
        moving=(np.arange(length)[:, None] * width + moving).ravel(),
        starts=np.array(starts, np.intp),
        window=np.array(window, np.intp),
        rows=np.array(MEANS, np.float32)[:, None],
        of_sums=(np.array(window)[:, None] * width + moving).ravel(),
        rows_of_sums=np.repeat(np.array(MEANS, np.float32), len(moving)),
    )

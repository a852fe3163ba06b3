"""Outputs of models averaged over the last minutes: those of one row are noisy, and an episode lasts longer than a row.

A row that cannot be judged adds nothing. A mean is one fixed line of additions, oldest row first, so that a row is the
same to the bit whether it is asked for alone or in a month.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Bools, Doubles

ONE = np.ones(1)  # a row that was judged
Kept = Doubles  # outputs of the last rows and a 1 where a row was judged, all 0 where it was not: (rows - 1, c + 1)


def begin(rows: int, columns: int) -> Kept:
    """Return what is kept of somebody of whom nothing is known.

    Args:
        rows: How many a mean is taken over, this row among them.
        columns: Outputs of a row, c.
    """
    return np.zeros((rows - 1, columns + 1))


def advance(
    kept: Kept, outputs: NDArray[np.floating], judged: Bools, alone: Sequence[int] = ()
) -> tuple[Kept, Doubles]:
    """Return what is kept next and the mean at each new row, (n, c): 0 where no row of the window was judged.

    Args:
        kept: From `begin` or an earlier call.
        outputs: Of new rows, (n, c).
        judged: Rows that count, (n,).
        alone: Outputs that are not averaged.
    """
    before, n = len(kept), len(outputs)
    both = np.zeros((before + n, kept.shape[1]))
    both[:before] = kept
    new = both[before:]
    np.copyto(new[:, :-1], outputs, where=judged[:, None])
    new[:, -1] = judged
    total = both[:n].copy()
    for shift in range(1, before + 1):
        total += both[shift : shift + n]
    mean = total[:, :-1] / np.maximum(total[:, -1:], 1.0)
    for column in alone:
        mean[:, column] = new[:, column]
    return both[n:].copy(), mean


def advance_one(
    kept: Kept, outputs: Sequence[NDArray[np.floating]], judged: bool, alone: Sequence[int] = ()
) -> tuple[Kept, list[float]]:
    """Return `advance` of one row, whose outputs come in parts: what is kept next, and c plain numbers."""
    row = np.concatenate((*outputs, ONE), dtype=np.float64) if judged else np.zeros(kept.shape[1])
    both = np.concatenate((kept, row[None]))
    *told, count = np.add.reduce(both, axis=0).tolist()
    mean = [value / count for value in told] if count > 1.0 else told
    for column in alone:
        mean[column] = both.item(-1, column)
    return both[1:], mean


def of_people(
    outputs: NDArray[np.floating | np.bool_],
    judged: Bools,
    lengths: Sequence[int],
    rows: int,
    alone: Sequence[int] = (),
) -> Doubles:
    """Return the mean at each row of several people, one after the other, (n, c); 0 where no row was judged.

    Args:
        outputs: (n, c).
        judged: (n,).
        lengths: Rows of each person, n in all.
        rows: How many a mean is taken over.
        alone: Outputs that are not averaged.
    """
    stops = np.cumsum(lengths)[:-1]
    parts = zip(np.split(outputs, stops), np.split(judged, stops), strict=True)
    found = [advance(begin(rows, outputs.shape[1]), mine, known, alone)[1] for mine, known in parts]
    return np.concatenate(found)

"""Sums over windows of the last rows, to the bit the same whether one row is asked for or a month.

A window sum is built from shorter ones (2 rows of 1 and 1, 6 of three 2, 12 of two 6, ...), so that the value at a row
is one fixed expression of the rows in its window, and a new row costs about one addition a window. (Running sums drift;
a plain reduction rounds differently by memory layout.) Every sum begins with the next shorter one, so that all sums of
one row are a single line of additions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Doubles

FEW = 1024  # numbers in tails up to which two copies of all cost less than two more calls


@dataclass(frozen=True)
class Chain:
    """How window sums are built from each other, shortest first.

    Attributes:
        widths: Rows of each window, rising; the first is 1.
        terms: For each width, (which shorter window, where its rows begin in what is kept of it), newest first; the
            first is the next shorter window at this very row.
        keep: For each width, how many of its last sums later rows need: its tail. Tails lie one after the other.
        asked: For each window asked for, its place in `widths`.
        added: Places, among all tails, of what is added to a row, one after the other, to get its sums, (a,).
        sums: Places of the sums asked for in that line of additions, which begins with the row itself.
        newest: Places of each tail's newest sum among all tails, and in the line of additions.
        next: Where each next tail row stands among all tails followed by the line of additions, (sum of keep,).
    """

    widths: tuple[int, ...]
    terms: tuple[tuple[tuple[int, int], ...], ...]
    keep: tuple[int, ...]
    asked: tuple[int, ...]
    added: NDArray[np.intp]
    sums: NDArray[np.intp]
    newest: tuple[NDArray[np.intp], NDArray[np.intp]]
    next: NDArray[np.intp]

    def begin(self, columns: int) -> Doubles:
        """Return the tails of somebody of whom nothing is known: sums of zero."""
        return np.zeros((sum(self.keep), columns))


def chain_of(windows: Sequence[int], least: int = 0) -> Chain:
    """Return how to build sums over `windows` rows; of single rows at least the last `least` are kept."""
    widths = [1]
    for width in sorted(set(windows)):
        while width >= 4 * widths[-1]:  # double on the way, so that no sum has more than a few terms
            widths.append(2 * widths[-1])
        if width > widths[-1]:
            widths.append(width)
    parts = [_split(width, widths[:i]) for i, width in enumerate(widths)]
    shifts = [[shift for part in parts for which, shift in part if which == i] for i in range(len(widths))]
    keep = [max(back, default=0) for back in shifts]
    keep[0] = max(keep[0], least)
    stop = np.cumsum(keep)
    asked = [widths.index(width) for width in windows]
    line = np.cumsum([0, *(len(part) - 1 for part in parts[1:])])  # where each width's sum stands in it
    kept = np.flatnonzero(keep)
    following = np.arange(1, stop[-1] + 1)
    following[stop[kept] - 1] = stop[-1] + line[kept]
    return Chain(
        widths=tuple(widths),
        terms=tuple(tuple((i, keep[i] - shift) for i, shift in part) for part in parts),
        keep=tuple(keep),
        asked=tuple(asked),
        added=np.asarray([stop[i] - shift for part in parts for i, shift in part[1:]], np.intp),
        sums=line[asked],
        newest=(stop[kept] - 1, line[kept]),
        next=following,
    )


def _split(width: int, shorter: Sequence[int]) -> list[tuple[int, int]]:
    """Return which shorter windows make up a window, the longest first, and how many rows each lies back."""
    parts, shift = [], 0
    while shorter and shift < width:
        longest = max(i for i, rows in enumerate(shorter) if rows <= width - shift)
        parts.append((longest, shift))
        shift += shorter[longest]
    return parts


def window_sums(chain: Chain, tails: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    """Return the next tails and, for each window asked for, the sum over its rows, (n, windows, c).

    Args:
        chain: From `chain_of`.
        tails: From `Chain.begin` or an earlier call.
        values: New rows, (n, c), oldest first; rows before the first ever count as zero.
    """
    return _of_one(chain, tails, values) if len(values) == 1 else _of_many(chain, tails, values)


def _of_one(chain: Chain, tails: Doubles, row: Doubles) -> tuple[Doubles, Doubles]:
    line = np.concatenate((row, tails.take(chain.added, axis=0)))
    np.add.accumulate(line, axis=0, out=line)
    if tails.size < FEW:
        following = np.concatenate((tails, line)).take(chain.next, axis=0)
    else:
        following = np.empty_like(tails)
        following[:-1] = tails[1:]
        places, found = chain.newest
        following[places] = line.take(found, axis=0)
    return following, line.take(chain.sums, axis=0)[None]


def _of_many(chain: Chain, tails: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    (n, columns), start = values.shape, 0
    known: list[Doubles] = []  # of each width: what was kept, and the new sums
    following = np.empty_like(tails)
    for width, (parts, keep) in enumerate(zip(chain.terms, chain.keep, strict=True)):
        both = np.empty((keep + n, columns))
        both[:keep] = tails[start : start + keep]
        total = both[keep:]
        if width == 0:
            total[:] = values
        else:
            (i, at), (j, back), *others = parts
            np.add(known[i][at : at + n], known[j][back : back + n], out=total)
            for j, back in others:
                total += known[j][back : back + n]
        following[start : start + keep] = both[n:]
        start += keep
        known.append(both)
    found = np.empty((n, len(chain.asked), columns))
    for place, width in enumerate(chain.asked):
        found[:, place] = known[width][chain.keep[width] :]
    return following, found


def window_lowest(values: Doubles, width: int) -> Doubles:
    """Return the minimum over `width` rows for all rows but the first `width` - 1, (n - width + 1,); by doubling."""
    lowest, reach = values, 1
    while reach < width:
        shift = min(reach, width - reach)
        lowest = np.minimum(lowest[shift:], lowest[:-shift])
        reach += shift
    return lowest

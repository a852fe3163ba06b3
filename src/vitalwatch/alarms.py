"""Scores to alarms: persistence, merging, cutting. Pure functions that only look back.

An alarm is an interval [start, end) in UTC milliseconds. A new row can only extend the newest interval or open a
new one, so keeping the open interval between calls gives the same alarms as one call over everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Bools, Doubles, Times

Interval = tuple[int, int]
Intervals = NDArray[np.int64]  # (k, 2): start, end


def persistent(over: Bools, need: int, of: int) -> Bools:
    """Return the rows that alarm: at least `need` of the last `of` rows (this one included) are over.

    Args:
        over: Rows over the threshold, oldest first, shape (n,).
        need: Rows that must be over, 1 <= need <= of.
        of: How many rows back, this one included. Rows before the first count as not over.
    """
    total: Times = np.concatenate((np.zeros(of, np.int64), np.cumsum(over, dtype=np.int64)))
    return np.asarray(total[of:] - total[: len(over)] >= need, np.bool_)


def persisted(score: NDArray[np.floating], need: int, of: int) -> Doubles:
    """Return the score that a threshold must lie under for a row to alarm: the `need`-th largest of the last `of`.

    `persistent(score > x, need, of)` equals `persisted(score, need, of) > x` for every x; NaN is never over.

    Args:
        score: Oldest first, shape (n,).
        need: Rows that must be over, 1 <= need <= of.
        of: How many rows back, this one included.
    """
    known = np.where(np.isnan(score), -np.inf, score).astype(np.float64)
    if not len(known):
        return known
    padded = np.concatenate((np.full(of - 1, -np.inf), known))
    falling = [padded[k : k + len(known)] for k in range(of)]
    for placed in range(need):  # bubble the largest of each row's window to the front; faster than sorting rows
        for k in range(of - 1, placed, -1):
            a, b = falling[k - 1], falling[k]
            falling[k - 1], falling[k] = np.maximum(a, b), np.minimum(a, b)
    return falling[need - 1]


def runs(mask: Bools, time_ms: Times, step_ms: int) -> Intervals:
    """Return the stretches of True as intervals, shape (k, 2); a row covers [time, time + step).

    Two rows that are not one step apart (a gap in the grid) do not belong to one stretch.
    """
    at = np.flatnonzero(mask)
    if not len(at):
        return np.empty((0, 2), np.int64)
    times = np.asarray(time_ms, np.int64)[at]
    breaks = np.flatnonzero(np.diff(times) > step_ms)
    first = np.concatenate(([0], breaks + 1))
    last = np.concatenate((breaks, [len(at) - 1]))
    return np.stack((times[first], times[last] + step_ms), axis=1)


def intervals(mask: Bools, time_ms: Times, step_ms: int) -> list[Interval]:
    """Return `runs` as a list of (start, end), UTC milliseconds."""
    return _listed(runs(mask, time_ms, step_ms))


def merge(spans: Intervals, merge_ms: int) -> Intervals:
    """Join intervals whose gap is at most `merge_ms`; `spans` is sorted by start, shape (k, 2)."""
    if not len(spans):
        return spans
    ends = np.maximum.accumulate(spans[:, 1])
    opens = np.concatenate(([True], spans[1:, 0] - ends[:-1] > merge_ms))
    first = np.flatnonzero(opens)
    last = np.concatenate((first[1:], [len(spans)])) - 1
    return np.stack((spans[first, 0], ends[last]), axis=1)


def cut(spans: Intervals, cut_ms: int) -> Intervals:
    """Cut intervals into pieces of at most `cut_ms`, counted from each start."""
    pieces = np.maximum(-(-(spans[:, 1] - spans[:, 0]) // cut_ms), 1)
    owner = np.repeat(np.arange(len(spans)), pieces)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = spans[owner, 0] + number * cut_ms
    return np.stack((start, np.minimum(start + cut_ms, spans[owner, 1])), axis=1)


def merge_and_cut(found: Sequence[Interval] | Intervals, merge_ms: int, cut_ms: int) -> list[Interval]:
    """Join alarms whose gap is at most `merge_ms`, then cut them into pieces of at most `cut_ms`.

    Doing it twice changes nothing. A piece may begin inside a gap that was merged.

    Args:
        found: Intervals in any order, UTC milliseconds.
        merge_ms: Longest gap that is closed.
        cut_ms: Longest piece; an alarm that lasts raises its hand again after this.
    """
    return _listed(pieces(found, merge_ms, cut_ms))


def pieces(found: Sequence[Interval] | Intervals, merge_ms: int, cut_ms: int) -> Intervals:
    """Return `merge_and_cut` as an array, shape (k, 2)."""
    spans = np.asarray(found, np.int64).reshape(-1, 2)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    return cut(merge(spans, merge_ms), cut_ms)


def _listed(spans: Intervals) -> list[Interval]:
    return [(int(start), int(end)) for start, end in spans]

"""Simple forecasts of one vital: each returns a value for time t + h, shape (n,), from rows up to t only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitalwatch.tables import DAY, MINUTE, Doubles, Floats, Grid, Times

LAGS = (0, 5, 10, 15, 30, 60)  # minutes
MEANS = (15, 60, 180)  # minutes
RIDGE = 1.0  # penalty, in rows, on standardised inputs


def at(grid: Grid, values: Floats, time: Times) -> Floats:
    """Return the values at given times, NaN where the grid has no such row; shape as `time`."""
    if not len(grid):
        return np.full(len(time), np.nan, np.float32)
    index = np.minimum(np.searchsorted(grid.time, time), len(grid) - 1)
    return np.where(grid.time[index] == time, values[index], np.nan).astype(np.float32)


def measured(grid: Grid, vital: str) -> Floats:
    """Return a vital where it was measured at that very step (not carried forward), else NaN; shape (n,)."""
    values = grid.column(vital)
    which = grid.names.index(vital)
    if which >= grid.filled.shape[1]:
        return values
    return np.where(grid.filled[:, which], np.nan, values).astype(np.float32)


def target(grid: Grid, vital: str, horizon: int) -> Floats:
    """Return what was measured `horizon` minutes later, NaN where nothing was; shape (n,)."""
    return at(grid, measured(grid, vital), grid.time + horizon * MINUTE)


def persistence(grid: Grid, vital: str) -> Floats:
    """Return the last value: measured now, or carried forward as far as cleaning allows."""
    return grid.column(vital)


def seasonal(grid: Grid, vital: str, horizon: int) -> Floats:
    """Return the value 24 h before t + h; where there is none, the last value."""
    return _or_last(at(grid, grid.column(vital), grid.time + horizon * MINUTE - DAY), grid, vital)


def hour_mean(grid: Grid, vital: str, horizon: int) -> Floats:
    """Return the person's own mean in the local hour of t + h over the days before t's; else the last value."""
    values = grid.column(vital).astype(np.float64)
    if not len(values):
        return grid.column(vital)
    day = np.maximum.accumulate(grid.date)
    day = day - day[0]
    hour = grid.minute.astype(np.int64) // 60
    known = np.isfinite(values)
    shape = (int(day[-1]) + 1, 24)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (day[known], hour[known]), values[known])
    np.add.at(count, (day[known], hour[known]), 1)
    past_total, past_count = np.cumsum(total, axis=0) - total, np.cumsum(count, axis=0) - count  # days before
    later = ((grid.minute.astype(np.int64) + horizon) % 1440) // 60
    rows = past_count[day, later]
    mean = np.divide(past_total[day, later], rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return _or_last(mean.astype(np.float32), grid, vital)


def _or_last(told: Floats, grid: Grid, vital: str) -> Floats:
    return np.where(np.isfinite(told), told, grid.column(vital)).astype(np.float32)


def design(grid: Grid, vital: str, step_minutes: int) -> Doubles:
    """Return the ridge's inputs: lags, trailing means, clock, 1; missing lags take the present value; shape (n, k)."""
    now = grid.column(vital).astype(np.float64)
    columns = [now]
    for lag in LAGS[1:]:
        rows = max(lag // step_minutes, 1)
        columns.append(np.concatenate((np.full(min(rows, len(now)), np.nan), now[: max(len(now) - rows, 0)])))
    columns += [_trailing_mean(now, max(mean // step_minutes, 1)) for mean in MEANS]
    columns = [np.where(np.isfinite(column), column, now) for column in columns]
    angle = 2 * np.pi * grid.minute / 1440
    clock = [f(k * angle) for k in (1, 2) for f in (np.sin, np.cos)]
    return np.stack([*columns, *clock, np.ones(len(now))], axis=1)


def _trailing_mean(values: Doubles, rows: int) -> Doubles:
    known = np.isfinite(values)
    total = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    count = np.concatenate(([0], np.cumsum(known)))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - rows, 0)
    rows_known = count[end] - count[start]
    return np.divide(total[end] - total[start], rows_known, out=np.full(len(values), np.nan), where=rows_known > 0)


class Ridge:
    """Least squares with a small penalty for several horizons at once, from sums that people add to."""

    def __init__(self, inputs: int, horizons: int) -> None:
        self.gram = np.zeros((horizons, inputs, inputs))
        self.cross = np.zeros((horizons, inputs))

    def add(self, x: Doubles, y: Sequence[Floats]) -> None:
        """Add one person's rows: inputs (n, k) and one target (n,) a horizon; rows with NaN are left out."""
        usable = np.isfinite(x).all(axis=1)
        for i, wanted in enumerate(y):
            keep = usable & np.isfinite(wanted)
            rows = x[keep]
            self.gram[i] += rows.T @ rows
            self.cross[i] += rows.T @ wanted[keep].astype(np.float64)

    def coefficients(self) -> Doubles:
        """Return one row of coefficients a horizon, shape (h, k); zeros where nothing was added."""
        scale = np.maximum(np.sqrt(np.diagonal(self.gram, axis1=1, axis2=2)), 1e-12)  # (h, k)
        gram = self.gram / (scale[:, :, None] * scale[:, None, :])
        rows = np.maximum(self.gram[:, -1, -1], 1.0)  # the last input is 1, so its square counts rows
        penalty = np.eye(gram.shape[1])[None] * (RIDGE / rows)[:, None, None]
        return np.linalg.solve(gram + penalty, (self.cross / scale)[:, :, None])[:, :, 0] / scale

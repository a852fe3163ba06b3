"""Simple forecasts of one vital: each returns a value for time t + h, shape (n,), from rows up to t only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitalwatch.tables import DAY, MINUTE, Bools, Doubles, Floats, Grid, Times

LAGS = (0, 5, 10, 15, 30, 60)  # minutes
MEANS = (15, 60, 180)  # minutes
RIDGE = 0.01  # penalty, in rows, on centred and standardised inputs: lags are nearly equal and must stay apart


def at(grid: Grid, values: Floats, time: Times) -> Floats:
    """Return the values at given times, NaN where the grid has no such row; shape as `time`."""
    if not len(grid):
        return np.full(len(time), np.nan, np.float32)
    steps = np.diff(grid.time)
    if len(steps) and (steps == steps[0]).all():  # no row is left out, so a row's number is its distance
        index = np.clip((time - grid.time[0]) // steps[0], 0, len(grid) - 1)
    else:
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


def ends_within(grid: Grid, rows: Bools, horizon: int) -> Bools:
    """Return the rows whose t + h is itself a row to learn from; those rows are one stretch from the start."""
    limit = grid.time[rows].max(initial=-(2**62))
    return np.asarray(grid.time + horizon * MINUTE <= limit, np.bool_)


def persistence(grid: Grid, vital: str) -> Floats:
    """Return the last value: measured now, or carried forward as far as cleaning allows."""
    return grid.column(vital)


def seasonal(grid: Grid, vital: str, horizon: int) -> Floats:
    """Return the value 24 h before t + h; where there is none, the last value."""
    return _or_last(at(grid, grid.column(vital), grid.time + horizon * MINUTE - DAY), grid, vital)


def hour_table(grid: Grid, vital: str) -> Doubles:
    """Return the person's own mean in each local hour over the days before each day, NaN without; shape (days, 24)."""
    values = grid.column(vital).astype(np.float64)
    known = np.isfinite(values)
    day = _day(grid)
    cells, cell = 24 * (int(day[-1]) + 1), (24 * day + grid.minute // 60)[known]
    total = np.bincount(cell, values[known], cells).reshape(-1, 24)
    count = np.bincount(cell, minlength=cells).reshape(-1, 24)
    past_total, past_count = np.cumsum(total, axis=0) - total, np.cumsum(count, axis=0) - count
    return np.divide(past_total, past_count, out=np.full(total.shape, np.nan), where=past_count > 0)


def hour_mean(grid: Grid, vital: str, horizon: int, table: Doubles) -> Floats:
    """Return the person's own mean in the local hour of t + h over the days before t's; else the last value.

    Args:
        grid: At least one row.
        vital: Which.
        horizon: h, minutes.
        table: From `hour_table`.
    """
    later = ((grid.minute.astype(np.int64) + horizon) % 1440) // 60
    return _or_last(table[_day(grid), later].astype(np.float32), grid, vital)


def _day(grid: Grid) -> Times:
    day: Times = np.maximum.accumulate(grid.date)  # a journey west must not reopen a day
    return day - day[0]


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


def newest(grid: Grid, vital: str) -> Floats:
    """Return the last reading of each step, its mean where no reading is told apart, (n,); heart rate only."""
    last, now = grid.column(f"{vital}_last"), grid.column(vital)
    return np.where(np.isfinite(last), last, now).astype(np.float32)


def design_with_newest(grid: Grid, vital: str, step_minutes: int) -> Doubles:
    """Return the ridge's inputs with the last reading of each step before them, (n, k + 1)."""
    return np.concatenate((newest(grid, vital)[:, None], design(grid, vital, step_minutes)), axis=1)


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
        """Return one row of coefficients a horizon, the constant last, shape (h, k); zeros where nothing was added."""
        return np.stack([self._solve(gram, cross) for gram, cross in zip(self.gram, self.cross, strict=True)])

    @staticmethod
    def _solve(gram: Doubles, cross: Doubles) -> Doubles:
        rows = gram[-1, -1]  # the last input is 1, so its square counts rows, and its products are sums
        if rows < 2:
            return np.zeros(len(cross))
        mean, mean_y = gram[:-1, -1] / rows, cross[-1] / rows
        spread = gram[:-1, :-1] / rows - np.outer(mean, mean)
        scale = np.sqrt(np.maximum(np.diagonal(spread), 1e-12))
        standard = spread / np.outer(scale, scale) + RIDGE / rows * np.eye(len(mean))
        slope = np.linalg.solve(standard, (cross[:-1] / rows - mean * mean_y) / scale) / scale
        return np.append(slope, mean_y - mean @ slope)

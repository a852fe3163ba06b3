"""Grid -> inputs, targets and answers of the forecaster; the same code in training and in serving, numpy only.

A window looks back `forecaster.history` from its end row and no further; rows before the first one are missing.
Everything is gathered and computed row by row with exact elementwise arithmetic, so that a window is equal to the bit
whether it is asked for alone or among thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vitalwatch import adaptive
from vitalwatch.lags import CONTEXT, lagged
from vitalwatch.params import Forecaster
from vitalwatch.records import record
from vitalwatch.runtime import Model
from vitalwatch.schema import Schema, minutes
from vitalwatch.tables import MINUTE, Doubles, Floats, Grid, Times

TURN = "heart_rate_turn"  # last heart rate of a step minus its mean: where it is heading
TURN_SCALE = 10.0  # bpm that count as one
HALF_STEPS = 60.0  # steps/min at which the steps channel is 0.5: a slow walk
TREES = "forecast_trees.onnx"
QUANTILES = (0.1, 0.5, 0.9)
FOLLOWED = 120 * MINUTE  # one row in so long is forecast for a person's intervals to learn from, where nobody asks
AT_ONCE = 1024  # windows a run of the model: more are slower (caches) and take memory

_NOBODY = np.empty(0, np.intp)
_ANGLE = 2 * np.pi * np.arange(1440) / 1440
CLOCK = np.stack([np.sin(_ANGLE), np.cos(_ANGLE)], axis=1).astype(np.float32)  # by local minute of the day, (1440, 2)


class Runs(Protocol):
    """Whatever answers arrays by name for arrays by name, such as `runtime.Model`."""

    def run(self, **inputs: Floats) -> dict[str, Floats]:
        """Return the outputs by name."""
        ...


def vitals(chosen: Forecaster, schema: Schema) -> tuple[str, ...]:
    """Return the vitals that are forecast: those asked for that the schema has, in the asked order."""
    return tuple(name for name in chosen.vitals if name in schema.vitals)


def horizons(chosen: Forecaster, schema: Schema) -> tuple[int, ...]:
    """Return the minutes ahead that are forecast: rounded to whole steps, none twice, none shorter than a step."""
    return _rounded(chosen.horizons, schema.step_minutes)


def dropped_horizons(chosen: Forecaster, schema: Schema) -> tuple[int, ...]:
    """Return the minutes ahead that cannot be forecast because they are shorter than a grid step."""
    return tuple(horizon for horizon in chosen.horizons if horizon < schema.step_minutes)


def channels(chosen: Forecaster, schema: Schema) -> tuple[str, ...]:
    """Return the names of the last axis of `windows`, c of them."""
    names = vitals(chosen, schema)
    masks = tuple(f"{name}_measured" for name in names)
    return (*names, *masks, *CONTEXT, TURN, "clock_sin", "clock_cos")


def windows(grid: Grid, ends: NDArray[np.intp], chosen: Forecaster, schema: Schema) -> tuple[Floats, Floats]:
    """Return what the forecaster sees at the end of each window.

    Args:
        grid: Rows of one person.
        ends: Row numbers of the windows' last rows, (n,), any order.
        chosen: History and vitals.
        schema: Step and columns.

    Returns:
        x: float32 (n, T, c) in `channels` order, oldest row first. A vital is its difference from `last`, 0 where it is
            missing; its mask is 1 where it was measured in that very step (not carried forward); steps are
            s / (s + 60 a minute), so between 0 and 1; the turn is in tens of bpm; unknown context is 0.
        last: float32 (n, v), the last value of each vital in the window, in its unit; NaN where it has none.
    """
    layout = _layout(chosen, grid.names, schema.vitals, schema.step_minutes)
    v, length, n = len(layout.values), layout.length, len(ends)
    if n == 0:
        return np.zeros((0, length, layout.width), np.float32), np.zeros((0, v), np.float32)
    lowest = int(ends.min())
    first = max(lowest - length + 1, 0)
    rows = ends[:, None] + layout.back - first
    if lowest + 1 < length:
        np.maximum(rows, -1, out=rows)  # the table's last row stands for what was before the first
    return _from_last(_table(grid, first, int(ends.max()) + 1, layout).take(rows, axis=0), layout)


def _from_last(x: Floats, layout: _Layout) -> tuple[Floats, Floats]:
    """Turn the vitals of windows (n, T, c) into differences from their last value, in place; return both."""
    value = x[..., : len(layout.values)]
    unknown = np.isnan(value)
    if np.count_nonzero(unknown[:, -1]):
        newest = layout.length - 1 - unknown[:, ::-1].argmin(axis=1)  # the last row where all are unknown, which is NaN
        last = value[np.arange(len(x))[:, None], newest, layout.order]
    else:
        last = value[:, -1].copy()
    value -= last[:, None]
    np.copyto(value, 0.0, where=unknown)
    return x, last


def _from_last_of_one(rows: Floats, layout: _Layout) -> tuple[Floats, Floats]:
    """Return `_from_last` of one window (T, c): nearly always the last row knows every vital."""
    last = rows[-1] * layout.is_vital
    if np.count_nonzero(last != last):
        return _from_last(rows[None].copy(), layout)
    x = rows - last
    np.copyto(x, 0.0, where=x != x)  # NaN is not equal to itself
    return x[None], last[None, : len(layout.values)]


@dataclass(frozen=True)
class Beside:
    """Lines beside a forecaster: medians are drawn towards them by their share.

    Attributes:
        window: Of a flat window, (T c, v h).
        known: Of what is known of the person and the last values, (s, v h).
        constant: (v h,).
        share: Of the line in each median, 0 to 1, (v, h).
    """

    window: Floats
    known: Floats
    constant: Floats
    share: Floats


@dataclass(frozen=True)
class Blend:
    """Boosted trees beside the LSTM, for the heart rate's medians.

    Attributes:
        trees: Columns of `lagged` -> `value` (n, h), difference from the last value in bpm.
        share: Their share of each horizon's median, 0..1, float32 (h,).
        at: Place of the heart rate among the vitals.
    """

    trees: Runs
    share: Floats
    at: int


def blend_of(files: Mapping[str, bytes], told: Mapping[str, Any], chosen: Forecaster, schema: Schema) -> Blend | None:
    """Return the trees of a bundle's files, None where it has none; `told` is its forecast.json."""
    if TREES not in files:
        return None
    at = vitals(chosen, schema).index("heart_rate")
    return Blend(Model(files[TREES]), np.asarray(told["trees_share"], np.float32), at)


@record
class Tail:
    """What a stream remembers of one person: the last rows, and how wide their own intervals have to be."""

    rows: Floats
    kept: adaptive.Kept


class Stream:
    """A forecaster that is fed row after row: `windows` and `forecast` of a whole grid, whatever the chunks.

    Attributes:
        vitals, horizons: What is forecast: names (v) and minutes (h).
    """

    def __init__(
        self, model: Runs | None, widening: Doubles, chosen: Forecaster, schema: Schema, blend: Blend | None = None
    ) -> None:
        self.vitals, self.horizons = vitals(chosen, schema), horizons(chosen, schema)
        self._model, self._outwards, self._blend = model, _outwards(widening), blend
        rows_ahead = np.array(_rounded(chosen.horizons, schema.step_minutes), np.intp) // schema.step_minutes
        self._adapting = adaptive.Plan.of(len(self.vitals), rows_ahead)
        self._chosen, self._schema = chosen, schema
        self._limits = _possible(chosen, schema)
        self._layout: _Layout | None = None

    def begin(self) -> Tail:
        """Return the tail of somebody of whom nothing is known."""
        return Tail(np.empty((0, 0), np.float32), adaptive.begin(self._adapting))

    def advance(
        self, tail: Tail, grid: Grid, person: Floats, *, ask: bool, follow: bool = False
    ) -> tuple[Tail, Floats]:
        """Return the next tail, and the quantiles at each row of `grid`: float32 (n, v, h, 3), NaN unless asked for.

        A vital that the row does not know, as it was measured too long ago to be carried forward, is not forecast.

        Args:
            tail: From `begin` or an earlier call.
            grid: New rows.
            person: As in `forecast`, (n, s).
            ask: Whether to forecast.
            follow: Whether to forecast one row in FOLLOWED where nobody asks: for intervals to learn from.
        """
        layout, n = self._laid(grid.names), len(grid)
        if n == 1 and ask and self._model is not None:
            return self._advance_one(self._model, tail, grid, person, layout)
        some = self._some(grid.time, ask, follow)
        before = self._before(tail, layout)
        waits = not ask and bool(np.isfinite(tail.kept.waiting).any())
        first = 0 if len(some) or waits else max(n - layout.length, 0)  # nobody looks at the rows before
        new = _row(grid, layout)[0] if n == 1 else _table(grid, first, n, layout)[: n - first]
        rows = np.concatenate((before, new)) if len(before) else new
        following = rows[len(rows) - layout.length + 1 :]
        following = following.copy() if n > layout.length else following  # a month of rows can be forgotten
        told = self._unknown(n)
        if not len(some):
            kept = tail.kept
            if n and waits:  # without forecasts that wait there is nothing to learn
                kept = adaptive.advance(kept, told, self._measured(new), self._adapting, seldom=follow)[0]
            return Tail(following, kept), told
        assert self._model is not None
        x, last = _from_last(rows.take(some[:, None] + layout.window, axis=0), layout)
        found = ahead(self._model, x, person[some], last, self._blend)
        found += new[some, : len(self.vitals), None, None]  # where the row knows a vital, that is `last`
        found += self._outwards
        told[some] = found
        kept, told = adaptive.advance(tail.kept, told, self._measured(new), self._adapting, seldom=not ask)
        return Tail(following, kept), _possibly(told, *self._limits) if ask else self._unknown(n)

    def _advance_one(self, model: Runs, tail: Tail, grid: Grid, person: Floats, layout: _Layout) -> tuple[Tail, Floats]:
        """Return `advance` of one row that is asked for: nothing to choose among rows."""
        before, (new, measured) = self._before(tail, layout), _row(grid, layout)
        rows = np.concatenate((before, new)) if len(before) else new
        x, last = _from_last_of_one(rows, layout)
        told = ahead(model, x, person, last, self._blend)
        told += new[:, : len(self.vitals), None, None]
        told += self._outwards
        kept, told = adaptive.advance(tail.kept, told, measured, self._adapting)
        return Tail(rows[1:], kept), _possibly(told, *self._limits)

    @staticmethod
    def _before(tail: Tail, layout: _Layout) -> Floats:
        """Return the rows before, as they are remembered: of nobody, rows of nothing."""
        return tail.rows if len(tail.rows) or layout.length == 1 else _nothing(layout)

    def _some(self, time: Times, ask: bool, follow: bool) -> NDArray[np.intp]:
        """Return the rows to forecast, of those that start at these times, UTC ms."""
        if self._model is None or not (ask or follow):
            return _NOBODY
        if ask:
            return np.arange(len(time))
        return np.flatnonzero(time % FOLLOWED < self._schema.step_ms)

    def _measured(self, rows: Floats) -> Floats:
        """Return the vitals of new rows, NaN where they were not measured in that very step, (n, v)."""
        v = len(self.vitals)
        return np.where(rows[:, v : 2 * v] > 0, rows[:, :v], np.float32(np.nan))

    def _unknown(self, n: int) -> Floats:
        return np.full((n, len(self.vitals), len(self.horizons), len(QUANTILES)), np.float32(np.nan))

    def _laid(self, names: tuple[str, ...]) -> _Layout:
        if self._layout is None:  # the same for every grid of a schema
            self._layout = _layout(self._chosen, names, self._schema.vitals, self._schema.step_minutes)
        return self._layout


def targets(grid: Grid, ends: NDArray[np.intp], chosen: Forecaster, schema: Schema) -> Floats:
    """Return what was measured at each horizon after each end row: float32 (n, v, h), in each vital's unit.

    NaN where it was not measured in that very step; a value carried forward is no target.
    """
    layout = _layout(chosen, grid.names, schema.vitals, schema.step_minutes)
    rows = ends[:, None] + layout.ahead
    inside = np.minimum(rows, len(grid) - 1)[:, None, :]  # (n, 1, h)
    found = grid.values[inside, layout.values[:, None]]  # (n, v, h)
    found[grid.filled[inside, layout.filled[:, None]]] = np.nan
    return np.where(rows[:, None, :] < len(grid), found, np.float32(np.nan))


def forecast(
    model: Runs,
    widening: Doubles,
    x: Floats,
    person: Floats,
    last: Floats,
    chosen: Forecaster,
    schema: Schema,
    blend: Blend | None = None,
) -> Floats:
    """Return the quantiles 0.1, 0.5, 0.9 of each vital at each horizon, in its unit: float32 (n, v, h, 3).

    Sorted, within what the schema calls possible; NaN for a vital without a value in the window, and for a vital and
    horizon that could not be calibrated.

    Args:
        model: The exported forecaster.
        widening: (v, h) from `models.forecast.conformal`: how far the outer quantiles move outwards, each vital's unit.
        x: From `windows`.
        person: Who it is and what is normal for them, float32 (n, s), NaN where unknown; as in training.
        last: From `windows`.
        chosen: Vitals and horizons.
        schema: Possible values.
        blend: Trees beside it.
    """
    if not len(x):  # onnxruntime's LSTM ends the process when it is given no rows
        return np.empty((0, last.shape[1], *widening.shape[1:], len(QUANTILES)), np.float32)
    return finish(ahead(model, x, person, last, blend), widening, last, chosen, schema)


def ahead(model: Runs, x: Floats, person: Floats, last: Floats, blend: Blend | None) -> Floats:
    """Return the differences from the last value (n, v, h, 3); the quantiles move with their median."""
    known = static(person, last)
    if len(x) <= AT_ONCE:
        told = model.run(x=x, person=known)["quantiles"]
    else:
        parts = (slice(start, start + AT_ONCE) for start in range(0, len(x), AT_ONCE))
        told = np.concatenate([model.run(x=x[part], person=known[part])["quantiles"] for part in parts])
    if blend is not None:
        mine = told[:, blend.at]
        moved = blend.trees.run(x=lagged(x, person, last, blend.at))["value"]
        moved -= mine[..., 1]
        moved *= blend.share
        mine += moved[..., None]
    return told


def static(person: Floats, last: Floats) -> Floats:
    """Return the model's input `person`: what is known of the person and where the vitals stand, (n, s + v)."""
    return np.concatenate((person, last), axis=1, dtype=np.float32)


def finish(told: Floats, widening: Doubles, last: Floats, chosen: Forecaster, schema: Schema) -> Floats:
    """Turn differences from the last value (n, v, h, 3) into widened, sorted, possible values; see `forecast`."""
    return _finish(told, _outwards(widening), last, *_possible(chosen, schema))


def _outwards(widening: Doubles) -> Floats:
    """Return how far each quantile moves, (v, h, 3); NaN where there is no calibration."""
    wide = widening.astype(np.float32)
    return np.stack((-wide, 0 * wide, wide), axis=-1)


def _finish(told: Floats, outwards: Floats, last: Floats, lowest: Floats, highest: Floats) -> Floats:
    out: Floats = told + last[:, :, None, None]
    out += outwards
    flat = out.reshape(-1, len(QUANTILES))
    low, middle, high = flat[:, 0], flat[:, 1], flat[:, 2]
    np.minimum(low, middle, out=low)
    np.maximum(high, middle, out=high)
    return _possibly(out, lowest, highest)


def _possibly(out: Floats, lowest: Floats, highest: Floats) -> Floats:
    np.maximum(out, lowest, out=out)
    return np.minimum(out, highest, out=out)


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, worked out once for a schema and a choice."""

    length: int  # rows of a window
    width: int  # channels
    back: NDArray[np.intp]  # rows of a window relative to its end, oldest first
    window: NDArray[np.intp]  # 0..T-1
    ahead: NDArray[np.intp]  # rows of the targets relative to the end
    values: NDArray[np.intp]  # columns of Grid.values of the vitals
    filled: NDArray[np.intp]  # columns of Grid.filled of the vitals
    order: NDArray[np.intp]  # 0..v-1
    context: NDArray[np.intp]  # columns of Grid.values of CONTEXT and of the last heart rate
    rate: int  # column of Grid.values of the heart rate
    half_steps: float  # steps in one grid step at which the channel is 0.5
    is_vital: NDArray[np.bool_]  # channels that hold a vital, (c,)
    values_at: tuple[int, ...]  # `values`, `filled` and `context` as plain numbers, for one row
    filled_at: tuple[int, ...]
    context_at: tuple[int, ...]


@lru_cache(maxsize=8)
def _layout(chosen: Forecaster, names: tuple[str, ...], known: tuple[str, ...], step: int) -> _Layout:
    used = [name for name in chosen.vitals if name in known]
    width = 2 * len(used) + len(CONTEXT) + 1 + CLOCK.shape[1]
    values, filled = tuple(map(names.index, used)), tuple(map(known.index, used))
    context = tuple(map(names.index, (*CONTEXT, "heart_rate_last")))
    length = max(minutes(chosen.history) // step, 1)
    ahead = _rounded(chosen.horizons, step)
    return _Layout(
        length=length,
        width=width,
        back=np.arange(1 - length, 1),
        window=np.arange(length),
        ahead=np.array(ahead, np.intp) // step,
        values=np.array(values, np.intp),
        filled=np.array(filled, np.intp),
        order=np.arange(len(used)),
        context=np.array(context, np.intp),
        rate=names.index("heart_rate"),
        half_steps=HALF_STEPS * step,
        is_vital=np.arange(width) < len(used),
        values_at=values,
        filled_at=filled,
        context_at=context,
    )


def _possible(chosen: Forecaster, schema: Schema) -> tuple[Floats, Floats]:
    """Return the lowest and the highest possible value of each vital, shape (v, h, 3)."""
    both = np.array([schema.columns[name].possible for name in vitals(chosen, schema)], np.float32).reshape(-1, 2)
    shape = (len(both), len(horizons(chosen, schema)), len(QUANTILES))
    low, high = (np.broadcast_to(side[:, None, None], shape).copy() for side in both.T)
    return low, high


def _rounded(horizons: tuple[int, ...], step: int) -> tuple[int, ...]:
    kept = (int(horizon / step + 0.5) * step for horizon in horizons if horizon >= step)
    return tuple(dict.fromkeys(kept))


def _table(grid: Grid, first: int, stop: int, layout: _Layout) -> Floats:
    """Return the channels of the grid rows first..stop-1, vitals as they are, and a last row of nothing known."""
    v, m = len(layout.values), stop - first
    table = np.zeros((m + 1, layout.width), np.float32)
    rows = table[:m]
    values = grid.values[first:stop]
    rows[:, :v] = values.take(layout.values, axis=1)
    rows[:, v : 2 * v] = np.isfinite(rows[:, :v]) > grid.filled[first:stop].take(layout.filled, axis=1)
    context = values.take(layout.context, axis=1).astype(np.float64)
    context[:, 0] /= context[:, 0] + layout.half_steps
    context[:, -1] -= values[:, layout.rate]
    context[:, -1] /= TURN_SCALE
    context[np.isnan(context)] = 0.0
    rows[:, 2 * v : -2] = context
    rows[:, -2:] = CLOCK.take(grid.minute[first:stop], axis=0)
    table[m, :v] = np.nan
    return table


def _row(grid: Grid, layout: _Layout) -> tuple[Floats, Floats]:
    """Return the channels of a grid of one row, (1, c), as `_table` does, in plain numbers; and its vitals that were
    measured in that very step, NaN for others, (1, v)."""
    row, filled = grid.values[0].tolist(), grid.filled[0].tolist()
    vitals = [row[i] for i in layout.values_at]
    measured = [value == value and not filled[i] for value, i in zip(vitals, layout.filled_at, strict=True)]
    context = [row[i] for i in layout.context_at]
    context[0] /= context[0] + layout.half_steps
    context[-1] = (context[-1] - row[layout.rate]) / TURN_SCALE
    known = [value if value == value else 0.0 for value in context]  # NaN is not equal to itself
    channels = (*vitals, *measured, *known, *CLOCK[grid.minute.item()].tolist())
    fresh = [value if new else nan for value, new in zip(vitals, measured, strict=True)]
    return np.array([channels], np.float32), np.array([fresh], np.float32)


def _nothing(layout: _Layout) -> Floats:
    """Return the rows before the first: nothing is known, (T - 1, c)."""
    rows = np.zeros((layout.length - 1, layout.width), np.float32)
    rows[:, : len(layout.values)] = np.nan
    return rows

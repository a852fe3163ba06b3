"""Days go by: own normal only from days completed before, no person's rows in another's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import small_settings, somebody
from vitalwatch import cleaning, features, residuals
from vitalwatch.moment import activity, moment_rows
from vitalwatch.monitor import Monitor
from vitalwatch.residuals import STATIC, Rows, State
from vitalwatch.tables import MINUTE, Grid


def rows_of(monitor: Monitor, grid: Grid, state: State | None = None) -> tuple[State, Rows]:
    settings = small_settings()
    person = monitor._learnt.usual_person
    state = state or residuals.begin(monitor._learnt.normal)
    return residuals.advance(state, grid, person, monitor._learnt, settings.params.baseline, 5)


@pytest.fixture(scope="module")
def grid() -> Grid:
    settings = small_settings()
    return cleaning.to_grid(somebody(1).readings.rows(slice(0, 1500)), settings.schema, settings.params.cleaning)


def test_a_row_is_judged_by_the_days_before_its_own(tiny_monitor: Monitor, grid: Grid) -> None:
    _, rows = rows_of(tiny_monitor, grid)
    day = grid.date - grid.date[0]

    assert (rows.own_days[day < 2] == 0).all()
    for date in range(2, int(day[-1])):
        of_day = rows.own_days[day == date]
        assert {date - 1} == set(of_day.tolist())


def test_z_is_the_distance_from_own_normal_and_bounded(tiny_monitor: Monitor, grid: Grid) -> None:
    _, rows = rows_of(tiny_monitor, grid)

    assert np.nanmax(np.abs(rows.z)) <= residuals.Z_LIMIT
    assert np.isnan(rows.z[:, 0]).tolist() == (~grid.worn).tolist()


def test_carried_values_are_not_judged_again(tiny_monitor: Monitor, grid: Grid) -> None:
    _, rows = rows_of(tiny_monitor, grid)

    assert np.isnan(rows.z[:, :7][grid.filled]).all()


def test_what_the_forecaster_is_told_of_the_person(tiny_monitor: Monitor, grid: Grid) -> None:
    _, rows = rows_of(tiny_monitor, grid)

    assert (len(grid), len(STATIC)) == rows.static.shape
    assert np.array_equal(rows.expected, rows.static[:, STATIC.index("expected_heart_rate")])
    assert np.isfinite(rows.static).all()


def test_a_clock_set_back_over_midnight_does_not_end_a_day_twice(tiny_monitor: Monitor, grid: Grid) -> None:
    minute = grid.minute.astype(np.int64).copy()
    minute[700:] = (minute[700:] - 600) % 1440
    back = replace(grid, minute=minute.astype(np.int16))
    state, rows = rows_of(tiny_monitor, back)
    dates = [day.date for day in state.days]

    assert sorted(set(dates)) == dates
    assert (np.diff(rows.own_days) >= 0).all()


def test_a_state_can_be_used_twice(tiny_monitor: Monitor, grid: Grid) -> None:
    part = replace(grid, **{name: getattr(grid, name)[:400] for name in FIELDS})
    rest = replace(grid, **{name: getattr(grid, name)[400:] for name in FIELDS})
    state, _ = rows_of(tiny_monitor, part)
    first, second = (rows_of(tiny_monitor, rest, state)[1] for _ in range(2))

    assert np.array_equal(first.features, second.features)


FIELDS = ("time", "minute", "segment", "values", "filled", "artefact")


def test_the_surplus_of_heart_rate_is_what_the_lift_leaves(tiny_monitor: Monitor, grid: Grid) -> None:
    made, context = moment_rows(activity(grid, 5), grid.minute, len(grid), 5)
    lift = np.full(len(grid), 7.0, np.float32)
    signal = residuals.surplus(grid, lift, made, context, tiny_monitor._learnt.normal)

    assert np.array_equal(features.signals(grid)[:, 0] - 7.0, signal[:, 0], equal_nan=True)
    assert int(grid.time[1] - grid.time[0]) == 5 * MINUTE


def test_a_day_told_row_by_row_is_kept_in_few_pieces_and_is_the_same_day(tiny_monitor: Monitor, grid: Grid) -> None:
    whole, _ = rows_of(tiny_monitor, grid)
    state, most = None, 0
    for i in range(len(grid)):
        state, _ = rows_of(tiny_monitor, grid.rows(slice(i, i + 1)), state)
        most = max(most, len(state.today))

    assert residuals.MANY == most
    for a, b in zip(whole.days, state.days, strict=True):
        assert a.centre.tobytes() == b.centre.tobytes()
        assert a.spread.tobytes() == b.spread.tobytes()
    for a, b in zip(zip(*whole.today, strict=True), zip(*state.today, strict=True), strict=True):
        assert np.concatenate(a).tobytes() == np.concatenate(b).tobytes()

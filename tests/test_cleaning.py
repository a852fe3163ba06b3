"""Readings to grid: what is believed, carried, marked, and that no row knows more than its past."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tiny import readings
from vitalwatch.artefacts import ARTEFACTS
from vitalwatch.cleaning import Plan, advance, begin, grid_columns, to_grid
from vitalwatch.settings import Settings
from vitalwatch.tables import MINUTE, Grid, Readings

SEEDED = (Phase.explicit, Phase.reuse, Phase.generate)  # a smaller seed is no simpler life: nothing to shrink
STEP = 5 * MINUTE
NAN = float("nan")
FIELDS = ("time", "minute", "segment", "values", "filled", "artefact")


def clean(settings: Settings, given: Readings) -> Grid:
    return to_grid(given, settings.schema, settings.params.cleaning)


def at(*minutes: float, offset: int = 0, **columns: list[float]) -> Readings:
    """Readings at minutes since 1970."""
    made = readings(offset=offset, **columns)
    return replace(made, time=np.asarray([round(minute * MINUTE) for minute in minutes], np.int64))


def marks(grid: Grid, settings: Settings, vital: str, name: str) -> list[bool]:
    column = grid.artefact[:, settings.schema.vitals.index(vital)]
    return ((column & ARTEFACTS[name]) > 0).tolist()


def test_a_value_is_carried_forward_no_longer_than_its_limit(settings: Settings) -> None:
    grid = clean(settings, at(0, 30, heart_rate=[60, 70]))

    assert [60, 60, 60, 60, NAN, NAN, 70] == pytest.approx(grid.column("heart_rate").tolist(), nan_ok=True)
    assert [False, True, True, True, False, False, False] == grid.filled[:, 0].tolist()


def test_slow_vitals_are_carried_longer(settings: Settings) -> None:
    rows = 25
    temperature = [36.5, *[NAN] * (rows - 1)]
    grid = clean(settings, readings(heart_rate=[60 + i % 3 for i in range(rows)], body_temperature=temperature))

    assert 1 + 90 // 5 == np.isfinite(grid.column("body_temperature")).sum()


def test_nothing_is_interpolated(settings: Settings) -> None:
    grid = clean(settings, at(0, 10, heart_rate=[60, 90]))

    assert [60, 60, 90] == grid.column("heart_rate").tolist()


def test_a_gap_longer_than_the_limit_starts_a_new_segment(settings: Settings) -> None:
    grid = clean(settings, at(0, 5, 60, heart_rate=[60, 61, 62]))

    assert [0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, 1] == grid.segment.tolist()


def test_a_gap_as_long_as_the_limit_does_not(settings: Settings) -> None:
    assert [0, 0, 0, 0] == clean(settings, at(0, 15, heart_rate=[60, 61])).segment.tolist()


def test_nothing_is_carried_over_a_gap(settings: Settings) -> None:
    grid = clean(settings, at(0, 300, heart_rate=[60, NAN], oxygen_saturation=[97, 96]))

    assert np.isnan(grid.column("heart_rate")[-1])


def test_a_week_of_nothing_keeps_one_day_of_rows(settings: Settings) -> None:
    grid = clean(settings, at(0, 7 * 1440, heart_rate=[60, 61]))

    assert 1 + 288 + 1 == len(grid)
    assert [0, 7 * 1440 * MINUTE] == [int(grid.time[0]), int(grid.time[-1])]
    assert [STEP] * 288 == np.diff(grid.time)[1:].tolist()


def test_dense_readings_are_summarised(settings: Settings) -> None:
    grid = clean(
        settings,
        at(
            *[0, 1, 2, 3],
            heart_rate=[60, 70, 80, NAN],
            oxygen_saturation=[97, 95, 99, 98],
            oxygen_saturation_min=[96, NAN, 91, 97],
            steps=[10, 20, NAN, 5],
            intensity=[0.1, 0.5, NAN, 0.3],
            sleep=[1, 0, 0, 0],
        ),
    )
    row = {name: float(grid.column(name)[0]) for name in grid_columns(settings.schema)}

    assert 1 == len(grid)
    assert (70, 60, 80) == (row["heart_rate"], row["heart_rate_min"], row["heart_rate_max"])
    assert 80 == row["heart_rate_last"]  # the last reading has none
    assert np.std([60, 70, 80]) == pytest.approx(row["heart_rate_spread"])
    assert (97.25, 91) == (row["oxygen_saturation"], row["oxygen_saturation_min"])
    assert (35, 4, 0) == (row["steps"], row["count"], row["sleep"])
    assert (0.3, 0.5) == pytest.approx((row["intensity"], row["motion"]))


def test_one_reading_a_step_is_taken_as_it_is(settings: Settings) -> None:
    grid = clean(settings, readings(heart_rate=[61], heart_rate_spread=[2.5], oxygen_saturation=[95], steps=[7]))

    told = ("heart_rate", "heart_rate_min", "heart_rate_max", "heart_rate_last")
    assert [61] * 4 == [grid.column(name)[0] for name in told]
    assert [2.5, 95, 7, 1] == [
        grid.column(name)[0] for name in ("heart_rate_spread", "oxygen_saturation_min", "steps", "count")
    ]


def test_spreads_that_readings_tell_and_the_spread_between_them_add_up_as_variances(settings: Settings) -> None:
    """A device that tells an irregular pulse within each minute must not be believed less for telling it often."""
    grid = clean(settings, at(0, 1, 2, heart_rate=[60, 70, 80], heart_rate_spread=[9, 10, 11]))

    assert np.sqrt(np.mean([81, 100, 121]) + np.var([60, 70, 80])) == pytest.approx(grid.column("heart_rate_spread")[0])


def test_two_readings_that_tell_no_spread_tell_too_little_of_it(settings: Settings) -> None:
    grid = clean(settings, at(0, 1, heart_rate=[60, 70]))

    assert np.isnan(grid.column("heart_rate_spread")[0])


def test_the_same_value_for_an_hour_is_a_stuck_sensor(settings: Settings) -> None:
    grid = clean(settings, readings(heart_rate=[63.0] * 14, respiratory_rate=[14 + i / 10 for i in range(14)]))

    assert [False] * 11 + [True] * 3 == marks(grid, settings, "heart_rate", "flat_line")
    assert not any(marks(grid, settings, "respiratory_rate", "flat_line"))


def test_a_sudden_value_is_not_believed_until_it_is_seen_again(settings: Settings) -> None:
    grid = clean(settings, readings(heart_rate=[60, 61, 150, 62, 63, 150, 151]))

    assert [False, False, True, False, False, True, False] == marks(grid, settings, "heart_rate", "spike")
    assert [60, 61, 61, 62, 63, 63, 151] == grid.column("heart_rate").tolist()


def test_a_sudden_heart_rate_while_walking_is_believed(settings: Settings) -> None:
    grid = clean(settings, readings(heart_rate=[60, 120], steps=[0, 450]))

    assert not any(marks(grid, settings, "heart_rate", "spike"))


def test_bad_light_is_not_believed(settings: Settings) -> None:
    given = readings(heart_rate=[60, 61], body_temperature=[36.5, 36.6], signal_quality=[0.9, 0.1])
    grid = clean(settings, given)

    assert [False, True] == marks(grid, settings, "heart_rate", "low_signal_quality")
    assert [False, False] == marks(grid, settings, "body_temperature", "low_signal_quality")


def test_a_heart_rate_equal_to_the_steps_is_counting_steps(settings: Settings) -> None:
    grid = clean(settings, readings(heart_rate=[80, 110, 111, 112], steps=[0, 550, 550, 550]))

    assert [False, False, True, True] == marks(grid, settings, "heart_rate", "cadence_lock")


def test_a_sensor_as_cold_as_the_room_is_off_the_skin(settings: Settings) -> None:
    grid = clean(settings, readings(body_temperature=[36.5, 31.0]))

    assert [False, True] == marks(grid, settings, "body_temperature", "detached_sensor")


def test_low_saturation_in_doubtful_light_is_low_perfusion(settings: Settings) -> None:
    grid = clean(settings, readings(oxygen_saturation=[97, 88, 96], signal_quality=[0.9, 0.45, 0.45]))

    assert [False, True, False] == marks(grid, settings, "oxygen_saturation", "low_perfusion")


def test_a_marked_value_takes_its_details_with_it(settings: Settings) -> None:
    given = readings(heart_rate=[60, 61], heart_rate_spread=[2, 3], signal_quality=[0.9, 0.1])

    assert [2, NAN] == pytest.approx(clean(settings, given).column("heart_rate_spread").tolist(), nan_ok=True)


def test_local_minutes_follow_the_clock_of_the_traveller(settings: Settings) -> None:
    given = readings(start=600 * MINUTE, heart_rate=[60, 61, 62])
    grid = clean(settings, replace(given, offset=np.asarray([60, 60, -300], np.int16)))

    assert [660, 665, 310] == grid.minute.tolist()


def test_an_hour_recorded_twice_by_the_local_clock_stays_two_hours(settings: Settings) -> None:
    given = readings(heart_rate=[60 + i % 2 for i in range(24)])
    autumn = replace(given, offset=np.asarray([120] * 12 + [60] * 12, np.int16))
    grid = clean(settings, autumn)

    assert 24 == len(grid)
    assert grid.minute[:12].tolist() == grid.minute[12:].tolist()
    assert [STEP] * 23 == np.diff(grid.time).tolist()


def life(seed: int) -> Readings:
    """Readings of all kinds: some dense, gaps, faults."""
    rng = np.random.default_rng(seed)
    n = 160
    gaps = rng.choice([20, 60, 300, 300, 300, 300, 900, 1200, 7200], n)
    gaps[rng.integers(n)] = rng.choice([300, 100_000, 400_000])
    time = np.cumsum(gaps).astype(np.int64) * 1000
    values = {
        "heart_rate": rng.choice([60.0, 60.0, 60.0, 64.0, 110.0, 140.0], n),
        "oxygen_saturation": rng.choice([97.0, 90.0, 70.0], n),
        "respiratory_rate": np.where(np.arange(n) < 60, 14.0, rng.normal(14, 2, n)),
        "body_temperature": rng.choice([36.5, 36.5, 36.6, 30.5], n),
        "blood_pressure_systolic": rng.normal(120, 9, n),
        "steps": rng.choice([0.0, 550.0], n),
        "intensity": rng.random(n),
        "sleep": rng.choice([0.0, 1.0], n),
        "signal_quality": rng.choice([0.95, 0.95, 0.4, 0.1], n),
    }
    told = {name: np.where(rng.random(n) < 0.2, np.nan, column).astype(np.float32) for name, column in values.items()}
    return Readings("a", time, np.repeat(rng.choice([60, -60], 2), n // 2).astype(np.int16), told)


@examples(max_examples=60, deadline=None, phases=SEEDED)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 159), max_size=30))
def test_any_chunks_give_the_same_grid(settings: Settings, seed: int, cuts: list[int]) -> None:
    given, plan = life(seed), Plan.of(settings.schema, settings.params.cleaning)
    whole, state, rows = clean(settings, given), begin("a", settings.schema), {}
    cuts = sorted(cuts) or list(range(1, len(given)))  # no cuts: one by one
    for start, stop in zip([0, *cuts], [*cuts, len(given)], strict=True):
        state, grid = advance(state, given.rows(slice(start, stop)), plan)
        for i, time in enumerate(grid.time.tolist()):
            rows[time] = [getattr(grid, name)[i] for name in FIELDS]

    assert whole.time.tolist() == list(rows)
    for i, name in enumerate(FIELDS):
        together = np.stack([row[i] for row in rows.values()])
        assert np.array_equal(getattr(whole, name), together, equal_nan=name == "values"), name


@examples(max_examples=30, deadline=None, phases=SEEDED)
@given(st.integers(0, 10**6), st.integers(1, 159))
def test_later_readings_change_no_earlier_row(settings: Settings, seed: int, cut: int) -> None:
    given = life(seed)
    head = clean(settings, given.rows(slice(0, cut)))
    settled = len(head) - 1  # the newest step may grow
    whole = clean(settings, given)
    for name in FIELDS:
        assert np.array_equal(getattr(whole, name)[:settled], getattr(head, name)[:settled], equal_nan=name == "values")


def test_no_readings_give_no_rows(settings: Settings) -> None:
    assert 0 == len(clean(settings, readings(heart_rate=[60]).rows(slice(0, 0))))

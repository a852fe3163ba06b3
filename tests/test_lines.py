from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitalwatch.cleaning import grid_columns
from vitalwatch.lines import detection, expected, forecast
from vitalwatch.lines.detection import Watched, detection_lines
from vitalwatch.tables import MINUTE, Grid, Profile

DAY_ROWS = 288
AVERAGED = 3  # rows


def grid(settings, rows: int, **columns: object) -> Grid:
    """A grid from midnight UTC on; columns not named are NaN, none is carried forward."""
    names = grid_columns(settings.schema)
    values = np.full((rows, len(names)), np.nan, np.float32)
    for name, column in columns.items():
        values[:, names.index(name)] = column
    vitals = len(settings.schema.vitals)
    return Grid(
        person="a",
        time=np.arange(rows, dtype=np.int64) * settings.schema.step_ms,
        minute=(np.arange(rows) * settings.schema.step_minutes % 1440).astype(np.int16),
        segment=np.zeros(rows, np.int32),
        names=names,
        values=values,
        filled=np.zeros((rows, vitals), bool),
        artefact=np.zeros((rows, vitals), np.uint8),
    )


def watched(settings, rows: int, **columns: object) -> Watched:
    made = grid(settings, rows, **columns)
    residual = (made.values[:, : len(settings.schema.vitals)] - 60) / 10
    return Watched(made, residual.astype(np.float32), settings.schema)


def lines_of(settings, learn_on: list[Watched]) -> dict:
    return {line.name: line for line in detection_lines(learn_on, np.random.default_rng(1), AVERAGED)}


def rate(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(60, 3, rows).astype(np.float32)


def test_every_line_gives_one_score_a_row_and_nan_where_nothing_was_measured(settings):
    rates = rate(10 * DAY_ROWS)
    rates[100:110] = np.nan
    person = watched(settings, len(rates), heart_rate=rates, steps=0)
    for line in lines_of(settings, [person]).values():
        score = line.score(person)

        assert len(rates) == len(score), line.name
        assert np.isnan(score[100:110]).all(), line.name
        assert np.isfinite(score).any(), line.name


def test_no_line_looks_ahead(settings):
    rates = rate(12 * DAY_ROWS)
    cut = 8 * DAY_ROWS + 100
    changed = rates.copy()
    changed[cut:] += 50
    one, other = (watched(settings, len(rates), heart_rate=values, steps=0) for values in (rates, changed))
    for name, line in lines_of(settings, [one]).items():
        if name == "chance":
            continue

        assert line.score(one)[:cut].tolist() == pytest.approx(line.score(other)[:cut].tolist(), nan_ok=True), name


@pytest.mark.parametrize("name", ["ewma_z_heart_rate", "personal_z_heart_rate", "max_abs_z", "raw_isolation_forest"])
def test_a_fast_heart_scores_higher_than_a_usual_one(settings, name):
    rates = rate(10 * DAY_ROWS)
    rates[9 * DAY_ROWS : 9 * DAY_ROWS + 24] += 60
    person = watched(settings, len(rates), heart_rate=rates)
    score = lines_of(settings, [person])[name].score(person)

    assert score[9 * DAY_ROWS + 12] > np.nanquantile(score[: 9 * DAY_ROWS], 0.99)


def test_scores_in_own_spreads_are_means_of_the_last_rows_that_are_known(settings):
    rates = np.full(12, 60, np.float32)
    rates[[4, 6, 7]] = 90, np.nan, np.nan
    score = lines_of(settings, [])["max_abs_z"].score(watched(settings, 12, heart_rate=rates))

    assert [0, 0, 0, 0, 1, 1] == score[:6].tolist()
    assert np.isnan(score[6:8]).all()
    assert [0] * 4 == score[8:].tolist()


def test_the_largest_deviation_tells_what_a_cuff_measures_as_it_is(settings):
    person = watched(settings, 12, heart_rate=np.full(12, 60, np.float32))
    vitals = list(settings.schema.vitals)
    residual = np.zeros((12, len(vitals)), np.float32)
    residual[6:, vitals.index("blood_pressure_systolic")] = -4.0
    residual[6:, vitals.index("body_temperature")] = 3.0
    score = lines_of(settings, [])["max_abs_z_served"].score(replace(person, residual=residual))

    assert [0.0] * 6 + [4.0] * 6 == score.tolist()
    residual[:, vitals.index("blood_pressure_systolic")] = np.nan
    score = lines_of(settings, [])["max_abs_z_served"].score(replace(person, residual=residual))
    assert (np.diff(score[5:]) >= 0).all()
    assert 0.0 < score[6] < score[11] <= 3.0


def test_fixed_limits_alarm_outside_the_usual_range_only(settings):
    line = lines_of(settings, [])["fixed_limits"]
    score = line.score(watched(settings, 4, heart_rate=[40, 39, 130, 131]))

    assert [False, True, False, True] == (score > line.threshold).tolist()


def test_news2_alarms_from_five(settings):
    line = lines_of(settings, [])["news2"]
    person = watched(
        settings, 3, heart_rate=[70, 115, 135], respiratory_rate=[16, 22, 22], body_temperature=[37, 37, 37]
    )

    assert [0, 4, 5] == line.score(person).tolist()
    assert [False, False, True] == (line.score(person) > line.threshold).tolist()


def test_the_night_line_waits_for_two_high_nights_and_speaks_in_the_morning(settings):
    night_by_day = [60, 60, 60, 60, 65, 60, 66, 66, 60]
    rates = np.repeat(np.array(night_by_day, np.float32), DAY_ROWS)
    person = watched(settings, len(rates), heart_rate=rates, steps=0)
    lines = lines_of(settings, [])
    mornings = {
        name: sorted(set((np.flatnonzero(lines[name].score(person) > lines[name].threshold) // DAY_ROWS).tolist()))
        for name in ("night_rate_yellow", "night_rate_red")
    }

    assert {"night_rate_yellow": [4, 6, 7], "night_rate_red": [7]} == mornings
    assert 7 * 60 == person.grid.minute[np.flatnonzero(np.isfinite(lines["night_rate_red"].score(person)))[0]]


def test_without_people_to_learn_from_there_is_no_forest(settings):
    assert "raw_isolation_forest" not in lines_of(settings, [])


def test_the_target_is_what_was_measured_later_and_never_carried_forward(settings):
    made = grid(settings, 5, heart_rate=[60, 61, 62, 63, 64])
    made.filled[2, 0] = True

    assert [61, None, 63, 64, None] == [None if np.isnan(v) else v for v in forecast.target(made, "heart_rate", 5)]


def test_the_seasonal_line_repeats_yesterday_and_falls_back_to_now(settings):
    made = grid(settings, 2 * DAY_ROWS, heart_rate=np.arange(2 * DAY_ROWS))
    told = forecast.seasonal(made, "heart_rate", 15)

    assert 10.0 == told[10]
    assert 13.0 == told[DAY_ROWS + 10]


def test_the_hour_mean_knows_only_the_days_before(settings):
    rates = np.repeat(np.array([50.0, 70.0, 90.0], np.float32), DAY_ROWS)
    made = grid(settings, len(rates), heart_rate=rates)
    told = forecast.hour_mean(made, "heart_rate", 60, forecast.hour_table(made, "heart_rate"))

    assert [50, 50, 60] == [told[day * DAY_ROWS + 100] for day in range(3)]


def test_values_are_found_by_time_when_rows_are_left_out(settings):
    made = grid(settings, 4, heart_rate=[1, 2, 3, 4])
    made.time[2:] += 3 * settings.schema.step_ms
    step = settings.schema.step_ms

    assert [2, 3] == forecast.at(made, made.column("heart_rate"), np.array([step, 5 * step])).tolist()
    assert np.isnan(forecast.at(made, made.column("heart_rate"), np.array([2 * step, -step, 99 * step]))).all()


def test_the_ridge_finds_a_linear_rule(settings):
    rates = (60 + 10 * np.sin(np.arange(4 * DAY_ROWS) / 40)).astype(np.float32)
    made = grid(settings, len(rates), heart_rate=rates)
    x = forecast.design(made, "heart_rate", settings.schema.step_minutes)
    model = forecast.Ridge(x.shape[1], 1)
    wanted = forecast.target(made, "heart_rate", 30)
    model.add(x, [wanted])
    told = x @ model.coefficients()[0]

    assert np.nanmean(np.abs(told - wanted)) < 0.05 * np.nanmean(np.abs(rates - wanted))


def test_the_design_of_the_ridge_looks_back_only(settings):
    rates = rate(400)
    one = forecast.design(grid(settings, 400, heart_rate=rates), "heart_rate", 5)
    rates[200:] += 40
    other = forecast.design(grid(settings, 400, heart_rate=rates), "heart_rate", 5)

    assert one[:200].tolist() == other[:200].tolist()


def test_the_reserve_formula_goes_from_rest_to_maximum(settings):
    made = grid(settings, 4, intensity=[0, 0.5, 1, np.nan])

    assert [60, 120, 180, 60] == expected.reserve_formula(made, Profile("a", age=40), 60.0).tolist()


def test_resting_and_mean_rate_come_from_the_rows_to_learn_from():
    rates = np.array([50, 60, 70, 200, np.nan], np.float32)
    learn = np.array([True, True, True, False, True])

    assert 60 == expected.person_mean(rates, learn)
    assert 52 == pytest.approx(expected.resting_rate(rates, learn))
    assert np.isnan(expected.person_mean(rates, np.zeros(5, bool)))


def test_the_expected_rates_inputs_hold_no_heart_rate_of_the_row(settings):
    one = expected.design(grid(settings, 10, heart_rate=rate(10), steps=5), Profile("a"), 70.0, 5)
    other = expected.design(grid(settings, 10, heart_rate=rate(10, 2), steps=5), Profile("a"), 70.0, 5)

    assert one.tolist() == other.tolist()


def test_a_line_of_an_empty_grid_is_empty(settings):
    person = watched(settings, 0)

    assert all(0 == len(line.score(person)) for line in lines_of(settings, []).values())
    assert 0 == len(forecast.target(person.grid, "heart_rate", 5))


def test_chance_is_the_same_for_the_same_seed(settings):
    person = watched(settings, 50, heart_rate=60)

    assert (
        lines_of(settings, [])["chance"].score(person).tolist()
        == lines_of(settings, [])["chance"].score(person).tolist()
    )
    assert detection.always_on(person).tolist() == [1.0] * 50
    assert MINUTE * 5 == settings.schema.step_ms

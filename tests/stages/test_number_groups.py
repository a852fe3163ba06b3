"""For whom numbers are worse: by group of people, while a sensor fails; and whether rare p-values are rare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_evaluate import ROOT, person

from vitalwatch import learning
from vitalwatch.baseline import CONTEXTS
from vitalwatch.drawing import Picture
from vitalwatch.metrics.bootstrap import weights
from vitalwatch.monitor import Monitor
from vitalwatch.reliability import p_values as drawn
from vitalwatch.reliability import tenths
from vitalwatch.settings import Settings, load_settings
from vitalwatch.stages import number_tables, p_values
from vitalwatch.stages.judging import PersonResult
from vitalwatch.stages.number_groups import by_group, errors, groups_of, in_fault
from vitalwatch.tables import DAY

PEOPLE = 4


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(ROOT, environment="base", overrides=["schema.step=10min", "evaluation.draws=60"])


@pytest.fixture(scope="module")
def results(settings: Settings) -> list[PersonResult]:
    return [person(settings, i) for i in range(PEOPLE)]


def test_a_group_has_the_errors_of_its_own_people():
    sums = np.zeros((4, 5))
    sums[:, 0], sums[:, 1] = 10, [10, 10, 30, 30]  # rows, absolute errors
    line = sums * np.asarray([1, 2, 1, 1, 1])
    figures = errors(sums, line, weights(4, 50, np.random.default_rng(1)), 0.95)
    first = figures(np.asarray([True, True, False, False]))

    assert (20, 1.0) == (first["rows"], first["mae"]["value"])
    assert 3.0 == figures(np.asarray([False, False, True, True]))["mae"]["value"]
    assert 0.5 == first["skill"]["value"]
    assert "coverage" not in first


def test_people_are_grouped_by_what_is_told_and_by_how_much_they_walk(results: list[PersonResult]):
    told = groups_of(results[0])
    counted = by_group(results, lambda people: {"rows": int(people.sum())})

    assert {"sex": "male", "age": "under 40", "beta_blocker": "not told"}.items() <= told.items()
    assert told["steps_a_day"].endswith("and more")
    assert all(PEOPLE == sum(row["people"] for row in values.values()) for values in counted.values())
    assert "not told" == groups_of(without_steps(results[0]))["steps_a_day"]


def without_steps(result: PersonResult) -> PersonResult:
    grid = result.answers.grid
    values = grid.values.copy()
    values[:, grid.names.index("steps")] = np.nan
    return replace(result, answers=replace(result.answers, grid=replace(grid, values=values)))


def test_rows_in_which_a_sensor_fails_are_those_written_down(results: list[PersonResult]):
    found = in_fault(results[0])
    assert found is not None
    time = results[0].answers.time

    assert ((time >= 8 * DAY) & (time < 9 * DAY) == found).all()
    assert in_fault(replace(results[0], bookkeeping=None)) is None


def test_tables_of_numbers_tell_groups_at_the_longest_horizon_and_while_a_sensor_fails(
    results: list[PersonResult], settings: Settings
):
    rng = np.random.default_rng(1)
    forecast = number_tables.forecasts(results, [], settings, rng)["vitals"]["heart_rate"]
    expected = number_tables.expected_heart_rate(results, [], settings, rng)["all"]

    assert "by_group" not in forecast["10"]
    assert {"sex", "age", "beta_blocker", "steps_a_day", "sensor"} == set(forecast["60"]["by_group"])
    assert forecast["60"]["rows"] == sum(row["rows"] for row in forecast["60"]["by_group"]["sex"].values())
    faulty = forecast["60"]["by_group"]["sensor"]
    assert forecast["60"]["rows"] == faulty["fault"]["rows"] + faulty["no_fault"]["rows"]
    assert {"sex", "age", "beta_blocker", "steps_a_day"} == set(expected["by_group"])


def test_the_last_reading_is_a_line_of_its_own_where_a_step_has_one(results: list[PersonResult], settings: Settings):
    grid = results[0].answers.grid
    values = grid.values.copy()
    values[:, grid.names.index("heart_rate_last")] = values[:, grid.names.index("heart_rate")] + 3
    moved = replace(results[0], answers=replace(results[0].answers, grid=replace(grid, values=values)))
    found = number_tables.forecasts([moved], [], settings, np.random.default_rng(1))["vitals"]["heart_rate"]["10"]

    assert found["lines"]["last_reading"]["mae"] != found["lines"]["persistence"]["mae"]
    assert found["lines"]["ridge_last_reading"]["mae"]["value"] <= found["lines"]["ridge"]["mae"]["value"] + 1e-6


def with_p(result: PersonResult, p: Any) -> PersonResult:
    rows = len(result.answers)
    drawn_p = np.random.default_rng(3).random(rows).astype(np.float32) ** p
    own = np.ones((rows, 2), np.float32)
    return replace(result, answers=replace(result.answers, p_value=drawn_p, own_level=own))


@pytest.mark.parametrize(("power", "came"), [(1.0, 0.1), (2.0, 0.316)])
def test_p_values_that_are_uniform_come_as_often_as_told_and_small_ones_too_often(
    results: list[PersonResult], settings: Settings, tiny_monitor: Monitor, power: float, came: float
):
    told = p_values.tables([with_p(one, power) for one in results], tiny_monitor, settings, np.random.default_rng(1))
    (tenth,) = [row["came"] for row in told["served"] if row["told"] == 0.1]

    assert came == pytest.approx(tenth["value"], abs=0.03)
    assert tenth["low"] <= tenth["value"] <= tenth["high"]
    assert [row["told"] for row in told["unusual"]] == list(p_values.TOLD)
    picture = drawn(told)
    assert isinstance(picture, Picture)
    assert "as served" in str(picture)


def test_p_values_are_told_by_context_and_contexts_share_the_rows(
    results: list[PersonResult], settings: Settings, tiny_monitor: Monitor
):
    uniform = [with_p(one, 1.0) for one in results]
    at_rest = [small_where(one, 0.0) for one in uniform]
    told = p_values.tables(uniform, tiny_monitor, settings, np.random.default_rng(1))
    louder = p_values.tables(at_rest, tiny_monitor, settings, np.random.default_rng(1))["by_context"]
    tenth = {name: found["served"][-1]["came"]["value"] for name, found in told["by_context"].items()}

    assert ["asleep", "at rest", "active"] == list(told["by_context"])
    assert told["rows"] == sum(found["rows"] for found in told["by_context"].values())
    assert all(came == pytest.approx(0.1, abs=0.05) for came in tenth.values())
    assert louder["at rest"]["served"][-1]["came"]["value"] == 1.0
    assert louder["asleep"]["served"][-1]["came"] == told["by_context"]["asleep"]["served"][-1]["came"]


def small_where(result: PersonResult, p: float) -> PersonResult:
    """The same person with p-values of `p` wherever they are at rest."""
    context = learning.moments_of(result.answers.grid, 10)[1]
    value = np.where(context == CONTEXTS.index("at rest"), np.float32(p), result.answers.p_value)
    return replace(result, answers=replace(result.answers, p_value=value))


def test_rows_of_episodes_are_no_normal_rows(results: list[PersonResult], settings: Settings, tiny_monitor: Monitor):
    some = [with_p(one, 1.0) for one in results]
    everything = [replace(one, events=()) for one in some]
    counts = [
        p_values.tables(people, tiny_monitor, settings, np.random.default_rng(1))["rows"]
        for people in (some, everything)
    ]

    assert counts[0] < counts[1]
    assert "no normal rows" in p_values.tables([], tiny_monitor, settings, np.random.default_rng(1))["not_assessable"]


def test_risks_are_drawn_against_what_came_and_tenths_without_any_are_left_out():
    rows = [
        {"told": told, "true": {"value": came, "low": came / 2, "high": came * 2}}
        for told, came in ((0.001, 0.0), (0.01, 0.02), (0.1, 0.09))
    ]
    picture = tenths({"question": "sepsis", "variants": {name: {"reliability": rows} for name in ("vitals", "care")}})

    assert picture is not None
    assert "0.01 came 0.02" in str(picture)
    assert "0.001 came" not in str(picture)
    nothing = {"question": "sepsis", "variants": {name: {"reliability": rows[:1]} for name in ("vitals", "care")}}
    assert tenths(nothing) is None

"""What LSTM, line and trees say alone of the heart rate adds up to what is served; the report tells who is better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tiny import small_settings, somebody
from vitalwatch import bundle, cleaning, sequences
from vitalwatch.bundle import Bundle
from vitalwatch.monitor import Monitor
from vitalwatch.number_sections import forecasts
from vitalwatch.residuals import STATIC
from vitalwatch.runtime import Model
from vitalwatch.stages import forecast_parts
from vitalwatch.stages.forecast_parts import Parts
from vitalwatch.stages.judging import PersonResult
from vitalwatch.stages.people import enrolled_until
from vitalwatch.wording import Note, Table

SETTINGS = small_settings()
CHOSEN, SCHEMA = SETTINGS.params.forecaster, SETTINGS.schema


@pytest.fixture(scope="module")
def models(tiny_bundle: tuple[Path, Path]) -> Bundle:
    return bundle.load(tiny_bundle[0], [tiny_bundle[1]])


@pytest.fixture(scope="module")
def results(tiny_monitor: Monitor) -> list[PersonResult]:
    return [result(tiny_monitor, index) for index in (20, 21)]


def result(monitor: Monitor, index: int) -> PersonResult:
    made = somebody(index)
    answers = monitor.answer(made.readings, made.profile)
    until = enrolled_until(answers.grid, SETTINGS.params.baseline.enrolment_days)
    return PersonResult(made.profile.person, made.profile, made.events, (), "test", answers, until)


def test_parts_joined_by_their_shares_are_the_forecast_of_the_bundle(models: Bundle):
    grid = cleaning.to_grid(somebody(20).readings, SCHEMA, SETTINGS.params.cleaning)
    ends = np.arange(400, 900, 50)
    x, last = sequences.windows(grid, ends, CHOSEN, SCHEMA)
    person = np.random.default_rng(1).normal(60, 5, (len(ends), len(STATIC))).astype(np.float32)
    parts = Parts.of(models.files, last.shape[1], 4, 0)
    told = parts.ahead(x, person, last)
    blend = sequences.blend_of(models.files, json.loads(models.files["forecast.json"]), CHOSEN, SCHEMA)
    served = sequences.ahead(Model(models.files["forecast.onnx"]), x, person, last, blend)[:, 0, :, 1]

    assert parts.line_share is not None
    assert parts.trees_share is not None
    both = told["lstm"] + parts.line_share * (told["line"] - told["lstm"])
    np.testing.assert_allclose(served, both + parts.trees_share * (told["trees"] - both), atol=1e-3)
    assert not np.allclose(told["lstm"], told["line"])


def test_every_part_is_judged_on_the_same_rows_beside_what_is_served(
    models: Bundle, results: list[PersonResult], tiny_monitor: Monitor
):
    told = forecast_parts.tables(results, models.files, tiny_monitor, SETTINGS, np.random.default_rng(1))
    hour = told["horizons"]["60"]
    judged = [one.answers.time >= one.enrolled_until for one in results]

    assert ["5", "15", "30", "60"] == list(told["horizons"])
    assert {"lstm", "line", "trees", "served", "persistence"} <= set(hour)
    assert 0 < hour["rows"] <= sum(rows.sum() for rows in judged) / forecast_parts.EVERY + len(results)
    assert hour["trees_against_lstm"]["value"] == pytest.approx(hour["trees"]["value"] - hour["lstm"]["value"])
    assert hour["served"]["value"] < hour["lstm"]["value"]  # whose weights were drawn by chance


def test_without_a_forecast_or_anybody_to_judge_there_are_no_parts(
    models: Bundle, results: list[PersonResult], tiny_monitor: Monitor
):
    rng = np.random.default_rng(1)

    assert "not_assessable" in forecast_parts.tables([], models.files, tiny_monitor, SETTINGS, rng)
    assert "not_assessable" in forecast_parts.tables(results, {}, tiny_monitor, SETTINGS, rng)


def a_row(against_lstm: float, against_trees: float) -> dict[str, object]:
    def table(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.05, "high": value + 0.05}

    alone = {name: table(5.0) for name in ("lstm", "line", "trees", "served", "persistence")}
    return {**alone, "trees_against_lstm": table(against_lstm), "served_against_trees": table(against_trees)}


def test_the_report_says_at_which_horizons_boosting_beats_the_lstm_and_the_blend_beats_boosting():
    parts = {"every": 12, "horizons": {"5": a_row(-0.2, -0.01), "60": a_row(0.1, -0.3)}}
    blocks = list(forecasts({"people": 2, "nominal_coverage": 0.8, "vitals": {}, "parts": parts}, {}))
    (said,) = [one.text for one in blocks if isinstance(one, Note) and "blended of" in one.text]
    (table,) = [one for one in blocks if isinstance(one, Table) and "each part" in one.caption]

    assert "beat the LSTM alone beyond chance 5 minutes ahead" in said
    assert "beats the trees alone beyond chance 60 minutes ahead" in said
    assert 2 == len(table.rows)
    assert "LSTM alone" in table.head

"""schema.yaml is held to its types: units, limits, roles, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from vitalwatch.schema import Schema, minutes

SHIPPED = yaml.safe_load((Path(__file__).parent.parent / "schema.yaml").read_text(encoding="utf-8"))


def schema_with(*keys: str, value: Any) -> Schema:
    """Return the shipped schema with the value at `keys` replaced."""
    data = yaml.safe_load(yaml.safe_dump(SHIPPED))
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return Schema.model_validate(data)


RATE = ("columns", "heart_rate")


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("version",), 2, "version"),
        (("step",), "7min", "divide a day"),
        (("step",), "2h", "1min to 60min"),
        (("step",), 5, "a duration"),
        ((*RATE, "possible"), [250, 20], "below the upper"),
        ((*RATE, "possible"), [20], "possible"),
        ((*RATE, "possible"), "20-250", "possible"),
        ((*RATE, "usual"), [40, "fast"], "usual"),
        ((*RATE, "role"), "float64", "role"),
        ((*RATE, "no_value"), ["none"], "no_value"),
        ((*RATE, "suspect"), {"kPa": [3, 1, 2]}, "suspect"),
        ((*RATE, "whole"), "maybe", "whole"),
        ((*RATE, "posible"), [20, 250], "posible"),
        (("columns",), {}, "columns"),
        (("pairs",), [["blood_pressure_diastolic", "pulse"]], "must both be columns"),
        (("profile", "age", "possible"), [120, "old"], "possible"),
        (("profile", "name"), {"unit": "1"}, "name"),
        (("events", "kinds"), "fever", "kinds"),
    ],
)
def test_what_does_not_fit_its_type_is_refused_by_name(keys, value, told):
    with pytest.raises(ValidationError, match=told):
        schema_with(*keys, value=value)


def test_heart_rate_must_be_measured():
    columns = {name: column for name, column in SHIPPED["columns"].items() if name != "heart_rate"}

    with pytest.raises(ValidationError, match="heart_rate must be among"):
        schema_with("columns", value=columns)


def test_a_missing_part_is_refused():
    for part in ("version", "step", "person", "columns", "profile", "events"):
        with pytest.raises(ValidationError, match=part):
            Schema.model_validate({name: value for name, value in SHIPPED.items() if name != part})


def test_the_schema_cannot_be_changed_once_read(settings):
    with pytest.raises(ValidationError, match="frozen"):
        settings.schema.step = "1min"


@pytest.mark.parametrize(
    ("step", "told"), [("1min", (1, 60_000, 1440)), ("5min", (5, 300_000, 288)), ("1h", (60, 3_600_000, 24))]
)
def test_the_step_is_told_in_minutes_milliseconds_and_steps_a_day(step, told):
    schema = schema_with("step", value=step)

    assert told == (schema.step_minutes, schema.step_ms, schema.steps_per_day)


def test_vitals_come_in_the_order_of_the_file(settings):
    vitals = [name for name, column in SHIPPED["columns"].items() if column["role"] == "vital"]

    assert vitals == list(settings.schema.vitals)
    assert list(SHIPPED["columns"]) == list(settings.schema.names)
    assert "heart_rate" == settings.schema.vitals[0]


def test_usual_lies_within_possible_and_no_value_and_suspect_lie_where_no_measurement_is(settings):
    for name, column in settings.schema.columns.items():
        low, high = column.possible
        if column.usual is not None:
            assert low <= column.usual[0] < column.usual[1] <= high, name
        for stands_for_nothing in column.no_value:
            assert not low <= stands_for_nothing <= high or name == "blood_pressure_systolic", name
        for reason, (from_, to) in column.suspect.items():
            assert to < low or from_ > high, (name, reason)


@pytest.mark.parametrize(("text", "expected"), [("5min", 5), ("90 min", 90), ("2h", 120)])
def test_durations_are_minutes_or_hours(text, expected):
    assert expected == minutes(text)


@pytest.mark.parametrize("text", ["", "5", "min", "-5min", "1.5h", "5 days", "1h30min"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="5min or 1h"):
        minutes(text)

"""L5: ten unit mistakes on a thousand values each: refused or flagged, never converted. `-s` prints the shares.

Vitals are those of simulated people, as a device would send them; weights and glucose are drawn. What cannot be told
from a plain value of another person (pounds, mmol/L of glucose, seconds a breath) is measured all the same, and its
share stands here, so that nobody takes it for caught.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from tiny import small_settings, somebody
from vitalwatch.api.forms import Forms
from vitalwatch.reading import Rejected, parse
from vitalwatch.schema import Schema

PEOPLE, VALUES, NOW = 8, 1_000, 1_790_000_000_000
SUSPECT, SILENT = "unit_suspect", "accepted"
LB, MG_DL = 1 / 0.45359237, 1 / 18.016  # pounds a kg; mmol/L of glucose a mg/dL (180.16 g/mol)
KPA = 0.133322387  # a mmHg


@dataclass(frozen=True)
class Swap:
    """One mistake: of which value, what becomes of it, and the least and greatest share that is caught."""

    name: str
    value: str
    wrong: Callable[[float], float]
    caught: tuple[float, float] = (1.0, 1.0)


SWAPS = (
    Swap("Fahrenheit as Celsius", "body_temperature", lambda t: t * 9 / 5 + 32),
    Swap("kelvin as Celsius", "body_temperature", lambda t: t + 273.15),
    Swap("saturation as a fraction", "oxygen_saturation", lambda s: s / 100),
    Swap("systolic in kPa", "blood_pressure_systolic", lambda p: p * KPA),
    Swap("diastolic in kPa", "blood_pressure_diastolic", lambda p: p * KPA),
    Swap("beats a second", "heart_rate", lambda r: r / 60),
    Swap("ms between beats as heart rate", "heart_rate", lambda r: 60_000 / r),
    Swap("seconds a breath as breathing rate", "respiratory_rate", lambda r: 60 / r, (0.0, 0.3)),
    Swap("weight in pounds", "weight", lambda w: w * LB, (0.0, 0.05)),
    Swap("glucose in mmol/L as mg/dL", "glucose", lambda g: g * MG_DL, (0.1, 0.6)),
)


@pytest.fixture(scope="module")
def schema() -> Schema:
    return small_settings().schema


@cache
def profile_form() -> type[BaseModel]:
    return Forms(small_settings().schema).profile


def measured(vital: str) -> list[float]:
    """Return values of simulated people, or drawn ones: kg as of adults, mg/dL as of an ordinary ward."""
    rng = np.random.default_rng(5)
    if vital == "weight":
        return np.clip(rng.normal(78, 17, VALUES), 40, 180).tolist()
    if vital == "glucose":
        return np.clip(rng.lognormal(np.log(110), 0.3, VALUES), 50, 500).tolist()
    found = np.concatenate([somebody(i).readings.values[vital] for i in range(PEOPLE)])
    return [float(value) for value in rng.choice(found[np.isfinite(found)], VALUES)]


def outcome(vital: str, value: float, schema: Schema) -> str:
    """Return the reason why a value is refused where it comes in, SILENT where it is taken as it is."""
    if vital == "glucose":  # of files alone; beyond the limits it is dropped and counted
        low, high = schema.care["glucose"].possible
        return SILENT if low <= value <= high else "dropped"
    if vital == "weight":
        try:
            profile_form().model_validate({"weight": value})
        except ValidationError as error:
            return str(error.errors()[0]["type"])
        return SILENT
    message = {"person": "p1", "time": "2026-01-05T08:00:00Z", vital: round(value, 4)}
    found = parse(json.dumps(message).encode(), schema, now_ms=NOW)
    return found.reason if isinstance(found, Rejected) else SILENT


@pytest.mark.parametrize("swap", SWAPS, ids=lambda swap: swap.name)
def test_a_unit_mistake_is_caught_as_often_as_is_said(swap: Swap, schema: Schema) -> None:
    values = measured(swap.value)
    wrong = Counter(outcome(swap.value, swap.wrong(value), schema) for value in values)
    right = Counter(outcome(swap.value, value, schema) for value in values)
    caught, flags = 1 - wrong[SILENT] / VALUES, 1 - right[SILENT] / VALUES
    told = f"{swap.name}: caught {caught:.1%} ({wrong[SUSPECT] / VALUES:.1%} by name of the unit), false {flags:.1%}\n"
    sys.stdout.write(told)

    assert VALUES == sum(wrong.values()) == sum(right.values())
    assert 0.0 == flags
    assert swap.caught[0] <= caught <= swap.caught[1]


def test_what_is_caught_by_name_says_which_unit_was_meant(schema: Schema) -> None:
    for name, value in (("body_temperature", 98.6), ("oxygen_saturation", 0.97), ("blood_pressure_systolic", 16.0)):
        message = {"person": "p1", "time": "2026-01-05T08:00:00Z", name: value}
        found = parse(json.dumps(message).encode(), schema, now_ms=NOW)
        assert isinstance(found, Rejected)
        assert SUSPECT == found.reason
        assert schema.columns[name].unit in found.detail

"""L5 and L6: readings in another unit, and pairs that cannot be, are refused; those that are right all pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import pytest

from tiny import small_settings, somebody
from vitalwatch.reading import Reading, Rejected, parse_object
from vitalwatch.timestamps import rfc3339

SCHEMA = small_settings().schema
TRIED = 1000
# not among them: hPa, of which 107 are 80 mmHg: both are pressures of people, and nobody can tell
UNITS: dict[str, tuple[str, Callable[[float], float]]] = {  # what the device sends in place of our unit
    "Fahrenheit": ("body_temperature", lambda cel: cel * 9 / 5 + 32),
    "kelvin": ("body_temperature", lambda cel: cel + 273.15),
    "tenths of a degree": ("body_temperature", lambda cel: cel * 10),
    "kPa, systolic": ("blood_pressure_systolic", lambda mmhg: mmhg / 7.50062),
    "kPa, diastolic": ("blood_pressure_diastolic", lambda mmhg: mmhg / 7.50062),
    "pascal": ("blood_pressure_systolic", lambda mmhg: mmhg * 133.322),
    "a fraction of saturation": ("oxygen_saturation", lambda percent: percent / 100),
    "beats a second": ("heart_rate", lambda per_minute: per_minute / 60),
    "breaths a second": ("respiratory_rate", lambda per_minute: per_minute / 60),
    "seconds of variability": ("heart_rate_variability_rmssd", lambda ms: ms / 1000),
}
VITALS = sorted({name for name, _ in UNITS.values()})


@lru_cache(maxsize=1)
def measured() -> list[dict[str, float]]:
    """Rows of simulated people with all these vitals."""
    rows: list[dict[str, float]] = []
    for index in range(40):
        readings = somebody(index, 12).readings
        columns = {name: readings.values[name] for name in VITALS}
        for row in np.flatnonzero(np.all([np.isfinite(column) for column in columns.values()], axis=0)):
            rows.append({name: float(column[row]) for name, column in columns.items()})
        if len(rows) >= TRIED:
            return rows[:TRIED]
    return rows


def judged(values: Mapping[str, float]) -> Reading | Rejected:
    message = {"person": "anna", "time": rfc3339(1_767_225_600_000), **values}
    return parse_object(message, SCHEMA, now_ms=1_767_225_600_000)


def test_readings_in_our_units_are_all_taken_whole():
    taken = [judged(one) for one in measured()]

    assert TRIED == len(taken)
    assert all(isinstance(one, Reading) and set(VITALS) <= set(one.values) for one in taken)


@pytest.mark.parametrize("name", UNITS)
def test_another_unit_is_refused(name):
    vital, other = UNITS[name]
    caught = [isinstance(judged({**one, vital: other(one[vital])}), Rejected) for one in measured()]

    assert TRIED == sum(caught)


def test_systolic_and_diastolic_the_other_way_round_are_refused():
    upper, lower = "blood_pressure_systolic", "blood_pressure_diastolic"
    found = [judged({**one, upper: one[lower], lower: one[upper]}) for one in measured()]

    assert {"impossible_pair"} == {one.reason for one in found if isinstance(one, Rejected)}
    assert TRIED == len([one for one in found if isinstance(one, Rejected)])


def test_a_heart_rate_of_nothing_beside_a_saturation_is_not_a_heart_rate():
    found = [judged({**one, "heart_rate": 0}) for one in measured()]

    assert all(isinstance(one, Reading) and "heart_rate" not in one.values for one in found)

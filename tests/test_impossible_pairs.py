"""L6: values that cannot stand beside each other, a thousand readings each: refused, emptied, taken. `-s` prints it.

What is taken as it comes is measured all the same, so that nobody takes it for caught.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from serving_world import Ward
from tiny import small_settings
from vitalwatch.reading import Rejected, parse
from vitalwatch.schema import Schema
from vitalwatch.timestamps import rfc3339

READINGS, NOW, MINUTE = 1_000, 1_790_000_000_000, 60_000
REFUSED, MISSING, TAKEN = "refused", "read as not measured", "taken as it comes"


@dataclass(frozen=True)
class Pair:
    """Two values that contradict each other: what the second becomes, and what becomes of the reading."""

    name: str
    spoil: Callable[[dict[str, float], float], dict[str, float]]
    becomes: str
    reason: str = ""


PAIRS = (
    Pair("diastolic above systolic", lambda one, u: swapped(one), REFUSED, "impossible_pair"),
    Pair("diastolic equal to systolic", lambda one, u: {DIA: one[SYS]}, REFUSED, "impossible_pair"),
    Pair("saturation 101-104 %", lambda one, u: {"oxygen_saturation": 101 + 3 * u}, REFUSED, "out_of_physical_range"),
    Pair("heart rate 1-19 beside a saturation", lambda one, u: {"heart_rate": 1 + 18 * u}, REFUSED,
         "out_of_physical_range"),
    Pair("heart rate 0 beside a saturation", lambda one, u: {"heart_rate": 0}, MISSING),
    Pair("saturation 0 beside a heart rate", lambda one, u: {"oxygen_saturation": 0}, MISSING),
    Pair("no breath beside a heart rate", lambda one, u: {"respiratory_rate": 0}, MISSING),
    Pair("lowest saturation above its mean", lambda one, u: {"oxygen_saturation": 90, LOWEST: 91 + 8 * u}, TAKEN),
    Pair("spread without a heart rate", lambda one, u: {"heart_rate": None, "heart_rate_spread": 9 * u}, TAKEN),
    Pair("variability without a heart rate", lambda one, u: {"heart_rate": None, HRV: 20 + 90 * u}, TAKEN),
    Pair("steps while asleep", lambda one, u: {"sleep": 1, "steps": round(300 + 900 * u)}, TAKEN),
)  # fmt: skip
SYS, DIA, HRV = "blood_pressure_systolic", "blood_pressure_diastolic", "heart_rate_variability_rmssd"
LOWEST = "oxygen_saturation_min"


def swapped(one: dict[str, float]) -> dict[str, float]:
    return {SYS: one[DIA], DIA: one[SYS]}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return small_settings().schema


def whole(rng: np.random.Generator) -> dict[str, float]:
    """Return a plausible reading."""
    means = {
        "heart_rate": (72, 9),
        "oxygen_saturation": (96, 1),
        "respiratory_rate": (15, 2),
        SYS: (125, 9),
        DIA: (78, 6),
    }
    return {name: round(float(rng.normal(*about)), 1) for name, about in means.items()}


def test_what_becomes_of_impossible_pairs_is_as_is_said(schema):
    rng = np.random.default_rng(6)
    for pair in PAIRS:
        found = Counter(outcome(pair, whole(rng), float(rng.uniform()), schema) for _ in range(READINGS))
        told = ", ".join(f"{becomes} {count / READINGS:.0%}" for (becomes, _), count in found.items())
        sys.stdout.write(f"{pair.name}: {told}\n")
        assert {(pair.becomes, pair.reason): READINGS} == found, pair.name


def outcome(pair: Pair, one: dict[str, float], u: float, schema: Schema) -> tuple[str, str]:
    spoilt = pair.spoil(one, u)
    told = {"person": "anna", "time": "2026-01-05T08:00:00Z", **one, **spoilt}
    found = parse(json.dumps(told).encode(), schema, now_ms=NOW)
    if isinstance(found, Rejected):
        return REFUSED, found.reason
    gone = [name for name, value in spoilt.items() if value is not None and name not in found.values]
    return (MISSING, "") if gone else (TAKEN, "")


def test_a_heart_that_stands_still_beside_a_saturation_is_a_sensor_and_no_patient(tmp_path, tiny_bundle):
    ward = Ward(tmp_path, tiny_bundle)
    rows: list[dict[str, Any]] = []
    for minute in range(0, 390, 5):
        still = {"heart_rate": 0} if minute >= 240 else {"heart_rate": 70 + minute % 7}
        rows.append(
            {
                "person": "anna",
                "time": rfc3339(NOW - (390 - minute) * MINUTE, 0),
                "oxygen_saturation": 99 - minute % 2,
                "steps": 0,
            }
            | still
        )
    ward.clock.ms = NOW
    told = ward.send(rows)
    rules = {one["rule"] for one in ward.engine.alarms()}
    ward.engine.close()

    assert (78, ()) == (told.accepted, told.rejected)
    assert "sensor_blind" in rules
    assert not {"heart_rate_low", "news2", "news2_single"} & rules

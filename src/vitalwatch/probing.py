"""The self-test of a bundle: a day of readings whose answers must be what training saw, and how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vitalwatch.tables import Floats, Profile, Readings

TOLERANCE = {
    "features": 1e-4,
    "unusual": 1e-4,
    "known": 1e-4,
    "probability": 1e-4,
    "expected_heart_rate": 1e-3,
    "forecast": 1e-2,
    "risk": 1e-4,
}


def probe_of(readings: Readings, profile: Profile, rows: int) -> dict[str, Any]:
    """Return readings as plain values for probe.json; the answers of the last `rows` grid rows are compared."""
    return {
        "time": readings.time.tolist(),
        "offset": readings.offset.tolist(),
        "values": {name: plain(column) for name, column in readings.values.items()},
        "profile": {"age": profile.age, "sex": profile.sex, "medication": list(profile.medication)},
        "rows": rows,
    }


def probe_readings(told: Mapping[str, Any]) -> tuple[Readings, Profile, int]:
    """Read back what `probe_of` wrote: readings, profile and how many rows are compared."""
    values = {
        name: np.asarray([np.nan if v is None else v for v in column], np.float32)
        for name, column in told["values"].items()
    }
    profile = Profile(
        "probe", age=told["profile"]["age"], sex=told["profile"]["sex"], medication=tuple(told["profile"]["medication"])
    )
    time, offset = np.asarray(told["time"], np.int64), np.asarray(told["offset"], np.int16)
    return Readings("probe", time, offset, values), profile, int(told["rows"])


def plain(values: Floats) -> list[Any]:
    """Return nested lists with None for NaN (JSON has none)."""
    rounded = np.asarray(values, np.float64).astype(object)
    rounded[np.isnan(np.asarray(values, np.float64))] = None
    plain: list[Any] = rounded.tolist()
    return plain


def apart(got: list[Any], expected: list[Any]) -> float:
    """Return the largest difference; infinite where one is missing and the other is not, or shapes differ."""
    a, b = (np.asarray(values, object) for values in (got, expected))
    if a.shape != b.shape:
        return float("inf")
    a, b = (np.asarray([np.nan if value is None else value for value in v.ravel()], np.float64) for v in (a, b))
    if (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b), initial=0.0))

"""Nine ways in which a sensor tells what no body did, planted into quiet lives (reliability L4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vitalwatch.tables import Readings

Values = dict[str, np.ndarray]
Artefact = Callable[[np.random.Generator, Values, slice], None]


def flat_line(rng: np.random.Generator, values: Values, at: slice) -> None:
    """Every vital stands still at whatever it showed, which may be alarming."""
    values["heart_rate"][at] = rng.choice([38.0, 71.0, 142.0])
    values["body_temperature"][at] = 36.9


def dropout(rng: np.random.Generator, values: Values, at: slice) -> None:
    """The device counts steps, and measures no vital sign."""
    for name, column in values.items():
        if name not in ("steps", "intensity", "sleep"):
            column[at] = np.nan


def sensor_off(rng: np.random.Generator, values: Values, at: slice) -> None:
    """The device lies on a table: the room's temperature, and beats that are light."""
    n = len(values["heart_rate"][at])
    values["body_temperature"][at] = rng.normal(31.0, 0.3, n)
    values["heart_rate"][at] = rng.uniform(35, 180, n)
    values["oxygen_saturation"][at] = rng.uniform(60, 90, n)
    values["signal_quality"][at] = rng.uniform(0.0, 0.15, n)


def saturated(rng: np.random.Generator, values: Values, at: slice) -> None:
    """The sensor is at the end of its scale."""
    values["heart_rate"][at] = 220.0


def battery_low(rng: np.random.Generator, values: Values, at: slice) -> None:
    """Less and less light: values wander, and the device says how little it trusts them."""
    n = len(values["heart_rate"][at])
    values["signal_quality"][at] = np.linspace(0.28, 0.02, n)
    values["heart_rate"][at] = rng.normal(120, 35, n)
    values["oxygen_saturation"][at] = rng.normal(86, 4, n)


def spikes(rng: np.random.Generator, values: Values, at: slice) -> None:
    """Single values far off, each followed by a good one."""
    values["heart_rate"][at][::3] += 90
    values["oxygen_saturation"][at][1::3] -= 24


def cadence_lock(rng: np.random.Generator, values: Values, at: slice) -> None:
    """Steps are counted as beats."""
    cadence = rng.uniform(150, 165, len(values["heart_rate"][at]))
    values["steps"][at] = cadence * 5
    values["heart_rate"][at] = cadence + rng.normal(0, 0.5, len(cadence))


def low_perfusion(rng: np.random.Generator, values: Values, at: slice) -> None:
    """Cold fingers: saturation reads low in dim light."""
    n = len(values["heart_rate"][at])
    values["signal_quality"][at] = rng.uniform(0.32, 0.48, n)
    values["oxygen_saturation"][at] = rng.uniform(78, 90, n)


def sawtooth(rng: np.random.Generator, values: Values, at: slice) -> None:
    """A value climbs for half an hour and falls back, again and again."""
    n, begin = len(values["heart_rate"][at]), int(rng.integers(6))
    values["heart_rate"][at] = 60.0 + 12.0 * ((np.arange(n) + begin) % 6)


ARTEFACTS: dict[str, Artefact] = {
    made.__name__: made
    for made in (flat_line, dropout, sensor_off, saturated, battery_low, spikes, cadence_lock, low_perfusion, sawtooth)
}
ROWS = 24  # two hours each


def planted(name: str, life: Readings, rng: np.random.Generator, often: int) -> tuple[Readings, list[slice]]:
    """Return a life with an artefact planted so often, each in a stretch of its own, and where."""
    values = {key: column.copy() for key, column in life.values.items()}
    share = len(life) // often
    at = [slice(s, s + ROWS) for s in (i * share + int(rng.integers(12, share - ROWS - 12)) for i in range(often))]
    for one in at:
        ARTEFACTS[name](rng, values, one)
    return replace(life, values=values), at

"""Clinical rules that need no learning: NEWS2 (both SpO2 scales) and fixed limits.

NEWS2: Royal College of Physicians, National Early Warning Score 2, 2017 (reproduced with acknowledgement). It is
not for people under 16 nor in pregnancy. The thresholds are whole numbers (temperature: tenths), so values are
rounded half up to that resolution before they are looked up, as they would be on the chart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, inf, isnan, nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitalwatch.schema import Schema
from vitalwatch.tables import Floats

PARTS = ("respiration", "saturation", "oxygen", "systolic", "pulse", "consciousness", "temperature")
BANDS = ("low", "low_medium", "medium", "high")  # 0-4; a single 3; 5-6; 7 and more
URGENT = 5  # the total from which NEWS2 asks for urgent review
SATURATION, SECOND_LOW, SECOND_HIGH = "oxygen_saturation", 88.0, 96.0  # %, limits on the second SpO2 scale

# Lower edges (inclusive) of the bands after the first, and the points of each band; temperature in tenths of a degree.
RESPIRATION = ((9, 12, 21, 25), (3, 1, 0, 2, 3))
SATURATION_1 = ((92, 94, 96), (3, 2, 1, 0))
SATURATION_2_AIR = ((84, 86, 88), (3, 2, 1, 0))  # 93 and more on air scores 0: only given oxygen can overshoot
SATURATION_2_OXYGEN = ((84, 86, 88, 93, 95, 97), (3, 2, 1, 0, 1, 2, 3))
SYSTOLIC = ((91, 101, 111, 220), (3, 2, 1, 0, 3))
PULSE = ((41, 51, 91, 111, 131), (3, 1, 0, 1, 2, 3))
TEMPERATURE = ((351, 361, 381, 391), (3, 1, 0, 1, 2))

Table = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class News2:
    """NEWS2 of n moments.

    Attributes:
        total: Sum of the parts that could be scored; NaN where none could, shape (n,).
        parts: Points of each part in `PARTS` order, NaN where it was not measured or told, shape (n, 7).
    """

    total: Floats
    parts: Floats

    @property
    def band(self) -> NDArray[np.int8]:
        """Index into `BANDS`, -1 where nothing was measured, shape (n,)."""
        single = (self.parts == 3).any(axis=1)
        band = np.select([self.total >= 7, self.total >= URGENT, single], [3, 2, 1], 0)
        return np.where(np.isnan(self.total), -1, band).astype(np.int8)


def oxygen(
    stored: Mapping[str, Any], *, scale: int | None = None, given: bool | None = None
) -> tuple[int, bool | None]:
    """Return the SpO2 scale of NEWS2 and whether oxygen is given, None where nobody told.

    Args:
        stored: Own limits of the person, with `oxygen_scale` and `supplemental_oxygen` where somebody set them.
        scale, given: What is told now; it goes before what is stored.
    """
    return (
        int(stored.get("oxygen_scale", 1)) if scale is None else scale,
        stored.get("supplemental_oxygen") if given is None else given,
    )


def usual_limits(
    vital: str, usual: tuple[float, float] | None, scale: int, given: bool | None
) -> tuple[float, float] | None:
    """Return the limits of a vital where a clinician set none, in its unit; None where it has none.

    The second SpO2 scale of NEWS2 is for a target of 88-92 % (Royal College of Physicians 2017): below 88 is low, and
    while oxygen is given, above 96 is where a single part scores 3.

    Args:
        vital: Its name.
        usual: Of schema.yaml.
        scale: SpO2 scale of NEWS2, 1 or 2.
        given: Whether oxygen is given, None where nobody told.
    """
    if vital != SATURATION or scale != 2 or usual is None:
        return usual
    return SECOND_LOW, SECOND_HIGH if given else usual[1]


def news2(
    *,
    respiration: ArrayLike,
    saturation: ArrayLike,
    systolic: ArrayLike,
    pulse: ArrayLike,
    temperature: ArrayLike,
    alert: ArrayLike = np.nan,
    oxygen: ArrayLike = np.nan,
    scale: int = 1,
) -> News2:
    """Return NEWS2; NaN anywhere is "not measured" and scores nothing.

    Args:
        respiration: Breaths per minute.
        saturation: SpO2 in percent.
        systolic: mmHg.
        pulse: Beats per minute.
        temperature: Degrees Celsius.
        alert: 1 for A, 0 for C, V, P or U, NaN for not told.
        oxygen: 1 on supplemental oxygen, 0 on air, NaN for not told.
        scale: SpO2 scale 1, or 2 where a clinician chose it (hypercapnic respiratory failure).

    All are arrays of shape (n,) or single numbers.

    Raises:
        ValueError: `scale` is neither 1 nor 2.
    """
    if scale not in (1, 2):
        raise ValueError("the SpO2 scale is 1 or 2")
    told = [respiration, saturation, oxygen, systolic, pulse, alert, temperature]
    wide = np.broadcast_arrays(*[np.atleast_1d(np.asarray(value, np.float64)) for value in told])
    breaths, percent, given, pressure, rate, awake, warmth = wide
    columns = (
        points(breaths, RESPIRATION),
        points(percent, SATURATION_1) if scale == 1 else _scale_2(percent, given),
        np.where(np.isnan(given), np.nan, 2.0 * (given > 0)),
        points(pressure, SYSTOLIC),
        points(rate, PULSE),
        np.where(np.isnan(awake), np.nan, 3.0 * (awake == 0)),
        points(warmth * 10, TEMPERATURE),
    )
    parts = np.stack(columns, axis=1).astype(np.float32)
    unknown = np.isnan(parts)
    total = np.add.reduce(np.where(unknown, np.float32(0), parts), axis=1)
    total[np.logical_and.reduce(unknown, axis=1)] = np.nan
    return News2(total, parts)


def news2_once(
    *,
    respiration: float,
    saturation: float,
    systolic: float,
    pulse: float,
    temperature: float,
    alert: float = nan,
    oxygen: float = nan,
    scale: int = 1,
) -> tuple[float, int, list[float]]:
    """Return total, band and parts of NEWS2 of one moment, as `news2` does of many; in plain numbers, for speed."""
    if scale not in (1, 2):
        raise ValueError("the SpO2 scale is 1 or 2")
    if scale == 1:
        breathed = _points_once(saturation, SATURATION_1)
    else:
        on_air, on_oxygen = (_points_once(saturation, table) for table in (SATURATION_2_AIR, SATURATION_2_OXYGEN))
        untold = on_air if on_air == on_oxygen else nan
        breathed = untold if isnan(oxygen) else on_oxygen if oxygen > 0 else on_air
    parts = [
        _points_once(respiration, RESPIRATION),
        breathed,
        nan if isnan(oxygen) else 2.0 * (oxygen > 0),
        _points_once(systolic, SYSTOLIC),
        _points_once(pulse, PULSE),
        nan if isnan(alert) else 3.0 * (alert == 0),
        _points_once(temperature * 10, TEMPERATURE),
    ]
    known = [part for part in parts if part == part]
    if not known:
        return nan, -1, parts
    total = sum(known)
    return total, 3 if total >= 7 else 2 if total >= URGENT else 1 if 3.0 in known else 0, parts


def _points_once(value: float, table: Table) -> float:
    if isnan(value):
        return nan
    if abs(value) == inf:
        return float(table[1][-1 if value > 0 else 0])
    return float(table[1][bisect_right(table[0], floor(value + 0.5 + 1e-4))])


def points(values: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
    """Return the points of each value, rounded half up to whole numbers first; NaN stays NaN; shape (n,)."""
    edges, score = table
    # 1e-4 undoes float32, in which 35.05 is a little less than itself
    whole = np.floor(values + 0.5 + 1e-4)
    found = np.asarray(score, np.float64)[np.searchsorted(edges, whole, side="right")]  # NaN has a place, too
    return np.where(np.isnan(values), np.nan, found)


def _scale_2(percent: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    on_air, on_oxygen = points(percent, SATURATION_2_AIR), points(percent, SATURATION_2_OXYGEN)
    untold = np.where(on_air == on_oxygen, on_air, np.nan)  # from 93 up it depends on what we were not told
    return np.where(np.isnan(given), untold, np.where(given > 0, on_oxygen, on_air))


def usual_distance(values: Mapping[str, ArrayLike], schema: Schema) -> Floats:
    """Return how far from the middle of its usual range each vital is: 1 is the limit, above 1 is outside.

    A range that ends where the possible one ends (saturation at 100 %) is left on its other side only, so it is
    measured from that end. NaN is not measured. Shape (n, v) in `schema.vitals` order.
    """
    length = max((np.size(value) for value in values.values()), default=0)
    out = np.full((length, len(schema.vitals)), np.nan, np.float32)
    for i, name in enumerate(schema.vitals):
        column = schema.columns[name]
        if name not in values or column.usual is None:
            continue
        (low, high), given = column.usual, np.asarray(values[name], np.float64)
        if high >= column.possible[1]:
            out[:, i] = (high - given) / (high - low)
        else:
            out[:, i] = np.abs(given - (low + high) / 2) / ((high - low) / 2)
    return out

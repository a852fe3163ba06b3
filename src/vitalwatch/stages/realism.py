"""How far simulated people move like real ones, told beside the figures that were got from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vitalwatch.metrics.bootstrap import plain
from vitalwatch.tables import DAY, MINUTE, Readings

MOST_PEOPLE = 12  # statistics are means over people: more would only take longer


def realism_of(readings: Iterable[Readings], step_minutes: int) -> dict[str, Any]:
    """Return `statistics` and `failures` of simulated people for the report, ready for JSON.

    Args:
        readings: Of simulated people, regular; the first 12 count who walked and were awake with a heart rate for half
            a day.
        step_minutes: Grid step; bounds are known for 1 and 5 minutes.

    Returns:
        statistics (name -> figure, None where there is none) and failures (name -> what was wanted); empty where
        nobody can be judged.
    """
    from vitalwatch.synthetic import realism

    chosen: list[Readings] = []
    for one in readings:
        if _enough(one, step_minutes):
            chosen.append(one)
        if len(chosen) == MOST_PEOPLE:
            break
    if not chosen:
        return {}
    found = realism.statistics(chosen, step_minutes)
    statistics = {name: plain(value) for name, value in found.items()}
    return {"statistics": statistics, "failures": realism.failures(found, step_minutes)}


def _enough(one: Readings, step_minutes: int) -> bool:
    """Return whether half a day of heart rate is known awake, and neither it nor the steps always stay the same."""
    heart = one.column("heart_rate")
    known = heart[np.isfinite(heart) & ~(one.column("sleep") > 0)]
    long = len(known) >= DAY // (2 * step_minutes * MINUTE)
    return bool(long and np.ptp(known) > 0 and np.nansum(one.column("steps")) > 0)

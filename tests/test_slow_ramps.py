"""A decline that hides itself in own normal: limits that hold for everybody do not learn (reliability M9)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from serving_world import Ward, messages
from vitalwatch.alerting.rules import span
from vitalwatch.tables import DAY, MINUTE, Readings

HOUR, BEGUN = 60 * MINUTE, 1_767_571_200_000
RAMPS = {  # vital: (from, to, the limit of rules.yaml that holds for everybody, the rule, noise)
    "heart_rate": (70.0, 162.0, 150.0, "heart_rate_high", 1.5),
    "oxygen_saturation": (97.0, 77.0, 85.0, "oxygen_low", 0.7),
    "respiratory_rate": (15.0, 38.0, 30.0, "breathing_high", 0.7),
    "blood_pressure_systolic": (120.0, 235.0, 220.0, "systolic_high", 2.0),
}


@pytest.fixture
def ward(tmp_path, tiny_bundle) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle)
    yield ward
    ward.engine.close()


def declining(vital: str, per_ms: float) -> Readings:
    """Return a week at the first value, a ramp of one unit in so long, and six hours at the last."""
    first, last, *_, noise = RAMPS[vital]
    rows = int((7 * DAY + abs(last - first) * per_ms + 6 * HOUR) // (5 * MINUTE))
    time = BEGUN + np.arange(rows, dtype=np.int64) * 5 * MINUTE
    moved = np.clip((time - BEGUN - 7 * DAY) / per_ms, 0, abs(last - first))
    level = first + np.sign(last - first) * moved
    rng = np.random.default_rng(rows)
    values = {"heart_rate": np.full(rows, 70.0) + rng.normal(0, 1.5, rows), vital: level + rng.normal(0, noise, rows)}
    return Readings("anna", time, np.zeros(rows, np.int16), {name: np.round(v, 1) for name, v in values.items()})


@pytest.mark.parametrize("per_ms", [HOUR, DAY], ids=["one an hour", "one a day"])
@pytest.mark.parametrize("vital", RAMPS)
def test_no_ramp_is_so_slow_that_a_limit_for_everybody_is_missed(ward, vital, per_ms):
    first, last, limit, rule, _ = RAMPS[vital]
    life = declining(vital, per_ms)
    told = messages(life)
    for start in range(0, len(told), 1_000):
        ward.clock.ms = int(life.time[min(start + 1_000, len(told)) - 1]) + 1_000
        ward.send(told[start : start + 1_000])

    value = life.values[vital]
    beyond = value > limit if last > first else value < limit
    sure = int(life.time[np.flatnonzero(~beyond)[-1] + 1])  # from here on it never comes back
    heard = [one for one in ward.engine.alarms(open_only=False) if one["rule"] == rule and "high" == one["priority"]]
    patience = span(ward.engine.rules.rules[rule].sooner) + 10 * MINUTE
    assert [one for one in heard if one["start"] <= sure + patience and one["end"] is None], (rule, heard)

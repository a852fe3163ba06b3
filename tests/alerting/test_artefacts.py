"""L4: what a sensor did is a matter for whoever minds the sensor, not a clinical alarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artefact_world import ARTEFACTS, ROWS, planted
from tiny import small_settings, somebody
from vitalwatch.alerting.judging import Judge, Memory
from vitalwatch.alerting.rules import read_rules
from vitalwatch.tables import MINUTE, Readings

SCHEMA = small_settings().schema
SHIPPED = read_rules(Path(__file__).parent.parent.parent / "rules.yaml", SCHEMA)
OFTEN = 12  # of each artefact, in each life
LIVES = 3


def naive(life: Readings, at: slice) -> int:
    """How many vitals pass their usual limits as measured in a stretch: what a threshold on raw values alarms for."""
    usual = {name: SCHEMA.columns[name].usual for name in SCHEMA.vitals if name in life.values}
    return sum(
        bool(((life.values[name][at] < limits[0]) | (life.values[name][at] > limits[1])).any())
        for name, limits in usual.items()
        if limits is not None
    )


def alarms(monitor, life: Readings) -> list[tuple[str, int]]:
    state, answers = monitor.advance(monitor.begin(life.person), life, forecast=False)
    judge = Judge(SHIPPED, SCHEMA)
    technical = [one for one in judge.of_monitor(state, answers) if one.category == "technical"]
    return [(one.category, one.start) for one in (*judge.look(Memory(), answers)[1], *technical)]


def cost(monitor, name: str) -> tuple[float, float, float]:
    """Clinical alarms by rules, clinical alarms by raw thresholds, technical alarms, each per artefact hour."""
    rng, counts, hours = np.random.default_rng(11), np.zeros(3), 0.0
    for who in range(LIVES):
        clean = somebody(who).readings
        life, places = planted(name, clean, rng, OFTEN)
        quiet = {start for category, start in alarms(monitor, clean) if category == "physiological"}
        found = alarms(monitor, life)
        for at in places:
            begin, end = life.time[at.start], life.time[at.stop - 1] + 30 * MINUTE
            inside = [(category, start) for category, start in found if begin <= start < end]
            counts[0] += sum(category == "physiological" and start not in quiet for category, start in inside)
            counts[1] += naive(life, at)
            counts[2] += any(category == "technical" for category, _ in inside)
            hours += ROWS * 5 / 60
    return tuple((counts / hours).tolist())


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_raises_fewer_clinical_alarms_than_one_in_ten_hours(tiny_monitor, name):
    clinical, raw, _ = cost(tiny_monitor, name)

    assert clinical <= 0.1
    assert clinical <= raw


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_broken_sensor_is_told_as_a_technical_alarm(tiny_monitor, name):
    assert cost(tiny_monitor, name)[2] > 0.3  # of each two hours one, or nearly

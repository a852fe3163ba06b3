"""What a sensor tells of itself: several rows of it are a technical alarm, once, and it goes with them."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from test_judging import SCHEMA, SHIPPED, START, STEP, answers, spans, with_rules

from tiny import small_settings
from vitalwatch.alerting.judging import Judge, Memory, _part
from vitalwatch.alerting.reliving import relive
from vitalwatch.alerting.rules import Rule
from vitalwatch.alerting.sensing import Sensed, advance
from vitalwatch.synthetic.simulation import person
from vitalwatch.tables import DAY, MINUTE

WEAK = {"sensor": "weak_signal", "below": 0.7, "times": 3, "within": "60min", "priority": "low", "latching": False}
HOUR = 60 * MINUTE
N = 40


def quality(*rows: int) -> np.ndarray:
    """A good signal but for some rows."""
    return np.where(np.isin(np.arange(N), rows), 0.5, 0.95)


def found(told, **rule):
    return spans(Judge(with_rules(weak=WEAK | rule), SCHEMA).look(Memory(), told)[1])


def test_a_weak_signal_is_told_once_three_rows_of_an_hour_are_weak_and_ends_an_hour_after():
    assert [] == found(answers(N, signal_quality=quality(3, 9)))
    assert [] == found(answers(N, signal_quality=quality(3, 9, 20)))
    assert [("weak", 12, 13)] == found(answers(N, signal_quality=quality(3, 9, 12)))
    assert [("weak", 12, None)] == found(answers(N, signal_quality=quality(3, 9, 12, 23, 30)))


def test_what_lasts_too_long_is_a_state_and_no_alarm_any_more():
    assert [("weak", 2, 14)] == found(answers(N, signal_quality=quality(*range(N))), longest="60min")


def test_motion_weakens_a_signal_and_is_no_fault():
    moving = answers(N, signal_quality=quality(*range(N)), steps=600, intensity=0.6)

    assert [] == found(moving)


def test_a_device_that_reports_and_measures_no_heart_rate_is_told():
    blind = {"sensor": "no_heart_rate", "times": 4, "priority": "low", "latching": False}
    beat = np.where(np.arange(N) < 20, 62.0 + np.arange(N) % 2 / 10, np.nan)
    judge = Judge(with_rules(blind=blind), SCHEMA)

    (one,) = judge.look(Memory(), answers(N, heart_rate=beat, steps=0))[1]
    assert ("technical", "low", False) == (one.category, one.priority, one.latching)
    assert 26 == (one.start - START) // STEP  # three rows are carried forward, four are asked for
    assert () == judge.look(Memory(), answers(N, heart_rate=beat))[1]  # nothing came: silence is the watchdog's


def test_spikes_are_told_and_the_monitor_does_not_tell_them_again():
    beat = 62.0 + np.arange(N) % 3 / 10 + 90.0 * np.isin(np.arange(N), (10, 14, 18))
    told = answers(N, heart_rate=beat)

    assert [("sensor_spikes", 18, 19)] == spans(Judge(SHIPPED, SCHEMA).look(Memory(), told)[1])


def test_spikes_too_small_to_be_taken_back_are_told_by_their_way_there_and_back():
    small = 62.0 + np.arange(N) % 3 / 10 + 30.0 * np.isin(np.arange(N), (10, 14))
    rises = np.where(np.arange(N) < 20, 62.0, 92.0) + np.arange(N) % 3 / 10
    spikes = {"sensor": "spikes", "times": 3, "priority": "low", "latching": False}

    def told(beat, **more):
        return spans(Judge(with_rules(spikes=spikes), SCHEMA).look(Memory(), answers(N, heart_rate=beat, **more))[1])

    assert [("spikes", 14, 16)] == told(small)
    assert [] == told(rises)  # a heart that stays there
    assert [] == told(small, steps=600, intensity=0.6)  # and one that moves


def test_jumps_are_seen_alike_one_row_at_a_time_and_at_once():
    rng = np.random.default_rng(7)
    beat = 62.0 + rng.normal(0, 1, 400) + np.where(rng.random(400) < 0.15, 32.0, 0.0)
    beat[rng.random(400) < 0.05] = np.nan
    judge, whole = Judge(SHIPPED, SCHEMA), answers(400, heart_rate=beat)
    at_once, ended = judge.look(Memory(), whole)
    memory, seen = Memory(), []
    for row in range(400):
        memory, found = judge.look(memory, _part(whole, slice(row, row + 1)))
        seen += [one for one in found if one.end is not None]

    assert [one.rule for one in ended].count("sensor_spikes") > 1
    assert [one for one in ended if one.end is not None] == seen
    assert at_once == memory


def test_rows_one_at_a_time_tell_the_same_as_all_at_once():
    rng = np.random.default_rng(4)
    rule = Rule.model_validate(WEAK | {"longest": "2h"})
    time = START + np.arange(4000, dtype=np.int64) * STEP
    rows = rng.random(4000) < np.repeat(rng.choice([0.0, 0.05, 0.3, 0.9], 100), 40)
    whole, all_ended = advance(Sensed(), rows, time, rule, STEP)
    one, ended = Sensed(), []
    for row in range(len(time)):
        one, more = advance(one, rows[row : row + 1], time[row : row + 1], rule, STEP)
        ended += more

    assert len(all_ended) > 20
    assert (whole, all_ended) == (one, ended)


def test_what_is_remembered_survives_a_trip_through_json():
    judge = Judge(SHIPPED, SCHEMA)
    memory, _ = judge.look(Memory(), answers(N, signal_quality=quality(33, 36, 38)))

    assert memory.after.sensed
    assert memory == Memory.from_json(json.loads(json.dumps(memory.to_json())))


@pytest.mark.parametrize("rule", [WEAK | {"below": None}, {"sensor": "spikes", "below": 0.5, "priority": "low"}])
def test_below_belongs_to_a_weak_signal(rule):
    with pytest.raises(ValueError, match="below belongs to sensor: weak_signal"):
        Rule.model_validate(rule)


FOUND = {
    "low_perfusion": 0.7,
    "temperature_detached": 0.7,
    "stuck_value": 0.5,
    "spikes": 0.3,
}  # at least, of each kind


def test_sensor_faults_of_simulated_people_are_told_and_little_else_is(tiny_monitor):
    params = small_settings().params.synthetic.model_copy(update={"faults": 4.0})
    met, happened, others, days = Counter[str](), Counter[str](), 0, 0.0
    for index in range(4):
        life = person(index, SCHEMA, params, 91_003, days=14)
        state, told = tiny_monitor.advance(
            tiny_monitor.begin(life.readings.person, life.profile), life.readings, forecast=False
        )
        lived = [one for one in relive(Judge(SHIPPED, SCHEMA), state, told) if one.alert.category == "technical"]
        faults = [one for one in life.bookkeeping if one.kind.startswith("fault:")]
        days += told.grid.worn.sum() * STEP / DAY
        for fault in faults:
            kind = fault.kind.removeprefix("fault:")
            happened[kind] += 1
            met[kind] += any(one.start < fault.end + HOUR and one.end > fault.start for one in lived)
        others += sum(
            not any(one.start < fault.end + HOUR and one.end > fault.start for fault in faults) for one in lived
        )

    assert {} == {
        kind: met[kind] / happened[kind] for kind, least in FOUND.items() if met[kind] < least * happened[kind]
    }
    assert others / days <= 0.1
    assert {"low"} == {rule.priority for rule in SHIPPED.rules.values() if rule.sensor}

"""Conditions of the past through the life of alerts: each counted once, with what would have come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tiny import small_settings, somebody
from vitalwatch.alerting.judging import Judge
from vitalwatch.alerting.reliving import relive
from vitalwatch.alerting.rules import Rule, read_rules

SCHEMA = small_settings().schema
SHIPPED = read_rules(Path(__file__).parent.parent.parent / "rules.yaml", SCHEMA)
HOT = {"when": {"vital": "body_temperature", "above": 38.5}, "priority": "medium"}


def lived(monitor, stretches: list[tuple[int, int]], **rule: object):
    """What one rule raises for somebody who is hot in some stretches of rows, in minutes since the start."""
    one = somebody(0).readings.rows(slice(0, 700))
    warm = np.where(np.arange(700) % 2 == 0, 37.3, 37.4).astype(np.float32)
    for begin, end in stretches:
        warm[begin:end] += 1.4
    one = replace(one, values=dict(one.values) | {"body_temperature": warm})
    state, answers = monitor.advance(monitor.begin(one.person), one, forecast=False)
    rules = SHIPPED.model_copy(update={"rules": {"hot": Rule.model_validate(HOT | rule)}})
    found = relive(Judge(rules, SCHEMA), state, answers)
    rows = [np.searchsorted(one.time, (alert.start, alert.end)).tolist() for alert in found]
    return [(*row, alert.alert.repeats) for row, alert in zip(rows, found, strict=True)]


def test_two_episodes_far_apart_are_two_alarms(tiny_monitor):
    assert [(100, 104, 0), (200, 204, 0)] == lived(tiny_monitor, [(100, 104), (200, 204)], cool_down="30min")


def test_an_episode_within_the_cool_down_raises_nothing(tiny_monitor):
    assert [(100, 104, 0)] == lived(tiny_monitor, [(100, 104), (108, 112)], cool_down="2h")


def test_an_alarm_is_known_only_once_it_has_lasted(tiny_monitor):
    assert [(103, 106, 0)] == lived(tiny_monitor, [(100, 106)], lasts="20min")
    assert [] == lived(tiny_monitor, [(100, 103)], lasts="20min")


def test_what_lasts_comes_back_by_itself_as_often_as_rules_say(tiny_monitor):
    assert [(280, 370, 1)] == lived(tiny_monitor, [(280, 370)])  # 7.5 hours, medium comes back every four


def test_an_alarm_that_lasts_to_the_end_ends_there(tiny_monitor):
    (start, end, _), *_ = lived(tiny_monitor, [(690, 700)])

    assert (690, 700) == (start, end)


def test_an_alarm_that_came_sooner_because_it_is_louder_is_told_then_also_while_it_is_open(tiny_monitor):
    rule = {"lasts": "2h", "sooner": "10min", "louder": {"high": 38.6}}

    assert [(101, 104, 0), (691, 700, 1)] == lived(tiny_monitor, [(100, 104), (690, 700)], **rule)
    assert [] == lived(tiny_monitor, [(100, 104), (690, 700)], **rule | {"louder": {"high": 40.0}})


def test_what_outlasts_the_cool_down_of_the_one_before_is_an_alarm_from_then_on(tiny_monitor):
    assert [(100, 104, 0), (128, 140, 0)] == lived(tiny_monitor, [(100, 104), (108, 140)], cool_down="2h")

"""What alarms cost those who answer them."""

from __future__ import annotations

import math

from alerting_world import FLAT, Ward, condition
from vitalwatch.alerting.alerts import ACKNOWLEDGE
from vitalwatch.alerting.burden import burden, burdens


def test_answered_late_or_never_and_repeated_alarms_are_counted():
    ward = Ward()
    ward.sees(0, condition(), person="anna")
    ward.sees(0, condition(), person="ben")
    ward.sees(0, condition(of=FLAT), person="cleo")
    anna, ben = (next(one for one in ward.alerts.values() if one.person == who) for who in ("anna", "ben"))
    ward.does(4, ACKNOWLEDGE, anna)
    ward.does(10, ACKNOWLEDGE, ben)
    ward.sees(12, person="cleo")  # gone before anybody answered
    ward.at(34)  # anna's comes back
    found = burden(ward.alerts.values(), person_days=6.0)

    assert (3, 0.5) == (found.alerts, found.per_person_day)
    assert (2 / 3, 1 / 3) == (found.acknowledged, found.unanswered)
    assert 7.0 == found.minutes_median
    assert (1 / 3, 4 / 3) == (found.repeated, found.signals)
    assert (0.0, 2 / 3) == (found.escalated, found.physiological)


def test_each_rule_has_a_burden_of_its_own_the_largest_first():
    ward = Ward()
    ward.sees(0, condition(of=FLAT), person="anna")
    ward.sees(0, condition(), person="ben")
    ward.sees(0, condition(), person="cleo")
    ward.does(4, ACKNOWLEDGE, next(one for one in ward.alerts.values() if one.person == "ben"))
    found = burdens(ward.alerts.values(), person_days=2.0)

    assert ["fast", "flat"] == list(found.rules)
    assert (3, 2, 1) == (found.total.alerts, found.rules["fast"].alerts, found.rules["flat"].alerts)
    assert (0.5, 0.0) == (found.rules["fast"].acknowledged, found.rules["flat"].acknowledged)
    assert (1.0, 0.5) == (found.rules["fast"].per_person_day, found.rules["flat"].per_person_day)
    assert 0.5 == found.to_json()["rules"]["fast"]["acknowledged"]


def test_what_never_sounded_is_no_burden():
    ward = Ward()
    ward.sees(9, condition(start=1, end=8, of=FLAT))

    assert 0 == burden(ward.alerts.values(), 1.0).alerts


def test_without_alarms_or_days_nothing_is_claimed():
    found = burden([], 0.0)

    assert math.isnan(found.per_person_day)
    assert found.to_json()["acknowledged"] is None

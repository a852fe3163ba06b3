"""Rules of one person: what may be written, what they raise, and what is said about what may not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_judging import SCHEMA, SHIPPED, STEP, answers, conditions, spans, with_rules

from tiny import somebody
from vitalwatch.alerting.judging import Judge, Memory
from vitalwatch.alerting.reliving import recalled
from vitalwatch.alerting.rules import CHANGED, MINE, SHARED, Personal, in_force, personal_of
from vitalwatch.alerting.telling import listed
from vitalwatch.errors import SettingsError

DAYS = {"when": {"mean": "heart_rate", "over": "3d", "above": 100}, "priority": "medium"}
TOGETHER = {
    "all": [{"usual": "heart_rate", "above": 2}, {"usual": "body_temperature", "above": 2}],
    "priority": "high",
}
SLOW = {"when": {"vital": "heart_rate", "below": 44}, "priority": "medium", "lasts": "10min"}
NONE = with_rules(never={"when": {"vital": "heart_rate", "above": 240}, "priority": "low"})


def own(**rules: dict) -> Personal:
    return personal_of({"own": rules}, SHIPPED, SCHEMA)


@pytest.mark.parametrize(
    ("rule", "told", "raised"),
    [
        (DAYS, answers(900, heart_rate=108 + np.arange(900) % 2), [("own_1", 864, None)]),
        (DAYS, answers(900, heart_rate=92 + np.arange(900) % 2), []),
        (TOGETHER, answers(9, {"heart_rate": [2.5] * 9, "body_temperature": [3.0] * 9}), [("own_1", 0, None)]),
        (TOGETHER, answers(9, {"heart_rate": [2.5] * 9, "body_temperature": [0.1] * 9}), []),
        (SLOW, answers(6, heart_rate=[60, 43, 42, 43, 60, 60.5]), [("own_1", 1, 4)]),
        (SLOW, answers(6, heart_rate=[60, 43, 60, 43, 60, 60.5]), []),
    ],
)
def test_what_a_clinician_writes_for_one_person_is_raised_for_them(rule, told, raised):
    assert raised == spans(conditions(NONE, told, own(own_1=rule)))


@pytest.mark.parametrize(
    ("personal", "saturation", "raised"),
    [
        ({}, 89.0, True),
        ({"oxygen_scale": 2}, 89.0, False),
        ({"oxygen_scale": 2}, 87.0, True),
        ({"oxygen_scale": 2, "limits": {"oxygen_saturation": {"low": 90}}}, 89.0, True),
        ({"supplemental_oxygen": True}, 89.0, True),
    ],
)
def test_saturation_is_low_below_88_on_the_second_oxygen_scale_unless_a_clinician_says_otherwise(
    personal, saturation, raised
):
    low = with_rules(low={"when": {"vital": "oxygen_saturation", "below": "limit"}, "priority": "medium"})
    told = answers(6, oxygen_saturation=[saturation, saturation + 0.5] * 3)

    assert raised == bool(conditions(low, told, Personal.model_validate(personal)))


@pytest.mark.parametrize(("oxygen", "limit"), [(True, "96"), (False, "100"), (None, "100")])
def test_above_what_saturation_is_too_high_on_the_second_scale_depends_on_oxygen_and_is_told(oxygen, limit):
    high = with_rules(high={"when": {"vital": "oxygen_saturation", "above": "limit"}, "priority": "medium"})
    personal = Personal(oxygen_scale=2, supplemental_oxygen=oxygen)

    (told,) = [one["sentence"] for one in listed(high, personal, SCHEMA) if "high" == one["name"]]
    assert f"Oxygen saturation above {limit} % (the limit); medium priority." == told


def test_an_own_rule_with_the_name_of_a_shared_one_takes_its_place():
    fast = answers(6, heart_rate=[125, 126] * 3)
    shared = with_rules(fast={"when": {"vital": "heart_rate", "above": 120}, "priority": "medium"})
    mine = Personal.model_validate(
        {"own": {"fast": {"when": {"vital": "heart_rate", "above": 130}, "priority": "low"}}}
    )

    assert [("fast", 0, None)] == spans(conditions(shared, fast))
    assert [] == spans(conditions(shared, fast, mine))


def test_rules_in_force_are_told_with_where_they_stand_and_in_words():
    one = personal_of(
        {"limits": {"heart_rate": {"high": 130}}, "rules": {"news2": {"priority": "high"}}, "own": {"own_1": DAYS}},
        SHIPPED, SCHEMA,
    )  # fmt: skip
    told = {rule["name"]: rule for rule in listed(SHIPPED, one, SCHEMA)}

    assert (SHARED, CHANGED, MINE) == tuple(told[name]["source"] for name in ("heart_rate_high", "news2", "own_1"))
    assert "Heart rate above 130 bpm (the limit), for 30min; medium priority." == told["heart_rate_high"]["sentence"]
    assert "Mean heart rate over 3d above 100 bpm; medium priority." == told["own_1"]["sentence"]
    assert DAYS == told["own_1"]["rule"]
    assert [*SHIPPED.rules, "own_1"] == list(told)
    assert all(rule["sentence"].endswith(".") for rule in told.values())


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"fast": SLOW}, "own.fast: is no name of an own rule. Write own_1 to own_99"),
        ({"own_1": SLOW | {"says": "Mr Smith"}}, "says: is free text, which an own rule has not"),
        ({"own_1": {"channel": "known"}}, "must compare values"),
        ({"known": SLOW}, "cannot be replaced: it compares no values. Switch it off"),
        ({"own_1": SLOW | {"cool_down": "2d"}}, "cool_down: is longer than 1d"),
        ({"own_1": SLOW | {"when": {"vital": "pulse", "below": 44}}}, "pulse: is no vital sign"),
        ({"own_1": SLOW | {"when": {"vital": "heart_rate", "blow": 44}}}, "unknown key. Did you mean below?"),
        ({"own_1": SLOW | {"when": {"vital": "heart_rate", "above": 400}}}, "Write a number between 20 and 250 /min"),
        ({"own_1": SLOW | {"when": {"news2": "total", "at_least": 0}}}, "Write a number between 0 and 20.5 points"),
        ({"own_1": SLOW | {"when": {"usual": "heart_rate", "above": 40}}}, "between 0 and 20 own spreads"),
        ({"own_1": SLOW | {"when": None, "any": [SLOW["when"]] * 5}}, "has more than 4 comparisons"),
        ({f"own_{i}": SLOW for i in range(1, 22)}, "holds more than 20 rules"),
        ({"own_1": SLOW | {"louder": {"high": 9e9}}}, "Write a number between 20 and 250 /min"),
        ({"own_1": SLOW | {"when": SLOW["when"] | {"hysteresis": 1e300}}}, "Write a number between 20 and 250 /min"),
        (
            {"own_1": SLOW | {"when": SLOW["when"] | {"beyond_usual": 1e300}}},
            "beyond_usual: is more than is ever measured",
        ),
        ({"own_1": SLOW | {"lasts": "31d"}}, "lasts: is longer than 30d"),
        ({"own_1": SLOW | {"lasts": "a while"}}, "a duration is written like 15s, 10min, 6h or 3d"),
    ],
)
def test_what_cannot_be_an_own_rule_is_refused_in_words(rules, told):
    with pytest.raises(SettingsError) as caught:
        own(**rules)

    assert told in str(caught.value)


@pytest.mark.parametrize("told", [19.9, 20, 250, 250.1, -1, 1e300, float("inf"), float("nan"), 10**309])
@pytest.mark.parametrize("side", ["low", "high"])
def test_a_limit_that_no_sensor_can_reach_is_refused_for_it_would_silence_an_alarm(side, told):
    with pytest.raises(SettingsError, match=f"limits.heart_rate.{side}"):
        personal_of({"limits": {"heart_rate": {side: told}}}, SHIPPED, SCHEMA)
    personal_of({"limits": {"heart_rate": {"low": 20.1, "high": 249.9}}}, SHIPPED, SCHEMA)


def test_times_of_silence_of_one_person_are_bounded():
    with pytest.raises(SettingsError, match="not_worn: is longer than 30d"):
        personal_of({"wearing": {"silence": "10min", "not_worn": "9999999d"}}, SHIPPED, SCHEMA)


def test_a_rule_is_not_both_changed_and_written_anew():
    with pytest.raises(SettingsError, match="stands under rules, too"):
        personal_of({"own": {"news2": SLOW}, "rules": {"news2": {"enabled": False}}}, SHIPPED, SCHEMA)


def test_a_persons_cool_down_is_no_longer_than_resolved_alerts_are_looked_up():
    with pytest.raises(SettingsError, match="cool_down: is longer than 1d"):
        personal_of({"rules": {"news2": {"cool_down": "3d"}}}, SHIPPED, SCHEMA)


def test_a_removed_rule_is_forgotten_and_does_not_come_back_with_what_it_remembered():
    told = answers(6, heart_rate=[43, 42] * 3)
    memory, _ = Judge(NONE, SCHEMA, own(own_1=SLOW)).look(Memory(), told)
    assert {"own_1"} == set(memory.after.held)

    later = answers(9, heart_rate=[43, 42] * 3 + [60, 60.5, 60])
    memory, found = Judge(NONE, SCHEMA).look(memory, later)
    assert ({}, ()) == (memory.after.held, found)


def test_a_new_rule_remembers_what_it_would_had_it_always_been():
    """A mean over three days is known in the row after it was written, and other rules go on as they were."""
    whole = answers(1000, heart_rate=108 + np.arange(1000) % 2)
    both = {"fast": {"when": {"vital": "heart_rate", "above": 105}, "priority": "low"}}
    before, after = Judge(with_rules(**both), SCHEMA), Judge(with_rules(**both), SCHEMA, own(own_1=DAYS))
    memory, _ = before.look(Memory(), whole)
    tried, _ = after.look(Memory(), whole)
    adopted = memory.adopting(tried, {"own_1"})

    assert memory.after.held["fast"] == adopted.after.held["fast"]
    assert tried.after.means == adopted.after.means
    present = {one.rule: (one.start - int(whole.time[0])) // STEP for one in after.look(adopted, answers(0))[1]}
    assert {"fast": 0, "own_1": 864} == present


def test_a_life_in_parts_is_relived_as_one(tiny_monitor):
    life = somebody(3)
    judge = Judge(SHIPPED, SCHEMA, own(own_1={"when": {"vital": "heart_rate", "above": 90}, "priority": "low"}))
    state, parts = tiny_monitor.begin("anna", life.profile), []
    cuts = [0, 288, 600, 601, 2000, len(life.readings)]
    for a, b in itertools.pairwise(cuts):
        state, some = tiny_monitor.advance(state, life.readings.rows(slice(a, b)), forecast=False)
        parts.append(some)
    whole_state, whole = tiny_monitor.advance(tiny_monitor.begin("anna", life.profile), life.readings, forecast=False)
    (one, memory), (other, same) = recalled(judge, state, parts), recalled(judge, whole_state, [whole])

    assert len(one) > 3
    assert [(a.alert.rule, a.start, a.end) for a in one] == [(a.alert.rule, a.start, a.end) for a in other]
    assert memory == same
    assert all(rule in in_force(SHIPPED, judge.personal) for rule in {a.alert.rule for a in one})

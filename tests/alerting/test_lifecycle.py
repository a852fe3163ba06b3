"""Reliability L2, L3, L7, L8: what becomes of an alert, one sentence a test."""

from __future__ import annotations

import pytest

from alerting_world import FAST, FLAT, SIGNALS, Ward, condition
from vitalwatch.alerting.alerts import (
    ACKNOWLEDGE,
    ACKNOWLEDGED,
    AUDIO_PAUSED,
    DISCHARGE,
    ESCALATE,
    LATCHED,
    RESOLVE,
    RESOLVED,
    SIGNALLING,
    SNOOZE,
    STATES,
    Action,
    Alert,
    alert_id,
)
from vitalwatch.alerting.lifecycle import REASONS, step
from vitalwatch.alerting.transitions import CAUSES, TRANSITIONS
from vitalwatch.tables import MINUTE


def test_a_condition_raises_one_alert_that_sounds():
    ward = Ward()
    done = ward.sees(0, condition())

    assert SIGNALLING == ward.only.state
    assert [("raised", True)] == [(one.cause, one.sounds) for one in done.transitions]


def test_a_condition_seen_again_is_the_same_alert_and_says_nothing():
    ward = Ward()
    ward.sees(0, condition())
    done = ward.sees(1, condition())

    assert ([], {}) == (done.transitions, done.alerts)


def test_the_id_of_an_alert_depends_on_person_rule_kind_and_start_only():
    ward, other = Ward(), Ward()
    ward.sees(0, condition(start=-5))
    other.sees(40, condition(start=-5, explanation="Said otherwise.", priority="high"))

    assert ward.only.id == other.only.id == alert_id("anna", "fast", "", -5 * MINUTE)


def test_a_latching_alert_stays_until_somebody_acknowledges():
    ward = Ward()
    ward.sees(0, condition())
    ward.sees(5)
    assert LATCHED == ward.only.state

    ward.does(6, ACKNOWLEDGE)
    assert RESOLVED == ward.only.state


def test_a_technical_alert_goes_with_its_condition():
    ward = Ward()
    ward.sees(0, condition(of=FLAT))
    ward.sees(5)

    assert RESOLVED == ward.only.state


def test_acknowledged_but_persisting_stays_visible_and_alarms_again():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, ACKNOWLEDGE)
    ward.sees(30, condition())
    assert (ACKNOWLEDGED, True, False) == (ward.only.state, ward.only.open, ward.only.audible)

    done = ward.at(31)
    assert (SIGNALLING, 1) == (ward.only.state, ward.only.repeats)
    assert [("re_alarmed", True)] == [(one.cause, one.sounds) for one in done.transitions]


@pytest.mark.parametrize("action", [ACKNOWLEDGE, SNOOZE])
def test_a_new_higher_priority_sounds_at_once(action):
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, action)
    done = ward.sees(2, condition(priority="high", explanation="Faster."))

    assert (SIGNALLING, "high", "Faster.") == (ward.only.state, ward.only.priority, ward.only.explanation)
    assert done.transitions[0].sounds


def test_a_lower_priority_does_not_calm_an_alert():
    ward = Ward()
    ward.sees(0, condition(priority="high"))
    ward.sees(1, condition(priority="low"))

    assert "high" == ward.only.priority


def test_a_snooze_returns_after_its_time():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, SNOOZE, pause=20)
    assert [] == ward.at(20.9).transitions
    assert AUDIO_PAUSED == ward.only.state

    assert ["pause_over"] == [one.cause for one in ward.at(21).transitions]
    assert SIGNALLING == ward.only.state


def test_a_snooze_of_a_condition_that_goes_away_returns_latched():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, SNOOZE, pause=20)
    ward.sees(5)
    assert (LATCHED, False) == (ward.only.state, ward.only.audible)

    ward.at(21)
    assert (LATCHED, True) == (ward.only.state, ward.only.audible)


def test_a_snoozed_condition_that_flickers_stays_silent_until_its_time():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, SNOOZE, pause=20)
    ward.sees(5)
    ward.sees(7, condition(start=7))
    assert (AUDIO_PAUSED, False) == (ward.only.state, ward.only.audible)

    ward.at(21)
    assert SIGNALLING == ward.only.state


def test_a_pause_ends_though_the_clock_was_set_back():
    ward = Ward()
    ward.sees(600, condition(start=600))
    ward.does(600, SNOOZE, pause=20)
    ward.at(100)  # 8 hours back
    assert AUDIO_PAUSED == ward.only.state

    ward.at(120)
    assert SIGNALLING == ward.only.state


def test_a_pause_longer_than_allowed_is_refused():
    ward = Ward()
    ward.sees(0, condition())

    assert ["bad_pause"] == [one.reason for one in ward.does(1, SNOOZE, pause=241).refused]
    assert ["bad_pause"] == [one.reason for one in ward.does(1, SNOOZE, pause=-1).refused]
    assert SIGNALLING == ward.only.state


def test_what_nobody_acts_on_escalates_by_timer_and_gets_louder():
    ward = Ward()
    ward.sees(0, condition())
    done = ward.at(15)
    assert [("escalated_by_timer", "high", True)] == [(one.cause, one.priority, one.sounds) for one in done.transitions]

    for minute in (18, 21, 24, 27):
        ward.at(minute)
    assert (3, None) == (ward.only.level, ward.only.escalate_at)  # nobody else is there to be called


def test_a_latched_alert_that_nobody_saw_still_escalates():
    ward = Ward()
    ward.sees(0, condition())
    ward.sees(14)
    ward.at(15)

    assert (LATCHED, 1) == (ward.only.state, ward.only.level)


def test_an_acknowledged_alert_does_not_escalate():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(14, ACKNOWLEDGE)
    ward.at(15)

    assert 0 == ward.only.level


def test_somebody_can_escalate_by_hand():
    ward = Ward()
    ward.sees(0, condition(priority="low"))
    ward.does(1, ACKNOWLEDGE)
    done = ward.does(2, ESCALATE, actor="doctor")

    assert (SIGNALLING, "medium", 1) == (ward.only.state, ward.only.priority, ward.only.level)
    assert ["doctor"] == [one.actor for one in done.transitions]


def test_the_first_acknowledgement_is_kept():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, ACKNOWLEDGE, actor="nurse")
    ward.does(2, ACKNOWLEDGE, actor="somebody else")

    assert ("nurse", MINUTE) == (ward.only.acknowledged_by, ward.only.acknowledged_at)


def test_who_acknowledges_what_came_back_is_who_has_it_now():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, ACKNOWLEDGE, actor="nurse")
    ward.at(31)
    ward.does(32, ACKNOWLEDGE, actor="night nurse")

    assert ("night nurse", MINUTE) == (ward.only.acknowledged_by, ward.only.acknowledged_at)


def test_the_same_condition_raises_nothing_new_within_its_cool_down():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    ward.sees(5, condition(start=5, cool_down=10 * MINUTE))
    assert [] == heard(ward)

    ward.sees(12, condition(start=5, cool_down=10 * MINUTE))  # still there
    assert [SIGNALLING] == [alert.state for alert in ward.open]


def test_a_condition_that_is_there_again_within_its_cool_down_is_seen_and_not_heard():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    done = ward.sees(5, condition(start=5, cool_down=10 * MINUTE))

    assert [("held", False, ACKNOWLEDGED)] == [(one.cause, one.sounds, one.after) for one in done.transitions]
    assert [("", None, 12 * MINUTE)] == [(one.acknowledged_by, one.sounded_at, one.until) for one in ward.open]


def test_what_waited_for_its_cool_down_is_raised_when_it_is_heard_and_has_not_come_back():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    ward.sees(5, condition(start=5, cool_down=10 * MINUTE))
    ward.at(12)

    assert [(SIGNALLING, 0, 12 * MINUTE)] == [(one.state, one.repeats, one.raised_at) for one in ward.open]


def test_what_comes_within_a_cool_down_begins_none_so_that_what_flickers_is_heard():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    for minute in (4, 8):
        ward.sees(minute, condition(start=minute, cool_down=10 * MINUTE))
        ward.sees(minute + 3)
    assert [] == ward.open

    ward.sees(13, condition(start=13, cool_down=10 * MINUTE))
    assert ["fast"] == heard(ward)


def test_what_waited_and_was_heard_has_a_cool_down_of_its_own():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    for minute in (5, 13):  # waits, and is heard at 12
        ward.sees(minute, condition(start=5, cool_down=10 * MINUTE))
    ward.does(14, ACKNOWLEDGE, ward.open[0])
    ward.sees(15, condition(start=5, end=15, cool_down=10 * MINUTE))
    ward.sees(20, condition(start=20, cool_down=10 * MINUTE))

    assert ([], 1) == (heard(ward), len(ward.open))


def test_what_came_and_went_within_a_cool_down_is_noted():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    done = ward.sees(8, condition(start=5, end=7, cool_down=10 * MINUTE))

    assert [("noted", RESOLVED, False)] == [(one.cause, one.after, one.sounds) for one in done.transitions]


def test_what_is_there_silently_within_its_cool_down_speaks_for_no_other():
    ward = Ward()
    first = {"about": ("heart_rate",), "cool_down": 60 * MINUTE}
    ward.sees(0, condition(**first))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    ward.sees(5, condition(start=5, **first))
    ward.sees(6, condition(start=5, **first), condition(start=6, **FASTER))

    assert ["unusual"] == heard(ward)


def test_what_is_closed_while_it_is_there_stays_visible_and_comes_back_after_again_not_its_cool_down():
    ward = Ward()
    told = condition(cool_down=360 * MINUTE)
    ward.sees(0, told)
    ward.does(5, RESOLVE)
    ward.sees(6, told)
    assert ([], ["fast"]) == (heard(ward), [one.rule for one in ward.open])

    ward.sees(36, told)
    assert ["fast"] == heard(ward)


def test_a_condition_closed_while_it_was_there_begins_its_cool_down_when_it_is_over():
    ward = Ward()
    ward.sees(0, condition(cool_down=60 * MINUTE))
    ward.does(5, RESOLVE)
    ward.sees(6, condition(cool_down=60 * MINUTE))
    ward.sees(20)
    ward.sees(50, condition(start=50, cool_down=60 * MINUTE))
    assert ([], 1) == (heard(ward), len(ward.open))

    ward.at(80)
    assert ["fast"] == heard(ward)


def test_a_wait_for_a_cool_down_ends_though_the_clock_was_set_back():
    ward = Ward()
    ward.sees(600, condition(start=600, cool_down=10 * MINUTE))
    ward.does(600, ACKNOWLEDGE)
    ward.sees(601)
    ward.sees(100, condition(start=602, cool_down=10 * MINUTE))  # 8 hours back
    ward.at(110)

    assert ["fast"] == heard(ward)


def test_a_worse_condition_does_not_wait_for_the_cool_down():
    ward = Ward()
    ward.sees(0, condition(cool_down=10 * MINUTE))
    ward.does(1, ACKNOWLEDGE)
    ward.sees(2)
    ward.sees(5, condition(start=5, cool_down=10 * MINUTE, priority="high"))

    assert ["high"] == [alert.priority for alert in ward.open]


def test_a_condition_that_outlives_a_resolve_raises_a_new_alert():
    ward = Ward()
    ward.sees(0, condition())
    first = ward.only
    ward.does(1, RESOLVE)
    ward.sees(2, condition())

    (second,) = ward.open
    assert first.id != second.id


def test_an_action_on_what_is_over_or_unknown_is_refused():
    ward = Ward()
    ward.sees(0, condition(of=FLAT))
    ward.sees(1)

    assert ["already_resolved"] == [one.reason for one in ward.does(2, ACKNOWLEDGE).refused]
    assert ["unknown_alert"] == [one.reason for one in ward.at(2, Action(ACKNOWLEDGE, "nurse", "nothing")).refused]
    assert ["unknown_action"] == [one.reason for one in ward.does(2, "silence").refused]


def test_discharge_closes_technical_alarms_and_keeps_what_nobody_saw():
    ward = Ward()
    ward.sees(0, condition(), condition(of=FLAT))
    ward.at(1, Action(DISCHARGE, "clerk", person="anna"))

    assert {"fast": LATCHED, "flat": RESOLVED} == {alert.rule: alert.state for alert in ward.alerts.values()}


def test_discharge_leaves_other_people_alone():
    ward = Ward()
    ward.sees(0, condition(of=FLAT), person="ben")
    ward.at(1, Action(DISCHARGE, "clerk", person="anna"))

    assert SIGNALLING == ward.only.state


def backlog(ward: Ward) -> None:
    """An hour that came late: two episodes over, a broken sensor, and one that goes on."""
    over = condition(start=5, end=10)
    hot = condition(start=15, end=25, rule="hot", explanation="Hot.", priority="high")
    now = condition(start=50, rule="low_oxygen", explanation="Oxygen is low.")
    ward.sees(60, over, hot, condition(start=30, of=FLAT), now, first=0)


def test_a_flood_after_a_reconnect_is_one_summary_a_person_true_ones_first():
    ward = Ward()
    backlog(ward)

    (shown,) = [alert for alert in ward.open if alert.audible]
    assert ("backlog", "medium") == (shown.rule, shown.priority)  # hot is over: what is true sets the priority
    assert (
        "4 alarms came with late readings, 2 of them still true. "
        "[now] Oxygen is low. [now] Check the sensor. [over] Hot. [over] The heart is fast."
    ) == shown.explanation


def test_acknowledging_a_summary_acknowledges_what_it_speaks_for():
    ward = Ward()
    backlog(ward)
    ward.does(61, ACKNOWLEDGE, next(alert for alert in ward.open if alert.rule == "backlog"))

    assert {
        "backlog": RESOLVED,
        "fast": RESOLVED,
        "hot": RESOLVED,
        "low_oxygen": ACKNOWLEDGED,
        "flat": ACKNOWLEDGED,
    } == {alert.rule: alert.state for alert in ward.alerts.values()}


def test_one_that_gets_worse_leaves_its_summary_and_sounds():
    ward = Ward()
    backlog(ward)
    done = ward.sees(61, condition(start=50, rule="low_oxygen", priority="high"), condition(start=30, of=FLAT))

    assert [("low_oxygen", True)] == [(ward.alerts[one.alert].rule, one.sounds) for one in done.transitions]


def test_one_late_alarm_speaks_for_itself():
    ward = Ward()
    ward.sees(60, condition(start=50), first=0)

    assert ("fast", True) == (ward.only.rule, ward.only.audible)


def days_old(ward: Ward, *conditions) -> None:
    """Two hours of readings that come five days later."""
    ward.sees(120, *conditions, first=0, at=120 + 5 * 1440)


def test_what_was_true_where_readings_of_days_ago_end_is_not_told_as_true_now():
    ward = Ward()
    days_old(ward, condition(start=60), condition(start=80, rule="hot", explanation="Hot."), condition(5, 10, rule="a"))

    (summary,) = [alert for alert in ward.open if alert.audible]
    assert (
        "3 alarms came with late readings, 0 of them still true. [at the end of what came, 5 d ago] Hot. "
        "[at the end of what came, 5 d ago] The heart is fast. [over] The heart is fast."
    ) == summary.explanation
    assert {LATCHED} == {alert.state for alert in ward.open}
    assert 120 * MINUTE == max(alert.end for alert in ward.open if alert.rule != "backlog")


def test_one_alarm_of_days_ago_is_told_as_over_and_still_seen():
    ward = Ward()
    days_old(ward, condition(start=60))

    assert (LATCHED, 120 * MINUTE, True) == (ward.only.state, ward.only.end, ward.only.audible)


def test_what_was_over_where_old_readings_ended_and_is_there_when_newer_ones_come_signals():
    ward = Ward()
    days_old(ward, condition(start=60))
    now = 130 + 5 * 1440
    ward.sees(now, condition(start=60))

    assert (SIGNALLING, None) == (ward.only.state, ward.only.end)


def test_a_signal_whose_condition_nothing_measured_for_an_hour_confirms_is_latched():
    ward = Ward()
    ward.sees(0, condition())
    ward.sees(20, condition(), at=75)
    assert SIGNALLING == ward.only.state

    ward.sees(20, condition(), at=81)
    assert (LATCHED, 20 * MINUTE) == (ward.only.state, ward.only.end)


def test_a_second_backlog_joins_the_open_summary():
    ward = Ward()
    backlog(ward)
    ward.sees(120, condition(start=100, rule="a"), condition(start=101, rule="b"), first=60)

    assert [2] == [alert.occurrences for alert in ward.open if alert.rule == "backlog"]


def test_a_summary_that_speaks_for_a_body_too_is_not_closed_by_discharge():
    ward = Ward()
    ward.sees(60, condition(start=30, of=FLAT), condition(start=31, of=FLAT, rule="cold"), first=0)
    flat, cold = condition(start=30, of=FLAT), condition(start=31, of=FLAT, rule="cold")
    ward.sees(120, flat, cold, condition(start=100, rule="a"), condition(start=101, rule="b"), first=60)
    ward.at(121, Action(DISCHARGE, "clerk", person="anna"))

    assert {"backlog", "a", "b"} == {alert.rule for alert in ward.open}
    assert ["backlog"] == [alert.rule for alert in ward.open if alert.audible]


FASTER = {"rule": "unusual", "about": ("heart_rate", "learnt")}
TOGETHER = condition(about=("heart_rate",)), condition(start=1, **FASTER)


def heard(ward: Ward) -> list[str]:
    return [alert.rule for alert in ward.open if alert.audible]


def test_two_alarms_that_say_the_same_sound_once():
    ward = Ward()
    ward.sees(1, *TOGETHER)
    done = ward.sees(2, *TOGETHER, condition(start=2, rule="third", priority="low", about=("heart_rate",)))

    assert 3 == len(ward.open)
    assert 1 == len(heard(ward))
    assert [False] == [one.sounds for one in done.transitions]


def test_two_alarms_about_different_things_both_sound():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",)), condition(rule="hot", about=("body_temperature",)))

    assert {"fast", "hot"} == set(heard(ward))


@pytest.mark.parametrize(("first", "second"), [("low", "medium"), ("medium", "high"), ("high", "high")])
def test_nothing_speaks_for_what_is_louder_or_urgent(first, second):
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",), priority=first))
    ward.sees(2, condition(about=("heart_rate",), priority=first), condition(start=2, **FASTER | {"priority": second}))

    assert {"fast", "unusual"} == set(heard(ward))


def test_what_joined_is_acknowledged_with_the_alarm_that_spoke_for_it_and_does_not_come_back_beside_it():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",)))
    ward.sees(2, *TOGETHER)
    ward.does(3, ACKNOWLEDGE, next(alert for alert in ward.open if alert.audible))
    assert [ACKNOWLEDGED, ACKNOWLEDGED] == [alert.state for alert in ward.open]

    ward.at(34)
    assert ["fast"] == heard(ward)


def test_what_an_acknowledged_alarm_says_already_is_acknowledged_too():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",)))
    ward.does(2, ACKNOWLEDGE)
    done = ward.sees(3, *TOGETHER)

    assert [("joined", False, ACKNOWLEDGED)] == [(one.cause, one.sounds, one.after) for one in done.transitions]


def test_what_joined_and_persists_comes_back_after_the_alarm_that_spoke_for_it_is_over():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",)))
    ward.does(2, ACKNOWLEDGE)
    ward.sees(3, *TOGETHER)
    ward.sees(10, TOGETHER[1])
    assert [] == heard(ward)

    ward.at(41)
    assert ["unusual"] == heard(ward)


def test_what_an_acknowledged_alarm_said_and_is_over_already_is_noted_only():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",)))
    ward.does(2, ACKNOWLEDGE)
    done = ward.sees(5, TOGETHER[0], condition(start=3, end=4, **FASTER))

    assert [("noted", RESOLVED)] == [(one.cause, one.after) for one in done.transitions]


def test_what_does_not_latch_speaks_for_nothing():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",), latching=False))
    ward.sees(2, condition(about=("heart_rate",), latching=False), TOGETHER[1])

    assert {"fast", "unusual"} == set(heard(ward))


def test_what_joined_and_gets_worse_sounds_at_once():
    ward = Ward()
    ward.sees(1, condition(about=("heart_rate",)))
    ward.does(2, ACKNOWLEDGE)
    ward.sees(3, *TOGETHER)
    done = ward.sees(4, TOGETHER[0], condition(start=1, **FASTER | {"priority": "high"}))

    assert [("unusual", "worsened", True)] == [
        (ward.alerts[one.alert].rule, one.cause, one.sounds) for one in done.transitions
    ]


def test_a_condition_that_came_and_went_again_is_counted():
    ward = Ward()
    ward.sees(0, condition())
    ward.sees(5)
    ward.sees(9, condition(start=6, end=8))
    assert (LATCHED, 2) == (ward.only.state, ward.only.occurrences)

    ward.sees(10, condition(start=6, end=8))  # told again
    assert 2 == ward.only.occurrences


def test_a_condition_that_went_on_while_nobody_was_heard_ends_where_the_readings_say():
    ward = Ward()
    ward.sees(0, condition())
    ward.sees(5)
    ward.sees(9, condition(start=0, end=8))
    assert (8 * MINUTE, 1) == (ward.only.end, ward.only.occurrences)

    ward.sees(10, condition(start=0, end=7))  # told again
    assert 8 * MINUTE == ward.only.end


def test_what_ended_before_anybody_could_see_it_is_still_told():
    ward = Ward()
    ward.sees(9, condition(start=1, end=8))

    assert (LATCHED, True) == (ward.only.state, ward.only.audible)


def test_a_technical_condition_that_is_over_when_it_is_told_makes_no_noise():
    ward = Ward()
    done = ward.sees(9, condition(start=1, end=8, of=FLAT))

    assert [("noted", RESOLVED, False)] == [(one.cause, one.after, one.sounds) for one in done.transitions]


def test_every_row_of_the_table_is_a_state_and_a_cause_that_are_named():
    assert set(STATES) | {""} == {before for before, _ in TRANSITIONS} | {RESOLVED}
    assert set(CAUSES) == {cause for _, cause in TRANSITIONS}
    assert set(STATES) == set(TRANSITIONS.values())


def test_nothing_leads_out_of_resolved():
    assert [] == [row for row in TRANSITIONS if row[0] == RESOLVED]


def test_every_reason_of_a_refusal_is_explained():
    ward = Ward()
    ward.sees(0, condition())
    refused = [*ward.does(1, SNOOZE, pause=999).refused, *ward.does(1, "shout").refused]
    refused += ward.at(1, Action(RESOLVE, "nurse", "?")).refused
    ward.does(2, RESOLVE)
    refused += ward.does(3, RESOLVE).refused

    assert set(REASONS) == {one.reason for one in refused}


def test_an_alert_survives_a_trip_through_json():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, SNOOZE)

    assert ward.only == Alert.from_json(ward.only.to_json())


def test_a_step_changes_nothing_that_it_was_given():
    ward = Ward()
    ward.sees(0, condition(of=FAST))
    before = dict(ward.alerts)
    step(before.values(), (), [Action(ACKNOWLEDGE, "nurse", ward.only.id)], MINUTE, SIGNALS)

    assert ward.alerts == before

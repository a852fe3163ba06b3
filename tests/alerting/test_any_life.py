"""L3 as a property: whatever happens in whatever order, no alert makes a step that is not in the table."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from alerting_world import FAST, FLAT, SIGNALS
from vitalwatch.alerting.alerts import (
    ACKNOWLEDGED,
    ACTIONS,
    AUDIO_PAUSED,
    DISCHARGE,
    LATCHED,
    PRIORITIES,
    RESOLVED,
    SIGNALLING,
    TECHNICAL,
    Action,
    Alert,
    Condition,
    Observed,
)
from vitalwatch.alerting.lifecycle import MAX_LEVEL, SUMMARY, Step, step
from vitalwatch.alerting.transitions import ENDED, TRANSITIONS
from vitalwatch.tables import MINUTE

PEOPLE = ("anna", "ben")
SEEN = {ACKNOWLEDGED, AUDIO_PAUSED}


@dataclass
class Life:
    """A ward on which anything may happen; remembers what a database would."""

    dice: random.Random
    now: int = 10**12
    alerts: dict[str, Alert] = field(default_factory=dict)
    present: dict[tuple[str, str], Condition] = field(default_factory=dict)  # (person, rule) -> condition
    steps: int = 0
    transitions: int = 0

    def go_on(self) -> Step:
        """Let something happen, check it, and return it."""
        dice = self.dice
        self.now += dice.choice(
            (0, 1, MINUTE, 5 * MINUTE, 31 * MINUTE, -60 * MINUTE) if dice.random() < 0.9 else (10**7,)
        )
        seen = [self.looks(person) for person in PEOPLE if dice.random() < 0.5]
        actions = [self.asks() for _ in range(dice.choice((0, 0, 1, 1, 2)))]
        before = dict(self.alerts)
        done = step(self.alerts.values(), seen, actions, self.now, SIGNALS)
        self.alerts |= done.alerts
        self.check(before, done, actions)
        self.forget()
        self.steps += 1
        self.transitions += len(done.transitions)
        return done

    def looks(self, person: str) -> Observed:
        """Conditions come, go, come and go between two looks, get worse, and are told twice."""
        dice, told = self.dice, []
        for rule in ("a", "b", "e", "c", "d"):
            here, chance = self.present.get((person, rule)), dice.random()
            of = FLAT if rule in ("c", "d") else FAST
            if here is None and chance < 0.3:
                begun = self.now - dice.randrange(40 * MINUTE)
                cool, about = dice.choice((0, 10 * MINUTE)), dice.choice((("breath",), ("heart",), ("heart", "breath")))
                here = Condition(
                    rule, "", of.category, dice.choice(PRIORITIES), begun, None, "It is.", of.latching, cool, about
                )
                if chance < 0.1:  # over before anybody looked
                    told.append(replace(here, end=begun + 1))
                    continue
                self.present[person, rule] = here
            elif here is not None and chance < 0.3:
                del self.present[person, rule]
                if chance < 0.15:
                    told.append(replace(here, end=max(self.now, here.start + 1)))
                continue
            elif here is not None and chance < 0.5:
                here = self.present[person, rule] = replace(here, priority=dice.choice(PRIORITIES))
            if here is not None:
                told.append(here)
        late = dice.choice((0, 0, 60 * MINUTE))
        return Observed(person, "rules", self.now - late, self.now, tuple(told))

    def asks(self) -> Action:
        dice = self.dice
        kind, one = dice.choice(ACTIONS), dice.choice([*self.alerts, "nothing"])
        if kind == DISCHARGE and dice.random() < 0.8:
            kind = "acknowledge"
        return Action(kind, "nurse", one, dice.choice(PEOPLE), dice.choice((0, 5 * MINUTE, 10**9)))

    def check(self, before: dict[str, Alert], done: Step, actions: list[Action]) -> None:
        state = {name: alert.state for name, alert in before.items()}
        for one in done.transitions:
            assert state.get(one.alert, "") == one.before, "a step begins where the one before ended"
            given_up = one.cause == ENDED and one.after == RESOLVED and not self.alerts[one.alert].latching
            assert given_up or TRANSITIONS[one.before, one.cause] == one.after
            state[one.alert] = one.after
        for name, alert in done.alerts.items():
            assert state[name] == alert.state
            self.check_alert(alert)
            if alert.state == RESOLVED and alert.latching and before.get(name, alert).state in (SIGNALLING, LATCHED):
                assert actions, "what nobody has seen does not go away by itself"
        keys = [(alert.person, alert.source, alert.key) for alert in self.alerts.values() if alert.open]
        assert len(keys) == len(set(keys)), "one condition, one open alert"

    def check_alert(self, alert: Alert) -> None:
        assert (alert.end is None) == (alert.state in (SIGNALLING, *SEEN)) or alert.state == RESOLVED
        assert alert.end is None or alert.start <= alert.end
        if alert.state == AUDIO_PAUSED:
            assert alert.until is not None
        if alert.until is not None:
            assert alert.state in (*SEEN, LATCHED)
            assert 0 < alert.until - self.now <= alert.timer <= SIGNALS.longest_pause, "no pause is stuck"
        if alert.audible and SIGNALS.timing[alert.priority].escalate and alert.level < MAX_LEVEL:
            assert alert.escalate_at is not None, "what nobody acts on escalates"
        assert (alert.escalate_at is None) or alert.audible
        if alert.summary and alert.open:
            assert self.alerts[alert.summary].open, "somebody speaks for the silent"
            self.check_leader(alert, self.alerts[alert.summary])
        assert alert.category == TECHNICAL or alert.latching
        assert (alert.acknowledged_at is None) == (alert.acknowledged_by == "")

    def check_leader(self, alert: Alert, leader: Alert) -> None:
        if leader.rule != SUMMARY:
            assert "high" != alert.priority, "nothing speaks for what is urgent"
            assert PRIORITIES.index(leader.priority) >= PRIORITIES.index(alert.priority)
            assert not leader.summary, "who speaks for another is heard"

    def forget(self) -> None:
        """As a database does: resolved alerts go once their cool-down is over."""
        over = [name for name, one in self.alerts.items() if not one.open and self.now > one.changed_at + 60 * MINUTE]
        for name in over:
            del self.alerts[name]


def walk(seed: int, transitions: int) -> Life:
    life = Life(random.Random(seed))
    while life.transitions < transitions:
        life.go_on()
    return life


@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_events_makes_an_illegal_step(seed):
    walk(seed, 4_000)


@pytest.mark.slow
def test_a_million_random_transitions_hold_no_illegal_one():
    assert 1_000_000 <= sum(walk(seed, 50_000).transitions for seed in range(100, 120))


def test_the_walk_meets_every_row_of_the_table():
    life, met = Life(random.Random(7)), set[tuple[str, str]]()
    while len(met) < len(TRANSITIONS) and life.transitions < 40_000:
        met |= {(one.before, one.cause) for one in life.go_on().transitions}

    assert set(TRANSITIONS) == met


def test_whoever_is_told_by_a_summary_is_heard_again_once_it_is_over():
    life, silent = Life(random.Random(3)), 0
    while life.transitions < 5_000:
        life.go_on()
        silent += sum(1 for one in life.alerts.values() if one.summary and one.open and one.rule != SUMMARY)
    assert silent > 0

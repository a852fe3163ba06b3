"""A tiny ward for tests of alarms: one person, one rule, minutes instead of milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vitalwatch.alerting.alerts import PHYSIOLOGICAL, TECHNICAL, Action, Alert, Condition, Observed, Transition
from vitalwatch.alerting.lifecycle import Signals, Step, Timing, step
from vitalwatch.tables import MINUTE

SIGNALS = Signals(
    timing={
        "high": Timing(again=10 * MINUTE, escalate=3 * MINUTE),
        "medium": Timing(again=30 * MINUTE, escalate=15 * MINUTE),
        "low": Timing(again=120 * MINUTE, escalate=0),
    },
    pause=30 * MINUTE,
    longest_pause=240 * MINUTE,
    backlog=15 * MINUTE,
)
FAST = Condition("fast", "", PHYSIOLOGICAL, "medium", 0, None, "The heart is fast.", latching=True, cool_down=0)
FLAT = Condition("flat", "", TECHNICAL, "low", 0, None, "Check the sensor.", latching=False, cool_down=0)


class Ward:
    """Alerts as a database would keep them; times in minutes."""

    def __init__(self, signals: Signals = SIGNALS) -> None:
        self.signals = signals
        self.alerts: dict[str, Alert] = {}
        self.told: list[Transition] = []

    def at(self, minute: float, *actions: Action, sees: Sequence[Observed] = ()) -> Step:
        done = step(self.alerts.values(), sees, actions, round(minute * MINUTE), self.signals)
        self.alerts |= done.alerts
        self.told += done.transitions
        return done

    def sees(
        self,
        minute: float,
        *conditions: Condition,
        person: str = "anna",
        first: float | None = None,
        at: float | None = None,
    ) -> Step:
        """All that the rules see of a person up to a minute; `at` another one, where readings come later."""
        start = minute if first is None else first
        seen = Observed(person, "rules", round(start * MINUTE), round(minute * MINUTE), conditions)
        return self.at(minute if at is None else at, sees=[seen])

    def does(
        self, minute: float, kind: str, alert: Alert | None = None, pause: float = 0, actor: str = "nurse"
    ) -> Step:
        return self.at(minute, Action(kind, actor, (alert or self.only).id, pause=round(pause * MINUTE)))

    @property
    def open(self) -> list[Alert]:
        return [alert for alert in self.alerts.values() if alert.open]

    @property
    def only(self) -> Alert:
        (alert,) = self.alerts.values()
        return alert

    @property
    def causes(self) -> list[str]:
        return [one.cause for one in self.told]


def condition(start: float = 0, end: float | None = None, of: Condition = FAST, **changes: Any) -> Condition:
    """A condition with its times in minutes."""
    return replace(of, start=round(start * MINUTE), end=None if end is None else round(end * MINUTE), **changes)

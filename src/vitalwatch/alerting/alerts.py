"""What an alarm is, in the words of IEC 60601-1-8: alarm condition, alert (its record), action, transition.

An *alarm condition* is a state of a person (physiological) or of the equipment (technical). An `Alert` is the record of
one condition with the state of its *alarm signal*. Times are UTC milliseconds: `start` and `end` on the clock of the
readings, everything that ends in `_at` and `until` on the clock of the one who calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vitalwatch.tables import MINUTE

PRIORITIES = ("low", "medium", "high")
PHYSIOLOGICAL, TECHNICAL = "physiological", "technical"

SIGNALLING = "signalling"  # the condition is present and the signal is on
ACKNOWLEDGED = "acknowledged"  # somebody took it on: visible, silent until it alarms again
AUDIO_PAUSED = "audio_paused"  # snoozed: visible, silent until its time is over
LATCHED = "latched"  # the condition is over, nobody has acknowledged: the signal stays on (or paused)
RESOLVED = "resolved"  # over
STATES = (SIGNALLING, ACKNOWLEDGED, AUDIO_PAUSED, LATCHED, RESOLVED)

ACKNOWLEDGE, SNOOZE, ESCALATE, RESOLVE, DISCHARGE = "acknowledge", "snooze", "escalate", "resolve", "discharge"
ACTIONS = (ACKNOWLEDGE, SNOOZE, ESCALATE, RESOLVE, DISCHARGE)

HOLD = 60 * MINUTE  # without a measurement a condition stays as it is for so long
MARKS = {"high": "***", "medium": "**", "low": "*"}  # beside the colour, which is never the only sign


@dataclass(frozen=True)
class Condition:
    """An alarm condition of one person.

    Attributes:
        rule: Name in rules.yaml, or the monitor's channel.
        kind: What it looks like, where that is known, else empty.
        category: PHYSIOLOGICAL or TECHNICAL.
        priority: high, medium or low.
        start: Of the episode, on the clock of the readings.
        end: None while it is present.
        explanation: One sentence.
        latching: Whether the signal stays on until somebody acknowledges, when the condition is over.
        cool_down: Milliseconds after it is over in which the same condition raises no new alert.
        about: What it speaks of (vitals, mostly): of two that share something one is enough to hear.
    """

    rule: str
    kind: str
    category: str
    priority: str
    start: int
    end: int | None
    explanation: str
    latching: bool
    cool_down: int
    about: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Conditions of one person with equal keys are one."""
        return self.rule, self.kind


@dataclass(frozen=True)
class Observed:
    """Everything that one source knows of one person's conditions at a moment.

    Attributes:
        person: Pseudonym.
        source: Who looked: `monitor`, `rules` or `watchdog`. An open alert of this source and person whose condition
            is not among `conditions` is over.
        first: Start of the oldest row that was looked at, on the clock of the readings.
        until: End of the newest one.
        conditions: All that are present, and those that ended since this source looked last.
        version: Run whose models looked, empty for none.
    """

    person: str
    source: str
    first: int
    until: int
    conditions: tuple[Condition, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Action:
    """What somebody asks for.

    Attributes:
        kind: One of ACTIONS.
        actor: Who.
        alert: Which, empty for a discharge.
        person: Who is discharged, empty for the others.
        pause: Milliseconds of a snooze, 0 for the usual.
    """

    kind: str
    actor: str
    alert: str = ""
    person: str = ""
    pause: int = 0


@dataclass(frozen=True)
class Alert:
    """One alarm condition and the state of its signal.

    Attributes:
        id: From person, rule, kind and start: what is told twice is one alert.
        person, source, rule, kind, category, explanation, latching, cool_down, about, version: As in `Condition` and
            `Observed`.
        priority: Of the condition at its worst, raised by escalation.
        state: One of STATES.
        start, end: Of the condition on the clock of the readings; `end` is None while it is present.
        raised_at, changed_at: When the alert was made, and when it last changed.
        sounded_at: When its signal last began, None if it never sounded.
        until: When a pause or an acknowledgement runs out, else None; `timer` is its length in milliseconds.
        escalate_at: When it is escalated if nobody acts, else None.
        level: How often it was escalated.
        acknowledged_at, acknowledged_by: When it was first acknowledged, None before, and by whom last, empty before.
        repeats: How often its signal came back by itself.
        occurrences: How often the condition began.
        summary: Alert that speaks for this one: after a reconnect, or because it says the same; empty for none.
    """

    id: str
    person: str
    source: str
    rule: str
    kind: str
    category: str
    priority: str
    state: str
    start: int
    end: int | None
    explanation: str
    latching: bool
    cool_down: int
    raised_at: int
    changed_at: int
    sounded_at: int | None = None
    until: int | None = None
    timer: int = 0
    escalate_at: int | None = None
    level: int = 0
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    repeats: int = 0
    occurrences: int = 1
    summary: str = ""
    version: str = ""
    about: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """As `Condition.key`."""
        return self.rule, self.kind

    @property
    def open(self) -> bool:
        """Whether it is not over."""
        return self.state != RESOLVED

    @property
    def audible(self) -> bool:
        """Whether its signal is on: nobody has taken it on or paused it, and no summary speaks for it."""
        return self.state in (SIGNALLING, LATCHED) and self.until is None and not self.summary

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Alert:
        """Read back what `to_json` wrote, also before there was `about`."""
        known = {field.name: told[field.name] for field in fields(Alert) if field.name != "about"}
        return Alert(**known, about=tuple(told.get("about", ())))


@dataclass(frozen=True)
class Transition:
    """One step in the life of an alert.

    Attributes:
        alert, person: Whose.
        at: When.
        before, after: States; `before` is empty for a new alert.
        cause: Why, one of `transitions.CAUSES`.
        actor: Who asked for it, empty where nobody did.
        priority: After it.
        sounds: Whether the signal begins (again): what is sent out.
    """

    alert: str
    person: str
    at: int
    before: str
    after: str
    cause: str
    actor: str
    priority: str
    sounds: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Refusal:
    """An action that was not done: which, and a reason of `lifecycle.REASONS`."""

    action: Action
    reason: str


def alert_id(person: str, rule: str, kind: str, start: int) -> str:
    """Return the id of an alert, 32 hexadecimal digits: equal for what is told twice."""
    parts = "\x1f".join((person, rule, kind, str(start)))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def higher(a: str, b: str) -> str:
    """Return the higher of two priorities."""
    return max(a, b, key=PRIORITIES.index)


def raised(priority: str) -> str:
    """Return the next higher priority."""
    return PRIORITIES[min(PRIORITIES.index(priority) + 1, len(PRIORITIES) - 1)]


def urgency(alert: Alert) -> tuple[bool, bool, int, int]:
    """Return a key that sorts the most urgent alert first: true now, a body, priority, newest."""
    over, technical = alert.end is not None, alert.category == TECHNICAL
    return over, technical, -PRIORITIES.index(alert.priority), -alert.start

"""The ward at a glance: who needs somebody, how fresh what we know is, and in which words that is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitalwatch.alerting.alerts import PRIORITIES
from vitalwatch.alerting.watchdog import NOT_WORN
from vitalwatch.schema import Schema
from vitalwatch.ui.plain import age, measured, number, sign
from vitalwatch.views import FRESH_STEPS, Seen, data_age

SHOWN = (
    "heart_rate",
    "oxygen_saturation",
    "respiratory_rate",
    "body_temperature",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
)
SHORT = {
    "heart_rate": "Heart",
    "oxygen_saturation": "SpO2",
    "respiratory_rate": "Breathing",
    "body_temperature": "Temp",
}
STATES = {  # state -> words; in the order in which they want a look
    "unusual": "Unusual now",
    "stale": "Stale: nothing new",
    "silent": "No reading yet",
    "not_worn": "Not worn",
    "waiting": "Waits for a model",
    "unknown": "Not assessable: too little measured",
    "usual": "As usual now",
    "discharged": "Discharged",
}


@dataclass(frozen=True)
class Line:
    """One person on the ward.

    Attributes:
        person: To ask for.
        name: To show.
        ward: Where.
        priority: Of the most urgent open alarm, empty for none.
        alarms: How many are open.
        acknowledged: Whether all of them are taken on.
        why: Explanation of the most urgent one.
        state: One of STATES.
        age: Milliseconds since what is shown was measured; None for never.
        values: Label -> value with unit.
    """

    person: str
    name: str
    ward: str
    priority: str
    alarms: int
    acknowledged: bool
    why: str
    state: str
    age: int | None
    values: dict[str, str]

    @property
    def sign(self) -> str:
        """Marks and word of the priority, empty for none."""
        return sign(self.priority)

    @property
    def stale(self) -> bool:
        """Whether what is shown is too old to be taken for the present."""
        return self.state in ("stale", "silent")

    @property
    def old(self) -> bool:
        """Whether what is shown is no longer of now, for whatever reason."""
        return self.stale or self.state in ("not_worn", "discharged")


def lines(people: Sequence[Seen], schema: Schema, now: int) -> list[Line]:
    """Return everybody, worst first: open alarms by priority, those that nobody took on first; then by state."""
    found = [_line(one, schema, now) for one in people]
    order = list(STATES)
    return sorted(
        found,
        key=lambda one: (
            -PRIORITIES.index(one.priority) if one.priority else 1,
            one.acknowledged,
            order.index(one.state),
            one.name,
        ),
    )


def counts(found: Sequence[Line]) -> list[tuple[str, int]]:
    """Return how many people have an alarm of each priority, how many none, and how many are stale."""
    told = [(sign(priority), sum(one.priority == priority for one in found)) for priority in reversed(PRIORITIES)]
    told.append(("No alarm", sum(not one.priority for one in found)))
    told.append(("Stale or silent", sum(one.stale for one in found)))
    return told


def banner(found: Sequence[Line]) -> str:
    """Return a warning where nothing fresh is known of anybody, or of some; empty where all is fresh."""
    old = [one for one in found if one.stale]
    if not old:
        return ""
    if len(old) == len(found):
        newest = min((one.age for one in old if one.age is not None), default=None)
        since = "" if newest is None else f" for {age(0, newest)}"
        return f"Nothing new has come from anybody{since}. What is shown is old: look at the people, not at this page."
    who = "1 person" if len(old) == 1 else f"{len(old)} people"
    return f"Nothing new has come from {who}: what is shown of them is old and marked stale."


def table(found: Sequence[Line]) -> dict[str, list[str]]:
    """Return the ward as columns of text."""
    columns: dict[str, list[str]] = {"Alarm": [one.sign or "–" for one in found], "Person": [one.name for one in found]}
    columns["State"] = [STATES[one.state] for one in found]
    columns["Data age"] = ["never" if one.age is None else age(0, one.age) for one in found]
    for label in dict.fromkeys(label for one in found for label in one.values):
        columns[label] = [one.values.get(label, "–") for one in found]
    columns["Ward"] = [one.ward or "unassigned" for one in found]
    return columns


def _line(one: Seen, schema: Schema, now: int) -> Line:
    first = min(one.alarms, key=_urgency, default=None)
    old = data_age(one, schema.step_ms, now)
    return Line(
        person=one.person,
        name=one.name or one.person[:10],
        ward=one.ward,
        priority=one.priority,
        alarms=len(one.alarms),
        acknowledged=bool(one.alarms) and all(alarm["state"] == "acknowledged" for alarm in one.alarms),
        why=str(first["explanation"]) if first else "",
        state=_state(one, old, schema),
        age=old,
        values=_values(one, schema),
    )


def _urgency(alarm: Mapping[str, Any]) -> tuple[int, bool, int]:
    return -PRIORITIES.index(alarm["priority"]), alarm["end"] is not None, -int(alarm["start"])


def _state(one: Seen, old: int | None, schema: Schema) -> str:
    if one.discharged is not None:
        return "discharged"
    if one.wear == NOT_WORN:
        return "not_worn"
    if old is None:
        return "waiting" if one.waiting else "silent"
    if old > FRESH_STEPS * schema.step_ms:
        return "stale"
    if not one.wear and not one.worn:  # no watchdog looks: the newest row is all that is known
        return "not_worn"
    if one.waiting and one.score is None:
        return "waiting"
    if one.score is None:
        return "unknown"
    return "unusual" if one.is_anomaly else "usual"


def _values(one: Seen, schema: Schema) -> dict[str, str]:
    told = {}
    for name in SHOWN[:4]:
        if name in schema.columns:
            told[SHORT[name]] = measured(one.values.get(name), schema.columns[name])
    high, low = (one.values.get(f"blood_pressure_{part}") for part in ("systolic", "diastolic"))
    told["Pressure"] = "–" if high is None or low is None else f"{number(high)}/{number(low)} mmHg"
    return told

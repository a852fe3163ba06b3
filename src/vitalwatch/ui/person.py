"""What the Person page shows, computed: newest vitals in words, alarms, descriptions of charts, own limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitalwatch.alerting.alerts import PRIORITIES
from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE
from vitalwatch.ui import own_rules
from vitalwatch.ui.course import Course
from vitalwatch.ui.plain import NONE, measured, number, sign, span, words
from vitalwatch.ui.trying import distance

RECENT = {"heart_rate": 15, "oxygen_saturation": 15, "respiratory_rate": 15}  # minutes that a value counts as newest
RECENT_SLOW = 90  # of cuff, thermometer and variability, as `cleaning.max_gap_slow`
SHORT = {
    "oxygen_saturation": "Saturation",
    "respiratory_rate": "Breathing",
    "body_temperature": "Temperature",
    "blood_pressure_systolic": "Systolic",
    "blood_pressure_diastolic": "Diastolic",
    "heart_rate_variability_rmssd": "Variability",
}
OXYGEN = ("not told", "no, air", "yes")
STATE_WORDS = {
    "signalling": "nobody has acknowledged it",
    "acknowledged": "acknowledged",
    "audio_paused": "snoozed",
    "latched": "over, nobody has acknowledged it",
    "resolved": "over",
}
HELD = "silent for a while: it was told, or closed, shortly before"


def present(course: Course) -> list[str]:
    """Return the vitals that were measured at all, in order."""
    return [vital for vital, column in course.vitals.items() if any(value is not None for value in column)]


def newest(course: Course) -> dict[str, float | None]:
    """Return the newest value of each vital that is young enough to stand for now, else None."""
    return {vital: _newest(course, vital)[0] for vital in course.vitals}


def vitals(course: Course, schema: Schema) -> list[tuple[str, str, str]]:
    """Return label, newest value with its unit, and how far it is from this person's usual, in words."""
    told: list[tuple[str, str, str]] = []
    pressure = ("blood_pressure_systolic", "blood_pressure_diastolic")
    for vital in present(course):
        value, z = _judged(course, vital)
        far = "not measured lately" if value is None else "not judged" if z is None else distance(z)
        label = SHORT.get(vital, schema.columns[vital].label)
        shown = measured(value, schema.columns[vital])
        if vital == pressure[1] and told and told[-1][0] == SHORT[pressure[0]]:  # one figure, as it is read
            upper, upper_z = _judged(course, pressure[0])
            far = far if abs(z or 0.0) > abs(upper_z or 0.0) else told[-1][2]
            label, shown = (
                f"Pressure ({schema.columns[vital].shown})",
                NONE if upper is value is None else f"{number(upper)}/{number(value)}",
            )
            told.pop()
        told.append((label, shown, far))
    return told


def alt(course: Course, vital: str, schema: Schema) -> str:
    """Return a chart in one sentence, for those who do not see it."""
    column = schema.columns[vital]
    values = [value for value in course.vitals.get(vital, ()) if value is not None]
    if not values:
        return f"{column.label}: nothing measured."
    low, high, last = (number(value, column) for value in (min(values), max(values), values[-1]))
    odd = sum(course.anomaly)
    unusual = f"; {odd} unusual moments" if vital == "heart_rate" else ""
    return f"{column.label}: newest {last}, lowest {low}, highest {high} {column.shown}{unusual}."


def open_alarms(alarms: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the alerts that are not over: those that nobody took on first, then by priority, then newest."""
    found = [alarm for alarm in alarms if alarm["state"] != "resolved"]
    taken = ("acknowledged", "audio_paused")
    return sorted(found, key=lambda a: (a["state"] in taken, -PRIORITIES.index(a["priority"]), -a["start"]))


def over(alarms: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the alerts that are over."""
    return [alarm for alarm in alarms if alarm["state"] == "resolved"]


def title(alarm: Mapping[str, Any]) -> str:
    """Return what an alert is about: its kind where it is known, else its rule."""
    return own_rules.title(alarm.get("kind") or alarm["rule"])


def state(alarm: Mapping[str, Any]) -> str:
    """Return the state of an alert in words, with who acknowledged it."""
    by = alarm.get("acknowledged_by") if alarm["state"] == "acknowledged" else ""
    if alarm["state"] == "acknowledged" and not by:
        return HELD
    return STATE_WORDS.get(alarm["state"], words(alarm["state"])) + (f" by {by}" if by else "")


def alarm_table(alarms: Sequence[Mapping[str, Any]], now: int, offset: int) -> dict[str, list[str]]:
    """Return alerts as columns of text."""
    return {
        "Priority": [sign(alarm["priority"]) for alarm in alarms],
        "What": [title(alarm) for alarm in alarms],
        "When": [span(alarm["start"], alarm["end"], now, offset) for alarm in alarms],
        "Why": [alarm["explanation"] for alarm in alarms],
    }


def limit_rows(
    personal: Mapping[str, Any], rules: Sequence[Mapping[str, Any]], schema: Schema
) -> list[tuple[str, str]]:
    """Return a person's own limits and rules as (what, set to), empty where nobody set any; `rules` are in force."""
    rows = []
    for vital, bound in personal.get("limits", {}).items():
        column = schema.columns[vital]
        told = [f"{side} {number(bound[side], column)}" for side in ("low", "high") if bound.get(side) is not None]
        rows.append((column.label, f"{', '.join(told)} {column.shown}"))
    if personal.get("oxygen_scale", 1) != 1:
        rows.append(("SpO2 scale of NEWS2", str(personal["oxygen_scale"])))
    if personal.get("supplemental_oxygen") is not None:
        rows.append(("Oxygen is given", "yes" if personal["supplemental_oxygen"] else "no, air"))
    for name, change in personal.get("rules", {}).items():
        if change.get("enabled") is not None:
            rows.append((own_rules.title(name), "on" if change["enabled"] else "off"))
    rows += [(own_rules.title(one["name"]), one["sentence"]) for one in own_rules.written(rules)]
    return rows


def oxygen_index(personal: Mapping[str, Any]) -> int:
    """Return which of OXYGEN a person's settings say."""
    told = personal.get("supplemental_oxygen")
    return 0 if told is None else 1 + bool(told)


def personal(
    before: Mapping[str, Any],
    limits: Mapping[str, tuple[float | None, float | None]],
    scale: int,
    oxygen: str,
    rules: Mapping[str, bool],
    known: Mapping[str, bool],
) -> dict[str, Any]:
    """Return a person's settings as rules.yaml writes them: only what differs from everybody's (`known`: on or off)."""
    bounds = {
        vital: {name: value for name, value in (("low", low), ("high", high)) if value is not None}
        for vital, (low, high) in limits.items()
    }
    changed = {name: dict(change) for name, change in before.get("rules", {}).items()}
    for name, on in rules.items():
        change = {key: value for key, value in changed.pop(name, {}).items() if key != "enabled"}
        if on != known[name]:
            change["enabled"] = on
        if change:
            changed[name] = change
    return {
        **before,
        "limits": {vital: bound for vital, bound in bounds.items() if bound},
        "oxygen_scale": scale,
        "supplemental_oxygen": None if oxygen == OXYGEN[0] else oxygen == OXYGEN[2],
        "rules": changed,
    }


def problem(wanted: Mapping[str, Any], schema: Schema) -> str:
    """Return what is wrong with a person's limits, empty where nothing is."""
    for vital, bound in wanted["limits"].items():
        if "low" in bound and "high" in bound and bound["low"] >= bound["high"]:
            return f"{schema.columns[vital].label}: the lower limit must be below the upper one."
    return ""


def _judged(course: Course, vital: str) -> tuple[float | None, float | None]:
    """Return the newest value and how many own spreads it is from usual."""
    value, row = _newest(course, vital)
    return value, None if row is None or vital not in course.z else course.z[vital][row]


def _newest(course: Course, vital: str) -> tuple[float | None, int | None]:
    column = course.vitals[vital]
    young = RECENT.get(vital, RECENT_SLOW) * MINUTE
    for row in range(len(column) - 1, -1, -1):
        if course.time[-1] - course.time[row] > young:
            return None, None
        if column[row] is not None:
            return column[row], row
    return None, None

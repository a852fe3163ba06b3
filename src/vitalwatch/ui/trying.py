"""What the forms of the page ask the models, and what they answer in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitalwatch import prognosis
from vitalwatch.clinical import BANDS, PARTS, news2
from vitalwatch.monitor import Monitor
from vitalwatch.schema import Schema
from vitalwatch.tables import Profile, Readings
from vitalwatch.ui.course import Ahead, Course, ahead_of, of_answers
from vitalwatch.ui.plain import NONE, measured, number

EXERTION = {  # intensity (0 to 1) and steps a minute
    "Resting": (0.0, 0.0),
    "Standing, housework": (0.12, 15.0),
    "Walking": (0.35, 100.0),
    "Walking fast": (0.55, 125.0),
    "Running": (0.85, 160.0),
}
ASLEEP = "Asleep"
KINDS = (ASLEEP, *EXERTION)
RARE = 0.01  # a moment rarer than this is called unusual, though an alarm needs more than one
MISSING = 6  # inputs that are named, of those not known
LONGEST = 45  # minutes of equal values in the form: after an hour they are a stuck sensor
BAND_WORDS = {
    "low": "low: routine observation",
    "low_medium": "a single 3: urgent review on the ward",
    "medium": "5 or 6: urgent response",
    "high": "7 or more: emergency response, watch continuously",
}
PARTLY = "at least: parts are not known, so it may be more"
PART_WORDS = {
    "respiration": ("Breathing", "respiratory_rate"),
    "saturation": ("Oxygen saturation", "oxygen_saturation"),
    "oxygen": ("Air or oxygen", ""),
    "systolic": ("Systolic blood pressure", "blood_pressure_systolic"),
    "pulse": ("Pulse", "heart_rate"),
    "consciousness": ("Consciousness", ""),
    "temperature": ("Temperature", "body_temperature"),
}


@dataclass(frozen=True)
class Judged:
    """What the models say of some readings: the course of all rows, alarms, the newest forecast, the early warning."""

    course: Course
    alarms: tuple[Mapping[str, object], ...]
    ahead: Ahead | None
    warning: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class News:
    """NEWS2 of one moment: total (None where nothing is known), band in words, and rows (part, value, points)."""

    total: int | None
    band: str
    known: int
    parts: tuple[tuple[str, str, str], ...]


def judge(monitor: Monitor, readings: Readings, profile: Profile) -> Judged:
    """Return what a monitor says of readings from nothing known before."""
    answers = monitor.answer(readings, profile)
    alarms = tuple(vars(alarm) for alarm in answers.alarms)
    return Judged(of_answers(answers), alarms, ahead_of(answers), prognosis.risks(monitor, readings, profile))


def steady(schema: Schema, values: Mapping[str, float], minutes: int, until: int) -> Readings:
    """Return readings that stay the same for so long, one a grid step, the last of them in the step before `until`.

    Args:
        schema: Grid step and columns.
        values: Column -> value; NaN and columns left out are not measured.
        minutes: How long.
        until: UTC ms.
    """
    rows = max(minutes // schema.step_minutes, 1)
    last = until // schema.step_ms * schema.step_ms
    time = last - np.arange(rows - 1, -1, -1, dtype=np.int64) * schema.step_ms
    columns = {name: np.full(rows, value, np.float32) for name, value in values.items() if math.isfinite(value)}
    return Readings("form", time, np.zeros(rows, np.int16), columns)


def of_series(schema: Schema, heart_rate: list[float], until: int) -> Readings:
    """Return one heart rate a grid step, the last in the step before `until`; NaN is not measured."""
    rows = len(heart_rate)
    last = until // schema.step_ms * schema.step_ms
    time = last - np.arange(rows - 1, -1, -1, dtype=np.int64) * schema.step_ms
    return Readings("form", time, np.zeros(rows, np.int16), {"heart_rate": np.asarray(heart_rate, np.float32)})


def series_of(text: str) -> list[float] | str:
    """Return numbers of a text, parted by spaces, commas or lines (`-` is not measured), or what is wrong with it."""
    words = text.replace(",", " ").replace(";", " ").split()
    told: list[float] = []
    for place, word in enumerate(words, start=1):
        try:
            told.append(math.nan if word == "-" else float(word))
        except ValueError:
            return f"Number {place} cannot be read. Write numbers like 62, parted by spaces; - for not measured."
        if word != "-" and not 20 <= told[-1] <= 250:  # a heart rate that a sensor can report (schema.yaml); not nan
            return f"Number {place} is no heart rate. Write beats per minute from 20 to 250."
    if len(told) < 2:
        return "Write at least two heart rates, oldest first."
    return told


def moments(profile: Profile, resting: float | None) -> list[dict[str, Any]]:
    """Return what `/predict` is asked for a person after an hour of each of KINDS; sleep by night, the rest by day."""
    numbers = {name: getattr(profile, name) for name in ("age", "height", "weight")}
    about = {name: value for name, value in numbers.items() if math.isfinite(value)}
    about |= {"sex": profile.sex, "medication": list(profile.medication), "conditions": list(profile.conditions)}
    about |= {} if resting is None else {"resting_heart_rate": resting}
    told = []
    for kind in KINDS:
        intensity, steps = EXERTION.get(kind, (0.0, 0.0))
        doing = {"intensity": intensity, "steps_per_minute": steps, "asleep": kind == ASLEEP, "minutes": 60.0}
        told.append({**about, **doing, "local_time": "03:00" if kind == ASLEEP else "12:00"})
    return told


def activity(schema: Schema, kind: str) -> dict[str, float]:
    """Return the context columns of an exertion, or of sleep."""
    if kind == ASLEEP:
        return {"intensity": 0.0, "steps": 0.0, "sleep": 1.0}
    intensity, steps = EXERTION[kind]
    return {"intensity": intensity, "steps": steps * schema.step_minutes, "sleep": 0.0}


def verdict(judged: Judged) -> tuple[str, str]:
    """Return one of `unusual`, `usual`, `unknown`, and a sentence about the newest row."""
    course = judged.course
    if not len(course) or not course.assessable[-1] or course.p_value[-1] is None:
        return "unknown", "Not assessable: too little was measured to judge this moment."
    whose = "this person's own normal" if course.own_baseline[-1] else "the population's normal (no own days are known)"
    rare = course.p_value[-1]
    told = f"{how_rare(rare)} normal moments look at least as unusual. Judged against {whose}."
    if course.anomaly[-1]:
        return "unusual", told
    return ("unusual", f"{told} Too short for an alarm yet.") if rare < RARE else ("usual", told)


def how_rare(share: float) -> str:
    """Return a share as it begins a sentence: `About 1 in 40`."""
    if share < 1e-3:
        return "Fewer than 1 in 1,000"
    return f"About 1 in {1 / share:,.0f}" if share < 0.2 else f"About {share:.0%} of"


def contributions(course: Course, schema: Schema, row: int = -1) -> list[tuple[str, str, str]]:
    """Return vital, value and how far it is from usual in words, the farthest first, of one row."""
    if not len(course):
        return []
    told = []
    for vital, column in course.z.items():
        z = column[row]
        value = course.vitals[vital][row] if vital in course.vitals else None
        if z is not None:
            far = f"{distance(z)} ({z:+.1f} spreads)"
            told.append((abs(z), schema.columns[vital].label, measured(value, schema.columns[vital]), far))
    return [(label, value, far) for _, label, value, far in sorted(told, reverse=True)]


def distance(z: float) -> str:
    """Return own spreads as words: usual, a little (from 1), clearly (from 2) or far (from 4) above or below usual."""
    size = abs(z)
    if size < 1:
        return "usual"
    side = "above" if z > 0 else "below"
    word = "a little" if size < 2 else "clearly" if size < 4 else "far"
    return f"{word} {side} usual"


def warning_score(
    values: Mapping[str, float | None], schema: Schema, *, scale: int = 1, oxygen: bool | None = None,
    alert: bool | None = None,
) -> News:  # fmt: skip
    """Return NEWS2 of one moment with its parts.

    Args:
        values: Vital -> value, None or absent where not measured.
        schema: Units.
        scale: SpO2 scale.
        oxygen: Whether oxygen is given, None where nobody told.
        alert: Whether the person is alert, None where nobody told.
    """
    told = {name: _nan(values.get(name)) for _, name in PART_WORDS.values() if name}
    found = news2(
        respiration=told["respiratory_rate"],
        saturation=told["oxygen_saturation"],
        systolic=told["blood_pressure_systolic"],
        pulse=told["heart_rate"],
        temperature=told["body_temperature"],
        alert=np.nan if alert is None else float(alert),
        oxygen=np.nan if oxygen is None else float(oxygen),
        scale=scale,
    )
    said = {
        "oxygen": _said(oxygen, "oxygen", "air"),
        "consciousness": _said(alert, "alert", "not alert (C, V, P or U)"),
    }
    rows = []
    for part, points in zip(PARTS, found.parts[0].tolist(), strict=True):
        label, vital = PART_WORDS[part]
        value = said[part] if not vital else measured(told[vital], schema.columns[vital])
        rows.append(
            (label, "not measured" if value == NONE else value, NONE if math.isnan(points) else f"{points:.0f}")
        )
    known = int(np.isfinite(found.parts[0]).sum())
    band = int(found.band[0])
    total = None if band < 0 else int(found.total[0])
    words = "" if band < 0 else PARTLY if band == 0 and known < len(PARTS) else BAND_WORDS[BANDS[band]]
    return News(total, words, known, tuple(rows))


def risk_words(warning: Mapping[str, Any] | None, schema: Schema) -> list[str]:
    """Return the early warning as sentences, none where a run learnt none: each risk, what it rests on and lacks."""
    if warning is None:
        return []
    told = [f"Risk of {one['told']}: {chance(one['probability'])}." for one in warning["risks"]]
    named = {what: [_named(name, schema) for name in warning[what]] for what in ("used", "missing")}
    if told:
        told.append(f"From {', '.join(named['used'])}." + (
            f" Not known: {', '.join(named['missing'][:MISSING])}"
            f"{' and more' if len(named['missing']) > MISSING else ''}." if named["missing"] else ""
        ))  # fmt: skip
    return [*told, str(warning["message"])]


def chance(probability: float) -> str:
    """Return a probability as people hear it: `3.4 % (about 1 in 29)`."""
    if probability >= 0.2:
        return f"{probability:.0%}"
    return f"{probability:.1%} (about 1 in {1 / max(probability, 1e-4):,.0f})"


def _named(name: str, schema: Schema) -> str:
    known = schema.columns.get(name) or schema.care.get(name)
    return known.label.lower() if known else name


def forecast_rows(ahead: Ahead, schema: Schema) -> list[dict[str, str]]:
    """Return the forecast as a table: vital, and for each horizon the median with its 80 % interval."""
    rows = []
    for vital, fan in ahead.vitals.items():
        column = schema.columns[vital]
        row = {"Vital": f"{column.label} ({column.shown})"}
        for minutes, low, middle, high in fan:
            row[f"in {minutes} min"] = f"{number(middle, column)} ({number(low, column)} to {number(high, column)})"
        rows.append(row)
    return rows


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _said(told: bool | None, yes: str, no: str) -> str:
    return "not told" if told is None else yes if told else no

"""What the monitor says -> what a person reads: own units, NEWS2 with its parts, technical findings, plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitalwatch.alerting.rules import TWO
from vitalwatch.artefacts import ARTEFACTS
from vitalwatch.clinical import BANDS, PARTS, news2_once
from vitalwatch.devices import TWO_DEVICES
from vitalwatch.early_warning import GROUPS, HORIZON_HOURS, QUESTIONS
from vitalwatch.explaining import FAULTS, in_units
from vitalwatch.monitor import Monitor
from vitalwatch.schema import Schema
from vitalwatch.tables import Alarm, Answers
from vitalwatch.timestamps import rfc3339

NEWS2_VITALS = {
    "respiration": "respiratory_rate",
    "saturation": "oxygen_saturation",
    "systolic": "blood_pressure_systolic",
    "pulse": "heart_rate",
    "temperature": "body_temperature",
}
NAN = float("nan")
TELLING = 1.0  # own spreads from which a vital is named as a contribution
SHORT = "There is too little history to judge: send the readings of the last hours."
BORROWED = "Judged by what is usual for people alike: own days of this person are not known yet."
OWN = "Judged by what is usual for this person."


def judged(answers: Answers, schema: Schema, run: str, context: Mapping[str, Any], *, series: bool) -> dict[str, Any]:
    """Return the answer for the newest row, as JSON.

    Args:
        answers: With one row at least.
        schema: As trained.
        run: Id of the run that answers.
        context: `consciousness`, `supplemental_oxygen` and `spo2_scale`, for NEWS2.
        series: Whether every row is told, too.
    """
    grid, last = answers.grid, len(answers) - 1
    assessable = bool(answers.assessable[last])
    row = dict(zip(grid.names, grid.values[last].tolist(), strict=True))
    told: dict[str, Any] = {
        "time": rfc3339(int(answers.time[last])),
        "score": number(answers.score[last], 4) if assessable else None,
        "p_value": chance(answers.p_value[last]) if assessable else None,
        "is_anomaly": bool(answers.is_anomaly[last]),
        "assessable": assessable,
        "history": history(answers, last, assessable),
        "kind": answers.kinds[int(answers.kind[last])] if answers.kind[last] >= 0 else None,
        "contributions": contributions(answers, last, schema),
        "expected_heart_rate": {
            "value": number(answers.expected_heart_rate[last], 1),
            "spread": number(answers.usual_heart_rate_spread[last], 1),
            "unit": "bpm",
        },
        "news2": warning_score(row, context),
        "technical": technical(answers, last, schema),
        "alarms": [alarm(one) for one in answers.alarms],
        "late": answers.late,
        "model": run,
    }
    if series:
        told["series"] = {
            "time": [rfc3339(time) for time in answers.time.tolist()],
            "score": [number(value, 4) for value in answers.score.tolist()],
            "p_value": [chance(value) for value in answers.p_value.tolist()],
            "is_anomaly": answers.is_anomaly.tolist(),
            "assessable": answers.assessable.tolist(),
            "own_baseline": answers.own_baseline.tolist(),
            "expected_heart_rate": [number(value, 1) for value in answers.expected_heart_rate.tolist()],
        }
    return told


def abilities(monitor: Monitor) -> dict[str, Any]:
    """Return what a run can answer, as JSON: an empty list or null is what it did not learn."""
    models, step = monitor.early_warning, monitor.schema.step_minutes
    warning = None if models is None else {
        "risks": [{"of": one, "told": QUESTIONS[one], "within_hours": HORIZON_HOURS[one]} for one in models.questions],
        "from_vitals": list(models.inputs(GROUPS[:1])),
        "from_care": [name for name in models.inputs(GROUPS) if name not in models.inputs(GROUPS[:1])],
    }  # fmt: skip
    return {
        "predict": {"of": "heart_rate"},
        "anomaly": {"step_minutes": step, "kinds": list(monitor.detector.calibration.kinds)},
        "forecast": {"vitals": list(monitor.forecast_vitals), "minutes": list(monitor.horizons)},
        "early_warning": warning,
    }


def history(answers: Answers, row: int, assessable: bool) -> dict[str, Any]:
    """Return in a plain word what the judgement rests on."""
    own = bool(answers.own_baseline[row])
    word = "too short" if not assessable else "own" if own else "borrowed"
    return {"basis": word, "message": SHORT if not assessable else OWN if own else BORROWED}


def contributions(answers: Answers, row: int, schema: Schema) -> list[dict[str, Any]]:
    """Return the vitals that are out of their usual, the farthest first, in their own unit."""
    found = []
    for i, name in enumerate(answers.vitals):
        z = float(answers.contribution[row, i])
        if not abs(z) >= TELLING:
            continue
        column = schema.columns[name]
        apart = in_units(name, z, float(answers.centre[row, i]), float(answers.spread[row, i]))
        found.append(
            {
                "vital": name,
                "difference": number(apart, 1),
                "unit": column.shown,
                "spreads": number(z, 2),
                "sentence": f"{column.label} {abs(apart):.1f} {column.shown} {'above' if z > 0 else 'below'} usual.",
            }
        )
    return sorted(found, key=lambda one: -abs(one["spreads"]))


def warning_score(row: Mapping[str, float], context: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return NEWS2 with its parts, None where nothing it needs was measured. Profiles begin at 16 years, as it does."""
    measured = {part: row.get(vital, NAN) for part, vital in NEWS2_VITALS.items()}
    if all(value != value for value in measured.values()):
        return None
    awake, given = context.get("consciousness"), context.get("supplemental_oxygen")
    scale = context.get("spo2_scale", 1)
    total, band, parts = news2_once(
        **measured,
        alert=NAN if awake is None else float(awake == "A"),
        oxygen=NAN if given is None else float(given),
        scale=scale,
    )
    missing = [name for name, value in zip(PARTS, parts, strict=True) if value != value]
    return {
        "total": None if total != total else int(total),
        # with parts missing the total is a lower bound: what it is at least holds, that it is low does not
        "band": BANDS[band] if band > 0 or (band == 0 and not missing) else None,
        "scale": scale,
        "parts": {name: None if value != value else int(value) for name, value in zip(PARTS, parts, strict=True)},
        "missing": missing,
    }


def technical(answers: Answers, row: int, schema: Schema) -> list[dict[str, str]]:
    """Return what is wrong with sensors in this row."""
    bits = answers.grid.artefact[row].tolist()
    found = [
        {"vital": vital, "finding": fault, "message": f"Check the sensor of {schema.columns[vital].label.lower()}."}
        for vital, bit in zip(schema.vitals, bits, strict=True)
        for fault in FAULTS
        if bit & ARTEFACTS[fault]
    ]
    found += [
        {"vital": vital, "finding": TWO, "message": "Two devices send for this person, and differ."}
        for vital, bit in zip(schema.vitals, bits, strict=True)
        if bit & TWO_DEVICES
    ]
    if answers.grid.segment[row] < 0:
        found.append({"vital": "", "finding": "silence", "message": "No reading came for a while."})
    return found


def alarm(one: Alarm) -> dict[str, Any]:
    """Return an alarm as JSON."""
    return {
        "channel": one.channel,
        "kind": one.kind or None,
        "priority": one.priority,
        "start": rfc3339(one.start),
        "end": rfc3339(one.end),
        "explanation": one.explanation,
    }


def forecast(answers: Answers, schema: Schema, run: str) -> dict[str, Any]:
    """Return the forecast of the newest row, as JSON; vitals without one are left out."""
    last = len(answers) - 1
    vitals = {}
    for i, name in enumerate(answers.forecast_vitals):
        ahead = answers.forecast[last, i].tolist()
        steps = [
            {"minutes": minutes, "q10": number(q[0], 1), "q50": number(q[1], 1), "q90": number(q[2], 1)}
            for minutes, q in zip(answers.horizons, ahead, strict=True)
            if q[1] == q[1]
        ]
        if steps:
            vitals[name] = {"unit": schema.columns[name].shown, "steps": steps}
    return {"time": rfc3339(int(answers.time[last])), "interval": 0.8, "forecast": vitals, "model": run}


def number(value: Any, digits: int = 0) -> float | None:
    """Return a rounded number, None for one that is none."""
    plain = float(value)
    return round(plain, digits) if plain == plain else None


def chance(value: Any) -> float | None:
    """Return a probability with three figures, never 0 for a small one; None for one that is none."""
    plain = float(value)
    return float(f"{plain:.3g}") if plain == plain else None

"""What limits and NEWS2 say of the newest row alone, before anything has lasted long enough to be an alarm."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from vitalwatch.alerting.terms import busy_rows
from vitalwatch.clinical import URGENT, oxygen, usual_limits
from vitalwatch.explaining import MOVED
from vitalwatch.schema import Schema
from vitalwatch.tables import Answers

EMERGENCY, SINGLE = 7, 3  # points of NEWS2 (Royal College of Physicians 2017), beside URGENT
HIGH, MEDIUM = "high", "medium"


def look_now(
    answers: Answers, schema: Schema, news2: Mapping[str, Any] | None, stored: Mapping[str, Any]
) -> dict[str, Any]:
    """Return whether somebody should look at once, as JSON: the highest priority, null for none, and each reason.

    Args:
        answers: With one row at least; the newest is looked at.
        schema: Has the usual limits.
        news2: Of that row, as `answers.warning_score` tells it.
        stored: What holds for this person: `limits` that a clinician set, as `{"heart_rate": {"low": 44}}` (else the
            usual ones hold), `oxygen_scale` and `supplemental_oxygen`.
    """
    active = bool(busy_rows(answers.grid, schema.step_minutes)[-1])  # movement explains a fast heart and fast breath
    reasons = [*([] if active else _warning(news2)), *_limits(answers, schema, stored, active=active)]
    worst = {one["priority"] for one in reasons}
    return {"priority": HIGH if HIGH in worst else MEDIUM if worst else None, "reasons": reasons}


def _warning(news2: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    total = None if news2 is None else news2["total"]
    if news2 is None or total is None:
        return []
    known = [points for points in news2["parts"].values() if points is not None]
    if total >= EMERGENCY:
        priority, sentence = HIGH, f"NEWS2 is {total}: {EMERGENCY} or more asks for an emergency response."
    elif total >= URGENT:
        priority, sentence = MEDIUM, f"NEWS2 is {total}: {URGENT} or more asks for an urgent response."
    elif SINGLE in known:
        priority, sentence = MEDIUM, f"A single part of NEWS2 is {SINGLE}: that asks for an urgent review in the ward."
    else:
        return []
    return [{"rule": "news2", "vital": None, "priority": priority, "sentence": sentence}]


def _limits(answers: Answers, schema: Schema, stored: Mapping[str, Any], *, active: bool) -> list[dict[str, Any]]:
    own = stored.get("limits") or {}
    row, found = dict(zip(answers.grid.names, answers.grid.values[-1].tolist(), strict=True)), []
    for vital in schema.vitals:
        column, value = schema.columns[vital], row[vital]
        low, high = usual_limits(vital, column.usual, *oxygen(stored)) or (-inf, inf)
        mine = own.get(vital) or {}
        low, high = (limit if mine.get(side) is None else mine[side] for side, limit in (("low", low), ("high", high)))
        if not (value < low or value > high) or (vital in MOVED and active):  # NaN is neither
            continue
        side, limit = ("below", low) if value < low else ("above", high)
        told = f"{column.label} is {value:.4g} {column.shown}, {side} the limit of {limit:.4g}."
        found.append({"rule": "limit", "vital": vital, "priority": MEDIUM, "sentence": told})
    return found

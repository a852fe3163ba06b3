"""How old an answer about a known person is: what was measured long ago must not read as now."""

from __future__ import annotations

from typing import Any

from vitalwatch.alerting.alerts import HOLD
from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE, Answers
from vitalwatch.views import FRESH_STEPS

NOT_KEPT = {"age_minutes": None, "stale": False}  # of readings that were sent along: who asks knows when they are from


def age_of(answers: Answers, schema: Schema, now: int) -> int:
    """Return milliseconds since the newest row ended."""
    return max(now - (int(answers.time[-1]) + schema.step_ms), 0)


def told_age(age: int | None, schema: Schema) -> dict[str, Any]:
    """Return an age in milliseconds as JSON, None for never: minutes, and whether it is too old for the present."""
    if age is None:
        return {"age_minutes": None, "stale": True}
    return {"age_minutes": round(age / MINUTE, 1), "stale": age > FRESH_STEPS * schema.step_ms}


def of_now(age: int) -> bool:
    """Return whether limits and NEWS2 of a row may be told as what is true now: a condition holds for no longer."""
    return age <= HOLD

"""Small courses and people as the page sees them."""

from __future__ import annotations

from typing import Any

from vitalwatch.tables import MINUTE
from vitalwatch.ui.course import Course
from vitalwatch.views import Seen

NOW = 1_800_000_000_000
STEP = 5 * MINUTE
EVIL = "<img src=x onerror=alert(1)> **bold** [link](javascript:alert(1)) :material/home: $x^2$ www.evil.example `code`"


def seen(person: str = "p-a", **more: Any) -> Seen:
    """Return somebody fresh, worn and usual, but for what is told otherwise."""
    told: dict[str, Any] = {
        "person": person,
        "name": person.removeprefix("p-"),
        "ward": "one",
        "heard": NOW,
        "time": NOW - STEP,
        "values": {"heart_rate": 61.6, "blood_pressure_systolic": 118.0, "blood_pressure_diastolic": 76.0},
        "score": 0.4,
        "p_value": 0.6,
        "is_anomaly": False,
        "own_baseline": True,
        "worn": True,
        "waiting": False,
        "alarms": (),
    }
    return Seen(**{**told, **more})


def alarm(priority: str = "medium", state: str = "signalling", **more: Any) -> dict[str, Any]:
    """Return an alert as plain values."""
    told = {
        "id": "0" * 32,
        "person": "p-a",
        "rule": "unusual",
        "kind": "",
        "priority": priority,
        "state": state,
        "start": NOW - 60 * MINUTE,
        "end": None,
        "explanation": "Heart rate 20 bpm above your usual, at rest.",
        "acknowledged_by": "",
    }
    return {**told, **more}


def course(rates: list[float | None], **more: Any) -> Course:
    """Return rows of heart rate that end now, on a clock an hour ahead of UTC."""
    n = len(rates)
    time = [NOW - (n - 1 - i) * STEP for i in range(n)]
    told: dict[str, Any] = {
        "person": "p-a",
        "time": time,
        "local": [moment + 60 * MINUTE for moment in time],
        "vitals": {"heart_rate": rates},
        "low": [50.0] * n,
        "high": [80.0] * n,
        "expected": [65.0] * n,
        "score": [0.5] * n,
        "p_value": [0.5] * n,
        "anomaly": [False] * n,
        "assessable": [True] * n,
        "own_baseline": [True] * n,
        "worn": [rate is not None for rate in rates],
        "z": {"heart_rate": [0.0] * n},
    }
    return Course(**{**told, **more})

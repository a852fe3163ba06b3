"""Early warning told: the risks in a stay at its newest hour, what they rest on, and what they lack."""

from __future__ import annotations

from typing import Any

import numpy as np

from vitalwatch.early_warning import HORIZON_HOURS, QUESTIONS, VITALS
from vitalwatch.engine import Engine
from vitalwatch.monitor import Monitor
from vitalwatch.tables import DAY, Care, Profile, Readings
from vitalwatch.timestamps import rfc3339

STAY = 14 * DAY  # that is read back: the longest stays the models have seen (336 hours in PhysioNet 2019)
NOTHING = "Nothing that these risks rest on was measured in this stay."
MEANT = (
    "Ranks people in hospital for a clinician who looks again; no diagnosis, and a low risk rules nothing out. "
    "Calibrated on patients like those it was learnt from. {}"
)
SEEN = {
    False: "No laboratory values were told, so a model answers that never saw any.",
    True: "Laboratory values and the like are among what it rests on.",
}


def risks(monitor: Monitor, readings: Readings, profile: Profile, care: Care | None = None) -> dict[str, Any] | None:
    """Return the calibrated risks at the newest hour of a stay as JSON, None where the run learnt no early warning.

    Args:
        monitor: In production.
        readings: Of one person's stay, raw or by grid row.
        profile: Age and sex, where told.
        care: Laboratory values and the like of the same person.
    """
    models = monitor.early_warning
    if models is None:
        return None
    found = models.answer(readings, profile, care)
    reads = models.inputs(found.seen)
    told = {
        "time": rfc3339(int(found.time[-1])) if len(found.time) else None,
        "risks": [
            {
                "of": question,
                "told": QUESTIONS[question],
                "within_hours": HORIZON_HOURS[question],
                "probability": float(f"{float(values[-1]):.3g}"),
            }
            for question, values in found.values.items()
            if len(values)
        ],
        "used": [name for name in reads if name in found.measured],
        "missing": [name for name in reads if name not in found.measured],
    }
    meant = MEANT.format(SEEN[len(found.seen) > 1])
    return told | {"message": meant if any(name in found.measured for name in VITALS) else f"{NOTHING} {meant}"}


def of_person(
    engine: Engine, person: str, wards: frozenset[str] | None = None, care: Care | None = None
) -> dict[str, Any] | None:
    """Return `risks` of a known person, from the scored rows of the last 14 days.

    Raises:
        NotAllowed: Unknown, or elsewhere.
        NoModelYet: Nothing is in production.
    """
    monitor = engine.monitor()
    found = engine.person(person, wards)
    if monitor.early_warning is None:
        return None
    rows = engine.timeline(person, found.newest - STAY, found.newest + DAY, wards)
    columns = {
        name: np.where(rows.filled[name], np.float32(np.nan), rows.values[name])  # carried forward is not measured
        for name in VITALS
        if name in rows.values and name in rows.filled
    }
    readings = Readings(found.pseudonym, rows.time, np.zeros(len(rows), np.int16), columns)
    return risks(monitor, readings, engine.profile(person, wards), care)

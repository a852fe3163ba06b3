"""What would clear the alarms that are on in the newest row, of a window or of a known person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vitalwatch.clearing import Clearing
from vitalwatch.database.people import Wards
from vitalwatch.engine import Engine
from vitalwatch.monitor import Monitor, State
from vitalwatch.tables import DAY, Answers, Profile


def of_window(monitor: Monitor, found: Answers, profile: Profile, before: State | None = None) -> dict[int, str]:
    """Return what would clear the alarms that are on, by their place in the answers; of others nothing is left.

    `before` is what was remembered where the window goes on with another.
    """
    still = on(found, monitor.schema.step_ms)
    if not still:
        return {}
    return _sentences(still, monitor.clearing(_only(found, found, still), profile, state=before))


def of_person(engine: Engine, person: str, found: Answers, wards: Wards = None) -> dict[int, str]:
    """Return the same of a known person, whose newest row `found` is of.

    Their rows are made anew from stored readings, which is worth it only while one is on: from two days before the
    first of these alarms, since a day of rows before it is looked at, and a grid has none where nothing was measured.

    Raises:
        NotAllowed: Unknown, or elsewhere.
        NoModelYet: Nothing is in production.
    """
    still = on(found, engine.settings.schema.step_ms)
    if not still:
        return {}
    monitor, before, rows = engine.course(person, min(found.alarms[place].start for place in still) - 2 * DAY, wards)
    return _sentences(still, monitor.clearing(_only(rows, found, still), state=before))


def on(found: Answers, step_ms: int) -> list[int]:
    """Return the places of the alarms that are on in the newest row."""
    end = int(found.time[-1]) + step_ms
    return [place for place, alarm in enumerate(found.alarms) if alarm.end >= end]


def _only(rows: Answers, found: Answers, places: Iterable[int]) -> Answers:
    return replace(rows, alarms=tuple(found.alarms[place] for place in places))


def _sentences(places: Iterable[int], told: Iterable[Clearing]) -> dict[int, str]:
    return {place: one.sentence for place, one in zip(places, told, strict=True) if one.sentence}

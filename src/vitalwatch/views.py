"""Everybody at a glance: who is worst, since when nothing was heard, and why."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from vitalwatch.database import judgements, readings, vault
from vitalwatch.database import people as persons
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import Person, Wards
from vitalwatch.database.scores import ANOMALY, ASSESSABLE, OWN, WORN
from vitalwatch.database.tables import alarms, people, scores
from vitalwatch.database.vault import Secret

FRESH_STEPS = 3  # grid steps after which what we know of a person is stale
URGENCY = {"high": 3, "medium": 2, "low": 1, "": 0}


@dataclass(frozen=True)
class Seen:
    """One person at a glance.

    Attributes:
        person: Pseudonym.
        name: What the vault calls them, empty unless asked for.
        ward: Where they are.
        heard: When a reading last came, on our clock, UTC ms.
        time: Start of the newest grid row, UTC ms; None before the first.
        values: Grid columns and numbers of that row, measured ones only.
        score, p_value: Of that row; None where it could not be judged.
        is_anomaly, own_baseline, worn: Of that row.
        waiting: Whether readings wait to be scored.
        wear: worn, silent or not_worn, as the watchdog sees it; empty where none looks.
        late: Readings of the day up to that row that came too late to stand in any.
        discharged: When they were, UTC ms; None for who is here, or was heard again.
        alarms: Open alerts, most urgent first.
        priority: Of the most urgent one, empty for none.
    """

    person: str
    name: str
    ward: str
    heard: int
    time: int | None
    values: dict[str, float]
    score: float | None
    p_value: float | None
    is_anomaly: bool
    own_baseline: bool
    worn: bool
    waiting: bool
    alarms: tuple[dict[str, Any], ...] = field(default=())
    wear: str = ""
    late: int = 0
    discharged: int | None = None

    @property
    def priority(self) -> str:
        """The highest priority among the open alarms, empty for none."""
        return max((alarm["priority"] for alarm in self.alarms), key=URGENCY.__getitem__, default="")


def people_of(
    connection: Connection,
    layouts: Layouts,
    secret: Secret | None,
    wards: Wards,
    wear: Mapping[str, str],
    *,
    discharged: bool = False,
) -> list[Seen]:
    """Return the people of some wards, worst first; of the discharged those with an open alert, or all of them.

    Args:
        connection: Any.
        layouts: What bodies hold.
        secret: Opens the vault for names; None leaves them out.
        wards: Whom the asker may see.
        wear: Of people by pseudonym, as the watchdog sees it.
        discharged: Whether all of them are wanted.
    """
    gone = judgements.discharged(connection)
    rows = _newest_rows(connection, layouts, wards)
    alerts, late = _open_alerts(connection, wards), readings.late_by_person(connection, wards)
    everyone = [
        one
        for one in persons.everyone(connection, wards)
        if discharged or _left(one, gone) is None or one.pseudonym in alerts
    ]
    names = vault.names_of(connection, secret, [one.pseudonym for one in everyone]) if secret is not None else {}
    seen = []
    for one in everyone:
        flags, values = rows.get(one.no, (0, {}))
        judged = bool(flags & ASSESSABLE)
        seen.append(
            Seen(
                person=one.pseudonym,
                name=names.get(one.pseudonym, ""),
                ward=one.ward,
                heard=one.heard,
                time=one.newest if one.newest >= 0 else None,
                values={name: value for name, value in values.items() if ":" not in name},
                score=values.get("score") if judged else None,
                p_value=values.get("p_value") if judged else None,
                is_anomaly=bool(flags & ANOMALY),
                own_baseline=bool(flags & OWN),
                worn=bool(flags & WORN),
                waiting=one.behind,
                alarms=tuple(sorted(alerts.get(one.pseudonym, ()), key=_urgency, reverse=True)),
                wear=wear.get(one.pseudonym, ""),
                late=late.get(one.no, 0),
                discharged=_left(one, gone),
            )
        )
    return sorted(seen, key=lambda one: (-URGENCY[one.priority], one.p_value if one.p_value is not None else 2.0))


def data_age(one: Seen, step_ms: int, now: int) -> int | None:
    """Return milliseconds since the newest thing known of a person was measured and heard, None for never.

    The older of the two counts: a device that hands over yesterday's readings now says nothing of now.
    """
    if one.time is None:
        return None
    measured_at = min(one.time + step_ms, one.heard)
    return max(now - measured_at, 0)


def _left(person: Person, gone: Mapping[int, int]) -> int | None:
    """Return when somebody was discharged; a reading that came since then brings them back."""
    at = gone.get(person.no)
    return at if at is not None and person.heard <= at else None


def _newest_rows(connection: Connection, layouts: Layouts, wards: Wards) -> dict[int, tuple[int, dict[str, float]]]:
    joined = people.join(scores, (scores.c.person == people.c.no) & (scores.c.time == people.c.newest))
    which = select(people.c.no, scores.c.flags, scores.c.layout, scores.c.body).select_from(joined)
    rows = connection.execute(which.where(*persons.within(wards))).all()
    if not rows:
        return {}
    columns = layouts.columns(connection, [row.layout for row in rows], [bytes(row.body) for row in rows])
    found = {}
    for i, row in enumerate(rows):
        values = {name: float(column[i]) for name, column in columns.items()}
        found[int(row.no)] = int(row.flags), {name: value for name, value in values.items() if math.isfinite(value)}
    return found


def _open_alerts(connection: Connection, wards: Wards) -> dict[str, list[dict[str, Any]]]:
    which = select(alarms.c.body).where(alarms.c.open)
    if wards is not None:
        which = which.where(alarms.c.ward.in_(sorted(wards)))
    found: dict[str, list[dict[str, Any]]] = {}
    for body in connection.execute(which).scalars():
        alert = json.loads(body)
        found.setdefault(alert["person"], []).append(alert)
    return found


def _urgency(alert: dict[str, Any]) -> tuple[int, int]:
    return URGENCY[alert["priority"]], alert["start"]

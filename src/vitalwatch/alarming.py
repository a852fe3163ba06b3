"""What the monitor alarms for -> alerts in the database, and events for those who listen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from vitalwatch.database import alarms, outbox
from vitalwatch.database.people import Person
from vitalwatch.intake import Scored
from vitalwatch.tables import Alarm


def alarm(connection: Connection, scored: Sequence[Scored], now: int) -> None:
    """Write the alarms of newly scored rows, and tell of each."""
    told = [(one.person, _alert(one.person, found, one, now)) for one in scored for found in one.answers.alarms]
    alarms.write(connection, told, [])
    outbox.add(connection, now, [(outbox.ALARM, person, alert) for person, alert in told])


def _alert(person: Person, found: Alarm, scored: Scored, now: int) -> dict[str, Any]:
    parts = "\x1f".join((person.pseudonym, found.channel, found.kind, str(found.start)))
    still = any(channel.open == found for channel in scored.held.state.body.channels)
    return {
        "id": hashlib.sha256(parts.encode()).hexdigest()[:32],
        "person": person.pseudonym,
        "rule": found.channel,
        "kind": found.kind,
        "priority": found.priority,
        "state": "signalling" if still else "latched",
        "start": found.start,
        "end": None if still else found.end,
        "explanation": found.explanation,
        "changed_at": now,
    }

"""Everything about one person: handed out, or gone for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select, text

from vitalwatch.database import alarms as alerts
from vitalwatch.database import changes, own_keys, people, quarantine, readings, scores, vault
from vitalwatch.database.connection import Database
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import Person
from vitalwatch.database.tables import (
    alarms,
    discharges,
    judgements,
    landmarks,
    notices,
    outbox,
    snapshots,
    transitions,
)
from vitalwatch.database.tables import changes as changes_table
from vitalwatch.database.tables import people as people_table
from vitalwatch.database.tables import quarantine as refused
from vitalwatch.database.tables import readings as readings_table
from vitalwatch.database.tables import scores as scores_table
from vitalwatch.database.tables import vault as vault_table
from vitalwatch.database.vault import Secret
from vitalwatch.schema import Schema
from vitalwatch.tables import Profile
from vitalwatch.timestamps import rfc3339

FOREVER = 1 << 60
OWNED = (
    readings_table,
    changes_table,
    scores_table,
    snapshots,
    landmarks,
    alarms,
    transitions,
    outbox,
    judgements,
    discharges,
    notices,
)


def export(connection: Connection, secret: Secret, person: Person, schema: Schema) -> dict[str, Any]:
    """Return everything that is kept about a person, as plain values, under their own identifier."""
    layouts = Layouts()
    name = vault.names_of(connection, secret, [person.pseudonym]).get(person.pseudonym, person.pseudonym)
    stored = readings.of_person(connection, layouts, person, schema.step_ms, late=True).readings
    line = scores.timeline(connection, layouts, person, 0, FOREVER, schema.vitals)
    kept = alerts.listed(connection, None, open_only=False, person=person.no, since=0, most=10**9)
    numbers = connection.execute(select(refused.c.no).where(refused.c.person == person.pseudonym)).scalars().all()
    raw = quarantine.opened(connection, secret, numbers)
    return {
        "person": name,
        "pseudonym": person.pseudonym,
        "ward": person.ward,
        "profile": _profile(people.profile_of(connection, secret, person)),
        "limits": people.limits_of(connection, secret, person),
        "changes": [{"time": rfc3339(one.at), "kind": one.kind} for one in changes.of_person(connection, person)],
        "devices": sorted(vault.names_of(connection, secret, _devices(connection, person)).values()),
        "readings": _rows(stored.time, stored.values, offset=stored.offset),
        "scores": _rows(line.time, line.values, run=line.run, is_anomaly=line.anomaly, kind=line.kind),
        "alarms": [{**alert, "history": alerts.history(connection, alert["id"])} for alert in kept],
        "refused": [
            {"no": no, "sent": one.raw.decode("utf-8", "replace"), "key": one.key.partition(":")[2]}
            for no, one in raw.items()
        ],
    }


def erase(connection: Connection, person: Person) -> dict[str, int]:
    """Delete everything about a person, and return the rows by table; the audit log keeps what was done, by pseudonym.

    What was set for them stands there too, sealed, and does not open any more.

    Backups made before still hold them, until they are deleted.
    """
    devices = _devices(connection, person)
    gone = {}
    for table in OWNED:
        gone[table.name] = connection.execute(delete(table).where(table.c.person == person.no)).rowcount
    gone["quarantine"] = connection.execute(delete(refused).where(refused.c.person == person.pseudonym)).rowcount
    left = select(readings_table.c.device).where(readings_table.c.device.in_(devices))
    others = set(connection.execute(left).scalars())
    names = [
        person.pseudonym,
        own_keys.name_of(person.pseudonym),
        *(device for device in devices if device not in others),
    ]
    gone["vault"] = connection.execute(delete(vault_table).where(vault_table.c.pseudonym.in_(names))).rowcount
    gone["people"] = connection.execute(delete(people_table).where(people_table.c.no == person.no)).rowcount
    return gone


def forget_pages(database: Database) -> None:
    """Have SQLite write over what was deleted and empty its write-ahead log."""
    if database.is_sqlite:
        with database.maintaining() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _devices(connection: Connection, person: Person) -> list[str]:
    c = readings_table.c
    found = connection.execute(select(c.device).where(c.person == person.no, c.device != "").distinct())
    return list(found.scalars())


def _profile(profile: Profile) -> dict[str, Any]:
    told = {name: value for name, value in vars(profile).items() if name != "person" and value == value}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def _rows(time: Any, values: Mapping[str, Any], offset: Any = None, **more: Any) -> list[dict[str, Any]]:
    """Return rows as plain values, what was not measured left out."""
    columns = {name: column.tolist() for name, column in values.items()}
    others = {name: column.tolist() if hasattr(column, "tolist") else list(column) for name, column in more.items()}
    zones = offset.tolist() if offset is not None else [0] * len(time)
    rows = []
    for i, (moment, zone) in enumerate(zip(time.tolist(), zones, strict=True)):
        row: dict[str, Any] = {"time": rfc3339(moment, zone)}
        row |= {name: column[i] for name, column in others.items()}
        row |= {name: column[i] for name, column in columns.items() if column[i] == column[i]}
        rows.append(row)
    return rows

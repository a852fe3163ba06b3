"""What a database knows about itself, by name: which key it was made with, which rules were last in force."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, delete, select

from vitalwatch.database.tables import facts


def read(connection: Connection, name: str) -> Any:
    """Return what is known under a name, plain values; None where nothing is."""
    found = connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()
    return None if found is None else json.loads(found)


def write(connection: Connection, name: str, told: Any) -> None:
    """Write it, in place of what was known."""
    connection.execute(delete(facts).where(facts.c.name == name))
    connection.execute(facts.insert().values(name=name, value=json.dumps(told)))

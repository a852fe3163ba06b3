"""From one version of the tables to another, with everything in them, in one transaction: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitalwatch.database.connection import Database
from vitalwatch.errors import UsageError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"
NOTHING = "base"  # before the first version: no tables


def versions() -> list[str]:
    """Return all versions, oldest first."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in script.walk_revisions()][::-1]


def upgrade(database: Database, to: str = "head") -> tuple[str | None, str | None]:
    """Bring the tables to a newer version; return the versions before and after.

    Raises:
        UsageError: There is no such version, or it is older.
        DatabaseError: The database refuses; nothing was changed.
    """
    return _move(database, to, newer=True)


def downgrade(database: Database, to: str) -> tuple[str | None, str | None]:
    """Bring the tables to an older version, where what only the newer one can hold is lost; as `upgrade`."""
    return _move(database, to, newer=False)


def _move(database: Database, to: str, *, newer: bool) -> tuple[str | None, str | None]:
    known, before = [NOTHING, *versions()], database.version()
    target = known[-1] if to == "head" else to
    if target not in known:
        raise UsageError(f"{to} is no version of the tables. Known: {', '.join(known)}.")
    now = known.index(before or NOTHING)
    if (known.index(target) < now) if newer else (known.index(target) > now):
        raise UsageError(f"The tables are of version {before or NOTHING}; {target} is {'older' if newer else 'newer'}.")
    with database.writing() as connection:
        migrate(connection, target, newer=newer)
    return before, database.version()


def migrate(connection: Connection, target: str, *, newer: bool = True) -> None:
    """Run the migrations to a version on a connection, inside its transaction."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    (command.upgrade if newer else command.downgrade)(config, target)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config

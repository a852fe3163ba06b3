"""A backup is one file that both kinds of database can be restored from: compressed lines under a checksum.

It is taken at one moment while everything runs. What is encrypted in the database is encrypted in the file, and the key
is not in it: keep that elsewhere. Readings and scores of pseudonyms are in it as they are: keep it closed.
"""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, MetaData, Table, inspect, select, text

from vitalwatch.database import generation
from vitalwatch.database.connection import Database
from vitalwatch.database.tables import metadata
from vitalwatch.database.upgrading import migrate, versions
from vitalwatch.errors import DatabaseError, SourceError, StoreError
from vitalwatch.recordings import settle
from vitalwatch.store import PROBLEMS, temporary, writing

FORMAT = 1
AT_ONCE = 2000  # rows
MAGIC = "vitalwatch backup"
BROKEN = "It was cut off or changed: use another backup"


def backup(database: Database, path: Path, key_id: str, now: int) -> dict[str, int]:
    """Write everything to a file that must not exist yet, and return the rows by table.

    Raises:
        StoreError: The file is there already, or the disk refuses.
        DatabaseError: The database does.
    """
    if path.exists():
        raise StoreError(path, *PROBLEMS[errno.EEXIST])
    draft, version = path.with_name(temporary(path.name)), database.version()
    head = {"magic": MAGIC, "format": FORMAT, "version": version, "key": key_id, "made": now}
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.touch(mode=0o600)
            with gzip.open(draft, "wb", compresslevel=3) as file, database.reading() as connection:
                counts = _write(file, connection, head)
            settle(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return counts


def head_of(path: Path) -> dict[str, Any]:
    """Return what a backup says of itself, after its whole content was checked; raises SourceError."""
    head: dict[str, Any] = {}
    digest, ended, rows = hashlib.sha256(), False, 0
    for line in _lines(path):
        told = _parsed(path, line)
        if not head:
            if told.get("magic") != MAGIC or told.get("format") != FORMAT:
                raise SourceError(str(path), "is no backup that this version reads", "Name a file of `database backup`")
            head = told
        elif "sha256" in told:
            ended = hmac.compare_digest(told["sha256"], digest.hexdigest()) and told["rows"] == rows
            break
        else:
            rows += len(told["rows"])
        digest.update(line)
    if not ended:
        raise SourceError(str(path), "the backup is not whole", BROKEN)
    return head


def restore(database: Database, path: Path, *, replace: bool) -> dict[str, Any]:
    """Fill a database from a backup, in one transaction, and bring it to the newest version; nobody may serve it.

    It begins another life (see `generation`): processes that know the one before forget it.

    Args:
        database: Empty, or with `replace` any: what is in it goes.
        path: From `backup`.
        replace: Whether a database that holds something may be overwritten.

    Returns:
        `head` of the backup and `rows` by table.

    Raises:
        SourceError: The backup is not whole; the database was not touched.
        DatabaseError: The database holds something, or refuses.
    """
    head = head_of(path)
    if head["version"] not in versions():
        raise SourceError(str(path), f"its tables are of version {head['version']}", "Restore with a newer program")
    if database.version() is not None and not replace:
        raise DatabaseError(database.shown, "it holds something already", "Name an empty one, or add --replace")
    rows: dict[str, int] = {}
    with database.writing() as connection:
        before = generation.numbers(connection)
        _drop(connection)
        migrate(connection, str(head["version"]))
        there = MetaData()
        there.reflect(connection)
        for line in _lines(path):
            told = json.loads(line)
            if "table" in told:
                table = there.tables[told["table"]]
                connection.execute(table.insert(), [_plain(table, told["columns"], row) for row in told["rows"]])
                rows[table.name] = rows.get(table.name, 0) + len(told["rows"])
        migrate(connection, "head")
        generation.begin(connection, before)
    return {"head": head, "rows": rows}


def _write(file: gzip.GzipFile, connection: Connection, head: dict[str, Any]) -> dict[str, int]:
    digest, counts = hashlib.sha256(), {}

    def line(told: dict[str, Any]) -> None:
        encoded = json.dumps(told, separators=(",", ":")).encode() + b"\n"
        file.write(encoded)
        digest.update(encoded)

    line(head)
    for table in metadata.sorted_tables:
        counts[table.name] = 0
        found = connection.execution_options(stream_results=True).execute(select(table).order_by(*table.primary_key))
        for some in found.partitions(AT_ONCE):
            rows = [[base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in row] for row in some]
            line({"table": table.name, "columns": [column.name for column in table.columns], "rows": rows})
            counts[table.name] += len(rows)
    last = {"sha256": digest.hexdigest(), "rows": sum(counts.values())}
    file.write(json.dumps(last).encode() + b"\n")
    return counts


def _plain(table: Table, columns: list[str], row: list[Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value) if value is not None and isinstance(table.c[name].type, LargeBinary) else value
        for name, value in zip(columns, row, strict=True)
    }


def _drop(connection: Connection) -> None:
    for table in inspect(connection).get_table_names():
        connection.execute(text(f'DROP TABLE "{table}"'))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except FileNotFoundError:
        raise SourceError(str(path), "is not there", "Name a file of `database backup`") from None
    except (OSError, EOFError, ValueError, zlib.error):
        raise SourceError(str(path), "the backup is not whole", BROKEN) from None


def _parsed(path: Path, line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise SourceError(str(path), "the backup is not whole", BROKEN)
    return told

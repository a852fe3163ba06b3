"""The tables of today are those that the migrations make, and data survives the way up and down."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, inspect, select, text

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.database import access
from vitalwatch.database.connection import Database
from vitalwatch.database.tables import HEAD, metadata
from vitalwatch.database.upgrading import NOTHING, downgrade, upgrade, versions
from vitalwatch.errors import DatabaseError, UsageError

FOREVER = 1 << 60


@pytest.fixture
def database(both: str) -> Iterator[Database]:
    database = Database(both)
    yield database
    database.close()


def shape(database: Database) -> dict[str, Any]:
    """Return columns with types and nullability, primary keys, indexes and unique constraints of every table."""
    looked = inspect(database.engine)
    return {
        table: {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in looked.get_columns(table)],
            "key": looked.get_pk_constraint(table)["constrained_columns"],
            "indexes": sorted((i["column_names"], bool(i["unique"])) for i in looked.get_indexes(table)),
            "unique": sorted(u["column_names"] for u in looked.get_unique_constraints(table)),
        }
        for table in looked.get_table_names()
    }


def content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def test_the_newest_version_is_the_one_that_the_program_expects():
    assert HEAD == versions()[-1]


def test_migrations_make_the_tables_that_a_new_database_gets(database):
    upgrade(database)
    migrated = shape(database)
    downgrade(database, NOTHING)
    with database.writing() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    database.prepare()

    assert shape(database) == migrated
    assert {table.name for table in metadata.sorted_tables} | {"alembic_version"} == set(migrated)


def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table that there is now, whichever version it is of."""
    found = MetaData()
    with database.reading() as connection:
        found.reflect(connection)
        return {
            table.name: [plain(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in found.sorted_tables
            if table.name != "alembic_version"
        }


def plain(row: Any) -> tuple[Any, ...]:
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)


def fill(database: Database, name: str, seed: int = 0) -> None:
    """Write two rows with another value in every column into a table, as its version has it."""
    found = MetaData()
    with database.writing() as connection:
        table = Table(name, found, autoload_with=connection)
        rows = [
            {column.name: value_of(column, seed + 100 * row + place) for place, column in enumerate(table.columns)}
            for row in (1, 2)
        ]
        connection.execute(table.insert(), rows)


def value_of(column: Column[Any], number: int) -> Any:
    kind = column.type.python_type
    if kind is bytes:
        return bytes([0, 255, number % 256])
    return bool(number % 2) if kind is bool else number if kind is int else f"text {number} \u00e9\u2082"


def test_rows_of_every_table_of_every_version_survive_up_down_and_up(database):
    """A step loses what only the newer version can hold, and nothing else; what comes again works."""
    kept: dict[str, list[tuple[Any, ...]]] = {}
    made: dict[str, set[str]] = {}
    for version in versions():
        upgrade(database, version)
        now = rows_of(database)
        made[version] = now.keys() - kept.keys()
        assert now == kept | {name: [] for name in made[version]}, version
        for name in made[version]:
            fill(database, name)
        kept = rows_of(database)
    assert all(2 == len(rows) for rows in kept.values())
    assert {table.name for table in metadata.sorted_tables} == kept.keys()
    assert all(made.values())

    whole = dict(kept)
    for before, version in reversed(list(itertools.pairwise(versions()))):
        downgrade(database, before)
        kept = {name: rows for name, rows in kept.items() if name not in made[version]}
        assert kept == rows_of(database), before
        for name in kept:  # the older version goes on writing
            fill(database, name, 1_000 * int(version))
        kept = rows_of(database)

    for version in versions()[1:]:
        upgrade(database, version)
        assert rows_of(database) == kept | {name: [] for name in made[version]}, version
        for name in made[version]:
            fill(database, name)
        kept = rows_of(database)
    assert whole.keys() == kept.keys()
    assert all({*whole[name]} <= {*kept[name]} for name in whole)
    first = versions()[0]
    assert all(2 * len(versions()) == len(kept[name]) for name in made[first])


def told(ward: Ward) -> None:
    """Have somebody's whole life stored: alarms with a receiver, limits, a discharge, a change of medication."""
    ward.send([{"person": "anna", "time": "2026-01-05T00:00:00Z", "heart_rate": 70}])
    ward.engine.set_limits("anna", {"limits": {"heart_rate": {"high": 120}}}, "nurse")
    ward.send([*messages(somebody(0).readings.rows(slice(0, 900))), b"{"])
    ward.send([{"person": "bert", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}])
    with ward.engine.database.writing() as connection:
        _, token = access.make(connection, ward.engine._secret, "ward", ["read"], None, 1, None)
    assert ward.engine.keys.find(token) is not None
    ward.engine.set_profile("anna", {"age": 54.0}, "nurse")
    ward.engine.change("anna", "medication", {"medication": ["beta_blocker"]}, "nurse")
    ward.engine.discharge("bert", "nurse")


def test_a_ward_survives_every_version_down_and_up_and_goes_on(tmp_path, tiny_bundle, both):
    ward = Ward(tmp_path, tiny_bundle, both)
    config, secret = json.loads(ward.place.config.read_text()), tmp_path / "secret"
    secret.write_text("between us")
    secret.chmod(0o600)
    webhook = {"name": "ward", "url": "http://127.0.0.1:9/", "secret": str(secret)}
    ward.place.config.write_text(json.dumps(config | {"alarms": config.get("alarms", {}) | {"webhooks": [webhook]}}))
    ward.again()
    told(ward)
    before = content(ward.engine.database)
    for version in versions()[-2::-1]:
        downgrade(ward.engine.database, version)
    upgrade(ward.engine.database)
    after = content(ward.engine.database)
    later = {
        "judgements",
        "discharges",
        "notices",
        "changes",
        "landmarks",
        "raised",
    }  # of newer versions than the oldest

    assert [] == [name for name, rows in before.items() if not rows]
    assert later == {name for name, rows in after.items() if not rows}
    assert {name: rows for name, rows in before.items() if name not in later} == {
        name: rows for name, rows in after.items() if rows
    }
    again = ward.again()
    assert 1 == again.accept(messages(somebody(0).readings.rows(slice(900, 901))), "test", "nurse").accepted
    again.change("anna", "device", {}, "nurse")
    again.discharge("bert", "nurse")
    assert ["device"] == [one.kind for one in again.changes("anna")]
    assert {"heart_rate": {"high": 120}} == again.limits("anna")["limits"]
    assert 1 == len(content(again.database)["discharges"])
    ward.engine.close()


def test_an_older_database_is_refused_and_the_command_named(database):
    upgrade(database)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    with pytest.raises(DatabaseError, match="database upgrade"):
        database.prepare()


def test_versions_that_are_not_there_or_lie_the_other_way_are_refused(database):
    upgrade(database)

    with pytest.raises(UsageError, match="no version"):
        upgrade(database, "9999")
    with pytest.raises(UsageError, match="is older"):
        upgrade(database, NOTHING)
    downgrade(database, NOTHING)
    with pytest.raises(UsageError, match="is newer"):
        downgrade(database, HEAD)

"""The tables of today are those that the migrations make, and data survives the way up and down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import inspect, select, text

from serving_world import Ward, messages
from tiny import somebody
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


def test_data_survives_every_version_down_and_up(tmp_path, tiny_bundle, both):
    ward = Ward(tmp_path, tiny_bundle, both)
    ward.send([*messages(somebody(0).readings.rows(slice(0, 900))), b"{"])
    ward.engine.set_limits("anna", {"limits": {}}, "nurse")
    before = content(ward.engine.database)
    for version in versions()[-2::-1]:
        downgrade(ward.engine.database, version)
    upgrade(ward.engine.database)
    after = content(ward.engine.database)

    assert min(len(before[name]) for name in ("readings", "scores", "alarms", "quarantine", "audit", "vault")) > 0
    for name in ("readings", "scores", "alarms", "vault", "people", "outbox", "quarantine", "audit"):
        assert before[name] == after[name], name
    again = ward.again()
    assert 1 == again.accept(messages(somebody(0).readings.rows(slice(900, 901))), "test", "nurse").accepted
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

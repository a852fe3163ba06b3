"""One process of one machine has the watch over a PostgreSQL; who dies, or whose connection does, has it no more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from command_world import Place
from real_server import LOADED, children
from serving_world import Ward
from tiny import ROOT
from vitalwatch.database.connection import Database
from vitalwatch.database.session_lock import SessionLock
from vitalwatch.errors import DatabaseError

SERVING = """
import time
from vitalwatch.engine import Engine
engine = Engine.open(settings)
engine.start()
while True:
    print("guards" if engine.vigil.guarding is not None else "stands by", flush=True)
    time.sleep(0.1)
"""
END = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_locks "
    "WHERE locktype = 'advisory' AND objsubid = 2 AND pid <> pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.fixture
def database(postgres) -> Iterator[Database]:
    database = Database(postgres.database())
    yield database
    database.close()


def ended(database: Database) -> int:
    """End the connections that hold a lock of a session, as a broken network does."""
    with database.maintaining() as connection:
        return int(connection.execute(text(END)).scalar_one())


def test_the_lock_is_had_by_one_session_and_free_when_that_one_leaves(database: Database) -> None:
    first, second = SessionLock(database), SessionLock(database)

    assert [True, True, False] == [first.take(), first.take(), second.take()]
    first.leave()
    assert [True, False] == [second.take(), first.take()]
    second.leave()
    assert first.take()
    first.leave()


def test_locks_with_other_numbers_and_databases_are_others(database: Database, postgres) -> None:
    elsewhere = Database(postgres.database())
    locks = [SessionLock(database), SessionLock(database, 2), SessionLock(elsewhere)]

    assert [True, True, True] == [lock.take() for lock in locks]
    for lock in locks:
        lock.leave()
    elsewhere.close()


def test_who_lost_the_connection_takes_it_again_unless_another_was_first(database: Database) -> None:
    first, second = SessionLock(database), SessionLock(database)
    assert first.take()
    assert 1 == ended(database)
    assert first.take(), "nobody else wanted it"
    assert 1 == ended(database)
    assert second.take()
    assert not first.take()
    first.leave()
    second.leave()


def test_a_database_that_is_gone_is_no_answer(postgres) -> None:
    name = postgres.database()
    database = Database(name)
    lock = SessionLock(database)
    assert lock.take()
    with Database(postgres.url("postgres")).maintaining() as connection:
        connection.execute(text(f'DROP DATABASE "{name.rpartition("/")[2]}" WITH (FORCE)'))

    with pytest.raises(DatabaseError):
        lock.take()
    lock.leave()
    database.close()


class Host:
    """A process with artifacts of its own, as on a machine of its own, on the same database."""

    def __init__(self, folder: Path, url: str, key: Path) -> None:
        place = Place(folder)
        told = json.loads(place.config.read_text())
        told["database"] |= {"key": str(key), "url": url}
        place.config.write_text(json.dumps(told))
        loaded = LOADED.format(root=str(ROOT), config=str(place.config), sets=[])
        self.out = folder / "out"
        with self.out.open("w") as file:
            self.process = subprocess.Popen([sys.executable, "-c", loaded + SERVING], stdout=file, cwd=folder)

    def says(self) -> str:
        lines = self.out.read_text().splitlines()
        return lines[-1] if lines else ""

    def until(self, told: str, seconds: float = 60.0) -> float:
        """Return the seconds until it says so."""
        began = time.monotonic()
        while self.says() != told:
            assert self.process.poll() is None
            assert time.monotonic() - began < seconds, self.says()
            time.sleep(0.05)
        return time.monotonic() - began

    def watchdogs(self) -> list[int]:
        """Return the process ids of its children."""
        return children(self.process.pid)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def hosts(tmp_path: Path, postgres, tiny_bundle) -> Iterator[tuple[Host, Host, Database]]:
    url = postgres.database()
    for name in ("first", "a", "b"):
        (tmp_path / name).mkdir()
    ward = Ward(tmp_path / "first", tiny_bundle, url)  # makes the tables and the key
    ward.engine.close()
    key = tmp_path / "database.key"
    shutil.copy(ward.place.key.with_name("database.key"), key)
    a = Host(tmp_path / "a", url, key)
    a.until("guards")
    b = Host(tmp_path / "b", url, key)
    b.until("stands by")
    database = Database(url)
    yield a, b, database
    a.end()
    b.end()
    database.close()


def test_of_two_machines_one_has_the_watch_and_the_other_takes_it_when_that_one_is_killed(hosts) -> None:
    a, b, _ = hosts
    time.sleep(2)
    assert ("guards", "stands by") == (a.says(), b.says())
    a.process.kill()
    a.process.wait()

    assert b.until("guards") < 10


def test_a_machine_whose_connection_died_gives_the_watch_to_the_other_with_its_watchdog(hosts) -> None:
    a, b, database = hosts
    assert 1 == len(a.watchdogs())
    os.kill(a.process.pid, signal.SIGSTOP)  # while it stands still nobody takes the connection's place
    assert 1 == ended(database)
    assert b.until("guards") < 10
    os.kill(a.process.pid, signal.SIGCONT)
    a.until("stands by")

    assert [] == a.watchdogs()
    assert 1 == len(b.watchdogs())
    assert "guards" == b.says()

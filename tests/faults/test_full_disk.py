"""D7: a disk that is really full (a small tmpfs): readings are refused, nothing is half-written, it goes on later."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from api_world import Api
from command_world import Place
from postgres import UNPRIVILEGED
from presence import missing
from real_server import Server
from serving_world import RUN, Ward, messages
from tiny import somebody
from vitalwatch.database.tables import quarantine, readings, scores
from vitalwatch.errors import StoreError

pytestmark = pytest.mark.slow
MEGABYTES = 6
FILLER = "filler"


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of a few megabytes."""
    with mounted(MEGABYTES) as folder:
        yield folder


@contextmanager
def mounted(megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs where every account can reach it."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small tmpfs")
    folder = Path(tempfile.mkdtemp(prefix="vitalwatch-disk-"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        folder.rmdir()
        missing(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path) -> None:
    """Take every byte that is left."""
    with (folder / FILLER).open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            while True:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    break


def batch(number: int, size: int = 100) -> list[dict]:
    some = somebody(0).readings.rows(slice(number * size, (number + 1) * size))
    return messages(some, "anna", f"{number}-")


def counted(ward: Ward) -> tuple[int, int, int]:
    """Rows of readings, scores and quarantine."""
    with ward.engine.database.reading() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (readings, scores, quarantine)
        )


def test_a_full_disk_refuses_readings_keeps_what_was_accepted_and_takes_them_when_there_is_space(
    small_disk, tmp_path, tiny_bundle
):
    ward = Ward(tmp_path, tiny_bundle, f"sqlite:///{small_disk / 'ward.db'}")
    api = Api(ward.settings, ward.engine)
    assert 202 == api.ask("POST", "/readings", batch(0)).status
    before = counted(ward)
    fill(small_disk)
    refused = []
    for number in range(1, 12):  # a page that is free inside of the file may still take one
        answer = api.ask("POST", "/readings", [*batch(number), {"person": "anna", "time": "never"}])
        if answer.status != 202:
            refused.append((number, answer))
    unready = api.ask("GET", "/health/ready")
    during = counted(ward)
    (small_disk / FILLER).unlink()
    again = [api.ask("POST", "/readings", batch(number)) for number, _ in refused]
    api.app.state.desk.readiness._until = 0.0
    ready = api.ask("GET", "/health/ready").status

    assert len(refused) >= 9
    assert {(503, "storage", "60")} == {(one.status, one.code, one.headers["retry-after"]) for _, one in refused}
    assert "disk is full" in refused[0][1].json["detail"]
    assert (503, ["database"]) == (unready.status, list(unready.json["causes"]))
    taken = 11 - len(refused)
    assert (before[0] + 100 * taken, before[2] + taken) == (during[0], during[2])
    assert {(202, 100)} == {(one.status, one.json["accepted"]) for one in again}
    assert 200 == ready
    assert 1_200 == counted(ward)[0]
    with ward.engine.database.reading() as connection:
        assert "ok" == connection.exec_driver_sql("PRAGMA integrity_check").scalar()
    api.close()
    ward.engine.close()


def test_a_postgresql_on_a_full_disk_refuses_and_goes_on(tmp_path, tiny_bundle, postgres):
    import psycopg

    with mounted(40) as disk:
        shutil.chown(disk, UNPRIVILEGED)  # PostgreSQL does not run as root
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            connection.execute("CREATE DATABASE small TABLESPACE small")
        ward = Ward(tmp_path, tiny_bundle, postgres.url("small"))
        api = Api(ward.settings, ward.engine)
        assert 202 == api.ask("POST", "/readings", batch(0)).status
        fill(disk)
        refused = []
        for number in range(1, 30):
            answer = api.ask("POST", "/readings", batch(number))
            refused += [(number, answer)] if answer.status != 202 else []
        during = counted(ward)[0]
        (disk / FILLER).unlink()
        again = [api.ask("POST", "/readings", batch(number)) for number, _ in refused]
        total = counted(ward)[0]
        api.close()
        ward.engine.close()
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE small WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")

    assert {(503, "storage", "60")} == {(one.status, one.code, one.headers["retry-after"]) for _, one in refused}
    assert 100 * (30 - len(refused)) == during
    assert {(202, 100)} == {(one.status, one.json["accepted"]) for one in again}
    assert 3_000 == total


def test_what_fills_the_disk_itself_is_whole_in_the_end(small_disk, tmp_path, tiny_bundle, tiny_monitor):
    ward = Ward(tmp_path, tiny_bundle, f"sqlite:///{small_disk / 'ward.db'}")
    api = Api(ward.settings, ward.engine)
    (small_disk / FILLER).write_bytes(b"\0" * ((MEGABYTES << 20) - 900_000))
    statuses = [api.ask("POST", "/readings", batch(number)).status for number in range(20)]
    accepted = statuses.count(202)
    ward.again()
    kept, timeline = counted(ward), ward.engine.timeline("anna", 0, 1 << 60)
    api.close()
    ward.engine.close()

    assert {202, 503} == set(statuses)
    assert 100 * accepted == kept[0]
    assert kept[1] == len(timeline) >= 100 * accepted


def test_a_real_server_on_a_full_disk_stays_alive_and_says_so(small_disk, tmp_path, tiny_bundle):
    place = Place(tmp_path)
    place.add_run(RUN, tiny_bundle)
    server = Server(place.folder, sets=(f"config.database.url=sqlite:///{small_disk / 'ward.db'}",)).wait()
    try:
        with httpx.Client(base_url=server.address, timeout=60) as client:
            assert 202 == client.post("/readings", json=batch(0)).status_code
            fill(small_disk)
            answers = [client.post("/readings", json=batch(number)) for number in range(1, 12)]
            people = client.get("/people").status_code
            full = [n for n, one in enumerate(answers, 1) if one.status_code == 503]
            (small_disk / FILLER).unlink()
            again = {client.post("/readings", json=batch(number)).status_code for number in full}
    finally:
        server.stop()

    assert {202, 503} >= {one.status_code for one in answers}
    assert len(full) >= 9
    assert 200 == people
    assert {202} == again


def test_a_backup_onto_a_full_disk_leaves_nothing_behind(small_disk, tmp_path):
    from vitalwatch.database import backup

    ward = Ward(tmp_path, None)
    ward.send(batch(0))
    fill(small_disk)
    with pytest.raises(StoreError, match="disk is full"):
        backup.backup(ward.engine.database, small_disk / "monday.gz", "key", 1)

    assert [FILLER] == [one.name for one in small_disk.iterdir()]
    ward.engine.close()

"""D8: what is written beside the database is whole or not there, whenever its writer is killed or the power goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from serving_world import Ward, messages
from tiny import ROOT, small_settings, somebody
from vitalwatch.database import backup
from vitalwatch.recordings import iter_people, write_readings
from vitalwatch.store import write_atomic
from vitalwatch.tables import Readings

KILLS = 100
ROWS = 20_000
LONGEST = {"readings.parquet": 0.06, "production.json": 0.06, "monday.gz": 0.3}  # seconds that a writer lives
SCHEMA = small_settings().schema
# Imports once, then forks a writer for every line it is told: a kill costs milliseconds, not an interpreter's start.
NURSERY = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_whole_files as tests
import pyarrow.parquet
tests.WRITERS[sys.argv[2]](Path(sys.argv[3]) / "warm", 1)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        first = int(line)
        for generation in range(first, first + 1000):
            tests.WRITERS[sys.argv[2]](Path(sys.argv[3]) / "out", generation)
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


def written_readings(folder: Path, generation: int) -> None:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(generation)  # noise does not compress: the file has some size
    values = (generation % 100 + 0.5 * rng.random(ROWS)).astype(np.float32)  # rounding never reaches the next one
    one = Readings("anna", np.arange(ROWS, dtype=np.int64), np.zeros(ROWS, np.int16), {"heart_rate": values})
    write_readings(folder / "readings.parquet", SCHEMA, [one])


def written_pointer(folder: Path, generation: int) -> None:
    folder.mkdir(exist_ok=True)
    write_atomic(folder / "production.json", json.dumps([generation] * ROWS).encode())


def written_backup(folder: Path, generation: int) -> None:
    from vitalwatch.database.connection import Database

    folder.mkdir(exist_ok=True)
    database = Database(f"sqlite:///{folder.parent / 'ward.db'}")
    name = "monday.gz" if generation % 1000 == 1 else f"{generation}.gz"  # a backup overwrites nothing
    backup.backup(database, folder / name, "key", generation)
    database.close()


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "readings.parquet": written_readings,
    "production.json": written_pointer,
    "monday.gz": written_backup,
}


def whole_readings(path: Path) -> bool:
    (one,) = iter_people(path, SCHEMA)
    column = one.column("heart_rate")
    return ROWS == len(column) and 1 == len(set(np.floor(column).tolist()))


def whole_pointer(path: Path) -> bool:
    told = json.loads(path.read_bytes())
    return ROWS == len(told) and 1 == len(set(told))


def whole_backup(path: Path) -> bool:
    return "vitalwatch backup" == backup.head_of(path)["magic"]


WHOLE: dict[str, Callable[[Path], bool]] = {
    "readings.parquet": whole_readings,
    "production.json": whole_pointer,
    "monday.gz": whole_backup,
}


@contextmanager
def nursery(name: str, folder: Path) -> Iterator[Callable[[int, float], None]]:
    """Yield a function that lets a writer begin at a generation and kills it after some seconds."""
    command = [sys.executable, "-c", NURSERY, str(Path(__file__).parent), name, str(folder)]
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def write_and_die(generation: int, seconds: float) -> None:
        process.stdin.write(f"{generation}\n")
        process.stdin.flush()
        pid = int(process.stdout.readline())
        time.sleep(seconds)
        os.kill(pid, 9)
        assert "gone" == process.stdout.readline().strip()

    try:
        yield write_and_die
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_killed_a_hundred_times_leaves_whole_files_only(tmp_path, name):
    if name == "monday.gz":
        ward = Ward(tmp_path, None, f"sqlite:///{tmp_path / 'ward.db'}")
        ward.send(messages(somebody(0).readings.rows(slice(0, 500))))
        ward.engine.close()
    rng, seen, torn = np.random.default_rng(8), 0, 0
    with nursery(name, tmp_path) as write_and_die:
        for kill in range(KILLS):
            write_and_die(1 + kill * 1000, float(rng.uniform(0.002, LONGEST[name])))
            for path in (tmp_path / "out").glob("[!.]*"):  # whatever a reader sees
                seen += 1
                torn += path.suffix != Path(name).suffix or not WHOLE[name](path)
                if name == "monday.gz":
                    path.unlink()

    assert 0 == torn
    assert seen > KILLS / 4


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, name, monkeypatch):
    if name == "monday.gz":
        Ward(tmp_path, None, f"sqlite:///{tmp_path / 'ward.db'}").engine.close()
    (tmp_path / "out").mkdir()
    done, sync = [], os.fsync
    renames = {one: getattr(Path, one) for one in ("rename", "replace")}

    def synced(handle: int) -> None:
        sync(handle)
        done.append(Path(f"/proc/self/fd/{handle}").readlink())

    def renamed(which: str) -> Callable[[Path, Path], Path]:
        def move(self: Path, target: Path) -> Path:
            done.append((self, Path(target)))
            return renames[which](self, target)

        return move

    monkeypatch.setattr(os, "fsync", synced)
    for one in renames:
        monkeypatch.setattr(Path, one, renamed(one))
    WRITERS[name](tmp_path / "out", 1)

    (place,) = [i for i, one in enumerate(done) if isinstance(one, tuple) and one[1].name == name]
    draft, _ = done[place]
    assert draft in done[:place]
    assert tmp_path / "out" in done[place + 1 :]

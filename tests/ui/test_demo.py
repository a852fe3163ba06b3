from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from command_world import Place
from tiny import ROOT
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY
from vitalwatch.ui import demo

NOW = 1_800_000_000_000


def test_everybody_has_a_history_before_the_demonstration_begins(settings: Settings) -> None:
    people, start = demo.patients(settings, 4, NOW)

    assert NOW < start <= NOW + 2 * DAY
    for one in people:
        before, after = start - one.readings.time[0], one.readings.time[-1] - start
        assert 7 * DAY < before <= 8 * DAY
        assert after > 5 * DAY


def test_people_keep_their_own_time_of_day(settings: Settings) -> None:
    from vitalwatch import synthetic

    moved = demo.patients(settings, 2, NOW)[0][0].readings
    schema, chosen, seed = settings.schema, settings.params.synthetic, settings.params.seed
    days = demo.HISTORY_DAYS + demo.LIVE_DAYS
    original = synthetic.person(demo.FIRST_PERSON, schema, chosen, seed, days=days)
    times = {int(moment) % DAY for moment in original.readings.time}

    assert {int(moment) % DAY for moment in moved.time} <= times


def test_some_of_them_have_an_episode_soon(settings: Settings) -> None:
    people, start = demo.patients(settings, 20, NOW)
    soon = [one for one in people if any(start <= event.start < start + demo.AHEAD for event in one.events)]

    assert len(soon) >= 5


def test_the_demonstration_has_a_database_of_its_own(tmp_path: Path) -> None:
    chosen = demo.own_settings(ROOT, tmp_path)

    assert str(tmp_path) in chosen.config.database.place(chosen.artifacts, {})
    assert chosen.config.database.key.is_relative_to(tmp_path)
    assert chosen.config.alarms.watchdog is None


def test_without_a_run_it_names_the_command_that_makes_one(tmp_path: Path) -> None:
    ended = started(Place(tmp_path), tmp_path, "--people", "1")
    out, _ = ended.communicate(timeout=120)

    assert 1 == ended.returncode
    assert "`python main.py`" in out


@pytest.mark.slow
def test_it_shows_people_live_and_ends_cleanly_by_ctrl_c(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> None:
    place = Place(tmp_path)
    place.add_run("000000000001", tiny_bundle)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    running = started(place, scratch, "--people", "2", "--port", str(port))
    try:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(3)]
        answered(f"http://127.0.0.1:{port}/_stcore/health")
    finally:
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=60)

    assert lines[0].startswith(f"The page: http://127.0.0.1:{port} ")
    assert lines[1].startswith("The API:  http://127.0.0.1:")
    assert lines[2].startswith("2 simulated people")
    assert (0, True) == (running.returncode, out.endswith("its database is gone.\n"))
    assert [] == [path.name for path in scratch.glob("vitalwatch-demo-*")]
    assert not (place.artifacts / "vitalwatch.db").exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)


def started(place: Place, scratch: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vitalwatch.ui.demo", "--root", str(ROOT), "--config", str(place.config), *words]
    environ = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ, cwd=place.folder,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def answered(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the page did not answer")

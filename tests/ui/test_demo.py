from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from command_world import Place
from tiny import ROOT
from vitalwatch.database.vault import Secret
from vitalwatch.settings import DATABASE_KEY, DATABASE_URL, Settings
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


def test_the_demonstration_has_a_database_of_its_own_whatever_the_environment_names(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(32)).decode()
    environ = {DATABASE_URL: "postgresql://ward@db/ward", DATABASE_KEY: key, "HOME": "/home/nurse"}
    chosen = demo.own_settings(ROOT, tmp_path, environ=environ)
    database = chosen.config.database

    assert f"sqlite:///{tmp_path / 'demo.db'}" == database.place(chosen.artifacts, environ)
    assert Secret(bytes(32)).id != Secret.load(database.key, create=True, environ=environ).id
    assert (tmp_path / "database.key") == database.key
    assert {"HOME": "/home/nurse"} == environ
    assert chosen.config.alarms.watchdog is None


def test_simulated_alarms_reach_no_receiver_and_real_accounts_do_not_sign_in(tmp_path: Path) -> None:
    hook = {"name": "ward", "url": "https://ward.example.org/alarms"}
    mail = {
        "name": "doctor",
        "host": "mail.example.org",
        "port": 587,
        "sender": "v@example.org",
        "to": ["d@example.org"],
    }
    provider = {"issuer": "https://id.example.org", "audience": "vitalwatch", "jwks": "keys.json"}
    real = {"alarms": {"webhooks": [hook], "mails": [mail]}, "api": {"oidc": provider, "streams": 7}}
    for name in ("schema.yaml", "params.yaml", "rules.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "config").mkdir()
    base = yaml.safe_load((ROOT / "config" / "base.yaml").read_text())
    for name, group in real.items():
        base[name] |= group
    (tmp_path / "config" / "base.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**real, "page": {"token_header": "X-Token"}}))
    (tmp_path / "demo").mkdir()
    for laid_over in (None, tmp_path / "mine.yaml"):
        config = demo.own_settings(tmp_path, tmp_path / "demo", laid_over, {}).config

        assert ((), (), None, None) == (
            config.alarms.webhooks, config.alarms.mails, config.api.oidc, config.page.token_header,
        )  # fmt: skip
        assert 7 == config.api.streams


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
    elsewhere = tmp_path / "elsewhere.db"
    named = {DATABASE_URL: f"sqlite:///{elsewhere}", DATABASE_KEY: base64.b64encode(bytes(32)).decode()}
    running = started(place, scratch, "--people", "2", "--port", str(port), **named)
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
    assert not elsewhere.exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)


def started(place: Place, scratch: Path, *words: str, **named: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vitalwatch.ui.demo", "--root", str(ROOT), "--config", str(place.config), *words]
    environ = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", **named}
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

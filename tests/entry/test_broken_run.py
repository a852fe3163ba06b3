"""A run that is interrupted, killed or out of disk leaves production as it was, and the next one works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_world import EASY, TINY, Place

pytestmark = pytest.mark.slow
SETS = (*TINY, *EASY)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One run in production."""
    place = Place(tmp_path_factory.mktemp("broken"))
    answer = place.call("--json", sets=SETS)
    assert answer.code == 0, answer.err
    assert place.call("promote", answer.json["run"]).code == 0
    return place


def wait_for(place: Place, stage: str, seconds: float = 60.0) -> None:
    """Wait until a stage is at work."""
    end = time.monotonic() + seconds
    while not list((place.store.cache / stage).glob(".tmp-*")):
        assert time.monotonic() < end, f"{stage} did not begin"
        time.sleep(0.02)


def works(place: Place, live: str | None) -> None:
    """Assert that production is whole and that the next run works."""
    assert place.store.production() == live
    assert place.store.problem(str(live)) == ""
    assert place.call("doctor").code == 0
    answer = place.call("--from", "evaluate", "--no-promote", "--json", sets=SETS)
    assert answer.code == 0, answer.err
    assert place.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_training_production_is_unchanged(place, number):
    live = place.store.production()
    process = place.start("--from", "train", "--json", sets=SETS)
    wait_for(place, "train")
    time.sleep(1.0)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 128 + number, err
    if number == signal.SIGINT:
        assert "Interrupted; production is unchanged." in err
        assert '"exit_code": 130' in out
    assert "Traceback" not in err
    works(place, live)


@pytest.mark.parametrize("point", ["stage-before-rename", "run-before-rename", "before-rename-manifest.json"])
def test_killed_at_a_named_place_production_is_unchanged(place, point):
    live = place.store.production()
    answer = place.call("--from", "evaluate", sets=SETS, VITALWATCH_FAILPOINT=point)
    assert answer.code == -signal.SIGKILL
    works(place, live)


def test_two_at_once_and_the_second_is_told(place):
    live = place.store.production()
    process = place.start("--from", "evaluate", "--no-promote", sets=SETS)
    wait_for(place, "evaluate")
    second = place.call("--from", "evaluate", sets=SETS)
    process.communicate(timeout=120)

    assert second.code == 1
    assert f"another run holds it (pid {process.pid}" in second.err
    assert process.returncode == 0
    works(place, live)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


def test_a_full_disk_is_told_and_nothing_half_written_stays(small_disk, tmp_path):
    place = Place(tmp_path)
    place.settle(small_disk / "artifacts")
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    answer = place.call("--json", sets=SETS)

    assert answer.code == 1
    assert "the disk is full" in answer.json["error"]
    assert "space" in answer.json["next"]
    assert place.left() == []
    assert place.store.runs() == []


def test_a_full_disk_while_scoring_leaves_nothing(small_disk, place, tmp_path):
    recording = tmp_path / "rec"
    assert place.call("generate", "--people", "3", "--days", "20", "--out", str(recording)).code == 0
    out = small_disk / "scored"
    answer = place.call("score", "--source", str(recording), "--out", str(out), "--json")
    assert answer.code == 1
    assert "the disk is full" in answer.json["error"]
    assert not out.exists()

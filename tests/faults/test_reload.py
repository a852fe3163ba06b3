"""`make serve SERVE_ARGS=--reload`: a changed source is served soon, also with a stream open, and it ends cleanly."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from real_server import alive, children, free_port
from tiny import ROOT

COPIED = ("app.py", "Makefile", "pyproject.toml", "requirements.txt", "schema.yaml", "params.yaml", "rules.yaml")
FILE, BEFORE, AFTER = "src/vitalwatch/api/openapi.py", 'VERSION = "1.0.0"', 'VERSION = "7.0.0"'


def until(what: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def below(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    return [each for one in children(pid) for each in (one, *below(one))]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what serving needs, to be changed."""
    for name in COPIED:
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("src", "config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return tmp_path


@pytest.fixture
def served(checkout: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with started(checkout) as both:
        yield both


@contextlib.contextmanager
def started(checkout: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start the server as make does, with the interpreter of these tests and the copy's source."""
    port = free_port()
    words = ["make", "--no-print-directory", "-n", "serve", f"PORT={port}", "SERVE_ARGS=--reload", *more]
    told = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    program, *arguments = shlex.split(told)
    assert program.endswith("/uvicorn")
    with (checkout / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *arguments],
            cwd=checkout,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"},
        )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        for one in below(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.kill()
        process.wait()


def version(address: str) -> str:
    try:
        return str(httpx.get(f"{address}/openapi.json", timeout=5).json()["info"]["version"])
    except httpx.HTTPError:
        return ""


@pytest.mark.slow
def test_a_changed_source_file_is_served_and_the_server_ends_with_all_that_it_began(checkout: Path, served) -> None:
    process, address = served
    until(lambda: version(address) == "1.0.0")
    reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 72}
    with httpx.stream("GET", f"{address}/events?after=0", timeout=60) as stream:
        lines = stream.iter_lines()
        assert "retry: 1000" == next(lines)
        assert 202 == httpx.post(f"{address}/readings", json=reading, timeout=10).status_code
        file = checkout / FILE
        file.write_text(file.read_text().replace(BEFORE, AFTER))
        with contextlib.suppress(httpx.HTTPError):  # the stream ends, by its end or by the connection's
            assert [] == [line for line in lines if re.match(r"event: (?!reading)", line)]
    until(lambda: version(address) == "7.0.0")
    again = httpx.post(f"{address}/readings", json=reading, timeout=10).json()

    assert ("1.0.0", True) == (BEFORE.split('"')[1], again["duplicate"])
    children = below(process.pid)
    assert len(children) >= 2, "the server and its watchdog"
    process.send_signal(signal.SIGINT)
    assert 0 == process.wait(30)
    until(lambda: not any(map(alive, children)), 15)
    assert "Traceback" not in (checkout / "log").read_text()


@pytest.mark.slow
def test_without_a_key_nothing_beyond_this_machine_is_answered_with_reload_either(checkout: Path) -> None:
    with started(checkout, "ADDRESS=0.0.0.0") as (process, address):
        until(lambda: "there is no key yet" in (checkout / "log").read_text())
        assert "" == version(address)
        process.send_signal(signal.SIGINT)
        process.wait(30)

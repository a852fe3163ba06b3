"""The page in real headless Chromium, on a small real model and a ward of its own, in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from presence import missing
from serving_world import Ward, messages
from tiny import ROOT, somebody
from vitalwatch.tables import MINUTE
from vitalwatch.ui.clock import VARIABLE, FastClock, wall
from vitalwatch.ui.source import CONFIG

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
ROWS = 900


@dataclass
class Site:
    """A running page and the engine that feeds it."""

    url: str
    ward: Ward
    sent: int

    def send_next(self, rows: int = 1) -> None:
        """Send the next readings of the one who is there, and move the clock to them."""
        readings = somebody(1).readings.rows(slice(self.sent, self.sent + rows))
        self.sent += rows
        self.set_clock(int(readings.time[-1]) + 6 * MINUTE)
        self.ward.send(messages(readings))

    def set_clock(self, moment: int) -> None:
        """Show this time everywhere; it stands."""
        self.ward.clock.ms = moment
        FastClock(wall(), moment, 0.0).write(self.ward.place.folder / "clock")


S = TypeVar("S", bound=Site)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    if not CHROMIUM.exists():
        missing("no /usr/bin/chromium; apt-get install chromium")
    return {**browser_type_launch_args, "executable_path": str(CHROMIUM), "args": ARGUMENTS}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: tuple[Path, Path]) -> Iterator[Site]:
    ward = Ward(tmp_path_factory.mktemp("site"), tiny_bundle)
    found = Site("", ward, 0)
    found.send_next(ROWS)
    yield from running(found)
    ward.engine.close()


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ward = Ward(tmp_path_factory.mktemp("empty"), None)
    found = Site("", ward, 0)
    found.set_clock(ward.clock.ms)
    yield from running(found)
    ward.engine.close()


def running(site: S, more: Mapping[str, str] | None = None) -> Iterator[S]:
    """Yield a site whose page runs in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = site.ward.place.folder
    keys = folder / "artifacts" / "keys"  # paths of the config start at the checkout, those of the ward at its folder
    own = json.loads(site.ward.place.config.read_text())
    own["database"] = {"key": str(keys / "database.key"), "anchor": str(keys / "audit.anchor")}
    (folder / "page.yaml").write_text(json.dumps(own))
    told = {CONFIG: str(folder / "page.yaml"), VARIABLE: str(folder / "clock"), "OMP_NUM_THREADS": "1", **(more or {})}
    environ = {**os.environ, **told}
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py"), "--server.port", str(port)]
    with (folder / "page.log").open("wb") as log:
        page = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            site.url = f"http://127.0.0.1:{port}"
            _wait(f"{site.url}/_stcore/health", page)
            yield site
        finally:
            page.terminate()
            page.wait(15)


def _wait(url: str, page: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and page.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the page did not start; see page.log in its folder")

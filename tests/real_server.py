"""uvicorn in a process of its own, as `make serve` starts it, on artifacts of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tiny import ROOT
from vitalwatch.settings import forget_database

START = 60  # seconds, on a busy machine
LOADED = """
from pathlib import Path
from vitalwatch.settings import load_settings
settings = load_settings(Path({root!r}), environment="base", config=Path({config!r}), overrides={sets!r})
"""
PLAIN = """
from vitalwatch.api.app import create_app
app = create_app(settings)
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second where it ends while it is read
        return False


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children, whichever thread began them."""
    found: list[int] = []
    for told in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found += map(int, told.read_text().split())
    return found


class Server:
    """One server.

    Args:
        folder: Of a `Place`: its config is read, `entry.py` and `log` are written.
        words: More arguments of uvicorn.
        host: To bind.
        port: To bind, 0 for a free one.
        sets: `key=value` laid over the config.
        entry: Python that makes `app` of `settings`.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        host: str = "127.0.0.1",
        port: int = 0,
        sets: tuple[str, ...] = (),
        entry: str = PLAIN,
    ) -> None:
        forget_database()
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        told = LOADED.format(root=str(ROOT), config=str(folder / "config.yaml"), sets=list(sets))
        (folder / "entry.py").write_text(told + entry)
        command = [sys.executable, "-m", "uvicorn", "entry:app", "--host", host, "--port", str(self.port)]
        self.log = (folder / "log").open("a+")
        self.process = subprocess.Popen(
            [*command, "--no-server-header", "--http", "vitalwatch.api.connections:Connections", *words],
            cwd=folder,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def wait(self) -> Server:
        for _ in range(START * 10):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.address}/health/live", timeout=2)
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(self.said())

    def said(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def kill(self) -> None:
        """End it as a power cut would: it can do nothing more."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.log.close()

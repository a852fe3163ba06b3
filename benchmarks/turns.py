"""One reading by this code and by that of another checkout, in turns in one process: what a busy machine can tell.

    git worktree add ../before HEAD~1
    OMP_NUM_THREADS=1 python benchmarks/turns.py --other ../before/src [--models FOLDER --trusted KEY.pub]

Prints the processor time of the other and of this code by blocks of readings, the ratio of their medians block by block
with a bootstrap interval over blocks, and whether every answer is equal to the bit. Without --models, those in
production.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import hashlib
import importlib
import json
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
HISTORY, READINGS, BLOCK = 10 * 288, 1000, 25


@dataclass
class Side:
    """A checkout's monitor, the state its readings begin from, and what it took: microseconds a reading by block."""

    monitor: Any
    start: Any
    new: list[Any]
    answers: str
    spent: list[float]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--other", type=Path, required=True, help="src folder of the other checkout")
    asked.add_argument("--models", type=Path, help="folder of a bundle that both can open")
    asked.add_argument("--trusted", type=Path, help="public key that signed it")
    asked.add_argument("--seconds", type=float, default=40.0)
    given = asked.parse_args()
    models, trusted = (given.models, given.trusted) if given.models else in_production()
    other, this = (side(source.resolve(), models, trusted) for source in (given.other, ROOT / "src"))
    until, turn = time.monotonic() + given.seconds, 0
    while time.monotonic() < until:
        run_in_turns((other, this) if turn % 2 == 0 else (this, other))
        turn += 1
    before, now = np.array(other.spent), np.array(this.spent)
    ratio, rng = now / before, np.random.default_rng(0)
    drawn = [np.median(rng.choice(ratio, len(ratio))) for _ in range(1000)]
    told = {
        "other_us": round(float(np.median(before))),
        "this_us": round(float(np.median(now))),
        "ratio": round(float(np.median(ratio)), 3),
        "interval": [round(float(one), 3) for one in np.quantile(drawn, (0.025, 0.975))],
        "blocks": len(ratio),
        "answers_equal": other.answers == this.answers,
    }
    print(json.dumps(told))
    return 0


def in_production() -> tuple[Path, Path]:
    """Return the models in production and the first key that is trusted."""
    from vitalwatch.settings import load_settings
    from vitalwatch.store import Store

    settings = load_settings(ROOT, environment="base")
    store = Store(settings.artifacts)
    run = store.production()
    if run is None:
        raise SystemExit("No run is in production: name a bundle by --models and --trusted.")
    return store.folder(run) / "models", settings.path(settings.config.signing.trusted[0])


def side(source: Path, models: Path, trusted: Path) -> Side:
    """Return a checkout's monitor: its modules are imported anew, those of another stay with whom has them."""
    for name in [name for name in sys.modules if name.split(".")[0] == "vitalwatch"]:
        del sys.modules[name]
    sys.path.insert(0, str(source))
    monitor, synthetic, settings = (
        importlib.import_module(f"vitalwatch.{name}") for name in ("monitor", "synthetic", "settings")
    )
    sys.path.pop(0)
    chosen = settings.load_settings(source.parent, environment="base")
    opened = monitor.Monitor.open(models, [trusted])
    days = (HISTORY + READINGS) // 200 + 2
    made = synthetic.person(3, chosen.schema, chosen.params.synthetic, 1, days=days)
    history = made.readings.rows(slice(0, HISTORY))
    start, _ = opened.advance(opened.begin("a", made.profile), history, forecast=False)
    new = [made.readings.rows(slice(i, i + 1)) for i in range(HISTORY, HISTORY + READINGS)]
    return Side(opened, start, new, answers(opened, start, new, monitor.BY_ROW), [])


def answers(monitor: Any, state: Any, new: list[Any], columns: tuple[str, ...]) -> str:
    """Return a digest of every answer to the readings told one at a time."""
    digest = hashlib.sha256()
    for reading in new:
        state, told = monitor.advance(state, reading)
        for name in columns:
            digest.update(np.ascontiguousarray(getattr(told, name)).tobytes())
        digest.update(repr(told.alarms).encode())
    return digest.hexdigest()


def run_in_turns(sides: tuple[Side, Side]) -> None:
    """Tell both the same readings, a block each in turns."""
    states = [one.start for one in sides]
    for first, stop in pairwise(range(0, READINGS + 1, BLOCK)):
        for i, one in enumerate(sides):
            spent = []
            for reading in one.new[first:stop]:
                clock = time.process_time_ns()
                states[i], _ = one.monitor.advance(states[i], reading)
                spent.append((time.process_time_ns() - clock) / 1e3)
            one.spent.append(float(np.median(spent)))


if __name__ == "__main__":
    raise SystemExit(main())

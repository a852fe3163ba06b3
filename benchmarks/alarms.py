"""What rules cost, and what they do with a sensor that is wrong; each beside a reference of the same run.

    OMP_NUM_THREADS=1 python benchmarks/alarms.py

Prints JSON lines. A small bundle of a few synthetic people is trained first (seconds). `judge` is processor time of all
shipped rules for one row and for twelve days, beside the monitor's own; `lifecycle` is a step of the state machine;
`artefacts` are clinical alarms by rules for each hour of an artefact, beside thresholds on raw values; `stalled` is how
long a real receiver waits until a real watchdog tells it that a real scorer was stopped (SIGSTOP).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "alerting")]

from test_any_life import Life  # noqa: E402
from test_artefacts import SCHEMA, SHIPPED, cost  # noqa: E402
from test_watchdog import Real, stall  # noqa: E402

from artefact_world import ARTEFACTS  # noqa: E402 - the path is set first
from bench import Targets  # noqa: E402
from tiny import small_settings, somebody, write_tiny  # noqa: E402
from vitalwatch.alerting.judging import Judge, Memory  # noqa: E402
from vitalwatch.alerting.watchdog import Limits  # noqa: E402
from vitalwatch.monitor import Monitor  # noqa: E402

ROWS = 600


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle, public = write_tiny(Path(folder) / "tiny", small_settings())
        monitor = Monitor.open(bundle, [public])
        tell("judge", judge(monitor))
        tell("lifecycle", lifecycle())
        tell("artefacts", {name: per_hour(monitor, name) for name in ARTEFACTS})
        found = stalled(Path(folder))
        tell("stalled", found)
    targets = Targets()
    targets.at_most("a stopped server is told outside, worst", found["worst_s"], found["asked_s"], "s")
    return targets.end()


def tell(name: str, figures: dict) -> None:
    print(json.dumps({name: figures}), flush=True)


def judge(monitor: Monitor) -> dict:
    """Microseconds of processor time a row."""
    life, rules = somebody(1, 12).readings, Judge(SHIPPED, SCHEMA)
    begun = time.process_time()
    _, whole = monitor.advance(monitor.begin(life.person), life, forecast=False)
    monitored = time.process_time() - begun
    begun = time.process_time()
    rules.look(Memory(), whole)
    judged = time.process_time() - begun
    state, answers = monitor.begin(life.person), []
    begun = time.process_time()
    for row in range(ROWS):
        state, told = monitor.advance(state, life.rows(slice(row, row + 1)), forecast=False)
        answers.append(told)
    alone = time.process_time() - begun
    memory, begun = Memory(), time.process_time()
    for told in answers:
        memory, _ = rules.look(memory, told)
    judged_alone = time.process_time() - begun
    micro = 1e6
    return {
        "rules": len(rules.asked),
        "rows": len(whole),
        "in_bulk_us": round(judged / len(whole) * micro, 2),
        "monitor_in_bulk_us": round(monitored / len(whole) * micro, 2),
        "one_row_us": round(judged_alone / ROWS * micro, 1),
        "monitor_one_row_us": round(alone / ROWS * micro, 1),
    }


def lifecycle() -> dict:
    """Transitions of a random walk, checks of every invariant with them."""
    life, begun = Life(random.Random(1)), time.process_time()
    while life.transitions < 20_000:
        life.go_on()
    spent = time.process_time() - begun
    return {
        "transitions": life.transitions,
        "steps": life.steps,
        "us_a_step_with_checks": round(spent / life.steps * 1e6),
    }


def per_hour(monitor: Monitor, name: str) -> dict:
    clinical, raw, technical = cost(monitor, name)
    return {"clinical": round(clinical, 3), "raw_thresholds": round(raw, 3), "technical": round(technical, 3)}


def stalled(folder: Path, times: int = 5) -> dict:
    """Seconds from SIGSTOP to the receiver, with limits as shipped: 10 s without a sign of life, a look a second."""
    took = []
    for i in range(times):
        made: list[Real] = []

        def make(limits: Limits, receivers: list[dict], place: Path = folder / f"real{i}", to: list = made) -> Real:
            to.append(Real(place, limits, receivers))
            return to[-1]

        took.append(stall(make, Limits())[0])
        made[0].end()
    return {
        "times": times,
        "median_s": round(sorted(took)[times // 2], 2),
        "worst_s": round(max(took), 2),
        "asked_s": 15,
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""What serving takes in: readings a second, scored and on the disk, on each database.

    OMP_NUM_THREADS=1 python benchmarks/ingest.py [--people 50] [--postgres URL] [--models FOLDER --trusted KEY.pub]

Readings as devices send them (JSON objects as bytes) go through `Engine.accept`: validated, each once, scored by the
monitor, alarmed for, committed with the disk synced. Loads: `grid` (a reading a grid step, batches of 1,000 of ten
people), `dense` (a reading a second of everybody, in batches of 1,000 and of one second), `single` (one reading a call,
one thread), and `together` (64 senders of one reading each, of 64 people, taken in by one transaction). Beside each in
the same run: the same bytes are parsed as JSON and no more, and as many plain rows are written to a file with the same
settings. Processor seconds of this process, and elapsed ones; PostgreSQL works in processes of its own, whose time is
not in the first. What REST adds is in `benchmarks/serving.py`, beside a bare ASGI application and a FastAPI echo.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import Targets
from vitalwatch import synthetic
from vitalwatch.deliveries import Delivery, Receipt, Sender
from vitalwatch.engine import Engine
from vitalwatch.settings import Settings, forget_database, load_settings
from vitalwatch.store import Store
from vitalwatch.timestamps import rfc3339

ROOT = Path(__file__).parent.parent
TARGET = 10_000  # readings a second
BATCH = 1000
SENDER = Sender("bench", "bench", None)
HISTORY = 600  # grid rows that are known of everybody before the clock starts


def yardsticks(load: Load) -> dict[str, Any]:
    """Return messages a second that are only parsed as JSON, and plain rows a second that are only written."""
    told = [line for batch in load.batches for line in batch]
    clock = time.process_time()
    for line in told:
        json.loads(line)
    parsed = time.process_time() - clock
    with tempfile.TemporaryDirectory() as temp:
        connection = sqlite3.connect(Path(temp) / "plain.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE readings (no INTEGER PRIMARY KEY, body BLOB)")
        cpu, clock, number = time.process_time(), time.perf_counter(), 0
        for batch in load.batches:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO readings VALUES (?, ?)", enumerate(batch, number))
            connection.execute("COMMIT")
            number += len(batch)
        written, cpu = time.perf_counter() - clock, time.process_time() - cpu
        connection.close()
    return {
        "json_loads_per_cpu_s": round(len(told) / parsed),
        "plain_rows_per_s": round(len(told) / written),
        "plain_rows_per_cpu_s": round(len(told) / cpu),
    }


@dataclass(frozen=True)
class Load:
    """Batches to send, and what was sent before the clock starts."""

    name: str
    before: list[list[bytes]]
    batches: list[list[bytes]]
    apart: bool = False  # each reading of a batch is delivered by itself

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--people", type=int, default=50)
    asked.add_argument("--readings", type=int, default=20_000, help="of each load of batches")
    asked.add_argument(
        "--postgres", default="wheel", help="URL of an empty one, `none`, or `wheel` that starts a server"
    )
    asked.add_argument("--models", type=Path, help="folder of a bundle; default: production, else a small one")
    asked.add_argument("--trusted", type=Path, help="public key that signed it")
    given = asked.parse_args()
    settings = load_settings(ROOT, environment="base")
    loads = [
        grid(settings, given),
        dense(settings, given, BATCH),
        dense(settings, given, given.people, 40),
        single(settings),
        together(settings),
    ]
    print(json.dumps({"load_of_the_machine": os.getloadavg()}))
    targets = Targets()
    with tempfile.TemporaryDirectory() as temp:
        for kind, url in databases(given, Path(temp)):
            for number, load in enumerate(loads):
                folder = Path(temp) / f"{kind}{number}"
                told = measured(opened(settings, folder, url(number), given), load)
                beside = yardsticks(load)
                told["x_json_loads"] = round(told["readings_per_cpu_s"] / beside["json_loads_per_cpu_s"], 3)
                told["x_plain_rows"] = round(told["readings_per_cpu_s"] / beside["plain_rows_per_cpu_s"], 3)
                print(json.dumps({"database": kind, **told, **beside}))
                if told["asked"]:
                    targets.at_least(f"{load.name}, {kind}, readings a second", told["readings_per_s"], TARGET)
    print(json.dumps({"load_of_the_machine": os.getloadavg()}))
    return targets.end()


def grid(settings: Settings, given: argparse.Namespace) -> Load:
    """A reading a grid step; batches of ten people by a hundred steps."""
    people, steps = given.people, max(given.readings // given.people, 100)
    told = [lines(settings, i, HISTORY + steps) for i in range(people)]
    batches = []
    for start in range(HISTORY, HISTORY + steps, 100):
        for first in range(0, people, 10):
            batches.append([line for one in told[first : first + 10] for line in one[start : start + 100]])
    return Load("grid", [one[:HISTORY] for one in told], batches)


def dense(settings: Settings, given: argparse.Namespace, size: int, most: int = 1 << 30) -> Load:
    """A reading a second of everybody, second by second (at most so many), in batches of so many readings."""
    people, seconds = given.people, min(max(given.readings // given.people, 1), most)
    told = [lines(settings, i, HISTORY) for i in range(people)]
    rng = np.random.default_rng(0)
    flow = []
    for second in range(seconds):
        for i in range(people):
            start = json.loads(told[i][-1])
            moment = START + HISTORY * 300_000 + second * 1000
            value = {"heart_rate": round(float(start.get("heart_rate", 60)) + float(rng.normal(0, 2)), 1)}
            flow.append(
                json.dumps({"person": f"p{i}", "time": rfc3339(moment), "event_id": f"{i}-{second}", **value}).encode()
            )
    batches = [flow[start : start + size] for start in range(0, len(flow), size)]
    return Load(f"dense, batches of {size}", told, batches)


def single(settings: Settings) -> Load:
    """One reading a call."""
    told = lines(settings, 0, HISTORY + 300)
    return Load("single", [told[:HISTORY]], [[line] for line in told[HISTORY:]])


def together(settings: Settings, people: int = 64, steps: int = 20) -> Load:
    """One reading each of many senders at once."""
    told = [lines(settings, i, HISTORY + steps) for i in range(people)]
    rounds = [[one[HISTORY + step] for one in told] for step in range(steps)]
    return Load("together", [one[:HISTORY] for one in told], rounds, apart=True)


START = 1_767_571_200_000  # 2026-01-05, UTC ms


def lines(settings: Settings, index: int, rows: int) -> list[bytes]:
    """Return a synthetic person's readings as a device sends them, one a grid step without holes."""
    days = rows // 200 + 2
    made = synthetic.person(index, settings.schema, settings.params.synthetic, 1, days=days).readings.rows(
        slice(0, rows)
    )
    columns = {name: column.tolist() for name, column in made.values.items()}
    told = []
    for i in range(rows):
        values = {name: round(column[i], 2) for name, column in columns.items() if column[i] == column[i]}
        one = {"person": f"p{index}", "time": rfc3339(START + i * 300_000), "event_id": f"{index}/{i}"}
        told.append(json.dumps({**one, **values}).encode())
    return told


def databases(given: argparse.Namespace, temp: Path) -> Iterator[tuple[str, Any]]:
    yield "sqlite", lambda number: None
    if given.postgres == "wheel":
        sys.path.insert(0, str(ROOT / "tests"))
        from postgres import binaries, running

        programs = binaries()
        if programs is None:
            print("No PostgreSQL here: install requirements-dev.txt to measure it too")
            return
        with running(programs, "on") as server:
            yield "postgresql", lambda number: server.database()
    elif given.postgres != "none":
        yield "postgresql", lambda number: given.postgres


def opened(settings: Settings, folder: Path, url: str | None, given: argparse.Namespace) -> Engine:
    """Return an engine with a database of its own and the models that are measured."""
    forget_database()
    kept = settings.config.database.model_copy(
        update={"url": url or f"sqlite:///{folder / 'bench.db'}", "key": folder / "key", "anchor": folder / "anchor"}
    )
    config = settings.config.model_copy(update={"database": kept})
    folder.mkdir()
    if given.models or Store(settings.artifacts).production() is None:
        config = config.model_copy(
            update={
                "artifacts": folder,
                "signing": settings.config.signing.model_copy(update={"trusted": (put(folder, given),)}),
            }
        )
    return Engine.open(replace(settings, config=config))


def put(folder: Path, given: argparse.Namespace) -> Path:
    """Put a bundle into a store of its own, in production, and return the key to trust."""
    sys.path.insert(0, str(ROOT / "tests"))
    import tiny
    from command_world import Place

    bundle = (given.models, given.trusted) if given.models else tiny.write_tiny(folder / "tiny", tiny.small_settings())
    place = Place(folder)
    place.artifacts = folder
    place.add_run("0" * 12, bundle)
    return place.key.with_suffix(".pub")


def measured(engine: Engine, load: Load) -> dict[str, Any]:
    """Return what a load costs."""
    for batch in load.before:
        for start in range(0, len(batch), 5000):
            engine.accept(batch[start : start + 5000], "bench", "bench")
    cpu, clock, each = time.process_time(), time.perf_counter(), []
    accepted = 0
    for batch in load.batches:
        begun = time.perf_counter()
        parts = [[line] for line in batch] if load.apart else [batch]
        became = engine.accept_all([Delivery(part, SENDER) for part in parts])
        accepted += sum(one.accepted for one in became if isinstance(one, Receipt))
        each.append(time.perf_counter() - begun)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    run = engine.run()
    engine.close()
    assert accepted == load.count, (accepted, load.count)
    return {
        "load": load.name,
        "run": run,
        "readings": load.count,
        "readings_per_s": round(load.count / clock),
        "readings_per_cpu_s": round(load.count / cpu),
        "ms_a_call_p50_p99": [round(float(np.percentile(each, q)) * 1000, 1) for q in (50, 99)],
        "asked": TARGET if len(load.batches[0]) == BATCH else None,
    }


if __name__ == "__main__":
    raise SystemExit(main())

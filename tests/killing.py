"""Serving under load, killed again and again: what was acknowledged is there once, alarms are those of a calm run.

A child process takes batches in and writes down each one that was accepted; it is killed by SIGKILL, at a named place
or at any moment, and another goes on with the batch that was not acknowledged, as a device does. In the end everything
is compared with a run of the same batches that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

PEOPLE, ROWS = 4, 25  # of a batch: so many readings of each of so many people
PLACES = (
    "batch-begun",
    "people-known",
    "readings-new",
    "readings-written",
    "scores-written",
    "people-moved",
    "events-written",
    "alarms-written",
    "snapshots-written",
    "quarantine-written",
    "before-commit",
    "after-commit",
)
ORDER_PLACES = (  # of the transaction that puts late readings in order
    "order-begun",
    "order-marked",
    "order-snapshots-forgotten",
    "order-scores-written",
    "order-people-moved",
    "order-events-written",
    "order-alarms-written",
    "order-snapshots-written",
    "order-told",
    "order-committed",
)
ROWS_LATE = (
    12  # of a batch where some come late: after it they are less than two hours behind, also for who starts anew
)
HELD_BACK = (ROWS_LATE - 4, ROWS_LATE - 2)  # rows of such a batch that come with the next one
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Found:
    """What is wrong after all the killing; nothing should be. `in_order` readings came late and were put in order."""

    kills: int
    acknowledged: int
    in_order: int
    lost: int
    doubled: int
    alarms: int
    alarms_lost: int
    alarms_invented: int
    scores_other: int


def batch(number: int, *, late: bool = False) -> tuple[list[Any], int]:
    """Return the messages of a batch, one of them broken, and the clock at which it comes, UTC ms.

    Where some come `late`, two rows of each person come with the next batch.
    """
    from serving_world import messages
    from tiny import somebody

    told: list[Any] = []
    newest = 0
    for who in range(PEOPLE):
        rows = range(number * ROWS, (number + 1) * ROWS) if not late else _held_back(number)
        some = somebody(who).readings.rows(np.asarray(rows))
        told += messages(some, f"person-{who}", f"{who}-{number}-")
        newest = max(newest, int(some.time[-1]))
    return [*told, b"{broken"], newest + 1000


def _held_back(number: int) -> list[int]:
    """Return the rows of a batch where some come late."""
    first = number * ROWS_LATE
    before = [first - ROWS_LATE + row for row in HELD_BACK if number > 0]
    return before + [first + row for row in range(ROWS_LATE) if row not in HELD_BACK]


def child(folder: Path, url: str) -> None:
    """Take in batches from the first one that was not acknowledged, put in order what is late, until killed or done.

    Imports what serving needs and no more: a process that trains takes seconds to start. What the process before left
    to be put in order is so at the time of its last batch, as it would have been.
    """
    from dataclasses import replace

    from vitalwatch.engine import Engine
    from vitalwatch.settings import load_settings

    chosen = [f"config.database.url={url}"]
    settings = load_settings(HERE.parent, environment="base", config=folder / "config.yaml", overrides=chosen)
    now, log = [0], folder / "acknowledged"
    engine = Engine.open(replace(settings, root=folder), now=lambda: now[0])
    batches = (folder / "batches.jsonl").read_text().splitlines()
    now[0] = max((one.heard for one in engine.people()), default=0)
    engine.ordering.everybody()
    engine.ordering.run(engine.production.answering())
    with log.open("ab", buffering=0) as acknowledged:
        for number in range(len(log.read_bytes().splitlines()), len(batches)):
            told = json.loads(batches[number])
            now[0] = told["now"]
            engine.accept([one.encode() if isinstance(one, str) else one for one in told["sent"]], "test", "nurse")
            acknowledged.write(b"%d\n" % number)
            engine.ordering.run(engine.production.answering())


def take(ward: Any, number: int, *, late: bool) -> None:
    """Take one batch in, at its time, and put in order what is late."""
    told, ward.clock.ms = batch(number, late=late)
    ward.send(told)
    ward.engine.ordering.run(ward.engine.production.answering())


def ward_of(folder: Path, url: str, bundle: tuple[Path, Path] | None = None) -> Any:
    from serving_world import Ward

    return Ward(folder, bundle, url)


def killed(
    folder: Path,
    url: str,
    bundle: tuple[Path, Path],
    batches: int,
    kills: int,
    places: tuple[str, ...] = (),
    *,
    late: bool = False,
) -> Found:
    """Run and kill: first at each of the named places, then at any moment; return what was found.

    Args:
        folder: Empty.
        url: Of an empty database.
        bundle: Of the models.
        batches: To take in.
        kills: In all, fewer where the batches are over before.
        places: Where to kill first.
        late: Whether some readings come with the next batch.
    """
    ward_of(folder, url, bundle).engine.close()
    log, rng, done = folder / "acknowledged", np.random.default_rng(kills), 0
    log.touch()
    with (folder / "batches.jsonl").open("w") as file:
        for number in range(batches):
            sent, now = batch(number, late=late)
            plain = [one.decode() if isinstance(one, bytes) else one for one in sent]
            file.write(json.dumps({"now": now, "sent": plain}) + "\n")
    for place in places:
        done += _run(folder, url, lambda process: process.wait(timeout=120), VITALWATCH_FAILPOINT=place)
    while done < kills:
        done += _run(folder, url, lambda process: _kill_soon(process, log, float(rng.uniform(0, 0.5))))
        if len(log.read_bytes().splitlines()) >= batches:
            break
    _run(folder, url, lambda process: process.wait(timeout=600))
    return compared(folder, url, bundle, batches, done, late=late)


def _run(folder: Path, url: str, until: Callable[[Any], Any], **environ: str) -> int:
    """Start a child, wait, and return 1 if it was killed."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), url],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
        stderr=subprocess.PIPE,
    )
    until(process)
    _, told = process.communicate()
    assert process.returncode in (0, -9), told.decode()
    return int(process.returncode == -9)


def _kill_soon(process: Any, log: Path, seconds: float) -> None:
    """Kill a while after the first acknowledgement of this child."""
    before, end = log.stat().st_size, time.monotonic() + 120
    while log.stat().st_size == before and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()


def compared(folder: Path, url: str, bundle: tuple[Path, Path], batches: int, kills: int, *, late: bool) -> Found:
    """Compare what is there with a run that nobody disturbed."""
    from vitalwatch.database.tables import quarantine, readings

    calm_folder = folder / "calm"
    calm_folder.mkdir()
    calm = ward_of(calm_folder, f"sqlite:///{calm_folder / 'calm.db'}", bundle)
    for number in range(batches):
        take(calm, number, late=late)
    ward = ward_of(folder, url)
    with ward.engine.database.reading() as connection:
        pairs = select(readings.c.person, readings.c.time).distinct().subquery()
        count = connection.execute(select(func.count()).select_from(readings)).scalar_one()
        distinct = connection.execute(select(func.count()).select_from(pairs)).scalar_one()
        refused = connection.execute(select(func.count()).select_from(quarantine)).scalar_one()
    sent = sum(len(batch(number, late=late)[0]) - 1 for number in range(batches))
    assert refused >= batches, "a refused message was lost"
    told, expected = alerts(ward), alerts(calm)
    in_order = [one.body["readings"] for one in ward.engine.events(0, most=10**6) if one.kind == "ordered"]
    other = sum(scores(ward, who) != scores(calm, who) for who in range(PEOPLE))
    ward.engine.close()
    calm.engine.close()
    return Found(
        kills, sent, sum(in_order), sent - distinct, count - distinct,
        len(expected), len(expected - told), len(told - expected), other,
    )  # fmt: skip


def alerts(ward: Any) -> set[str]:
    """Return alerts as they stand, and their transitions."""
    names = {ward.engine.person(f"person-{who}").pseudonym: f"person-{who}" for who in range(PEOPLE)}
    found = ward.engine.alarms(open_only=False, most=10**6)
    kept = ("person", "rule", "kind", "state", "priority", "start", "end", "raised_at", "occurrences")
    return {json.dumps({**{name: one[name] for name in kept}, "person": names[one["person"]]}) for one in found}


def scores(ward: Any, who: int) -> tuple[bytes, ...]:
    line = ward.engine.timeline(f"person-{who}", 0, 1 << 60)
    return line.time.tobytes(), line.values["unusual"].tobytes(), line.values["known"].tobytes()


if __name__ == "__main__":
    child(Path(sys.argv[1]), sys.argv[2])

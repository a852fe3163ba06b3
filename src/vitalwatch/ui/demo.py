"""`make demo`: a database of its own, 20 simulated people, time that runs 300 times as fast, and the page.

python -m vitalwatch.ui.demo [--people 20] [--speed 300] [--port 8501]

Everybody has eight days of history, so that their own normal is known; it begins at the hour after which most of them
have an episode. What nobody takes on within six simulated hours, a simulated nurse acknowledges. Everything is gone
when it ends, by Ctrl-C or by itself. Receivers, an identity provider and a database that the configuration or the
environment names are left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from vitalwatch.alerting.alerts import ACKNOWLEDGE, LATCHED, PRIORITIES, SIGNALLING
from vitalwatch.errors import AlarmRefused, NoModelYet, StoreError
from vitalwatch.settings import Settings, forget_database, load_settings
from vitalwatch.store import Store
from vitalwatch.tables import DAY, Event, Profile, Readings
from vitalwatch.timestamps import rfc3339
from vitalwatch.ui.clock import VARIABLE, FastClock, ReadClock, wall
from vitalwatch.ui.source import ADDRESS, CONFIG, DEMO, KEY

if TYPE_CHECKING:  # else loaded while the page, a process of its own, already starts
    from vitalwatch import synthetic
    from vitalwatch.engine import Engine

FIRST_PERSON = 200_000  # nobody that a run of 220 learns from
HISTORY_DAYS, LIVE_DAYS = 8, 12
HOST = "127.0.0.1"
CLOCK, WARD = "clock", frozenset({"demo"})
AHEAD = 4 * DAY // 24  # episodes that begin this soon are what the demonstration is about
SHIFT = 6 * DAY // 24  # after which the simulated nurse has seen everything
REFUSED = (  # what broken devices send, and how often: the Data quality page has something to show
    (b'{"person": "demo", "time": "2026-01-05T10:00:00", "heart_rate": 70}', 7),
    (b'{"person": "demo", "time": "2026-01-05T10:00:00Z", "heart_rate": 700}', 5),
    (b'{"person": "demo", "time": "2026-01-05T10:00:00Z", "body_temperature": 98.6}', 4),
    (b'{"person": "demo", "time": "2026-01-05T10:00:00Z", "heart_rate": NaN}', 2),
    (b'{"person": "demo", "time": "2026-01-05T10:00:00Z", "pulse": 70}', 1),
    (b'{"person": "demo"', 1),
)


@dataclass(frozen=True)
class Patient:
    """One simulated person, moved in time to the demonstration."""

    readings: Readings
    profile: Profile
    events: tuple[Event, ...]


def main(words: Sequence[str] | None = None) -> int:
    """Run the demonstration until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--speed", type=float, default=300.0, help="times as fast as real time")
    parser.add_argument("--port", type=int, default=8501, help="of the page, on 127.0.0.1")
    parser.add_argument(
        "--root", type=Path, default=Path.cwd(), help="folder with schema.yaml, params.yaml and config/"
    )
    parser.add_argument("--config", type=Path, help="a config file laid over config/")
    given = parser.parse_args(words)
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda number, frame: _stopped(stop, frame))
    with tempfile.TemporaryDirectory(prefix="vitalwatch-demo-") as name:
        settings = own_settings(given.root, Path(name), given.config)
        try:
            return _run(settings, Path(name), given, stop)
        except NoModelYet as error:
            say(f"The demonstration needs a run. {error}")
            return 1


def own_settings(
    root: Path, folder: Path, laid_over: Path | None = None, environ: MutableMapping[str, str] = os.environ
) -> Settings:
    """Return the project's settings, a config laid over them, with a database of its own and nobody who is told.

    Args:
        root: Of the project.
        folder: Of the demonstration, for its database, key and config.
        laid_over: A config file.
        environ: Of this process and its children; a database that it names is taken out.
    """
    forget_database(environ)
    config = folder / "config.yaml"
    database = {
        "url": f"sqlite:///{folder / 'demo.db'}",
        "key": str(folder / "database.key"),
        "anchor": str(folder / "anchor"),
    }
    rules = yaml.safe_load((root / "rules.yaml").read_text(encoding="utf-8"))
    for one in PRIORITIES:  # in seconds instead of minutes all would be escalated before anybody could look
        rules["signals"][one] = {"again": "4h", "escalate": None}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    # the watchdog would write into the user's artifacts, and knows no other time than real time
    alarms: dict[str, Any] = {
        "watchdog": None,
        "log": False,
        "rules": str(folder / "rules.yaml"),
        "webhooks": [],
        "mails": [],
    }
    over = yaml.safe_load(laid_over.read_text(encoding="utf-8")) if laid_over is not None else {}
    told = {**over, "database": database, "alarms": alarms}
    told["api"] = {**over.get("api", {}), "oidc": None}  # who signs in with a real account has no business here
    told["page"] = {"token_header": None}
    config.write_text(json.dumps(told), encoding="utf-8")  # JSON is YAML
    return load_settings(root, config=config)


def patients(settings: Settings, count: int, now: int) -> tuple[list[Patient], int]:
    """Return simulated people whose live days begin at the same moment, and that moment, UTC ms.

    Args:
        settings: Schema, seed and how people are simulated.
        count: How many.
        now: The moment is within the day after this, UTC ms.
    """
    from vitalwatch import synthetic

    schema, chosen, seed = settings.schema, settings.params.synthetic, settings.params.seed
    days = HISTORY_DAYS + LIVE_DAYS
    people = [synthetic.person(FIRST_PERSON + i, schema, chosen, seed, days=days) for i in range(count)]
    start = _best_hour(people, now // DAY * DAY + DAY)
    return [_moved(one, start) for one in people], start


def messages(readings: Readings) -> list[dict[str, Any]]:
    """Return readings as the JSON objects that a device sends."""
    told = []
    for i, (moment, offset) in enumerate(zip(readings.time.tolist(), readings.offset.tolist(), strict=True)):
        values = {name: float(column[i]) for name, column in readings.values.items() if column[i] == column[i]}
        if values:
            told.append({"person": readings.person, "time": rfc3339(moment, offset), **values})
    return told


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(settings: Settings, folder: Path, given: argparse.Namespace, stop: threading.Event) -> int:
    if Store(settings.artifacts).production() is None:
        raise NoModelYet
    FastClock(wall(), wall(), 0.0).write(folder / CLOCK)
    listening = socket.create_server((HOST, 0))  # who asks before the API answers waits for it
    address = f"http://{HOST}:{listening.getsockname()[1]}"
    with listening, _page(folder, given, address) as page:
        say(f"The page: http://127.0.0.1:{given.port}   (Ctrl-C ends it)")
        say(f"The API:  {address}/docs")
        return _shown(settings, folder, given, stop, listening, page)


def _shown(
    settings: Settings, folder: Path, given: argparse.Namespace, stop: threading.Event, listening: Any, page: Any
) -> int:
    from vitalwatch.engine import Engine

    people, start = patients(settings, given.people, wall())
    FastClock(wall(), start, 0.0).write(folder / CLOCK)  # until everybody has a history, time stands still
    engine = Engine.open(settings, now=ReadClock(folder / CLOCK))
    try:
        engine.monitor()
        engine.start()
        with _api(settings, engine, listening):
            for one in people:
                before = messages(one.readings.rows(one.readings.time < start))
                engine.accept(before, "demo", "demo", WARD)
                if stop.is_set():
                    return 0
            broken = [message for message, count in REFUSED for _ in range(count)]
            engine.accept(broken, "broken device", "demo", WARD)
            _nurse(engine, start)
            FastClock(wall(), start, given.speed).write(folder / CLOCK)
            say(f"{given.people} simulated people, {given.speed:g} times as fast as real time")
            _live(engine, people, start, stop, page)
    finally:
        engine.close()
    say("The demonstration is over; its database is gone.")
    return 0


def _live(engine: Engine, people: Sequence[Patient], start: int, stop: threading.Event, page: Any) -> None:
    """Send what each person measures as the clock reaches it."""
    sent = [int(np.searchsorted(one.readings.time, start)) for one in people]
    while not stop.wait(0.2) and page.poll() is None:
        now = engine.now()
        due = []
        for i, one in enumerate(people):
            until = int(np.searchsorted(one.readings.time, now, side="right"))
            due += messages(one.readings.rows(slice(sent[i], until)))
            sent[i] = until
        if due:
            engine.accept(due, "demo", "demo", WARD)
            _nurse(engine, now - SHIFT)
        if all(sent[i] == len(one.readings) for i, one in enumerate(people)):
            say("Everybody's simulated days are over.")
            return


def _nurse(engine: Engine, before: int) -> None:
    """Acknowledge what began so long ago and nobody has taken on: a ward is not left alone."""
    for alert in engine.alarms():
        if alert["start"] < before and alert["state"] in (SIGNALLING, LATCHED):
            with contextlib.suppress(AlarmRefused):  # it ended, or somebody was quicker
                engine.act(alert["id"], ACKNOWLEDGE, "simulated nurse")


@contextmanager
def _api(settings: Settings, engine: Engine, listening: socket.socket) -> Iterator[None]:
    """Serve the engine over HTTP."""
    import uvicorn

    from vitalwatch.api.app import create_app

    app = create_app(settings, engine=engine, bound=lambda: [HOST])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],), name="vitalwatch-api", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        if not thread.is_alive():
            raise StoreError("The API of the demonstration", "did not start", "See what stands above")
        yield
    finally:
        server.should_exit = True
        thread.join(15)


@contextmanager
def _page(folder: Path, given: argparse.Namespace, api: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(given.root / "streamlit_app.py"),
        "--server.port",
        str(given.port),
    ]
    told = f"Demonstration: simulated people, {given.speed:g} times real time. Nothing here is real."
    environ = {
        **os.environ,
        CONFIG: str(folder / "config.yaml"),
        ADDRESS: api,
        KEY: "",  # one of the user's own API is none here
        VARIABLE: str(folder / CLOCK),
        DEMO: told,
    }
    page = subprocess.Popen(command, cwd=given.root, env=environ, start_new_session=True, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        yield page
    finally:
        page.terminate()
        try:
            page.wait(10)
        except subprocess.TimeoutExpired:
            page.kill()
            page.wait()


def _best_hour(people: Sequence[synthetic.SyntheticPerson], midnight: int) -> int:
    """Return the hour of the day after which most people have an episode soon, on any of their days."""
    hours = midnight + np.arange(24, dtype=np.int64) * (DAY // 24)
    found = [sum(_shift(one, int(hour)) is not None for one in people) for hour in hours]
    return int(hours[int(np.argmax(found))])


def _shift(one: synthetic.SyntheticPerson, start: int) -> int | None:
    """Return by how many milliseconds (whole days) to move a person so that an episode begins soon after `start`."""
    first = int(one.readings.time[0])
    for event in one.events:
        days = -(-(start - event.start) // DAY)
        soon = event.start + days * DAY - start < AHEAD
        if soon and start - (first + days * DAY) >= HISTORY_DAYS * DAY - DAY // 2:
            return int(days * DAY)
    return None


def _moved(one: synthetic.SyntheticPerson, start: int) -> Patient:
    shift = _shift(one, start)
    if shift is None:
        shift = (start - HISTORY_DAYS * DAY - int(one.readings.time[0])) // DAY * DAY
    readings = replace(one.readings, time=one.readings.time + shift)
    keep = readings.time >= start - HISTORY_DAYS * DAY
    events = tuple(replace(e, start=e.start + shift, end=e.end + shift) for e in one.events)
    return Patient(readings.rows(keep), one.profile, events)


def _stopped(stop: threading.Event, frame: FrameType | None) -> None:
    stop.set()


if __name__ == "__main__":
    sys.exit(main())

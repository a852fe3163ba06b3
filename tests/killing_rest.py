"""A real server taking batches over HTTP from several clients, killed at any moment and started anew.

What was answered 202 must be there once, alarms must be those of a run that nobody disturbed, and an acknowledgement
that was answered must hold. Clients send what was not answered again, as devices do. Rounds go in step (all clients
send their batch of a round, at the time of that round), so that what comes out can be compared.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from sqlalchemy import func, select

from real_server import Server, free_port
from serving_world import Ward, messages
from tiny import ROOT, somebody

CLIENTS, EACH, ROWS = 4, 2, 25  # at once, people of each, readings of each of them in a batch
PEOPLE = CLIENTS * EACH
MOST_ROUNDS = 3_400 // ROWS  # the people's lives end
RULES = "rules.yaml"
PATIENCE = 120.0  # seconds until a batch must have been answered
ENTRY = """
from vitalwatch.api.app import create_app
from vitalwatch.engine import Engine
from dataclasses import replace
settings = replace(settings, root=Path.cwd())
engine = Engine.open(settings, now=lambda: int(Path("clock").read_text()))
engine.start()
app = create_app(settings, engine=engine)
"""


@dataclass(frozen=True)
class Found:
    """What there is after all the killing.

    Attributes:
        kills: How often the server was killed.
        sent: Readings, all of them answered.
        unanswered: Batches that were on the disk when they were sent again: killed between commit and answer.
        lost, doubled: Readings that were accepted and are gone, or there twice.
        refused_lost: Refused messages that are not in quarantine.
        alarms, alarms_lost, alarms_invented: Of the calm run, and the difference to it; `alarms_other` spells it out.
        scores_other: People whose scores are not, to the bit, those of the calm run.
        acted, forgotten: Acknowledgements of alarms that were answered, and those that do not hold.
    """

    kills: int
    sent: int
    unanswered: int
    lost: int
    doubled: int
    refused_lost: int
    alarms: int
    alarms_lost: int
    alarms_invented: int
    scores_other: int
    acted: int
    forgotten: int
    alarms_other: tuple[str, ...]

    @property
    def wrong(self) -> dict[str, int]:
        """What should be 0 and is not."""
        names = ("lost", "doubled", "refused_lost", "alarms_lost", "alarms_invented", "scores_other", "forgotten")
        return {name: count for name in names if (count := getattr(self, name))}


def batch(client: int, number: int) -> list[bytes]:
    """Return the lines of a batch; the last one is broken."""
    told: list[Any] = []
    for who in range(client * EACH, (client + 1) * EACH):
        some = somebody(who).readings.rows(slice(number * ROWS, (number + 1) * ROWS))
        told += messages(some, f"person-{who}", f"{who}-{number}-")
    return [*(json.dumps(one).encode() for one in told), b"{broken"]


def time_of(number: int) -> int:
    """Return the clock of a round, UTC ms: a second after its newest reading."""
    return 1000 + max(int(somebody(who).readings.time[(number + 1) * ROWS - 1]) for who in range(PEOPLE))


class Victim:
    """The server, and who kills it."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        self.folder, self.url, self.port, self.kills = folder, url, free_port(), 0
        self._rng, self._killer = np.random.default_rng(seed), threading.Thread(target=lambda: None)
        self._failed: BaseException | None = None
        self._killer.start()
        self.server = self._start()
        self.server.wait()

    @property
    def address(self) -> str:
        return self.server.address

    def set_clock(self, ms: int) -> None:
        (self.folder / "clock.new").write_text(str(ms))
        (self.folder / "clock.new").replace(self.folder / "clock")

    def kill_within(self, seconds: float) -> None:
        """Kill after a random part of these seconds, in one case of five once more while it starts."""
        self.rest()
        delays = [self._rng.uniform(0, seconds), *([self._rng.uniform(0, 2)] if self._rng.random() < 0.2 else [])]
        self._killer = threading.Thread(target=self._kill, args=(delays,))
        self._killer.start()

    def rest(self) -> None:
        """Wait until nobody kills and the server answers."""
        self._killer.join()
        if self._failed is not None:
            raise self._failed

    def _kill(self, delays: list[float]) -> None:
        try:
            for delay in delays:
                time.sleep(delay)
                self.server.kill()
                self.kills += 1
                self.server = self._start()
            self.server.wait()
        except BaseException as error:  # told to whoever waits
            self._failed = error

    def _start(self) -> Server:
        sets = (f"config.database.url={self.url}", f"config.alarms.rules={self.folder / RULES}")
        return Server(self.folder, "--log-level", "warning", port=self.port, sets=sets, entry=ENTRY)


class Client:
    """Sends until it is answered."""

    def __init__(self, address: str) -> None:
        self._address, self._http, self.unanswered = address, httpx.Client(timeout=30), 0

    def send(self, lines: list[bytes]) -> None:
        """Send a batch until it is answered; everything in it must be taken or known, but for the broken line."""
        told = self.ask(
            "POST", "/readings", content=b"\n".join(lines), headers={"content-type": "application/x-ndjson"}
        )
        assert told.status_code in (200, 202), told.text
        found = told.json()
        assert len(lines) - 1 == found["accepted"] + len(found["duplicates"]), found
        assert [len(lines) - 1] == [one["position"] for one in found["rejected"]], found
        self.unanswered += bool(found["duplicates"])

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask until there is an answer that is not "come again"."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                told = self._http.request(method, self._address + path, **more)
                if told.status_code != 503:
                    return told
            except httpx.TransportError:
                pass
            assert time.monotonic() < end, "no answer"
            time.sleep(0.05)


def killed(folder: Path, url: str, bundle: tuple[Path, Path], kills: int, seed: int = 7) -> Found:
    """Run rounds of batches and kill `kills` times; a tenth of them while alarms are acknowledged.

    Args:
        folder: Empty.
        url: Of an empty database.
        bundle: Of the models.
        kills: At least so many; at most two for each round that there can be.
        seed: Of the moments.
    """
    ward = Ward(folder, bundle, url)
    ward.engine.close()
    _patient(folder)
    later = max(1, kills // 10)
    rounds = min(MOST_ROUNDS, 2 * (kills - later) + 6)
    (folder / "clock").write_text(str(time_of(0)))
    victim = Victim(folder, url, seed)
    clients = [Client(victim.address) for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        took = 0.5
        for number in range(rounds):
            victim.set_clock(time_of(number))
            if number >= 2 and victim.kills < kills - later:
                victim.kill_within(1.2 * took)
            start, before = time.monotonic(), victim.kills
            list(pool.map(lambda n, number=number: clients[n].send(batch(n, number)), range(CLIENTS)))
            if victim.kills == before:
                took = 0.5 * took + 0.5 * (time.monotonic() - start)
    victim.rest()
    acted = _acknowledged(victim, clients[0], kills)
    victim.rest()
    victim.server.kill()
    unanswered = sum(client.unanswered for client in clients)
    return _compared(folder, url, bundle, rounds, victim.kills, unanswered, acted)


def _patient(folder: Path) -> None:
    """Write rules by which nobody is ever taken to wear nothing: the clock goes on by hours before a round's readings.

    A server that starts anew in between would rightly end the alarms of whoever was not heard for so long.
    """
    told = yaml.safe_load((ROOT / RULES).read_text())
    told["wearing"]["not_worn"] = None
    (folder / RULES).write_text(yaml.safe_dump(told))


def _acknowledged(victim: Victim, client: Client, kills: int) -> set[str]:
    """Acknowledge every open alarm, killing on; return the ids that were answered."""
    acted = set()
    for one in client.ask("GET", "/alarms?open=true&most=1000").json()["alarms"]:
        if victim.kills < kills:
            victim.kill_within(0.02)
        told = client.ask("POST", f"/alarms/{one['id']}/acknowledge", json={})
        assert told.status_code in (200, 409), told.text  # 409: it was done and not answered
        acted.add(one["id"])
    return acted


def _compared(
    folder: Path, url: str, bundle: tuple[Path, Path], rounds: int, kills: int, unanswered: int, acted: set[str]
) -> Found:
    from vitalwatch.database.tables import quarantine, readings

    (folder / "calm").mkdir()
    calm = Ward(folder / "calm", bundle, f"sqlite:///{folder / 'calm' / 'calm.db'}")
    for number in range(rounds):
        calm.clock.ms = time_of(number)
        for client in range(CLIENTS):
            calm.send(batch(client, number))
    ward = Ward(folder, None, url)
    with ward.engine.database.reading() as connection:
        pairs = select(readings.c.person, readings.c.time).distinct().subquery()
        count = connection.execute(select(func.count()).select_from(readings)).scalar_one()
        distinct = connection.execute(select(func.count()).select_from(pairs)).scalar_one()
        refused = connection.execute(select(func.count()).select_from(quarantine)).scalar_one()
    sent = rounds * CLIENTS * EACH * ROWS
    expected, told = _alarms(calm), _alarms(ward)
    state = {one["id"]: one for one in ward.engine.alarms(open_only=False, most=10**6)}
    other = sum(_scores(ward, who) != _scores(calm, who) for who in range(PEOPLE))
    ward.engine.close()
    calm.engine.close()
    return Found(
        kills=kills,
        sent=sent,
        unanswered=unanswered,
        lost=sent - distinct,
        doubled=count - distinct,
        refused_lost=max(0, rounds * CLIENTS - refused),
        alarms=len(expected),
        alarms_lost=len(expected - told),
        alarms_invented=len(told - expected),
        scores_other=other,
        acted=len(acted),
        forgotten=sum(state[one]["acknowledged_at"] is None for one in acted),
        alarms_other=(*(f"lost {one}" for one in expected - told), *(f"invented {one}" for one in told - expected)),
    )


def _alarms(ward: Ward) -> set[str]:
    """Return what alarms are about; timers of the running server move their states."""
    names = {ward.engine.person(f"person-{who}").pseudonym: f"person-{who}" for who in range(PEOPLE)}
    kept = ("rule", "kind", "start", "end", "raised_at", "occurrences")
    found = ward.engine.alarms(open_only=False, most=10**6)
    return {json.dumps([names.get(one["person"], one["person"]), *(one[name] for name in kept)]) for one in found}


def _scores(ward: Ward, who: int) -> tuple[bytes, ...]:
    line = ward.engine.timeline(f"person-{who}", 0, 1 << 60)
    return line.time.tobytes(), line.values["unusual"].tobytes(), line.values["known"].tobytes()

"""Reading accepted -> alarm on the stream of events: 200 people, a reading a second of everybody.

    python benchmarks/sse.py [--seconds 600] [--people 200] [--pace 300] [--batch 1] [--production]

Each reading is `--pace` seconds of its person's time after the one before (300: every reading is a grid row of its
own, the dearest case; the server's clock runs as fast), and everybody falls ill now and then. An alarm belongs to the
newest reading of its person before it on the stream: both come of one transaction, in order. Printed: seconds from the
answer 202 to the alarm on the stream, from sending to the alarm, and the share of a processor that the server took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from bench import Targets  # noqa: E402
from command_world import Place  # noqa: E402
from serving import Server, production, raw_of  # noqa: E402
from tiny import small_settings, write_tiny  # noqa: E402
from vitalwatch.alerting.lifecycle import MISSED, RAISED, RECURRED, RESUMED, WORSENED  # noqa: E402
from vitalwatch.timestamps import rfc3339  # noqa: E402
from vitalwatch.ui.clock import FastClock, wall  # noqa: E402

BY_READING = (RAISED, MISSED, RECURRED, RESUMED, WORSENED)  # not by time or by somebody
LIMIT = 1.0  # seconds, of the 99th percentile
KEPT = 0.98  # share of the readings that must be answered in their time
WELL, ILL = 24, 6  # readings in a row
ENTRY = """
from pathlib import Path
from vitalwatch.api.app import create_app
from vitalwatch.engine import Engine
from vitalwatch.settings import load_settings
from vitalwatch.ui.clock import ReadClock
settings = load_settings(Path({root!r}), config=Path({config!r}))
engine = Engine.open(settings, now=ReadClock(Path({clock!r})))
engine.start()
app = create_app(settings, engine=engine)
"""


class Listener:
    """Reads the stream in a thread.

    Attributes:
        seen: (person, time of the newest reading before it, when) of each alarm that a reading began.
    """

    def __init__(self, address: str) -> None:
        self.seen: list[tuple[str, int, float]] = []
        self._address, self._newest = address, dict[str, int]()
        self.ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        kind = ""
        with httpx.stream("GET", f"{self._address}/events", timeout=None) as stream:
            self.ready.set()
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind in ("reading", "alarm"):
                    self._take(kind, json.loads(line[6:]), time.perf_counter())

    def _take(self, kind: str, told: dict, now: float) -> None:
        if kind == "reading":
            self._newest[told["person"]] = told["time"]
            return
        if told["cause"] in BY_READING and told["person"] in self._newest:
            self.seen.append((told["person"], self._newest[told["person"]], now))


async def send(port: int, chosen: argparse.Namespace, began: int) -> tuple[dict, Counter, float]:
    """Return when each reading (who, time) was sent and answered, the statuses, and readings a second.

    An open loop: everybody's readings are due once a second, spread over it; each connection has its own people.
    """
    took: dict[tuple[int, int], tuple[float, float]] = {}
    statuses: Counter[int] = Counter()
    start = time.perf_counter()

    async def sender(place: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        mine = range(place, chosen.people, chosen.connections)
        groups = [mine[at : at + chosen.batch] for at in range(0, len(mine), chosen.batch)]
        for turn in range(int(chosen.seconds)):
            for group in groups:
                due = start + turn + group[0] / chosen.people
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                sent, moment = time.perf_counter(), began + round(turn * chosen.pace * 1000)
                writer.write(raw_of("/readings", [reading(who, turn, moment) for who in group]))
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
                statuses[int(head[9:12])] += 1
                took.update(dict.fromkeys(((who, moment) for who in group), (sent, time.perf_counter())))
        writer.close()

    await asyncio.gather(*map(sender, range(chosen.connections)))
    return took, statuses, len(took) / (time.perf_counter() - start)


def reading(who: int, turn: int, moment: int) -> dict:
    """Return what somebody measures: usual for a while, then ill for a while, each in their own turn."""
    ill = (turn + who) % (WELL + ILL) >= WELL
    values = {"heart_rate": 185.0 + turn % 5, "oxygen_saturation": 82.0} if ill else {"heart_rate": 64.0 + turn % 7}
    return {"person": f"bed-{who}", "time": rfc3339(moment), **values}


def told(name: str, values: list[float]) -> None:
    p50, p99, most = np.quantile(values, (0.5, 0.99, 1.0))
    print(f"  {name}: p50 {p50:.3f} s, p99 {p99:.3f} s, longest {most:.3f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="600 is what is promised")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--pace", type=float, default=300.0, help="seconds of a person's time between two readings")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--batch", type=int, default=1, help="readings in a request: 10 as gateways of rooms do")
    parser.add_argument("--production", action="store_true", help="with the run in production, not a small one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(folder)
        run = production() if chosen.production else write_tiny(folder / "b", small_settings())
        if run is None:
            raise SystemExit("There is no run in production: make one with python main.py, or leave out --production.")
        place.add_run("000000000001", run)
        clock, began = folder / "clock", wall()
        FastClock(began, began, 0.0).write(clock)
        server = Server(folder, ENTRY.format(root=str(ROOT), config=str(place.config), clock=str(clock)))
        try:
            return measured(server, chosen, clock, began)
        finally:
            server.stop()


def measured(server: Server, chosen: argparse.Namespace, clock: Path, began: int) -> int:
    listener = Listener(server.address)
    listener.ready.wait(30)
    time.sleep(1)
    FastClock(wall(), began, chosen.pace).write(clock)
    spent, own, start = server.processor(), time.process_time(), time.perf_counter()
    took, statuses, rate = asyncio.run(send(server.port, chosen, began))
    passed = time.perf_counter() - start
    spent, own = server.processor() - spent, time.process_time() - own
    time.sleep(3)
    people = httpx.get(f"{server.address}/people?names=true", timeout=30).json()["people"]
    numbers = {one["person"]: int(one["name"].partition("-")[2]) for one in people}
    found = [(took[numbers[who], at], seen) for who, at, seen in listener.seen if (numbers[who], at) in took]
    print(
        f"{chosen.people} people, {rate:.0f} of {chosen.people} readings/s for {passed:.0f} s, {chosen.batch} a request"
    )
    print(f"  {dict(statuses)}; {len(found)} alarms; load {os.getloadavg()[0]:.1f}")
    if not found:
        print("  no alarm came: nothing is measured")
        return 1
    told("accepted (answer 202) to the alarm on the stream", [max(seen - done, 0.0) for (_, done), seen in found])
    told("sent to the alarm on the stream", [seen - sent for (sent, _), seen in found])
    told("sent to the answer 202", [done - sent for sent, done in took.values()])
    print(f"  processor: server {spent / passed:.0%} of a core, sender and listener {own / passed:.0%}")
    print(f"  processor a reading: {spent / len(took) * 1000:.1f} ms")
    late = float(np.quantile([seen - done for (_, done), seen in found], 0.99))
    targets = Targets()
    targets.at_most("accepted to the alarm on the stream, p99", late, LIMIT, "s")
    targets.at_least("readings taken a second", rate, KEPT * chosen.people)
    return targets.end()


if __name__ == "__main__":
    sys.exit(main())

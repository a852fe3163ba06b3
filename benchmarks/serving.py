"""Serving: processor time a request at concurrency 1, beside a bare ASGI application and a bare FastAPI echo of the
same body in the same run; cold start; memory; failed requests while production moves; overload; reading to alarm.

`python benchmarks/serving.py [--overload SECONDS] [--ward SECONDS] [--moves N]`, on a small model made here, or on the
run in production with `--production`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from command_world import Place  # noqa: E402
from tiny import small_settings, write_tiny  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
BARE = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
"""
ECHO = """
from typing import Any
from fastapi import FastAPI
app = FastAPI()
@app.post("/{path}")
async def echo(path: str, body: Any = __import__("fastapi").Body()) -> Any:
    return body
"""
ONE = {"time": "2026-01-05T08:00:00Z", "heart_rate": 72.0, "oxygen_saturation": 97.0, "steps": 0}
DAY = [
    {
        "time": f"2026-01-05T{i // 12:02d}:{i % 12 * 5:02d}:00Z",
        "heart_rate": 60.0 + i % 7,
        "oxygen_saturation": 97.0,
        "steps": i % 3,
    }
    for i in range(288)
]
ASKED = {
    "/predict one": ("/predict", {"age": 54, "sex": "female", "steps_per_minute": 100, "intensity": 0.4}, 2000),
    "/anomaly one": ("/anomaly", {"readings": [ONE]}, 1500),
    "/anomaly 288 rows": ("/anomaly", {"readings": DAY}, 300),
    "/forecast 288 rows": ("/forecast", {"readings": DAY}, 200),
}


class Server:
    """uvicorn in a process of its own."""

    def __init__(self, folder: Path, code: str) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        name = f"entry_{self.port}"
        (folder / f"{name}.py").write_text(code)
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"{name}:app", "--port", str(self.port), "--log-level", "warning"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
        for _ in range(1200):
            try:
                httpx.post(self.address + "/predict", json={}, timeout=1)
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def processor(self) -> float:
        """Return the processor time used so far, seconds."""
        told = Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        others = [int(p.read_text().split()[0]) for p in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")]
        return max(sum(others), int(told[0])) / 1e9

    def memory(self) -> float:
        """Return resident memory, MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


class Client:
    """One connection, raw: the client must not cost more than the server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, raw: bytes) -> int:
        self.socket.sendall(raw)
        told = b""
        while b"\r\n\r\n" not in told:
            told += self.socket.recv(65536)
        head, _, rest = told.partition(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length: " in lower:
            left = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0]) - len(rest)
            while left > 0:
                left -= len(self.socket.recv(65536))
        else:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += self.socket.recv(65536)
        return int(head[9:12])


def raw_of(path: str, body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def costs(server: Server, path: str, body: Any, n: int) -> tuple[float, float, float]:
    """Return processor ms a request, and the median and 99th percentile of wall ms."""
    client, raw = Client(server.port), raw_of(path, body)
    for _ in range(20):
        assert client.post(raw) == 200
    before, took = server.processor(), []
    for _ in range(n):
        start = time.perf_counter()
        client.post(raw)
        took.append(time.perf_counter() - start)
    spent = (server.processor() - before) / n * 1e3
    return spent, float(np.median(took)) * 1e3, float(np.quantile(took, 0.99)) * 1e3


def print_costs(ours: Server, bare: Server, echo: Server) -> None:
    print("request               CPU ms   bare ASGI   FastAPI echo   x bare   x echo   wall p50   wall p99 (ms)")
    for name, (path, body, n) in ASKED.items():
        mine, half, slow = costs(ours, path, body, n)
        least, most = costs(bare, path, body, n)[0], costs(echo, path, body, n)[0]
        told = f"{name:20} {mine:7.3f} {least:11.3f} {most:14.3f} {mine / least:8.1f} {mine / most:8.2f}"
        print(f"{told} {half:10.2f} {slow:10.2f}")


def cold_start(place: Place) -> None:
    code = (
        entry(place)
        + "import asyncio\nasync def go():\n async with app.router.lifespan_context(app): pass\nasyncio.run(go())\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    code = "import fastapi, uvicorn, onnxruntime, sqlalchemy, numpy"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    libraries = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"cold start until the model answers: {spent:.2f} s of processor; its libraries alone {libraries:.2f} s")


def moves(place: Place, server: Server, bundle: tuple[Path, Path], n: int) -> None:
    """Promote and roll back under load."""
    place.add_run("000000000002", bundle, promote=False)
    raw, stop = raw_of("/predict", {}), threading.Event()
    seen: Counter[int] = Counter()
    took: list[float] = []

    def load() -> None:
        client = Client(server.port)
        while not stop.is_set():
            start = time.perf_counter()
            seen[client.post(raw)] += 1
            took.append(time.perf_counter() - start)

    clients = [threading.Thread(target=load) for _ in range(4)]
    for one in clients:
        one.start()
    moved = []
    for turn in range(n):
        start = time.perf_counter()
        if turn % 2:
            place.store.rollback("benchmark")
        else:
            place.store.promote("000000000002", "benchmark")
        moved.append(time.perf_counter() - start)
        time.sleep(0.05)
    stop.set()
    for one in clients:
        one.join()
    failed = sum(count for status, count in seen.items() if status != 200)
    print(f"production moved {n} times under load: {failed} of {sum(seen.values())} requests failed; "
          f"request p99 {np.quantile(took, 0.99):.3f} s, a move p99 {np.quantile(moved, 0.99):.2f} s")  # fmt: skip


def overload(server: Server, seconds: float) -> None:
    """Offer three times what is answered at best, by an open loop."""
    raw = raw_of("/anomaly", {"readings": DAY})
    peak = asyncio.run(offered(server, raw, 8, None, min(seconds, 20)))[200] / min(seconds, 20)
    took: list[float] = []
    seen = asyncio.run(offered(server, raw, 400, 3 * peak, seconds, took))
    good = seen[200] / seconds
    print(f"overload, /anomaly 288 rows: peak {peak:.0f}/s; offered {3 * peak:.0f}/s for {seconds:.0f} s:")
    print(f"  {good:.0f}/s answered ({good / peak:.0%} of peak), p99 {np.quantile(took, 0.99):.2f} s, {dict(seen)}")


async def offered(
    server: Server, raw: bytes, connections: int, rate: float | None, seconds: float, took: list[float] | None = None
) -> Counter:
    """Return statuses; with a rate, requests start on time whether earlier ones are answered or not."""
    seen: Counter = Counter()
    end, due = time.perf_counter() + seconds, [time.perf_counter()]

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while time.perf_counter() < end:
            if rate is not None:
                at = due[0]
                due[0] += 1 / rate
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
            start = time.perf_counter()
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            await reader.readexactly(int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            status = int(head[9:12])
            seen[status] += 1
            if status in (429, 503):
                assert b"retry-after: " in lower
            elif took is not None:
                took.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return seen


def ward(server: Server, seconds: float, people: int = 200) -> None:
    """Send a reading a second of everybody, a step of the grid apart; time from sending what alarms to the stream.

    Which reading makes an alarm is for rules to say: the clock starts with the last one sent before it came.
    """
    sent: dict[str, list[float]] = {}
    seen: dict[str, float] = {}
    stop = threading.Event()

    def listen() -> None:
        with httpx.stream("GET", server.address + "/events", timeout=None) as stream:
            kind = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "alarm":
                    seen.setdefault(json.loads(line[6:])["person"], time.perf_counter())
                if stop.is_set():
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    time.sleep(1)
    client, first = Client(server.port), int(time.time()) - 300 * int(seconds + 60)
    statuses: Counter = Counter()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        second, person = divmod(n, people)
        sick = second >= 3 and person % 2 == 0
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first + 300 * second))
        reading = {"person": f"bed-{person}", "time": stamp, "heart_rate": 190.0 if sick else 70.0}
        if sick:
            sent.setdefault(f"bed-{person}", []).append(time.perf_counter())
        statuses[client.post(raw_of("/readings", reading))] += 1
        n += 1
        time.sleep(max(0.0, start + n / people - time.perf_counter()))
    time.sleep(3)
    stop.set()
    names = {one["name"]: one["person"] for one in httpx.get(server.address + "/people?names=true").json()["people"]}
    late = [
        seen[names[who]] - max((at for at in times if at <= seen[names[who]]), default=times[0])
        for who, times in sent.items()
        if names.get(who) in seen
    ]
    rate = n / (time.perf_counter() - start - 3)
    told = f"{len(late)} of {len(sent)} told"
    print(f"ward of {people}, {rate:.0f} readings/s for {seconds:.0f} s, {dict(statuses)}: {told}")
    if late:
        print(f"  from sending to the stream p50 {np.median(late):.2f} s, p99 {np.quantile(late, 0.99):.2f} s")


def entry(place: Place) -> str:
    return (
        "from pathlib import Path\n"
        "from vitalwatch.api.app import create_app\n"
        "from vitalwatch.settings import load_settings\n"
        f"app = create_app(load_settings(Path({str(ROOT)!r}), config=Path({str(place.config)!r})))\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, seconds in (("overload", 20.0), ("ward", 20.0)):
        parser.add_argument(f"--{name}", type=float, default=seconds)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--production", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        place = Place(folder)
        bundle = production() if chosen.production else write_tiny(folder / "bundle", small_settings())
        place.add_run("000000000001", bundle)
        cold_start(place)
        servers = [Server(folder, code) for code in (entry(place), BARE, ECHO)]
        try:
            print_costs(*servers)
            print(f"memory of the server: {servers[0].memory():.0f} MB")
            moves(place, servers[0], bundle, chosen.moves)
            overload(servers[0], chosen.overload)
            ward(servers[0], chosen.ward)
        finally:
            for one in servers:
                one.stop()


def production() -> tuple[Path, Path]:
    run = json.loads((ROOT / "artifacts" / "production.json").read_text())["run"]
    return ROOT / "artifacts" / "runs" / run / "models", ROOT / "artifacts" / "keys" / "signing.pub"


if __name__ == "__main__":
    main()

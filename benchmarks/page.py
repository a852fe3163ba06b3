"""The page in real headless Chromium: how soon after its start `make demo` shows something true on every page, and how
soon an alarm that is on the stream of events is on the Ward page.

    python benchmarks/page.py [--alarms 60] [--no-demo]

Needs /usr/bin/chromium; the demonstration a run in production. Walls of a busy machine are upper bounds: processor time
of everything that was started stands beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from bench import Targets  # noqa: E402
from command_world import Place  # noqa: E402
from serving import BARE, Server, entry  # noqa: E402
from tiny import small_settings, write_tiny  # noqa: E402
from vitalwatch.timestamps import rfc3339  # noqa: E402
from vitalwatch.ui.clock import wall  # noqa: E402
from vitalwatch.ui.source import ADDRESS, CONFIG  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
TICKS = os.sysconf("SC_CLK_TCK")
TRUE = {  # page -> what stands there as soon as something true of people or models is shown
    "": r"Everyone",
    "person": r"newest data",
    "try": r"after an hour of it",
    "your-data": r"Use the sample",
    "models": r"In production",
    "data-quality": r"Run them through|stability index|Not assessable",
}
SOON, LATE = 10.0, 2.0  # seconds promised: until every page shows something, from the stream to the page
OPEN = """() => [...document.querySelectorAll('.st-key-counts [data-testid=stMetric]')]
    .filter(e => e.innerText.includes('*'))
    .reduce((n, e) => n + Number(e.querySelector('[data-testid=stMetricValue]').innerText), 0)"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def processor(group: int) -> float:
    """Return the processor time of the processes below one, their ended children among it, seconds."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        parents[pid], spent[pid] = int(told[1]), sum(map(int, told[11:15])) / TICKS
    found, total = {group}, 0.0
    for _ in range(6):  # generations
        found |= {pid for pid, parent in parents.items() if parent in found}
    for pid in found:
        total += spent.get(pid, 0.0)
    return total


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def demo_start(page: Page, root: Path = ROOT, words: tuple[str, ...] = ()) -> tuple[dict[str, float], float]:
    """Return seconds from the start of the demonstration until each page shows something true, and processor time.

    One visitor opens the pages one after the other, as soon as the server answers.
    """
    port, started = free_port(), time.perf_counter()
    command = [sys.executable, "-m", "vitalwatch.ui.demo", "--root", str(root), "--port", str(port), *words]
    demo = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    seen: dict[str, float] = {}
    try:
        answering(f"http://127.0.0.1:{port}/_stcore/health", demo)
        for path, truth in TRUE.items():
            page.goto(f"http://127.0.0.1:{port}/{path}")
            page.get_by_text(re.compile(truth)).first.wait_for(timeout=120_000)
            seen[path or "ward"] = time.perf_counter() - started
        spent = processor(demo.pid)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(60)
    return seen, spent


def bare_start(page: Page) -> tuple[float, float]:
    """Return the yardstick of `demo_start`: seconds until a page of one line and an empty API are there, and their
    processor time."""
    port, api = free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "one_line.py").write_text("import streamlit as st\nst.title('Everyone')\n")
        (Path(name) / "empty.py").write_text(BARE)
        started = time.perf_counter()
        commands = (
            ["streamlit", "run", "one_line.py", "--server.port", str(port), "--server.headless", "true"],
            ["uvicorn", "empty:app", "--port", str(api), "--log-level", "warning"],
        )
        both = [
            subprocess.Popen([sys.executable, "-m", *words], cwd=name, stdout=subprocess.DEVNULL) for words in commands
        ]
        try:
            answering(f"http://127.0.0.1:{port}/_stcore/health", both[0])
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_text("Everyone").first.wait_for(timeout=120_000)
            answering(f"http://127.0.0.1:{api}", both[1])
            return time.perf_counter() - started, sum(processor(one.pid) for one in both)
        finally:
            for one in both:
                one.terminate()
                one.wait(20)


def answering(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise SystemExit("The page did not start.")


class Listener:
    """Reads alarms from the stream in a thread; `heard` has when the first of each person came."""

    def __init__(self, address: str) -> None:
        self.heard: dict[str, float] = {}
        self.news, self._address = threading.Condition(), address
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        kind = ""
        with httpx.stream("GET", f"{self._address}/events", timeout=None) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "alarm":
                    with self.news:
                        self.heard.setdefault(json.loads(line[6:])["person"], time.perf_counter())
                        self.news.notify_all()

    def newest(self, count: int) -> float:
        """Return when somebody came who makes it so many with an alarm."""
        with self.news:
            if not self.news.wait_for(lambda: len(self.heard) >= count, timeout=30):
                raise SystemExit("No alarm came on the stream.")
            return max(self.heard.values())


def delays(page: Page, address: str, count: int) -> list[float]:
    """Return seconds from each alarm on the stream to the Ward page, for people who fall ill one after the other."""
    listener, found = Listener(address), []
    time.sleep(1)
    for i in range(count):
        now = wall() // 300_000 * 300_000
        rows = [{"person": f"bed-{i}", "time": rfc3339(now - back * 300_000), "heart_rate": 185.0 + back % 3,
                 "oxygen_saturation": 80.0} for back in range(6, -1, -1)]  # fmt: skip
        assert httpx.post(f"{address}/readings", json=rows, timeout=30).status_code == 202
        heard = listener.newest(i + 1)
        page.wait_for_function(f"n => ({OPEN})() >= n", arg=i + 1, timeout=60_000)
        found.append(time.perf_counter() - heard)
        time.sleep(random.uniform(0.2, 2.2))  # at no fixed moment of the page's own rhythm
    return found


@contextmanager
def site() -> Iterator[tuple[str, str]]:
    """Yield the addresses of an API with a small model, and of a page on it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(folder)
        place.add_run("000000000001", write_tiny(folder / "b", small_settings()))
        server, port = Server(folder, entry(place)), free_port()
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py"), "--server.port", str(port)]
        environ = {**os.environ, ADDRESS: server.address, CONFIG: str(place.config)}
        page = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
        try:
            answering(f"http://127.0.0.1:{port}/_stcore/health", page)
            yield server.address, f"http://127.0.0.1:{port}"
        finally:
            page.terminate()
            page.wait(20)
            server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarms", type=int, default=60)
    parser.add_argument("--no-demo", action="store_true")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    targets = Targets()
    with chromium() as browser:
        if not chosen.no_demo:
            bare, least = bare_start(browser.new_page())
            seen, spent = demo_start(browser.new_page())
            told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in seen.items())
            print(f"make demo, seconds until a page shows something true: {told} ({SOON:g} promised)")
            print(f"  processor until then, demonstration with API and page: {spent:.1f} s")
            targets.at_most("make demo until every page shows something true, wall", max(seen.values()), SOON, "s")
            print(
                f"  a page of one line and an empty API: {bare:.1f} s, processor {least:.1f} s; the Ward took "
                f"{seen['ward'] / bare:.1f} times as long, all six {max(seen.values()) / bare:.1f} times"
            )
        with site() as (api, page_at):
            page = browser.new_page()
            httpx.post(f"{api}/readings", json={"person": "first", "time": rfc3339(wall()), "heart_rate": 65.0})
            page.goto(page_at)
            page.get_by_text("Everyone").first.wait_for(timeout=120_000)
            found = delays(page, api, chosen.alarms)
    p50, p99, most = np.quantile(found, (0.5, 0.99, 1.0))
    print(f"stream to page, {len(found)} alarms: p50 {p50:.2f} s, p99 {p99:.2f} s, longest {most:.2f} s", end=" ")
    print(f"({LATE:g} promised)")
    targets.at_most("stream to page, p99", p99, LATE, "s")
    return targets.end()


if __name__ == "__main__":
    raise SystemExit(main())

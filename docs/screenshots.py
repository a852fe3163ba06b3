"""Draw docs/page-*.png: the pages of the demonstration in headless Chromium. Look at them afterwards.

python docs/screenshots.py     # `make screenshots`; needs a run (`python main.py`) and /usr/bin/chromium
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CHROMIUM = "/usr/bin/chromium"
DESK, PHONE = (1280, 900), (390, 844)
Scheme = Literal["light", "dark"]
SHOTS: tuple[tuple[str, str, Scheme, tuple[int, int], int], ...] = (  # file, path, scheme, size, height at most
    ("page-ward", "", "light", DESK, 1150),
    ("page-ward-dark", "", "dark", DESK, 900),
    ("page-ward-phone", "", "light", PHONE, 844),
    ("page-person", "person", "light", DESK, 2100),
    ("page-person-phone", "person", "dark", PHONE, 1200),
    ("page-person-rules", "person", "light", DESK, 760),
    ("page-try", "try", "light", DESK, 1000),
    ("page-your-data", "your-data", "light", DESK, 1400),
    ("page-models", "models", "dark", DESK, 1600),
    ("page-data-quality", "data-quality", "light", DESK, 1200),
)
LARGEST = 300_000  # bytes of one picture


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    demo = subprocess.Popen([sys.executable, "-m", "vitalwatch.ui.demo", "--port", str(port)], cwd=ROOT)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health", demo)
        time.sleep(40)  # everybody has a history, and some simulated hours have passed
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for name, path, scheme, size, height in SHOTS:
                _shoot(browser, f"http://127.0.0.1:{port}/{path}", name, scheme, size, height)
            browser.close()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(30)


def _shoot(browser: Browser, url: str, name: str, scheme: Scheme, size: tuple[int, int], height: int) -> None:
    viewport = ViewportSize(width=size[0], height=height)
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto(url)
    page.get_by_text("vitalwatch is no medical device").wait_for(state="attached")
    _prepare(page, name)
    page.wait_for_timeout(5_000)
    file = DOCS / f"{name}.png"
    page.screenshot(path=file)
    context.close()
    Image.open(file).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}  {file.stat().st_size // 1000} kB")
    if file.stat().st_size > LARGEST:
        raise SystemExit(f"{file.name} is larger than {LARGEST // 1000} kB: show less of it.")


def _prepare(page: Page, name: str) -> None:
    """Do what makes a page show what it is for."""
    if name == "page-person-rules":
        page.get_by_text("Own rules of this person").click()
        page.get_by_role("button", name="Try on history").click()
        page.get_by_text("Nothing is saved yet").scroll_into_view_if_needed()
    if name == "page-try":
        page.get_by_role("tab", name="Is this unusual?").click()
        page.get_by_label("Oxygen saturation (%)").fill("90")
        page.get_by_label("Body temperature (°C)").fill("38.7")
        page.get_by_label("Body temperature (°C)").press("Tab")
        page.get_by_role("button", name="Judge").click()
        page.get_by_text("normal moments look").wait_for()
    if name == "page-your-data":
        page.get_by_role("button", name="Use the sample").click()
        page.get_by_text("moments could be judged").wait_for()
        page.mouse.move(5, 5)
    if name == "page-models":
        page.get_by_text("Gates", exact=True).wait_for()


def _wait(url: str, demo: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if demo.poll() is not None:
                raise SystemExit("The demonstration did not start; see what it says above.") from None
            time.sleep(0.3)
    raise SystemExit("The page did not answer.")


if __name__ == "__main__":
    main()

"""The page on an API that needs keys, in real headless Chromium: signing in, what scopes show, where the key is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from browser.conftest import ROWS, Site, running
from browser.test_page import SLOW, opened
from serving_world import OTHER, Ward
from vitalwatch.api.app import create_app
from vitalwatch.database import access
from vitalwatch.ui.source import ADDRESS

pytestmark = pytest.mark.browser
expect.set_options(timeout=SLOW)
SEEN = (
    "async () => JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage},"
    " (await indexedDB.databases()).map(d => d.name), document.documentElement.outerHTML,"
    " [...document.querySelectorAll('input')].map(i => i.value)])"
)


@dataclass
class Closed(Site):
    """A site behind keys."""

    def key(self, *scopes: str) -> str:
        engine = self.ward.engine
        with engine.database.writing() as connection:
            return access.make(connection, engine._secret, "test", scopes, None, engine.now(), None)[1]


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: tuple[Path, Path]) -> Iterator[Closed]:
    ward = Ward(tmp_path_factory.mktemp("closed"), tiny_bundle)
    ward.place.add_run(OTHER, tiny_bundle, promote=False)
    site = Closed("", ward, 0)
    site.send_next(ROWS)
    site.key("read")
    app = create_app(ward.settings, engine=ward.engine, bound=lambda: ["127.0.0.1"])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield from running(site, {ADDRESS: address})
    finally:
        server.should_exit = True
        thread.join(15)
        ward.engine.close()


def signed_in(page: Page, site: Closed, key: str, path: str = "") -> Page:
    page.set_default_timeout(SLOW)
    page.goto(f"{site.url}/{path}")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Signed in as")).to_be_visible()
    return page


def test_nothing_is_shown_before_somebody_signs_in(page: Page, closed: Closed) -> None:
    page.set_default_timeout(SLOW)
    for path in ("", "person", "models"):
        page.goto(f"{closed.url}/{path}")
        expect(page.get_by_label("API key")).to_be_visible()
        assert 0 == page.get_by_text("Everyone").count()


def test_the_key_is_nowhere_but_in_the_servers_memory(browser: Browser, closed: Closed) -> None:
    context = browser.new_context()
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    key = closed.key("read")
    signed_in(page, closed, key)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ward")

    secret = key.split("_", 2)[2]  # which may hold that sign itself
    assert secret not in page.evaluate(SEEN)
    assert secret not in str(context.storage_state())
    assert all(secret not in url for url in asked)
    assert secret not in (closed.ward.place.folder / "page.log").read_text()
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()  # a new visit; nothing was kept in the browser
    context.close()


def test_a_wrong_key_is_told_and_not_repeated(page: Page, closed: Closed) -> None:
    page.set_default_timeout(SLOW)
    page.goto(closed.url)
    page.get_by_label("API key").fill("vw_nobodyskey")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("unknown, or its time is over")).to_be_visible()
    assert "nobodyskey" not in page.inner_text("body")


def test_a_reader_has_no_button_that_would_fail_and_signs_out(page: Page, closed: Closed) -> None:
    signed_in(page, closed, closed.key("read"), "person")
    expect(page.get_by_text("Alarms (", exact=False).first).to_be_visible()
    assert 0 == page.get_by_role("button", name="Acknowledge").count()
    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_label("API key")).to_be_visible()


def test_a_nurse_acknowledges(page: Page, closed: Closed) -> None:
    signed_in(page, closed, closed.key("read", "ack"), "person")
    person = closed.ward.engine.people()[0].person
    before = {one["id"] for one in closed.ward.engine.alarms(person=person) if not one.get("acknowledged_by")}
    page.get_by_role("button", name="Acknowledge", disabled=False).first.click()
    page.wait_for_timeout(4_000)
    after = closed.ward.engine.alarms(person=person, open_only=False)

    assert 1 == len({one["id"] for one in after if one.get("acknowledged_by")} & before)


def test_an_admin_promotes_after_a_yes_and_rolls_back(page: Page, closed: Closed) -> None:
    signed_in(page, closed, closed.key("read", "admin"), "models")
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name=OTHER).click()
    expect(page.get_by_text("Not in production")).to_be_visible()
    page.get_by_text("Promote or roll back").click()
    page.get_by_role("textbox", name="Why").fill("better at night")
    page.get_by_role("textbox", name="Why").press("Tab")
    page.get_by_role("button", name="Promote this run").click()
    page.get_by_role("button", name="Yes, promote it").click()
    expect(page.get_by_text(f"Run {OTHER} is in production; it answers from now on.")).to_be_visible()

    assert OTHER == closed.ward.engine.run()
    page.get_by_role("textbox", name="Why").fill("as before")
    page.get_by_role("textbox", name="Why").press("Tab")
    page.get_by_role("button", name="Roll back to the run before").click()
    page.get_by_role("button", name="Yes, roll back").click()
    expect(page.get_by_text("is in production again")).to_be_visible()
    assert OTHER != closed.ward.engine.run()


def test_an_open_site_asks_nobody(page: Page, site: Site) -> None:
    opened(page, site)

    assert 0 == page.get_by_label("API key").count()
    assert 0 == page.get_by_text("Signed in as").count()

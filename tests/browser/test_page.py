"""What somebody sees and does, in real headless Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from browser.conftest import Site
from fitbit_world import export
from ui.world import EVIL
from vitalwatch.tables import MINUTE

pytestmark = pytest.mark.browser
PAGES = {
    "": "Ward",
    "person": "Person",
    "try": "Try",
    "your-data": "Your data",
    "models": "Models",
    "data-quality": "Data quality",
}
SLOW = 60_000  # ms; the machine may be busy
NODE = "() => { const all = document.querySelectorAll('.stVegaLiteChart canvas, .stVegaLiteChart svg'); return all[0] }"
expect.set_options(timeout=SLOW)


def opened(page: Page, site: Site, path: str = "") -> Page:
    page.set_default_timeout(SLOW)
    page.goto(f"{site.url}/{path}")
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[path])
    return page


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_an_error(path: str, page: Page, site: Site) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    opened(page, site, path)
    expect(page.get_by_text("vitalwatch is no medical device")).to_be_visible()

    assert [] == errors
    expect(page.get_by_text("This app has encountered an error")).to_have_count(0)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_a_run_and_names_the_command(path: str, page: Page, empty_site: Site) -> None:
    opened(page, empty_site, path)

    expect(page.get_by_text("python main.py").first).to_be_visible()
    expect(page.get_by_text("This app has encountered an error")).to_have_count(0)


def test_the_ward_has_an_address_of_its_own_too(page: Page, site: Site) -> None:
    page.set_default_timeout(SLOW)
    page.goto(f"{site.url}/ward")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ward")
    page.wait_for_timeout(1_000)

    expect(page.get_by_text("Page not found")).to_have_count(0)


def test_a_new_reading_is_shown_within_seconds_and_its_chart_moves_in_place(page: Page, site: Site) -> None:
    opened(page, site, "person")
    page.wait_for_function(NODE)
    page.evaluate(
        f"() => {{ window.kept = ({NODE})(); window.loads = performance.getEntriesByType('navigation').length }}"
    )
    before = site.ward.engine.people()[0].time
    site.send_next(12)
    expect(page.get_by_text("newest data 1 min ago")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(3_000)

    assert before is not None
    assert site.ward.engine.people()[0].time > before
    assert page.evaluate(f"() => window.kept === ({NODE})()")  # the same drawing, not a new one
    assert page.evaluate("() => window.kept.isConnected")


def test_a_feed_that_stops_is_told_with_its_age(page: Page, site: Site) -> None:
    opened(page, site)
    now = site.ward.clock.ms
    try:
        site.set_clock(now + 40 * MINUTE)
        expect(page.get_by_text("Nothing new has come from anybody for 41 min")).to_be_visible()
    finally:
        site.set_clock(now)
    expect(page.get_by_text("Nothing new has come")).to_have_count(0)


def test_an_alarm_is_acknowledged_by_keyboard(page: Page, site: Site) -> None:
    opened(page, site, "person")
    person = site.ward.engine.people()[0].person
    button = page.get_by_role("button", name="Acknowledge", disabled=False).first
    expect(button).to_be_visible()
    open_before = {one["id"] for one in site.ward.engine.alarms(person=person) if not one.get("acknowledged_by")}
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(4_000)
    after = site.ward.engine.alarms(person=person, open_only=False)

    acknowledged = [one for one in after if one["id"] in open_before and one.get("acknowledged_by")]
    assert acknowledged  # the one of the button, and with it those that joined it in silence
    assert {"page"} == {one["acknowledged_by"].partition(":")[0] for one in acknowledged}


def test_a_file_is_uploaded_judged_and_its_report_taken_home(page: Page, site: Site, tmp_path: Path) -> None:
    opened(page, site, "your-data")
    page.locator("input[type=file]").set_input_files(fitbit_files())
    page.get_by_role("button", name="Read the files").click()
    expect(page.get_by_text("moments could be judged")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the report (HTML)").click()
    waiting.value.save_as(tmp_path / "report.html")

    report = (tmp_path / "report.html").read_text()
    assert "<h2>7</h2>" in report
    assert EVIL not in report


def fitbit_files() -> list[FilePayload]:
    """Return a Fitbit export, one of its files under a name that no page may run."""
    renamed = {f"{EVIL}-{name}" if "Steps" in name else name: content for name, content in export(3).items()}
    return [{"name": name, "mimeType": "text/csv", "buffer": content} for name, content in renamed.items()]


def test_a_file_that_cannot_be_read_is_refused_in_words(page: Page, site: Site) -> None:
    opened(page, site, "your-data")
    page.locator("input[type=file]").set_input_files(
        {"name": "a.csv", "mimeType": "text/csv", "buffer": b"<script>x</script>"}
    )
    page.get_by_role("button", name="Read the files").click()

    expect(page.get_by_text("is in no format known here")).to_be_visible()


def test_markup_in_what_people_wrote_is_shown_as_text(page: Page, site: Site) -> None:
    """Stored XSS: a reason of a promotion, a source of readings and limits are free text."""
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    site.ward.engine.accept([b'{"person": "x"'], EVIL, EVIL)
    site.ward.place.store.promote(site.ward.place.store.runs()[0].id, EVIL)
    _wrote_an_alarm(site)
    for path in ("", "person", "models", "data-quality"):
        opened(page, site, path)
        page.wait_for_timeout(3_000)
        assert 0 == page.locator("img[src=x]").count()
        assert 0 == page.locator("a[href^='javascript']").count()
    opened(page, site, "person")
    expect(page.get_by_text("<img src=x onerror=alert(1)>", exact=False).first).to_be_visible()
    assert [] == said


def _wrote_an_alarm(site: Site) -> None:
    """Put markup into an alert's explanation, as a rule of somebody's could, and have it wait for an answer."""
    import json

    from sqlalchemy import select, update

    from vitalwatch.alerting.alerts import LATCHED
    from vitalwatch.database.tables import alarms

    with site.ward.engine.database.writing() as connection:
        found = connection.execute(select(alarms.c.id, alarms.c.body)).all()
        for one in found:
            waiting = {"state": LATCHED, "until": None, "summary": "", "acknowledged_at": None, "acknowledged_by": ""}
            body = {**json.loads(one.body), **waiting, "explanation": EVIL, "kind": EVIL}
            told = {"body": json.dumps(body), "state": LATCHED, "open": True}
            connection.execute(update(alarms).where(alarms.c.id == one.id).values(**told))


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_every_page_without_scrolling_sideways(path: str, browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = opened(context.new_page(), site, path)
    page.wait_for_timeout(2_000)
    wide = page.evaluate(
        "() => [...document.querySelectorAll('h1, h2, h3, p, button, [data-testid=stMetric], .stVegaLiteChart')]"
        ".filter(e => e.offsetParent && !e.closest('[role=tablist], .stDataFrame'))"
        ".filter(e => e.getBoundingClientRect().right > 391)"
        ".map(e => e.textContent.slice(0, 60))"
    )
    across = page.evaluate("() => document.documentElement.scrollWidth")
    context.close()

    assert [] == wide
    assert across <= 390


def luminance(page: Page) -> float:
    told: list[Any] = page.evaluate(
        "() => getComputedStyle(document.querySelector('[data-testid=stApp]'))"
        ".backgroundColor.match(/[0-9.]+/g).map(Number)"
    )
    return sum(told[:3]) / 3


def test_the_page_follows_light_and_dark(browser: Browser, site: Site) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        seen[scheme] = luminance(opened(context.new_page(), site))
        context.close()

    assert seen["light"] > 200
    assert seen["dark"] < 60


def test_charts_and_tables_are_described_and_controls_named(page: Page, site: Site) -> None:
    opened(page, site, "person")
    page.wait_for_function(NODE)
    expect(page.get_by_label("Chart of heart rate in bpm", exact=False).first).to_be_attached()
    expect(page.get_by_text("unusual moments.", exact=False).first).to_be_visible()
    nameless = page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=stMain] :is(button, input, textarea, select)')]"
        ".filter(e => e.offsetParent && !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.title"
        " || e.getAttribute('aria-labelledby') || e.closest('label')))"
        ".map(e => e.outerHTML.slice(0, 160))"
    )

    assert [] == nameless


def test_nothing_is_asked_of_another_machine(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES:
        opened(page, site, path)
        page.wait_for_timeout(500)

    assert [] == [
        url for url in asked if not url.startswith((site.url, "data:", "blob:", site.url.replace("http", "ws")))
    ]

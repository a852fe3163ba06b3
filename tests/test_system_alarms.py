"""Alarms about the system itself: every key that reads sees them, a key of all wards acts, every page shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from api_world import Api
from serving_world import OTHER, Ward, messages
from tiny import somebody
from ui.test_pages import text_of
from vitalwatch.alerting import system
from vitalwatch.alerting.alerts import ACKNOWLEDGE
from vitalwatch.alerting.system import FALLBACK, Found
from vitalwatch.errors import HouseOnly
from vitalwatch.ui.here import Here

NORTH = frozenset({"north"})


def fall_back(ward: Ward) -> str:
    """Have the process find that an earlier run answers, and return the alarm's id."""
    now = ward.clock.ms
    seen = system.observed(Found(OTHER), (), now)
    assert seen is not None
    with ward.engine.transactions() as (connection, _):
        ward.engine._alarming.tick(connection, [seen], now)
    return next(one["id"] for one in ward.engine.alarms() if FALLBACK == one["rule"])


@pytest.fixture
def ward(tmp_path, tiny_bundle, url) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle, url)
    ward.send(messages(somebody(0).readings.rows(slice(0, 3))), wards=frozenset({"south"}))
    yield ward
    ward.engine.close()


def test_a_key_of_some_wards_sees_what_is_wrong_with_the_system_and_nobody_elsewhere(ward):
    alarm = fall_back(ward)
    api = Api(ward.settings, ward.engine)
    north = api.key(["read", "ack"], NORTH)

    for query in ("", "?system=true", "?open=false"):
        assert [alarm] == [one["id"] for one in api.ask("GET", f"/alarms{query}", key=north).json["alarms"]]
    assert 200 == api.ask("GET", f"/alarms/{alarm}", key=north).status
    told = api.ask("GET", "/events?after=0", key=north, leaves_after=0.01).body.decode()
    events = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line.startswith("data: ")]
    assert [alarm] == [one["id"] for one in events]
    assert 0 == api.ask("GET", "/burden?days=366", key=north).json["alerts"]
    api.close()


def test_acting_on_the_system_needs_a_key_of_all_wards_and_says_so(ward):
    alarm = fall_back(ward)
    api = Api(ward.settings, ward.engine)
    answer = api.ask("POST", f"/alarms/{alarm}/acknowledge", key=api.key(["ack"], NORTH))
    assert (403, "wards_missing") == (answer.status, answer.code)
    with pytest.raises(HouseOnly, match="key of all wards"):
        ward.engine.act(alarm, ACKNOWLEDGE, "nurse", NORTH)

    assert "acknowledged" == api.ask("POST", f"/alarms/{alarm}/acknowledge", key=api.key(["ack"])).json["state"]
    api.close()


def banner() -> None:
    from vitalwatch.ui.pages import system

    system.show()


def test_every_page_shows_what_is_wrong_with_the_system_until_it_is_over(tmp_path, tiny_bundle):
    ward = Ward(tmp_path, tiny_bundle)
    ward.engine.close()
    here = Here(ward.settings, now=ward.clock)
    ward.engine = here.engine
    told = AppTest.from_function(banner, default_timeout=60)
    told.session_state["source"] = here
    assert "The system" not in text_of(told.run())

    alarm = fall_back(ward)
    assert "The system:" in text_of(told.run())
    assert "answers in its place" in text_of(told)
    told.button(key=f"system-acknowledge-{alarm}").click().run()
    assert ("acknowledged", []) == (here.system()[0]["state"], list(told.button))
    assert "acknowledged" in text_of(told)
    here.close()

"""Every alert can be told, page by page, the most urgent first, and nothing is left out without a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from alerting_world import Ward as Alerts
from alerting_world import condition
from api_world import Api
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.alerts import RESOLVE
from vitalwatch.database import alarms
from vitalwatch.errors import UsageError

MANY = 53


def alerts(n: int) -> list[dict]:
    """Alerts of one person, the oldest the most urgent."""
    ward = Alerts()
    for i in range(n):
        priority = "high" if i < 5 else "low"
        ward.sees(i, condition(start=i, rule=f"rule_{i}", priority=priority, latching=True))
        ward.sees(i + 0.5)
    return [one.to_json() for one in ward.alerts.values()]


@pytest.fixture
def ward(tmp_path, tiny_bundle, url) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle, url)
    ward.send(messages(somebody(0).readings.rows(slice(0, 2))), wards=frozenset({"south"}))
    person = ward.engine.person("anna")
    mine = [one | {"person": person.pseudonym} for one in alerts(MANY)]
    with ward.engine.database.writing() as connection:
        alarms.write(connection, [(person, one) for one in mine], [])
        elsewhere = replace(person, no=person.no + 1, ward="north")
        alarms.write(connection, [(elsewhere, mine[0] | {"id": "f" * 32, "person": "p-" + "b" * 26})], [])
    yield ward
    ward.engine.close()


def told(ward: Ward, most: int, **which) -> list[list[dict]]:
    """All pages."""
    pages, after = [], ""
    while True:
        found = ward.engine.alarm_page(frozenset({"south"}), most=most, after=after, **which)
        assert MANY == found.total
        pages.append(found.alerts)
        after = found.next
        if not after:
            return pages


@pytest.mark.parametrize("open_only", [True, False])
def test_pages_hold_every_alert_once_in_the_order_of_one_page(ward, open_only):
    (whole,) = told(ward, 1000, open_only=open_only)
    pages = told(ward, 10, open_only=open_only)

    assert [10, 10, 10, 10, 10, 3] == list(map(len, pages))
    assert [one["id"] for one in whole] == [one["id"] for page in pages for one in page]
    assert MANY == len({one["id"] for one in whole})


def test_the_most_urgent_come_first_though_they_changed_first(ward):
    assert {"high"} == {one["priority"] for one in told(ward, 5)[0]}


def test_what_ends_between_two_pages_shifts_none_out_of_sight(ward):
    first = ward.engine.alarm_page(most=10)
    for one in first.alerts[:4]:
        ward.engine.act(one["id"], RESOLVE, "nurse")
    rest = ward.engine.alarm_page(after=first.next)

    assert MANY + 1 - 10 == len(rest.alerts)
    assert set() == {one["id"] for one in first.alerts} & {one["id"] for one in rest.alerts}


@pytest.mark.parametrize("place", ["1." + "a" * 32, "x", "1.2.3.4.5." + "a" * 32, "9" * 30 + ".1.1.1." + "a" * 32])
def test_a_place_of_another_list_is_refused(ward, place):
    with pytest.raises(UsageError, match="no place of such a list"):
        ward.engine.alarm_page(after=place)


def test_rest_tells_how_many_there_are_and_where_the_next_page_begins(ward):
    api = Api(ward.settings, ward.engine)
    first = api.ask("GET", "/alarms?most=50").json
    second = api.ask("GET", f"/alarms?most=50&after={first['next']}").json

    assert (MANY + 1, 50, MANY + 1, MANY + 1 - 50, None) == (
        first["total"], len(first["alarms"]), second["total"], len(second["alarms"]), second["next"],
    )  # fmt: skip
    for wrong in ("x", "1." + "a" * 32):
        assert (422, "unknown_value") == ((answer := api.ask("GET", f"/alarms?after={wrong}")).status, answer.code)
    api.close()

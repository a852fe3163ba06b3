"""Who is in which ward: named by who sends, nowhere yet where nobody said, and moved with everything that is seen."""

from __future__ import annotations

import pytest

from api_world import Api
from serving_world import Ward

NORTH, SOUTH = frozenset({"north"}), frozenset({"south"})
BOTH = NORTH | SOUTH


@pytest.fixture
def house(tmp_path, tiny_bundle, both) -> Api:
    ward = Ward(tmp_path, tiny_bundle, both)
    api = Api(ward.settings, ward.engine)
    yield api
    api.close()
    ward.engine.close()


def reading(person: str, minute: int, rate: int = 60) -> dict:
    return {"person": person, "time": f"2026-01-05T{8 + minute // 60:02d}:{minute % 60:02d}:00Z", "heart_rate": rate}


def seen(api: Api, key: str) -> dict[str, str]:
    return {one["person"]: one["ward"] for one in api.ask("GET", "/people", key=key).json["people"]}


def test_who_is_heard_first_by_a_key_of_several_wards_has_none_until_it_is_named_or_they_are_moved(house):
    gateway, north, everybody = house.key(["ingest"], BOTH), house.key(["ingest"], NORTH), house.key(["read"], None)
    told = house.ask("POST", "/readings", reading("w1", 0), key=gateway)
    (w1,) = [one["person"] for one in told.json["people"]]
    named = house.ask("POST", "/readings?ward=south", reading("w2", 0), key=gateway)
    (w2,) = [one["person"] for one in named.json["people"]]

    assert {w1: "", w2: "south"} == seen(house, everybody)
    assert {w2: "south"} == seen(house, house.key(["read"], BOTH))
    assert 202 == house.ask("POST", "/readings", reading("w1", 5), key=gateway).status
    assert 202 == house.ask("POST", "/readings", reading("w1", 10), key=north).status
    assert "not_allowed" == house.ask("POST", "/readings", reading("w2", 5), key=north).code
    assert "wards_missing" == house.ask("POST", "/readings?ward=south", reading("w3", 5), key=north).code
    assert (
        "wards_missing" == house.ask("PUT", f"/people/{w2}/ward", {"ward": "east"}, key=house.key(["ack"], BOTH)).code
    )
    clerk = house.key(["ack", "ingest"], None)
    for answer in (
        house.ask("PUT", f"/people/{w1}/ward", {"ward": "nroth"}, key=clerk),
        house.ask("POST", "/readings?ward=nroth", reading("w4", 0), key=clerk),
    ):
        assert (422, "unknown_value") == (answer.status, answer.code)
    assert 204 == house.ask("PUT", f"/people/{w1}/ward", {"ward": "north"}, key=clerk).status
    assert {w1: "north"} == seen(house, house.key(["read"], NORTH))


def test_who_is_moved_takes_alarms_events_and_refused_readings_along_and_the_old_ward_sees_nothing(house):
    send, read, clerk = ({w: house.key([s], frozenset({w})) for w in BOTH} for s in ("ingest", "read", "ack"))
    rows = [{**reading("anna", m, 190), "oxygen_saturation": 80} for m in range(0, 90, 5)]
    told = house.ask("POST", "/readings", [*rows, {**rows[0], "pulse": 1}], key=send["south"])
    (anna,) = [one["person"] for one in told.json["people"]]
    before = house.ask("GET", "/alarms", key=read["south"]).json["alarms"]
    assert before
    for key in (clerk["south"], clerk["north"]):
        assert house.ask("PUT", f"/people/{anna}/ward", {"ward": "north"}, key=key).status in (403, 404)
    assert 204 == house.ask("PUT", f"/people/{anna}/ward", {"ward": "north"}, key=house.key(["ack"], BOTH)).status

    assert {} == seen(house, read["south"])
    assert [] == house.ask("GET", "/alarms", key=read["south"]).json["alarms"]
    assert before == house.ask("GET", "/alarms", key=read["north"]).json["alarms"]
    assert {} == house.ask("GET", "/quarantine", key=read["south"]).json["counts"]
    assert {"unknown_field": 1} == house.ask("GET", "/quarantine", key=read["north"]).json["counts"]
    assert ["person"] == [one.kind for one in house.engine.events(0, SOUTH)]
    assert ["ward"] == [one.body["changed"] for one in house.engine.events(0, NORTH) if "person" == one.kind]
    assert 200 == house.ask("POST", f"/alarms/{before[0]['id']}/acknowledge", key=clerk["north"]).status
    assert "not_allowed" == house.ask("POST", "/readings", reading("anna", 95), key=send["south"]).code
    assert 202 == house.ask("POST", "/readings", reading("anna", 95), key=send["north"]).status
    entry = next(one for one in house.engine.audit.entries() if "person.move" == one.action)
    assert (anna, '{"after":"north","before":"south"}') == (entry.object, entry.detail)


@pytest.mark.parametrize("ward", ["", "*", "a b", "x" * 65, 7, None])
def test_a_ward_has_a_name_of_letters_and_digits(house, ward):
    told = house.ask("POST", "/readings", reading("w1", 0))
    answer = house.ask("PUT", f"/people/{told.json['people'][0]['person']}/ward", {"ward": ward})

    assert 422 == answer.status

"""Rules over REST: those in force with where they stand, own ones tried and written, and what alarms cost."""

from __future__ import annotations

import re

import pytest

from api_world import Api
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.rules import Rule
from vitalwatch.tables import DAY, MINUTE

LIFE = somebody(2).readings
FAST = {"when": {"vital": "heart_rate", "above": 64, "hysteresis": 5}, "priority": "low", "lasts": "10min"}


@pytest.fixture(scope="module")
def api(tmp_path_factory, tiny_bundle):
    ward = Ward(tmp_path_factory.mktemp("ruling"), tiny_bundle)
    api = Api(ward.settings, ward.engine)
    ward.clock.ms = int(LIFE.time[1500]) + 1000
    ward.send(messages(LIFE.rows(slice(0, 1500))), wards=frozenset({"north"}))
    api.keys = {ward_name: api.key(["read", "ack"], frozenset({ward_name})) for ward_name in ("north", "south")}
    api.person = api.ask("GET", "/people", key=api.keys["north"]).json["people"][0]["person"]
    yield api
    api.close()
    ward.engine.close()


def put(api: Api, body: object, ward: str = "north", way: str = ""):
    method = "POST" if way else "PUT"
    return api.ask(method, f"/people/{api.person}/limits{way}", body, key=api.keys[ward])


def rules(api: Api, query: str = "", ward: str = "north"):
    return api.ask("GET", f"/rules{query}", key=api.keys[ward])


def test_the_rules_in_force_are_told_as_they_can_be_written(api):
    told = rules(api).json["rules"]

    assert list(api.engine.rules.rules) == [one["name"] for one in told]
    assert {"rules.yaml"} == {one["source"] for one in told}
    assert all(api.engine.rules.rules[one["name"]] == Rule.model_validate(one["rule"]) for one in told)


def test_a_rule_is_tried_then_written_then_told_then_removed(api):
    tried = put(api, {"own": {"own_1": FAST}}, way="/replay")
    assert "own_1" not in [one["name"] for one in rules(api, f"?person={api.person}").json["rules"]]
    written = put(api, {"own": {"own_1": FAST}})
    (mine,) = [one for one in rules(api, f"?person={api.person}").json["rules"] if one["name"] == "own_1"]

    assert (200, 200) == (tried.status, written.status)
    (count,) = [one for one in tried.json["tried"]["rules"] if one["rule"] == "own_1"]
    assert count["alarms"] > 0
    assert 0 == count["before"]
    assert tried.json["tried"]["alarms"] >= count["alarms"]
    assert round((int(LIFE.time[1499]) + 5 * MINUTE - int(LIFE.time[0])) / DAY, 1) == tried.json["tried"]["days"]
    assert written.json["tried"]["rules"] == tried.json["tried"]["rules"]
    assert ("this person", "Heart rate above 64 bpm, for 10min; low priority.") == (mine["source"], mine["sentence"])
    assert 200 == put(api, {}).status
    assert "own_1" not in [one["name"] for one in rules(api, f"?person={api.person}").json["rules"]]


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        ({"own": {"own_1": FAST | {"whn": 1}}}, "/own/own_1", "Unknown key. Did you mean when?"),
        (
            {"own": {"own_1": FAST | {"when": {"vital": "heart_rate", "above": 900}}}},
            "/own/own_1/heart_rate",
            "between",
        ),
        ({"own": {"Mr Smith": FAST}}, "/own", "is no name of an own rule. Write own_1 to own_99"),
        ({"own": {"own_1": FAST | {"lasts": "soon"}}}, "/own/own_1/lasts", "A duration is written like"),
        ({"limits": {"heart_rate": {"low": 90, "high": 60}}}, "/limits/heart_rate", "Low must be below high"),
        (
            {"limits": {"heart_rate": {"high": 10**309}}},
            "/limits/heart_rate/high",
            "between 20 and 250 /min, or leave it out",
        ),
        ({"own": [FAST]}, "/own", "Input should be a valid dictionary"),
    ],
)
@pytest.mark.parametrize("way", ["", "/replay"])
def test_what_is_wrong_is_told_with_its_place_and_never_repeated(api, body, pointer, word, way):
    answer = put(api, body, way=way)

    assert (422, "unknown_value") == (answer.status, answer.code)
    assert pointer == answer.json["errors"][0]["pointer"]
    assert answer.json["errors"][0]["detail"] == answer.json["detail"]
    assert not re.match(r"(It|A key or value) (low|a |unknown|Input)", answer.json["detail"])
    assert word in answer.json["errors"][0]["detail"]
    assert b"Smith" not in answer.body
    assert b"whn" not in answer.body


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten_where_if_match_says_what_was_seen(api):
    where, key = f"/people/{api.person}/limits", api.keys["north"]
    before = api.ask("GET", where, key=key).headers["etag"]
    first, late = {"limits": {"heart_rate": {"low": 50.0}}}, {"limits": {"heart_rate": {"low": 45.0}}}
    assert 200 == api.ask("PUT", where, first, key=key, headers={"if-match": before}).status
    answer = api.ask("PUT", where, late, key=key, headers={"if-match": before})
    now = api.ask("GET", where, key=key)

    assert (412, "changed_meanwhile") == (answer.status, answer.code)
    assert first == now.json
    assert before != now.headers["etag"]
    for version in ("*", f'"0", {now.headers["etag"]}'):
        assert 200 == api.ask("PUT", where, first, key=key, headers={"if-match": version}).status
    assert 200 == put(api, {}).status


def test_rules_and_burden_of_another_ward_are_not_told(api):
    assert 404 == rules(api, f"?person={api.person}", ward="south").status
    assert 404 == put(api, {}, ward="south", way="/replay").status
    assert 0 == api.ask("GET", "/burden", key=api.keys["south"]).json["alerts"]


def test_burden_is_told_together_and_by_rule(api):
    told = api.ask("GET", "/burden?days=30", key=api.keys["north"]).json

    assert 30 == told["days"]
    assert told["alerts"] == sum(one["alerts"] for one in told["rules"].values()) > 0
    assert {"acknowledged", "minutes_median", "repeated", "per_person_day"} <= set(next(iter(told["rules"].values())))
    assert 422 == api.ask("GET", "/burden?days=0", key=api.keys["north"]).status

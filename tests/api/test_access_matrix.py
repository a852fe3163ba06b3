"""Who may what: every operation of the OpenAPI file x every caller x what is in the own and in another ward."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.routing import routing

from api_world import Answer, Api
from house_world import WARDS, Asked, House, built, operations
from serving_world import RUN
from vitalwatch.api.operations import Route
from vitalwatch.api.table import OPERATIONS
from vitalwatch.database.access import SCOPES

UNKNOWN = {"person": "p-" + "a" * 26, "alarm": "0" * 32}
PUBLIC, OWN, HOUSE, NONE = "public", "own", "all", "none"
ABOUT_EVERYBODY = {  # operations on people that name none: how it is seen that only those of the own ward were meant
    "people": lambda house, ward, told: {one["person"] for one in told["people"]} == {house.people[ward]},
    "alarms": lambda house, ward, told: {one["person"] for one in told["alarms"]} == {house.people[ward]},
    "quarantine": lambda house, ward, told: {one["person"] for one in told["refused"]} == {house.people[ward]},
    "burden": lambda house, ward, told: told["alerts"] == house.sounded[ward],
    "events": lambda house, ward, told: {one["person"] for one in told} == {house.people[ward]},
    "replay": lambda house, ward, told: (told["read"], told["unknown_field"], told["rest"]) == (1, 1, None),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory, tiny_bundle) -> Iterator[House]:
    """For refusals, after which everything is as it was."""
    with built(tmp_path_factory.mktemp("house"), tiny_bundle) as house:
        yield house


@pytest.fixture
def own_house(tmp_path, tiny_bundle) -> Iterator[House]:
    with built(tmp_path, tiny_bundle) as house:
        yield house


def undeclared(api: Api) -> list[str]:
    """Return routes of the application that the OpenAPI file does not have, or not whole."""
    declared = {(one.method, one.path): one for one in operations(api)}
    missing = []
    for route in api.app.routes:
        for method in route.methods:
            if "HEAD" == method and "GET" in route.methods:
                continue  # declared with its GET
            one = declared.pop((method, route.path), None)
            if (
                one is None
                or not isinstance(route, Route)
                or one.scope not in (*SCOPES, PUBLIC)
                or one.wards not in (OWN, HOUSE, NONE)
                or (OWN == one.wards) != bool(one.names or one.name in ABOUT_EVERYBODY)
            ):
                missing.append(f"{method} {route.path}")
    return missing + [f"{method} {path}" for method, path in declared]


def test_every_route_is_declared_with_its_scope_and_what_it_has_to_do_with_wards(house):
    assert [] == undeclared(house.api)
    assert len(operations(house.api)) == len({one.name for one in operations(house.api)}) == len(OPERATIONS)


def test_a_route_that_nobody_declared_is_seen(house):
    route = routing.Route("/backdoor", lambda request: None, methods=["POST"])
    house.api.app.router.routes.append(route)
    try:
        assert ["POST /backdoor"] == undeclared(house.api)
    finally:
        house.api.app.router.routes.remove(route)


def test_without_a_key_or_with_a_wrong_one_only_what_is_public_answers(house):
    clients = (f"10.0.{i // 200}.{i % 200}" for i in itertools.count())  # each may try some wrong keys
    for one in operations(house.api):
        for answer in house.ask(one, house.words("north")):
            assert (PUBLIC == one.scope) == (answer.status not in (401, 403)), (one.name, answer.status)
        if PUBLIC != one.scope:
            answers = house.ask(one, house.words("north"), key="vw_000000000000_" + "a" * 43, client=next(clients))
            assert {401} == {answer.status for answer in answers}, one.name


def test_a_key_of_any_other_scope_is_refused_wherever_it_is_from_and_whatever_it_asks_about(house):
    cells = itertools.product(operations(house.api), ("", *SCOPES), (*WARDS, "all"), WARDS)
    for one, scope, where, about in cells:
        if scope == one.scope:
            continue
        for answer in house.ask(one, house.words(about), key=house.keys[scope, where]):
            assert (PUBLIC == one.scope) == (403 != answer.status), (one.name, scope, where, answer.status)
            assert 401 != answer.status, (one.name, scope, where)
            if PUBLIC != one.scope and "/v2" != one.path[:3]:
                assert "scope_missing" == answer.code, one.name


def test_what_is_in_another_ward_is_answered_as_if_it_were_unknown(house):
    for one, (where, about) in itertools.product(operations(house.api), (WARDS, WARDS[::-1])):
        if not one.names:
            continue
        key = house.keys[one.scope, where]
        for answer in house.ask(one, house.words(about), key=key):
            if "readings" == one.name:  # a person has one ward: who sends must be told, or goes on sending
                assert (403, "not_allowed") == (answer.status, answer.code)
                continue
            (unknown,) = house.ask(one, house.words(about) | UNKNOWN, key=key)
            same = [{k: v for k, v in each.json.items() if "instance" != k} for each in (answer, unknown)]
            assert 404 == answer.status == unknown.status, (one.name, where)
            assert same[0] == same[1], one.name


def test_whoever_asks_for_the_head_alone_is_answered_as_whoever_gets_the_whole(house):
    looks = [one for one in operations(house.api) if "GET" == one.method]
    keys = ["", *(house.keys[scope, where] for scope in ("", *SCOPES) for where in (*WARDS, "all"))]
    for one, about in itertools.product(looks, WARDS):
        for key in keys:
            for whole, head in zip(
                house.ask(one, house.words(about), key=key),
                house.ask(replace(one, method="HEAD"), house.words(about), key=key),
                strict=True,
            ):
                assert whole.status == head.status, (one.name, about)
                assert b"" == head.body, one.name
                assert lasting(whole, one) == lasting(head, one), one.name
                if "events" != one.name:
                    assert "content-length" in head.headers, one.name


def lasting(answer: Answer, one: Asked) -> dict[str, str]:
    """Return headers that two equal questions have in common; figures count what was asked meanwhile."""
    other = {"x-request-id"} | ({"content-length"} if "metrics" == one.name else set())
    return {name: value for name, value in answer.headers.items() if name not in other}


def test_a_method_that_a_path_does_not_have_is_told_those_that_it_has(house):
    address = f"/people/{house.people['north']}/profile"

    assert "GET, HEAD, PATCH, PUT" == house.api.ask("DELETE", address).headers["allow"]
    assert "POST" == house.api.ask("HEAD", "/predict").headers["allow"]


def test_what_is_about_everybody_takes_a_key_of_all_wards(house):
    ours = [one for one in operations(house.api) if HOUSE == one.wards]
    assert {"promote", "rollback"} == {one.name for one in ours}
    for one, where in itertools.product(ours, WARDS):
        (answer,) = house.ask(one, house.words(where), key=house.keys[one.scope, where])
        assert (403, "wards_missing") == (answer.status, answer.code)
    assert RUN == house.api.engine.run()


def test_what_is_in_the_own_ward_is_answered_and_nobody_else_is_told_of(own_house):
    worked: dict[str, set[int]] = {}
    for one in operations(own_house.api):
        callers = ("all",) if HOUSE == one.wards else (*WARDS, "all")
        for where, about in itertools.product(callers, WARDS):
            if where in WARDS and where != about and OWN == one.wards:
                continue
            for answer in own_house.ask(
                one, own_house.words(about, one.name), key=own_house.keys.get((one.scope, where), "")
            ):
                assert answer.status in (200, 202, 204, 409), (one.name, where, answer.status, answer.body[:300])
                worked.setdefault(one.name, set()).add(answer.status)
                if where in WARDS and NONE != one.wards:
                    (other,) = {*WARDS} - {where}
                    assert own_house.people[other].encode() not in answer.body, (one.name, where)
                    assert all(each.encode() not in answer.body for each in own_house.alarms[other])
                if one.name in ABOUT_EVERYBODY and where in WARDS:
                    told = list(events(answer.body)) if "events" == one.name else answer.json
                    assert ABOUT_EVERYBODY[one.name](own_house, where, told), (one.name, where)
    # 409: it was done before (an alarm that is over, a run that is live); once it was done
    assert [] == [name for name, statuses in worked.items() if {409} == statuses]
    assert {one.name for one in operations(own_house.api)} == worked.keys()


def events(raw: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream that are about somebody."""
    for line in raw.decode().splitlines():
        if line.startswith("data: ") and "person" in (told := json.loads(line[6:])):
            yield told

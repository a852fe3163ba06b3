"""Who may what: every operation x scope x own or other ward, as the OpenAPI file declares it."""

from __future__ import annotations

import asyncio
import itertools
import re

import pytest

from api_world import HERE, Api
from serving_world import Ward
from vitalwatch.api.app import check_bind, told_to_uvicorn
from vitalwatch.api.operations import Route
from vitalwatch.api.table import OPERATIONS
from vitalwatch.database import access
from vitalwatch.database.access import SCOPES
from vitalwatch.errors import SettingsError

NORTH, SOUTH = frozenset({"north"}), frozenset({"south"})
NOBODY = "p-" + "a" * 26


@pytest.fixture(scope="module")
def house(tmp_path_factory, tiny_bundle):
    """A person in the north with an alarm, and a key for every scope in every ward."""
    ward = Ward(tmp_path_factory.mktemp("house"), tiny_bundle)
    api = Api(ward.settings, ward.engine)
    send = api.key(["ingest"], NORTH)
    batch = [
        {
            "person": "anna",
            "time": f"2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z",
            "heart_rate": 190,
            "oxygen_saturation": 80,
        }
        for m in range(0, 120, 5)
    ]
    assert 202 == api.ask("POST", "/readings", batch, key=send).status
    wards = {"north": NORTH, "south": SOUTH, "all": None}
    api.keys = {(scope, name): api.key([scope], where) for scope in SCOPES for name, where in wards.items()}
    seen = api.ask("GET", "/people", key=api.keys["read", "north"]).json["people"][0]
    api.words = {"person": seen["person"], "alarm": seen["alarms"][0]["id"]}
    api.words |= {"model": "anomaly", "version": "1", "run": ward.engine.run()}
    yield api
    api.close()
    ward.engine.close()


def address_of(path: str, words: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda match: words[match[1]], path)


def example_of(told: dict) -> tuple[object, str]:
    content = told.get("requestBody", {}).get("content", {})
    for media, one in content.items():
        return one["examples"]["example"]["value"], media
    return None, "application/json"


def operations(api: Api) -> list[tuple[str, str, dict]]:
    paths = api.ask("GET", "/openapi.json").json["paths"]
    return [(method.upper(), path, told) for path, methods in paths.items() for method, told in methods.items()]


def ask(api: Api, method: str, path: str, told: dict, key: str, words: dict[str, str]) -> int:
    body, media = example_of(told)
    if told["operationId"] == "events":  # a stream ends only with a refusal
        return 200 if may_stream(api, key) else api.ask("GET", "/events?after=-1", key=key).status
    return api.ask(method, address_of(path, words), body, media=media, key=key).status


def may_stream(api: Api, key: str) -> bool:
    return 422 == api.ask("GET", "/events?after=-1", key=key).status


def test_every_route_is_declared(house):
    declared = {(method, path) for method, path, _ in operations(house)}
    routes = {(method, route.path) for route in house.app.routes for method in route.methods}

    assert routes == declared
    assert all(isinstance(route, Route) for route in house.app.routes)
    assert all(told["x-scope"] in (*SCOPES, "public") for _, _, told in operations(house))
    assert len(declared) == len({told["operationId"] for _, _, told in operations(house)}) == len(OPERATIONS)


def test_every_body_has_an_example_that_is_answered(house):
    everything = house.key(list(SCOPES), NORTH)
    words = house.words | {"version": house.engine.run()}
    for method, path, told in operations(house):
        body, media = example_of(told)
        if body is not None:
            status = house.ask(method, address_of(path, words), body, media=media, key=everything).status
            assert status in (200, 202, 204, 409), (method, path, status)


def test_without_a_key_only_what_is_public_answers(house):
    for method, path, told in operations(house):
        body, media = example_of(told)
        status = house.ask(method, address_of(path, house.words), body, media=media).status
        assert ("public" == told["x-scope"]) == (401 != status), (method, path, status)


def test_a_key_may_what_its_scope_says_and_nothing_else(house):
    for (method, path, told), scope in itertools.product(operations(house), SCOPES):
        status = ask(house, method, path, told, house.keys[scope, "all"], house.words)
        allowed = told["x-scope"] in ("public", scope)
        assert allowed == (403 != status), (method, path, scope, status)


def test_who_is_in_another_ward_is_not_found_and_no_other_answer_tells_more(house):
    for method, path, told in operations(house):
        scope, word = told["x-scope"], "person" if "{person}" in path else "alarm" if "{alarm}" in path else ""
        if not word:
            continue
        body, _ = example_of(told)
        elsewhere = house.ask(method, address_of(path, house.words), body, key=house.keys[scope, "south"])
        strange = {"person": NOBODY, "alarm": "0" * 32}
        unknown = house.ask(method, address_of(path, house.words | strange), body, key=house.keys[scope, "south"])
        assert 404 == elsewhere.status == unknown.status, (method, path)
        same = [{k: v for k, v in answer.json.items() if k != "instance"} for answer in (elsewhere, unknown)]
        assert same[0] == same[1]
        own = house.ask(method, address_of(path, house.words), body, key=house.keys[scope, "north"])
        assert 404 != own.status, (method, path)


def test_lists_hold_nobody_of_another_ward(house):
    key = house.keys["read", "south"]

    assert [] == house.ask("GET", "/people", key=key).json["people"]
    assert [] == house.ask("GET", "/alarms?open=false", key=key).json["alarms"]
    assert {"refused": [], "counts": {}} == house.ask("GET", "/quarantine", key=key).json
    assert 404 == house.ask("POST", "/anomaly", {"person": house.words["person"]}, key=key).status
    assert 404 == house.ask("POST", "/forecast", {"person": house.words["person"]}, key=key).status


def test_readings_of_a_person_in_another_ward_are_refused(house):
    reading = {"person": "anna", "time": "2026-01-05T12:00:00Z", "heart_rate": 70}
    answer = house.ask("POST", "/readings", reading, key=house.keys["ingest", "south"])

    assert (403, "not_allowed") == (answer.status, answer.code)


def test_names_are_for_admins_only(house):
    both = house.key(["read", "admin"], NORTH)

    assert 403 == house.ask("GET", "/people?names=true", key=house.keys["read", "north"]).status
    assert "anna" == house.ask("GET", "/people?names=true", key=both).json["people"][0]["name"]


@pytest.mark.parametrize(
    "told", ["Bearer nothing", "Bearer vw_000000000000_" + "a" * 43, "Basic YTpi", "bearer", "Bearer a.b.c", "\xff"]
)
def test_a_key_that_is_none_is_401_and_says_how(house, told):
    answer = house.ask("GET", "/people", headers={"authorization": told})

    assert (401, "unauthenticated") == (answer.status, answer.code)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert told.encode("latin-1")[7:30] not in answer.body or len(told) < 8


def test_trying_keys_is_slowed_down(house):
    answers = [house.ask("GET", "/people", key="wrong", client="10.0.0.9") for _ in range(40)]

    assert {401, 429} == {answer.status for answer in answers}
    assert answers[-1].headers["retry-after"].isdigit()


def test_a_key_is_also_taken_from_its_own_header(house):
    assert 200 == house.ask("GET", "/people", headers={"x-api-key": house.keys["read", "north"]}).status


def test_an_ended_key_is_refused(own):
    token = own.key(["read"])
    assert 200 == own.ask("GET", "/people", key=token).status
    with own.engine.database.writing() as connection:
        access.end(connection, token.split("_")[1], own.engine.now() - 1)
    own.key(["read"])
    assert 401 == own.ask("GET", "/people", key=token).status


def test_the_end_of_the_last_key_lets_nobody_in_and_the_command_line_makes_another(tmp_path, tiny_bundle, capsys):
    ward = Ward(tmp_path, tiny_bundle)
    own = Api(ward.settings, ward.engine)
    try:
        assert 200 == own.ask("GET", "/people?names=true").status
        token = own.key(["read", "admin"])
        with own.engine.database.writing() as connection:
            access.end(connection, token.split("_")[1], own.engine.now())
        own.forget()
        refused = own.ask("GET", "/people?names=true"), own.ask("GET", "/people", key=token)
        ward.place.capsys = capsys
        made = ward.place.do("keys", "make", "--scope", "read", "--ward", "*", "--json")

        assert [401, 401] == [one.status for one in refused]
        assert all("`python main.py keys make`" in one.json["detail"] for one in refused)
        assert 200 == own.ask("GET", "/people", key=made.json["token"]).status
    finally:
        own.close()
        ward.engine.close()


def test_while_there_are_no_keys_this_machine_may_everything(api):
    assert 200 == api.ask("GET", "/people").status
    assert 200 == api.ask("GET", "/people", headers={"host": "localhost:8000"}).status
    assert 200 == api.ask("GET", "/people", headers={"host": "[::1]:8000"}, client="::1").status


@pytest.mark.parametrize(
    "more",
    [
        {"client": "10.0.0.7"},
        {"client": ""},
        {"headers": {"host": "evil.example"}},
        {"headers": {"host": ""}},
        {"headers": {"origin": "https://evil.example"}},
        {"headers": {"origin": "null"}},
        {"headers": {"sec-fetch-site": "cross-site"}},
        {"headers": {"x-forwarded-for": "10.0.0.7"}},
        {"headers": {"forwarded": "for=10.0.0.7"}},
    ],
    ids=str,
)
def test_without_keys_nobody_else_may_anything(api, more):
    answer = api.ask("GET", "/people", **more)

    assert (403, "loopback_only") == (answer.status, answer.code)


@pytest.mark.parametrize(
    "addresses", [["0.0.0.0"], ["::"], ["192.168.1.5"], ["127.0.0.1", "10.0.0.1"], ["example.org"]]
)
def test_nothing_binds_beyond_this_machine_without_keys(addresses):
    check_bind(addresses, has_keys=True)
    with pytest.raises(SettingsError, match="no key yet"):
        check_bind(addresses, has_keys=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_this_machine_is_bound_without_keys(address):
    check_bind([address], has_keys=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["uvicorn", "app:app"], ["127.0.0.1"]),
        (["uvicorn", "app:app", "--host", "0.0.0.0", "--port", "1"], ["0.0.0.0"]),
        (["uvicorn", "app:app", "--host=::"], ["::"]),
    ],
)
def test_the_address_is_the_one_that_uvicorn_was_told(monkeypatch, words, expected):
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.delenv("UVICORN_HOST", raising=False)

    assert expected == told_to_uvicorn()


def test_the_environment_tells_the_address_too(monkeypatch):
    monkeypatch.setattr("sys.argv", ["uvicorn", "app:app"])
    monkeypatch.setenv("UVICORN_HOST", "0.0.0.0")

    assert ["0.0.0.0"] == told_to_uvicorn()


def test_a_sender_that_sends_too_much_is_told_when_to_come_back(own, monkeypatch):
    from vitalwatch.api.limits import Rate

    monkeypatch.setattr(own.app.state.desk, "rate", Rate(0.5, 3))
    answers = [own.ask("GET", "/people") for _ in range(5)]

    assert [200, 200, 200, 429, 429] == [answer.status for answer in answers]
    assert ("too_many_requests", "2") == (answers[-1].code, answers[-1].headers["retry-after"])


def test_more_than_may_wait_is_sent_away_and_the_others_are_answered(own, monkeypatch):
    from vitalwatch.api.limits import Turns

    async def many() -> list[int]:
        monkeypatch.setattr(own.app.state.desk, "compute", Turns(3))
        await own.app.state.desk.compute._lock.acquire()
        asked = [asyncio.ensure_future(own.asked("POST", "/predict", {})) for _ in range(8)]
        await asyncio.sleep(0.05)
        own.app.state.desk.compute._lock.release()
        answers = await asyncio.gather(*asked)
        assert {"1"} == {one.headers["retry-after"] for one in answers if one.status == 503}
        return sorted(one.status for one in answers)

    assert [200] * 3 + [503] * 5 == own.loop.run_until_complete(many())


def test_who_is_sent_away_is_told_so_before_the_body_is_read(own, monkeypatch):
    from vitalwatch.api.limits import Turns

    async def never() -> dict:
        raise AssertionError("the body was read")

    async def ask(path: str) -> int:
        scope = {"type": "http", "method": "POST", "scheme": "http", "path": path, "query_string": b"", "root_path": ""}
        headers = [(b"host", HERE.encode()), (b"content-type", b"application/json")]
        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        await own.app(scope | {"headers": headers, "client": (HERE, 1)}, never, send)
        return sent[0]["status"]

    desk = own.app.state.desk
    monkeypatch.setattr(desk, "compute", Turns(0))
    monkeypatch.setattr(desk.readings, "_most", 0)
    paths = ("/predict", "/anomaly", "/forecast", "/v2/models/anomaly/infer", "/v1/timeseries/forecast", "/readings")
    assert dict.fromkeys(paths, 503) == {path: own.loop.run_until_complete(ask(path)) for path in paths}


def test_a_question_that_waits_is_answered_however_many_more_come(own, monkeypatch):
    from vitalwatch.api.limits import Turns

    async def flood() -> tuple[list[int], list[int]]:
        monkeypatch.setattr(own.app.state.desk, "compute", Turns(3))
        first = [asyncio.ensure_future(own.asked("POST", "/predict", {})) for _ in range(3)]
        more = []
        while not all(one.done() for one in first):
            more += [asyncio.ensure_future(own.asked("POST", "/predict", {})) for _ in range(3)]
            await asyncio.sleep(0)
        return [one.status for one in await asyncio.gather(*first)], [one.status for one in await asyncio.gather(*more)]

    answered, others = own.loop.run_until_complete(flood())
    assert [200] * 3 == answered
    assert 503 in others

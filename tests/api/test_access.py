"""Who is let in: keys, this machine while there are none, and how many at once."""

from __future__ import annotations

import asyncio

import pytest

from api_world import HERE, Api
from serving_world import Ward
from vitalwatch.api.app import check_bind, told_to_uvicorn
from vitalwatch.database import access
from vitalwatch.database.access import SCOPES
from vitalwatch.errors import SettingsError

NORTH = frozenset({"north"})


@pytest.fixture(scope="module")
def house(tmp_path_factory, tiny_bundle):
    """A person in the north, and a key for every scope there."""
    ward = Ward(tmp_path_factory.mktemp("house"), tiny_bundle)
    api = Api(ward.settings, ward.engine)
    reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}
    assert 202 == api.ask("POST", "/readings", reading, key=api.key(["ingest"], NORTH)).status
    api.keys = {scope: api.key([scope], NORTH) for scope in SCOPES}
    yield api
    api.close()
    ward.engine.close()


def test_names_are_for_admins_only(house):
    both = house.key(["read", "admin"], NORTH)

    assert 403 == house.ask("GET", "/people?names=true", key=house.keys["read"]).status
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
    assert 200 == house.ask("GET", "/people", headers={"x-api-key": house.keys["read"]}).status


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
        async with asyncio.timeout(30):
            while sum(one.done() for one in asked) < 5:  # all have come, and these were sent away
                await asyncio.sleep(0.01)
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

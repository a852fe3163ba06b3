"""How often an address may ask: what is public, without a key, and with keys that are none."""

from __future__ import annotations

import pytest

from api_world import Api
from vitalwatch.api.limits import Rate, place_of
from vitalwatch.api.table import OPERATIONS

PUBLIC = [one for one in OPERATIONS if one.scope == "public"]
WRONG = "vw_000000000000_" + "a" * 43
ELSEWHERE = "10.0.0.2"


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def slowed(api: Api, name: str, rate: float, burst: float) -> Seconds:
    """Give one of the rates other figures, and a clock."""
    clock, desk = Seconds(), api.app.state.desk
    made = Rate(rate, burst, clock=clock)
    if name == "anybody":
        desk.anybody = made
    setattr(desk.access, f"_{name}", made)
    return clock


def asked(api: Api, n: int, address: str = "/people", **more: str) -> list[int]:
    return [api.ask("GET", address, **more).status for _ in range(n)]


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda one: one.name)
def test_each_public_route_is_limited_by_address(own: Api, operation) -> None:
    clock = slowed(own, "anybody", 1.0, 2)
    answers = [own.ask("GET", operation.path) for _ in range(4)]
    elsewhere = own.ask("GET", operation.path, client=ELSEWHERE)

    assert [429, 429] == [one.status for one in answers[2:]]
    assert 429 not in [one.status for one in (*answers[:2], elsewhere)]
    told = answers[2]
    code = told.json["error"].partition(":")[0] if operation.path.startswith("/v2") else told.code
    assert ("too_many_requests", "1") == (code, told.headers["retry-after"])
    clock.now += 1
    assert 429 != own.ask("GET", operation.path).status


def test_public_routes_are_the_ones_that_one_expects() -> None:
    names = {"v2_server", "v2_live", "v2_ready", "live", "ready", "whoami", "openapi", "docs"}

    assert names == {one.name for one in PUBLIC}


def test_what_is_not_there_is_limited_too(own: Api) -> None:
    slowed(own, "anybody", 1.0, 2)

    assert [404, 404, 429] == asked(own, 3, "/nowhere")
    assert [405, 405, 429] == [own.ask("PUT", "/people", client=ELSEWHERE).status for _ in range(3)]


def test_as_shipped_a_public_route_may_be_asked_more_often_than_anybody_needs(own: Api) -> None:
    assert {200} == set(asked(own, 1_500, "/health/live"))


def test_who_asks_without_a_key_is_limited_and_who_has_one_at_the_same_address_is_not(own: Api) -> None:
    key = own.key(["read"])
    slowed(own, "anybody", 1.0, 3)

    assert [401, 401, 401, 429] == asked(own, 4)
    assert [200] * 5 == asked(own, 5, key=key)


def test_after_too_many_wrong_keys_a_right_guess_is_not_told(own: Api) -> None:
    key = own.key(["read"])
    clock = slowed(own, "failures", 0.5, 3)

    assert [401, 401, 401, 429, 429] == asked(own, 5, key=WRONG)
    guess = own.ask("GET", "/people", key=key)
    assert ("too_many_requests", "2") == (guess.code, guess.headers["retry-after"])
    assert 200 == own.ask("GET", "/people", key=key, client=ELSEWHERE).status
    own.forget()
    clock.now += 2
    assert 200 == own.ask("GET", "/people", key=key).status


def test_a_key_that_was_right_before_stays_answered_while_others_guess_at_its_address(own: Api) -> None:
    key = own.key(["read"])
    slowed(own, "failures", 0.5, 3)
    assert 200 == own.ask("GET", "/people", key=key).status
    asked(own, 10, key=WRONG)
    own.app.state.desk.access._clock = lambda: 10.0**9  # it is remembered no more, and looked up again

    assert 200 == own.ask("GET", "/people", key=key).status


def test_a_key_that_ended_is_a_wrong_one_like_any_other(own: Api) -> None:
    from vitalwatch.database import access

    key, _ = own.key(["read"]), own.key(["read"])
    slowed(own, "failures", 0.5, 3)
    assert 200 == own.ask("GET", "/people", key=key).status
    with own.engine.database.writing() as connection:
        access.end(connection, key.split("_")[1], own.engine.now() - 1)
    own.app.state.desk.access._remember = -1.0
    own.app.state.desk.access._clock = lambda: 10.0**9

    assert [401, 401, 401, 429, 429] == asked(own, 5, key=key)


def test_guesses_from_one_ipv6_network_are_of_one_guesser(own: Api) -> None:
    own.key(["read"])
    slowed(own, "failures", 0.5, 3)
    answers = [own.ask("GET", "/people", key=WRONG, client=f"2001:db8::{n:x}").status for n in range(5)]

    assert [401, 401, 401, 429, 429] == answers
    assert 401 == own.ask("GET", "/people", key=WRONG, client="2001:db8:0:1::1").status
    assert ["10.0.0.2", "2001:db8::/64", "fe80::/64", ""] == [
        place_of(one) for one in ("10.0.0.2", "2001:db8::7", "fe80::1%eth0", "")
    ]

"""Whatever is sent: an answer below 500, in time, in its form, and nothing of it repeated; in process and by socket."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from api_world import Answer, Api
from command_world import Place
from fuzz_world import (
    HUNG,
    MARK,
    MISCHIEF,
    NUMBER,
    Corpus,
    Kept,
    alarm,
    answered,
    by_socket,
    check,
    misframed,
    said_again,
)
from real_server import Server
from serving_world import RUN
from vitalwatch.api.table import OPERATIONS

REQUESTS = 20_000
ENOUGH = ("--log-level", "warning", "--no-access-log")


def run(api: Api, seed: int, requests: int) -> Counter[int]:
    corpus, seen = Corpus.of(api, seed), Counter[int]()
    for _ in range(requests):
        seen[answered(api, corpus)[0]] += 1
    return seen


def test_the_id_of_an_inference_is_returned_and_nothing_else_of_it(own):
    example = own.ask("GET", "/openapi.json").json["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]
    body = example["content"]["application/json"]["examples"]["example"]["value"] | {"id": MARK, MARK: MARK}
    body["inputs"][0][MARK] = MARK
    answer = own.ask("POST", "/v2/models/anomaly/infer", body)

    assert (200, MARK) == (answer.status, answer.json["id"])
    assert 1 == answer.body.count(MARK.encode())


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (Answer(500, {"content-type": "application/json"}, b"{}"), 0.1),
        (Answer(200, {"content-type": "application/json"}, b"{}"), 2.1),
        (Answer(200, {"content-type": "text/csv"}, b"{}"), 0.1),
        (Answer(200, {"content-type": "application/json"}, f'{{"a":"{MARK}"}}'.encode()), 0.1),
        (Answer(200, {"content-type": "application/json"}, f'{{"a":-{NUMBER}.5}}'.encode()), 0.1),
        (Answer(200, {"content-type": "application/json", "location": f"/{MARK}"}, b"{}"), 0.1),
        (Answer(404, {"content-type": "application/json"}, b'{"detail":"none"}'), 0.1),
    ],
)
def test_an_answer_that_is_none_is_seen(told, seconds):
    with pytest.raises(AssertionError):
        check(told, seconds, ("GET", "/", None, {}))


STORED = float(f"100.{NUMBER}")
SOMEBODY = "p-" + "a" * 26


def lived(api: Api) -> None:
    """Have everything of somebody stored that takes a number or a text, with a canary in it, and alarms raised."""
    rows = [
        {"person": SOMEBODY, "time": f"2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z", "device": MARK, "heart_rate": 200.5,
         "event_id": f"{MARK}{m}", "body_temperature": float(f"37.{NUMBER}")}
        for m in range(0, 300, 5)
    ]  # fmt: skip
    rule = {"when": {"mean": "heart_rate", "over": "1h", "above": STORED}, "priority": "medium"}
    limits = {"limits": {"heart_rate": {"high": STORED}}, "own": {"own_1": rule}}
    named = [{**rows[0], "person": MARK}, {**rows[0], MARK: MARK}, {**rows[0], "pulse": NUMBER}]
    assert 202 == api.ask("POST", "/readings", [*rows[:30], *named]).status
    assert 200 == api.ask("PUT", f"/people/{SOMEBODY}/limits", limits).status
    assert 204 == api.ask("PUT", f"/people/{SOMEBODY}/profile", {"age": float(f"54.{NUMBER}")}).status
    assert 202 == api.ask("POST", "/readings", rows[30:]).status
    assert {"own_1"} <= {one["rule"] for one in api.ask("GET", "/alarms?open=false").json["alarms"]}


def told_again(api: Api, kept: Kept) -> set[str]:
    """Return the questions about what is stored whose answer holds a canary that is not kept."""
    alarm = api.ask("GET", "/alarms?open=false").json["alarms"][0]["id"]
    span = "since=2026-01-05T00:00:00Z&until=2026-01-06T00:00:00Z"
    asked = [one.path.format(person=SOMEBODY, alarm=alarm, run=RUN, model="anomaly", version=RUN) for one in OPERATIONS
             if one.method == "GET" and one.path != "/events"]  # fmt: skip
    asked += [
        f"/rules?person={SOMEBODY}",
        f"/people/{SOMEBODY}/timeline?{span}",
        "/alarms?open=false",
        "/events?after=0",
    ]
    found = set()
    for path in asked:
        answer = api.ask("GET", path, leaves_after=0.01 if path.startswith("/events") else None)
        assert 200 == answer.status, path
        if said_again(kept.beside(answer.body, "GET", path)):
            found.add(path)
    return found


def test_of_all_that_is_stored_only_own_limits_and_rules_are_told_as_they_were_sent(own):
    lived(own)
    stored = {f"/people/{SOMEBODY}/limits", f"/rules?person={SOMEBODY}"}
    kept = Kept()
    kept.note("PUT", f"/people/{SOMEBODY}/limits", f"[{STORED}]".encode(), 422)
    refused = told_again(own, kept)
    kept.note("PUT", f"/people/{SOMEBODY}/limits", f"[{STORED}]".encode(), 200)

    assert stored == refused
    assert set() == told_again(own, kept)


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", f"/people/{SOMEBODY}", f"{STORED}"),
        ("GET", f"/people/p-{'b' * 26}/limits", f"{STORED}"),
        ("PUT", f"/people/{SOMEBODY}/limits", f"{STORED}"),
        ("GET", f"/people/{SOMEBODY}/limits", f"101.{NUMBER}"),
        ("GET", f"/people/{SOMEBODY}/limits", f"{STORED} {MARK}"),
    ],
)
def test_what_is_kept_is_no_excuse_anywhere_else_nor_for_anything_else(method, path, said):
    kept = Kept()
    kept.note("PUT", f"/people/{SOMEBODY}/limits", f'{{"a":[{STORED}]}}'.encode(), 200)

    assert said_again(kept.beside(said.encode(), method, path))
    assert not said_again(kept.beside(f"{STORED}".encode(), "GET", f"/people/{SOMEBODY}/limits"))


def test_a_request_that_hangs_is_seen():
    with pytest.raises(AssertionError, match=r"hung for 0\.05 s"), alarm(0.05):
        time.sleep(HUNG)


def test_every_leaf_of_a_planted_body_is_a_canary():
    corpus = Corpus.__new__(Corpus)
    corpus.rng = random.Random(4)
    leaves = str(corpus.planted({"a": [1, "x", None], "b": {"c": 2.5, "d": True}})).split(",")

    assert 5 == len(leaves)
    assert all(MARK in leaf or NUMBER in leaf.replace(".", "") for leaf in leaves)


def test_a_thousand_strange_requests_are_answered_in_form(own):
    seen = run(own, 1, 1_000)

    assert {200, 404, 422} <= set(seen)


@pytest.mark.slow
def test_twenty_thousand_strange_requests_are_answered_in_form(own):
    seen = run(own, 2, REQUESTS)

    assert REQUESTS == sum(seen.values())
    assert {200, 202, 400, 403, 404, 405, 415, 422} <= set(seen)


@pytest.fixture
def server(tmp_path, tiny_bundle) -> Iterator[Server]:
    place = Place(tmp_path)
    place.add_run(RUN, tiny_bundle)
    server = Server(
        place.folder, *ENOUGH, sets=("config.api.requests_a_second=1000000", "config.api.burst=1000000")
    ).wait()
    yield server
    server.stop()


@pytest.mark.slow
def test_strange_requests_through_a_socket_are_answered_in_form_however_they_are_framed(server):
    paths = httpx.get(f"{server.address}/openapi.json").json()["paths"]
    seen, slowest = by_socket(server, Corpus(paths, 5), 6_000)

    assert {200, 400, 404, 415, 422} <= set(seen)
    assert sum(seen.values()) >= 6_000  # pipelined ones have several
    assert 0 < slowest < 2


def test_every_kind_of_wrong_framing_is_drawn():
    rng, sent = random.Random(6), Counter[bytes]()
    for _ in range(2_000):
        sent[misframed(rng, b'{"a":1}')[0]] += 1

    assert len(sent) > 5 * len(MISCHIEF)

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
    alarm,
    answered,
    by_socket,
    check,
    misframed,
)
from real_server import Server
from serving_world import RUN

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

"""Whatever is sent: an answer below 500, in time, in its form, and nothing of it repeated."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from api_world import Answer, Api
from vitalwatch.api.table import OPERATIONS

MARK = "Zq7Kx9"  # stands in everything that is planted
REQUESTS = 20_000
MEDIA = ("application/problem+json", "application/json", "text/plain", "text/html", "text/event-stream")
SCALARS = [
    None, True, False, 0, -1, 255, 999, 1e308, -0.0, 72, 72.5, 2**63, 10**400, "", "72", f"{MARK}", f"=cmd('{MARK}')",
    f"../../{MARK}", f"\u202e{MARK}", f"{MARK}\r\nset-cookie: a=b", f"<script>{MARK}</script>", "2026-01-05T08:00:00Z",
    "2026-01-05T08:00:00", "0001-01-01T00:00:00Z", "p-" + "a" * 26, "\ud83d\ude00", MARK * 50,
]  # fmt: skip
BREAKERS = [b"NaN", b"Infinity", b"1e400", b"\xff\xfe", b"\0", b"\\ud800", b"[" * 3000, b"{", b"}", b'"', b",", b"0x48"]


def known_names() -> list[str]:
    return [
        "person", "time", "heart_rate", "oxygen_saturation", "respiratory_rate", "steps", "device", "event_id",
        "readings", "profile", "age", "sex", "height", "weight", "medication", "series", "inputs", "name", "shape",
        "datatype", "data", "id", "model", "options", "horizon", "quantiles", "frequency", "start_timestamp",
        "steps_per_minute", "intensity", "asleep", "minutes", "local_time", "limits", "rules", "low", "high",
        "schema_version", "utc_offset", "blood_pressure_systolic", "blood_pressure_diastolic", MARK,
    ]  # fmt: skip


class Corpus:
    """Requests made of the examples of the OpenAPI file by seeded mischief."""

    def __init__(self, api: Api, seed: int) -> None:
        self.rng, self.names, self.grown = random.Random(seed), known_names(), False
        told = api.ask("GET", "/openapi.json").json["paths"]
        self.targets = [
            (one.method, one.path, told[one.path][one.method.lower()]) for one in OPERATIONS if one.name != "events"
        ]

    def request(self) -> tuple[str, str, dict]:
        rng = self.rng
        method, path, told = rng.choice(self.targets)
        while "{" in path:
            head, _, rest = path.partition("{")
            word = rng.choice(["anomaly", "p-" + "a" * 26, "0" * 32, MARK, "%00", "..", f"a{MARK}b"])
            path = head + word + rest.partition("}")[2]
        more: dict = {}
        if rng.random() < 0.2:
            values = ["1", "-1", MARK, "%ff", "9" * 30]
            names = ["most", "after", "open", "since", MARK]
            path += "?" + "&".join(f"{rng.choice(names)}={rng.choice(values)}" for _ in range(rng.randint(1, 3)))
        contents = told.get("requestBody", {}).get("content", {})
        if contents:
            media, content = rng.choice(list(contents.items()))
            more = {"body": self.body(content["examples"]["example"]["value"]), "media": media}
        if rng.random() < 0.05:
            more["media"] = rng.choice(["text/plain", "application/json; charset=utf-16", MARK, None])
        if rng.random() < 0.03:
            method = rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
        if rng.random() < 0.1:
            name = rng.choice(
                ["idempotency-key", "last-event-id", "authorization", "origin", "content-encoding", "range"]
            )
            more["headers"] = {name: rng.choice([MARK, "a" * 300, "\xff", ""])}
        return method, path, more

    def body(self, example: object) -> bytes:
        rng, self.grown = self.rng, False
        if isinstance(example, str):
            raw = bytearray(example.encode())
        else:
            value = json.loads(json.dumps(example))
            for _ in range(rng.randint(0, 3)):
                value = self.changed(value)
            raw = bytearray(json.dumps(value).encode())
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            place = rng.randrange(len(raw) + 1)
            raw[place : place + rng.randint(0, 3)] = rng.choice(BREAKERS)
        return bytes(raw)

    def changed(self, value: object) -> object:
        rng = self.rng
        if isinstance(value, dict) and value and rng.random() < 0.85:
            name = rng.choice(list(value))
            kind = rng.random()
            if kind < 0.15:
                value.pop(name)
            elif kind < 0.35:
                value[rng.choice(self.names)] = rng.choice(SCALARS)
            else:
                value[name] = self.changed(value[name])
            return value
        if isinstance(value, list) and value and rng.random() < 0.85:
            place = rng.randrange(len(value))
            value[place] = self.changed(value[place])
            times = 1 if self.grown else rng.choice([1, 1, 1, 2, 60])
            self.grown = self.grown or times > 1  # once a body: 60 times 60 times 60 is no request, but a full memory
            return value * times
        return rng.choice([*SCALARS, [], {}, [MARK], {MARK: MARK}, [[[[[[[[[[1]]]]]]]]]]])


def beside_id(answer: Answer, path: str) -> bytes:
    """Return a body without the one thing that is said again: the Open Inference Protocol returns a request's `id`."""
    if answer.status != 200 or not (path.startswith("/v2/models/") and "/infer" in path):
        return answer.body
    told = answer.json
    told.pop("id", None)
    return json.dumps(told).encode()


def check(answer: Answer, seconds: float, request: tuple) -> None:
    assert answer.status < 500, request
    assert seconds < 2.0, request
    assert answer.headers["content-type"].startswith(MEDIA), request
    assert MARK.encode() not in beside_id(answer, request[1]), request
    if answer.status >= 400:
        told = answer.json
        assert "error" in told or {"type", "title", "status", "detail", "instance"} <= set(told), request


def answered(api: Api, corpus: Corpus, waited: Callable[[], float] = lambda: 0.0) -> tuple[int, float]:
    """Send one request, look at its answer, and return status and seconds without what this process `waited` for."""
    method, path, more = corpus.request()
    body = more.pop("body", None)
    before, start = waited(), time.perf_counter()
    answer = api.ask(method, path, body, **more)
    took = time.perf_counter() - start - (waited() - before)
    check(answer, took, (method, path, body, more))
    return answer.status, took


def run(api: Api, seed: int, requests: int) -> Counter[int]:
    corpus, seen = Corpus(api, seed), Counter[int]()
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


def test_a_thousand_strange_requests_are_answered_in_form(own):
    seen = run(own, 1, 1_000)

    assert {200, 404, 422} <= set(seen)


@pytest.mark.slow
def test_twenty_thousand_strange_requests_are_answered_in_form(own):
    seen = run(own, 2, REQUESTS)

    assert REQUESTS == sum(seen.values())
    assert {200, 202, 400, 403, 404, 405, 415, 422} <= set(seen)

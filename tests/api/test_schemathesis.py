"""schemathesis makes requests from the OpenAPI file, fitting and not: every answer is one that the file declares.

None takes over 2 s, and of what is planted in half of them none tells anything again.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from api_world import Answer, Api
from fuzz_world import LIMIT, MARK, NUMBER, Kept, beside_id, own_wait, said_again

EXAMPLES = 150  # of each operation and kind, fitting and not; tests/api/test_fuzz.py sends 20,000 others


@dataclass
class Sent:
    """One request as a client would send it."""

    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    media: str | None

    @staticmethod
    def of(case: Any) -> Sent:
        """Return what schemathesis made."""
        path = case.path
        for name, value in (case.path_parameters or {}).items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        headers = {str(name): str(value) for name, value in (case.headers or {}).items()}
        headers = {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}
        headers.pop("Authorization", None)
        body = None if type(case.body).__name__ == "NotSet" else case.body
        return Sent(case.method.upper(), path, dict(case.query or {}), headers, body, case.media_type)

    def plant(self, rng: random.Random) -> None:
        """Put a canary somewhere: into a part of the path, the query, a header, a leaf or a name of the body."""
        mark = rng.choice((MARK, NUMBER))
        places = ["path", "query", "header", *(["body"] * 6 if self.body is not None else [])]
        where = rng.choice(places)
        if where == "path":
            parts = self.path.split("/")
            parts[rng.randrange(1, len(parts))] = mark
            self.path = "/".join(parts)
        elif where == "query":
            self.query[rng.choice([*self.query, mark])] = mark
        elif where == "header":
            self.headers[rng.choice(("idempotency-key", "last-event-id", "range", mark))] = mark
        else:
            self.body = _planted(self.body, mark, rng)

    def raw(self) -> bytes | None:
        """Return the body as bytes."""
        body = self.body
        if body is None:
            return None
        raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace") if isinstance(body, str) else None
        if raw is None or self.media == "application/json":
            raw = json.dumps(body if not isinstance(body, bytes) else body.decode("latin-1")).encode()
        return raw


def _planted(value: Any, mark: str, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {**value, mark: mark}
        return {**value, name: _planted(value[name], mark, rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        return [*value[:place], _planted(value[place], mark, rng), *value[place + 1 :]]
    return rng.choice((mark, float(f"0.{NUMBER}"), int(NUMBER), [mark], {mark: mark}))


def send(api: Api, sent: Sent, kept: Kept) -> Answer:
    """Send a request, and raise AssertionError where its answer takes over 2 s or repeats a canary."""
    path, raw, wait = f"{sent.path}?{urlencode(sent.query, doseq=True)}", sent.raw(), own_wait()
    before, start = wait(), time.perf_counter()
    answer = api.ask(sent.method, path, raw, media=sent.media, headers=sent.headers)
    took = time.perf_counter() - start - (wait() - before)
    told = kept.beside(beside_id(answer, path), sent.method, path)
    assert took < LIMIT, (sent.method, path, took)
    assert not said_again(told + "".join(answer.headers.values()).encode("latin-1", "replace")), (sent, told[:500])
    kept.note(sent.method, path, raw, answer.status)
    return answer


def look(api: Api, examples: int) -> int:
    """Ask every operation but the stream, half of the times with a canary in it, and return how often."""
    spec = schemathesis.openapi.from_dict(api.ask("GET", "/openapi.json").json)
    asked, kept = 0, Kept()
    for found in spec.get_all_operations():
        operation = found.ok()
        if operation.path == "/events":
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(
                case=operation.as_strategy(generation_mode=mode),
                plants=st.booleans(),
                rng=st.randoms(use_true_random=False),
            )
            def ask(case: Any, plants: bool, rng: random.Random) -> None:
                nonlocal asked
                asked += 1
                sent = Sent.of(case)
                if plants:
                    sent.plant(rng)
                answer = send(api, sent, kept)
                known = set(case.operation.definition.raw["responses"]) | (
                    {"401"} if "x-api-key" in sent.headers else set()
                )
                assert str(answer.status) in known, (case.method, case.path, answer.status, answer.body[:300])

            try:
                ask()
            except Unsatisfiable:  # nothing unfitting can be made of it
                assert mode is GenerationMode.NEGATIVE
    return asked


def test_a_canary_is_planted_in_every_part_of_a_request():
    rng, seen = random.Random(3), set()
    for _ in range(300):
        sent = Sent("POST", "/a/b", {"q": "1"}, {}, {"x": [1, {"y": "z"}], "w": None}, "application/json")
        sent.plant(rng)
        parts = {"path": sent.path, "query": sent.query, "header": sent.headers, "body": sent.body}
        (where,) = [name for name, part in parts.items() if MARK in str(part) or NUMBER in str(part)]
        seen.add(where)

    assert {"path", "query", "header", "body"} == seen


@pytest.mark.parametrize("telling", [b'{"a":"%s"}' % MARK.encode(), b"{}"], ids=["echo", "slow"])
def test_an_echo_and_an_answer_that_takes_too_long_are_seen(own, monkeypatch, telling):
    def answer(*given: Any, **more: Any) -> Answer:
        until = time.thread_time() + (LIMIT + 0.05 if telling == b"{}" else 0)
        while time.thread_time() < until:
            pass
        return Answer(200, {"content-type": "application/json"}, telling)

    monkeypatch.setattr(own, "ask", answer)
    with pytest.raises(AssertionError):
        send(own, Sent("GET", "/people", {}, {}, None, None), Kept())


@pytest.mark.slow
def test_every_operation_answers_as_the_openapi_file_declares(own):
    assert look(own, EXAMPLES) > 10_000

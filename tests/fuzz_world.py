"""Strange requests by seeded mischief, for tests and the soak: what is asked, how it is framed, what no answer may be.

A canary stands in everything that is planted: texts hold MARK, numbers hold NUMBER. Neither may come back.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from api_world import Answer, Api
from real_server import Server
from vitalwatch.api.table import OPERATIONS

MARK = "Zq7Kx9"
NUMBER = "9081726354"  # no value that is fit holds these digits after rounding
LIMIT = 2.0  # seconds that an answer may take, without those in which the machine let us wait
HUNG = 20.0  # seconds after which it is a hang on any machine
OFTEN = 4  # times that what takes something is asked for once each of what takes nothing
MEDIA = ("application/problem+json", "application/json", "text/plain", "text/html", "text/event-stream")
TEXTS = [
    f"{MARK}", f"=cmd('{MARK}')", f"../../{MARK}", f"\u202e{MARK}", f"{MARK}\r\nset-cookie: a={MARK}",
    f"<script>{MARK}</script>", MARK * 50, f"p-{MARK}", f"\ud83d\ude00{MARK}", f"2026-01-05T08:00:00{MARK}",
]  # fmt: skip
NUMBERS = [
    int(NUMBER),
    -int(NUMBER),
    float(f"0.{NUMBER}"),
    float(f"{NUMBER}.5"),
    int(NUMBER + "0" * 300),
    1e-9 * int(NUMBER),
]
SCALARS = [
    None, True, False, 0, -1, 255, 999, 1e308, -0.0, 72, 72.5, 2**63, 10**400, "", "72", "2026-01-05T08:00:00Z",
    "2026-01-05T08:00:00", "0001-01-01T00:00:00Z", "p-" + "a" * 26, "\ud83d\ude00", *TEXTS, *NUMBERS,
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


class Kept:
    """Numbers that accepted requests have stored, and that are told again by design: a person's own limits and rules.

    Whatever else is stored comes back rounded, or under a pseudonym.
    """

    def __init__(self) -> None:
        self._of: dict[str, set[float]] = {}

    def note(self, method: str, path: str, body: bytes | None, status: int) -> None:
        """Remember what a request stored."""
        found = LIMITS.fullmatch(path.partition("?")[0])
        if found and method == "PUT" and status == 200:  # the whole of them: what was there before is gone
            self._of[found[1]] = set(_numbers(json.loads(body or b"{}")))

    def beside(self, told: bytes, method: str, path: str) -> bytes:
        """Return an answer without those numbers of the person that it may tell again."""
        found = LIMITS.fullmatch(path.partition("?")[0]) or RULES.fullmatch(path)
        stored = self._of.get(found[1], set()) if found and method == "GET" else set()
        return CANARY.sub(lambda one: b"" if float(one[0]) in stored else one[0], told) if stored else told


LIMITS, RULES = re.compile(r"/people/(p-[a-z2-7]{26})/limits"), re.compile(r"/rules\?person=(p-[a-z2-7]{26})")
CANARY = re.compile(rb"-?(?:\d+\.)?\d*%s\d*(?:\.\d+)?" % NUMBER.encode())


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and NUMBER in str(value):
        yield float(value)


def _takes_something(path: str, method: str) -> bool:
    return "{" in path or method != "GET" or path == "/events"


class Corpus:
    """Requests made of the examples of the OpenAPI file by seeded mischief, for one server; `kept`: what it stored."""

    def __init__(self, paths: dict[str, Any], seed: int) -> None:
        self.rng, self.names, self.grown, self.kept = random.Random(seed), known_names(), False, Kept()
        self.targets = [
            (one.method, one.path, told)
            for one in OPERATIONS
            for told in [paths[one.path][one.method.lower()]] * (OFTEN if _takes_something(one.path, one.method) else 1)
        ]

    @staticmethod
    def of(api: Api, seed: int) -> Corpus:
        return Corpus(api.ask("GET", "/openapi.json").json["paths"], seed)

    def request(self) -> tuple[str, str, dict]:
        rng = self.rng
        method, path, told = rng.choice(self.targets)
        while "{" in path:
            head, _, rest = path.partition("{")
            word = rng.choice(["anomaly", "p-" + "a" * 26, "0" * 32, MARK, "%00", "..", f"a{MARK}b", NUMBER])
            path = head + word + rest.partition("}")[2]
        more: dict = {}
        if rng.random() < 0.2:
            values = ["1", "-1", MARK, "%ff", "9" * 30, NUMBER, "p-" + "a" * 26]
            names = ["most", "after", "open", "since", "person", MARK]
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
            more["headers"] = {name: rng.choice([MARK, MARK * 60, "\xff", "", NUMBER, "12"])}
        return method, path, more

    def body(self, example: object) -> bytes:
        rng, self.grown = self.rng, False
        if isinstance(example, str):
            raw = bytearray(example.encode())
        elif rng.random() < 0.1:
            raw = bytearray(json.dumps(self.planted(example)).encode())
        else:
            value = json.loads(json.dumps(example))
            for _ in range(rng.randint(0, 3)):
                value = self.changed(value)
            raw = bytearray(json.dumps(value).encode())
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            place = rng.randrange(len(raw) + 1)
            raw[place : place + rng.randint(0, 3)] = rng.choice(BREAKERS)
        return bytes(raw)

    def planted(self, value: object) -> object:
        """Return a value with a canary in every leaf, and some of the names."""
        if isinstance(value, dict):
            return {MARK if self.rng.random() < 0.1 else name: self.planted(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.planted(one) for one in value]
        return self.rng.choice(NUMBERS if isinstance(value, int | float) and self.rng.random() < 0.8 else TEXTS)

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


# one request and its answer, in this process


def waited(process: int | str = "self") -> float:
    """Return how long threads of a process were ready to run and did not, s: that others run is no hang."""
    told = 0
    for one in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            told += int(one.read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return told / 1e9


def own_wait() -> Callable[[], float]:
    """Return what tells how long this thread was ready to run and did not, s; cheaper than `waited`."""
    told = Path("/proc/thread-self/schedstat").open("rb", buffering=0)  # noqa: SIM115 - as long as the thread

    def wait() -> float:
        return int(os.pread(told.fileno(), 64, 0).split()[1]) / 1e9

    return wait


def beside_id(answer: Answer, path: str) -> bytes:
    """Return a body without the one thing that is said again: the Open Inference Protocol returns a request's `id`."""
    if answer.status != 200 or not (path.startswith("/v2/models/") and "/infer" in path):
        return answer.body
    told = answer.json
    told.pop("id", None)
    return json.dumps(told).encode()


def said_again(told: bytes) -> bool:
    """Return whether a canary is in what came back."""
    return MARK.encode() in told or NUMBER.encode() in told


def check(answer: Answer, seconds: float, request: tuple, kept: Kept | None = None) -> None:
    """Raise AssertionError unless an answer is below 500, in time, in form, and repeats no canary but those kept."""
    assert answer.status < 500, request
    assert seconds < LIMIT, request
    assert answer.headers["content-type"].startswith(MEDIA), request
    body = (kept or Kept()).beside(beside_id(answer, request[1]), *request[:2])
    assert not said_again(body + "".join(answer.headers.values()).encode("latin-1", "replace")), request
    if answer.status >= 400 and request[0] != "HEAD":
        told = answer.json
        assert "error" in told or {"type", "title", "status", "detail", "instance"} <= set(told), request


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise AssertionError in the block where it takes longer, also where nothing gives way to the loop."""

    def ring(number: int, frame: object) -> None:
        raise AssertionError(f"a request hung for {seconds:g} s")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def answered(api: Api, corpus: Corpus, waited: Callable[[], float] = lambda: 0.0) -> tuple[int, float]:
    """Send one request, look at its answer, and return status and seconds without what this process `waited` for.

    Of a stream only the beginning is read: whoever asks hangs up, and the answer must end then.
    """
    method, path, more = corpus.request()
    body = more.pop("body", None)
    leave = corpus.rng.choice((0.0, 0.0, 0.0, 0.02)) if path.startswith("/events") else None
    before, start = waited(), time.perf_counter()
    with alarm(HUNG):
        answer = api.loop.run_until_complete(
            asyncio.wait_for(api.asked(method, path, body, leaves_after=leave, **more), HUNG)
        )
    took = time.perf_counter() - start - (waited() - before)
    check(answer, took, (method, path, body, more), corpus.kept)
    corpus.kept.note(method, path, body, answer.status)
    return answer.status, took


# the same through a socket, also framed wrongly

Framed = tuple[bytes, bool]  # what is sent, and whether whoever reads it can know that nothing more comes


def framed(method: str, path: str, body: bytes | None, media: str | None = "application/json", **more: Any) -> Framed:
    """Return a request as HTTP/1.1 wants it, for a connection of its own."""
    told = {"host": "127.0.0.1", "connection": "close", **more.get("headers", {})}
    if body is not None:
        told |= {"content-length": str(len(body))} | ({} if media is None else {"content-type": media})
    return _head(f"{method} {path} HTTP/1.1", told) + (body or b""), True


def _head(line: str, told: dict[str, str]) -> bytes:
    text = "\r\n".join((line, *(f"{name}: {value}" for name, value in told.items()))) + "\r\n\r\n"
    return text.encode("latin-1", "replace")


def misframed(rng: random.Random, body: bytes) -> Framed:
    """Return a request to a route with a body whose framing is wrong, or strange."""
    path, length = rng.choice(("/predict", "/anomaly", "/readings", f"/{MARK}")), len(body)
    plain = {"host": "127.0.0.1", "connection": "close", "content-type": "application/json"}
    line = f"POST {path} HTTP/1.1"
    kind = rng.choice(MISCHIEF)
    if kind == "length":
        said = rng.choice((length + 7, max(length - 3, 0), -1, 10**19, f"{length}, {length}", f"+{length}", MARK, ""))
        return _head(line, plain | {"content-length": str(said)}) + body, False
    if kind == "two lengths":
        return _head(line, plain | {"content-length": f"{length}\r\ncontent-length: {length + 1}"}) + body, False
    if kind == "length and chunks":
        told = plain | {"content-length": str(length), "transfer-encoding": "chunked"}
        return _head(line, told) + b"%x\r\n%s\r\n0\r\n\r\n" % (length, body), False
    if kind == "chunks":
        bad = rng.choice((b"zz\r\n", b"-5\r\n", b"ffffffffffffffffff\r\n", b"5", b"\r\n", b"3;" + MARK.encode() * 99))
        good = b"%x\r\n%s\r\n" % (length, body)
        end = rng.choice((b"", b"0\r\n", b"0\r\n\r\n", b"0\r\n" + MARK.encode() + b": a\r\n\r\n"))
        return _head(line, plain | {"transfer-encoding": "chunked"}) + rng.choice((bad, good, good + bad)) + end, False
    if kind == "coding":
        coding = rng.choice(("gzip", "chunked, gzip", "chunked, chunked", "identity", MARK))
        return _head(line, plain | {"transfer-encoding": coding}) + body, False
    if kind == "content-encoding":
        told = plain | {"content-encoding": rng.choice(("gzip", "br", MARK)), "content-length": str(length)}
        return _head(line, told) + body, True
    if kind == "charset":
        told = plain | {"content-type": f"application/json; charset={rng.choice(('utf-16', 'latin-1', MARK))}"}
        return _head(line, told | {"content-length": str(length)}) + body, True
    if kind == "pipelined":
        one = _head(line, plain | {"connection": "keep-alive", "content-length": str(length)}) + body
        return one * rng.randint(1, 8) + framed("POST", path, body)[0] + rng.choice((b"", one, MARK.encode())), True
    if kind == "head":
        odd = rng.choice(
            (f"{MARK}\0: a", f" {MARK}: folded", f"{MARK} : a", f"{MARK}", f"x: {MARK}\xff\xfe", "a: " + MARK * 12_000)
        )
        return _head(line + "\r\n" + odd, plain | {"content-length": str(length)}) + body, False
    if kind == "line":
        odd = rng.choice(
            (f"POST http://{MARK}/predict HTTP/1.1", f"GET /{MARK}", f"{MARK} / HTTP/1.1", "GET / HTTP/9.9",
             f"GET {MARK}", "PRI * HTTP/2.0\r\n\r\nSM", f"GET /{MARK * 2_000} HTTP/1.1", "CONNECT a:1 HTTP/1.1",
             "\r\n\r\n", "OPTIONS * HTTP/1.1")
        )  # fmt: skip
        return _head(odd, plain) + body, False
    if kind == "bare line feeds":
        return _head(line, plain | {"content-length": str(length)}).replace(b"\r\n", b"\n") + body, False
    return bytes(rng.randrange(256) for _ in range(rng.randint(1, 200))) + MARK.encode(), False  # noise


MISCHIEF = (
    "length", "two lengths", "length and chunks", "chunks", "coding", "content-encoding", "charset", "pipelined",
    "head", "line", "bare line feeds", "noise",
)  # fmt: skip


def through(port: int, sent: Framed, server: int, *, stream: bool = False) -> tuple[bytes, float]:
    """Return all that comes back over a connection of its own, and seconds without waiting for a processor.

    Args:
        port: Of the server here.
        sent: What is sent; where its end cannot be known, our side hangs up behind it.
        server: Its process.
        stream: Whether to hang up after the first bytes.
    """
    raw, whole = sent
    before, start, told = waited(server), time.perf_counter(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=HUNG) as line:
        try:
            line.sendall(raw)
            if not whole:
                line.shutdown(socket.SHUT_WR)
            while part := line.recv(1 << 16):
                told += part
                if stream and b"\r\n\r\n" in told:
                    break
        except (ConnectionResetError, BrokenPipeError):  # it hung up while we still sent: an answer, too
            pass
    return told, time.perf_counter() - start - (waited(server) - before)


def statuses(told: bytes) -> list[int]:
    """Return the statuses of all answers in what came back."""
    return [int(part[:3]) for part in told.split(b"HTTP/1.1 ")[1:]]


def check_bytes(told: bytes, seconds: float, sent: Framed) -> None:
    """Raise AssertionError unless what came back is nothing, or answers below 500 in time without a canary."""
    assert seconds < LIMIT, sent
    assert told == b"" or told.startswith(b"HTTP/1.1 "), (told[:200], sent)
    assert all(status < 500 for status in statuses(told)), (told[:200], sent)
    assert not said_again(told), (told[:2000], sent)


BODY = json.dumps({"readings": [{"time": "2026-01-05T08:00:00Z", "heart_rate": 72, "device": MARK}]}).encode()


def by_socket(server: Server, corpus: Corpus, requests: int) -> tuple[Counter[int], float]:
    """Send requests that are framed well and wrongly in turn, each over a connection of its own, and look at answers.

    Returns:
        How many came by status (0 where the connection ended without any), and the slowest, s.
    """
    seen, slowest, process = Counter[int](), 0.0, server.process.pid
    for turn in range(requests):
        method, path, body, stream = "", "", None, False
        if turn % 2:
            sent = misframed(corpus.rng, BODY)
        else:
            method, path, more = corpus.request()
            body = more.pop("body", None)
            sent, stream = framed(method, path, body, **more), path.startswith("/events")
        told, seconds = through(server.port, sent, process, stream=stream)
        rest = corpus.kept.beside(told, method, path).replace(f'"id":"{MARK}'.encode(), b'"id":"')  # of an inference
        check_bytes(rest, seconds, sent)
        corpus.kept.note(method, path, body, (statuses(told) or [0])[0])
        seen.update(statuses(told) or [0])
        slowest = max(slowest, seconds)
    assert server.process.poll() is None, server.said()
    assert 200 == httpx.get(f"{server.address}/health/live").status_code
    said = server.said()
    assert not said_again(said.encode()), said[:2000]
    assert "Traceback" not in said, said[:4000]
    return seen, slowest

"""Limits of the door, a real server over sockets: slow heads and bodies, long bodies, depth, batch, rate, crowd."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_world import Api
from command_world import Place
from real_server import Server
from serving_world import RUN, Ward

NDJSON = {"content-type": "application/x-ndjson"}
HEAD = b"POST /readings HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
SMALL = ("config.api.head_seconds=2", "config.api.body_seconds=2", "config.api.max_lines_body=2000000")


def line(n: int, width: int = 0, **more: Any) -> bytes:
    """Return a reading as a line, padded with blanks to a width."""
    time_of = f"2026-01-{5 + n // 1440 % 20:02d}T{n // 60 % 24:02d}:{n % 60:02d}:00Z"
    one = {"person": "anna", "time": time_of, "heart_rate": 60 + n % 9, "event_id": str(n)}
    return json.dumps(one | more).encode().ljust(width)


def served(folder: Path, bundle: tuple[Path, Path], *sets: str) -> Server:
    place = Place(folder)
    place.add_run(RUN, bundle)
    return Server(place.folder, "--log-level", "warning", sets=sets).wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_bundle) -> Iterator[Server]:
    server = served(tmp_path_factory.mktemp("door"), tiny_bundle, *SMALL)
    yield server
    server.stop()


def connected(server: Server) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", server.port))
    one.settimeout(20)
    return one


def dripped(one: socket.socket, data: bytes, every: float = 0.2) -> tuple[float, bytes]:
    """Send a byte at a time until the server answers; return the seconds that it took, and its answer."""
    began, told = time.monotonic(), b""
    one.settimeout(every)
    for byte in data:
        try:
            one.sendall(bytes([byte]))
            told = one.recv(65_536)
            while told and not told.endswith(b"}"):  # head and body may come one after the other
                told += one.recv(65_536)
            break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began, told


def problem(told: bytes) -> tuple[int, str]:
    """Return status and code of an answer as it came over the wire."""
    head, _, body = told.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["type"].rpartition(":")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/runs/..%2f..%2fetc%2fpasswd"],
)
def test_no_path_leads_to_a_file_over_a_socket_either(server, path):
    with connected(server) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        told = b"".join(iter(lambda: one.recv(65_536), b""))

    assert (404, "not_found") == problem(told)
    assert b"passwd" not in told


@pytest.mark.slow
def test_a_head_that_comes_a_byte_at_a_time_is_given_up_in_time(server):
    with connected(server) as one:
        took, told = dripped(one, HEAD + b"x-filler: " + b"a" * 500)

    assert (408, "slow_request") == problem(told)
    assert 1.5 < took < 4.0


@pytest.mark.slow
def test_a_connection_that_says_nothing_is_given_up_too(server):
    with connected(server) as one:
        began = time.monotonic()
        told = one.recv(4096)

    assert (408, "slow_request") == problem(told)
    assert 1.5 < time.monotonic() - began < 4.0


@pytest.mark.slow
def test_the_second_head_of_a_connection_is_given_up_as_the_first(server):
    with connected(server) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        live = b""
        while not live.endswith(b"}"):  # head and body may come one after the other
            live += one.recv(4096)
        assert live.startswith(b"HTTP/1.1 200")
        took, told = dripped(one, HEAD + b"x-filler: " + b"a" * 500)

    assert (408, "slow_request") == problem(told)
    assert 1.5 < took < 4.0


@pytest.mark.slow
@pytest.mark.parametrize("media", [b"application/json", b"application/x-ndjson"])
def test_a_body_that_comes_a_byte_at_a_time_is_given_up_in_time(server, media):
    head = HEAD.replace(b"application/json", media)
    with connected(server) as one:
        one.sendall(head + b"content-length: 5000\r\n\r\n")
        took, told = dripped(one, b" " * 500)

    assert (408, "slow_request") == problem(told)
    assert 1.5 < took < 4.5


@pytest.mark.slow
def test_while_three_hundred_heads_drip_others_are_served(server):
    slow = [connected(server) for _ in range(300)]
    times = []
    for second in range(10):
        for one in slow:
            if second < 5:
                one.send(HEAD[second : second + 1])
        start = time.monotonic()
        assert 200 == httpx.post(f"{server.address}/predict", json={}, timeout=10).status_code
        times.append(time.monotonic() - start)
        time.sleep(max(0.0, 0.4 - times[-1]))
    given_up = 0
    for one in slow:
        given_up += problem(one.recv(4096)) == (408, "slow_request")
        one.close()

    assert 300 == given_up
    assert sorted(times)[-2] < 2.0


@pytest.mark.slow
def test_more_connections_than_may_be_open_are_turned_away_and_come_back_later(tmp_path, tiny_bundle):
    server = served(tmp_path, tiny_bundle, "config.api.connections=20", "config.api.head_seconds=3")
    try:
        idle = [connected(server) for _ in range(25)]
        time.sleep(1)
        away = [one for one in idle[20:] if problem(one.recv(4096)) == (503, "busy")]
        began = time.monotonic()
        while True:  # places come free when the idle ones are given up
            try:
                if httpx.get(f"{server.address}/health/live", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() - began < 20
            time.sleep(0.2)
        for one in idle:
            one.close()
    finally:
        server.stop()

    assert 5 == len(away)


@pytest.mark.slow
def test_a_long_body_of_lines_is_taken_in_parts_and_every_line_is_told_of(server):
    lines = [line(n) for n in range(2_400)] + [b"{", line(7), line(8, heart_rate=200)]
    told = httpx.post(f"{server.address}/readings", content=b"\n".join(lines), headers=NDJSON, timeout=120).json()

    assert (2_400, [2_401]) == (told["accepted"], told["duplicates"])
    assert [(2_400, "not_json"), (2_402, "event_id_conflict")] == [(r["position"], r["code"]) for r in told["rejected"]]
    assert {"read": 2_403, "accepted": 2_400, "duplicate": 1, "refused": 2, "late": 0} == told["lines"]


@pytest.mark.slow
def test_a_body_of_lines_sent_again_under_its_key_is_all_duplicates_however_it_is_chunked(server):
    lines = [{"person": "berta", "time": json.loads(line(n))["time"], "heart_rate": 70} for n in range(2_100)]
    body = b"\n".join(json.dumps(one).encode() for one in lines)
    again = (body[i : i + 9_973] for i in range(0, len(body), 9_973))
    headers = NDJSON | {"idempotency-key": "night-1"}
    first = httpx.post(f"{server.address}/readings", content=body, headers=headers, timeout=120)
    second = httpx.post(f"{server.address}/readings", content=again, headers=headers, timeout=120)

    assert (202, 2_100) == (first.status_code, first.json()["lines"]["accepted"])
    assert (200, 2_100) == (second.status_code, second.json()["lines"]["duplicate"])
    assert 1_000 == len(second.json()["duplicates"])


@pytest.mark.slow
def test_a_body_of_lines_that_is_too_long_is_413_and_says_what_was_taken(server):
    many = [line(n, 4_000, person="clara", event_id=f"clara-{n}") for n in range(600)]
    told_length = httpx.post(f"{server.address}/readings", content=b"\n".join(many), headers=NDJSON, timeout=60)
    chunked = httpx.post(
        f"{server.address}/readings", content=(one + b"\n" for one in many), headers=NDJSON, timeout=120
    )

    assert (413, None) == (told_length.status_code, told_length.json().get("lines"))
    assert (413, "too_large") == (chunked.status_code, chunked.json()["type"].rpartition(":")[2])
    taken = chunked.json()["lines"]["accepted"]
    assert 200 < taken < 600
    kept = httpx.post(f"{server.address}/readings", content=b"\n".join(many[:taken]), headers=NDJSON, timeout=60)
    assert (200, taken) == (kept.status_code, len(kept.json()["duplicates"]))


@pytest.mark.slow
def test_sixty_megabytes_of_lines_need_no_more_memory_than_a_part(tmp_path, tiny_bundle):
    server = served(tmp_path, tiny_bundle)

    def peak() -> int:
        told = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(next(one for one in told.splitlines() if one.startswith("VmHWM")).split()[1]) // 1024

    try:
        short = b"\n".join(line(n, 20_000) for n in range(52))  # a part: what every request may need
        assert 202 == httpx.post(f"{server.address}/readings", content=short, headers=NDJSON, timeout=60).status_code
        before = peak()
        body = (line(n, 20_000) + b"\n" for n in range(3_000))
        told = httpx.post(f"{server.address}/readings", content=body, headers=NDJSON, timeout=300).json()
        after = peak()
    finally:
        server.stop()

    assert (3_000, 52) == (told["lines"]["read"], told["lines"]["duplicate"])
    assert after - before < 20, "MB, of 60 sent"


def test_of_a_line_that_is_too_long_the_rest_is_let_go_and_the_next_is_read(own):
    chunks = [line(1) + b"\n" + b"[" * 70_000, b"[" * 200_000, b"]\n" + line(2) + b"\n"]
    told = own.ask("POST", "/readings", chunks=chunks, media=NDJSON["content-type"]).json

    assert (2, [(1, "too_large")]) == (told["accepted"], [(one["position"], one["code"]) for one in told["rejected"]])


def test_where_parts_end_depends_on_the_lines_alone(tmp_path, tiny_bundle):
    ward = Ward(tmp_path, tiny_bundle)
    api, sizes = Api(ward.settings, ward.engine), []
    accept = ward.engine.accept_all

    def watched(deliveries):
        sizes[-1] += [len(one.raw) for one in deliveries]
        return accept(deliveries)

    ward.engine.accept_all = watched
    body = b"\n".join(line(n, 900 * (n % 7)) for n in range(2_500))
    for size in (len(body), 65_536, 7_919):
        sizes.append([])
        api.ask("POST", "/readings", chunks=[body[i : i + size] for i in range(0, len(body), size)],
                media=NDJSON["content-type"])  # fmt: skip
    api.close()
    ward.engine.close()

    assert 2_500 == sum(sizes[0])
    assert len(sizes[0]) > 2
    assert sizes[0] == sizes[1] == sizes[2]


def test_a_failure_between_parts_says_what_is_on_the_disk(own, monkeypatch):
    own.app.state.desk.rate._rate, own.app.state.desk.rate._burst = 1e-9, 2.0
    told = own.ask("POST", "/readings", b"\n".join(line(n) for n in range(2_500)), media=NDJSON["content-type"])

    assert (429, "too_many_requests") == (told.status, told.code)
    assert {"read": 2_000, "accepted": 2_000, "duplicate": 0, "refused": 0, "late": 0} == told.json["lines"]
    assert told.headers["retry-after"]


@pytest.mark.slow
def test_depth_batch_and_long_heads_are_refused_over_the_wire(server):
    def code(body: Any, **headers: str) -> tuple[int, str]:
        told = httpx.post(f"{server.address}/readings", content=body, timeout=30,
                          headers={"content-type": "application/json", **headers})  # fmt: skip
        return told.status_code, told.json()["type"].rpartition(":")[2]

    array = b"[" + b",".join(line(n) for n in range(1_001)) + b"]"
    assert (422, "too_deep") == code(b"[" * 100_000 + b"]" * 100_000)
    assert (422, "too_many") == code(array)
    assert (422, "too_few") == code(b"[]")
    assert (413, "too_large") == code(b" " * 1_100_000)
    assert (431, "headers_too_large") == code(b"{}", **{"x-filler": "a" * 20_000})


@pytest.mark.slow
def test_who_sends_too_often_is_told_when_to_come_back_and_is_served_then(tmp_path, tiny_bundle):
    server = served(tmp_path, tiny_bundle, "config.api.requests_a_second=5", "config.api.burst=10")
    seen: list[httpx.Response] = []

    def ask() -> None:
        with httpx.Client(base_url=server.address, timeout=30) as client:
            seen.extend(client.post("/predict", json={}) for _ in range(20))

    try:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        away = [one for one in seen if one.status_code == 429]
        time.sleep(int(away[-1].headers["retry-after"]) + 0.5)
        later = httpx.post(f"{server.address}/predict", json={}).status_code
    finally:
        server.stop()

    assert {200, 429} == {one.status_code for one in seen}
    assert all(int(one.headers["retry-after"]) >= 1 for one in away)
    assert 200 == later


def answer_of(one: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer: status, headers, body."""
    told = b""
    while b"\r\n\r\n" not in told:
        told += one.recv(65_536)
    head, _, body = told.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest)
    while len(body) < int(headers["content-length"]):
        body += one.recv(65_536)
    return int(first.split()[1]), headers, body


@pytest.mark.slow
def test_who_is_sent_away_by_the_head_alone_is_told_all_and_keeps_the_connection(tmp_path, tiny_bundle):
    server = served(tmp_path, tiny_bundle, "config.api.waiting=1", "config.api.burst=100000")
    times = [f"2026-01-{5 + n // 288:02d}T{n // 12 % 24:02d}:{n % 12 * 5:02d}:00Z" for n in range(1_000)]
    body = json.dumps({"readings": [{"time": one, "heart_rate": 60 + i % 9} for i, one in enumerate(times)]}).encode()
    request = b"POST /anomaly HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    request += b"content-length: %d\r\n\r\n" % len(body) + body
    try:
        lines = [connected(server) for _ in range(12)]
        seen: list[tuple[int, dict[str, str], bytes]] = []
        for _ in range(10):
            for one in lines:
                one.sendall(request)
            seen += [answer_of(one) for one in lines]  # the same connections again, also those that were sent away
        away = [(headers, json.loads(told)) for status, headers, told in seen if status == 503]
        counted = httpx.get(f"{server.address}/metrics").text
        for one in lines:
            one.close()
    finally:
        server.stop()

    assert {200, 503} == {status for status, _, _ in seen}
    assert len(away) > 20
    ids = {headers["x-request-id"] for headers, _ in away}
    assert len(away) == len(ids) == len({told["instance"] for _, told in away})
    for headers, told in away:
        assert ("1", "application/problem+json") == (headers["retry-after"], headers["content-type"])
        assert headers["x-request-id"] in told["instance"]
        assert ("nosniff", "no-store") == (headers["x-content-type-options"], headers["cache-control"])
        assert "busy" == told["type"].rpartition(":")[2]
    assert f'operation="anomaly",status="503"}} {len(away)}.0' in counted

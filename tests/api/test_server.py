"""A real server in a process of its own: starts, refuses to listen beyond this machine, stops, follows production."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from command_world import Place
from real_server import START, Server
from serving_world import OTHER, RUN


@pytest.fixture
def place(tmp_path, tiny_bundle) -> Place:
    place = Place(tmp_path)
    place.add_run(RUN, tiny_bundle)
    return place


@pytest.fixture
def server(place) -> Iterator[Server]:
    server = Server(place.folder).wait()
    yield server
    server.stop()


@pytest.mark.slow
def test_a_server_answers_over_a_socket_and_stops_on_ctrl_c_with_a_stream_open(server):
    reading = {"person": "Zotterbach", "time": "2026-01-05T08:00:00Z", "heart_rate": 72}
    assert 202 == httpx.post(f"{server.address}/readings", json=reading).status_code
    assert 1 == len(httpx.get(f"{server.address}/people").json()["people"])
    assert 404 == httpx.get(f"{server.address}/people/Zotterbach").status_code
    with httpx.Client(base_url=server.address) as one:  # a body after a head would be the answer to what comes next
        heads = [one.head(path) for path in ("/health/live", "/events", "/nowhere", "/people")]
        assert [200, 200, 404, 200] == [head.status_code for head in heads]
        assert [b""] * 4 == [head.content for head in heads]
    with httpx.stream("GET", f"{server.address}/events?after=0", timeout=10) as stream:
        first = next(stream.iter_lines())
        start = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert 0 == server.process.wait(20)
        took = time.monotonic() - start

    assert "retry: 1000" == first
    assert took < 15
    assert "Zotterbach" not in server.said()


@pytest.mark.slow
def test_a_server_does_not_listen_beyond_this_machine_without_a_key(place):
    server = Server(place.folder, host="0.0.0.0")
    code = server.process.wait(START)

    assert 0 != code
    assert "no key yet" in server.said()
    server.stop()


@pytest.mark.slow
def test_a_server_without_a_run_starts_and_names_the_command(tmp_path):
    place = Place(tmp_path)
    server = Server(place.folder).wait()
    try:
        ready = httpx.get(f"{server.address}/health/ready")
        assert (503, "python main.py") == (ready.status_code, ready.json()["causes"]["no_model"].split("`")[1])
        assert "python main.py" in server.said()
    finally:
        server.stop()


@pytest.mark.slow
def test_what_is_accepted_is_there_after_kill_nine(place):
    server = Server(place.folder).wait()
    taken = 0
    for i in range(20):
        reading = {"person": "anna", "time": f"2026-01-05T08:{i:02d}:00Z", "heart_rate": 72, "event_id": str(i)}
        taken += 202 == httpx.post(f"{server.address}/readings", json=reading).status_code
    server.process.kill()
    server.stop()
    server = Server(place.folder).wait()
    try:
        again = [
            {"person": "anna", "time": f"2026-01-05T08:{i:02d}:00Z", "heart_rate": 72, "event_id": str(i)}
            for i in range(20)
        ]
        told = httpx.post(f"{server.address}/readings", json=again).json()
        assert (20, 0, 20) == (taken, told["accepted"], len(told["duplicates"]))
    finally:
        server.stop()


@pytest.mark.slow
def test_promoting_and_rolling_back_fails_no_request_and_a_damaged_run_is_passed_over(place, server, tiny_bundle):
    place.add_run(OTHER, tiny_bundle, promote=False)
    seen, failed = set(), []
    with httpx.Client(base_url=server.address) as client:
        for turn in range(20):
            if turn % 2:
                place.store.rollback("test")
            else:
                place.store.promote(OTHER, "test")
            for _ in range(10):
                answer = client.post("/predict", json={})
                failed += [answer.status_code] if answer.status_code != 200 else []
                seen.add(answer.json().get("model"))
        assert [] == failed
        assert {RUN, OTHER} == seen
        model = place.add_run("000000000003", tiny_bundle) / "models" / "forest.onnx"
        model.write_bytes(model.read_bytes()[:-1] + b"x")
        told = {client.post("/predict", json={}).json()["model"] for _ in range(5)}
        assert told <= {RUN, OTHER}
        assert "model_refused" in client.get("/health/ready").json()["causes"]


@pytest.mark.slow
def test_production_moves_under_load_and_no_request_fails_or_waits_long(place, tiny_bundle):
    place.add_run(OTHER, tiny_bundle, promote=False)
    many = ("config.api.requests_a_second=1000000", "config.api.burst=1000000")
    server = Server(place.folder, "--log-level", "warning", sets=many).wait()
    stop, seen, took = threading.Event(), Counter[tuple[int, str]](), list[float]()
    questions = (
        ("/predict", {}),
        ("/anomaly", {"readings": [{"time": "2026-01-05T08:00:00Z", "heart_rate": 72}]}),
    )

    def load(number: int) -> None:
        with httpx.Client(base_url=server.address, timeout=30) as client:
            while not stop.is_set():
                path, body = questions[number % 2]
                start = time.monotonic()
                answer = client.post(path, json=body)
                took.append(time.monotonic() - start)
                seen[answer.status_code, answer.json().get("model", "")] += 1

    askers = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    try:
        for one in askers:
            one.start()
        turn, end = 0, time.monotonic() + 60
        while turn < 30 or (
            sum(seen.values()) <= 100 and time.monotonic() < end
        ):  # a busy machine answers fewer a turn
            time.sleep(0.1)
            if turn % 2:
                place.store.rollback("test")
            else:
                place.store.promote(OTHER, "test")
            turn += 1
    finally:
        stop.set()
        for one in askers:
            one.join()
        server.stop()

    assert {(200, RUN), (200, OTHER)} == set(seen)
    assert sum(seen.values()) > 100
    assert sorted(took)[int(0.99 * len(took))] <= 2.0


@pytest.mark.slow
def test_five_hundred_half_open_connections_leave_others_served(server):
    slow = []
    for _ in range(500):
        one = socket.create_connection(("127.0.0.1", server.port))
        head = b"POST /readings HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        one.sendall(head + b"content-length: 99\r\n\r\n{")
        slow.append(one)
    times = []
    for _ in range(50):
        start = time.monotonic()
        assert 200 == httpx.post(f"{server.address}/predict", json={}).status_code
        times.append(time.monotonic() - start)
    assert sorted(times)[47] < 2.0
    deadline, answered = time.monotonic() + 40, 0
    for one in slow:
        one.settimeout(max(0.1, deadline - time.monotonic()))
        told = one.recv(4096)
        answered += b" 408 " in told.partition(b"\r\n")[0] + b" "
        one.close()
    assert 500 == answered


@pytest.mark.slow
def test_pipelined_junk_and_double_lengths_are_refused(server):
    for junk in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n{}",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.sendall(junk)
            one.settimeout(15)
            told = one.recv(4096)
        assert told == b"" or told.startswith(b"HTTP/1.1 4"), told[:60]
    assert 200 == httpx.post(f"{server.address}/predict", json={}).status_code

"""D11: silence is an alarm. A real server that is stopped (SIGSTOP) is told by its watchdog, and so is its return."""

from __future__ import annotations

import json
import signal
import time

import httpx
import pytest

from command_world import Place
from real_server import Server
from receiving_world import Got, http_receiver
from serving_world import RUN

MOST = 15.0  # seconds until somebody must have heard (reliability D11, L1)


def told(got: Got) -> list[tuple[str, str, str]]:
    return [(one["status"], one["commonLabels"]["alertname"], one["commonLabels"]["priority"]) for one in got.accepted]


def until(true, most: float = 30.0) -> float:
    """Wait until something holds and return the seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < most, "it did not happen"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.slow
def test_a_stopped_server_is_told_outside_within_15_seconds_and_its_return_too(tmp_path, tiny_bundle, both):
    place, got = Place(tmp_path), Got()
    place.add_run(RUN, tiny_bundle)
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    with http_receiver(got) as url:
        config = json.loads(place.config.read_text())
        config["alarms"]["webhooks"] = [{"name": "hook", "url": url, "secret": str(secret)}]
        place.config.write_text(json.dumps(config))
        server = Server(place.folder, sets=(f"config.database.url={both}",)).wait()
        try:
            until(lambda: (place.artifacts / "watchdog" / "watchdog.json").exists())
            reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 72}
            assert 202 == httpx.post(f"{server.address}/readings", json=reading).status_code
            time.sleep(2)  # the watchdog has seen it beat
            assert [] == told(got)
            server.process.send_signal(signal.SIGSTOP)
            took = until(lambda: got.accepted)
            server.process.send_signal(signal.SIGCONT)
            until(lambda: len(got.accepted) == 2)
            assert 200 == httpx.get(f"{server.address}/health/ready", timeout=30).status_code
        finally:
            server.process.send_signal(signal.SIGCONT)
            server.stop()

    assert [("firing", "scorer_stalled", "high"), ("resolved", "scorer_stalled", "high")] == told(got)[:2]
    assert "resolved" == told(got)[-1][0]
    assert 1 == len({one["alerts"][0]["fingerprint"] for one in got.accepted})  # the engine may tell the same one again
    assert took <= MOST

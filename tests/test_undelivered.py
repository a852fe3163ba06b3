"""A receiver that fails for too long is seen (an alarm, a readiness detail) until it accepts, also over a restart."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from api_world import Api
from receiving_world import Got, http_receiver
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting import notices
from vitalwatch.alerting.system import UNDELIVERED

SICK = {"oxygen_saturation": 80.0, "heart_rate": 180.0}


def eventually(what) -> bool:
    end = time.monotonic() + 30
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(what())


def figures(api: Api) -> dict[str, float]:
    lines = api.ask("GET", "/metrics").body.decode().splitlines()
    told = [line.replace('{receiver="ward"} ', " ").split() for line in lines if 'receiver="ward"' in line]
    return {name: float(value) for name, value in told}


def test_a_receiver_that_fails_for_too_long_is_told_until_it_accepts(
    tmp_path: Path, tiny_bundle: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "LONGEST_WAIT", 0.5)
    ward, got = Ward(tmp_path, tiny_bundle), Got(answers=[(503, {})] * 10_000)
    readings = somebody(1).readings.rows(slice(0, 60))
    ward.clock.ms = int(readings.time[-1]) + 1000
    with http_receiver(got) as url:
        told = json.loads(ward.place.config.read_text())
        (tmp_path / "secret").write_text("between us")
        (tmp_path / "secret").chmod(0o600)
        told["alarms"] |= {"webhooks": [{"name": "ward", "url": url, "secret": str(tmp_path / "secret")}]}
        told["alarms"] |= {"undelivered": "1s"}
        ward.place.config.write_text(json.dumps(told))
        ward.again().start()
        rows = messages(readings)
        ward.send([*rows[:-12], *({**one, **SICK} for one in rows[-12:])])

        def failing() -> list[str]:
            return [one["id"] for one in ward.engine.alarms() if (one["rule"], one["kind"]) == (UNDELIVERED, "ward")]

        assert eventually(failing)
        before = failing()
        api = Api(ward.settings, ward.engine)
        ready, told = api.ask("GET", "/health/ready"), figures(api)
        api.close()
        ward.again().start()
        time.sleep(2.5)  # several looks of a process that knows nothing yet
        after = failing()
        got.answers.clear()
        over = eventually(lambda: not failing())
        api = Api(ward.settings, ward.engine)
        all_told = eventually(lambda: not any(figures(api).values()))
        well = api.ask("GET", "/health/ready").json
        api.close()
        ward.engine.close()

    assert (200, ["receivers"]) == (ready.status, list(ready.json["causes"]))
    assert "ward" in ready.json["causes"]["receivers"]
    assert told["vitals_notices_waiting"] >= 1
    assert told["vitals_receiver_failing_seconds"] > 1
    assert before == after
    assert over
    assert all_told
    assert {"status": "ready", "causes": {}} == well
    assert UNDELIVERED in [one["commonLabels"]["alertname"] for one in got.accepted]

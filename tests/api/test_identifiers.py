"""The 18 classes of identifiers of 45 CFR 164.514(b)(2), planted in every field: none comes out."""

from __future__ import annotations

import json
import logging

import pytest

from api_world import Api
from serving_world import Ward

PLANTED = {
    "name": "Annegret.Wilhelmina.Zotterbach",
    "address": "17.Quendelgasse.Oberpfaffenhofen",
    "date": "1931-02-29",
    "telephone": "+49-8153-5551234",
    "fax": "+49-8153-5559876",
    "e-mail": "a.zotterbach@example.org",
    "social security": "987-65-4320",
    "medical record": "MRN-0048151623",
    "health plan": "HP-77421-XZ",
    "account": "DE89-3704-0044-0532",
    "licence": "LIC-B072RRE2I55",
    "vehicle": "STA-ZB-4711",
    "device": "SN-WATCH-0099817",
    "url": "https://example.org/zotterbach",
    "ip": "203.0.113.77",
    "biometric": "fp:9f86d081884c7d659a2f",
    "photo": "data:image/png;base64,iVBORw0KGgoZ",
    "other code": "X-CODE-QWERTZ-99",
}
FIELDS = ("person", "time", "heart_rate", "steps", "device", "event_id", "schema_version", "utc_offset", "nickname")


def bodies(value: str):
    good = {"person": "bed-7", "time": "2026-01-05T08:00:00Z", "heart_rate": 72}
    for field in FIELDS:
        yield good | {field: value}
    yield good | {value: 1}
    yield [good | {"device": value}, good | {"person": value}]
    yield value
    yield {"profile": {"sex": value}, "readings": [good]}
    yield {"profile": {value: 1}, "readings": [good]}
    yield {"person": value}
    yield {"age": value, "sex": value, "local_time": value, value: value}
    yield {"id": value, "inputs": [{"name": value, "shape": [1], "datatype": value, "data": [value]}]}
    yield {
        "model": value,
        "inputs": [{"name": value, "series": [1.0, 2.0], "frequency": "minute"}],
        "options": {"horizon": 1},
    }
    yield {"limits": {value: {"low": 1}}, "rules": {value: {"enabled": True}}}


@pytest.fixture
def quiet_house(tmp_path, tiny_bundle, caplog):
    caplog.set_level(logging.DEBUG)
    ward = Ward(tmp_path, tiny_bundle)
    api = Api(ward.settings, ward.engine)
    yield api, ward
    api.close()
    ward.engine.close()


def test_no_identifier_comes_out_in_errors_logs_metrics_or_the_database_outside_of_the_vault(quiet_house, caplog):
    api, ward = quiet_house
    api.ask("POST", "/readings", {"person": "bed-7", "time": "2026-01-05T07:00:00Z", "heart_rate": 72})
    person = api.ask("GET", "/people").json["people"][0]["person"]
    told: list[bytes] = []
    for value in PLANTED.values():
        for body in bodies(value):
            for address in (
                "/readings",
                "/anomaly",
                "/predict",
                "/forecast",
                "/v2/models/anomaly/infer",
                "/v1/timeseries/forecast",
            ):
                told.append(api.ask("POST", address, body).body)
            told.append(api.ask("PUT", f"/people/{person}/limits", body).body)
            told.append(api.ask("PUT", f"/people/{person}/profile", body).body)
        line = json.dumps({"person": value}).encode() + b"\n" + value.encode()
        told.append(api.ask("POST", "/readings", line, media="application/x-ndjson").body)
        for header in (
            "idempotency-key",
            "last-event-id",
            "authorization",
            "x-api-key",
            "user-agent",
            "referer",
            "cookie",
        ):
            told.append(api.ask("GET", "/people?most=1", headers={header: value}).body)
        for address in (f"/people/{value}", f"/people/{value}/timeline", f"/alarms/{value}/history", f"/{value}"):
            told.append(api.ask("GET", address).body)
        for address in (f"/people?{value}=1", f"/alarms?person={value}", f"/people/{person}/timeline?since={value}"):
            told.append(api.ask("GET", address).body)
    told += [api.ask("GET", address).body for address in ("/metrics", "/people", "/quarantine", "/alarms", "/model")]
    events = api.engine.events(0, most=100_000)
    told.append(json.dumps([event.body for event in events]).encode())
    said = "\n".join([caplog.text, *(part.decode() for part in told)])
    kept = b"".join(path.read_bytes() for path in ward.place.artifacts.glob("vitalwatch.db*"))

    assert len(told) > 2000
    assert len(kept) > 100_000
    assert [] == [kind for kind, value in PLANTED.items() if value in said]
    assert [] == [kind for kind, value in PLANTED.items() if value.encode() in kept]


def test_the_log_names_the_operation_and_no_address(quiet_house, caplog):
    api, _ = quiet_house
    api.ask("GET", "/people/Zotterbach/timeline?since=Zotterbach")

    lines = [record.getMessage() for record in caplog.records if record.name == "vitalwatch.access"]
    assert 1 == len(lines)
    assert "operation=timeline status=4" in lines[0]
    assert "Zotterbach" not in caplog.text


def test_an_error_of_ours_is_a_problem_and_its_message_stays_out_of_the_log(quiet_house, caplog, monkeypatch):
    api, _ = quiet_house

    def broken(*_: object, **__: object) -> None:
        raise KeyError("Zotterbach")

    monkeypatch.setattr(api.engine, "people", broken)
    answer = api.ask("GET", "/people")

    assert (500, "internal") == (answer.status, answer.code)
    assert "KeyError" in caplog.text
    assert "Zotterbach" not in caplog.text + answer.body.decode()

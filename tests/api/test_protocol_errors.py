"""The Open Inference Protocol's routes refuse in its form, whatever the reason, with the headers of every route."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api_world import Answer, Api
from vitalwatch.api.door import MOST_ADDRESS, PROTECTING
from vitalwatch.api.limits import Rate, Turns
from vitalwatch.api.table import OPERATIONS

INFER = "/v2/models/anomaly/infer"
ONE = {"inputs": [{"name": "time", "shape": [1], "datatype": "BYTES", "data": ["2026-01-05T08:00:00Z"]}]}


def refused(answer: Answer, status: int, code: str) -> None:
    assert (status, "application/json") == (answer.status, answer.headers["content-type"])
    assert ["error"] == list(answer.json)
    assert answer.json["error"].startswith(f"{code}: ")
    for name, value in PROTECTING:
        assert value.decode() == answer.headers[name.decode()]
    assert 32 == len(answer.headers["x-request-id"])


def test_who_has_no_key_or_one_without_the_scope_is_told_so_in_the_protocols_form(own):
    sender = own.key(["ingest"])
    without = own.ask("POST", INFER, ONE)

    refused(without, 401, "unauthenticated")
    assert without.headers["www-authenticate"].startswith("Bearer")
    refused(own.ask("GET", "/v2/models/anomaly", key="wrong"), 401, "unauthenticated")
    refused(own.ask("GET", "/v2/models/anomaly", key=sender), 403, "scope_missing")


def test_another_machine_is_told_in_the_protocols_form_while_there_are_no_keys(api):
    refused(api.ask("GET", "/v2/models/anomaly", client="10.0.0.7"), 403, "loopback_only")


@pytest.mark.parametrize(
    ("method", "address", "more", "status", "code"),
    [
        ("GET", "/v2/nothing", {}, 404, "not_found"),
        ("DELETE", "/v2", {}, 405, "method_not_allowed"),
        ("POST", INFER, {"body": b"{" + b" " * 2_000_000 + b"}"}, 413, "too_large"),
        ("POST", INFER, {"body": ONE, "media": "text/plain"}, 415, "media_type"),
        ("POST", INFER, {"body": b"{"}, 400, "not_json"),
        ("POST", INFER, {"body": {}}, 422, "missing_field"),
        ("GET", "/v2?" + "a" * MOST_ADDRESS, {}, 431, "headers_too_large"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_what_is_asked_wrongly_is_refused_in_the_protocols_form(
    api: Api, method: str, address: str, more: dict[str, Any], status: int, code: str
) -> None:
    refused(api.ask(method, address, **more), status, code)


@pytest.mark.parametrize(("address", "which"), [("/v2", "anybody"), ("/v2/models/anomaly", "rate")])
def test_who_asks_too_often_is_told_in_the_protocols_form_when_to_come_back(own, monkeypatch, address, which):
    for place in (own.app.state.desk, own.app.state.desk.access):
        monkeypatch.setattr(place, which if place is own.app.state.desk else "_anybody", Rate(0.5, 1))
    assert 200 == own.ask("GET", address).status
    again = own.ask("GET", address)

    refused(again, 429, "too_many_requests")
    assert "2" == again.headers["retry-after"]


def test_who_comes_while_too_much_waits_is_told_in_the_protocols_form_when_to_come_back(own, monkeypatch):
    monkeypatch.setattr(own.app.state.desk, "compute", Turns(0))
    answer = own.ask("POST", INFER, ONE)

    refused(answer, 503, "busy")
    assert "1" == answer.headers["retry-after"]


def test_a_fault_of_ours_is_told_in_the_protocols_form_without_its_cause(own, monkeypatch):
    def broken() -> None:
        raise RuntimeError("anna is in bed 7")

    monkeypatch.setattr(own.app.state.desk, "monitor", broken)
    answer = own.ask("GET", "/v2/models/anomaly")

    refused(answer, 500, "internal")
    assert b"anna" not in answer.body


def test_the_openapi_file_says_so_of_every_route_of_the_protocol_and_of_no_other(api):
    paths = api.ask("GET", "/openapi.json").json["paths"]
    for one in OPERATIONS:
        responses = paths[one.path][one.method.lower()]["responses"]
        media = {kind for status in ("404", "429") for kind in responses[status]["content"]}
        assert {"application/json" if one.path.startswith("/v2") else "application/problem+json"} == media, one.path


def test_kserves_forecast_refuses_as_every_other_route(api):
    answer = api.ask("POST", "/v1/timeseries/forecast", json.loads("{}"))

    assert (422, "missing_field") == (answer.status, answer.code)

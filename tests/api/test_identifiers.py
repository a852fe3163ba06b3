"""The 18 classes of identifiers of 45 CFR 164.514(b)(2), planted in every field: none comes out."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import MetaData, select, text

from api_world import Api
from serving_world import Ward
from vitalwatch.database.connection import Database

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


def declared(api: Api):
    """Yield method, path and media of every body that the OpenAPI file declares, with its example."""
    for path, methods in api.ask("GET", "/openapi.json").json["paths"].items():
        for method, told in methods.items():
            for media, content in told.get("requestBody", {}).get("content", {}).items():
                yield method.upper(), path, media, content["examples"]["example"]["value"]


def planted(body: object, value: str):
    """Yield a body with a value in the place of each of its parts in turn, and under each name."""
    if isinstance(body, dict):
        yield {**body, value: value}
        yield {**body, "note": value}
        for name, part in body.items():
            yield {**body, name: value}
            yield {**{k: v for k, v in body.items() if k != name}, value: part}
            yield from ({**body, name: changed} for changed in planted(part, value))
    elif isinstance(body, list):
        yield [*body, value]
        for place, part in enumerate(body[:2]):
            yield [*body[:place], value, *body[place + 1 :]]
            yield from ([*body[:place], changed, *body[place + 1 :]] for changed in planted(part, value))


def disguises(value: str) -> list[bytes]:
    """Return how a text may lie in a file or a column."""
    raw = value.encode()
    return [raw, raw.lower(), raw.upper(), value.encode("utf-16-le"), base64.b64encode(raw).rstrip(b"="),
            raw.hex().encode(), json.dumps(value)[1:-1].encode(), quote(value, safe="").encode()]  # fmt: skip


def found_in(content: bytes) -> list[str]:
    """Return the classes of which something is in a content."""
    return [kind for kind, value in PLANTED.items() if any(one in content for one in disguises(value))]


def test_whoever_looks_for_an_identifier_finds_it_in_every_disguise():
    for value in PLANTED.values():
        for one in disguises(value):
            assert found_in(b"\0\1" + one + b"\2")


def columns(database: Database) -> dict[str, bytes]:
    """Return everything that stands in each column of each table that the database has, the vault's too."""
    there, told = MetaData(), {}
    with database.reading() as connection:
        there.reflect(connection)
        for table in there.sorted_tables:
            rows = connection.execute(select(table)).all()
            for place, column in enumerate(table.columns):
                values = [row[place] for row in rows]
                plain = [bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in values]
                told[f"{table.name}.{column.name}"] = b"\0".join(plain)
    return told


def files_of(database: Database) -> dict[str, bytes]:
    """Return what lies on the disk: database, write-ahead log and index; of a server its whole folder and its log."""
    if database.file is not None:
        return {path.name: path.read_bytes() for path in database.file.parent.glob(database.file.name + "*")}
    with database.maintaining() as connection:
        connection.execute(text("CHECKPOINT"))
        folder = Path(str(connection.execute(text("SHOW data_directory")).scalar()))
    told = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return told | {"log": (folder.parent / "log").read_bytes()}


@pytest.fixture
def quiet_house(tmp_path, tiny_bundle, caplog):
    yield from house(tmp_path, tiny_bundle, caplog, None)


@pytest.fixture
def house_of(tmp_path, tiny_bundle, caplog, both):
    yield from house(tmp_path, tiny_bundle, caplog, both)


def house(tmp_path, tiny_bundle, caplog, url):
    caplog.set_level(logging.DEBUG)
    ward = Ward(tmp_path, tiny_bundle, url)
    api = Api(ward.settings, ward.engine)
    yield api, ward
    api.close()
    ward.engine.close()


def test_no_identifier_comes_out_in_errors_logs_metrics_or_the_database_outside_of_the_vault(house_of, caplog):
    api, ward = house_of
    api.ask("POST", "/readings", {"person": "bed-7", "time": "2026-01-05T07:00:00Z", "heart_rate": 72})
    person = api.ask("GET", "/people").json["people"][0]["person"]
    told: list[bytes] = []

    def ask(method: str, address: str, body: object = None, **more: object) -> None:
        answer = api.ask(method, address, body, **more)
        told.append(json.dumps(answer.headers).encode() + answer.body)

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
                ask("POST", address, body)
            ask("PUT", f"/people/{person}/limits", body)
            ask("PUT", f"/people/{person}/profile", body)
        line = json.dumps({"person": value}).encode() + b"\n" + value.encode()
        ask("POST", "/readings", line, media="application/x-ndjson")
        for header in (
            "idempotency-key",
            "last-event-id",
            "authorization",
            "x-api-key",
            "user-agent",
            "referer",
            "cookie",
        ):
            ask("GET", "/people?most=1", headers={header: value})
        for address in (f"/people/{value}", f"/people/{value}/timeline", f"/alarms/{value}/history", f"/{value}"):
            ask("GET", address)
        for address in (f"/people?{value}=1", f"/alarms?person={value}", f"/people/{person}/timeline?since={value}"):
            ask("GET", address)
    for address in ("/metrics", "/people", "/quarantine", "/alarms", "/model", "/openapi.json"):
        ask("GET", address)
    events = api.engine.events(0, most=100_000)
    told.append(json.dumps([event.body for event in events]).encode())
    _nothing_out(ward, told, caplog.text)

    assert len(told) > 2000


@pytest.mark.slow
def test_no_identifier_in_any_field_of_any_declared_body_comes_out(house_of, caplog):
    api, ward = house_of
    api.ask("POST", "/readings", {"person": "bed-7", "time": "2026-01-05T07:00:00Z", "heart_rate": 72})
    person = api.ask("GET", "/people").json["people"][0]["person"]
    told, statuses = [], Counter()
    for value in PLANTED.values():
        for method, path, media, example in declared(api):
            address = path.replace("{person}", person).replace("{alarm}", "0" * 32).replace("{model}", "anomaly")
            address = re.sub(r"{\w+}", "x", address)
            whole = json.loads(example) if isinstance(example, str) else example
            for body in planted(whole, value):
                raw = json.dumps(body).encode()
                answer = api.ask(method, address, raw, media=media, headers={"idempotency-key": value})
                returned = {"id"} if path.endswith("/infer") and answer.status == 200 else set()  # as its protocol says
                kept = {k: v for k, v in answer.json.items() if k not in returned} if returned else answer.body.decode()
                told.append(json.dumps([answer.headers, kept]).encode())
                statuses[answer.status] += 1
    told += [api.ask("GET", address).body for address in ("/metrics", "/people", "/quarantine", "/alarms")]
    told.append(json.dumps([event.body for event in api.engine.events(0, most=100_000)]).encode())
    _nothing_out(ward, told, caplog.text)

    assert {200, 202, 404, 422} <= set(statuses)
    assert sum(statuses.values()) > 4000


def _nothing_out(ward: Ward, told: list[bytes], log: str) -> None:
    """Look at all answers, the log, every column of every table, and every file of the database."""
    kept, files = columns(ward.engine.database), files_of(ward.engine.database)

    assert [] == found_in(b"\n".join(told))
    assert [] == found_in(log.encode())
    assert {} == {name: found for name, content in kept.items() if (found := found_in(content))}
    assert {} == {name: found for name, content in files.items() if (found := found_in(content))}
    assert {"vault.sealed", "readings.device", "quarantine.sealed", "people.profile", "audit.detail"} <= set(kept)
    assert sum(map(len, files.values())) > 100_000
    names = {one.name for one in ward.engine.people(names_for="test")}
    assert names >= {PLANTED["name"], PLANTED["medical record"]}  # they were taken in, and the vault knows them


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

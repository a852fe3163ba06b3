"""Figures for Prometheus: what they count, that nobody stands in a label, and that there are only so many series."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_world import Api
from serving_world import OTHER, RUN, Ward, messages
from tiny import somebody
from vitalwatch.api.table import OPERATIONS
from vitalwatch.bundle import FORMAT
from vitalwatch.database.connection import take
from vitalwatch.database.people import waiting

SICK = {"oxygen_saturation": 80.0, "heart_rate": 180.0}
Series = dict[tuple[tuple[str, str], ...], float]


@pytest.fixture
def house(tmp_path, tiny_bundle, both) -> Iterator[Api]:
    ward = Ward(tmp_path, tiny_bundle, both)
    readings = somebody(1).readings.rows(slice(0, 60))
    ward.clock.ms = int(readings.time[-1]) + 1000
    api = Api(ward.settings, ward.engine)
    rows = messages(readings)
    api.rows = [*rows[:-12], *({**one, **SICK} for one in rows[-12:])]
    api.ward = ward
    yield api
    api.close()
    ward.engine.close()


def looked(api: Api, **more: str) -> dict[str, Series]:
    """Return all series by name and labels."""
    told: dict[str, Series] = {}
    answer = api.ask("GET", "/metrics", **more)
    assert 200 == answer.status
    for family in text_string_to_metric_families(answer.body.decode()):
        for one in family.samples:
            told.setdefault(one.name, {})[tuple(sorted(one.labels.items()))] = one.value
    return told


def of(series: Series, **labels: str) -> float:
    return series[tuple(sorted(labels.items()))]


def sum_of(series: Series, **labels: str) -> float:
    return sum(value for each, value in series.items() if labels.items() <= dict(each).items())


def test_the_rules_of_one_person_are_counted_under_one_label(house: Api) -> None:
    house.ask("POST", "/readings", house.rows[:1])
    (who,) = house.ask("GET", "/people").json["people"]
    when = {"vital": "heart_rate", "above": 30}
    own = {f"own_{n}": {"when": when, "priority": "low"} for n in (1, 42)}
    assert 200 == house.ask("PUT", f"/people/{who['person']}/limits", {"own": own}).status
    house.ask("POST", "/readings", house.rows[1:])

    told = looked(house)["vitals_alerts_total"]
    assert {"own_1", "own_42"} <= {one["rule"] for one in house.engine.alarms()}
    assert 2 == sum_of(told, rule="own")
    assert [] == [each for each in told if any(who["person"] in value or "own_" in value for _, value in each)]


def test_alerts_that_were_counted_before_rules_were_have_none(house: Api) -> None:
    with house.engine.database.writing() as connection:
        take(connection, "alert.medium.clinical", 3)

    assert 3 == of(looked(house)["vitals_alerts_total"], priority="medium", kind="clinical", rule="")


def test_alerts_are_counted_by_priority_kind_and_rule_and_stay_counted_when_they_are_over(house: Api) -> None:
    before = looked(house)
    assert {0.0} == set(before["vitals_alerts_total"].values()) == set(before["vitals_alarms_open"].values())
    house.ask("POST", "/readings", house.rows)
    there = house.engine.alarms()
    after = looked(house)
    clinical = [one for one in there if one["category"] == "physiological"]
    assert clinical
    for priority in ("low", "medium", "high"):
        n = sum(one["priority"] == priority for one in clinical)
        assert n == of(after["vitals_alarms_open"], priority=priority, kind="clinical")
        assert n == sum_of(after["vitals_alerts_total"], priority=priority, kind="clinical")
    for rule, n in Counter(one["rule"] for one in there).items():
        assert n == sum_of(after["vitals_alerts_total"], rule=rule)
    new = after["vitals_alerts_total"].keys() - before["vitals_alerts_total"].keys()
    assert {"backlog"} == {dict(each)["rule"] for each in new}  # not of rules.yaml: there once it was raised

    for one in there:
        house.engine.act(one["id"], "resolve", "nurse")
    over = looked(house)
    assert {0.0} == set(over["vitals_alarms_open"].values())
    assert after["vitals_alerts_total"] == over["vitals_alerts_total"]


def test_the_run_that_answers_is_told_and_whether_it_is_in_place_of_another(house: Api, tiny_bundle) -> None:
    told = looked(house)
    assert {(("format", str(FORMAT)), ("run", RUN)): 1.0} == told["vitals_model_info"]
    assert {(): 0.0} == told["vitals_production_fallback"]

    broken = house.ward.place.add_run(OTHER, tiny_bundle) / "models" / "forest.onnx"
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    told = looked(house)
    assert {(("format", str(FORMAT)), ("run", RUN)): 1.0} == told["vitals_model_info"]
    assert {(): 1.0} == told["vitals_production_fallback"]


def test_time_of_models_is_observed_for_each(house: Api) -> None:
    house.ask("POST", "/readings", house.rows)
    house.ask("POST", "/predict", [{}, {}])
    house.ask("POST", "/anomaly", {"readings": [{"time": "2026-01-05T08:00:00Z", "heart_rate": 70}]})
    house.ask("POST", "/forecast", {"readings": [{"time": "2026-01-05T08:00:00Z", "heart_rate": 70}]})
    told = looked(house)

    models = ("heart_rate", "anomaly", "forecast", "readings")
    counts = {name: of(told["vitals_inference_duration_seconds_count"], model=name) for name in models}
    assert dict.fromkeys(models, 1.0) == counts
    assert all(0 < of(told["vitals_inference_duration_seconds_sum"], model=name) < 60 for name in models)


def test_what_waits_to_be_scored_is_told_with_its_age(tmp_path, tiny_bundle, both) -> None:
    ward = Ward(tmp_path, None, both)
    api = Api(ward.settings, ward.engine)
    ward.send(messages(somebody(0).readings.rows(slice(0, 3))))
    ward.clock.ms += 90_000
    told = looked(api)
    assert [{(): 1.0}, {(): 90.0}] == [told[f"vitals_ingest_waiting_{name}"] for name in ("people", "seconds")]
    assert "vitals_model_info" not in told

    ward.place.add_run(RUN, tiny_bundle)
    ward.engine.catch_up()
    told = looked(api)
    assert [{(): 0.0}, {(): 0.0}] == [told[f"vitals_ingest_waiting_{name}"] for name in ("people", "seconds")]
    with ward.engine.database.reading() as connection:
        assert [] == waiting(connection, RUN)
    api.close()
    ward.engine.close()


def test_requests_that_wait_with_readings_are_told(house: Api) -> None:
    held, done = threading.Event(), threading.Event()

    def stuck() -> None:
        with house.engine.database.writing():
            held.set()
            done.wait(30)

    async def ask() -> bytes:
        import asyncio

        sending = [asyncio.ensure_future(house.asked("POST", "/readings", house.rows[i])) for i in range(3)]
        async with asyncio.timeout(20):
            while house.app.state.desk.readings.backlog < 3:
                await asyncio.sleep(0.01)
        told = (await house.asked("GET", "/metrics")).body
        done.set()
        assert {202} == {one.status for one in await asyncio.gather(*sending)}
        return told

    writer = threading.Thread(target=stuck)
    writer.start()
    held.wait(30)
    told = house.loop.run_until_complete(ask())
    writer.join()

    assert b"vitals_ingest_waiting_requests 3.0" in told
    assert {(): 0.0} == looked(house)["vitals_ingest_waiting_requests"]


def test_refused_requests_are_counted_by_code_wherever_they_are_refused(house: Api) -> None:
    house.ask("GET", "/nowhere")
    house.ask("PUT", "/people")
    house.ask("POST", "/predict", b"{")
    house.ask("POST", "/v2/models/anomaly/infer", {"inputs": []})
    house.ask("GET", "/people", headers={"x-filler": "a" * 20_000})
    house.ask("GET", "/people", client="10.0.0.1")
    told = looked(house)["vitals_requests_refused_total"]
    codes = ("not_found", "method_not_allowed", "not_json", "too_few", "headers_too_large", "loopback_only")

    assert dict.fromkeys(codes, 1.0) == {code: of(told, code=code) for code in codes}
    assert len(codes) == len(told)


def test_a_database_that_does_not_answer_leaves_the_other_figures(house: Api, monkeypatch) -> None:
    from vitalwatch.errors import DatabaseError

    assert {(): 1.0} == looked(house)["vitals_database_up"]

    def broken(*_: object) -> None:
        raise DatabaseError("here", "broke the connection", "try again")

    monkeypatch.setattr(house.engine.database, "reading", broken)
    told = looked(house)
    assert {(): 0.0} == told["vitals_database_up"]
    assert {"vitals_requests_total", "vitals_model_info"} <= told.keys()
    assert "vitals_alarms_open" not in told


def test_labels_hold_nobody_and_there_are_only_so_many_series(house: Api) -> None:
    key = house.key(["read", "ingest", "ack", "admin"])
    for n in range(60):
        rows = [{**one, "person": f"patient-{n}"} for one in house.rows[-3:]]
        assert 202 == house.ask("POST", "/readings", rows, key=key).status
        house.ask("GET", f"/nowhere/{n}", key=key)
        house.ask("GET", "/people", key=f"wrong-{n}", client=f"10.0.0.{n}")
    everyone = house.engine.people(names_for="test")
    told = looked(house, key=key)
    labels = {(name, value) for series in told.values() for each in series for name, value in each}

    known = {"operation", "status", "code", "outcome", "rule", "model", "priority", "kind", "receiver", "run", "format"}
    assert {name for name, _ in labels} <= known | {"le"}
    values = " ".join(value for _, value in labels)
    secrets = [word for one in everyone for word in (one.person, one.name)] + [
        key,
        key.split("_")[1],
        "10.0.0",
        "wrong",
    ]
    assert 60 == len(everyone)
    assert [] == [word for word in secrets if word in values]
    assert {value for name, value in labels if name == "operation"} <= {one.name for one in OPERATIONS} | {"unknown"}
    assert sum(len(series) for name, series in told.items() if not name.endswith("_bucket")) < 200

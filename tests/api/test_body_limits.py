"""How long a body may be: one rule by operation, told in the OpenAPI file, with a length and without."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api_world import Api
from house_world import Asked, operations
from serving_world import RUN

WORDS = {"person": "p-" + "a" * 26, "alarm": "0" * 32, "run": RUN, "model": "anomaly", "version": RUN}
CHUNK = 65_536


def asked(api: Api) -> list[Asked]:
    return [one for one in operations(api) if "requestBody" in one.told]


def statuses(api: Api, one: Asked, length: int) -> list[int]:
    """Return the statuses of a body of so many blanks, sent with its length and without."""
    address = re.sub(r"{(\w+)}", lambda match: WORDS[match[1]], one.path)
    pieces = [b" " * min(CHUNK, length - start) for start in range(0, length, CHUNK)]
    whole = api.ask(one.method, address, b"".join(pieces))
    return [whole.status, api.ask(one.method, address, chunks=pieces).status]


def test_a_body_may_be_as_long_as_is_told_and_not_a_byte_longer(api):
    for one in asked(api):
        most = one.told["x-max-body"]
        assert 413 not in statuses(api, one, most), one.name
        assert [413, 413] == statuses(api, one, most + 1), one.name


def test_what_holds_a_thousand_of_something_may_be_a_megabyte_and_all_else_256_kilobytes(api):
    chosen = api.app.state.desk.chosen
    many = {one.name for one in asked(api) if one.told["x-max-body"] == chosen.max_batch_body}

    assert {"v2_infer", "v2_infer_version", "timeseries_forecast", "anomaly", "detect_anomaly", "forecast", "predict",
            "predict_heart_rate", "readings"} == many  # fmt: skip
    assert {chosen.max_batch_body, chosen.max_body} == {one.told["x-max-body"] for one in asked(api)}
    assert (2**18, 2**20) == (chosen.max_body, chosen.max_batch_body)


def whole_reading(schema: Any, **more: Any) -> dict[str, Any]:
    """Return a reading with every column."""
    values = {name: round(sum(column.possible) / 2 + 0.125, 3) for name, column in schema.columns.items()}
    values |= {"sleep": 1, "body_temperature": 36.125, "blood_pressure_systolic": 210.125}
    return {"time": "2026-01-05T08:00:00.000+01:00", **values, **more}


@pytest.mark.parametrize("operation", ["predict", "anomaly", "forecast", "readings", "v2_infer", "timeseries_forecast"])
def test_the_largest_body_that_is_declared_is_taken(own, operation):
    schema = own.engine.settings.schema
    about = {
        "age": 54.5, "sex": "unknown", "height": 168.5, "weight": 70.25,
        "medication": list(schema.profile.medication), "conditions": list(schema.profile.conditions),
    }  # fmt: skip
    moment = {"local_time": "12:00", "steps_per_minute": 100.125, "intensity": 0.375, "asleep": False, "minutes": 15.5}
    window = {"profile": about, "readings": [whole_reading(schema)] * 1_000}
    ids = {"person": "a" * 64, "device": "d" * 64}
    tensors = [
        {"name": "time", "shape": [1_000], "datatype": "BYTES", "data": ["2026-01-05T08:00:00.000+01:00"] * 1_000}
    ]
    tensors += [
        {"name": name, "shape": [1_000], "datatype": "FP32", "data": [value] * 1_000}
        for name, value in whole_reading(schema).items()
        if name != "time"
    ]
    series = {"name": "heart_rate", "series": [62.125] * 4_000, "frequency": "minute"}
    path, body = {
        "predict": ("/predict", [{**about, **moment, "resting_heart_rate": 55.5}] * 1_000),
        "anomaly": ("/anomaly", window),
        "forecast": ("/forecast", window),
        "readings": ("/readings", [whole_reading(schema, **ids, event_id=f"{i:064d}") for i in range(1_000)]),
        "v2_infer": ("/v2/models/anomaly/infer", {"inputs": tensors}),
        "timeseries_forecast": ("/v1/timeseries/forecast", {
            "model": "forecast", "inputs": [series] * 8, "options": {"horizon": 15},
        }),
    }[operation]  # fmt: skip
    answer = own.ask("POST", path, body)

    assert answer.status in (200, 202), answer.body[:300]

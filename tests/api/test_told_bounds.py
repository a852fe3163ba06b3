"""A refusal says what is taken there: bounds and lists of ours, never what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from api_world import Api
from house_world import built
from serving_world import Ward, messages
from tiny import resigned, somebody
from vitalwatch.alerting.alerts import PRIORITIES

READING = {"time": "2026-01-05T08:00:00Z", "heart_rate": 61.0}
INFER = {
    "inputs": [
        {"name": "time", "shape": [1], "datatype": "BYTES", "data": ["2026-01-05T08:00:00Z"]},
        {"name": "heart_rate", "shape": [1], "datatype": "FP32", "data": [61.0]},
    ]
}


@pytest.mark.parametrize(
    ("method", "address", "body", "told"),
    [
        ("GET", "/alarms?most=0", None, {"minimum": 1}),
        ("GET", "/alarms?most=1001", None, {"maximum": 1000}),
        ("GET", "/burden?days=367", None, {"maximum": 366}),
        ("POST", "/predict", {"age": 7}, {"minimum": 16}),
        ("POST", "/anomaly", {"readings": [READING], "consciousness": "X"}, {"allowed": ["A", "C", "V", "P", "U"]}),
    ],
)
def test_bounds_and_lists_are_told_as_numbers_and_in_words(api, method, address, body, told):
    answer = api.ask(method, address, body)
    (fault,) = answer.json["errors"]

    assert 422 == answer.status
    assert told == {name: value for name, value in fault.items() if name in told}
    ((_, value),) = told.items()
    assert (", ".join(value) if isinstance(value, list) else str(value)) in fault["detail"]


def test_the_protocol_names_its_outputs_where_another_is_asked_for(api):
    answer = api.ask("POST", "/v2/models/anomaly/infer", {**INFER, "outputs": [{"name": "nix"}]})

    assert 400 == answer.status
    assert "time, score, p_value, is_anomaly, expected_heart_rate" in answer.json["error"]
    assert "nix" not in answer.json["error"]
    some = api.ask("POST", "/v2/models/anomaly/infer", {**INFER, "outputs": [{"name": "score"}]}).json["outputs"]
    assert ["score"] == [one["name"] for one in some]


@pytest.fixture
def of_many(tmp_path, tiny_bundle) -> Iterator[Api]:
    """With the small model, calibrated as by the third power of its rows: its p-values end at 1 / (n + 1)."""
    limits = json.loads((tiny_bundle[0] / "calibration.json").read_text())
    for name in ("rarity", "known_rarity", "either_rarity"):  # minus log10 of p-values
        limits[name]["values"] = (3 * np.asarray(limits[name]["values"])).tolist()
    files = {"calibration.json": json.dumps(limits).encode()}
    ward = Ward(tmp_path, (resigned(tiny_bundle, tmp_path / "models", files=files), tiny_bundle[1]))
    api = Api(ward.settings, ward.engine)
    yield api
    api.close()
    ward.engine.close()


def test_a_small_probability_is_never_told_as_nothing(of_many):
    rows = messages(somebody(0).readings.rows(slice(0, 60)), "anna")
    for one in rows[-8:]:
        one |= {"heart_rate": 190.0, "steps": 0.0}
    of_many.engine.now.ms = int(somebody(0).readings.time[59]) + 1000
    of_many.ask("POST", "/readings", rows)
    columns = {name: [one.get(name) for one in rows] for name in ("time", "heart_rate", "steps")}
    inputs = [
        {"name": name, "shape": [60], "datatype": "BYTES" if "time" == name else "FP32", "data": values}
        for name, values in columns.items()
    ]
    outputs = of_many.ask("POST", "/v2/models/anomaly/infer", {"inputs": inputs}).json["outputs"]
    (told,) = [one["data"] for one in outputs if "p_value" == one["name"]]
    (seen,) = of_many.ask("GET", "/people").json["people"]

    assert 0 < min(value for value in told if value is not None) < 1e-6
    assert 0 < seen["p_value"] < 1e-6
    assert set() == {"score", "p_value"} & seen["vitals"].keys()


def test_a_snooze_lasts_up_to_what_the_rules_allow_and_nothing_else_has_minutes(tmp_path, tiny_bundle):
    with built(tmp_path, tiny_bundle) as house:
        alarm, key = house.alarms["north"][0], house.keys["ack", "north"]
        long = house.api.ask("POST", f"/alarms/{alarm}/snooze", {"minutes": 240}, key=key)
        longer = house.api.ask("POST", f"/alarms/{alarm}/snooze", {"minutes": 241}, key=key)
        other = house.api.ask("POST", f"/alarms/{alarm}/acknowledge", {"minutes": 10}, key=key)

        assert (200, 240 * 60_000) == (long.status, long.json["timer"])
        assert (409, "bad_action") == (longer.status, longer.code)
        assert (422, "unknown_field") == (other.status, other.code)
        assert long.json["priority"] in PRIORITIES


@pytest.mark.parametrize("limit", [{"high": 250}, {"low": 20}])
def test_a_limit_at_the_edge_of_what_is_measured_would_never_alarm_and_is_refused(api, limit):
    (whom,) = api.ask("POST", "/readings", {"person": "edge", **READING}).json["people"]
    answer = api.ask("PUT", f"/people/{whom['person']}/limits", {"limits": {"heart_rate": limit}})

    assert 422 == answer.status
    assert "between 20 and 250 /min" in answer.json["detail"]


@pytest.mark.parametrize(
    ("more", "band"),
    [
        ({"heart_rate": 61}, None),  # one part of seven: it may be anything
        ({"heart_rate": 135}, "low_medium"),  # a single 3 is one, whatever the others are
        (
            {
                "heart_rate": 61, "oxygen_saturation": 97, "respiratory_rate": 16, "blood_pressure_systolic": 120,
                "blood_pressure_diastolic": 80, "body_temperature": 37.0,
            },
            "low",
        ),
    ],
)  # fmt: skip
def test_news2_is_called_low_only_where_all_its_parts_are_known(api, more, band):
    asked = {"readings": [READING | more], "consciousness": "A", "supplemental_oxygen": False}

    assert band == api.ask("POST", "/anomaly", asked).json["news2"]["band"]

"""The early warning over REST: told where the run in production learnt one, refused where it did not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_world import Api
from serving_world import RUN, Ward, messages
from tiny import readings, somebody
from vitalwatch import early_warning, prognosis
from vitalwatch.tables import Profile
from vitalwatch.timestamps import rfc3339
from warning_world import write_warned

HOUR = early_warning.HOUR
START = 1_767_600_000_000 // HOUR * HOUR


@pytest.fixture(scope="module")
def warned(tmp_path_factory: pytest.TempPathFactory, tiny_bundle) -> Iterator[Api]:
    """A ward whose run learnt an early warning."""
    folder = tmp_path_factory.mktemp("warned")
    ward = Ward(tmp_path_factory.mktemp("ward"), write_warned(folder, tiny_bundle))
    api = Api(ward.settings, ward.engine)
    yield api
    api.close()
    ward.engine.close()


def window() -> list[dict]:
    rows = messages(readings(start=START, heart_rate=[70.0, 71.0, 90.0], oxygen_saturation=[97.0, 96.0, 95.0]))
    return [{name: value for name, value in row.items() if name != "person"} for row in rows]


def lactate(**changes) -> dict:
    return {"time": rfc3339(START), "name": "lactate", "value": 4.1} | changes


def test_a_window_is_told_its_risk_with_horizon_inputs_and_what_is_missing(warned):
    told = warned.ask("POST", "/anomaly", {"readings": window(), "profile": {"age": 70}}).json["early_warning"]

    (risk,) = told["risks"]
    assert ("sepsis", "sepsis within 6 hours", 6) == (risk["of"], risk["told"], risk["within_hours"])
    assert 0.25 == pytest.approx(risk["probability"], abs=0.01)
    assert ["heart_rate", "oxygen_saturation", "age"] == told["used"]
    assert {"respiratory_rate", "sex"} <= set(told["missing"])
    assert "lactate" not in told["missing"]  # the model that answered never saw any
    assert rfc3339(START) == told["time"]
    assert "no diagnosis" in told["message"]


def test_with_laboratory_values_the_model_that_knows_them_answers(warned):
    asked = {"readings": window(), "care": [lactate(), lactate(name="icu_hours", value=5)]}
    told = warned.ask("POST", "/anomaly", asked).json["early_warning"]

    assert 0.75 == pytest.approx(told["risks"][0]["probability"], abs=0.01)
    assert {"lactate", "icu_hours"} <= set(told["used"])
    assert "urine" in told["missing"]


def test_a_known_person_is_told_the_same_risk_from_the_rows_that_were_scored(warned):
    sent = somebody(0).readings.rows(slice(0, 600))
    warned.ask("POST", "/readings", messages(sent))
    (person,) = [one["person"] for one in warned.ask("GET", "/people").json["people"]]
    told = warned.ask("POST", "/anomaly", {"person": person}).json["early_warning"]
    with_lactate = warned.ask(
        "POST", "/anomaly", {"person": person, "care": [lactate(time=rfc3339(int(sent.time[0])))]}
    )
    alone = prognosis.risks(warned.engine.monitor(), sent, Profile("a"))

    assert alone is not None
    assert alone["risks"] == told["risks"]
    assert alone["used"] == told["used"]
    assert 0.75 == pytest.approx(with_lactate.json["early_warning"]["risks"][0]["probability"], abs=0.01)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"name": "moonlight"}, "/care/0/name", "unknown_value"),
        ({"value": 4000.0}, "/care/0/value", "out_of_range"),
        ({"time": "yesterday"}, "/care/0/time", "bad_timestamp"),
        ({"time": "2190-01-01T00:00:00Z"}, "/care/0/time", "clock_skew"),
    ],
)
def test_a_value_beside_the_vitals_that_cannot_be_right_is_refused(warned, changes, pointer, code):
    answer = warned.ask("POST", "/anomaly", {"readings": window(), "care": [lactate(**changes)]})

    assert 422 == answer.status
    assert [(pointer, code)] == [(one["pointer"], one["code"]) for one in answer.json["errors"]]


def test_a_run_without_an_early_warning_says_so_and_answers_everything_else(api):
    plain = api.ask("POST", "/anomaly", {"readings": window()})
    refused = api.ask("POST", "/anomaly", {"readings": window(), "care": [lactate()]})

    assert (200, None) == (plain.status, plain.json["early_warning"])
    assert (422, "not_learnt") == (refused.status, refused.code)
    assert "/model" in refused.json["detail"]


def test_the_model_says_what_it_can_do(api, warned):
    without, with_it = (one.ask("GET", "/model").json["can"] for one in (api, warned))

    assert without["early_warning"] is None
    assert [{"of": "sepsis", "told": "sepsis within 6 hours", "within_hours": 6}] == with_it["early_warning"]["risks"]
    assert {"lactate", "icu_hours"} <= set(with_it["early_warning"]["from_care"])
    assert "heart_rate" in with_it["early_warning"]["from_vitals"]
    assert [5, 15, 30, 60] == without["forecast"]["minutes"]
    assert RUN == warned.ask("GET", "/model").json["run"]

"""L8: who is discharged leaves the ward, unless an alarm is open, and comes back with the next reading."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from api_world import Api
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.alerts import ACKNOWLEDGE
from vitalwatch.tables import MINUTE
from vitalwatch.timestamps import rfc3339

READINGS = somebody(0).readings


@pytest.fixture
def ward(tmp_path, tiny_bundle, url) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle, url)
    ward.clock.ms = int(READINGS.time[3]) + 1000
    ward.send(messages(READINGS.rows(slice(0, 4))))
    yield ward
    ward.engine.close()


def test_who_is_discharged_is_on_the_ward_only_where_it_is_asked_for(ward):
    ward.engine.discharge("anna", "clerk")

    assert [] == ward.engine.people()
    assert [ward.clock.ms] == [one.discharged for one in ward.engine.people(discharged=True)]


def test_a_reading_brings_back_whom_it_is_about_and_both_are_told_as_events(ward):
    ward.engine.discharge("anna", "clerk")
    ward.clock.ms += 5 * MINUTE
    ward.send(messages(READINGS.rows(slice(4, 5))))

    assert [None] == [one.discharged for one in ward.engine.people()]
    told = [one.body["changed"] for one in ward.engine.events(0) if "person" == one.kind]
    assert ["discharged", "admitted"] == told


def test_a_reading_that_no_model_scores_yet_brings_somebody_back_too(tmp_path, url):
    ward = Ward(tmp_path, None, url)
    ward.send(messages(READINGS.rows(slice(0, 4))))
    ward.engine.discharge("anna", "clerk")
    ward.clock.ms += MINUTE
    ward.send(messages(READINGS.rows(slice(4, 5))))

    assert [None] == [one.discharged for one in ward.engine.people()]
    ward.engine.close()


def test_who_is_discharged_stays_on_the_ward_until_somebody_saw_their_alarms(ward):
    ill = [
        {"person": "bert", "time": rfc3339(ward.clock.ms + m * MINUTE), "heart_rate": 190, "oxygen_saturation": 80}
        for m in range(-120, 0, 5)
    ]
    ward.send(ill)
    ward.engine.discharge("bert", "clerk")
    ward.engine.discharge("anna", "clerk")
    (left,) = ward.engine.people()
    assert "high" == left.priority

    while left.alarms:
        ward.engine.act(left.alarms[0]["id"], ACKNOWLEDGE, "nurse")
        left = next(one for one in ward.engine.people(discharged=True) if one.person == left.person)
    assert [] == ward.engine.people()


def test_rest_tells_who_is_discharged_and_leaves_them_out_unless_asked(ward):
    with contextlib.closing(Api(ward.settings, ward.engine)) as api:
        (person,) = [one["person"] for one in api.ask("GET", "/people").json["people"]]
        assert 204 == api.ask("POST", f"/people/{person}/discharge").status

        assert [] == api.ask("GET", "/people").json["people"]
        (told,) = api.ask("GET", "/people?discharged=true").json["people"]
        assert rfc3339(ward.clock.ms) == told["discharged"] == api.ask("GET", f"/people/{person}").json["discharged"]

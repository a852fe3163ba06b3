"""The page on an API: the same world through HTTP and through an engine in this process tell the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.api.app import create_app
from vitalwatch.errors import ChangedMeanwhile, NotFound
from vitalwatch.tables import DAY, MINUTE, Profile
from vitalwatch.ui import trying
from vitalwatch.ui.here import Here
from vitalwatch.ui.stretches import stretches
from vitalwatch.ui.there import ApiError, There

ROWS = 700


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: tuple[Path, Path]) -> Iterator[tuple[Here, There]]:
    ward = Ward(tmp_path_factory.mktemp("there"), tiny_bundle)
    ward.engine.close()
    readings = somebody(1).readings.rows(slice(0, ROWS))
    ward.clock.ms = int(readings.time[-1]) + 6 * MINUTE
    here = Here(ward.settings, now=ward.clock)
    ward.engine = here.engine
    ward.send([*messages(readings), b'{"person": "x"'])
    app = create_app(ward.settings, engine=here.engine, bound=lambda: ["127.0.0.1"])
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        yield here, There("http://127.0.0.1", "", ward.settings, client=client, now=ward.clock).known()
    here.close()


def test_everybody_is_seen_alike(both: tuple[Here, There]) -> None:
    here, there = both
    ours, theirs = here.people()[0], there.people()[0]

    assert (ours.person, ours.name, ours.time, ours.heard) == (theirs.person, theirs.name, theirs.time, theirs.heard)
    assert ours.values["heart_rate"] == pytest.approx(theirs.values["heart_rate"], abs=0.01)
    assert [one["id"] for one in ours.alarms] == [one["id"] for one in theirs.alarms]
    assert [one["start"] for one in ours.alarms] == [one["start"] for one in theirs.alarms]


def test_a_course_is_the_same(both: tuple[Here, There]) -> None:
    here, there = both
    person, now = here.people()[0].person, here.now()
    ours, theirs = (one.course(person, now - DAY, now + DAY) for one in both)

    assert ours.time == theirs.time
    assert ours.local == theirs.local
    assert ours.anomaly == theirs.anomaly
    assert ours.vitals["heart_rate"] == pytest.approx(theirs.vitals["heart_rate"], abs=0.01)
    assert ours.z["heart_rate"] == pytest.approx(theirs.z["heart_rate"], abs=0.01)
    assert there


def test_a_forecast_is_the_same(both: tuple[Here, There]) -> None:
    person = both[0].people()[0].person
    ours, theirs = (one.ahead(person) for one in both)

    assert ours is not None
    assert theirs is not None
    assert ours.time == theirs.time
    assert ours.vitals["heart_rate"][3] == pytest.approx(theirs.vitals["heart_rate"][3], abs=0.06)


def test_an_alarm_is_acknowledged(both: tuple[Here, There]) -> None:
    here, there = both
    person = here.people()[0].person
    first = next(one for one in there.alarms(person) if one["state"] in ("signalling", "latched"))
    there.act(first["id"], "acknowledge")

    assert next(one for one in here.alarms(person) if one["id"] == first["id"])["acknowledged_by"]


def test_limits_are_written_and_bad_ones_refused_in_words(both: tuple[Here, There]) -> None:
    here, there = both
    person = here.people()[0].person
    there.set_personal(person, {"limits": {"heart_rate": {"low": 44.0}}}, there.personal(person))

    assert 44.0 == here.personal(person)["limits"]["heart_rate"]["low"]
    assert there.personal(person) == here.personal(person)
    with pytest.raises(ApiError):
        there.set_personal(person, {"limits": {"hart_rate": {"low": 44.0}}}, there.personal(person))


def test_settings_that_somebody_else_wrote_meanwhile_are_not_overwritten(both: tuple[Here, There]) -> None:
    for one, other in (both, both[::-1]):
        person = one.people()[0].person
        drawn = one.personal(person)
        other.set_personal(person, {"limits": {"heart_rate": {"low": 40.0, "high": 151.5}}}, other.personal(person))
        with pytest.raises(ChangedMeanwhile, match="nothing was written"):
            one.set_personal(person, {}, drawn)

        assert {"low": 40.0, "high": 151.5} == one.personal(person)["limits"]["heart_rate"]
        one.set_personal(person, {}, one.personal(person))


def test_own_rules_are_tried_written_and_told_alike(both: tuple[Here, There]) -> None:
    here, there = both
    person = here.people()[0].person
    wanted = {"own": {"own_1": {"when": {"mean": "heart_rate", "over": "1d", "above": 40.0}, "priority": "low"}}}

    assert here.try_personal(person, wanted) == there.try_personal(person, wanted)
    tried = there.set_personal(person, wanted, there.personal(person))
    assert tried is not None
    assert {"rule": "own_1", "alarms": 1, "before": 0} in tried["rules"]
    assert [*here.rules(person)] == there.rules(person)
    assert "own_1" in [one["name"] for one in there.rules(person)]
    assert [*here.rules()] == there.rules()
    with pytest.raises(ApiError, match="is free text"):
        there.try_personal(person, {"own": {"own_1": {**wanted["own"]["own_1"], "says": "x"}}})
    there.set_personal(person, {}, there.personal(person))


def test_what_alarms_cost_is_told_alike(both: tuple[Here, There]) -> None:
    here, there = both

    assert here.burden(7)["alerts"] == there.burden(7)["alerts"] > 0
    assert here.burden(7)["rules"] == there.burden(7)["rules"]


def test_refused_readings_are_told_without_what_was_sent(both: tuple[Here, There]) -> None:
    here, there = both

    mine, theirs = here.refused(), there.refused()
    assert [(one.no, one.reason) for one in mine.refused] == [(one.no, one.reason) for one in theirs.refused] != []
    assert mine.counts == theirs.counts


def test_a_form_is_answered_alike(both: tuple[Here, There]) -> None:
    here, there = both
    until = there.now()
    values = {"heart_rate": 64.0, **trying.activity(here.schema, "Resting")}
    readings = trying.steady(here.schema, values, 30, until)
    ours, theirs = (one.judged(readings, Profile("form", age=50.0, sex="female")) for one in both)

    assert trying.verdict(ours)[0] == trying.verdict(theirs)[0]
    assert ours.course.expected[-1] == pytest.approx(theirs.course.expected[-1], abs=0.06)


def test_a_long_recording_over_an_api_is_judged_as_one_here_to_the_digits_that_it_tells(
    both: tuple[Here, There],
) -> None:
    life = somebody(2).readings.rows(slice(0, 2400))
    readings = replace(life, person="form", time=life.time - 30 * DAY)  # before now
    ours, theirs = (one.judged(readings, Profile("form", age=50.0)) for one in both)
    alone, over = ours.course, theirs.course

    assert 3 == len(stretches(readings))
    assert alone.time == over.time
    assert alone.local == over.local
    for name in ("anomaly", "assessable", "own_baseline"):
        assert getattr(alone, name) == getattr(over, name), name
    assert 1_000 < sum(over.own_baseline)
    judged = np.asarray(alone.assessable)
    told = [np.asarray([np.nan if value is None else value for value in each.score])[judged] for each in (alone, over)]
    assert 2_000 < len(told[0])
    np.testing.assert_array_equal(*(np.round(each, 4) for each in told))
    assert alone.expected == pytest.approx(over.expected, abs=0.051)
    ends = [{(one["channel"], one["kind"], one["start"], one["end"]) for one in each.alarms} for each in (ours, theirs)]
    assert ends[0] == {(channel, kind or "", start, end) for channel, kind, start, end in ends[1]}
    assert ours.ahead is not None
    assert theirs.ahead is not None
    assert ours.ahead.time == theirs.ahead.time
    assert ours.ahead.vitals.keys() == theirs.ahead.vitals.keys()
    for vital, steps in ours.ahead.vitals.items():  # medians; /forecast asks once, so its ends know no earlier misses
        np.testing.assert_allclose(np.asarray(steps)[:, 2], np.asarray(theirs.ahead.vitals[vital])[:, 2], atol=0.051)


@pytest.mark.parametrize("resting", [None, 48.0])
def test_an_expected_heart_rate_is_what_predict_answers_in_both_modes(
    both: tuple[Here, There], monkeypatch: pytest.MonkeyPatch, resting: float | None
) -> None:
    there = both[1]
    asked, ask = [], there._ask
    monkeypatch.setattr(there, "_ask", lambda *given, **more: asked.append(given) or ask(*given, **more))
    moments = trying.moments(Profile("form", age=50.0, sex="female", medication=("beta_blocker",)), resting)
    ours, theirs = (one.expected(moments) for one in both)
    rates = dict(zip(trying.KINDS, (rate for rate, _ in ours), strict=True))

    assert [("POST", "/predict")] == asked
    assert ours == theirs
    assert rates["Asleep"] < rates["Walking"] < rates["Running"]
    assert all(0 < spread < 40 for _, spread in ours)
    if resting is not None:
        assert rates["Resting"] == pytest.approx(resting, abs=6)


def test_what_is_unknown_is_not_found(both: tuple[Here, There]) -> None:
    with pytest.raises((NotFound, ApiError)):
        both[1].act("0" * 32, "acknowledge")


def test_an_api_that_does_not_answer_is_told_in_a_sentence(both: tuple[Here, There]) -> None:
    client = httpx.Client(base_url="http://127.0.0.1:9", timeout=1)
    away = There("http://127.0.0.1:9", "secret-key", both[0].engine.settings, client=client)

    assert away.problem().startswith("The API does not answer.")
    assert "secret-key" not in away.problem()

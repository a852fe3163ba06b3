from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from command_world import Place
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.errors import AlarmRefused, NotAllowed, SettingsError
from vitalwatch.tables import MINUTE, Profile
from vitalwatch.ui import quality, trying
from vitalwatch.ui.here import Here
from vitalwatch.ui.source import ADDRESS, source_of

ROWS = 700


class Kept(Here):
    """On the engine of a test's ward."""

    def __init__(self, ward: Ward) -> None:
        ward.engine.close()
        super().__init__(ward.settings, now=ward.clock)
        ward.engine = self.engine


@pytest.fixture
def ward(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle)
    yield ward
    ward.engine.close()


@pytest.fixture
def here(ward: Ward) -> Here:
    readings = somebody(1).readings.rows(slice(0, ROWS))
    ward.clock.ms = int(readings.time[-1]) + 6 * MINUTE
    here = Kept(ward)
    ward.send(messages(readings))
    return here


def test_somebody_is_seen_with_what_the_vault_calls_them(here: Here) -> None:
    assert ["anna"] == [one.name for one in here.people()]


def test_the_course_ends_with_the_newest_reading_and_is_forecast_from(here: Here) -> None:
    person = here.people()[0].person
    course = here.course(person, 0, here.now())
    ahead = here.ahead(person)

    assert int(somebody(1).readings.time[ROWS - 1]) == course.time[-1]
    assert ahead is not None
    assert course.time[-1] == ahead.time


def test_an_alarm_is_acknowledged_and_the_actor_told(here: Here) -> None:
    person = here.people()[0].person
    first = next(one for one in here.alarms(person) if one["state"] == "signalling" or one["state"] == "latched")
    here.act(first["id"], "acknowledge")
    after = next(one for one in here.alarms(person) if one["id"] == first["id"])

    assert after["acknowledged_by"].startswith("page:")
    assert after["state"] in ("acknowledged", "resolved")


def test_what_is_over_cannot_be_acknowledged(here: Here) -> None:
    person = here.people()[0].person
    first = next(one for one in here.alarms(person) if one["state"] != "resolved")
    here.act(first["id"], "resolve")

    with pytest.raises(AlarmRefused):
        here.act(first["id"], "acknowledge")


def test_limits_of_a_person_are_kept_and_bad_ones_refused(here: Here) -> None:
    person = here.people()[0].person
    here.set_personal(person, {"limits": {"heart_rate": {"low": 42.0}}}, here.personal(person))

    assert {"heart_rate": {"low": 42.0}} == here.personal(person)["limits"]
    with pytest.raises(SettingsError):
        here.set_personal(person, {"limits": {"hart_rate": {"low": 42.0}}}, here.personal(person))


def test_rules_can_be_told_as_sentences(here: Here) -> None:
    assert all(rule["sentence"].endswith(".") for rule in here.rules(here.people()[0].person))


def test_nobody_unknown_has_a_course(here: Here) -> None:
    with pytest.raises(NotAllowed):
        here.course("nobody", 0, here.now())


def test_what_was_refused_is_accepted_after_the_cause_was_mended(ward: Ward) -> None:
    here = Kept(ward)
    sent = messages(somebody(1).readings.rows(slice(0, 1)))[0]
    ward.send([{**sent, "time": "2099-01-01T00:00:00Z"}, {**sent, "pulse": 1}])
    ward.clock.ms = 4_070_908_800_000 + 60 * MINUTE  # 2099: its clock was ahead

    told = here.replay()

    assert {"read": 2, "accepted": 1, "duplicate": 0, "unknown_field": 1} == told
    assert ["unknown_field"] == [one.reason for one in here.refused().refused]
    assert {"read": 1, "accepted": 0, "duplicate": 0, "unknown_field": 1} == here.replay()


def test_of_many_refused_readings_the_newest_are_shown_and_all_are_counted(ward: Ward) -> None:
    here = Kept(ward)
    sent = messages(somebody(1).readings.rows(slice(0, 1)))[0]
    for _ in range(3):
        ward.send([{**sent, "pulse": 1}] * 400)
    ward.send([{**sent, "heart_rate": 900}] * 2)
    told = here.refused()

    assert {"unknown_field": 1200, "out_of_physical_range": 2} == told.counts
    assert ["out_of_physical_range", "out_of_physical_range", "unknown_field"] == [one.reason for one in told.refused][
        :3
    ]
    assert quality.SHOWN == len(told.refused)


def test_a_form_is_answered_by_the_run_in_production(here: Here) -> None:
    readings = trying.steady(here.schema, {"heart_rate": 64.0}, 30, here.now())

    assert 6 == len(here.judged(readings, Profile("form")).course)


def test_uploads_are_judged_by_the_run_in_production(here: Here) -> None:
    models = here.models()
    assert models is not None

    assert (models.run, True) == (here.engine.run(), (models.folder / "manifest.json").is_file())


def test_without_a_run_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    ward = Ward(tmp_path, None)
    here = Kept(ward)
    try:
        assert "`python main.py`" in here.problem()
        assert here.models() is None
        assert [] == here.people()
    finally:
        here.close()


def test_an_engine_of_its_own_is_the_default(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> None:
    ward = Ward(tmp_path, tiny_bundle)
    ward.engine.close()
    found = source_of(ward.settings, "127.0.0.1", {})
    try:
        assert isinstance(found, Here)
        assert Place(tmp_path).store.production() == found.engine.run()
    finally:
        found.close()


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.0.2.7", "ward.example"])
def test_a_page_of_its_own_is_for_this_machine_only(ward, address):
    with pytest.raises(SettingsError, match=r"server\.address: a page of its own asks nobody who they are"):
        source_of(ward.settings, address, {})


@pytest.mark.parametrize("address", [None, "0.0.0.0"])
def test_a_page_on_an_api_may_be_reached_from_elsewhere_because_the_api_asks(ward, address):
    assert source_of(ward.settings, address, {ADDRESS: "http://127.0.0.1:9"}).scopes == frozenset()

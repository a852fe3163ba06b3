"""The page on an API that needs keys: who signs in, and what their scopes have shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from fitbit_world import export
from serving_world import OTHER, RUN, Ward, messages
from tiny import ROOT, somebody
from ui.test_pages import BROKEN, data_page, models_page, person_page, quality_page, text_of, try_page
from vitalwatch import replaying
from vitalwatch.api.app import create_app
from vitalwatch.database import access
from vitalwatch.tables import DAY, MINUTE
from vitalwatch.ui import upload
from vitalwatch.ui.there import ApiError, SignedOut, There

ROWS = 700


@dataclass
class House:
    """A ward served with keys."""

    ward: Ward
    api: There

    def key(self, *scopes: str, wards: frozenset[str] | None = None) -> str:
        engine = self.ward.engine
        with engine.database.writing() as connection:
            return access.make(connection, engine._secret, "test", scopes, wards, engine.now(), None)[1]

    def visitor(self, *scopes: str, wards: frozenset[str] | None = None) -> There:
        return self.api.with_key(self.key(*scopes, wards=wards)).known()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: tuple[Path, Path]) -> Iterator[House]:
    ward = Ward(tmp_path_factory.mktemp("keys"), tiny_bundle)
    ward.place.add_run(OTHER, tiny_bundle, promote=False)
    readings = somebody(1).readings.rows(slice(0, ROWS))
    ward.clock.ms = int(readings.time[-1]) + 6 * MINUTE
    ward.send([*messages(readings), BROKEN])
    app = create_app(ward.settings, engine=ward.engine, bound=lambda: ["127.0.0.1"])
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        house = House(ward, There("http://127.0.0.1", "", ward.settings, client=client, now=ward.clock))
        house.key("read")
        app.state.desk.access._closed = (0.0, False)
        yield house
    ward.engine.close()


def shown(show: Callable[[], None], house: House, visitor: There) -> AppTest:
    told = AppTest.from_function(show, default_timeout=60)
    told.session_state["source"] = visitor
    told.session_state["settings"] = replace(house.ward.settings, root=ROOT)
    told.run()
    assert not told.exception
    assert not told.error
    return told


def labels(told: AppTest) -> set[str]:
    return {one.label for one in told.button}


def test_who_may_only_read_is_offered_nothing_that_would_fail(house: House) -> None:
    reader = house.visitor("read")

    assert {"Acknowledge", "Save", "Medication changed"}.isdisjoint(labels(shown(person_page, house, reader)))
    assert {"Promote this run"}.isdisjoint(labels(shown(models_page, house, reader)))
    assert {"Run them through the rules again"}.isdisjoint(labels(shown(quality_page, house, reader)))
    assert "A key with the scope `ack` may change them" in text_of(shown(person_page, house, reader))


def test_who_may_act_acts(house: House) -> None:
    nurse = house.visitor("read", "ack")
    told = shown(person_page, house, nurse)
    button = next(one for one in told.button if one.key and one.key.startswith("acknowledge-") and not one.disabled)
    button.click().run()
    alarms = {one["id"]: one for one in nurse.alarms(nurse.people()[0].person)}

    assert alarms[button.key.removeprefix("acknowledge-")]["state"] in ("acknowledged", "resolved")
    assert {"Save", "Medication changed"} <= labels(told)
    assert {"Promote this run"}.isdisjoint(labels(shown(models_page, house, nurse)))


def test_an_admin_promotes_over_the_api_and_sees_what_happened(house: House) -> None:
    admin = house.visitor("read", "admin")
    told = shown(models_page, house, admin)
    told.selectbox(key="run").set_value(OTHER).run()
    told.text_input[0].set_value("better")
    told.button(key="FormSubmitter:move-Promote this run").click().run()
    told.button(key="yes-move").click().run()
    there = house.ward.engine.run()

    assert OTHER == there
    assert f"Run {OTHER} is in production; it answers from now on." in text_of(told)
    assert f"Run {RUN} is in production again; it answers from now on." == admin.rollback("as before")


def test_an_admin_of_some_wards_is_not_offered_to_move_production_for_all(house: House) -> None:
    admin = house.visitor("read", "admin", wards=frozenset({"north"}))

    assert {"Promote this run"}.isdisjoint(labels(shown(models_page, house, admin)))
    with pytest.raises(ApiError, match="about every ward"):
        admin.promote(OTHER, "better")
    assert RUN == house.ward.engine.run()


def test_what_stands_against_a_move_over_the_api_is_said(house: House, tiny_bundle: tuple[Path, Path]) -> None:
    third = "000000000003"
    house.ward.place.add_run(third, tiny_bundle, passed=False, promote=False)
    told = shown(models_page, house, house.visitor("read", "admin"))
    told.selectbox(key="run").set_value(third).run()
    told.text_input[0].set_value("better")
    told.button(key="FormSubmitter:move-Promote this run").click().run()
    told.button(key="yes-move").click().run()

    assert "did not pass event_f1_unusual" in text_of(told)
    assert RUN == house.ward.engine.run()


def test_an_admin_runs_refused_readings_again_over_the_api(house: House) -> None:
    told = shown(quality_page, house, house.visitor("read", "admin"))
    next(one for one in told.button if one.label.startswith("Run them")).click().run()
    told.button(key="yes-replay").click().run()

    assert "1 run through today's rules: 0 accepted, 1 not finite stay refused." in text_of(told)


def test_a_replay_over_the_api_goes_on_until_all_were_looked_at(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PAGE", 2)
    monkeypatch.setattr("vitalwatch.api.ward.REPLAY_SECONDS", 0.0)
    house.ward.send([b"{}"] * 5)
    admin = house.visitor("read", "admin")
    kept, asked, ask = admin.refused().counts, [], admin._ask
    monkeypatch.setattr(admin, "_ask", lambda *given, **more: asked.append(given) or ask(*given, **more))
    told = admin.replay()

    assert sum(kept.values()) == told["read"] >= 5
    assert kept == {name: count for name, count in told.items() if name in kept}
    assert 3 <= len(asked)


def test_a_change_of_device_over_the_api_is_in_the_course(house: House) -> None:
    nurse = house.visitor("read", "ack")
    person = nurse.people()[0].person
    nurse.change(person, "device", None)
    course = nurse.course(person, house.ward.clock.ms - MINUTE, house.ward.clock.ms + MINUTE)

    assert [(house.ward.clock.ms, "device")] == course.changes


def test_the_forms_ask_the_paths_of_the_api_that_they_are_named_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, asked = house.visitor("read"), []
    ask = reader._ask
    monkeypatch.setattr(reader, "_ask", lambda *given, **more: asked.append(given[1]) or ask(*given, **more))
    told = shown(try_page, house, reader)
    for button, paths in (
        ("expected-Predict", ["/predict"]),
        ("unusual-Judge", ["/anomaly", "/forecast"]),
        ("forecast-Forecast", ["/anomaly", "/forecast"]),
    ):
        asked.clear()
        told.button(key=f"FormSubmitter:{button}").click().run()
        assert not told.exception
        assert paths == [path for path in asked if path != "/model"], button


def without_run(house: House, folder: Path) -> There:
    """Return a reader whose page has no run on its own machine."""
    elsewhere = Ward(folder, None)
    elsewhere.engine.close()
    reader = house.visitor("read")
    reader._settings = elsewhere.settings
    reader.now = lambda: house.ward.clock.ms + 60 * DAY
    return reader


def test_your_data_says_who_judges_it_where_the_page_has_no_run(house: House, tmp_path: Path) -> None:
    over = shown(data_page, house, without_run(house, tmp_path))

    assert "Judged by the API, 1,000 time steps (3 days) at a time" in text_of(over)
    assert {"Read the files", "Use the sample"} <= labels(over)
    assert "Judged by the API" not in text_of(shown(data_page, house, house.visitor("read")))


def test_models_of_another_run_than_that_of_the_api_judge_nothing(house: House, tmp_path: Path) -> None:
    assert RUN == house.visitor("read").models().run
    assert without_run(house, tmp_path).models() is None


@pytest.mark.slow
def test_the_sample_is_judged_over_the_api_where_the_page_has_no_run(house: House, tmp_path: Path) -> None:
    told = shown(data_page, house, without_run(house, tmp_path))
    told.button[1].click().run(timeout=240)

    assert not told.exception
    assert not told.error
    assert "moments could be judged" in text_of(told)
    found = told.session_state["uploaded"]
    assert 13 * 288 < sum(one.rows for one in found.people) <= 14 * 288
    assert b"data:image/png;base64," in found.report
    assert found.people[0].ahead is not None


@pytest.mark.slow
def test_a_fitbit_export_is_judged_over_the_api_as_it_is_here(house: House, tmp_path: Path) -> None:
    reader = without_run(house, tmp_path)
    files = export(2, fast_hours=(10, 14))
    found = upload.read_there(files, reader.judged, replace(house.ward.settings, root=ROOT), house.ward.clock.ms)
    here = upload.read(files, house.visitor("read").models(), ROOT, house.ward.clock.ms)
    (over,), (ours,) = found.people, here.people

    assert found.books["read"] == here.books["read"] == sum(content.count(b"\n") - 1 for content in files.values())
    assert (ours.rows, ours.own) == (over.rows, over.own)
    assert ours.coverage == over.coverage
    assert over.assessable == pytest.approx(ours.assessable, abs=2)
    both = [
        (a, b) for a, b in zip(ours.course.score, over.course.score, strict=True) if a is not None and b is not None
    ]
    assert sum(abs(a - b) < 0.05 for a, b in both) > 0.85 * len(both) > 300  # what lies within a step is not sent
    assert {one["channel"] for one in over.alarms} == {one["channel"] for one in ours.alarms} >= {"unusual"}
    assert over.alarms[0].keys() >= {"person", "start", "end", "kind", "channel", "priority", "explanation"}


def door() -> None:
    import streamlit as st

    from vitalwatch.ui.pages.door import admitted, sign_in, sign_out

    found, refused = admitted(st.session_state["api"], None)
    if found is None:
        sign_in(refused)
    else:
        st.session_state["source"] = found
        st.title("In")
        sign_out()


def at_the_door(house: House) -> AppTest:
    told = AppTest.from_function(door, default_timeout=60)
    told.session_state["api"] = house.api
    return told.run()


def test_a_visitor_signs_in_with_a_key_and_out_again(house: House) -> None:
    told = at_the_door(house)
    assert ["vitalwatch"] == [one.value for one in told.title]
    key = house.key("read", "ack")
    told.text_input[0].set_value(key)
    told.button(key="FormSubmitter:sign-in-Sign in").click().run()

    assert ["In"] == [one.value for one in told.title]
    assert f"Signed in as {key.split('_')[1]}: ack, read." in text_of(told)
    assert key not in str(told.main)
    assert not told.query_params


@pytest.mark.parametrize(("scopes", "word"), [((), "unknown, or its time is over"), (("ingest",), "no scope")])
def test_who_may_not_look_is_told_why(house: House, scopes: tuple[str, ...], word: str) -> None:
    told = at_the_door(house)
    told.text_input[0].set_value(house.key(*scopes) if scopes else "vw_wrong")
    told.button(key="FormSubmitter:sign-in-Sign in").click().run()

    assert word in text_of(told)
    assert "vw_wrong" not in text_of(told)
    assert ["vitalwatch"] == [one.value for one in told.title]


def test_a_key_that_ended_is_told_and_named_nowhere(house: House) -> None:
    with pytest.raises(SignedOut) as told:
        house.api.with_key("vw_000000000000_" + "a" * 43).people()

    assert "Sign in again" in str(told.value)
    assert "vw_" not in str(told.value)


def test_an_api_without_keys_asks_nobody_on_this_machine(house: House) -> None:
    ward = house.ward
    app = create_app(ward.settings, engine=ward.engine, bound=lambda: ["127.0.0.1"])
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        app.state.desk.access._closed = (float("inf"), False)  # as a database without keys
        told = There("http://127.0.0.1", "", ward.settings, client=client, now=ward.clock).known()

    assert (frozenset(access.SCOPES), False, "") == (told.scopes, told.key_needed, told.visitor)

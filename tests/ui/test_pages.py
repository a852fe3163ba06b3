"""Every page by AppTest: what it says, in all the states that it has words for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from serving_world import OTHER, RUN, Ward, messages
from tiny import ROOT, somebody
from ui.world import EVIL
from vitalwatch.alerting.rules import version_of
from vitalwatch.tables import DAY, MINUTE
from vitalwatch.ui import quality
from vitalwatch.ui.here import Here
from vitalwatch.ui.plain import JOINER

ROWS = 700
BROKEN = b'{"person": "a", "time": "2026-01-05T10:00:00Z", "heart_rate": NaN}'


def ward_page() -> None:
    from vitalwatch.ui.pages import ward

    ward.show()


def person_page() -> None:
    from vitalwatch.ui.pages import person

    person.show()


def try_page() -> None:
    from vitalwatch.ui.pages import try_it

    try_it.show()


def data_page() -> None:
    from vitalwatch.ui.pages import your_data

    your_data.show()


def models_page() -> None:
    from vitalwatch.ui.pages import models

    models.show()


def quality_page() -> None:
    from vitalwatch.ui.pages import data_quality

    data_quality.show()


PAGES = (ward_page, person_page, try_page, data_page, models_page, quality_page)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: tuple[Path, Path]) -> Iterator[tuple[Ward, Here]]:
    ward = Ward(tmp_path_factory.mktemp("page"), tiny_bundle)
    ward.engine.close()
    ward.place.add_run(OTHER, tiny_bundle, promote=False)
    readings = somebody(1).readings.rows(slice(0, ROWS))
    ward.clock.ms = int(readings.time[-1]) + 6 * MINUTE
    here = Here(ward.settings, now=ward.clock)
    ward.engine = here.engine
    ward.send([*messages(readings), BROKEN])
    yield ward, here
    here.close()


def shown(show: Callable[[], None], ward: Ward, here: Here) -> AppTest:
    told = AppTest.from_function(show, default_timeout=60)
    told.session_state["source"] = here
    told.session_state["settings"] = replace(ward.settings, root=ROOT)  # where schema.yaml is
    told.run()
    assert not told.exception
    return told


def text_of(told: AppTest) -> str:
    parts = [
        *told.markdown,
        *told.caption,
        *told.text,
        *told.warning,
        *told.info,
        *told.error,
        *told.success,
        *told.title,
        *told.subheader,
    ]
    return "\n".join(str(part.value) for part in parts).replace("\\", "").replace(JOINER, "")


@pytest.mark.parametrize("show", PAGES)
def test_every_page_shows_something(show: Callable[[], None], world: tuple[Ward, Here]) -> None:
    told = shown(show, *world)

    assert 1 == len(told.title)
    assert not told.error


@pytest.mark.parametrize("show", PAGES)
def test_every_page_shows_something_without_a_run(show: Callable[[], None], tmp_path: Path) -> None:
    ward = Ward(tmp_path, None)
    here = Here(ward.settings, now=ward.clock)
    try:
        told = shown(show, ward, here)
    finally:
        here.close()
        ward.engine.close()

    assert not told.error


def test_the_ward_says_how_old_what_it_shows_is(world: tuple[Ward, Here]) -> None:
    ward, here = world
    before = ward.clock.ms
    try:
        fresh = text_of(shown(ward_page, ward, here))
        ward.clock.ms = before + 2 * DAY
        old = text_of(shown(ward_page, ward, here))
    finally:
        ward.clock.ms = before

    assert "Nothing new has come" not in fresh
    assert "Nothing new has come from anybody for 2 days" in old
    assert "Stale" in old


def test_the_person_page_says_that_what_it_shows_is_stale(world: tuple[Ward, Here]) -> None:
    ward, here = world
    before = ward.clock.ms
    try:
        ward.clock.ms = before + 20 * MINUTE
        assert "Stale: the newest data are from 21 min ago" in text_of(shown(person_page, ward, here))
    finally:
        ward.clock.ms = before


def test_an_alarm_is_acknowledged_by_its_button(world: tuple[Ward, Here]) -> None:
    ward, here = world
    told = shown(person_page, ward, here)
    button = next(one for one in told.button if one.key and one.key.startswith("acknowledge-") and not one.disabled)
    button.click().run()
    alarm = next(
        one for one in here.alarms(here.people()[0].person) if one["id"] == button.key.removeprefix("acknowledge-")
    )

    assert not told.exception
    assert alarm["state"] in ("acknowledged", "resolved")


def test_limits_of_a_person_are_saved_and_the_wrong_way_round_refused(world: tuple[Ward, Here]) -> None:
    ward, here = world
    person = here.people()[0].person
    told = shown(person_page, ward, here)
    low, high = (f"{person}-{{}}-heart_rate-{side}" for side in ("low", "high"))
    told.number_input(key=low.format(version_of(here.personal(person)))).set_value(48.0)
    told.button(key="FormSubmitter:personal-Save").click().run()

    assert {"low": 48.0} == here.personal(person)["limits"]["heart_rate"]
    told.number_input(key=high.format(version_of(here.personal(person)))).set_value(40.0)
    told.button(key="FormSubmitter:personal-Save").click().run()
    assert "the lower limit must be below the upper one" in text_of(told)


def test_what_a_colleague_set_meanwhile_is_not_overwritten_but_told(world: tuple[Ward, Here]) -> None:
    ward, here = world
    person = here.people()[0].person
    here.set_personal(person, {"limits": {"heart_rate": {"low": 45.0, "high": 125.0}}}, here.personal(person))
    told = shown(person_page, ward, here)
    theirs = {
        "limits": {"heart_rate": {"low": 50.0, "high": 110.0}, "oxygen_saturation": {"low": 90.0}},
        "oxygen_scale": 2,
    }
    here.set_personal(person, theirs, here.personal(person))
    told.button(key="FormSubmitter:personal-Save").click().run()

    assert theirs == here.personal(person)
    assert "Not saved: somebody else changed this person's settings meanwhile." in text_of(told)
    assert "Heart rate: low 50, high 110 bpm (it was: low 45, high 125 bpm)" in text_of(told)
    key = f"{person}-{version_of(theirs)}"
    assert (50.0, 2) == (told.number_input(key=f"{key}-heart_rate-low").value, told.radio(key=f"{key}-scale").value)

    told.button(key="FormSubmitter:personal-Save").click().run()
    assert "Saved." in text_of(told)
    assert theirs["limits"] == here.personal(person)["limits"]
    here.set_personal(person, {}, here.personal(person))


def test_somebody_is_discharged_after_a_question_and_leaves_the_ward(world: tuple[Ward, Here]) -> None:
    ward, here = world
    (before,) = here.people()
    ward.send(messages(somebody(0).readings.rows(slice(0, 2)), "leaving"))
    (new,) = [one for one in here.people() if one.person != before.person]
    told = shown(person_page, ward, here)
    told.selectbox[0].set_value(new.person).run()
    next(one for one in told.button if "Discharge this person" == one.label).click().run()
    assert "Discharge leaving?" in text_of(told)
    assert 2 == len(here.people())

    told.button(key="yes-discharge").click().run()
    assert not told.exception
    assert "Discharged." in text_of(told)
    assert [before.person] == [one.person for one in here.people()]


def test_an_own_rule_is_tried_saved_changed_and_removed(world: tuple[Ward, Here]) -> None:
    ward, here = world
    person = here.people()[0].person
    told = shown(person_page, ward, here)
    told.selectbox(key=f"{person}--0-kind").set_value("mean").run()
    told.number_input(key=f"{person}--0-mean-heart_rate-True-at").set_value(41.0)
    told.selectbox(key=f"{person}--0-over").set_value("1d")
    told.selectbox(key=f"{person}--lasts").set_value("0min").run()
    told.button(key=f"{person}-try-rule").click().run()
    assert "it would have raised 1 alarm;" in text_of(told)
    assert "Nothing is saved yet." in text_of(told)
    assert not here.personal(person).get("own")

    told.button(key=f"{person}-save-rule").click().run()
    assert "Saved: Own rule 1." in text_of(told)
    assert {"mean": "heart_rate", "above": 41.0, "over": "1d", "hysteresis": 5.0} == here.personal(person)["own"][
        "own_1"
    ]["when"]
    assert "Mean heart rate over 1d above 41 bpm; medium priority." in text_of(told)

    told.button(key=f"{person}-change-own_1").click().run()
    told.number_input(key=f"{person}-own_1-0-mean-heart_rate-True-at").set_value(200.0).run()
    told.button(key=f"{person}-save-rule").click().run()
    assert "it would have raised 0 alarms;" in text_of(told)

    told.button(key=f"{person}-remove-own_1").click().run()
    assert "Remove Own rule 1?" in text_of(told)
    told.button(key="yes-remove-rule").click().run()
    assert "Removed: Own rule 1." in text_of(told)
    assert not here.personal(person)["own"]


def test_two_conditions_together_and_a_rule_in_place_of_everybodys(world: tuple[Ward, Here]) -> None:
    ward, here = world
    person = here.people()[0].person
    told = shown(person_page, ward, here)
    told.selectbox(key=f"{person}--join").set_value("all").run()
    for i, vital in enumerate(("heart_rate", "body_temperature")):
        told.selectbox(key=f"{person}--{i}-kind").set_value("usual").run()
        told.selectbox(key=f"{person}--{i}-usual-vital").set_value(vital).run()
    told.button(key=f"{person}-save-rule").click().run()
    told.selectbox(key=f"{person}-own-rule").set_value("news2").run()
    told.number_input(key=f"{person}-news2-0-total-heart_rate-True-at").set_value(7.0).run()
    told.button(key=f"{person}-save-rule").click().run()
    own = here.personal(person)["own"]
    here.set_personal(person, {}, here.personal(person))

    assert [("heart_rate", 2.5), ("body_temperature", 2.5)] == [(t["usual"], t["above"]) for t in own["own_1"]["all"]]
    assert ({"news2": "total", "at_least": 7.0}, {"high": 7}) == (own["news2"]["when"], own["news2"]["louder"])
    assert not told.error


def test_the_form_says_what_is_unusual(world: tuple[Ward, Here]) -> None:
    told = shown(try_page, *world)
    told.number_input(key="unusual-oxygen_saturation").set_value(84.0)
    told.button(key="FormSubmitter:unusual-Judge").click().run()

    assert "normal moments look at least as unusual" in text_of(told)
    assert "NEWS2" in text_of(told)


def test_the_form_predicts_and_forecasts(world: tuple[Ward, Here]) -> None:
    told = shown(try_page, *world)
    told.button(key="FormSubmitter:expected-Predict").click().run()
    rest = [metric.value for metric in told.metric]
    told.text_area[0].set_value("60 oops")
    told.button(key="FormSubmitter:forecast-Forecast").click().run()

    assert 1 == len(rest)
    assert rest[0].endswith(" bpm")
    assert "Number 2 cannot be read" in text_of(told)


def test_production_is_moved_after_a_yes_and_what_stands_against_it_is_said(world: tuple[Ward, Here]) -> None:
    ward, here = world
    told = shown(models_page, ward, here)
    told.button(key="FormSubmitter:move-Roll back to the run before").click().run()
    assert "Write why" in text_of(told)
    told.text_input[0].set_value(EVIL)
    told.button(key="FormSubmitter:move-Roll back to the run before").click().run()
    assert f"Roll back from run {RUN}" in text_of(told)
    told.button(key="yes-move").click().run()

    assert "was not found" in text_of(told)  # there is none before; the reason is nowhere but in its field
    assert "onerror" not in text_of(told)


def test_a_no_moves_nothing(world: tuple[Ward, Here], tiny_bundle: tuple[Path, Path]) -> None:
    ward, here = world
    told = shown(models_page, ward, here)
    told.selectbox(key="run").set_value(OTHER).run()
    told.text_input[0].set_value("better")
    told.button(key="FormSubmitter:move-Promote this run").click().run()
    assert f"Put run {OTHER} into production in place of {RUN}" in text_of(told)
    told.button(key="no-move").click().run()

    assert RUN == here.engine.run()
    assert "Put run" not in text_of(told)


def test_a_run_is_promoted_by_a_yes(world: tuple[Ward, Here]) -> None:
    ward, here = world
    told = shown(models_page, ward, here)
    told.selectbox(key="run").set_value(OTHER).run()
    told.text_input[0].set_value("better")
    told.button(key="FormSubmitter:move-Promote this run").click().run()
    told.button(key="yes-move").click().run()
    there = here.engine.run()
    here.rollback("as before")

    assert OTHER == there
    assert f"Run {OTHER} is in production; it answers from now on." in text_of(told)


def test_another_medicine_is_written_down_after_a_yes_and_shown(world: tuple[Ward, Here]) -> None:
    ward, here = world
    person = here.people()[0].person
    told = shown(person_page, ward, here)
    told.multiselect(key=f"{person}-medication").set_value(["beta_blocker"]).run()
    next(one for one in told.button if one.label == "Medication changed").click().run()
    assert "Begin this person" in text_of(told)
    told.button(key="yes-change").click().run()

    assert ["beta_blocker"] == list(here.profile(person)["medication"])
    assert "other medication. Own normal begins anew there." in text_of(told)


def test_refused_readings_are_told_by_reason_and_run_again_after_a_yes(world: tuple[Ward, Here]) -> None:
    told = shown(quality_page, *world)
    next(one for one in told.button if one.label.startswith("Run them")).click().run()
    told.button(key="yes-replay").click().run()

    assert ["not finite"] == told.dataframe[0].value["Reason"].tolist()
    assert "1 run through today's rules: 0 accepted, 1 not finite stay refused." in text_of(told)


def test_what_alarms_cost_stands_on_the_data_quality_page(world: tuple[Ward, Here]) -> None:
    ward, here = world
    told = shown(quality_page, ward, here)
    cost = here.burden(7)

    assert str(cost["alerts"]) == {one.label: one.value for one in told.metric}["Alarms"]
    assert [quality.title(name) for name in cost["rules"]] in [
        list(frame.value.get("Rule", ())) for frame in told.dataframe
    ]


@pytest.mark.slow
def test_the_sample_is_read_and_told(world: tuple[Ward, Here]) -> None:
    told = shown(data_page, *world)
    told.button[1].click().run(timeout=120)

    assert "moments could be judged" in text_of(told)
    assert not told.exception

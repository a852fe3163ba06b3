"""The early warning on the page: in plain words where the run learnt one, and no word of it where it did not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_world import Ward, messages
from tiny import somebody
from ui.test_pages import person_page, shown, text_of, try_page
from vitalwatch.settings import Settings
from vitalwatch.tables import MINUTE
from vitalwatch.ui import there, trying
from vitalwatch.ui.here import Here
from warning_world import write_warned

ROWS = 400
TOLD = {
    "time": "2026-01-05T08:00:00Z",
    "risks": [{"of": "sepsis", "told": "sepsis within 6 hours", "within_hours": 6, "probability": 0.034}],
    "used": ["heart_rate", "age"],
    "missing": ["lactate"],
    "message": "For a clinician who looks again.",
}


def test_a_risk_is_told_with_what_it_rests_on_and_lacks(settings: Settings) -> None:
    first, second, third = trying.risk_words(TOLD, settings.schema)

    assert "Risk of sepsis within 6 hours: 3.4% (about 1 in 29)." == first
    assert "From heart rate, age. Not known: lactate." == second
    assert TOLD["message"] == third
    assert [] == trying.risk_words(None, settings.schema)


def test_of_many_inputs_that_are_not_known_a_few_are_named(settings: Settings) -> None:
    lacking = {**TOLD, "missing": list(settings.schema.care)}

    assert trying.risk_words(lacking, settings.schema)[1].endswith(" and more.")
    assert trying.MISSING == trying.risk_words(lacking, settings.schema)[1].partition("Not known")[2].count(",") + 1


def test_an_api_of_before_tells_none() -> None:
    assert there._warning({}) is None
    assert TOLD == there._warning({"early_warning": TOLD})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: tuple[Path, Path]) -> Iterator[tuple[Ward, Here]]:
    warned = write_warned(tmp_path_factory.mktemp("warned"), tiny_bundle)
    ward = Ward(tmp_path_factory.mktemp("page"), warned)
    ward.engine.close()
    readings = somebody(1).readings.rows(slice(0, ROWS))
    ward.clock.ms = int(readings.time[-1]) + 6 * MINUTE
    here = Here(ward.settings, now=ward.clock)
    ward.engine = here.engine
    ward.send(messages(readings))
    yield ward, here
    here.close()


def test_the_person_page_and_the_form_show_it(world: tuple[Ward, Here]) -> None:
    person = shown(person_page, *world)
    form = shown(try_page, *world)
    (judge,) = [button for button in form.button if button.label == "Judge"]
    judge.click().run()

    for told in (person, form):
        assert "Risk of sepsis within 6 hours: 25%." in text_of(told)
        assert "no diagnosis" in text_of(told)

"""A damaged run in production at a start: the newest earlier one that passes every check answers, and it is said so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_world import Api
from serving_world import OTHER, REFUSED, RUN, Ward, messages, refused_bundle
from tiny import somebody
from vitalwatch.alerting.watchdog import SYSTEM
from vitalwatch.errors import NoModelYet
from vitalwatch.production import TRY_AGAIN, Production
from vitalwatch.ui.here import Here
from vitalwatch.ui.there import There

THIRD = "000000000003"
PATHS = ("models/forest.onnx", "models/manifest.json", "manifest.json", "reports/report.html")


@pytest.fixture
def ward(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Iterator[Ward]:
    """Three runs were promoted, one after the other."""
    ward = Ward(tmp_path, tiny_bundle)
    ward.place.add_run(OTHER, tiny_bundle)
    ward.place.add_run(THIRD, tiny_bundle)
    yield ward
    ward.engine.close()


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def damage(ward: Ward, run: str, name: str = PATHS[0]) -> bytes:
    """Change the last byte of a file of a run, and return what it was."""
    path = ward.place.store.folder(run) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    return whole


def started(ward: Ward, clock: Time | None = None) -> Production:
    """What a process that starts now serves."""
    trusted = [ward.settings.path(path) for path in ward.settings.config.signing.trusted]
    return Production(ward.place.store, trusted, clock=clock or Time())


def test_a_whole_run_in_production_answers_and_nothing_is_said(ward: Ward) -> None:
    production = started(ward)

    assert (THIRD, "", "") == (production.served().run, production.fallback, production.problem)


@pytest.mark.parametrize("name", PATHS[:3])
def test_at_a_start_the_newest_earlier_run_answers_in_place_of_a_damaged_one(ward: Ward, name: str) -> None:
    damage(ward, THIRD, name)
    production = started(ward)

    assert OTHER == production.served().run == production.fallback
    assert THIRD in production.problem


@pytest.mark.parametrize("name", PATHS)
def test_an_earlier_run_that_is_damaged_anywhere_is_passed_over(ward: Ward, name: str) -> None:
    damage(ward, THIRD)
    damage(ward, OTHER, name)

    assert RUN == started(ward).served().run


def test_a_run_signed_by_a_stranger_does_not_answer(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> None:
    from vitalwatch import bundle

    ward = Ward(tmp_path, tiny_bundle)
    strange = bundle.SigningKey.load_or_create(tmp_path / "stranger.key")
    models = tmp_path / "strange"
    models.mkdir()
    for path in tiny_bundle[0].iterdir():
        (models / path.name).write_bytes(path.read_bytes())
    (models / bundle.SIGNATURE).write_bytes(strange.sign((models / bundle.MANIFEST).read_bytes()))
    ward.place.add_run(OTHER, (models, tiny_bundle[1]))

    assert RUN == started(ward).served().run
    ward.engine.close()


def test_a_run_that_was_rolled_back_from_is_no_earlier_one(ward: Ward) -> None:
    ward.place.store.rollback("it was bad")
    damage(ward, OTHER)

    assert RUN == started(ward).served().run


def test_a_run_that_was_rolled_back_from_answers_where_no_other_opens(tmp_path: Path, tiny_bundle) -> None:
    ward = Ward(tmp_path, refused_bundle(tmp_path / "old", tiny_bundle, "format"))
    ward.place.add_run(OTHER, tiny_bundle)
    ward.place.store.rollback("by a version that could read it")
    production = started(ward)

    assert OTHER == production.served().run == production.fallback
    assert REFUSED["format"] in production.problem
    ward.engine.close()


def test_without_any_whole_run_nothing_answers_and_one_that_is_mended_does(ward: Ward) -> None:
    whole = {run: damage(ward, run) for run in (RUN, OTHER, THIRD)}
    clock = Time()
    production = started(ward, clock)
    with pytest.raises(NoModelYet, match=THIRD):
        production.served()
    assert "" == production.fallback
    (ward.place.store.folder(RUN) / PATHS[0]).write_bytes(whole[RUN])
    clock.now += TRY_AGAIN

    assert RUN == production.served().run


def test_a_pointer_that_cannot_be_read_leaves_the_newest_run_of_the_history(ward: Ward) -> None:
    ward.place.store.pointer.write_bytes(b'{"run":')

    assert THIRD == started(ward).served().run


def test_production_answers_again_once_it_is_whole(ward: Ward) -> None:
    whole, clock = damage(ward, THIRD), Time()
    production = started(ward, clock)
    assert OTHER == production.served().run
    (ward.place.store.folder(THIRD) / PATHS[0]).write_bytes(whole)
    assert OTHER == production.served().run
    clock.now += TRY_AGAIN

    assert (THIRD, "") == (production.served().run, production.fallback)


def test_another_run_that_is_promoted_answers_at_once(ward: Ward) -> None:
    damage(ward, THIRD)
    production = started(ward)
    assert OTHER == production.served().run
    ward.place.store.promote(RUN, "the one that is whole")

    assert (RUN, "") == (production.served().run, production.fallback)


def test_it_is_logged_once_and_loudly(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    damage(ward, THIRD)
    clock = Time()
    production = started(ward, clock)
    for _ in range(3):
        production.served()
        clock.now += TRY_AGAIN

    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert 1 == len(told)
    assert OTHER in told[0]
    assert THIRD in told[0]


def test_a_ward_is_scored_by_the_earlier_run_and_told_on_every_surface(ward: Ward) -> None:
    whole = damage(ward, THIRD)
    ward.again()
    readings = somebody(0).readings.rows(slice(0, 60))
    ward.clock.ms = int(readings.time[-1]) + 1000
    ward.send(messages(readings))
    person = ward.engine.person("anna")
    ward.engine.tick()
    api = Api(ward.settings, ward.engine)
    model, ready = api.ask("GET", "/model").json, api.ask("GET", "/health/ready")

    assert (OTHER, False) == (person.run, person.behind)
    (alarm,) = [one for one in ward.engine.alarms() if one["rule"] == "model_fallback"]
    assert (SYSTEM, "technical", "medium") == (alarm["person"], alarm["category"], alarm["priority"])
    assert OTHER in alarm["explanation"]
    assert (OTHER, True) == (model["run"], model["fallback"])
    assert 200 == ready.status
    assert OTHER in ready.json["causes"]["model_refused"]

    (ward.place.store.folder(THIRD) / PATHS[0]).write_bytes(whole)
    ward.engine.production._again = 0.0
    ward.engine.catch_up()
    ward.engine.tick()
    assert THIRD == ward.engine.person("anna").run
    assert [] == [one for one in ward.engine.alarms() if one["rule"] == "model_fallback"]
    assert not api.ask("GET", "/model").json["fallback"]
    assert {} == api.ask("GET", "/health/ready").json["causes"]
    api.close()


def test_the_page_says_so_alone_and_on_an_api(ward: Ward) -> None:
    from fastapi.testclient import TestClient

    from vitalwatch.api.app import create_app

    whole = damage(ward, THIRD)
    ward.engine.close()
    here = Here(ward.settings, now=ward.clock)
    app = create_app(ward.settings, engine=here.engine, bound=lambda: ["127.0.0.1"])
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        there = There("http://127.0.0.1", "", ward.settings, client=client, now=ward.clock)
        assert "" == here.problem() == there.problem()
        assert here.fallback() == there.fallback()
        assert OTHER in here.fallback()
        (ward.place.store.folder(THIRD) / PATHS[0]).write_bytes(whole)
        here.engine.production._again = 0.0
        here.engine.run()
        assert "" == here.fallback() == there.fallback()
    here.close()

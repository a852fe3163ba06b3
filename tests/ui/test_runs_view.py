from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_world import Place
from tiny import ROOT
from vitalwatch.errors import BundleRefused, NotFound
from vitalwatch.settings import Settings, load_settings
from vitalwatch.ui import runs

A, B = "00000000000a", "00000000000b"


@pytest.fixture
def place(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Place:
    place = Place(tmp_path)
    place.add_run(A, tiny_bundle)
    place.add_run(B, tiny_bundle)
    return place


def settings_of(place: Place) -> Settings:
    return load_settings(ROOT, environment="base", config=place.config)


def test_the_run_in_production_stands_first(place: Place) -> None:
    place.store.promote(A, "back")

    assert [A, B] == runs.names(place.store)


def test_a_run_is_told_with_card_gates_and_history(place: Place) -> None:
    told = runs.shown(place.store, B)

    assert told.live
    assert "medical device" in dict(told.card)["purpose"]
    assert 1 == len(told.gates.rows)
    assert [B, A] == [change.run for change in runs.history(place.store)]


def test_a_promotion_keeps_its_reason(place: Place) -> None:
    told = runs.promote(place.store, settings_of(place), A, "  better at night " + "x" * 300)

    assert f"Run {A} is in production." == told
    assert runs.history(place.store)[0].why.startswith("better at night xxx")
    assert len(runs.history(place.store)[0].why) < 230


def test_a_rollback_goes_back(place: Place) -> None:
    assert f"Run {A} is in production again." == runs.rollback(place.store, "")
    assert A == place.store.production()


def test_a_damaged_run_is_not_promoted(place: Place) -> None:
    damaged = place.store.folder(A) / "models" / "forest.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")

    with pytest.raises(BundleRefused):
        runs.promote(place.store, settings_of(place), A, "why")
    assert B == place.store.production()


def test_an_unknown_run_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        runs.shown(place.store, "../../etc")


def test_pictures_of_an_evaluation_are_drawn_where_it_was_judged() -> None:
    channel = {"event_f1": {"value": 0.5, "low": 0.4, "high": 0.6}}
    drawn = runs.pictures(json.loads(json.dumps({"detection": {"channels": {"known": channel}}})))

    assert ["Event F1 of our channels and the lines to beat."] == [picture.caption for picture in drawn]

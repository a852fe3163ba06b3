from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving_world import OTHER, RUN, Ward
from vitalwatch.ui import runs


@pytest.fixture
def ward(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Ward:
    ward = Ward(tmp_path, tiny_bundle)
    ward.place.add_run(OTHER, tiny_bundle)
    ward.engine.close()
    return ward


def test_a_run_is_told_with_card_and_gates(ward: Ward) -> None:
    told = runs.shown(ward.engine.promotion.told(OTHER))

    assert told.live
    assert "medical device" in dict(told.card)["purpose"]
    assert 1 == len(told.gates.rows)


def test_the_history_has_who_only_where_it_is_told() -> None:
    change = {"at": "2026-01-05", "what": "promoted", "run": RUN, "why": "better", "who": "anna@ward"}

    assert ["When", "What", "Run", "Why", "Who"] == list(runs.history([change]))
    del change["who"]
    assert ["When", "What", "Run", "Why"] == list(runs.history([change]))


def test_a_move_is_asked_for_and_told_in_words() -> None:
    assert f"Put run {OTHER} into production in place of {RUN}?" == runs.question(OTHER, RUN)
    assert runs.question("", RUN).startswith(f"Roll back from run {RUN}")
    assert "nothing was moved" in runs.moved(RUN, done=False)
    assert f"Run {RUN} is in production again; it answers from now on." == runs.moved(RUN, done=True, back=True)


def test_pictures_of_an_evaluation_are_drawn_where_it_was_judged() -> None:
    channel = {"event_f1": {"value": 0.5, "low": 0.4, "high": 0.6}}
    drawn = runs.pictures(json.loads(json.dumps({"detection": {"channels": {"known": channel}}})))

    (picture,) = drawn
    assert picture.caption.startswith("Event F1 of our channels as served and the lines to beat")

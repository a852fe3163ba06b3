"""Moving production while it serves: checked, gated, written down, answered from then on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from serving_world import OTHER, REFUSED, RUN, Ward, refused_bundle
from vitalwatch.database.tables import audit
from vitalwatch.errors import BundleRefused, GatesFailed, NoEarlierRun, NotFound
from vitalwatch.promotion import failed_gates


@pytest.fixture
def ward(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle)
    ward.place.add_run(OTHER, tiny_bundle, promote=False)
    yield ward
    ward.engine.close()


def audited(ward: Ward) -> list[tuple[str, str, str]]:
    with ward.engine.database.reading() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action, audit.c.object).order_by(audit.c.no)).all()
    return [tuple(row) for row in rows]


def test_the_run_in_production_stands_first(ward: Ward) -> None:
    assert [(RUN, True, "passed"), (OTHER, False, "passed")] == [
        (one["run"], one["live"], one["gates"]) for one in ward.engine.promotion.runs()
    ]


def test_a_promoted_run_answers_at_once_and_stands_in_history_and_audit(ward: Ward) -> None:
    ward.engine.monitor()
    change = ward.engine.promotion.promote(OTHER, "better at night " + "x" * 300, "key-1")

    assert change is not None
    assert (OTHER, RUN, "key-1", 200) == (change.run, change.previous, change.who, len(change.why))
    assert OTHER == ward.engine.run()
    assert [("key-1", "run.promote", OTHER)] == audited(ward)
    assert ward.engine.promotion.promote(OTHER, "again", "key-1") is None


def test_a_rollback_goes_back_and_without_an_earlier_run_says_so(ward: Ward) -> None:
    with pytest.raises(NotFound):
        ward.engine.promotion.rollback("why", "key-1")
    ward.engine.promotion.promote(OTHER, "why", "key-1")

    assert RUN == ward.engine.promotion.rollback("worse", "key-2").run
    assert RUN == ward.engine.run()
    assert ("key-2", "run.rollback", RUN) == audited(ward)[-1]


@pytest.mark.parametrize("how", REFUSED)
def test_production_is_not_rolled_back_to_a_whole_run_that_does_not_open(tmp_path: Path, tiny_bundle, how: str) -> None:
    ward = Ward(tmp_path, refused_bundle(tmp_path / "old", tiny_bundle, how))
    ward.place.add_run(OTHER, tiny_bundle)
    assert OTHER == ward.engine.run()
    before = ward.place.store.pointer.read_bytes()

    with pytest.raises(NoEarlierRun, match=f"{RUN}: {re.escape(REFUSED[how])}"):
        ward.engine.promotion.rollback("worse", "key-1")
    assert before == ward.place.store.pointer.read_bytes()
    assert OTHER == ward.again().run()
    ward.engine.close()


def test_a_rollback_passes_over_a_run_that_does_not_open(ward: Ward, tmp_path: Path, tiny_bundle) -> None:
    third = "000000000003"
    ward.place.add_run(third, refused_bundle(tmp_path / "old", tiny_bundle, "format"))
    ward.place.store.promote(OTHER, "mended")

    assert RUN == ward.engine.promotion.rollback("worse", "key-1").run
    assert RUN == ward.again().run()


def test_a_run_that_failed_a_gate_is_not_promoted_and_the_gate_is_named(ward: Ward, tiny_bundle) -> None:
    third = "000000000003"
    ward.place.add_run(third, tiny_bundle, passed=False, promote=False)

    with pytest.raises(GatesFailed, match="event_f1_unusual"):
        ward.engine.promotion.promote(third, "why", "key-1")
    assert RUN == ward.engine.run()
    assert [("key-1", "run.refuse", third)] == audited(ward)


def test_a_run_that_was_never_judged_failed_that() -> None:
    assert ["judged"] == failed_gates({})
    assert [] == failed_gates({"gates": [{"name": "a", "passed": True}, {"name": "b", "passed": None}]})


def test_a_damaged_run_is_not_promoted(ward: Ward) -> None:
    damaged = ward.place.store.folder(OTHER) / "models" / "forest.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")

    with pytest.raises(BundleRefused):
        ward.engine.promotion.promote(OTHER, "why", "key-1")
    assert RUN == ward.engine.run()


@pytest.mark.parametrize("run", ["../../etc", "nothing", ""])
def test_an_unknown_run_is_not_found_and_its_name_not_written_down_as_sent(ward: Ward, run: str) -> None:
    with pytest.raises(NotFound):
        ward.engine.promotion.told(run)
    with pytest.raises(NotFound):
        ward.engine.promotion.promote(run, "why", "key-1")

    assert all("/" not in told for _, _, told in audited(ward))

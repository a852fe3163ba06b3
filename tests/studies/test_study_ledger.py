from __future__ import annotations

import pytest

from tiny import small_settings
from vitalwatch.errors import StoreError
from vitalwatch.studies.ledger import Ledger, identity
from vitalwatch.studies.people import with_params


def test_a_result_is_made_once(tmp_path):
    made = []

    def make() -> dict:
        made.append(1)
        return {"name": "of its own", "value": len(made)}

    ledger = Ledger(tmp_path, "a" * 64)
    first, again = ledger.result("x", make), Ledger(tmp_path, "a" * 64).result("x", make)

    assert first == again == {"name": "of its own", "value": 1}
    assert [1] == made


def test_another_study_and_another_name_have_results_of_their_own(tmp_path):
    Ledger(tmp_path, "a" * 64).result("x", lambda: {"value": 1})

    assert {"value": 2} == Ledger(tmp_path, "b" * 64).result("x", lambda: {"value": 2})
    assert {"value": 3} == Ledger(tmp_path, "a" * 64).result("y", lambda: {"value": 3})


def test_a_damaged_result_is_made_anew(tmp_path):
    ledger = Ledger(tmp_path, "a" * 64)
    ledger.result("x", lambda: {"value": 1})
    ledger.place("x").write_text('{"name": "x", "resu')

    assert {"value": 2} == ledger.result("x", lambda: {"value": 2})


def test_what_fails_leaves_nothing(tmp_path):
    ledger = Ledger(tmp_path, "a" * 64)

    with pytest.raises(ZeroDivisionError):
        ledger.result("x", lambda: {"value": 1 // 0})
    assert [] == list(tmp_path.rglob("*.json"))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="file"):
        Ledger(tmp_path / "file", "a" * 64).result("x", dict)


def test_settings_and_people_are_part_of_the_identity():
    settings = small_settings()
    same, more = identity(settings, {"people": 5}), identity(settings, {"people": 6})
    other = identity(with_params(settings, "detector", {"trees": 7}), {"people": 5})

    assert identity(settings, {"people": 5}) == same
    assert 3 == len({same, more, other})

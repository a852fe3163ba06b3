"""Records that every reading makes anew."""

from __future__ import annotations

from dataclasses import fields, replace

from vitalwatch.records import record


@record
class Beat:
    rate: float
    note: str = "none"


def test_a_record_is_a_dataclass_and_another_is_made_by_replace():
    assert ["rate", "note"] == [field.name for field in fields(Beat)]
    assert Beat(61.0, "none") == replace(Beat(60.0), rate=61.0)

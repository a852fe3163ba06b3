"""care: what is measured beside the vitals comes back by person and time, whatever its way to the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitalwatch import care
from vitalwatch.care import CareFile, CareGatherer, read_outcomes, write_outcomes
from vitalwatch.errors import SourceError
from vitalwatch.tables import CareRows, Outcome

NAMES = ("lactate", "urine")


def rows(*told: tuple[str, int, str, float]) -> CareRows:
    people = tuple(dict.fromkeys(person for person, *_ in told))
    return CareRows(
        people,
        np.asarray([people.index(person) for person, *_ in told], np.int32),
        np.asarray([time for _, time, *_ in told], np.int64),
        np.asarray([NAMES.index(name) for *_, name, _ in told], np.int16),
        np.asarray([value for *_, value in told], np.float32),
    )


def of(path: Path, person: str, names: tuple[str, ...] = NAMES) -> list[tuple[int, str, float]] | None:
    with CareFile(path, names) as file:
        found = file.of(person)
    if found is None:
        return None
    columns = zip(found.time.tolist(), found.what.tolist(), found.value.tolist(), strict=True)
    return [(time, found.names[what], value) for time, what, value in columns]


def written(folder: Path, *parts: CareRows, known: tuple[str, ...] = ("a", "b")) -> Path:
    gatherer = CareGatherer(folder / "spool")
    for part in parts:
        gatherer.add(part)
    gatherer.write(folder / "care.parquet", NAMES, set(known))
    return folder / "care.parquet"


def test_rows_of_several_parts_come_back_by_person_in_order_and_once(tmp_path: Path):
    first = rows(("b", 5, "lactate", 2), ("a", 9, "urine", 40), ("a", 1, "lactate", 3))
    path = written(tmp_path, first, rows(("a", 9, "urine", 40), ("a", 4, "lactate", 5)))

    assert [(1, "lactate", 3), (4, "lactate", 5), (9, "urine", 40)] == of(path, "a")
    assert [(5, "lactate", 2)] == of(path, "b")
    assert of(path, "c") is None


def test_people_of_whom_no_reading_was_accepted_are_left_out(tmp_path: Path):
    path = written(tmp_path, rows(("a", 1, "urine", 1), ("x", 1, "urine", 1)))

    assert of(path, "x") is None


def test_many_rows_go_over_files_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parts = [rows(*((person, time, "urine", time) for person in "ab")) for time in (3, 1, 2)]
    (tmp_path / "whole").mkdir()
    (tmp_path / "spooled").mkdir()
    whole = written(tmp_path / "whole", *parts)
    monkeypatch.setattr(care, "MAX_ROWS", 2)
    monkeypatch.setattr(care, "GROUP_ROWS", 1)
    spooled = written(tmp_path / "spooled", *parts)

    for person in "ab":
        assert [(1, "urine", 1), (2, "urine", 2), (3, "urine", 3)] == of(whole, person) == of(spooled, person)


def test_a_name_that_the_schema_has_no_more_is_left_out(tmp_path: Path):
    path = written(tmp_path, rows(("a", 1, "urine", 1), ("a", 1, "lactate", 2)))

    assert [(1, "lactate", 2)] == of(path, "a", ("lactate",))


def test_a_recording_without_such_a_table_has_nothing(tmp_path: Path):
    assert of(tmp_path / "care.parquet", "a") is None
    assert {} == read_outcomes(tmp_path / "outcomes.parquet")


def test_a_damaged_table_is_named(tmp_path: Path):
    path = written(tmp_path, rows(("a", 1, "urine", 1)))
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(SourceError, match="damaged"):
        of(path, "a")


def test_outcomes_come_back_by_kind_and_person(tmp_path: Path):
    write_outcomes(tmp_path / "o.parquet", [Outcome("b", "sepsis", True), Outcome("a", "sepsis", False)])

    assert {"sepsis": {"a": False, "b": True}} == read_outcomes(tmp_path / "o.parquet")

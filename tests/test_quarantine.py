"""quarantine: refused rows are kept as they came, and run through the rules again on demand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vitalwatch.quarantine import Quarantine, read_rejects, replay
from vitalwatch.reading import Reject
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings

NOW = 1_790_000_000_000
CELLS = {"person": "p1", "time": "2026-01-05T08:00:00Z", "heart_rate": "72"}


def reject(raw: bytes, form: str = "cells", reason: str = "out_of_physical_range") -> Reject:
    return Reject("a.csv", "row 2", reason, "", raw, form)  # type: ignore[arg-type]


def cells(**changes: str) -> bytes:
    return json.dumps(CELLS | changes).encode()


def test_rows_come_back_byte_by_byte_over_several_openings(tmp_path: Path):
    rows = [reject(b"\xff\x00raw", "line"), reject(cells()), reject("é".encode(), "line")]
    for row in rows:
        with Quarantine(tmp_path) as quarantine:
            quarantine.add([row])

    assert rows == list(read_rejects(tmp_path))
    assert 0o600 == (tmp_path / "rejects.jsonl").stat().st_mode & 0o777


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path):
    with Quarantine(tmp_path) as quarantine:
        quarantine.add([reject(cells())])
    with (tmp_path / "rejects.jsonl").open("ab") as file:
        file.write(b'{"reason": "empty", "det')
    with Quarantine(tmp_path) as quarantine:
        quarantine.add([reject(cells(person="p2"))])

    assert [cells(), cells(person="p2")] == [row.raw for row in read_rejects(tmp_path)]


def test_replay_takes_what_the_rules_accept_now_and_keeps_the_rest(tmp_path: Path, settings: Settings):
    rows = [
        reject(cells()),
        reject(cells(heart_rate="900")),
        reject(b'{"person":"p2","time":"2026-01-05T08:00:00+02:00","heart_rate":60}', "json"),
        reject(b"a,b,c", "line", "ragged_row"),
    ]
    with Quarantine(tmp_path) as quarantine:
        quarantine.add(rows)

    counts = replay(tmp_path, settings.schema, now_ms=NOW)

    assert {"read": 4, "accepted": 2, "out_of_physical_range": 1, "ragged_row": 1} == counts
    lines = (tmp_path / "replayed" / "readings.jsonl").read_text().splitlines()
    assert [("p1", 72.0), ("p2", 60.0)] == [
        (json.loads(line)["person"], json.loads(line)["heart_rate"]) for line in lines
    ]
    assert [rows[1].raw, rows[3].raw] == [row.raw for row in read_rejects(tmp_path)]
    assert 0 == replay(tmp_path, settings.schema, now_ms=NOW)["accepted"]
    assert lines == (tmp_path / "replayed" / "readings.jsonl").read_text().splitlines()


def test_a_wider_schema_lets_rows_in(tmp_path: Path, settings: Settings):
    with Quarantine(tmp_path) as quarantine:
        quarantine.add([reject(cells(heart_rate="270"))])
    columns = settings.schema.model_dump()
    columns["columns"]["heart_rate"]["possible"] = (20, 300)

    assert 0 == replay(tmp_path, settings.schema, now_ms=NOW)["accepted"]
    assert 1 == replay(tmp_path, Schema.model_validate(columns), now_ms=NOW)["accepted"]


def test_an_empty_quarantine_has_nothing_to_replay(tmp_path: Path, settings: Settings):
    assert {"read": 0, "accepted": 0} == replay(tmp_path, settings.schema, now_ms=NOW)


def test_rows_added_outside_a_block_are_an_error(tmp_path: Path):
    with pytest.raises(AssertionError, match="with block"):
        Quarantine(tmp_path).add([reject(cells())])

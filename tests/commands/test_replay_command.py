"""Refused rows that pass by today's rules become a recording; the run itself never changes."""

from __future__ import annotations

import json

from command_world import csv_of, day_of


def test_rows_that_pass_now_become_a_recording_that_can_be_read(served, tmp_path):
    ahead = "anna,2999-01-01T00:00:00Z,60"
    bad = "anna,2026-01-07T00:00:00Z,900"
    source = csv_of(tmp_path / "own.csv", [*day_of("anna"), ahead, bad])
    served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    folder = tmp_path / "out" / "quarantine"

    answer = served.do(
        "replay", "--folder", str(folder), "--json", sets=("schema.columns.heart_rate.possible=[20,950]",)
    )
    assert answer.code == 3
    assert answer.json["accepted"] == 1
    assert answer.json["read"] == 2
    assert answer.json["command"] == f"python main.py --source {folder / 'replayed'}"
    (row,) = [json.loads(line) for line in (folder / "replayed" / "readings.jsonl").read_text().splitlines()]
    assert row["heart_rate"] == 900

    again = served.do("score", "--source", str(folder / "replayed"), "--out", str(tmp_path / "more"))
    assert again.code == 4  # by the model's own rules it is still impossible


def test_a_run_stays_as_it_is(served, tiny_bundle, tmp_path):
    run = served.store.folder("first")
    source = csv_of(tmp_path / "own.csv", [*day_of("anna"), "anna,2026-01-07T00:00:00Z,900"])
    served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    rejects = (tmp_path / "out" / "quarantine" / "rejects.jsonl").read_bytes()
    (run / "quarantine" / "rejects.jsonl").write_bytes(rejects)

    answer = served.do("replay", "--json")
    assert answer.json["folder"] == str(served.artifacts / "replay" / "first")
    assert answer.json["recording"] is None
    assert (run / "quarantine" / "rejects.jsonl").read_bytes() == rejects
    assert served.do("replay", "--run", "first").code == 3


def test_without_refused_rows_it_says_so_and_nothing_failed(served, place, tmp_path):
    for words in (("replay",), ("replay", "--run", "first")):
        answer = served.do(*words)
        assert (0, "") == (answer.code, answer.err)
        assert "There is nothing to replay: no refused row of" in answer.out
    assert 0 == served.do("replay", "--json").json["read"]
    for words in (("replay", "--run", "another"), ("replay", "--folder", str(tmp_path))):
        answer = served.do(*words)
        assert 1 == answer.code
        assert "not found" in answer.err
    assert served.do("replay", "--run", "a", "--folder", "b").code == 2

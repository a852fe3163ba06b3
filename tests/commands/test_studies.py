"""`tune` and `compare` as commands: errors at once, tables at the end, and nothing lost in between."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time

import pytest

QUICK = (
    "synthetic.days=10",
    "regressor.rounds=8",
    "regressor.max_rows=6000",
    "detector.trees=6",
    "detector.sample=64",
    "supervised.rounds=8",
    "supervised.normal_rows=3000",
    "forecaster.epochs=1",
    "forecaster.max_windows=1500",
    "forecaster.tree_rounds=4",
    "evaluation.draws=50",
)
NEW_TRIAL, TRIAL_ENDED = b'"op_code":4', b'"op_code":6'  # of Optuna's journal
PARAMS_ASKED = re.compile(rb'"param_name":"?[^,}]*|"param_value_internal":[^,}]*')
FEW = ("--people", "6", "--calibration", "3", "--judged", "3")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tune",), "MODEL"),
        (("tune", "everything"), "no model everything"),
        (("tune", "detector", "--trials", "0"), "--trials must be at least 1"),
        (("tune", "detector", "--time", "soon"), "--time soon is no time"),
        (("tune", "detector", "--people", "3"), "at least 6 people"),
        (("tune", "detector", "--seed", "-1"), "--seed must be at least 0"),
        (("compare", "--only", "all"), "no part all"),
        (("compare", "--like", "thrice"), "No alternative of these parts is named like thrice"),
        (("compare", "--people", "0"), "--people must be at least 1"),
        (("compare", "--judged", "1"), "at least 2 people to judge"),
        (("compare", "--set", "detector.trees=0"), "detector.trees"),
    ],
)
def test_a_wrong_use_is_one_sentence_and_exit_code_two(place, words, told):
    answer = place.do(*words)

    assert 2 == answer.code
    assert told in answer.err
    assert 1 == len(answer.err.strip().splitlines())
    assert not (place.artifacts / "studies").exists()


@pytest.mark.slow
def test_a_comparison_writes_its_tables_and_judges_nothing_twice(place):
    first = place.do("compare", "--only", "detector", *FEW, "--json", sets=QUICK)
    kept = {path: path.stat().st_mtime_ns for path in (place.artifacts / "studies").rglob("*.json")}
    again = place.do("compare", "--only", "detector", *FEW, sets=QUICK)
    page = (place.artifacts / "studies" / first.json["study"] / "comparison.md").read_text()

    assert 0 == first.code == again.code
    assert 16 == len(kept) == sum(map(len, first.json["tables"].values()))
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert "forests by organ group (default)" in again.out
    assert "## Detector, labels unseen" in page
    assert str(place.folder) not in page


@pytest.mark.slow
@pytest.mark.parametrize("part", ["imbalance", "streaming", "forecaster", "compression", "share"])
def test_each_part_of_a_comparison_can_be_asked_for(place, part):
    answer = place.do("compare", "--only", part, *FEW, "--json", sets=QUICK)

    folder = place.artifacts / "studies" / answer.json["study"]

    assert 0 == answer.code
    assert all(1 < len(lines) for lines in answer.json["tables"].values())
    assert (part == "share") == (folder / "shares.svg").is_file()


@pytest.mark.slow
def test_alternatives_that_are_named_stand_alone_beside_the_first_of_their_table(place):
    answer = place.do("compare", "--only", "detector", "--like", "twice the trees", *FEW, "--json", sets=QUICK)
    (table,) = answer.json["tables"].values()

    assert 0 == answer.code
    assert ["forests by organ group (default)", "forests by group, twice the trees"] == [
        line["alternative"] for line in table
    ]
    assert place.artifacts.joinpath("studies", answer.json["study"], "comparison.md").is_file()


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_where_it_was(place):
    process = place.start("compare", "--only", "detector", *FEW, sets=QUICK)
    kept: list = []
    while len(kept) < 2 and process.poll() is None:
        kept = sorted((place.artifacts / "studies").rglob("*.json"))
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    before = {path: path.read_bytes() for path in (place.artifacts / "studies").rglob("*.json")}
    answer = place.do("compare", "--only", "detector", *FEW, "--json", sets=QUICK)

    assert 130 == process.returncode
    assert 2 <= len(before) < 16
    assert 0 == answer.code
    assert before == {path: path.read_bytes() for path in before}
    assert [] == place.left()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["detector", "supervised", "regressor", "forecaster"])
def test_every_model_can_be_tuned_and_today_is_the_first_trial(place, model):
    answer = place.do("tune", model, *FEW, "--trials", "2", "--json", sets=QUICK)
    told = answer.json

    assert 0 == answer.code
    assert 2 == told["trials"]
    assert set(told["best"]) == set(told["today"])
    assert {"value", "low", "high"} == set(told["held_out"]["gain"])
    if told["best"] == told["today"]:
        assert 0 == told["held_out"]["gain"]["value"]


@pytest.mark.slow
def test_a_study_goes_on_until_it_has_the_trials_asked_for_and_then_does_nothing(place):
    one = place.do("tune", "regressor", *FEW, "--trials", "1", "--json", sets=QUICK).json
    three = place.do("tune", "regressor", *FEW, "--trials", "3", "--json", sets=QUICK).json
    journal = place.artifacts / "studies" / three["folder"].rpartition("/")[2] / "study.jsonl"
    trials = journal.read_bytes().count(NEW_TRIAL)
    again = place.do("tune", "regressor", *FEW, "--trials", "3", "--json", sets=QUICK).json

    assert 1 == one["trials"]
    assert one["best"] == one["today"]
    assert 3 == three["trials"]
    assert three == again
    assert trials == journal.read_bytes().count(NEW_TRIAL)

    asked = PARAMS_ASKED.findall(journal.read_bytes())
    shutil.rmtree(place.artifacts / "studies")
    at_once = place.do("tune", "regressor", *FEW, "--trials", "3", "--json", sets=QUICK).json
    assert asked
    assert asked == PARAMS_ASKED.findall(journal.read_bytes())  # as if it had never been interrupted
    assert three == at_once


@pytest.mark.slow
def test_an_interrupted_study_can_be_taken_up_again(place):
    process = place.start("tune", "regressor", *FEW, "--trials", "500", sets=QUICK)
    journal: list = []
    while not any(TRIAL_ENDED in path.read_bytes() for path in journal) and process.poll() is None:
        journal = list((place.artifacts / "studies").rglob("study.jsonl"))
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    answer = place.do("tune", "regressor", *FEW, "--trials", "2", "--json", sets=QUICK)

    assert 130 == process.returncode
    assert "Run it again" in err
    assert 0 == answer.code
    assert answer.json["trials"] >= 2


@pytest.mark.slow
def test_a_damaged_study_is_told_with_what_to_do(place):
    told = place.do("tune", "regressor", *FEW, "--trials", "1", "--json", sets=QUICK).json
    (place.artifacts / "studies" / told["folder"].rpartition("/")[2] / "study.jsonl").write_text("{nothing\n" * 3)
    answer = place.do("tune", "regressor", *FEW, "--trials", "2", "--json", sets=QUICK)

    assert 1 == answer.code
    assert "is damaged" in json.loads(answer.out)["error"]
    assert "Remove it" in answer.err

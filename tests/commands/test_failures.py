"""Every failure of a training is one sentence, the right exit code, and nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from command_world import ROOT, TINY, csv_of, day_of
from vitalwatch.commands import main
from vitalwatch.commands.command_line import COMMANDS

QUICK = (*TINY, "synthetic.people=2", "synthetic.days=8")


def sentence(answer) -> str:
    """Return the one line on stderr."""
    (line,) = answer.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("content", "told", "code"),
    [
        (None, "there is no such file or folder", 4),
        (b"", "empty", 4),
        (b"\x00\x01\x02 no format\n", "is in no format known here", 4),
        (b"person,time,pulse\na,2026-01-05T00:00:00Z,60\n", "has no column heart_rate", 4),
        (b"person,time,heart_rate\n", "holds no row", 4),
        (b"person,time,heart_rate\na,2026-01-05T00:00:00Z,900\na,yesterday,60\n", "no row was accepted", 4),
    ],
)
def test_an_unusable_source_is_named_and_nothing_is_left(place, tmp_path, content, told, code):
    source = tmp_path / "own.csv"
    if content is not None:
        source.write_bytes(content)
    answer = place.do("--source", str(source), sets=QUICK)

    assert answer.code == code
    assert told in sentence(answer)
    assert "own.csv" in sentence(answer)
    assert place.left() == []
    assert place.store.runs() == []
    assert place.do("--source", str(source), "--json", sets=QUICK).json["next"] in sentence(answer)


def test_one_person_with_two_days_is_too_little_to_train_on(place, tmp_path):
    answer = place.do("--source", str(csv_of(tmp_path / "own.csv", day_of("anna", 2))), sets=QUICK)
    assert answer.code == 1
    assert sentence(answer).startswith("Too little to train on: 2 days of readings of 1 people; 10 days needed.")
    assert "score --source" in sentence(answer)
    assert "score --source" in place.do("--source", str(tmp_path / "own.csv"), "--json", sets=QUICK).json["next"]
    assert place.left() == []
    assert place.store.runs() == []


def test_more_refused_rows_than_allowed_end_the_training(place, tmp_path):
    rows = [
        *day_of("anna", 10),
        *(f"anna,2026-02-0{1 + n % 9}T00:{n // 9 % 60:02d}:{n % 60:02d}Z,900" for n in range(3000)),
    ]
    answer = place.do("--source", str(csv_of(tmp_path / "own.csv", rows)), sets=(*QUICK, "ingest.max_bad_share=0.2"))
    assert answer.code == 4
    assert "of the rows were refused, 20% is allowed" in sentence(answer)


def test_a_person_named_like_a_synthetic_one_is_refused(place, tmp_path):
    answer = place.do("--source", str(csv_of(tmp_path / "own.csv", day_of("synthetic-1", 12))), sets=QUICK)
    assert answer.code == 4
    assert "kept for synthetic people" in sentence(answer)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--only", "trian"), "There is no stage trian. Did you mean train?"),
        (("--from", "evaluat"), "Did you mean evaluate?"),
        (("--only", "train", "--from", "train"), "exclude each other"),
        (("--format", "fitbits", "--source", "x"), "There is no format fitbits. Did you mean fitbit?"),
        (("--format", "fitbit"), "none is named"),
        (("--set", "detector.tree=5"), "Did you mean trees?"),
        (("--set", "detector.trees=many"), "valid integer"),
        (("--set", "detector"), "is not key=value"),
        (("generate", "--out", "x", "--people", "0"), "--people must be at least 1"),
        (("generate", "--out", "x", "--format", "cvs"), "Did you mean csv?"),
    ],
)
def test_wrong_use_is_told_with_the_nearest_name(place, words, told):
    answer = place.do(*words)
    assert answer.code == 2
    assert told in sentence(answer)
    assert not place.artifacts.exists()


def test_unreadable_yaml_names_the_line(place):
    place.config.write_text("artifacts: [\njobs: 2\n")
    answer = place.do("runs", "--json")
    assert answer.code == 2
    assert "is not valid YAML at line" in answer.json["error"]
    assert answer.json["next"] != ""
    place.config.unlink()
    assert "is missing" in sentence(place.do("runs"))


def test_artifacts_that_are_a_file_are_told(place):
    place.artifacts.write_text("a file")
    answer = place.do(sets=QUICK)
    assert answer.code == 1
    assert "a file stands where a folder is needed" in sentence(answer)


def test_a_read_only_place_is_told(place, tmp_path):
    if os.geteuid() != 0:
        (tmp_path / "mine").mkdir(mode=0o500)
    elif subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", _made(tmp_path / "mine")], check=False
    ).returncode:
        pytest.skip("neither mount nor permissions can make a folder read-only for root here")
    try:
        place.settle(tmp_path / "mine" / "artifacts")
        answer = place.do(sets=QUICK)
        assert answer.code == 1
        assert "read-only" in sentence(answer) or "no permission" in sentence(answer)
        answer = place.do("generate", "--people", "1", "--days", "1", "--out", str(tmp_path / "mine" / "rec"))
        assert answer.code == 1
        assert "rec:" in sentence(answer)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", tmp_path / "mine"], check=False)


def _made(path):
    path.mkdir()
    return path


def test_two_at_once_is_told_with_the_pid_of_the_other(place):
    with place.store.lock():
        answer = place.do("--json", sets=QUICK)
    assert answer.code == 1
    assert f"another run holds it (pid {os.getpid()}" in answer.json["error"]
    assert "Wait for it to end" in answer.json["next"]


def test_a_stage_alone_needs_those_before_it(place):
    answer = place.do("train", sets=QUICK)
    assert answer.code == 1
    assert "Run `python main.py transform` first" in sentence(answer) or "python main.py ingest" in sentence(answer)


def test_stages_run_one_by_one_and_a_dry_run_says_what_is_left(place):
    assert place.do("ingest", sets=QUICK).code == 0
    answer = place.do("validate", "--json", sets=QUICK)
    assert (answer.code, [stage["name"] for stage in answer.json["stages"]]) == (0, ["validate"])
    plan = place.do("--dry-run", "--json", sets=QUICK).json
    assert [stage["skipped"] for stage in plan["stages"]] == [True, True, False, False, False]
    other = place.do("--dry-run", "--json", sets=(*QUICK, "synthetic.noise=1.5")).json
    assert not any(stage["skipped"] for stage in other["stages"])
    assert "synthetic.noise" in other["stages"][0]["reason"]
    assert place.store.runs() == []


def test_an_unexpected_fault_is_one_sentence_and_the_traceback_goes_to_a_private_file(
    place, monkeypatch, tmp_path, capsys
):
    def fault(given, desk):
        raise RuntimeError("secret 7254 bpm")

    monkeypatch.setattr("vitalwatch.commands.production.runs", fault)
    code = main(["runs", "--json"], tmp_path)
    told = capsys.readouterr()

    assert code == 1
    assert "unexpected RuntimeError" in json.loads(told.out)["error"]
    assert "7254" not in told.out + told.err
    (crash,) = (tmp_path / "artifacts" / "work").glob("crash-*.txt")
    assert "secret 7254 bpm" in crash.read_text()
    assert crash.stat().st_mode & 0o077 == 0


def test_ctrl_c_says_that_production_is_unchanged(place, monkeypatch):
    def interrupt(given, desk):
        raise KeyboardInterrupt

    monkeypatch.setattr("vitalwatch.commands.production.runs", interrupt)
    answer = place.do("runs")
    assert answer.code == 130
    assert sentence(answer) == "Interrupted; production is unchanged. Run it again."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_a_library_turns_into_its_own_error_is_still_one(place, monkeypatch, number):
    def importing(given, desk):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except BaseException as error:
            raise ImportError("half of a library") from error

    monkeypatch.setattr("vitalwatch.commands.production.runs", importing)
    answer = place.do("runs")
    assert (answer.code, sentence(answer)) == (128 + number, "Interrupted; production is unchanged. Run it again.")


def test_the_json_of_an_error_tells_the_next_step(place):
    answer = place.do("show", "nope", "--json")
    assert answer.json == {
        "error": "Run nope was not found. `python main.py runs` lists what is there.",
        "next": "`python main.py runs` lists what is there.",
        "exit_code": 1,
    }


def test_generated_people_are_those_of_their_seed(place, tmp_path):
    for name in ("a", "b"):
        words = ("--people", "2", "--days", "2", "--seed", "5", "--out", str(tmp_path / name), "--format", "csv")
        assert place.do("generate", *words).code == 0
    assert (tmp_path / "a" / "readings.csv").read_bytes() == (tmp_path / "b" / "readings.csv").read_bytes()
    answer = place.do("generate", "--people", "2", "--days", "2", "--out", str(tmp_path / "a"))
    assert answer.code == 1
    assert "holds something already" in sentence(answer)


TESTED = {  # what a user can do wrong, or what can happen meanwhile -> the tests of it
    "missing file, empty file, wrong format, no heart rate, all rows refused": [
        "commands/test_failures.py::test_an_unusable_source_is_named_and_nothing_is_left",
        "commands/test_score.py::test_an_unreadable_source_leaves_nothing_behind",
    ],
    "most rows refused": ["commands/test_failures.py::test_more_refused_rows_than_allowed_end_the_training"],
    "one person with two days": [
        "commands/test_failures.py::test_one_person_with_two_days_is_too_little_to_train_on",
        "entry/test_real_sets.py::test_an_hour_of_one_patient_is_too_little_and_score_is_named",
    ],
    "unreadable YAML": ["commands/test_failures.py::test_unreadable_yaml_names_the_line"],
    "disk full": [
        "entry/test_broken_run.py::test_a_full_disk_is_told_and_nothing_half_written_stays",
        "entry/test_broken_run.py::test_a_full_disk_while_scoring_leaves_nothing",
        "test_store.py::test_a_full_disk_leaves_production_as_it_was",
    ],
    "no write permission": [
        "commands/test_failures.py::test_a_read_only_place_is_told",
        "test_store.py::test_a_read_only_disk_is_told_and_still_serves",
    ],
    "damaged bundle, unsigned bundle": [
        "commands/test_score.py::test_a_damaged_or_unsigned_bundle_is_refused",
        "commands/test_production_commands.py::test_a_run_whose_models_do_not_load_is_not_promoted",
        "test_bundle.py::test_without_a_signature_it_is_refused",
        "test_bundle.py::test_none_of_1000_mutations_is_loaded",
    ],
    "two runs at once": [
        "commands/test_failures.py::test_two_at_once_is_told_with_the_pid_of_the_other",
        "entry/test_broken_run.py::test_two_at_once_and_the_second_is_told",
    ],
    "Ctrl-C": [
        "commands/test_failures.py::test_ctrl_c_says_that_production_is_unchanged",
        "entry/test_broken_run.py::test_interrupted_while_training_production_is_unchanged",
    ],
    "kill -9": [
        "entry/test_broken_run.py::test_killed_at_a_named_place_production_is_unchanged",
        "faults/test_kill.py::test_killed_at_a_named_place_production_is_whole_and_the_next_run_mends_the_rest",
        "faults/test_kill.py::test_two_hundred_kills_at_any_moment_tear_nothing",
    ],
}


@pytest.mark.parametrize("case", TESTED)
def test_every_bad_input_that_was_promised_to_be_told_has_its_tests(case):
    for place in TESTED[case]:
        path, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), place


def test_every_command_is_known_here():
    assert set(COMMANDS) == {
        "run", "generate", "score", "evaluate", "runs", "show", "promote", "rollback", "report", "replay", "doctor",
        "keys", "audit", "person", "database", "tune", "compare", "alarms",
    }  # fmt: skip

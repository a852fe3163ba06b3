"""`python main.py` from nothing to production, on a few people; then again, with changes, and on other data."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from command_world import EASY, TINY, Answer, Place, csv_of, day_of

pytestmark = pytest.mark.slow
SETS = (*TINY, *EASY)
ARTIFACTS = [
    "bookkeeping.parquet", "care.parquet", "events.parquet", "grid.parquet", "ingest.json", "manifest.json", "models",
    "outcomes.parquet", "params.yaml", "profiles.parquet", "quality.json", "quarantine", "readings.parquet", "reports",
    "schema.yaml", "splits.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def first(place: Place) -> Answer:
    """The first run."""
    return place.call("--json", sets=SETS)


@pytest.fixture(scope="module")
def live(place: Place, first: Answer) -> str:
    """The first run, in production whatever its gates said."""
    place.call("promote", first.json["run"])
    return first.json["run"]


def ran(answer: Answer) -> list[str]:
    return [stage["name"] for stage in answer.json["stages"] if not stage["skipped"]]


def test_the_first_run_is_complete_and_only_json_is_on_stdout(place, first):
    told = first.json
    assert (first.code, first.err) == (0, "")
    assert told["new"]
    assert ran(first) == ["ingest", "validate", "transform", "train", "evaluate"]
    assert sorted(path.name for path in Path(told["folder"]).iterdir()) == ARTIFACTS
    assert place.store.problem(told["run"]) == ""
    assert told["refused"] == {}
    assert place.left() == []


def test_gates_decide_over_production(first):
    told = first.json
    assert told["promoted"] is told["passed"] is (not [gate for gate in told["gates"] if gate["passed"] is False])
    assert told["production"] == (told["run"] if told["promoted"] else None)
    assert {"event_f1_unusual", "no_person_in_two_splits"} <= {gate["name"] for gate in told["gates"]}


def test_the_report_and_its_figures_are_there(first):
    page = Path(first.json["report"]).read_text()
    assert page.lstrip().lower().startswith("<!doctype html")
    evaluation = json.loads(Path(first.json["evaluation"]).read_text())
    assert evaluation["people"]["test"] == 4
    assert first.json["figures"]["expected_heart_rate.rmse"] > 0


def test_the_same_again_changes_nothing(place, live):
    again = place.call("--json", sets=SETS)
    assert (again.json["run"], again.json["new"], ran(again)) == (live, False, [])
    assert len(place.store.runs()) == 1
    assert "was there already" in place.call(sets=SETS).out


def test_a_later_setting_runs_the_later_stages_only(place, live):
    again = place.call("--json", "--no-promote", sets=(*SETS, "evaluation.draws=40"))
    assert ran(again) == ["evaluate"]
    assert "evaluation.draws" in again.json["stages"][-1]["reason"]
    assert again.json["production"] == live


def test_from_a_stage_on_makes_a_new_run_that_is_compared_with_production(place, live):
    again = place.call("--from", "evaluate", "--json", "--no-promote", sets=SETS)
    (gate,) = [gate for gate in again.json["gates"] if gate["name"] == "event_f1_below_champion"]
    assert ran(again) == ["evaluate"]
    assert again.json["run"] == f"{live}-2"
    assert (gate["value"], gate["passed"]) in ((0.0, True), (None, None))


def test_a_failed_gate_leaves_production_and_says_which(place, live):
    answer = place.call(sets=(*SETS, "gates.max_false_alarms=0.000001", "gates.min_forecast_skill=0.999"))
    assert answer.code == 0
    assert f"production is unchanged (run {live})" in answer.out
    assert "forecast_skill_against_persistence" in answer.out.splitlines()[-1]
    assert place.store.production() == live
    assert place.store.history()[-1].what == "refused"


def test_production_scores_and_is_judged_on_other_people(place, live):
    recording, out = place.folder / "others", place.folder / "scored"
    place.call("generate", "--people", "5", "--days", "9", "--seed", "99", "--out", str(recording), "--format", "jsonl")
    scored = place.call("score", "--source", str(recording), "--out", str(out), "--json")
    judged = place.call("evaluate", "--source", str(recording), "--json")

    assert (scored.code, judged.code) == (0, 0)
    assert scored.json["run"] == judged.json["run"] == live
    assert scored.json["tables"]["scores"] == len(pq.read_table(out / "scores.parquet"))
    assert judged.json["people"]["test"] == 5


def test_a_few_people_of_ones_own_are_learnt_from_beside_synthetic_ones(place, live):
    rows = [*day_of("anna", 10), *day_of("zoe", 10, rate=70), "zoe,2026-02-01T00:00:00Z,900"]
    source = csv_of(place.folder / "own.csv", rows)
    answer = place.call("--source", str(source), "--json", "--no-promote", sets=SETS)

    assert answer.code == 3  # one row was refused, and is named
    assert answer.json["refused"] == {"out_of_physical_range": 1}
    assert any("2 people of your own are fewer than 10" in note for note in answer.json["notes"])
    assert ran(answer)[0] == "ingest"
    replayed = place.call("replay", "--run", answer.json["run"], "--json")
    assert (replayed.code, replayed.json["read"], replayed.json["accepted"]) == (3, 1, 0)


def test_the_doctor_finds_nothing_to_mend(place, live):
    assert place.call("doctor", "--json").json["ok"]


def test_a_run_is_shown_in_mlflow_and_trouble_there_is_a_warning_only(place, live):
    good = f"config.tracking=sqlite:///{place.folder}/mlflow.db"
    answer = place.call("--from", "evaluate", "--json", "--no-promote", sets=(*SETS, good))
    assert (answer.code, answer.json["warnings"]) == (0, [])
    assert (place.folder / "mlflow.db").is_file()

    (place.folder / "bad.db").write_text("no database")
    bad = f"config.tracking=sqlite:///{place.folder}/bad.db"
    answer = place.call("--from", "evaluate", "--json", "--no-promote", sets=(*SETS, bad))
    assert answer.code == 0
    assert answer.json["warnings"]
    assert "Warning: MLflow" in answer.err

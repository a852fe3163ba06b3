"""`score` writes the three tables of the contract, for recordings of any length, or nothing at all."""

from __future__ import annotations

import errno
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from command_world import csv_of, day_of
from vitalwatch.commands.score import contributions, tables_of
from vitalwatch.early_warning import HOUR, Risk
from vitalwatch.recordings import write_readings
from vitalwatch.tables import Readings

SCORES = {
    "person": "string", "time": "timestamp[ms, tz=UTC]", "score": "float", "p_value": "float", "is_anomaly": "bool",
    "expected_heart_rate": "float", "top_contributions": "string", "assessable": "bool", "own_baseline": "bool",
}  # fmt: skip
ALARMS = {
    "person": "string", "start": "timestamp[ms, tz=UTC]", "end": "timestamp[ms, tz=UTC]", "kind": "string",
    "channel": "string", "priority": "string", "explanation": "string", "clearing": "string",
}  # fmt: skip
FORECASTS = {
    "person": "string", "time": "timestamp[ms, tz=UTC]", "vital": "string", "horizon": "int32", "q10": "float",
    "q50": "float", "q90": "float",
}  # fmt: skip


def columns(path) -> dict[str, str]:
    return {field.name: str(field.type) for field in pq.read_schema(path)}


def test_the_tables_are_those_of_the_contract_and_the_answers_the_monitors(served, tiny_monitor, tmp_path, settings):
    from tiny import somebody

    one = somebody(7, days=3)
    (tmp_path / "rec").mkdir()
    write_readings(tmp_path / "rec" / "readings.parquet", settings.schema, [one.readings])
    answer = served.do("score", "--source", str(tmp_path / "rec"), "--out", str(tmp_path / "out"))
    scores, alarms, forecasts = (
        pq.read_table(tmp_path / "out" / f"{name}.parquet", page_checksum_verification=True)
        for name in ("scores", "alarms", "forecasts")
    )
    expected = tiny_monitor.answer(one.readings)

    assert (answer.code, answer.err) == (0, "")
    assert columns(tmp_path / "out" / "scores.parquet") == SCORES
    assert columns(tmp_path / "out" / "alarms.parquet") == ALARMS
    assert columns(tmp_path / "out" / "forecasts.parquet") == FORECASTS
    np.testing.assert_array_equal(expected.time, scores["time"].to_numpy().astype("datetime64[ms]").astype(np.int64))
    np.testing.assert_array_equal(expected.score, scores["score"].to_numpy())
    np.testing.assert_array_equal(expected.expected_heart_rate, scores["expected_heart_rate"].to_numpy())
    assert [alarm.explanation for alarm in expected.alarms] == alarms["explanation"].to_pylist()
    assert [what.sentence for what in tiny_monitor.clearing(expected)] == alarms["clearing"].to_pylist()
    assert set(alarms["channel"].to_pylist()) <= {"unusual", "known", "rule", "technical"}
    assert np.isfinite(expected.forecast).all(axis=3).sum() == len(forecasts)
    assert set(expected.horizons) >= set(forecasts["horizon"].to_pylist())
    assert all(np.isfinite(forecasts[name].to_numpy()).all() for name in ("q10", "q50", "q90"))
    assert served.left() == []


@pytest.mark.slow
def test_several_processes_give_the_same_tables_in_the_same_order(served, tmp_path):
    rows = [row for n in range(5) for row in day_of(f"own{n}", rate=58 + n)]
    source = csv_of(tmp_path / "own.csv", rows)
    served.do("score", "--source", str(source), "--out", str(tmp_path / "one"), sets=("config.jobs=1",))
    served.do("score", "--source", str(source), "--out", str(tmp_path / "two"), sets=("config.jobs=2",))

    for name in ("scores", "alarms", "forecasts"):
        assert pq.read_table(tmp_path / "one" / f"{name}.parquet").equals(
            pq.read_table(tmp_path / "two" / f"{name}.parquet")
        )


@pytest.mark.parametrize("rows", [1, 3])
def test_too_little_history_is_said_not_refused(served, tmp_path, rows):
    source = csv_of(tmp_path / "own.csv", day_of("anna")[:rows])
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")

    assert answer.code == 0
    assert len(scores) == rows
    assert scores["own_baseline"].to_pylist() == [False] * rows
    assert scores["assessable"].to_pylist()[0] is False
    assert scores["score"].to_pylist()[0] is None
    nothing = f"0 of {rows} rows could be assessed: too little history lies before them." in answer.out
    assert nothing is not any(scores["assessable"].to_pylist())


def test_refused_rows_are_counted_kept_and_told_by_the_exit_code(served, tmp_path):
    source = csv_of(tmp_path / "own.csv", [*day_of("anna"), "anna,2026-01-07T00:00:00Z,900"])
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"), "--json")

    assert answer.code == 3
    assert answer.json["rejected"] == {"out_of_physical_range": 1}
    assert answer.json["tables"]["scores"] == 288
    rejects = tmp_path / "out" / "quarantine" / "rejects.jsonl"
    assert len(rejects.read_text().splitlines()) == 1
    assert rejects.stat().st_mode & 0o077 == 0

    served.do("score", "--source", str(csv_of(tmp_path / "good.csv", day_of("anna"))), "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out" / "quarantine").exists()


def without_value(name: str, code: str = "255", rows: int = 20) -> list[str]:
    """Return rows at night whose only value is a code for no value."""
    return [f"{name},2026-01-09T{row // 12:02d}:{row % 12 * 5:02d}:00Z,{code}" for row in range(rows)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_became_of_every_row_is_said_and_rows_that_a_code_for_no_value_empties_are_told_apart(
    served, tmp_path, kind
):
    good = day_of("anna")
    rows = [*good, good[0], good[1].rsplit(",", 1)[0] + ",99", "anna,2026-01-08T00:00:00Z,900"]
    rows += [*without_value("anna"), *without_value("bert", "0"), "anna,2026-01-08T01:00:00Z,"]
    source = csv_of(tmp_path / "own.csv", rows)
    if kind == "jsonl":
        cells = [row.split(",") for row in rows]
        lines = [
            {"person": who, "time": time, "heart_rate": float(rate) if rate else None} for who, time, rate in cells
        ]
        source = tmp_path / "own.jsonl"
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "score.json").read_text())

    assert 3 == answer.code
    assert "332 rows read, 288 kept, 1 duplicate, 1 in conflict, 41 empty, 1 refused." in answer.out
    assert (
        f"own.{kind}: 40 of 332 rows hold only codes for no value (as 0, -1 or 255) and count as empty." in answer.out
    )
    assert (41, 40, 1) == (told["rejected"]["empty"], told["emptied"], told["conflict"])


def test_plain_empty_cells_are_counted_and_nothing_more_is_said_of_them(served, tmp_path):
    source = csv_of(
        tmp_path / "own.csv",
        [*day_of("anna"), *without_value("anna", "", rows=280), *without_value("bert", "", rows=20)],
    )
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))

    assert 0 == answer.code
    assert "588 rows read, 288 kept, 0 duplicate, 0 in conflict, 300 empty, 0 refused." in answer.out
    assert "codes for no value" not in answer.out


def test_where_most_rows_are_emptied_by_codes_for_no_value_the_exit_code_says_so(served, tmp_path):
    source = csv_of(tmp_path / "own.csv", [*day_of("anna")[:15], *without_value("anna")])
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))

    assert 3 == answer.code
    assert "20 of 35 rows hold only codes for no value" in answer.out
    assert "see whether the sensor was worn" in answer.out


def test_refused_labels_and_those_of_strangers_are_told_and_kept(served, tmp_path):
    (tmp_path / "rec").mkdir()
    csv_of(tmp_path / "rec" / "readings.csv", day_of("anna"))
    span = "2026-01-05T01:00:00Z,2026-01-05T02:00:00Z"
    labels = ["anna,fever,5 January,6 January", f"anna,fever,{span}", f"hanna,fever,{span}", f"anna,made_up,{span}"]
    csv_of(tmp_path / "rec" / "events.csv", labels, "person,kind,start,end")
    answer = served.do("score", "--source", str(tmp_path / "rec"), "--out", str(tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "score.json").read_text())
    (kept,) = (tmp_path / "out" / "quarantine" / "rejects.jsonl").read_text().splitlines()
    again = served.do("replay", "--folder", str(tmp_path / "out" / "quarantine"))

    assert 3 == answer.code
    assert "1 of 4 labels were refused: 1 start: time is not RFC 3339 text" in answer.out
    assert "mend these rows in the table of events and read it again" in answer.out
    assert "1 labelled episodes are of 1 people without a reading and are not used" in answer.out
    assert 1 == answer.out.count("made_up")
    assert (4, 1) == (told["labels"]["read"], sum(told["labels"]["rejected"].values()))
    assert "5 January" in json.loads(kept)["raw"]
    assert "hanna" not in answer.out
    assert (3, kept) == (again.code, (tmp_path / "out" / "quarantine" / "rejects.jsonl").read_text().strip())


def test_hourly_readings_are_told_to_be_too_far_apart_for_a_step_of_five_minutes(served, tmp_path):
    hourly = [row for row in day_of("anna", 3) if row.split(",")[1].endswith(":00:00Z")]
    answer = served.do("score", "--source", str(csv_of(tmp_path / "own.csv", hourly)), "--out", str(tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "score.json").read_text())
    rows = len(pq.read_table(tmp_path / "out" / "scores.parquet"))
    kinds = pq.read_table(tmp_path / "out" / "alarms.parquet")["kind"].to_pylist()
    sentence = (
        f"0 of {rows} rows could be assessed: the readings are about 60 minutes apart and this run's step is 5; "
        "train a run with `python main.py --source PATH --set schema.step=60min`."
    )

    assert (3, 72, 0) == (answer.code, len(hourly), told["assessed"])
    assert sentence in told["notes"]
    assert f"Note: {sentence}" in answer.out
    assert kinds.count("silence") > 0
    assert f"{kinds.count('silence')} alarms of silence are this spacing itself" in answer.out


def test_readings_at_the_step_with_long_pauses_are_not_told_to_be_too_far_apart(served, tmp_path):
    worn = [row for row in day_of("anna", 3) if "T00" <= row.split(",")[1][10:13] <= "T07"]
    answer = served.do("score", "--source", str(csv_of(tmp_path / "own.csv", worn)), "--out", str(tmp_path / "out"))

    assert 0 == answer.code
    assert "apart" not in answer.out


def test_a_measured_value_is_never_printed(served, tmp_path):
    source = csv_of(tmp_path / "own.csv", ["anna,2026-01-07T00:00:00Z,61", "anna,2026-01-07T00:05:00Z,987.25"])
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    assert "987" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file"),
        ("", "empty"),
        ("one,two\n1,2\n", "is in no format known here"),
        ("person,time,pulse\na,2026-01-05T00:00:00Z,60\n", "heart_rate"),
        ("person,time,heart_rate\na,2026-01-05T00:00:00Z,900\n", "no row was accepted"),
    ],
)
def test_an_unreadable_source_leaves_nothing_behind(served, tmp_path, content, told):
    source = tmp_path / "own.csv"
    if content is not None:
        source.write_text(content)
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"), "--json")

    assert answer.code == 4
    assert told in answer.json["error"]
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert served.left() == []


def test_an_earlier_result_survives_a_failed_call(served, tmp_path):
    good, bad = csv_of(tmp_path / "good.csv", day_of("anna")), csv_of(tmp_path / "bad.csv", [])
    served.do("score", "--source", str(good), "--out", str(tmp_path / "out"))
    before = (tmp_path / "out" / "scores.parquet").read_bytes()

    assert served.do("score", "--source", str(bad), "--out", str(tmp_path / "out")).code == 4
    assert (tmp_path / "out" / "scores.parquet").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("file", ["alarms.parquet", "scores.parquet", "score.json"])
def test_killed_while_results_change_places_no_list_vouches_for_a_mixture(served, tmp_path, file):
    old, new = csv_of(tmp_path / "old.csv", day_of("anna")), csv_of(tmp_path / "new.csv", day_of("bert"))
    out = tmp_path / "out"
    words = ("score", "--source", str(new), "--out", str(out))
    served.do("score", "--source", str(old), "--out", str(out))
    killed = served.call(*words, sets=(), VITALWATCH_FAILPOINT=f"before-{file}")
    left = {path.name for path in out.iterdir()}
    again = served.call(*words, sets=())

    assert (-9, 0) == (killed.code, again.code)
    assert "score.json" not in left
    assert "score.unfinished" in left
    assert {"scores.parquet", "alarms.parquet", "forecasts.parquet", "score.json"} == {
        one.name for one in out.iterdir()
    }
    assert ["bert"] == pq.read_table(out / "scores.parquet")["person"].unique().to_pylist()


@pytest.mark.slow
def test_a_folder_in_which_the_first_call_was_killed_can_be_used_again(served, tmp_path):
    words = ("score", "--source", str(csv_of(tmp_path / "own.csv", day_of("anna"))), "--out", str(tmp_path / "out"))
    killed = served.call(*words, sets=(), VITALWATCH_FAILPOINT="before-alarms.parquet")

    assert -9 == killed.code
    assert 0 == served.do(*words).code
    assert not list((tmp_path / "out").glob(".*"))


def test_a_folder_that_holds_nothing_but_what_a_killed_call_worked_on_can_be_used(served, tmp_path):
    (tmp_path / "out" / ".tmp-score-1-2").mkdir(parents=True)
    source = csv_of(tmp_path / "own.csv", day_of("anna"))

    assert 0 == served.do("score", "--source", str(source), "--out", str(tmp_path / "out")).code
    assert not (tmp_path / "out" / ".tmp-score-1-2").exists()


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("/proc/none/out", "cannot be made or written (No such file or directory)"),
        ("x" * 300, "cannot be made or written (File name too long)"),
        ("file/out", "is no folder, or lies in a file"),
    ],
)
def test_a_place_where_nothing_can_be_is_told_in_a_sentence(served, tmp_path, where, told):
    (tmp_path / "file").write_text("a file")
    source = csv_of(tmp_path / "own.csv", day_of("anna"))
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / where))

    assert 1 == answer.code
    (line,) = answer.err.strip().splitlines()
    assert told in line
    assert "unexpected" not in line


def test_a_full_disk_is_told_with_the_folder_asked_for_and_not_one_that_passes(served, tmp_path, monkeypatch):
    source = csv_of(tmp_path / "own.csv", day_of("anna"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    for command in (("score", "--out", str(tmp_path / "out")), ("evaluate",)):
        answer = served.do(*command, "--source", str(source))
        assert 1 == answer.code
        assert "the disk is full" in answer.err
        assert ".tmp-" not in answer.err
        assert ".ingest-" not in answer.err


def test_a_folder_with_something_else_in_it_is_left_alone(served, tmp_path):
    source = csv_of(tmp_path / "good.csv", day_of("anna"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "scores.parquet").write_text("mine")
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "mine"))

    assert answer.code == 1
    assert "holds something that `score` did not write" in answer.err
    assert (tmp_path / "mine" / "scores.parquet").read_text() == "mine"


def test_without_a_model_it_says_how_to_get_one(place, tmp_path):
    source = csv_of(tmp_path / "own.csv", day_of("anna"))
    answer = place.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    assert answer.code == 1
    assert "A model in production was not found. Run `python main.py`" in answer.err


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda models: (models / "forest.onnx").write_bytes(b"\x08other"), "forest.onnx is not what was signed"),
        (lambda models: (models / "manifest.sig").unlink(), "manifest.sig is missing"),
        (lambda models: (models / "manifest.sig").write_bytes(bytes(64)), "signature is by none of the trusted keys"),
        (lambda models: (models / "more.pkl").write_bytes(b"\x80\x04."), "can run code when loaded"),
        (shutil.rmtree, "cannot be opened"),
    ],
)
def test_a_damaged_or_unsigned_bundle_is_refused(served, tmp_path, harm, told):
    harm(served.store.folder("first") / "models")
    source = csv_of(tmp_path / "own.csv", day_of("anna"))
    answer = served.do("score", "--source", str(source), "--out", str(tmp_path / "out"), "--json")

    assert answer.code == 1
    assert told in answer.json["error"]
    assert answer.json["next"]
    assert not (tmp_path / "out").exists()


def test_a_run_can_be_named_and_one_that_is_not_there_cannot(served, tiny_bundle, tmp_path):
    served.add_run("second", tiny_bundle, promote=False)
    source = csv_of(tmp_path / "own.csv", day_of("anna"))
    words = ("score", "--source", str(source), "--out", str(tmp_path / "out"), "--json")

    assert served.do(*words).json["run"] == "first"
    assert served.do(*words, "--run", "second").json["run"] == "second"
    answer = served.do(*words, "--run", "../first")
    assert (answer.code, answer.json["error"]) == (
        1, "Run ../first was not found. `python main.py runs` lists what is there.",
    )  # fmt: skip


def test_another_grid_step_in_schema_yaml_gives_way_to_the_models(served, tmp_path):
    source = csv_of(tmp_path / "own.csv", day_of("anna"))
    answer = served.do(
        "score", "--source", str(source), "--out", str(tmp_path / "out"), "--json", sets=("schema.step=1min",)
    )
    assert "the model's grid step of 5 minutes is used" in answer.err
    assert answer.json["tables"]["scores"] == 288


def test_contributions_name_the_three_largest_in_order():
    z = np.array([[0.5, -3.14, np.nan, 1.2, 0.7], [0, 0, 0, 0, 0], [np.nan, 2.0, 0, 0, 0]])
    told = contributions(z, ("heart_rate", "oxygen_saturation", "a", "b", "c"))
    assert told == ["oxygen_saturation:-3.1;b:+1.2;c:+0.7", "", "oxygen_saturation:+2.0"]


def test_the_json_beside_the_tables_balances(served, tmp_path):
    rows = day_of("anna")
    source = csv_of(tmp_path / "own.csv", [*rows, rows[0], "anna,2026-01-07T00:00:00Z,900"])
    served.do("score", "--source", str(source), "--out", str(tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "score.json").read_text())
    assert told["read"] == 290 == told["accepted"] + told["duplicate"] + sum(told["rejected"].values())


def test_scores_bear_the_risk_of_the_last_full_hour_where_the_run_learnt_an_early_warning(tiny_monitor, settings):
    time = np.arange(60, dtype=np.int64) * settings.schema.step_ms + 1_767_225_600_000
    rates = {"heart_rate": np.full(60, 62, np.float32)}
    answers = tiny_monitor.answer(Readings("p1", time, np.zeros(60, np.int16), rates))
    hours = np.unique(answers.time // HOUR) * HOUR
    risk = Risk(hours, {"sepsis": np.linspace(0, 1, len(hours), dtype=np.float32)}, ("vitals",))
    scores = tables_of(answers, tiny_monitor.clearing(answers), risk, settings.schema.step_ms)["scores"]
    ends = np.flatnonzero((answers.time + settings.schema.step_ms) % HOUR == 0)

    assert "risk_sepsis" == scores.schema.names[-1]
    assert risk.values["sepsis"][np.searchsorted(hours, answers.time[ends] // HOUR * HOUR)].tolist() == [
        scores["risk_sepsis"][int(row)].as_py() for row in ends
    ]
    assert "risk_sepsis" not in tables_of(answers, tiny_monitor.clearing(answers))["scores"].schema.names

"""Whole runs on real recordings that nobody here made, and `score` on each: few people, small settings."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from command_world import EASY, TINY, Answer, Place
from vitalwatch.stages.number_tables import FORECAST_LINES, LAST_READING

pytestmark = pytest.mark.slow
SETS = (*TINY, *EASY)
HOURLY = "schema.step=60min"  # the wards noted about one value an hour
COLUMNS = {
    "scores": ["person", "time", "score", "p_value", "is_anomaly", "expected_heart_rate", "top_contributions",
               "assessable", "own_baseline"],
    "alarms": ["person", "start", "end", "kind", "channel", "priority", "explanation", "clearing"],
    "forecasts": ["person", "time", "vital", "horizon", "q10", "q50", "q90"],
}  # fmt: skip
SEPTIC, OTHERS, STAYS = 80, 120, 120
FEW_PATIENTS = (  # forty of them cannot tell a gain from chance; what a model says must be true all the same
    "gates.min_warning_gain_over_news2=-1",
    "gates.min_warning_gain_over_stay=-1",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def sets(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The four sets by name; of the two that come as large archives, the first few patients."""
    few = tmp_path_factory.mktemp("few")
    return {
        "fitabase": real_data / "fitabase",
        "wfdb": real_data / "mimic_numerics_wfdb",
        "physionet2019": septic_and_others(real_data / "physionet2019_setB" / "setB_even.zip", few / "2019"),
        "physionet2012": unpacked(real_data / "physionet2012" / "set-a.zip", few / "2012", ".txt", any_text, STAYS),
    }


def septic_and_others(archive: Path, folder: Path) -> Path:
    unpacked(archive, folder, ".psv", septic, SEPTIC)
    return unpacked(archive, folder, ".psv", lambda text: not septic(text), OTHERS)


def unpacked(archive: Path, folder: Path, ending: str, wanted: Callable[[str], bool], most: int) -> Path:
    """Write the first `most` files of an archive that are wanted into a folder."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive) as files:
        for name in sorted(name for name in files.namelist() if name.endswith(ending)):
            text = files.read(name).decode()
            if most and wanted(text):
                (folder / Path(name).name).write_text(text)
                most -= 1
    return folder


def any_text(text: str) -> bool:
    return True


def septic(text: str) -> bool:
    """Whether SepsisLabel, the last column, is 1 at some hour."""
    return any(line.endswith("|1") for line in text.splitlines()[1:])


def learnt(place: Place, source: Path, *sets: str) -> Answer:
    return place.call("--source", str(source), "--json", "--no-promote", sets=(*SETS, *sets))


def tables(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(answer.json["evaluation"]).read_text())
    return found


def card(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(answer.json["folder"]) / "models" / "card.json").read_text())
    return found


def ingest(answer: Answer) -> dict[str, Any]:
    (found,) = [stage["summary"] for stage in answer.json["stages"] if stage["name"] == "ingest"]
    return dict(found)


def books_balance(answer: Answer) -> bool:
    told = ingest(answer)
    return bool(told["read"] == told["accepted"] + told["duplicate"] + sum(told["rejected"].values()))


@pytest.fixture(scope="module")
def worn(place: Place, sets: dict[str, Path]) -> Answer:
    """A run on four wearers, joined by synthetic people."""
    return learnt(place, sets["fitabase"])


@pytest.fixture(scope="module")
def wards(place: Place, sets: dict[str, Path]) -> Answer:
    """A run on patients of whom some became septic, put into production where its gates pass."""
    return place.call("--source", str(sets["physionet2019"]), "--json", sets=(*SETS, HOURLY, *FEW_PATIENTS))


@pytest.fixture(scope="module")
def stays(place: Place, sets: dict[str, Path]) -> Answer:
    """A run on patients whom nobody labelled."""
    return learnt(place, sets["physionet2012"], HOURLY)


def test_four_wearers_are_judged_on_their_last_days_beside_the_lines(worn: Answer) -> None:
    assert (0, "") == (worn.code, worn.err)
    told = ingest(worn)
    own = tables(worn)["own"]
    assert (4, 14) == (told["own_people"], told["synthetic_people"])
    assert 4 == own["people"]["test"]
    assert "not_assessable" in own["detection"]  # nobody labelled them
    for horizon in ("5", "15", "30", "60"):
        row = own["forecast"]["vitals"]["heart_rate"][horizon]
        assert {*FORECAST_LINES, *LAST_READING} == set(row["lines"])
        assert row["rows"] > 1000
        assert row["mae"]["value"] > 0
    everything = own["expected_heart_rate"]["all"]
    assert {"constant", "person_mean", "reserve_formula", "linear", "plain_boosting"} == set(everything["lines"])
    assert everything["lines"]["person_mean"]["skill"]["value"] > 0  # activity explains some of it, clocks being right


def test_two_tables_of_a_wearer_whose_clocks_disagree_are_joined_and_it_is_said(worn: Answer) -> None:
    shifted = [note for note in worn.json["notes"] if "4 h ahead of the minute tables" in note]
    assert 3 == len(shifted)
    assert any("4 people of your own are fewer than 10" in note for note in worn.json["notes"])


def test_the_same_notes_are_printed_without_json(place: Place, worn: Answer, sets: dict[str, Path]) -> None:
    again = place.call("--source", str(sets["fitabase"]), "--no-promote", sets=SETS)
    assert 0 == again.code
    assert 3 == again.out.count("4 h ahead of the minute tables; it was set to theirs.")
    assert "Your own 4 people, by time, on their last days" in again.out


def test_an_outcome_in_hospital_is_judged_by_the_early_warning_alone_and_the_run_is_promoted(
    place: Place, wards: Answer
) -> None:
    assert (3, "") == (wards.code, wards.err)  # rows were refused, and are kept
    assert "out_of_physical_range" in wards.json["refused"]
    assert books_balance(wards)
    assert SEPTIC + OTHERS == ingest(wards)["people"]
    assert SEPTIC == ingest(wards)["events"]
    assert [] == card(wards)["kinds"]
    found = tables(wards)
    assert "no labelled test people" in found["detection"]["not_assessable"]
    assert found["early_warning"]["sepsis"]["patients_with"] > 5
    verdicts = {gate["name"]: gate["passed"] for gate in found["gates"]}
    assert {None} == {verdicts[name] for name in ("event_f1_unusual", "event_f1_known", "false_alarms_per_day")}
    by_hours = verdicts.pop("sepsis_told_beside_true_by_hours")
    assert by_hours is None, "of so few patients none of the hours has twenty with sepsis"
    assert {True} == {passed for name, passed in verdicts.items() if name.startswith("sepsis_")}
    assert wards.json["run"] == place.store.production()


def test_forecasts_shorter_than_the_grid_step_are_left_out_and_said(wards: Answer) -> None:
    told = card(wards)
    assert ([60], [5, 15, 30]) == (told["horizons_minutes"], told["horizons_dropped_minutes"])
    assert any("5, 15, 30 minutes ahead are not given" in note for note in told["notes"])
    assert {"60"} == set(tables(wards)["forecast"]["vitals"]["heart_rate"])


def test_without_labels_detection_is_not_assessable_and_everything_else_is(stays: Answer) -> None:
    assert (3, "") == (stays.code, stays.err)  # rows were refused, and are kept
    assert "unit_suspect" in stays.json["refused"]
    assert books_balance(stays)
    found = tables(stays)
    assert "no labelled test people" in found["detection"]["not_assessable"]
    assert [] == card(stays)["kinds"]
    assert found["forecast"]["vitals"]["heart_rate"]["60"]["mae"]["value"] > 0
    assert found["expected_heart_rate"]["all"]["rmse"]["value"] > 0
    verdicts = {gate["name"]: gate["passed"] for gate in found["gates"]}
    assert verdicts["event_f1_unusual"] is None
    assert verdicts["event_f1_known"] is None


def test_an_hour_of_one_patient_is_too_little_and_score_is_named(place: Place, sets: dict[str, Path]) -> None:
    answer = place.call("--source", str(sets["wfdb"]), sets=SETS)
    assert 1 == answer.code
    assert "Too little to train on" in answer.err
    assert "main.py score --source" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(("name", "code"), [("fitabase", 0), ("physionet2019", 3), ("physionet2012", 3), ("wfdb", 3)])
def test_a_run_answers_for_recordings_of_any_kind(
    place: Place, worn: Answer, sets: dict[str, Path], name: str, code: int
) -> None:
    out = place.folder / f"scored-{name}"
    answer = place.call(
        "score", "--source", str(sets[name]), "--run", worn.json["run"], "--out", str(out), "--json", sets=()
    )
    assert (code, "") == (answer.code, answer.err)
    assert (out / "quarantine").is_dir() is (code == 3)
    for table, columns in COLUMNS.items():
        found = pq.ParquetFile(out / f"{table}.parquet")
        assert columns == found.schema_arrow.names
        assert answer.json["tables"][table] == found.metadata.num_rows
    assert answer.json["tables"]["scores"] > 0
    people = pq.read_table(out / "scores.parquet", columns=["person"])["person"].unique()
    assert answer.json["people"] == len(people)

"""stages.hospital: a ward whose heart rates rise before sepsis is learnt; dealt labels teach nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwatch.care import write_outcomes
from vitalwatch.early_warning import HORIZON_HOURS, QUESTIONS, EarlyWarning
from vitalwatch.models import deterioration
from vitalwatch.recordings import write_events
from vitalwatch.settings import Settings
from vitalwatch.stages import hospital, hospital_hours, hospital_tables
from vitalwatch.stages.evaluate import gates_of
from vitalwatch.stages.ingest import ingest
from vitalwatch.stages.people import read_episodes
from vitalwatch.tables import Event, Outcome

PATIENTS, HOURS, SEPTIC = 120, 18, 3  # each third
HEAD = "HR|O2Sat|Temp|SBP|MAP|DBP|Resp|Lactate|Age|Gender|HospAdmTime|ICULOS|SepsisLabel"
NOW = 1_790_000_000_000


def ward(folder: Path, rng: np.random.Generator, *, true: bool = True) -> Path:
    """Write patients; the heart rate of a septic one rises by 25 in labelled hours, where labels are `true`."""
    folder.mkdir()
    for number in range(PATIENTS):
        septic = number % SEPTIC == 0
        onset = int(rng.integers(6, HOURS - 4))
        labelled = septic & (np.arange(HOURS) >= onset)
        rises = labelled if true else np.zeros(HOURS, np.bool_)
        rate = 80 + 5 * rng.normal() + 3 * rng.normal(size=HOURS) + 25 * rises
        lines = [f"{h:.0f}|97|36.6|120|85|70|16|NaN|{50 + number % 30}|1|-4|{i + 1}|{int(s)}"
                 for i, (h, s) in enumerate(zip(rate, labelled, strict=True))]  # fmt: skip
        (folder / f"p{number:03}.psv").write_text("\n".join((HEAD, *lines)) + "\n")
    return folder


def small(settings: Settings) -> Settings:
    chosen = settings.params.early_warning.model_copy(
        update={"rounds": 40, "learning_rate": 0.1, "min_rows_a_leaf": 20, "share_of_hours": 1.0}
    )
    few = settings.params.evaluation.model_copy(update={"draws": 50})
    params = settings.params.model_copy(update={"early_warning": chosen, "evaluation": few})
    return dataclasses.replace(settings, params=params)


def judged(folder: Path, settings: Settings) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Any]]:
    ingest([folder], folder.parent / "out", settings, now_ms=NOW)
    records = hospital.Records.of(folder.parent / "out")
    names = [f"p{number:03}" for number in range(PATIENTS)]
    people = {"train": names[:60], "calibration": names[60:90], "test": names[90:]}
    files, card, notes = hospital.learn(records, settings, people)
    assert [hospital.APART.format("Sepsis")] == notes
    return hospital_tables.tables(records, EarlyWarning(files), settings, people["test"]), files, card


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> tuple[Any, ...]:
    folder = ward(tmp_path_factory.mktemp("ward") / "in", np.random.default_rng(1))
    return judged(folder, small(settings))


def test_it_is_told_apart_on_patients_never_seen_and_better_than_by_hours_alone(learnt: tuple[Any, ...]):
    table = learnt[0]["sepsis"]

    assert (30, 10, 30 * HOURS) == (table["patients"], table["patients_with"], table["rows"])
    assert table["variants"]["vitals"]["auroc"]["value"] > 0.9
    assert table["variants"]["vitals"]["auroc_gain_over_news2"]["low"] > 0
    assert table["variants"]["stay"]["auroc"]["value"] < table["variants"]["vitals"]["auroc"]["value"] - 0.1


def test_what_is_told_is_about_as_often_true(learnt: tuple[Any, ...]):
    row = learnt[0]["sepsis"]["variants"]["vitals"]

    assert 1 == pytest.approx(row["told_over_true"]["value"], abs=0.35)
    assert row["brier_skill"] > 0.3
    assert 10 == len(row["reliability"])


def test_the_card_says_what_it_is_for_and_what_it_is_not(learnt: tuple[Any, ...]):
    card = learnt[2]

    assert "no medical device" in card["purpose"]
    assert any("hospital" in sentence for sentence in card["limits"])
    assert {"sepsis": "sepsis within 6 hours"} == card["questions"]


GATES = ("gain_over_news2", "gain_over_stay", "dealt_outcomes_at_chance", "brier_skill", "told_beside_true",
         "told_beside_true_by_hours")  # fmt: skip


def test_its_gates_pass(learnt: tuple[Any, ...], settings: Settings):
    found = hospital_tables.gates(learnt[0], settings.params.gates)

    assert [f"sepsis_{name}" for name in GATES] == [gate["name"] for gate in found]
    assert {f"sepsis_{GATES[-1]}": None} == {gate["name"]: gate["passed"] for gate in found if not gate["passed"]}
    assert "20 test patients" in found[-1]["why"]  # ten septic ones are too few by hours


def test_outcomes_of_other_patients_are_chance(learnt: tuple[Any, ...]):
    for variant in hospital_tables.SERVED:
        assert 0.5 == pytest.approx(learnt[0]["sepsis"]["variants"][variant]["auroc_of_dealt_outcomes"], abs=0.05)


def test_patients_are_judged_by_sex_and_age_too(learnt: tuple[Any, ...]):
    groups = learnt[0]["sepsis"]["variants"]["vitals"]["by_group"]

    assert {"sex", "age"} == set(groups)
    assert 30 == sum(row["patients"] for row in groups["age"].values())
    assert groups["sex"]["male"]["auroc"]["value"] > 0.9


def told(early: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return what `hospital_tables.tables` tells of sepsis, good but for the changes; `name=interval` or a number.

    Changes in `early` are of hours 1 to 6 alone.
    """
    good: dict[str, Any] = {
        "auroc_gain_over_news2": (0.01, 0.1),
        "auroc_gain_over_stay": (0.01, 0.1),
        "told_over_true": (0.8, 1.2),
        "auroc_of_dealt_outcomes": 0.5,
        "brier_skill": 0.01,
    } | changes
    row, first = as_row(good), as_row({"told_over_true": (0.8, 1.2), "highest_told_over_true": (0.8, 1.2)})
    by_hours = {
        "hours 1 to 6": {**size(40), "variants": {"vitals": first, "care": first | as_row(early or {})}},
        "hours 7 to 12": {**size(40), "variants": {"vitals": first, "care": first}},
        "hours 13 to 24": {**size(6), "variants": {"vitals": as_row({"told_over_true": (2, 9)}), "care": first}},
        "hours 25 to 48": {**size(0), "not_assessable": "few"},
    }
    return {"sepsis": {"variants": {"vitals": row, "care": row}, "by_hours": by_hours}}


def size(having: int) -> dict[str, int]:
    return {"patients": having + 100, "patients_with": having}


def as_row(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"value": sum(one) / 2, "low": one[0], "high": one[1]} if isinstance(one, tuple) else one
        for name, one in figures.items()
    }


def failed(table: dict[str, Any], settings: Settings) -> list[str]:
    return [gate["name"] for gate in hospital_tables.gates(table, settings.params.gates) if gate["passed"] is False]


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("gain_over_news2", {"auroc_gain_over_news2": (-0.01, 0.2)}),
        ("gain_over_stay", {"auroc_gain_over_stay": (-0.01, 0.2)}),
        ("dealt_outcomes_at_chance", {"auroc_of_dealt_outcomes": 0.6}),
        ("brier_skill", {"brier_skill": -0.01}),
        ("told_beside_true", {"told_over_true": (1.3, 2.0)}),
        ("told_beside_true", {"told_over_true": (0.4, 0.7)}),
        ("told_beside_true_by_hours", {"early": {"told_over_true": (0.4, 0.7)}}),
        ("told_beside_true_by_hours", {"early": {"highest_told_over_true": (1.3, 2.0)}}),
    ],
)
def test_each_gate_fails_on_what_it_watches_and_no_other(gate: str, changes: dict[str, Any], settings: Settings):
    assert [] == failed(told(), settings)
    assert [f"sepsis_{gate}"] == failed(told(**changes), settings)


def test_a_question_without_enough_test_patients_is_not_assessable_and_without_any_has_no_gate(settings: Settings):
    (one,) = hospital_tables.gates({"death_in_hospital": {"not_assessable": "few"}}, settings.params.gates)

    assert ("death_in_hospital_gain_over_news2", None, "not assessable: few") == (
        one["name"], one["passed"], one["why"]
    )  # fmt: skip
    assert [] == hospital_tables.gates({"not_assessable": hospital_tables.NOBODY}, settings.params.gates)


def test_a_highest_fifth_in_which_nobody_had_it_fails_its_gate_and_the_hours_are_told(settings: Settings):
    nobody = {"highest_told_over_true": {"value": None, "low": None, "high": None}}
    verdict = hospital_tables.gates(told(early=nobody), settings.params.gates)[-1]

    assert (None, False) == (verdict["value"], verdict["passed"])
    assert f"{hospital_tables.NONE_IN_HIGHEST}: hours 1 to 6" == verdict["why"]
    assert "why" not in hospital_tables.gates(told(), settings.params.gates)[-1]


def test_hours_of_which_none_can_be_judged_are_not_assessable(settings: Settings):
    table = told()
    table["sepsis"]["by_hours"] = {"hours 1 to 6": {**size(3), "not_assessable": "few"}}
    (verdict,) = [gate for gate in hospital_tables.gates(table, settings.params.gates) if "by_hours" in gate["name"]]

    assert verdict["passed"] is None
    assert "at no hour of a stay" in verdict["why"]


def test_every_hour_of_a_stay_is_judged_by_itself(learnt: tuple[Any, ...]):
    found = learnt[0]["sepsis"]["by_hours"]

    assert 30 * (HOURS - 6) == sum(row.get("rows", 0) for row in found.values())  # nobody is septic before
    assert ["hours 1 to 6", "hours 7 to 12", "hours 13 to 24"] == list(found)
    assert found["hours 13 to 24"]["variants"]["vitals"]["auroc"]["value"] > 0.9
    assert {"not_assessable": hospital_tables.TOO_FEW}.items() <= found["hours 1 to 6"].items()


def test_death_is_judged_after_some_hours_and_at_the_end_each_patient_once():
    lasted = np.asarray([1, 5, 6, 7, 12, 13, 24, 30])
    found = hospital_hours.moments("death_in_hospital", lasted, hospital_hours.last_hours(len(lasted)))

    assert {
        "after 1 hour": [1],
        "after 6 hours": [6],
        "after 12 hours": [12],
        "after 24 hours": [24],
        "at the end": [30],
    } == {name: lasted[rows].tolist() for name, rows in found.items()}


def test_sepsis_is_judged_in_bands_of_which_every_hour_has_one():
    lasted = np.arange(1, 400)
    found = hospital_hours.moments("sepsis", lasted, hospital_hours.last_hours(len(lasted)))

    assert (1 == np.sum(list(found.values()), axis=0)).all()
    assert [1, 7, 13, 25, 49, 97] == [int(lasted[rows][0]) for rows in found.values()]


def test_an_early_warning_much_worse_than_that_in_production_stops_promotion(settings: Settings):
    def run(auroc: float) -> dict[str, Any]:
        warned = {"sepsis": {"variants": {"care": {"auroc": {"value": auroc}}}}}
        return {"detection": {}, "forecast": {}, "early_warning": warned}

    verdicts = {
        auroc: {gate["name"]: gate["passed"] for gate in gates_of(run(0.8), settings.params.gates, run(auroc))}
        for auroc in (0.81, 0.9)
    }

    assert [True, False] == [verdicts[auroc]["sepsis_auroc_below_champion"] for auroc in (0.81, 0.9)]
    assert "sepsis_auroc_below_champion" not in {
        gate["name"] for gate in gates_of(run(0.8), settings.params.gates, {"detection": {}})
    }


def test_hours_of_an_outcome_that_is_told_of_everybody_are_no_episodes_of_the_detector(tmp_path: Path):
    events, outcomes = tmp_path / "events.parquet", tmp_path / "outcomes.parquet"
    write_events(events, [Event("a", "sepsis", 0, 9), Event("a", "fever", 3, 5), Event("b", "sepsis", 1, 2)])
    write_outcomes(outcomes, [Outcome("a", "sepsis", True), Outcome("c", "sepsis", False)])

    found = read_episodes(events, outcomes)

    assert {"a": ["fever"], "b": ["sepsis"]} == {person: [e.kind for e in some] for person, some in found.items()}
    assert {"a", "b"} == set(read_episodes(events, tmp_path / "nothing.parquet"))


def test_labels_that_no_vital_follows_teach_nothing(tmp_path: Path, settings: Settings):
    table = judged(ward(tmp_path / "in", np.random.default_rng(2), true=False), small(settings))[0]["sepsis"]
    by_vitals = table["variants"]["vitals"]["auroc"]["value"]

    assert by_vitals < table["variants"]["stay"]["auroc"]["value"] + 0.1  # hours alone still tell something


def test_with_few_septic_patients_there_is_no_model_and_a_note(tmp_path: Path, settings: Settings):
    folder = ward(tmp_path / "in", np.random.default_rng(1))
    ingest([folder], tmp_path / "out", settings, now_ms=NOW)
    people = {"train": [f"p{number:03}" for number in range(9)], "calibration": []}
    files, card, notes = hospital.learn(hospital.Records.of(tmp_path / "out"), settings, people)

    assert ({}, {}) == (files, card)
    assert "3 patients with it, 20 are needed" in notes[0]


def test_people_divided_by_time_are_in_no_part():
    found = hospital.people_of({"a": {"part": "train"}, "b": {"part": "time"}, "c": {"part": "test"}})

    assert {"train": {"a"}, "calibration": set(), "test": {"c"}} == found


def test_f23_how_many_hours_are_learnt_from_is_as_chosen(tmp_path: Path, settings: Settings):
    ingest([ward(tmp_path / "in", np.random.default_rng(1))], tmp_path / "out", settings, now_ms=NOW)
    records, everybody = hospital.Records.of(tmp_path / "out"), [f"p{number:03}" for number in range(PATIENTS)]

    def hours(**changes: float) -> int:
        chosen = settings.params.early_warning.model_copy(update={"share_of_hours": 0.5, **changes})
        params = settings.params.model_copy(update={"early_warning": chosen})
        found = hospital._hours(records, dataclasses.replace(settings, params=params), everybody)
        return len(found["sepsis"][0].joined()[1])

    assert hours(share_of_hours=0.1) < hours() < hours(share_of_hours=1.0) <= PATIENTS * HOURS
    assert hours(max_rows=200) < hours()


def test_limits_of_one_question_are_not_told_of_another(learnt: tuple[Any, ...]):
    of_sepsis = deterioration.LIMITS_OF["sepsis"]

    assert set(deterioration.LIMITS_OF) <= set(QUESTIONS)
    assert set(QUESTIONS) == set(HORIZON_HOURS)
    assert set(of_sepsis) <= set(learnt[2]["limits"])
    assert "sepsis" not in " ".join(deterioration.LIMITS).lower()


def test_negative_results_of_one_question_are_not_told_of_another(learnt: tuple[Any, ...]):
    card, told = learnt[2], deterioration.NEGATIVE_RESULTS_OF

    assert set(QUESTIONS) == set(told)
    assert [text for question in card["questions"] for text in told[question]] == card["negative_results"]
    assert all(text.startswith("Sepsis: ") and "death" not in text.lower() for text in told["sepsis"])
    assert all(text.startswith("Death: ") and "sepsis" not in text.lower() for text in told["death_in_hospital"])
    assert not any("hours in hospital" in text for text in told["death_in_hospital"])  # one stay is as long as another

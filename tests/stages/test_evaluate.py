from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from vitalwatch.cleaning import grid_columns
from vitalwatch.settings import load_settings
from vitalwatch.stages import detection_tables, evaluate, number_tables
from vitalwatch.stages.detection_tables import BUDGETS
from vitalwatch.stages.evaluate import PersonResult, Thresholds, gates_of, tables_of
from vitalwatch.stages.judging import case_of, learnt_rows, world_of
from vitalwatch.stages.number_tables import row_figures
from vitalwatch.tables import DAY, MINUTE, Alarm, Answers, Event, Grid, Profile

ROOT = Path(__file__).parent.parent.parent
DAYS, ENROLLED, KINDS = 16, 7, ("fever", "night_hypoxia")
HORIZONS = (10, 60)
FIXED = np.random.default_rng(1)


@pytest.fixture(scope="module")
def settings():
    """Ten-minute steps and few draws: a small world is judged fast."""
    return load_settings(ROOT, environment="base", overrides=["schema.step=10min", "evaluation.draws=200"])


def person(settings, number: int, split: str = "test", *, skill: float = 6.0, **changes: object) -> PersonResult:
    """A made-up person with two episodes after enrolment, in which both scores are `skill` higher."""
    rng = np.random.default_rng(number)
    schema, rows = settings.schema, DAYS * settings.schema.steps_per_day
    names, vitals = grid_columns(schema), len(schema.vitals)
    time = np.arange(rows, dtype=np.int64) * schema.step_ms
    minute = (time // MINUTE % 1440).astype(np.int16)
    walking = (rng.random(rows // 6) < 0.15).repeat(6)
    values = np.full((rows, len(names)), np.nan, np.float32)
    rate = 65 + 25 * walking + 5 * np.sin(2 * np.pi * minute / 1440) + rng.normal(0, 2, rows)
    put = {"heart_rate": rate, "steps": 800.0 * walking, "intensity": 0.6 * walking, "sleep": minute < 420}
    for name, column in put.items():
        values[:, names.index(name)] = column
    values[250:260] = np.nan
    grid = Grid(
        person=f"p{number}",
        time=time,
        minute=minute,
        segment=np.zeros(rows, np.int32),
        names=names,
        values=values,
        filled=np.zeros((rows, vitals), bool),
        artefact=np.zeros((rows, vitals), np.uint8),
    )
    events = tuple(
        Event(grid.person, KINDS[i], start, start + 4 * 60 * MINUTE)
        for i, start in enumerate((DAY * (ENROLLED + 2) + number * 60 * MINUTE, DAY * (ENROLLED + 6)))
    )
    inside = np.zeros(rows, bool)
    for event in events:
        inside |= (time >= event.start) & (time < event.end)
    worn = np.isfinite(values[:, 0])
    unusual = np.where(worn, rng.normal(size=rows) + skill * inside, np.nan).astype(np.float32)
    known = np.where(worn, 1 / (1 + np.exp(4 - skill * inside - rng.normal(size=rows))), np.nan).astype(np.float32)
    last = np.where(worn, values[:, 0], np.nan)
    spread = np.array([-4.0, 0.0, 4.0])
    forecast = np.stack([last[:, None] * (1 - k) + rate.mean() * k + spread for k in (0.1, 0.9)], axis=1)
    answers = Answers(
        person=grid.person,
        time=time,
        score=known,
        p_value=np.ones(rows, np.float32),
        is_anomaly=known > 0.5,
        unusual=unusual,
        known=known,
        probability=np.where(inside, 0.97, 0.01).astype(np.float32),
        kind=np.where(inside, 0, -1).astype(np.int16),
        kinds=KINDS,
        residual=((values[:, :vitals] - 65) / 10).astype(np.float32),
        vitals=schema.vitals,
        expected_heart_rate=(65 + 25 * walking).astype(np.float32),
        usual_heart_rate_spread=np.full(rows, 5, np.float32),
        forecast=forecast[:, None].astype(np.float32),
        forecast_vitals=("heart_rate",),
        horizons=HORIZONS,
        own_baseline=np.ones(rows, bool),
        assessable=worn,
        grid=grid,
        alarms=(Alarm(grid.person, events[0].start, events[0].end, "", "unusual", "medium", ""),),
    )
    book = (Event(grid.person, "fault:spikes", DAY * 8, DAY * 9),)
    profile = Profile(grid.person, age=30.0 + 10 * (number % 5), sex="female" if number % 2 else "male")
    result = PersonResult(grid.person, profile, events, book, split, answers, DAY * ENROLLED)
    inner = {key: value for key, value in changes.items() if hasattr(answers, key) and key != "person"}
    outer = {key: value for key, value in changes.items() if key not in inner}
    return dataclasses.replace(result, answers=dataclasses.replace(answers, **inner), **outer)


def judge(settings, results, **changes):
    given = {"thresholds": Thresholds(3.0, 0.5), "trained_on": (), "rng": np.random.default_rng(1)} | changes
    return tables_of(results, settings, **given)


@pytest.fixture(scope="module")
def results(settings):
    parts = ["test"] * 6 + ["calibration"] * 3 + ["train"] * 2
    return [person(settings, i, part) for i, part in enumerate(parts)]


@pytest.fixture(scope="module")
def tables(settings, results):
    return judge(settings, results, trained_on=[result.person for result in results[6:]])


def gates(tables) -> dict:
    return {gate["name"]: gate for gate in tables["gates"]}


def test_the_tables_are_plain_json(tables):
    assert tables == json.loads(json.dumps(tables, allow_nan=False))


def test_a_skilful_detector_is_seen_to_be_one_in_every_figure(tables):
    for name in ("unusual", "known", "both"):
        found = tables["detection"]["channels"][name]

        assert 1.0 == found["recall"]["value"]
        assert found["event_f1"]["value"] > 0.9
        assert found["average_precision"]["value"] > 0.9
        assert found["vus_pr"]["value"] > 0.7
        assert 1.0 == found["recall_at"]["0.1"]["value"]
        assert 1.0 == found["macro_recall"]["value"]
        assert found["precision_natural"]["value"] <= found["precision"]["value"]


def test_people_with_the_episodes_that_life_gave_them_have_no_other_natural_prevalence(settings, results):
    real = [dataclasses.replace(result, bookkeeping=None) for result in results]
    told, made = (judge(settings, some)["detection"] for some in (real, results))

    assert "precision_natural" in made["channels"]["both"]
    assert not {"precision_natural", "alarms_per_day_natural"} & set(told["channels"]["both"])
    assert 1 == len(set(made["notes"]) - set(told["notes"]))


def test_whose_medication_nobody_told_is_not_said_to_take_none(settings, results):
    silent = [dataclasses.replace(one, profile=dataclasses.replace(one.profile, medication=())) for one in results]
    group = judge(settings, silent)["detection"]["by_group"]["both"]["beta_blocker"]

    assert {"not told"} == set(group)


def test_every_channel_stands_beside_every_line(tables):
    expected = {
        "chance",
        "always_on",
        "fixed_limits",
        "news2",
        "ewma_z_heart_rate",
        "personal_z_heart_rate",
        "night_rate_yellow",
        "night_rate_red",
        "max_abs_z",
        "max_abs_z_served",
        "raw_isolation_forest",
    }
    lines = tables["detection"]["lines"]

    assert expected == set(lines)
    assert all(set(tables["detection"]["channels"]["both"]) <= set(line) for line in lines.values())
    for line in lines.values():
        beside = line["ours_beside"]

        assert {"unusual", "known", "both"} == set(beside)
        assert all(one["ours_minus_this"]["low"] > 0 for one in beside.values())
    assert {"ewma_z_heart_rate", "personal_z_heart_rate", "max_abs_z", "max_abs_z_served"} == {
        name for name, line in lines.items() if line["mean_of"]
    }


def test_a_line_has_the_budget_of_the_channel_that_it_stands_beside(tables):
    beside = tables["detection"]["lines"]["personal_z_heart_rate"]["ours_beside"]
    promised = {name: row["nominal"] for name, row in tables["detection"]["nominal"].items()}

    assert promised == {name: one["budget"] for name, one in beside.items()}
    assert beside["unusual"]["false_alarms_per_day"]["value"] <= beside["both"]["false_alarms_per_day"]["value"]


@pytest.mark.parametrize("detector", ["random", "constant"])
def test_detectors_without_skill_score_chance_in_every_metric(tables, detector):
    chance = tables["detection"]["rows_in_episodes"]
    found = tables["detection"]["no_skill"][detector]

    assert chance == pytest.approx(found["average_precision"]["value"], rel=0.25)
    assert found["vus_pr"]["value"] < 2 * chance
    assert all(figure["value"] <= 0.25 for figure in found["recall_at"].values())


def test_what_has_no_skill_finds_no_more_at_a_budget_than_alarms_anywhere_would(tables):
    found = gates(tables)
    names = [f"{name}_detector_at_chance_recall_at_{budget}" for name in ("random", "always_on") for budget in BUDGETS]

    assert all(found[name]["passed"] for name in names)
    skilful = tables["detection"]["channels"]["both"]["recall_at"]
    assert all(skilful[str(budget)]["value"] > found[names[0]]["limit"] for budget in BUDGETS)


def test_always_on_pays_for_its_recall(tables):
    always = tables["detection"]["lines"]["always_on"]

    assert 1.0 == always["recall"]["value"]
    assert always["event_f1"]["value"] < 0.15
    assert always["false_alarms_per_day"]["value"] > 3
    assert tables["detection"]["rows_in_episodes"] == pytest.approx(always["average_precision"]["value"], rel=0.05)


def test_permuted_labels_fall_to_chance(tables):
    assert tables["detection"]["no_skill"]["permuted_labels"]["event_f1"] < 0.3
    assert gates(tables)["permuted_labels_at_chance"]["passed"]
    assert tables["detection"]["no_skill"]["chance_alarms"]["event_f1"]["high"] < 0.4


@pytest.mark.parametrize("skill", [0.0, 1.5, 6.0])
def test_moved_labels_are_at_chance_whatever_the_skill_and_however_few_the_people(settings, skill):
    ten = [person(settings, i, skill=skill) for i in range(10)]

    for few, seed in itertools.product((ten, ten[:2], ten[:1]), range(4)):
        found = at_chance(settings, few, seed)

        assert found["passed"], (len(few), seed, found)


def at_chance(settings, people, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    world = world_of([case_of(one, settings.schema.step_ms) for one in people], settings, rng)
    ours = detection_tables.channels(world, Thresholds(3.0, 0.5))
    found = detection_tables.no_skill(world, ours, detection_tables.surfaces_of(world), rng)
    return evaluate._leakage({"no_skill": found, "episodes": len(world.cohort.episodes)})[0]


@pytest.mark.parametrize(("moved", "passed"), [(0.18, True), (0.24, True), (0.26, False), (0.33, False)])
def test_labels_moved_in_time_may_be_found_as_often_as_chance_finds_true_ones_and_no_more(moved, passed):
    chance = {"value": 0.238, "low": 0.18, "high": 0.285}
    no_skill = {"permuted_labels": {"event_f1": moved}, "chance_alarms": {"event_f1": chance}}

    assert passed is evaluate._leakage({"no_skill": no_skill, "episodes": 286})[0]["passed"]


def test_labels_that_were_not_really_moved_fail(settings, results, monkeypatch):
    monkeypatch.setattr(detection_tables, "_moved", lambda world, rng: world.cohort)

    assert at_chance(settings, results[:6], 1)["passed"] is False
    assert at_chance(settings, results[:1], 1)["passed"] is False
    assert at_chance(settings, [person(settings, i, skill=3.0) for i in range(10)], 1)["passed"] is False


def test_alarms_by_chance_are_as_many_and_as_long_as_ours_and_begin_where_the_device_was_worn(settings, results):
    world = world_of([case_of(result, settings.schema.step_ms) for result in results[:3]], settings, FIXED)
    over = detection_tables.channels(world, Thresholds(3.0, None))["unusual"].over
    ours = world.cohort.alarms(over)
    spans = detection_tables._scattered(world, over, np.random.default_rng(2))

    assert len(ours) == sum(len(span) for span in spans)
    assert sorted(np.ptp(ours, axis=1)) == sorted(np.concatenate([np.ptp(span, axis=1) for span in spans]))
    for case, span in zip(world.cases, spans, strict=True):
        assert np.isin(span[:, 0], case.result.answers.time[case.worn]).all()


def test_a_detector_that_learnt_nothing_fails_the_gates(settings):
    found = gates(judge(settings, [person(settings, i, skill=0.0) for i in range(4)]))

    assert not found["event_f1_unusual"]["passed"]
    assert not found["event_f1_known"]["passed"]


def test_a_good_run_passes_every_gate_and_says_with_what(tables):
    assert tables["passed"]
    assert {"forecast_skill_of_other_vitals"} == {gate["name"] for gate in tables["gates"] if not gate["passed"]}
    assert {"name", "value", "limit", "passed"} <= set(tables["gates"][0])


@pytest.mark.parametrize(("rows", "skill", "verdict"), [(5000, 0.1, True), (5000, -0.1, False), (90, -0.1, None)])
def test_other_vitals_must_beat_what_is_easily_said_where_they_are_measured_often(
    settings, tables, rows, skill, verdict
):
    lines = {name: {"skill": {"value": skill}} for name in ("persistence", "seasonal_24h")}
    vitals = tables["forecast"]["vitals"] | {"respiratory_rate": {"60": {"rows": rows, "lines": lines}}}
    found = gates_of(tables | {"forecast": {"vitals": vitals}}, settings.params.gates)

    assert [verdict] == [gate["passed"] for gate in found if gate["name"] == "forecast_skill_of_other_vitals"]


def test_a_test_person_who_was_trained_on_fails_the_run(settings, results):
    found = judge(settings, results[:2], trained_on=["p0"])

    assert not found["passed"]
    assert not gates(found)["no_person_in_two_splits"]["passed"]


def test_by_time_the_split_of_people_cannot_be_judged(settings, results):
    found = judge(settings, results[:2], trained_on=["p0", "p1"], by_time=True)

    assert gates(found)["no_person_in_two_splits"]["passed"] is None


def test_rows_of_enrolment_are_not_judged(settings, results):
    early = np.where(results[0].answers.time < results[0].enrolled_until, 99.0, results[0].answers.unusual)
    loud = dataclasses.replace(results[0].answers, unusual=early.astype(np.float32))
    found = judge(settings, [dataclasses.replace(results[0], answers=loud), results[1]])
    plain = judge(settings, results[:2])

    assert plain["detection"]["channels"]["unusual"] == found["detection"]["channels"]["unusual"]


def test_an_episode_that_nobody_wore_is_left_out_and_one_before_enrolment_too(settings, results):
    first = results[0]
    early = Event(first.person, "fever", DAY, 2 * DAY)
    begun = Event(first.person, "fever", ENROLLED * DAY - 60 * MINUTE, ENROLLED * DAY + 60 * MINUTE)
    more = (*first.events, early, begun)
    found = judge(settings, [dataclasses.replace(first, events=more), results[1]])["detection"]

    assert (4, 2) == (found["episodes"], found["episodes_left_out"])


def test_without_labels_detection_is_not_assessable_but_numbers_are(settings, results):
    blind = [dataclasses.replace(result, events=None) for result in results]
    found = judge(settings, blind)

    assert "labelled" in found["detection"]["not_assessable"]
    assert found["expected_heart_rate"]["all"]["r2"]["value"] > 0.5
    assert gates(found)["event_f1_unusual"]["passed"] is None
    assert found["passed"]


def test_without_a_supervised_model_the_unusual_channel_stands_alone(settings, results):
    without = [
        dataclasses.replace(
            r, answers=dataclasses.replace(r.answers, known=np.full(len(r.answers), np.nan, np.float32))
        )
        for r in results[:2]
    ]
    found = judge(settings, without, thresholds=Thresholds(3.0, None))

    assert "not_assessable" in found["detection"]["channels"]["known"]
    assert "not_assessable" in found["detection"]["known_probability"]
    assert found["detection"]["channels"]["unusual"]["recall"]["value"] == 1.0
    assert gates(found)["false_alarms_per_day"]["value"] is not None


def test_without_a_forecast_its_table_says_so(settings, results):
    blank = [
        dataclasses.replace(
            r, answers=dataclasses.replace(r.answers, forecast=np.full_like(r.answers.forecast, np.nan))
        )
        for r in results[:2]
    ]

    assert "no forecast" in judge(settings, blank)["forecast"]["not_assessable"]


def test_the_interval_stands_beside_that_of_persistence_which_holds_as_promised(tables):
    for row in tables["forecast"]["vitals"]["heart_rate"].values():
        beside = row["persistence_interval"]

        assert 0.8 == pytest.approx(beside["coverage"]["value"], abs=0.05)
        assert 1 - row["width"]["value"] / beside["width"]["value"] == pytest.approx(beside["width_saved"]["value"])


def test_the_interval_stands_beside_that_of_persistence_followed_to_each_person(tables):
    for row in tables["forecast"]["vitals"]["heart_rate"].values():
        followed = row["persistence_followed"]

        assert 0.8 == pytest.approx(followed["coverage"]["value"], abs=0.02)
        assert row["pinball"]["value"] / followed["pinball"]["value"] == pytest.approx(
            1 - followed["pinball_saved"]["value"]
        )
        assert followed["coverage_worst_person"] >= row["persistence_interval"]["coverage_worst_person"] - 0.02


def test_a_heart_expected_from_the_profile_alone_stands_beside_the_simplest_lines(settings, results):
    cold = [dataclasses.replace(r, cold=r.answers.expected_heart_rate + np.float32(5)) for r in results]
    found = judge(settings, cold)["expected_heart_rate"]["all"]

    assert found["cold"]["rmse"]["value"] > found["rmse"]["value"]
    assert {"constant", "person_mean", "plain_boosting"} == set(found["cold"]["skill_against"])
    assert "cold" not in judge(settings, results)["expected_heart_rate"]["all"]


def test_a_promise_is_told_from_both_sides(settings, results):
    few = judge(settings, results, thresholds=Thresholds(99.0, 99.0, {"unusual": 0.1, "known": 0.1, "both": 0.1}))

    assert all(row["kept"] and not row["met_both_sides"] for row in few["detection"]["nominal"].values())
    assert all(gate["passed"] for name, gate in gates(few).items() if name.startswith("false_alarms_as_promised"))


def test_nobody_to_test_gives_reasons_and_no_figures(settings, results):
    found = judge(settings, results[6:])

    assert all("not_assessable" in found[part] for part in ("detection", "forecast", "expected_heart_rate"))
    assert "not_assessable" in found["classical"]["test"]


def test_the_forecast_table_has_every_figure_beside_every_line(tables):
    table = tables["forecast"]["vitals"]["heart_rate"]

    assert [str(h) for h in HORIZONS] == list(table)
    assert set(number_tables.FORECAST_LINES) | set(number_tables.LAST_READING) == set(table["60"]["lines"])
    assert {"mae", "rmse", "pinball", "coverage", "width"} <= set(table["60"])
    assert 0 < table["60"]["coverage"]["value"] < 1
    assert table["60"]["coverage_worst_person"] <= table["60"]["coverage"]["value"]
    assert 8.0 == pytest.approx(table["60"]["width"]["value"], abs=1e-3)
    assert table["60"]["rest_to_exercise"]["rows"] > 0
    assert table["60"]["rest_to_exercise"]["mae"]["value"] > table["60"]["mae"]["value"]


def test_persistence_has_no_skill_against_itself(settings, results):
    same = []
    for result in results[:2]:
        last = result.answers.grid.column("heart_rate")
        told = np.repeat(np.repeat(last[:, None, None, None], 2, axis=2), 3, axis=3)
        same.append(dataclasses.replace(result, answers=dataclasses.replace(result.answers, forecast=told)))
    line = judge(settings, same)["forecast"]["vitals"]["heart_rate"]["60"]["lines"]["persistence"]

    assert {"value": 0.0, "low": 0.0, "high": 0.0} == line["skill"]


def test_the_expected_rate_stands_beside_its_lines(tables):
    table = tables["expected_heart_rate"]["all"]

    assert {"constant", "person_mean", "reserve_formula", "linear", "plain_boosting"} == set(table["lines"])
    assert table["lines"]["person_mean"]["skill"]["low"] > 0
    assert table["rows"] > tables["expected_heart_rate"]["awake"]["rows"]


def test_rows_of_people_whose_sleep_nobody_measured_are_not_called_awake(settings):
    results = [person(settings, number) for number in range(2)]
    for result in results:
        result.answers.grid.column("sleep")[:] = np.nan
    table = judge(settings, results)["expected_heart_rate"]

    assert table["all"]["rows"] > 0
    assert "sleep" in table["awake"]["not_assessable"]


def test_groups_and_days_add_up_to_the_whole(tables):
    groups = tables["detection"]["by_group"]["both"]

    assert {"sex", "age", "beta_blocker", "days_since_enrolment"} == set(groups)
    for name, rows in groups.items():
        assert tables["detection"]["episodes"] == sum(row["episodes"] for row in rows.values()), name
        whole = sum(row["person_days"] for row in rows.values())
        assert tables["detection"]["person_days"] == pytest.approx(whole, abs=0.05), name


def test_a_false_alarm_is_counted_under_the_fault_it_met(settings):
    loud = person(settings, 1)
    at = (loud.answers.time >= 8 * DAY + 6 * 60 * MINUTE) & (loud.answers.time < 8 * DAY + 7 * 60 * MINUTE)
    at |= (loud.answers.time >= 10 * DAY + 12 * 60 * MINUTE) & (loud.answers.time < 10 * DAY + 13 * 60 * MINUTE)
    score = np.where(at, 9.0, np.minimum(loud.answers.unusual, 2.9)).astype(np.float32)
    answers = dataclasses.replace(loud.answers, unusual=score)
    causes = judge(settings, [dataclasses.replace(loud, answers=answers)])["detection"]["false_alarms_by_cause"]

    assert {"fault:spikes": 1, "nothing written down": 1} == {
        k: v["false_alarms"] for k, v in causes["unusual"].items()
    }


def test_alarms_as_served_are_judged_too(tables):
    assert 0.5 == tables["detection"]["served"]["recall"]["value"]


def test_the_named_kind_is_checked(tables):
    assert 0.5 == tables["detection"]["kind_named"]["right"]["value"]


def test_the_lines_learn_from_calibration_people_and_from_enrolment_only(results):
    judged, calibrator = results[0], results[6]

    assert (learnt_rows(judged) == (judged.answers.time < ENROLLED * DAY)).all()
    assert learnt_rows(calibrator).all()


def test_the_promised_rate_of_false_alarms_stands_beside_the_realised_one(tables):
    found = tables["detection"]["nominal"]

    assert {"unusual": 0.035, "known": 0.065, "both": 0.1} == {name: row["nominal"] for name, row in found.items()}
    assert all(row["within"] <= row["kept"] for row in found.values())


def test_without_a_supervised_model_the_whole_budget_is_promised_to_the_channel_there_is(settings, results):
    found = judge(settings, results[:2], thresholds=Thresholds(3.0, None))["detection"]["nominal"]
    told = judge(settings, results[:2], thresholds=Thresholds(3.0, None, {"unusual": 0.02}))["detection"]["nominal"]

    assert {"unusual": 0.1} == {name: row["nominal"] for name, row in found.items()}
    assert {"unusual": 0.02} == {name: row["nominal"] for name, row in told.items()}


def test_many_more_false_alarms_than_promised_fail_their_gate_and_fewer_pass(settings, results):
    quiet, loud = (gates(judge(settings, results[:6], thresholds=Thresholds(t, 0.5))) for t in (50.0, 0.5))

    assert quiet["false_alarms_as_promised_unusual"]["passed"]
    assert 0 == quiet["false_alarms_as_promised_unusual"]["value"]
    assert loud["false_alarms_as_promised_unusual"]["passed"] is False
    assert loud["false_alarms_as_promised_both"]["passed"] is False
    assert loud["false_alarms_as_promised_known"] == quiet["false_alarms_as_promised_known"]


def test_what_is_allowed_above_the_promise_shrinks_with_the_days(settings, results):
    few, many = (judge(settings, results[:n])["detection"] for n in (1, 6))

    for found in (few, many):
        expected = 1.25 * 0.035 + 3 / found["person_days"]
        assert expected == pytest.approx(found["nominal"]["unusual"]["allowed"], abs=1e-4)
    assert many["nominal"]["unusual"]["allowed"] < few["nominal"]["unusual"]["allowed"]


def test_a_promise_about_no_alarms_at_all_cannot_be_judged(settings, results):
    blind = gates(judge(settings, [dataclasses.replace(result, events=None) for result in results]))
    alone = gates(judge(settings, results[:2], thresholds=Thresholds(3.0, None)))

    assert blind["false_alarms_as_promised_unusual"]["passed"] is None
    assert alone["false_alarms_as_promised_known"]["passed"] is None
    assert alone["false_alarms_as_promised_unusual"]["passed"] is not None


def test_the_classical_heart_rate_stands_beside_the_mean_of_training_people(tables, results):
    learners = [result for result in results if result.split == "train"]
    rates = [r.answers.grid.column("heart_rate")[r.answers.time >= r.enrolled_until] for r in learners]
    true = np.concatenate(rates)
    true = true[np.isfinite(true)].astype(float)
    train, test = (tables["classical"][part]["expected_heart_rate"] for part in ("train", "test"))

    assert true.std() == pytest.approx(train["constant"]["rmse"], abs=1e-3)
    assert 0 == pytest.approx(train["constant"]["r2"], abs=1e-6)
    assert test["constant"]["rmse"] > test["rmse"]
    assert test["constant"]["r2"] < 0.05


def test_without_training_people_there_is_no_constant_to_stand_beside(settings, results):
    found = judge(settings, results[:2])["classical"]["test"]["expected_heart_rate"]

    assert "training people" in found["constant"]["not_assessable"]
    assert found["rmse"] > 0


def test_a_champion_that_was_much_better_stops_promotion(settings, tables):
    better = json.loads(json.dumps(tables))
    better["detection"]["channels"]["both"]["event_f1"]["value"] = 1.2
    verdicts = {
        name: {gate["name"]: gate["passed"] for gate in gates_of(tables, settings.params.gates, champion)}
        for name, champion in {"better": better, "same": tables, "none": None}.items()
    }

    assert verdicts["better"]["event_f1_below_champion"] is False
    assert verdicts["same"]["event_f1_below_champion"] is True
    assert "event_f1_below_champion" not in verdicts["none"]


def test_verdicts_from_training_count(settings, results):
    bad = {"name": "shuffled_context_falls_to_person_mean", "value": 0.4, "limit": 0.05, "passed": False}

    assert not judge(settings, results[:2], more_gates=[bad])["passed"]


def test_row_figures_are_scikit_learns_and_the_constant_answer_wins_accuracy():
    true = np.array([1] * 7 + [0] * 993, bool)
    told = np.array([1, 1, 0, 0, 0, 0, 0] + [1] * 60 + [0] * 933, bool)
    cells = np.array([(true & told).sum(), (~true & told).sum(), (true & ~told).sum(), (~true & ~told).sum()], float)
    found = row_figures(cells)

    for name, figure in (("accuracy", accuracy_score), ("precision", precision_score), ("recall", recall_score)):
        assert figure(true, told) == pytest.approx(found["model"][name], abs=1e-6)
    assert f1_score(true, told) == pytest.approx(found["model"]["f1"], abs=1e-6)
    assert found["always_normal"]["accuracy"] > found["model"]["accuracy"]
    assert 0 == found["always_normal"]["f1"]


def test_the_same_seed_gives_the_same_tables(settings, results):
    one, other = (judge(settings, results[:2]) for _ in range(2))

    assert {**one, "seconds": 0} == {**other, "seconds": 0}

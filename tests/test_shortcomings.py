"""What tells against a model is read off its run's tables: whom and what it serves worst, the rules ahead of it."""

from __future__ import annotations

from typing import Any

import pytest

from report_world import small_evaluation
from vitalwatch import shortcomings
from vitalwatch.cards import cards, told_of_training

CARD = {"models": told_of_training(known=True)}


def figure(value: float, low: float | None = None, high: float | None = None) -> dict[str, float]:
    return {"value": value, "low": value if low is None else low, "high": value if high is None else high}


def kinds(**recall: float) -> dict[str, Any]:
    return {kind: {"recall": figure(value), "episodes": 25} for kind, value in recall.items()}


def told(title: str, what: str, **parts: Any) -> list[str]:
    """What a card says under one head, of the small evaluation with some parts put in their place."""
    tables = small_evaluation()
    changed = {name: tables[name] | part for name, part in parts.items()}
    (card,) = [card for card in cards(CARD, tables | changed) if card.title.startswith(title)]
    return [text for head, text in card.rows if head == what]


def test_a_card_tells_as_a_limit_the_kinds_that_are_found_least() -> None:
    found = {"known": kinds(fever=1.0, chronotropic_incompetence=0.12, bradycardia=0.5, night_hypoxia=0.51)}

    assert (
        "Finds half or fewer of chronotropic incompetence, recall 0.12 (0.12 to 0.12) of 25 episodes; bradycardia, "
        "recall 0.50 (0.50 to 0.50) of 25 episodes."
    ) in told("Detector, channel B", "Limits", detection={"by_kind": found})


def test_where_every_kind_is_mostly_found_the_least_found_is_told_all_the_same() -> None:
    assert "Finds least of bradycardia, recall 0.60 (0.60 to 0.60) of 25 episodes." == shortcomings.found_least(
        kinds(fever=1.0, bradycardia=0.6)
    )
    assert "" == shortcomings.found_least({})


def test_a_card_tells_as_a_limit_for_whom_a_channel_does_worst_beside_all() -> None:
    groups = {
        "sex": {"female": {"people": 24, "episodes": 158, "event_f1": figure(0.72)}},
        "beta_blocker": {
            "no": {"people": 43, "episodes": 259, "event_f1": figure(0.74)},
            "yes": {"people": 5, "episodes": 27, "event_f1": figure(0.58, 0.39, 0.7)},
        },
    }
    (worst,) = [
        text
        for text in told("Detector, channel B", "Limits", detection={"by_group": {"known": groups}})
        if text.startswith("Worst off")
    ]

    assert worst.startswith("Worst off by beta-blocker, yes: event F1 0.58 (0.39 to 0.70) (5 people, 27 episodes), ")
    assert "beside 0.80 (0.80 to 0.80) of all" in worst
    assert worst.endswith("; no 0.74 (0.74 to 0.74) (43 people, 259 episodes).")


def test_of_an_error_the_largest_is_the_worst_and_of_one_subgroup_nothing_is_told() -> None:
    ages = {"age": {"under 40": {"people": 7, "mae": figure(5)}, "60 and over": {"people": 3, "mae": figure(6)}}}

    assert shortcomings.worst_off(ages, "mae", "MAE", figure(5.2), least=False).startswith(
        "Worst off by age, 60 and over: MAE 6.00"
    )
    assert "" == shortcomings.worst_off({"age": {"under 40": {"mae": figure(5)}}}, "mae", "", figure(5), least=False)


def test_subgroups_on_a_card_say_of_how_many_people_and_episodes_they_are() -> None:
    (text,) = told("Detector, channel B", "Event F1 by sex")
    (error,) = told("Expected heart rate", "MAE by sex, bpm")

    assert "female 0.80 (0.80 to 0.80) (1 person, 2 episodes)" in text
    assert "(1 person)" in error


def ranks(ours: float, rule: float) -> dict[str, Any]:
    detection = small_evaluation()["detection"]
    channels = {"unusual": detection["channels"]["unusual"] | {"average_precision": figure(ours), "vus_pr": figure(1)}}
    lines = {"max_abs_z": detection["lines"]["max_abs_z"] | {"average_precision": figure(rule), "vus_pr": figure(0)}}
    return {"channels": channels, "lines": lines}


def test_a_card_says_with_figures_where_a_simple_rule_ranks_rows_better() -> None:
    better = [
        text
        for text in told("Detector, channel A", "Negative result", detection=ranks(0.534, 0.621))
        if "ranks rows better" in text
    ]

    assert 1 == len(better)
    assert "average precision 0.621 (0.621 to 0.621) by largest deviation from own normal" in better[0]
    assert better[0].endswith("beside 0.534 (0.534 to 0.534).")


def test_a_rule_that_ranks_rows_no_better_is_no_negative_result() -> None:
    texts = told("Detector, channel A", "Negative result", detection=ranks(0.63, 0.621))

    assert not any("ranks rows better" in text for text in texts)


@pytest.mark.parametrize(("low", "even"), [(-0.01, True), (0.02, False)])
def test_a_channel_that_finds_no_more_than_a_rule_beyond_chance_says_so(low: float, even: bool) -> None:
    detection = ranks(1, 0)
    beside = {"unusual": {"budget": 0.035, "event_f1": figure(0.5), "ours_minus_this": figure(0.04, low, 0.09)}}
    detection["lines"] = {"max_abs_z": detection["lines"]["max_abs_z"] | {"ours_beside": beside}}

    assert even == any(
        "beyond chance: event F1 higher by 0.04" in text for text in shortcomings.outdone(detection, "unusual")
    )


def test_a_card_says_where_the_interval_does_not_hold_for_the_worst_person() -> None:
    table = small_evaluation()["forecast"]
    row = table["vitals"]["heart_rate"]["60"]
    held = {
        "blood_pressure_diastolic": {
            "15": row | {"coverage_worst_person": 0.718},
            "60": row | {"coverage_worst_person": 0.74},
        },
        "heart_rate": {"15": row | {"coverage_worst_person": 0.861}, "60": row | {"coverage_worst_person": None}},
        "respiratory_rate": {"15": row | {"coverage_worst_person": 0.86}},
    }
    texts = told("Forecaster", "Negative result", forecast={"nominal_coverage": 0.8, "vitals": held})

    assert (
        "For the worst person the interval holds outside of 74.0% to 86.0%: blood pressure diastolic 71.8% at 15 min; "
        "heart rate 86.1% at 15 min."
    ) in texts
    assert "" == shortcomings.astray(
        {"nominal_coverage": 0.8, "vitals": {"respiratory_rate": held["respiratory_rate"]}}
    )


def warned(low: float) -> dict[str, Any]:
    row = {
        "auroc": figure(0.7, 0.6, 0.8),
        "average_precision": figure(0.3),
        "auroc_gain_over_news2": figure(0.1, 0.05, 0.2),
        "auroc_gain_over_stay": figure(0.02, low, 0.05),
        "by_group": {"sex": {"female": {"patients": 40, "patients_with": 6, "auroc": figure(0.7)}}},
    }
    lines = {"news2": {"auroc": figure(0.6)}}
    sizes = {"patients": 90, "patients_with": 12}
    return {"question": "sepsis within 6 hours", **sizes, "lines": lines, "variants": {"vitals": row, "stay": row}}


@pytest.mark.parametrize(("low", "even"), [(-0.01, True), (0.01, False)])
def test_an_early_warning_says_which_line_its_run_does_not_beat_beyond_chance(low: float, even: bool) -> None:
    (card,) = cards({"early_warning": {"limits": []}}, {"early_warning": {"sepsis": warned(low)}})
    negative = [text for what, text in card.rows if what == "Negative result"]
    expected = (
        "Sepsis within 6 hours, from vitals: does not rank better than hours in hospital alone beyond chance (AUROC "
        "higher by 0.020 (-0.010 to 0.050))."
    )

    assert ([expected] if even else []) == negative
    assert "female 0.700 (0.700 to 0.700) (40 patients, 6 with it)." == dict(card.rows)["AUROC by sex, from vitals"]

"""A card for every model: what it is for, its figures beside the lines to beat, its limits and what did not work."""

from __future__ import annotations

import re

import pytest

from report_world import small_evaluation
from vitalwatch import features
from vitalwatch.cards import MODELS, cards, feature_words, told_of_training

CARD = {"people": {"train": 7, "calibration": 3}, "models": told_of_training(known=True)}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_says_what_it_is_for_and_what_it_cannot_do(name: str) -> None:
    (one,) = [card for card in cards(CARD, small_evaluation()) if card.title == MODELS[name]["title"]]
    told = [what for what, _ in one.rows]

    assert all(what in told for what in ("Intended use", "Not for", "Inputs", "Data", "Limits", "Negative result"))
    assert "7 people to learn from, 3 to calibrate on" in dict(one.rows)["Data"]
    assert any(" (" in text and " to " in text for _, text in one.rows)  # a figure with its interval


def test_a_channels_card_has_its_subgroups_kinds_and_the_best_line_beside_it() -> None:
    rows = dict(cards(CARD, small_evaluation())[1].rows)

    assert rows["Figures"].startswith("Event F1 0.80 (0.80 to 0.80), precision ")
    assert "female" in rows["Event F1 by sex"]
    assert "bradycardia" in rows["Recall by kind"]
    assert "beside the best simple rule at the same budget" in rows["Beside it"]
    assert all(what in rows["Beside it"] for what in ("paired difference", "average precision", "VUS-PR"))


def test_a_card_tells_which_part_of_the_forecast_was_better_by_the_runs_own_figures() -> None:
    better, alike = ({"value": -0.1, "low": -0.2, "high": high} for high in (-0.05, 0.05))
    parts = {"5": {"trees_against_lstm": better}, "60": {"trees_against_lstm": alike}}
    evaluation = small_evaluation()
    told = evaluation | {"forecast": evaluation["forecast"] | {"parts": {"horizons": parts}}}
    (card,) = [card for card in cards(CARD, told) if card.title == "Forecaster"]

    assert "beat the LSTM alone on the heart rate beyond chance at 5 min (" in dict(card.rows)["Parts"]


def test_a_card_says_where_a_forecast_loses_from_rest_to_exercise() -> None:
    evaluation = small_evaluation()
    row = evaluation["forecast"]["vitals"]["heart_rate"]["60"]
    start = {"coverage": {"value": 0.5}, "lines": {"ridge": {"skill": {"value": -0.04, "low": -0.06, "high": -0.01}}}}
    vitals = {"heart_rate": {"60": row | {"rest_to_exercise": start}}}
    told = evaluation | {"forecast": evaluation["forecast"] | {"vitals": vitals}}
    (card,) = [card for card in cards(CARD, told) if card.title == "Forecaster"]
    lost = [text for _, text in card.rows if text.startswith("From rest to exercise")]

    assert ["60 min to ridge regression (skill -0.04 (-0.06 to -0.01))"] == [
        text.split("simple lines: ")[1].split(". Its")[0] for text in lost
    ]
    assert "holds 50.0% at 60 min" in lost[0]


def test_what_a_card_says_of_itself_holds_no_figure_that_a_later_run_makes_wrong() -> None:
    texts = [
        text
        for told in MODELS.values()
        for part in told.values()
        for text in ([part] if isinstance(part, str) else part)
    ]

    assert [] == [text for text in texts if re.search(r"\.\d|\d ?%|\d bpm", text)]


def test_a_card_says_which_lines_the_heart_expected_of_a_stranger_does_not_beat() -> None:
    figure = {"value": 9.0, "low": 8.0, "high": 10.0}
    skills = {
        "constant": {"value": 0.1, "low": 0.05, "high": 0.2},
        "person_mean": {"value": -0.1, "low": -0.2, "high": 0.0},
    }
    evaluation = small_evaluation()
    row = evaluation["expected_heart_rate"]["all"] | {"cold": {"mae": figure, "rmse": figure, "skill_against": skills}}
    told = evaluation | {"expected_heart_rate": evaluation["expected_heart_rate"] | {"all": row}}
    (card,) = [card for card in cards(CARD, told) if card.title == "Expected heart rate"]

    assert (
        "Negative result",
        "With nothing known but the profile it does not beat person's mean beyond chance.",
    ) in card.rows


def test_without_labels_there_is_no_card_of_known_kinds() -> None:
    assert "known" not in told_of_training(known=False)
    assert [MODELS[name]["title"] for name in ("unusual", "expected_heart_rate", "forecast")] == [
        card.title for card in cards({"models": told_of_training(known=False)}, {})
    ]


def test_a_run_older_than_cards_has_none_and_one_that_was_not_judged_says_so() -> None:
    assert [] == cards({}, small_evaluation())
    assert all("Not judged." in dict(card.rows).values() for card in cards(CARD, {}))


def test_features_read_as_words() -> None:
    told = {feature.name: feature_words(feature) for feature in features.FEATURES}

    assert "heart rate while not active, mean of 6 h" == told["heart_rate_quiet_mean_360min"]
    assert "oxygen saturation, mean of 10 min" == told["oxygen_saturation_mean_10min"]
    assert "steps, of 24 h against the person's usual day" == told["steps_z_1440min"]
    assert "share asleep" == told["asleep_60min"]
    assert "heart rate while active, 60 min against the rise expected of them" == told["heart_rate_shortfall_60min"]
    assert len(told) == len(set(told.values()))
    assert not any("_" in text for text in told.values())


def test_the_name_of_a_difference_claims_no_direction() -> None:
    signed = [feature for feature in features.FEATURES if feature.unit == "z" or feature.statistic == "shortfall"]
    claims = re.compile(r"\b(above|below|over|under|missing|higher|lower|more|less)\b")

    assert {"above", "shortfall", "steps_z", "mean"} <= {feature.statistic for feature in signed}
    assert [] == [told for told in map(feature_words, signed) if claims.search(told)]
    assert "heart rate, mean of 60 min against that of 24 h" in map(feature_words, signed)

"""A card for every model: what it is for, its figures beside the lines to beat, its limits and what did not work."""

from __future__ import annotations

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
    assert len(told) == len(set(told.values()))
    assert not any("_" in text for text in told.values())

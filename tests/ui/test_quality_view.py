from __future__ import annotations

import numpy as np

from ui.world import NOW, course
from vitalwatch.database.quarantine import Refused
from vitalwatch.settings import Settings
from vitalwatch.ui import quality


def refused(reason: str, no: int = 1) -> Refused:
    return Refused("device", 0, reason, "detail", "1", b"secret", "", "", "key", no, NOW - 60_000)


def test_reasons_are_counted_with_what_they_mean() -> None:
    told = quality.by_reason({"unit_suspect": 1, "not_finite": 2000})

    assert [("not_finite", 2000), ("unit_suspect", 1)] == [row[:2] for row in told]
    assert all(meaning for _, _, meaning in told)


def test_what_was_sent_is_not_shown() -> None:
    assert "secret" not in str(quality.listed([refused("not_finite")], NOW))


def test_a_replay_says_what_stays() -> None:
    told = quality.replayed({"read": 5, "accepted": 2, "unit_suspect": 3})

    assert "5 run through today's rules: 2 accepted, 3 unit suspect stay refused." == told


def test_people_as_in_training_show_no_drift(settings: Settings) -> None:
    even = np.linspace(0.0005, 0.9995, 1000).tolist()
    found = quality.drift([course([60.0] * 1000, p_value=even)], settings.schema)

    assert found.index is not None
    assert found.index < quality.SMALL
    assert "as in training" == found.verdict


def test_people_who_are_all_unusual_are_far_from_training(settings: Settings) -> None:
    found = quality.drift([course([60.0] * 600, p_value=[0.01] * 600, z={"heart_rate": [3.0] * 600})], settings.schema)

    assert "far from training" == found.verdict
    assert ("Heart rate", "+3.00", "100.0%") == found.vitals[0]


def test_few_rows_are_not_judged(settings: Settings) -> None:
    found = quality.drift([course([60.0] * 10)], settings.schema)

    assert found.index is None
    assert found.verdict.startswith("Not assessable: 10 judged rows")


def test_what_alarms_cost_is_told_in_words_and_by_rule() -> None:
    one = {"alerts": 3, "per_person_day": 0.254, "acknowledged": 2 / 3, "unanswered": 0.0, "minutes_median": 0.4,
           "minutes_p90": 17.2, "repeated": None, "escalated": 0.0}  # fmt: skip
    table = quality.burden_table({"own_1": one, "heart_rate_high": one | {"minutes_median": None}})

    assert ["3", "0.25", "67 %", "under 1 min", "17 min", "–", "0 %"] == [v for _, v in quality.burden_figures(one)]
    assert ["Own rule 1", "Heart rate high"] == table["Rule"]
    assert ["under 1 min", "–"] == table["Wait, median"]

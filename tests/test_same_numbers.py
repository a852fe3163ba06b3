"""D6: one validator, one feature code, one scorer: what is served equals what a study of the same readings says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.judging import Judge, Memory

FOREVER = 1 << 60
PEOPLE, ROWS = 4, 2_500
COLUMNS = ("score", "p_value", "unusual", "known", "expected_heart_rate")


@pytest.mark.slow
def test_ten_thousand_readings_in_batches_of_any_size_are_answered_as_all_at_once(
    tmp_path, tiny_bundle, tiny_monitor, both
):
    rng = np.random.default_rng(6)
    told = {who: messages(somebody(who).readings.rows(slice(0, ROWS)), f"person-{who}") for who in range(PEOPLE)}
    for name in ("served", "days"):
        (tmp_path / name).mkdir()
    served, days = Ward(tmp_path / "served", tiny_bundle, both), Ward(tmp_path / "days", tiny_bundle)
    place, taken = dict.fromkeys(told, 0), 0
    while any(place[who] < ROWS for who in told):
        batch: list[Any] = []
        for who in rng.permutation(PEOPLE).tolist():
            after = min(ROWS, place[who] + int(rng.integers(0, 120)))
            batch += told[who][place[who] : after]
            place[who] = after
        mixed = [batch[i] for i in rng.permutation(len(batch)).tolist()]
        taken += served.send([json.dumps(one).encode() for one in mixed]).accepted
        if rng.random() < 0.05:
            served.again()
    for start in range(0, ROWS, 288):
        days.send([one for mine in told.values() for one in mine[start : start + 288]])

    assert PEOPLE * ROWS == taken
    for who in told:
        answers, state = _all_at_once(tiny_monitor, who)
        line = served.engine.timeline(f"person-{who}", 0, FOREVER)
        assert answers.time.tolist() == line.time.tolist()
        for name in COLUMNS:
            assert np.array_equal(getattr(answers, name), line.values[name], equal_nan=True), name
        assert _raised(days, who) == _raised(served, who) > set()
        assert _raised(served, who) <= _conditions(served, state, answers)
    served.engine.close()
    days.engine.close()


def _raised(ward: Ward, who: int) -> set[tuple[str, str, str, int]]:
    """Return a person's alarms; one that only speaks for others, because they came late, is not one of them."""
    found = ward.engine.alarms(person=f"person-{who}", open_only=False, most=10**6)
    told = {(one["source"], one["rule"], one["kind"], one["start"]) for one in found}
    return {one for one in told if one[0] != "backlog"}


def _all_at_once(monitor, who: int):
    """Return answers and state of a person's readings, told in one go."""
    told = somebody(who).readings.rows(slice(0, ROWS))
    state, answers = monitor.advance(monitor.begin(told.person), told, forecast=False)
    return answers, state


def _conditions(ward: Ward, state, answers) -> set[tuple[str, str, str, int]]:
    """Return the conditions that the rules see in a whole life at once, as `alarms replay` does."""
    judge = Judge(ward.engine.rules, ward.settings.schema)
    found = [("rules", one) for one in judge.look(Memory(), answers)[1]]
    found += [("monitor", one) for one in judge.of_monitor(state, answers)]
    return {(source, one.rule, one.kind, one.start) for source, one in found}

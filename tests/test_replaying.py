"""Refused readings are run again all of them, in pages, each once, and what is accepted leaves the quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from serving_world import Ward
from vitalwatch import replaying
from vitalwatch.replaying import Span
from vitalwatch.tables import MINUTE
from vitalwatch.timestamps import rfc3339

MANY = 10_050


@pytest.fixture
def ward(tmp_path, tiny_bundle, both: str) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle, both)
    yield ward
    ward.engine.close()


def reading(ms: int, **more) -> dict:
    return {"person": "anna", "time": rfc3339(ms, 0), "heart_rate": 70, **more}


def test_what_lies_behind_ten_thousand_that_stay_refused_is_run_again_too(ward):
    ahead = ward.clock() + 60 * MINUTE
    for start in range(0, MANY - 2, 1_000):
        ward.send([b"{}"] * min(1_000, MANY - 2 - start))
    ward.send([reading(ahead), reading(ahead + 5 * MINUTE)])
    assert MANY == sum(ward.engine.quarantine().counts.values())
    ward.clock.ms = ahead + 10 * MINUTE
    found = ward.engine.replay("nurse")

    assert {"read": MANY, "accepted": 2, "duplicate": 0, "bad_patient_id": MANY - 2} == found.counts
    assert found.rest is None
    assert {"bad_patient_id": MANY - 2} == ward.engine.quarantine().counts


def test_a_replay_that_ends_early_tells_where_to_go_on_and_looks_at_nothing_twice(ward, monkeypatch):
    monkeypatch.setattr(replaying, "PAGE", 3)
    now = ward.clock()
    ward.send([reading(now, event_id="a")])
    others = [reading(now, event_id="a", heart_rate=80 + i) for i in range(4)]  # refused again, under new numbers
    ward.send([*others, reading(now + 60 * MINUTE), b"{}"])
    ward.clock.ms = now + 120 * MINUTE
    counts, rest, turns = Counter(), Span(), 0
    while rest is not None:
        found = ward.engine.replay("nurse", span=rest, seconds=0.0)
        counts.update(found.counts)
        rest, turns = found.rest, turns + 1

    assert {"read": 6, "accepted": 1, "duplicate": 0, "event_id_conflict": 4, "bad_patient_id": 1} == dict(counts)
    assert 2 == turns
    assert {"event_id_conflict": 4, "bad_patient_id": 1} == ward.engine.quarantine().counts


def test_nothing_refused_is_nothing_to_run(ward):
    assert {"read": 0, "accepted": 0, "duplicate": 0} == ward.engine.replay("nurse").counts


def test_a_replay_keeps_to_the_idempotency_key_that_a_reading_came_with(ward):
    now = ward.clock()
    ward.send([reading(now)], idempotency="key-1:batch")
    assert ["event_id_conflict"] == [
        one.reason for one in ward.send([reading(now, heart_rate=90)], idempotency="key-1:batch").rejected
    ]
    ahead = [reading(now + 60 * MINUTE), reading(now + 65 * MINUTE, event_id="own")]
    ward.send(ahead, idempotency="key-1:later")
    for _ in range(2):  # also what was refused again, under a new number
        assert 1 == ward.engine.replay("nurse").counts["event_id_conflict"]
    ward.clock.ms = now + 70 * MINUTE

    assert {"read": 3, "accepted": 2, "duplicate": 0, "event_id_conflict": 1} == ward.engine.replay("nurse").counts
    again = ward.send(ahead, idempotency="key-1:later")
    assert (0, [0, 1]) == (again.accepted, [one.position for one in again.duplicates])
    assert {"event_id_conflict": 1} == ward.engine.quarantine().counts

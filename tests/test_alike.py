"""Messages judged by columns: equal to judging one after the other, whatever stands in them."""

from __future__ import annotations

import random

import pytest

from tiny import small_settings
from vitalwatch.alike import FEW, parse_objects
from vitalwatch.reading import Reading, parse_object

NOW = 1_800_000_000_000
SCHEMA = small_settings().schema
VALUES = (61, 61.5, 0, 255, 300.5, -1, 1e39, 10**18, float("nan"), float("inf"), None, True, "61", "-", [1], 1.25)
TIMES = ("2026-01-05T08:00:00Z", "2026-01-05T08:00:00.250+01:00", "2026-01-05 08:00", "2031-01-05T08:00:00Z", 5, None)
PEOPLE = ("anna", "bert", "an na", 7, None, "a\u202eb")
TEXTS = ("e1", "e2", None, 7, "x" * 201, "a\nb")


def message(rng: random.Random, odd: float) -> dict:
    """Return a message of one of two kinds, a part of whose fields may hold anything."""

    def one(usual, others):
        return rng.choice(others) if rng.random() < odd else usual

    told = {
        "person": one(rng.choice(("anna", "bert")), PEOPLE),
        "time": one(f"2026-01-05T08:{rng.randrange(60):02d}:00+01:00", TIMES),
        "heart_rate": one(rng.uniform(50, 90), VALUES),
        "event_id": one(str(rng.random()), TEXTS),
    }
    if rng.random() < 0.5:
        told |= {
            "steps": one(rng.randrange(50), VALUES),
            "body_temperature": one(36.5, VALUES),
            "device": one("d", TEXTS),
        }
    if rng.random() < odd / 10:
        told[rng.choice(("unknown", "utc_offset", "schema_version"))] = rng.choice((1, 60, "x"))
    return told


def alone(sent: list[dict]) -> list:
    return [parse_object(one, SCHEMA, source="s", now_ms=NOW, max_ahead_ms=60_000) for one in sent]


@pytest.mark.parametrize("odd", [0.0, 0.005, 0.05, 0.5])
def test_many_messages_are_judged_as_each_alone(odd):
    rng = random.Random(int(odd * 1000))
    for n in (1, FEW - 1, 30, 200):
        for _ in range(20):
            sent = [message(rng, odd) for _ in range(n)]
            assert repr(alone(sent)) == repr(parse_objects(sent, SCHEMA, source="s", now_ms=NOW, max_ahead_ms=60_000))


def test_a_batch_of_readings_is_judged_by_columns(monkeypatch):
    rng = random.Random(1)
    sent = [message(rng, 0.0) for _ in range(200)]
    expected = alone(sent)
    monkeypatch.setattr("vitalwatch.alike.parse_object", None)  # nothing may need to be looked at alone

    told = parse_objects(sent, SCHEMA, now_ms=NOW, max_ahead_ms=60_000)
    assert expected == told
    assert all(isinstance(one, Reading) for one in told)


def test_a_field_in_another_order_and_a_value_that_was_not_measured_are_no_difference():
    sent = [
        {"heart_rate": 60 + i, "steps": None if i % 2 else 3, "time": "2026-01-05T08:00:00Z", "person": "a"}
        for i in range(20)
    ]

    told = parse_objects(sent, SCHEMA, now_ms=NOW)
    assert [parse_object(one, SCHEMA, now_ms=NOW) for one in sent] == told
    assert [{"heart_rate": 60.0, "steps": 3.0}, {"heart_rate": 61.0}] == [one.values for one in told[:2]]

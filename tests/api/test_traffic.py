"""Requests counted in plain numbers: the same text as prometheus_client's own, without the times of making."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from vitalwatch.api.metrics import BUCKETS
from vitalwatch.api.traffic import Traffic

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: str) -> Series:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_requests_are_told_as_prometheus_client_tells_them() -> None:
    registry = CollectorRegistry()
    counter = Counter(
        "vitals_requests", "Requests, by operation and status", ["operation", "status"], registry=registry
    )
    told = "Time until a request was answered"
    seconds = Histogram("vitals_request_duration_seconds", told, ["operation"], buckets=BUCKETS, registry=registry)
    traffic, rng = Traffic(BUCKETS), np.random.default_rng(2)
    durations = [*BUCKETS, 0.0, 11.0, *rng.exponential(0.1, 300).tolist()]  # the ends themselves belong to their bucket
    for i, took in enumerate(durations):
        operation, status = ("predict", "anomaly", "people")[i % 3], (200, 503)[i % 5 == 0]
        traffic.note(operation, status, took)
        counter.labels(operation, str(status)).inc()
        seconds.labels(operation).observe(took)
    expected = series(generate_latest(registry).decode())
    assert len(expected) > 50
    assert expected == pytest.approx(series(traffic.text()), rel=1e-12)
    assert {
        line for line in generate_latest(registry).decode().splitlines() if line.startswith("# HELP vitals_request")
    } >= {line for line in traffic.text().splitlines() if line.startswith("# HELP")}


def test_before_the_first_request_nothing_is_told_but_what_will_be() -> None:
    assert {"counter", "histogram"} == {
        family.type for family in text_string_to_metric_families(Traffic(BUCKETS).text())
    }

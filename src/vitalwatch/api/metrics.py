"""Figures of this process for Prometheus; no label holds anything about a person or a key.

Labels are names of ours (operations, codes, models, priorities), receivers of the configuration, or the run that
answers, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from vitalwatch.api.traffic import Traffic

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
QUICK = (0.0001, 0.00025, 0.0005, *BUCKETS)
HEART_RATE, ANOMALY, FORECAST, READINGS = "heart_rate", "anomaly", "forecast", "readings"


class Metrics:
    """Counters and histograms of one application.

    Attributes:
        requests: Every one of them, and how long it took.
        inference: Observes the seconds of one answer of a model, by its name; of readings those of one person's load.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Traffic(BUCKETS)
        self.refused = Counter("vitals_requests_refused", "Refused requests, by code", ["code"], registry=self.registry)
        self.readings = Counter(
            "vitals_readings", "Readings sent, by what became of them", ["outcome"], registry=self.registry
        )
        self.late = Counter(
            "vitals_readings_late", "Accepted readings that came too late to be scored", registry=self.registry
        )
        self.quarantined = Counter(
            "vitals_records_quarantined", "Refused readings, by reason", ["rule"], registry=self.registry
        )
        self.predictions = Counter(
            "vitals_predictions", "Answers of models", ["model", "outcome"], registry=self.registry
        )
        took = Histogram(
            "vitals_inference_duration_seconds",
            "Time that models took for an answer, or to score what came of a person at once",
            ["model"],
            buckets=QUICK,
            registry=self.registry,
        )
        self.inference = {name: took.labels(name) for name in (HEART_RATE, ANOMALY, FORECAST, READINGS)}
        self.streams = Gauge("vitals_event_streams", "Open streams of events", registry=self.registry)

    def text(self, asked: Sequence[Metric] = ()) -> bytes:
        """Return everything in Prometheus's text format, and what was asked for at this look."""
        return b"".join(
            (
                self.requests.text().encode(),
                generate_latest(self.registry),
                generate_latest(_asked(asked)) if asked else b"",
            )
        )


class _Asked(Collector):
    def __init__(self, told: Sequence[Metric]) -> None:
        self._told = told

    def collect(self) -> Iterable[Metric]:
        return self._told


def _asked(told: Sequence[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Asked(told))
    return registry

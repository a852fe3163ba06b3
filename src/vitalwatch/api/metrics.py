"""Figures of this process for Prometheus; no label holds anything about a person or a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counters and histograms of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "vitals_requests", "Requests, by operation and status", ["operation", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "vitals_request_duration_seconds",
            "Time until a request was answered",
            ["operation"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.readings = Counter(
            "vitals_readings", "Readings sent, by what became of them", ["outcome"], registry=self.registry
        )
        self.quarantined = Counter(
            "vitals_records_quarantined", "Refused readings, by reason", ["rule"], registry=self.registry
        )
        self.predictions = Counter(
            "vitals_predictions", "Answers of models", ["model", "outcome"], registry=self.registry
        )
        self.streams = Gauge("vitals_event_streams", "Open streams of events", registry=self.registry)

    def watch(self, ask: Callable[[], Iterable[tuple[str, str, dict[str, str], float]]]) -> None:
        """Ask for more gauges (name, help, labels, value) at every look."""
        self.registry.register(_Asked(ask))

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)


class _Asked(Collector):
    def __init__(self, ask: Callable[[], Iterable[tuple[str, str, dict[str, str], float]]]) -> None:
        self._ask = ask

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for name, told, labels, value in self._ask():
            family = GaugeMetricFamily(name, told, labels=list(labels))
            family.add_metric(list(labels.values()), value)
            yield family

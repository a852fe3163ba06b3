"""Figures that are looked up when somebody asks for them: alarms, what waits, the run that answers.

Those of the database hold for all processes on it; a database that does not answer leaves them out and says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from vitalwatch.alerting.alerts import PHYSIOLOGICAL, PRIORITIES, TECHNICAL
from vitalwatch.bundle import FORMAT
from vitalwatch.database import alarms, notices, people
from vitalwatch.database.readings import waiting_since
from vitalwatch.engine import Engine
from vitalwatch.errors import DatabaseError

PATIENCE = 5.0  # seconds for a database that does not answer
Labelled = Mapping[tuple[str, ...], float]


async def figures(engine: Engine, waiting: int) -> list[Metric]:
    """Return all of them.

    Args:
        engine: Whose.
        waiting: Requests with readings that wait to be taken in.
    """
    try:
        found = await asyncio.wait_for(asyncio.to_thread(of_database, engine), PATIENCE)
    except (DatabaseError, TimeoutError):
        found = []
    up = _gauge("vitals_database_up", "Whether the database answered", {(): float(bool(found))})
    backlog = _gauge("vitals_ingest_waiting_requests", "Requests with readings that wait", {(): float(waiting)})
    return [up, *found, backlog, *of_models(engine), *of_receivers(engine)]


def of_database(engine: Engine) -> list[Metric]:
    """Return what the database knows; raises DatabaseError."""
    with engine.database.reading() as connection:
        raised, there = alarms.counted(connection), alarms.open_ones(connection)
        outgoing = notices.waiting(connection)
        behind = [one for one in people.everyone(connection) if one.behind]
        oldest = waiting_since(connection, behind)
    known: dict[tuple[str, ...], float] = {
        (priority, kind): 0.0 for priority in PRIORITIES for kind in alarms.KINDS.values()
    }
    shown: Counter[tuple[str, ...]] = Counter((one["priority"], alarms.KINDS[one["category"]]) for one in there)
    told = CounterMetricFamily("vitals_alerts", "Alerts raised", labels=["priority", "kind", "rule"])
    for each in sorted({*of_rules(engine), *raised}):
        told.add_metric(each, raised.get(each, 0))
    age = 0.0 if oldest is None else max(engine.now() - oldest, 0) / 1000
    of_all = {name: outgoing.get(name, 0) for name in engine.receivers}
    return [
        told,
        _gauge("vitals_alarms_open", "Open alarms", {**known, **shown}, "priority", "kind"),
        _gauge("vitals_notices_waiting", "Notices not accepted yet", {(k,): v for k, v in of_all.items()}, "receiver"),
        _gauge("vitals_ingest_waiting_people", "People with readings that are not scored yet", {(): len(behind)}),
        _gauge("vitals_ingest_waiting_seconds", "Age of the oldest reading that is not scored yet", {(): age}),
    ]


def of_rules(engine: Engine) -> list[tuple[str, str, str]]:
    """Return labels of alerts that may be raised: of every rule of rules.yaml, and OWN_RULE for all own rules."""
    rules = {name: TECHNICAL if rule.technical else PHYSIOLOGICAL for name, rule in engine.rules.rules.items()}
    rules[alarms.OWN_RULE] = PHYSIOLOGICAL
    return [
        (priority, alarms.KINDS[category], alarms.rule_label(name))
        for name, category in rules.items()
        for priority in PRIORITIES
    ]


def of_models(engine: Engine) -> list[Metric]:
    """Return which run answers, and whether it is the one in production."""
    production = engine.production
    served = production.answering()
    info: Labelled = {} if served is None else {(served.run, str(FORMAT)): 1.0}
    return [
        _gauge("vitals_model_info", "The run that answers, and the format of its bundle", info, "run", "format"),
        _gauge(
            "vitals_production_fallback",
            "Whether an earlier run answers in place of the one in production",
            {(): float(bool(production.fallback))},
        ),
    ]


def of_receivers(engine: Engine) -> list[Metric]:
    """Return since when receivers fail, of the process that has the watch."""
    failing: Labelled = {(name,): seconds for name, seconds in engine.vigil.failing().items()}
    told = "Time for which a receiver has not accepted something, 0 where it accepts all"
    return [_gauge("vitals_receiver_failing_seconds", told, failing, "receiver")]


def _gauge(name: str, told: str, values: Labelled, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, told, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family

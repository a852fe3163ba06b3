"""What alarms cost those who answer them: how many, how many were answered, how soon, how often they came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vitalwatch.alerting.alerts import PHYSIOLOGICAL, RESOLVED, Alert
from vitalwatch.tables import MINUTE


@dataclass(frozen=True)
class Burden:
    """Figures over alerts; NaN where there is nothing to divide by.

    Attributes:
        alerts: How many sounded.
        per_person_day: Of them.
        acknowledged: Share that somebody acknowledged.
        unanswered: Share that is over and that nobody ever acknowledged.
        minutes_median, minutes_p90: Until the first acknowledgement.
        repeated: Share whose signal came back by itself at least once.
        signals: How often a signal began, repetitions with it, for each alert.
        escalated: Share that was escalated.
        physiological: Share that is about a body.
    """

    alerts: int
    per_person_day: float
    acknowledged: float
    unanswered: float
    minutes_median: float
    minutes_p90: float
    repeated: float
    signals: float
    escalated: float
    physiological: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values, None for NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Burdens:
    """What all alerts cost, and those of each rule; a rule that raised nothing is not there."""

    total: Burden
    rules: Mapping[str, Burden]

    def to_json(self) -> dict[str, Any]:
        """Return plain values: those of all, and `rules` by name."""
        return {**self.total.to_json(), "rules": {name: one.to_json() for name, one in self.rules.items()}}


def burdens(alerts: Iterable[Alert], person_days: float) -> Burdens:
    """Return what alerts cost together and by rule, the rule with most of them first; as `burden`."""
    told = [alert for alert in alerts if alert.sounded_at is not None]
    by_rule: dict[str, list[Alert]] = {}
    for alert in told:
        by_rule.setdefault(alert.rule, []).append(alert)
    order = sorted(by_rule, key=lambda name: (-len(by_rule[name]), name))
    return Burdens(burden(told, person_days), {name: burden(by_rule[name], person_days) for name in order})


def burden(alerts: Iterable[Alert], person_days: float) -> Burden:
    """Return what alerts cost.

    Args:
        alerts: Of a stretch of time; those that never sounded are left out.
        person_days: Of the same stretch.
    """
    told = [alert for alert in alerts if alert.sounded_at is not None]
    waits = [(one.acknowledged_at - one.raised_at) / MINUTE for one in told if one.acknowledged_at is not None]
    over = [one.state == RESOLVED and one.acknowledged_at is None for one in told]
    return Burden(
        alerts=len(told),
        per_person_day=len(told) / person_days if person_days else float("nan"),
        acknowledged=_share([one.acknowledged_at is not None for one in told]),
        unanswered=_share(over),
        minutes_median=float(np.median(waits)) if waits else float("nan"),
        minutes_p90=float(np.quantile(waits, 0.9)) if waits else float("nan"),
        repeated=_share([one.repeats > 0 for one in told]),
        signals=1 + float(np.mean([one.repeats for one in told])) if told else float("nan"),
        escalated=_share([one.level > 0 for one in told]),
        physiological=_share([one.category == PHYSIOLOGICAL for one in told]),
    )


def _share(told: list[bool]) -> float:
    return float(np.mean(told)) if told else float("nan")

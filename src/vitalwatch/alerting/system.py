"""Technical conditions of the system itself that the serving process knows; the watchdog knows what that cannot tell.

They are about no person (`watchdog.SYSTEM`), do not latch, and go with what made them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from vitalwatch.alerting.alerts import TECHNICAL, Alert, Condition, Observed
from vitalwatch.alerting.watchdog import SYSTEM

SOURCE = "serving"
FALLBACK, UNDELIVERED = "model_fallback", "receiver_failing"
BY_ANOTHER = "The run in production does not open: run {run}, an earlier one, answers in its place."
NOT_TOLD = "The receiver {name} does not accept what it is sent: alarms are not told there."


@dataclass(frozen=True)
class Found:
    """What a process knows of itself.

    Attributes:
        fallback: Run that answers in place of the one in production, empty where that one does.
        undelivered: Receivers who fail for too long, by name, with seconds.
        unsure: Receivers of whom nobody knows yet whether they accept again: an alarm about them goes on.
    """

    fallback: str = ""
    undelivered: Mapping[str, float] = field(default_factory=dict)
    unsure: Collection[str] = ()


def observed(found: Found, alerts: Iterable[Alert], now: int) -> Observed | None:
    """Return the conditions that are present, None where there are none and there is no open alert of them.

    Args:
        found: As known now.
        alerts: Those that are open.
        now: UTC ms.
    """
    mine = {alert.key for alert in alerts if alert.source == SOURCE}
    failing = {name: now - round(seconds * 1000) for name, seconds in found.undelivered.items()}
    failing |= {name: now for name in found.unsure if (UNDELIVERED, name) in mine and name not in failing}
    told = [_condition(UNDELIVERED, name, start, NOT_TOLD.format(name=name)) for name, start in failing.items()]
    if found.fallback:
        told.append(_condition(FALLBACK, "", now, BY_ANOTHER.format(run=found.fallback)))
    return Observed(SYSTEM, SOURCE, now, now, tuple(told)) if told or mine else None


def _condition(rule: str, kind: str, start: int, sentence: str) -> Condition:
    return Condition(rule, kind, TECHNICAL, "medium", start, None, sentence, latching=False, cool_down=0)

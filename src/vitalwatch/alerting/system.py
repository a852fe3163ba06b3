"""Technical conditions of the system itself that the serving process knows; the watchdog knows what that cannot tell.

They are about no person (`watchdog.SYSTEM`), do not latch, and go with what made them.
"""

from __future__ import annotations

from vitalwatch.alerting.alerts import TECHNICAL, Condition, Observed
from vitalwatch.alerting.watchdog import SYSTEM

SOURCE = "serving"
FALLBACK = "model_fallback"


def observed(fallback: str, now: int) -> Observed:
    """Return what is wrong.

    Args:
        fallback: Run that answers in place of the one in production, empty where that one does.
        now: UTC ms.
    """
    found = [_condition(FALLBACK, "", "medium", now, BY_ANOTHER.format(run=fallback))] if fallback else []
    return Observed(SYSTEM, SOURCE, now, now, tuple(found))


BY_ANOTHER = "The run in production is damaged or unsigned: run {run}, an earlier one, answers in its place."


def _condition(rule: str, kind: str, priority: str, start: int, sentence: str) -> Condition:
    return Condition(rule, kind, TECHNICAL, priority, start, None, sentence, latching=False, cool_down=0)

"""What may happen to an alert: `TRANSITIONS[state, cause]` is the state after it; what has no row does not happen."""

from __future__ import annotations

from collections.abc import Mapping

from vitalwatch.alerting.alerts import (
    ACKNOWLEDGE,
    ACKNOWLEDGED,
    ACTIONS,
    AUDIO_PAUSED,
    DISCHARGE,
    ESCALATE,
    LATCHED,
    RESOLVE,
    RESOLVED,
    SIGNALLING,
    SNOOZE,
)

NEW = ""
RAISED, NOTED, MISSED = "raised", "noted", "missed"  # present; over and nothing to see; over and nobody saw it
JOINED = "joined"  # says what an acknowledged alert says
HELD = "held"  # present again within its cool-down, or still present after somebody closed it
RECURRED, RESUMED, WORSENED, ENDED = "recurred", "resumed", "worsened", "ended"
PAUSE_OVER, RE_ALARMED, TIMED = "pause_over", "re_alarmed", "escalated_by_timer"
CAUSES = (
    RAISED, NOTED, MISSED, JOINED, HELD, RECURRED, RESUMED, WORSENED, ENDED, PAUSE_OVER, RE_ALARMED, TIMED, *ACTIONS,
)  # fmt: skip
TRANSITIONS: Mapping[tuple[str, str], str] = {
    (NEW, RAISED): SIGNALLING,
    (NEW, MISSED): LATCHED,
    (NEW, NOTED): RESOLVED,
    (NEW, JOINED): ACKNOWLEDGED,
    (NEW, HELD): ACKNOWLEDGED,  # silent, visible, though nobody acknowledged it
    (SIGNALLING, WORSENED): SIGNALLING,
    (SIGNALLING, ENDED): LATCHED,  # RESOLVED where the rule does not latch
    (SIGNALLING, TIMED): SIGNALLING,
    (SIGNALLING, ACKNOWLEDGE): ACKNOWLEDGED,
    (SIGNALLING, SNOOZE): AUDIO_PAUSED,
    (SIGNALLING, ESCALATE): SIGNALLING,
    (SIGNALLING, RESOLVE): RESOLVED,
    (SIGNALLING, DISCHARGE): RESOLVED,
    (ACKNOWLEDGED, WORSENED): SIGNALLING,
    (ACKNOWLEDGED, ENDED): RESOLVED,
    (ACKNOWLEDGED, RE_ALARMED): SIGNALLING,
    (ACKNOWLEDGED, SNOOZE): AUDIO_PAUSED,
    (ACKNOWLEDGED, ESCALATE): SIGNALLING,
    (ACKNOWLEDGED, RESOLVE): RESOLVED,
    (ACKNOWLEDGED, DISCHARGE): RESOLVED,
    (AUDIO_PAUSED, WORSENED): SIGNALLING,
    (AUDIO_PAUSED, ENDED): LATCHED,  # RESOLVED where the rule does not latch; the pause goes on
    (AUDIO_PAUSED, PAUSE_OVER): SIGNALLING,
    (AUDIO_PAUSED, ACKNOWLEDGE): ACKNOWLEDGED,
    (AUDIO_PAUSED, SNOOZE): AUDIO_PAUSED,
    (AUDIO_PAUSED, ESCALATE): SIGNALLING,
    (AUDIO_PAUSED, RESOLVE): RESOLVED,
    (AUDIO_PAUSED, DISCHARGE): RESOLVED,
    (LATCHED, RECURRED): SIGNALLING,
    (LATCHED, RESUMED): AUDIO_PAUSED,
    (LATCHED, MISSED): LATCHED,
    (LATCHED, PAUSE_OVER): LATCHED,
    (LATCHED, TIMED): LATCHED,
    (LATCHED, ACKNOWLEDGE): RESOLVED,
    (LATCHED, SNOOZE): LATCHED,
    (LATCHED, ESCALATE): LATCHED,
    (LATCHED, RESOLVE): RESOLVED,
    (LATCHED, DISCHARGE): RESOLVED,
}

"""The state machine of alerts: `step(alerts, observed, actions, now)` -> what changed. Pure; time is an argument.

Every change is a row of `transitions.TRANSITIONS`. Rows of reliability L2, L3, L7 and L8: what is unacknowledged
escalates; acknowledged but persisting stays visible and alarms again; a higher priority sounds at once; a pause always
ends; discharge closes technical alarms; after a reconnect one summary speaks for a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from vitalwatch.alerting.alerts import (
    ACKNOWLEDGE,
    ACKNOWLEDGED,
    ACTIONS,
    AUDIO_PAUSED,
    DISCHARGE,
    ESCALATE,
    HOLD,
    PHYSIOLOGICAL,
    PRIORITIES,
    RESOLVE,
    RESOLVED,
    SNOOZE,
    TECHNICAL,
    Action,
    Alert,
    Condition,
    Observed,
    Refusal,
    Transition,
    alert_id,
    higher,
    raised,
    urgency,
)
from vitalwatch.alerting.transitions import (
    ENDED,
    HELD,
    JOINED,
    MISSED,
    NEW,
    NOTED,
    PAUSE_OVER,
    RAISED,
    RE_ALARMED,
    RECURRED,
    RESUMED,
    TIMED,
    TRANSITIONS,
    WORSENED,
)
from vitalwatch.tables import MINUTE

REASONS = {
    "unknown_alert": "There is no such alarm.",
    "already_resolved": "The alarm is over.",
    "bad_pause": "A pause is longer than nothing and at most as long as rules.yaml allows.",
    "unknown_action": "An alarm can be acknowledged, snoozed, escalated or resolved.",
}
MAX_LEVEL = 3  # of escalation: beyond the third call nobody else is there to be called
SUMMARY = "backlog"  # rule of an alert that speaks for others
TOLD = 5  # alerts that a summary names


@dataclass(frozen=True)
class Timing:
    """Timers of one priority, milliseconds; 0 is never.

    Attributes:
        again: An acknowledged condition that persists alarms again after this.
        escalate: An alert that nobody acts on is escalated after this.
    """

    again: int
    escalate: int


@dataclass(frozen=True)
class Signals:
    """How alarm signals behave; from rules.yaml.

    Attributes:
        timing: By priority.
        pause, longest_pause: Usual and longest snooze, milliseconds.
        backlog: Readings older than this when they come are those of a reconnect, milliseconds.
    """

    timing: Mapping[str, Timing]
    pause: int
    longest_pause: int
    backlog: int


@dataclass
class Step:
    """What a step did.

    Attributes:
        alerts: The alerts that are new or changed, by id.
        transitions: In order.
        refused: Actions that were not done.
    """

    alerts: dict[str, Alert] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def step(
    alerts: Iterable[Alert],
    observed: Sequence[Observed],
    actions: Sequence[Action],
    now: int,
    signals: Signals,
) -> Step:
    """Return what actions, observations and the time change, in this order.

    Args:
        alerts: Those of the people concerned that are open or were resolved within their cool-down.
        observed: One for every source and person that looked.
        actions: What people ask for.
        now: UTC ms of a clock that does not go back; where it did, timers are shortened, never stuck.
        signals: Timers.
    """
    turn = _Turn(alerts, now, signals)
    for action in actions:
        turn.act(action)
    for person in dict.fromkeys(one.person for one in observed):
        turn.observe([one for one in observed if one.person == person])
    turn.tick()
    return turn.done


class _Turn:
    """One step under way: alerts by person and id as they stand, and what was done."""

    def __init__(self, alerts: Iterable[Alert], now: int, signals: Signals) -> None:
        self.of: dict[str, dict[str, Alert]] = defaultdict(dict)
        self.person: dict[str, str] = {}
        for alert in alerts:
            self._put(alert)
        self.now, self.signals = now, signals
        self.done = Step()

    # what people ask for

    def act(self, action: Action) -> None:
        """Do what somebody asks for, or say why not; asked twice is done once."""
        if action.kind == DISCHARGE:
            self._discharge(action)
            return
        alert = self.of[self.person[action.alert]][action.alert] if action.alert in self.person else None
        reason = self._reason(alert, action)
        if alert is None or reason:
            self.done.refused.append(Refusal(action, reason))
        elif (alert.state, action.kind) != (ACKNOWLEDGED, ACKNOWLEDGE):
            self._acted(alert, action)

    def _reason(self, alert: Alert | None, action: Action) -> str:
        if action.kind not in ACTIONS:
            return "unknown_action"
        if alert is None:
            return "unknown_alert"
        if not alert.open:
            return "already_resolved"
        return "" if 0 <= action.pause <= self.signals.longest_pause else "bad_pause"

    def _acted(self, alert: Alert, action: Action) -> None:
        changes: dict[str, Any] = {"summary": ""}
        led = [one for one in self._open_of(alert.person) if one.summary == alert.id]
        if action.kind == ACKNOWLEDGE:
            changes |= self._seen(alert, action.actor)
            if alert.end is None:
                changes |= self._timer(self._timing(alert.priority).again)
        elif action.kind == SNOOZE:
            changes |= self._timer(action.pause or self.signals.pause)
        elif action.kind == ESCALATE:
            changes |= _louder(alert)
        self._move(alert, action.kind, actor=action.actor, **changes)
        if action.kind in (ACKNOWLEDGE, RESOLVE):
            for member in led:
                if alert.rule == SUMMARY:
                    self._acted(member, Action(ACKNOWLEDGE, action.actor, member.id))
                elif member.state != ACKNOWLEDGED:  # its leader comes back for both
                    self._move(member, ACKNOWLEDGE, actor=action.actor, **self._seen(member, action.actor))

    def _discharge(self, action: Action) -> None:
        """Close technical alarms; what a body alarmed for stays until somebody acknowledges."""
        for alert in self._open_of(action.person):
            if alert.category == TECHNICAL:
                self._move(alert, DISCHARGE, actor=action.actor)
            elif alert.end is None:
                self._end(alert, self.now)

    # what sources see

    def observe(self, observed: Sequence[Observed]) -> None:
        """Take what all sources say of one person."""
        gone = {seen.until for seen in observed if self._gone(seen)}  # where what came ends, if that is long ago
        fresh = [alert for seen in observed for alert in self._seen_by(self._of_now(seen))]
        late = any(self.now - seen.first > self.signals.backlog for seen in observed)
        held = [alert for alert in fresh if alert.until is not None]
        fresh = [alert for alert in fresh if alert.until is None]
        for alert in held:
            self._move(alert, HELD if alert.end is None else NOTED, **(_paused(alert) if alert.end is None else {}))
        shown = [alert for alert in fresh if alert.end is None or alert.latching]
        summary = self._summary(shown, observed[0].person, gone) if late and len(shown) > 1 else ""
        for alert in sorted(fresh, key=urgency):
            cause = RAISED if alert.end is None else MISSED if alert.latching else NOTED
            leader = None if summary or cause == NOTED else self._leader(alert)
            if leader is None:
                self._move(alert, cause, summary=summary if cause != NOTED else "")
            elif leader.state == ACKNOWLEDGED and alert.end is not None:
                self._move(alert, NOTED)
            elif leader.state == ACKNOWLEDGED:
                self._move(alert, JOINED, summary=leader.id, **self._seen(alert, leader.acknowledged_by))
            else:
                self._move(alert, cause, summary=leader.id)

    def _gone(self, seen: Observed) -> bool:
        """Return whether what a source saw is too old to tell of now."""
        return self.now - seen.until > HOLD

    def _of_now(self, seen: Observed) -> Observed:
        """Return what a source saw; of long ago nothing is still present: it is over where what came ends."""
        if not self._gone(seen):
            return seen
        over = (replace(one, end=max(seen.until, one.start)) if one.end is None else one for one in seen.conditions)
        return replace(seen, conditions=tuple(over))

    def _leader(self, alert: Alert) -> Alert | None:
        """Return an open alert that says already what a new one says, no less loudly; nothing speaks for high ones.

        It must latch: then it is not over before somebody has acknowledged it, and what joined it with it.
        """
        if alert.category != PHYSIOLOGICAL or alert.priority == PRIORITIES[-1]:
            return None
        able = (one for one in self._open_of(alert.person) if one.latching and not one.summary and not _held(one))
        return min((one for one in able if _speaks_for(one, alert)), key=urgency, default=None)

    def _seen_by(self, seen: Observed) -> list[Alert]:
        """Bring the open alerts of one source up to date, and return those that are new, not yet told."""
        mine = {alert.key: alert for alert in self._open_of(seen.person) if alert.source == seen.source}
        present = {condition.key for condition in seen.conditions if condition.end is None}
        for condition in sorted(seen.conditions, key=lambda one: (one.start, one.end is None)):
            alert = mine.pop(condition.key, None)
            if alert is not None and alert.sounded_at is not None and alert.cool_down != condition.cool_down:
                alert = replace(alert, cool_down=condition.cool_down)  # it was held: once heard it has its own
                self._keep(alert)
            alert = self._join(alert, condition) if alert is not None and alert.open else self._fresh(seen, condition)
            if alert is not None:
                mine[condition.key] = alert
        for key, alert in mine.items():
            if key not in present and alert.end is None:
                mine[key] = self._end(alert, seen.until)
        return [alert for alert in mine.values() if alert.state == NEW]

    def _fresh(self, seen: Observed, condition: Condition) -> Alert | None:
        """Return a new alert, None where the condition is told again; with `until` where it must wait to be heard."""
        start, outlived = condition.start, False
        for alert in self.of[seen.person].values():
            if alert.source != seen.source or alert.key != condition.key:
                continue
            if condition.end is not None and condition.start <= (alert.start if alert.end is None else alert.end):
                return None  # told again
            if alert.start >= condition.start:  # the condition outlived a resolve
                start, outlived = max(start, self.now), True
        waits = self._cools(seen.person, seen.source, condition) - self.now
        name, start = self._free(seen.person, *condition.key, start)
        return Alert(
            id=name,
            person=seen.person,
            source=seen.source,
            rule=condition.rule,
            kind=condition.kind,
            category=condition.category,
            priority=condition.priority,
            state=NEW,
            start=start,
            end=condition.end,
            explanation=condition.explanation,
            latching=condition.latching,
            # what comes within a cool-down begins none: else whatever flickers would never be heard again
            cool_down=condition.cool_down if waits <= 0 or outlived else 0,
            about=condition.about,
            raised_at=self.now,
            changed_at=self.now,
            until=self.now + waits if waits > 0 else None,
            timer=max(waits, 0),
            version=seen.version,
        )

    def _cools(self, person: str, source: str, condition: Condition) -> int:
        """Return until when a condition is not heard because one that is over said it, no less loudly; 0 for none.

        What somebody closed while it was there is not over: as an acknowledged one it comes back after `again`.
        """
        until = 0
        for alert in self.of[person].values():
            if (alert.source, *alert.key) != (source, *condition.key) or alert.open or _worse(condition, alert):
                continue
            again = self._timing(alert.priority).again or alert.cool_down
            waits = alert.cool_down if alert.end is not None else min(again, alert.cool_down)
            until = max(until, min(alert.changed_at, self.now) + waits)  # the clock may have been set back
        return until

    def _join(self, alert: Alert, condition: Condition) -> Alert:
        """Return the alert after its condition was seen again: begun anew, worse, over, or as before."""
        worse = _worse(condition, alert)
        told: dict[str, Any] = {"explanation": condition.explanation, "priority": condition.priority} if worse else {}
        again = alert.end is not None and condition.start > alert.end
        if alert.state == NEW:  # of the same batch
            if worse and self.now >= self._cools(alert.person, alert.source, condition):
                told |= {"until": None, "timer": 0, "cool_down": condition.cool_down}
            return replace(alert, end=condition.end, occurrences=alert.occurrences + again, **told)
        if alert.end is not None:
            told["occurrences"] = alert.occurrences + again
            if condition.end is None and alert.until is not None and not worse:
                return self._move(alert, RESUMED, end=None, until=alert.until, timer=alert.timer, **told)
            if condition.end is None:
                spoken = self._spoken_for(replace(alert, **told))
                again_by_itself = alert.repeats + (not spoken)
                return self._move(alert, RECURRED, end=None, summary=spoken, repeats=again_by_itself, **told)
            if not again:
                if condition.end is not None and condition.end > alert.end:  # it went on while nobody was heard
                    alert = replace(alert, end=condition.end)
                    self._keep(alert)
                return alert
            if worse:
                told["summary"] = self._spoken_for(replace(alert, **told))
            return self._move(alert, MISSED, end=condition.end, **told, **_paused(alert))
        cools = _held(alert) and self.now < self._cools(alert.person, alert.source, condition)
        if worse and (cools or self._spoken_for(replace(alert, **told))):
            alert = replace(alert, **told)
            self._keep(alert)
        elif worse:
            alert = self._move(alert, WORSENED, summary="", **told)
        return alert if condition.end is None or condition.end < alert.start else self._end(alert, condition.end)

    def _spoken_for(self, alert: Alert) -> str:
        """Return the open alert that says the same, no less loudly, for an alert that joined it; empty for none."""
        leader = self.of[alert.person].get(alert.summary)
        if leader is None or not leader.open or alert.priority == PRIORITIES[-1]:
            return ""
        return leader.id if leader.rule != SUMMARY and _speaks_for(leader, alert) else ""

    def _end(self, alert: Alert, end: int) -> Alert:
        if alert.state == NEW:
            return replace(alert, end=end)
        paused = _paused(alert) if alert.state == AUDIO_PAUSED and alert.latching else {}
        return self._move(alert, ENDED, end=max(end, alert.start), **paused)

    def _summary(self, members: Sequence[Alert], person: str, gone: Set[int]) -> str:
        """Raise the one alert that speaks for others, or add to it, and return its id."""
        ordered = sorted(members, key=lambda one: (one.end is not None and one.end not in gone, *urgency(one)[1:]))
        present = [alert for alert in ordered if alert.end is None]
        priority = max((alert.priority for alert in present or ordered), key=PRIORITIES.index)
        told = " ".join(f"[{self._when(one, gone)}] {one.explanation}" for one in ordered[:TOLD])
        more = f" And {len(ordered) - TOLD} more." if len(ordered) > TOLD else ""
        sentence = f"{len(ordered)} alarms came with late readings, {len(present)} of them still true. {told}{more}"
        category = PHYSIOLOGICAL if any(one.category == PHYSIOLOGICAL for one in ordered) else TECHNICAL
        for alert in self._open_of(person):
            if alert.rule == SUMMARY:  # it may have spoken for sensors only: discharge must not close it any more
                told_anew = {"priority": higher(alert.priority, priority), "explanation": sentence}
                both = min(category, alert.category)  # physiological, where either is
                return self._move(alert, MISSED, category=both, occurrences=alert.occurrences + 1, **told_anew).id
        name, start = self._free(person, SUMMARY, "", min(alert.start for alert in ordered))
        summary = Alert(
            id=name,
            person=person,
            source=SUMMARY,
            rule=SUMMARY,
            kind="",
            category=category,
            priority=priority,
            state=NEW,
            start=start,
            end=max(self.now, start),
            explanation=sentence,
            latching=True,
            cool_down=0,
            raised_at=self.now,
            changed_at=self.now,
        )
        return self._move(summary, MISSED).id

    def _when(self, alert: Alert, gone: Set[int]) -> str:
        """Return in words whether what an alert says is true now; `gone`: where what came ends, if that is long ago."""
        if alert.end in gone:
            hours = (self.now - (alert.end or 0)) // (60 * MINUTE)
            return f"at the end of what came, {f'{hours} h' if hours < 48 else f'{hours // 24} d'} ago"
        return "now" if alert.end is None else "over"

    def _free(self, person: str, rule: str, kind: str, start: int) -> tuple[str, int]:
        """Return an id that no alert has, and the start that it is made of."""
        while (name := alert_id(person, rule, kind, start)) in self.person:
            start += 1
        return name, start

    # what time does

    def tick(self) -> None:
        """Let pauses end, acknowledged alarms come back, and what nobody acts on escalate."""
        for alert in [alert for mine in self.of.values() for alert in mine.values() if alert.open]:
            if alert.until is not None:
                if self.now >= alert.until:
                    cause = RE_ALARMED if alert.state == ACKNOWLEDGED else PAUSE_OVER
                    self._move(alert, cause, repeats=alert.repeats + (not _held(alert)))
                elif alert.until - self.now > alert.timer:  # the clock was set back
                    self._keep(replace(alert, until=self.now + alert.timer))
            elif alert.escalate_at is not None:
                longest = self._timing(alert.priority).escalate
                if self.now >= alert.escalate_at:
                    self._move(alert, TIMED, **_louder(alert))
                elif longest and alert.escalate_at - self.now > longest:
                    self._keep(replace(alert, escalate_at=self.now + longest))
            elif alert.summary and alert.summary not in {one.id for one in self._open_of(alert.person)}:
                # the one that spoke for it is over, and was acknowledged with it: it comes back by itself from now on
                self._keep(replace(alert, summary="", **self._timer(self._timing(alert.priority).again)))

    # how a change is made

    def _move(self, alert: Alert, cause: str, *, actor: str = "", **changes: Any) -> Alert:
        """Return the alert after a row of TRANSITIONS, and write down the change."""
        after = RESOLVED if cause == ENDED and not alert.latching else TRANSITIONS[alert.state, cause]
        still: dict[str, Any] = {"until": None, "timer": 0, "escalate_at": None}
        moved = replace(alert, **still | {"state": after, "changed_at": self.now} | changes)
        sounds = moved.audible and cause != ENDED
        if moved.audible:
            waiting = alert.escalate_at if cause == ENDED else None
            moved = replace(moved, escalate_at=waiting if waiting is not None else self._escalates(moved))
        if sounds:
            moved = replace(moved, sounded_at=self.now, raised_at=self.now if _held(alert) else alert.raised_at)
        self._keep(moved)
        self.done.transitions.append(
            Transition(moved.id, moved.person, self.now, alert.state, after, cause, actor, moved.priority, sounds)
        )
        return moved

    def _put(self, alert: Alert) -> None:
        self.of[alert.person][alert.id] = alert
        self.person[alert.id] = alert.person

    def _keep(self, alert: Alert) -> None:
        self._put(alert)
        self.done.alerts[alert.id] = alert

    def _escalates(self, alert: Alert) -> int | None:
        after = self._timing(alert.priority).escalate
        return self.now + after if after and alert.level < MAX_LEVEL else None

    def _seen(self, alert: Alert, actor: str) -> dict[str, Any]:
        first = {"acknowledged_at": self.now} if alert.acknowledged_at is None else {}
        return {"acknowledged_by": actor, **first}

    def _timer(self, length: int) -> dict[str, Any]:
        return {"until": self.now + length if length else None, "timer": length}

    def _timing(self, priority: str) -> Timing:
        return self.signals.timing[priority]

    def _open_of(self, person: str) -> list[Alert]:
        return [alert for alert in self.of[person].values() if alert.open]


def _speaks_for(leader: Alert, alert: Alert) -> bool:
    """Return whether one alert says what another does, no less loudly."""
    if leader.key == alert.key or leader.category != alert.category or not set(leader.about) & set(alert.about):
        return False
    return PRIORITIES.index(leader.priority) >= PRIORITIES.index(alert.priority)


def _held(alert: Alert) -> bool:
    """Return whether an alert is silent though nobody acknowledged it."""
    return alert.state == ACKNOWLEDGED and alert.acknowledged_at is None


def _worse(condition: Condition, alert: Alert) -> bool:
    return PRIORITIES.index(condition.priority) > PRIORITIES.index(alert.priority)


def _louder(alert: Alert) -> dict[str, Any]:
    return {"level": min(alert.level + 1, MAX_LEVEL), "priority": raised(alert.priority)}


def _paused(alert: Alert) -> dict[str, Any]:
    return {"until": alert.until, "timer": alert.timer}

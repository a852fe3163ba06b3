"""What is told to the outside, and a courier that carries it: in order for each person, until it is accepted.

A notice is written into an outbox in the transaction that changed its alert; a courier takes it from there and marks it
delivered after the receiver accepted it. So it survives the death of either and is delivered at least once; a receiver
knows the second time by the fingerprint and the sequence number. Waiting is by a monotonic clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vitalwatch.alerting.alerts import RESOLVED, Alert, Transition

log = logging.getLogger(__name__)

FIRING, OVER = "firing", "resolved"
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds between tries, doubled each time
MANY = 200  # notices taken at once


@dataclass(frozen=True)
class Notice:
    """One thing to tell.

    Attributes:
        sequence: Of the outbox, rising.
        alert: As it stands after the transition.
        transition: What happened.
    """

    sequence: int
    alert: Alert
    transition: Transition

    @property
    def person(self) -> str:
        """Whom it is about: the order of their notices is kept."""
        return self.alert.person

    @property
    def status(self) -> str:
        """FIRING or OVER."""
        return OVER if self.transition.after == RESOLVED else FIRING

    @property
    def fingerprint(self) -> str:
        """Of the alert, 16 hexadecimal digits: equal for all that is told of it."""
        return self.alert.id[:16]

    @property
    def key(self) -> str:
        """Equal for the same notice told twice."""
        return f"{self.fingerprint}-{self.sequence}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        told = {"alert": self.alert.to_json(), "transition": self.transition.to_json()}
        return {"sequence": self.sequence, **told}

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Notice:
        """Read back what `to_json` wrote."""
        return Notice(told["sequence"], Alert.from_json(told["alert"]), Transition(**told["transition"]))


def notable(alert: Alert, transition: Transition) -> bool:
    """Return whether a transition is told: the signal begins (again), or something that was told is over."""
    return transition.sounds or (transition.after == RESOLVED and alert.sounded_at is not None)


class NotDelivered(Exception):
    """A receiver did not accept a notice.

    Attributes:
        why: In a word, never an answer's text.
        wait: Seconds that the receiver asks for, None where it does not.
        everybody: Whether others would fail too (it cannot be reached), or this notice was refused.
    """

    def __init__(self, why: str, *, wait: float | None = None, everybody: bool = True) -> None:
        super().__init__(why, wait, everybody)
        self.why, self.wait, self.everybody = why, wait, everybody


class Receiver(Protocol):
    """Where notices go."""

    @property
    def name(self) -> str:
        """By which the outbox knows it."""

    def send(self, notice: Notice) -> None:
        """Return once the notice is accepted; raises NotDelivered."""


class Outbox(Protocol):
    """Where notices wait; the engine's database implements it, and so does `spool.Spool`."""

    def pending(self, receiver: str, limit: int, without: Collection[str]) -> Sequence[Notice]:
        """Return notices not yet delivered to a receiver, oldest first, but for some people."""

    def delivered(self, receiver: str, notice: Notice) -> None:
        """Write down, durably, that a receiver accepted a notice."""


class Courier:
    """Carries the notices of an outbox to one receiver.

    Attributes:
        tried: Whether anything was sent since this courier began.
        refused: Tries that failed since the receiver last accepted all that was sent.
    """

    def __init__(self, outbox: Outbox, receiver: Receiver, clock: Callable[[], float] = time.monotonic) -> None:
        self.outbox, self.receiver, self._clock = outbox, receiver, clock
        self.tried, self.refused = False, 0
        self._since: dict[str, float] = {}  # person, or "" for everybody: when it began to fail
        self._waits: dict[str, tuple[float, float]] = {}  # person, or "" for everybody: not before, last wait

    @property
    def failing_since(self) -> float | None:
        """When it began, on the clock given, that something does not get there; None while all does."""
        return min(self._since.copy().values(), default=None)

    @property
    def failing(self) -> float:
        """Seconds since then, 0 while all gets there."""
        since = self.failing_since
        return 0.0 if since is None else self._clock() - since

    def once(self) -> float:
        """Deliver what can be delivered now and return the seconds after which to try again."""
        now = self._clock()
        while not self._waiting("", now):
            blocked = [person for person in self._waits if self._waiting(person, now)]
            found = self.outbox.pending(self.receiver.name, MANY, blocked)
            if not found:
                self._forget(blocked)
                break
            failed: set[str] = set()
            for notice in found:
                if notice.person not in failed and not self._deliver(notice):
                    failed.add(notice.person)
                    if self._waiting("", self._clock()):
                        break
        times = [until - self._clock() for until, _ in self._waits.values()]
        return max(min(times, default=FIRST_WAIT), 0.0)

    def run(self, stop: threading.Event, every: float = FIRST_WAIT) -> None:
        """Carry until `stop` is set."""
        while not stop.is_set():
            try:
                wait = min(self.once(), every)
            except Exception:  # a courier that dies is an alarm that nobody hears: say so and go on
                log.exception("courier of %s stumbled", self.receiver.name)
                wait = every
            stop.wait(max(wait, 0.05))

    def _deliver(self, notice: Notice) -> bool:
        self.tried = True
        try:
            self.receiver.send(notice)
        except NotDelivered as problem:
            self._failed(notice, problem)
            return False
        self.outbox.delivered(self.receiver.name, notice)
        for whose in (notice.person, ""):
            self._waits.pop(whose, None)
            self._since.pop(whose, None)
        self.refused = self.refused if self._since else 0
        return True

    def _forget(self, blocked: Collection[str]) -> None:
        """Let go of those for whom nothing waits any more: they were erased meanwhile."""
        for whose in [one for one in self._waits if one not in blocked]:
            self._waits.pop(whose)
            self._since.pop(whose, None)

    def _failed(self, notice: Notice, problem: NotDelivered) -> None:
        now = self._clock()
        whose = "" if problem.everybody else notice.person
        last = self._waits.get(whose, (0.0, 0.0))[1]
        wait = min(max(2 * last, FIRST_WAIT), LONGEST_WAIT)
        self._waits[whose] = (now + max(wait, min(problem.wait or 0.0, LONGEST_WAIT)), wait)
        self._since.setdefault(whose, now)
        self.refused += 1
        log.warning("notice not delivered receiver=%s why=%s retry_s=%.0f", self.receiver.name, problem.why, wait)

    def _waiting(self, whose: str, now: float) -> bool:
        return whose in self._waits and now < self._waits[whose][0]

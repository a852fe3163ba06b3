"""A process of its own that notices silence: of a person, and of the scorer itself (reliability L1, D11).

It shares nothing with the scorer but files: it reads the pulse, writes what it sees for the engine to take up, and
tells receivers itself when the scorer is stalled, since the engine cannot then. Elapsed time is by a monotonic clock.
It ends when its standard input does: with the server, however that dies, but not when the server is merely stopped.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitalwatch.alerting.alerts import TECHNICAL, Alert, Condition, Observed
from vitalwatch.alerting.lifecycle import Signals, Timing, step
from vitalwatch.alerting.notices import Courier, Receiver, notable
from vitalwatch.alerting.pulse import Pulse, read_pulse
from vitalwatch.alerting.receivers import Log, Mail, Webhook
from vitalwatch.alerting.spool import Spool

SOURCE = "watchdog"
SYSTEM = "_system"  # no pseudonym begins so: alerts about no person
STALLED, LAGGING, SILENCE, REFUSED = "scorer_stalled", "scorer_lagging", "silence", "refused"
GRACE = 300.0  # seconds that who was not missed before has after a start of the server, in which nobody could send
WORN, SILENT, NOT_WORN = "worn", "silent", "not_worn"
PULSE, SEEN = "pulse.json", "watchdog.json"  # files in the shared folder


@dataclass(frozen=True)
class Limits:
    """When silence is an alarm; seconds.

    Attributes:
        stalled: Without a beat of the scorer.
        lagging: Of a reading that waits to be scored.
        silence: Without a reading of a person.
        not_worn: Without one, after which it is a state and no alarm; 0 is never.
        priority: Of a person's silence.
        every: Between two looks.
    """

    stalled: float = 10.0
    lagging: float = 30.0
    silence: float = 1800.0
    not_worn: float = 10800.0
    priority: str = "low"
    every: float = 1.0


@dataclass
class Since:
    """A number and when, on the monotonic clock, it last changed."""

    number: int
    at: float

    def see(self, number: int, now: float) -> None:
        """Take a number; another one than before is a sign of life."""
        if number != self.number:
            self.number, self.at = number, now


@dataclass
class Watch:
    """What the watchdog remembers, and what it concludes; its clock is an argument.

    Attributes:
        limits: When silence is an alarm.
        began: When it began to look, s.
        scorer: Its beats.
        people: Their readings.
        starts: Start of each condition that is present, UTC ms, by person and rule.
        missed: Who was silent or wore nothing when an earlier watchdog looked last.
    """

    limits: Limits
    began: float
    scorer: Since = field(init=False)
    people: dict[str, Since] = field(default_factory=dict)
    starts: dict[tuple[str, str], int] = field(default_factory=dict)
    missed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.scorer = Since(-1, self.began)

    def look(self, pulse: Pulse | None, now: float, now_ms: int) -> Seen:
        """Return what is silent.

        Args:
            pulse: As read, None where there is none.
            now: Monotonic clock, s.
            now_ms: UTC ms, to say since when.
        """
        if pulse is not None:
            self.scorer.see(pulse.count, now)
            for person, number in pulse.people.items():
                if person not in self.people:
                    self.people[person] = Since(number, self._begun(person, pulse, now, now_ms))
                self.people[person].see(number, now)
            for person in self.people.keys() - pulse.people.keys():  # discharged
                del self.people[person]
        stalled = now - self.scorer.at > self.limits.stalled
        behind = pulse.behind if pulse is not None and not stalled else 0.0
        found = [self._system(stalled, behind, now, now_ms)]
        wear = {}
        for person, since in self.people.items():
            # while the scorer stands still nobody's readings can be seen: that is its alarm, not theirs
            silent = max(self.scorer.at, since.at) - since.at if stalled else now - since.at
            wear[person], observed = self._person(person, silent, pulse, now_ms)
            found.append(observed)
        return Seen(tuple(found), wear, stalled, {person: since.number for person, since in self.people.items()})

    def _begun(self, person: str, pulse: Pulse, now: float, now_ms: int) -> float:
        """Return since when somebody who is seen for the first time is silent, s on the monotonic clock.

        Since their newest reading. Who was not missed before has a while to send again: nobody could while the server
        was away. Who wore nothing for so long that it is no alarm is no alarm after a start either.
        """
        age = max(now_ms - pulse.heard.get(person, now_ms), 0) / 1000
        silence, not_worn = self._times(person, pulse)
        waits = person not in self.missed and age < (not_worn or float("inf"))
        return now - (min(age, max(silence - GRACE, 0.0)) if waits else age)

    def _times(self, person: str, pulse: Pulse | None) -> tuple[float, float]:
        own = pulse.wearing.get(person) if pulse is not None else None
        return own or (self.limits.silence, self.limits.not_worn)

    def _system(self, stalled: bool, behind: float, now: float, now_ms: int) -> Observed:
        told = []
        for rule, present, seconds, priority, sentence in (
            (STALLED, stalled, now - self.scorer.at, "high", "Nobody is watched: the scorer gives no sign of life."),
            (LAGGING, behind > self.limits.lagging, behind, "medium", "Readings wait to be scored: alarms come late."),
        ):
            start = self._start(SYSTEM, rule, present, now_ms - round(seconds * 1000))
            if start is not None:
                told.append(_condition(rule, priority, start, sentence))
        return Observed(SYSTEM, SOURCE, now_ms, now_ms, tuple(told))

    def _person(self, person: str, silent: float, pulse: Pulse | None, now_ms: int) -> tuple[str, Observed]:
        silence, not_worn = self._times(person, pulse)
        code = pulse.refused.get(person, "") if pulse is not None else ""
        wear = NOT_WORN if not_worn and silent >= not_worn and not code else SILENT if silent >= silence else WORN
        told = []
        for rule, present, sentence in (
            (SILENCE, not code, "No reading has come for a while: is the device worn, charged and connected?"),
            (REFUSED, bool(code), f"Readings come and are refused ({code}): nobody is watched by them."),
        ):
            start = self._start(person, rule, wear == SILENT and present, now_ms - round(silent * 1000))
            if start is not None:
                told.append(_condition(rule, self.limits.priority, start, sentence))
        return wear, Observed(person, SOURCE, now_ms, now_ms, tuple(told))

    def _start(self, person: str, rule: str, present: bool, start: int) -> int | None:
        """Return when a condition began, as told first; None where it is not present."""
        if not present:
            self.starts.pop((person, rule), None)
            return None
        return self.starts.setdefault((person, rule), start)


@dataclass(frozen=True)
class Seen:
    """What the watchdog saw in one look.

    Attributes:
        observed: Technical conditions of everybody, and of the system.
        wear: WORN, SILENT or NOT_WORN of each person.
        stalled: Whether the scorer gives no sign of life.
        numbers: Of the newest reading of each person that was scored by then, as in `Pulse.people`.
    """

    observed: tuple[Observed, ...]
    wear: Mapping[str, str]
    stalled: bool
    numbers: Mapping[str, int] = field(default_factory=dict)

    def outdated(self, one: Observed, number: int) -> bool:
        """Return whether a person whose newest reading has this number is told to be silent and was heard since."""
        silent = bool(one.conditions) or one.source != SOURCE
        return silent and self.numbers.get(one.person, number) != number

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "observed": [asdict(one) for one in self.observed],
            "wear": dict(self.wear),
            "stalled": self.stalled,
            "numbers": dict(self.numbers),
        }

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Seen:
        """Read back what `to_json` wrote."""
        observed = tuple(
            Observed(**one | {"conditions": tuple(Condition(**condition) for condition in one["conditions"])})
            for one in told["observed"]
        )
        return Seen(observed, told["wear"], told["stalled"], told["numbers"])


def missed_in(seen: Seen | None) -> frozenset[str]:
    """Return who was silent or wore nothing when somebody looked."""
    return frozenset() if seen is None else frozenset(person for person, wear in seen.wear.items() if wear != WORN)


def read_seen(folder: Path) -> Seen | None:
    """Return what the watchdog saw last, None where it never looked; what is torn is looked at again in a second."""
    try:
        return Seen.from_json(json.loads((folder / SEEN).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _condition(rule: str, priority: str, start: int, sentence: str) -> Condition:
    return Condition(rule, "", TECHNICAL, priority, start, None, sentence, latching=False, cool_down=0)


class Watchdog:
    """The process, seen from the server.

    Attributes:
        folder: Shared: pulse in, what it sees out.
        process: The child.
    """

    def __init__(self, folder: Path, limits: Limits, receivers: Sequence[Mapping[str, Any]] = ()) -> None:
        """Start the process.

        Args:
            folder: Made if missing.
            limits: When silence is an alarm.
            receivers: Who is told that the scorer stalls: arguments of `receivers.Webhook` and `receivers.Mail` as
                plain values with `type` webhook or mail; the log is told always.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vitalwatch.alerting.watchdog"], stdin=subprocess.PIPE, start_new_session=True
        )
        told = {
            "folder": str(folder.resolve()),
            "limits": asdict(limits),
            "receivers": [dict(one) for one in receivers],
        }
        self._write(json.dumps(told).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line)
            self.process.stdin.flush()

    @property
    def alive(self) -> bool:
        """Whether it runs; the server starts another where it does not."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End the process and wait for it."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def receiver_of(told: Mapping[str, Any]) -> Receiver:
    """Return the receiver that plain values describe."""
    given = {name: value for name, value in told.items() if name != "type"}
    if told["type"] == "mail":
        return Mail(**given)
    return Webhook(**given | {"secret": str(given["secret"]).encode()})


class Guard:
    """The process, seen from inside: looks, writes what it sees, tells of a stalled scorer by itself."""

    def __init__(self, folder: Path, limits: Limits, receivers: Sequence[Receiver]) -> None:
        self.folder, self.limits = folder, limits
        self.watch = Watch(limits, time.monotonic(), missed=missed_in(read_seen(folder)))
        self.spool = Spool(folder / "spool", [one.name for one in receivers])
        self.couriers = [Courier(self.spool, one) for one in receivers]
        self.alerts: dict[str, Alert] = {}
        hour = 3_600_000
        never = Timing(again=hour, escalate=0)
        self.signals = Signals(dict.fromkeys(("low", "medium", "high"), never), hour, hour, hour)

    def look(self) -> Seen:
        """Look once."""
        now_ms = time.time_ns() // 1_000_000
        seen = self.watch.look(read_pulse(self.folder / PULSE), time.monotonic(), now_ms)
        part = self.folder / f".{SEEN}.{os.getpid()}"
        part.write_text(json.dumps(seen.to_json()), encoding="utf-8")
        part.replace(self.folder / SEEN)
        own = [one for one in seen.observed if one.person == SYSTEM]
        told = step(self.alerts.values(), own, (), now_ms, self.signals)
        self.alerts = {name: one for name, one in (self.alerts | told.alerts).items() if one.open}
        changed = [(told.alerts[one.alert], one) for one in told.transitions]
        self.spool.add(both for both in changed if notable(*both) and both[0].rule == STALLED)
        return seen

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set; couriers work beside it, so that a slow receiver delays no look."""
        for courier in self.couriers:
            threading.Thread(target=courier.run, args=(stop,), daemon=True).start()
        while not stop.is_set():
            self.look()
            stop.wait(self.limits.every)


def main() -> None:
    """Read what to watch from standard input, one line of JSON, and watch until it ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    told = json.loads(sys.stdin.buffer.readline() or b"null")
    if told is None:  # the server was gone before it could speak
        return
    receivers = [Log(), *map(receiver_of, told["receivers"])]
    guard = Guard(Path(told["folder"]), Limits(**told["limits"]), receivers)
    stop = threading.Event()
    threading.Thread(target=guard.run, args=(stop,), daemon=True).start()
    while select.select([sys.stdin.buffer], [], [])[0] and os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


if __name__ == "__main__":
    main()

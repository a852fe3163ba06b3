"""Where rules, the life of alerts and the database meet: scores -> conditions -> alerts, events and notices.

Everything here happens in the transaction of what caused it: readings that were accepted, what somebody did, or time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from vitalwatch.alerting import system
from vitalwatch.alerting.alerts import Action, Alert, Observed, Transition
from vitalwatch.alerting.burden import Burdens, burdens
from vitalwatch.alerting.judging import NOBODY, Body, Judge, Memory
from vitalwatch.alerting.lifecycle import REASONS, Step, step
from vitalwatch.alerting.rules import Personal, Rules, span
from vitalwatch.alerting.system import Found
from vitalwatch.alerting.transitions import NEW
from vitalwatch.alerting.watchdog import NOT_WORN, SOURCE, SYSTEM, Seen
from vitalwatch.database import alarms, facts, judgements, landmarks, notices, outbox, people, scores
from vitalwatch.database.audit import Book
from vitalwatch.database.people import Person, Wards
from vitalwatch.database.vault import Secret
from vitalwatch.errors import AlarmRefused
from vitalwatch.intake import Scored
from vitalwatch.production import Production
from vitalwatch.rehearsal import Rehearsal
from vitalwatch.schema import Schema
from vitalwatch.tables import DAY, Answers

RULES, MONITOR = "rules", "monitor"
DISCHARGED, ADMITTED = "discharged", "admitted"  # of an event about a person
NOBODY_IN_PARTICULAR = Person(0, SYSTEM, "", 0, 0, 0, 0, -1, "")  # alerts about the system itself; row 0 is nobody's
EVERYTHING = 1_000_000  # alerts: more than retention keeps
JUDGES = 2_000  # kept at hand


class Alarming:
    """Rules and their consequences.

    Args:
        rules: Of rules.yaml.
        schema: Of the settings, where a run tells no other.
        production: Knows the schema of runs.
        secret: Opens what clinicians set.
        receivers: Names of those who are told.
    """

    def __init__(
        self, rules: Rules, schema: Schema, production: Production, secret: Secret, receivers: Sequence[str]
    ) -> None:
        self.rules, self.signals, self.receivers = rules, rules.timing, tuple(receivers)
        self._schema, self._production, self._secret = schema, production, secret
        self._judges: dict[int, tuple[bytes | None, str, Judge]] = {}
        self._cool_down = rules.longest_cool_down

    def alarm(self, connection: Connection, scored: Sequence[Scored], now: int) -> dict[int, Memory]:
        """Judge newly scored rows, and return what rules remember then, by the person's number."""
        scored = [one for one in scored if len(one.answers)]
        if not scored:
            return {}
        persons = [one.person for one in scored]
        back = judgements.admit(connection, persons)
        outbox.add(connection, now, [(outbox.PERSON, one, {"time": now, "changed": ADMITTED}) for one in back])
        limits = judgements.limits(connection, persons)
        stale = {no for no, told in limits.items() if (kept := self._judges.get(no)) is None or kept[0] != told}
        # rules that were changed meanwhile, perhaps by another process, remember what was written with them
        unknown = [one.person for one in scored if one.held.judged is None or one.person.no in stale]
        known = judgements.read(connection, unknown) if unknown else {}
        observed: list[Observed] = []
        memories, changed = {}, {}
        for one in scored:
            no = one.person.no
            before = known.get(no, one.held.judged or Memory()) if not one.again else one.held.judged or Memory()
            judge = self._judge(no, limits.get(no), one.held.run)
            memories[no], found = judge.look(before, one.answers)
            if one.again or _worth(memories[no]) != _worth(before):
                changed[no] = memories[no]
            first, until = int(one.answers.time[0]), int(one.answers.time[-1]) + judge.schema.step_ms
            for source, conditions in ((RULES, found), (MONITOR, judge.of_monitor(one.held.state, one.answers))):
                observed.append(Observed(one.person.pseudonym, source, first, until, conditions, one.held.run))
        judgements.write(connection, changed)
        self._step(connection, persons, observed, (), now)
        return memories

    def remembered(
        self, connection: Connection, person: Person, run: str, memory: Memory, parts: Sequence[Answers]
    ) -> Memory:
        """Return what rules remember after more of a person's rows, in as many parts as they came."""
        judge = self._judge(person.no, judgements.limits(connection, [person]).get(person.no), run)
        for part in parts:
            memory = judge.look(memory, part)[0]
        return memory

    def personal(self, connection: Connection, person: Person) -> Personal:
        """Return what clinicians set for a person, as it is in force."""
        return self._personal(person.no, judgements.limits(connection, [person]).get(person.no))

    def adopt(self, connection: Connection, person: Person, tried: Rehearsal | None) -> None:
        """Have changed rules remember what they would, had they always been: a mean over days is known at once."""
        landmarks.forget(connection, person)  # they know nothing of changed rules; the readings do
        if tried is not None:
            before = judgements.read(connection, [person]).get(person.no, Memory())
            judgements.write(connection, {person.no: before.adopting(tried.memory, tried.changed)})

    def act(self, connection: Connection, person: Person, action: Action, now: int) -> dict[str, Any]:
        """Do what somebody asks for and return the alert as plain values; raises AlarmRefused."""
        done = self._step(connection, [person], (), [action], now)
        if done.refused:
            raise AlarmRefused(done.refused[0].reason, REASONS[done.refused[0].reason])
        found = alarms.one(connection, action.alert)
        return found[2] if found is not None else {}

    def discharge(self, connection: Connection, person: Person, action: Action, now: int) -> None:
        """Close technical alarms of a person, end conditions, and wait for no readings until one comes."""
        self._step(connection, [person], (), [action], now)
        judgements.discharge(connection, person, now)
        outbox.add(connection, now, [(outbox.PERSON, person, {"time": now, "changed": DISCHARGED})])

    def forget(self) -> None:
        """Let go of the judges at hand: the database is another, or what one of them saw was not committed.

        Who is judged next has what rules remember read from the database.
        """
        self._judges.clear()

    def due(self, connection: Connection, now: int, seen: Seen | None, found: Found) -> list[Observed] | None:
        """Return what the watchdog and the process itself found; None where neither it nor time changes anything."""
        alerts = self._open(connection)
        own = system.observed(found, alerts, now)
        observed = _observed(alerts, seen, now) + ([] if own is None else [own])
        done = step(alerts, observed, (), now, self.signals)
        return observed if done.alerts else None

    def tick(self, connection: Connection, observed: Sequence[Observed], now: int, seen: Seen | None = None) -> None:
        """Let time pass: pauses end, acknowledged alarms come back, the unanswered escalate, silences are told.

        Whoever was heard since the watchdog looked (`seen`) is not silent: what a reading began just now goes on. Who
        was discharged since then is not missed: the watchdog will say no more of them, so nothing would end the alarm.
        """
        names = {alert.person for alert in self._open(connection)} | {one.person for one in observed}
        persons = [*people.named(connection, names).values(), NOBODY_IN_PARTICULAR]
        gone = judgements.discharged(connection)
        known = {person.pseudonym: person.stored for person in persons if person.no not in gone}
        told = [one for one in observed if one.person in known]
        if seen is not None:
            told = [one for one in told if not seen.outdated(one, known[one.person])]
        self._step(connection, persons, told, (), now)

    def wearing(self, connection: Connection, persons: Sequence[Person]) -> dict[str, tuple[float, float]]:
        """Return own times of silence and of not worn in seconds, by pseudonym, of those who have them."""
        found = {}
        limits = judgements.limits(connection, persons)
        for person in persons:
            own = self._personal(person.no, limits.get(person.no)).wearing
            if own is not None:
                found[person.pseudonym] = (span(own.silence) / 1000, span(own.not_worn or "0s") / 1000)
        return found

    def note_rules(self, connection: Connection, book: Book, who: str) -> None:
        """Write into the audit log which rules are others than when somebody last started, with what they were."""
        now = self.rules.model_dump(mode="json", exclude={"people"}, exclude_none=True)
        then = facts.read(connection, RULES)
        if then == now:
            return
        facts.write(connection, RULES, now)
        if then is not None:
            before, after = _parts(then), _parts(now)
            other = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
            sides = {
                side: {name: told.get(name) for name in other} for side, told in (("before", before), ("after", after))
            }
            book.write(connection, who, "rules.change", "rules.yaml", sides)

    def _step(
        self,
        connection: Connection,
        persons: Sequence[Person],
        observed: Sequence[Observed],
        actions: Sequence[Action],
        now: int,
    ) -> Step:
        told = alarms.concerning(connection, persons, now - self._cool_down)
        done = step(map(Alert.from_json, told), observed, actions, now, self.signals)
        self._write(connection, {person.pseudonym: person for person in persons}, done, now)
        return done

    def _write(self, connection: Connection, persons: Mapping[str, Person], done: Step, now: int) -> None:
        if not done.alerts:
            return
        changed = [(persons[alert.person], alert.to_json()) for alert in done.alerts.values()]
        steps = [(persons[one.person], done.alerts[one.alert], one) for one in done.transitions]
        alarms.write(connection, changed, [(person, one.to_json()) for person, _, one in steps])
        alarms.count(connection, [alert.to_json() for _, alert, one in steps if one.before == NEW])
        outbox.add(connection, now, [(outbox.ALARM, person, _event(alert, one)) for person, alert, one in steps])
        notices.add(connection, steps, self.receivers)

    def _judge(self, no: int, limits: bytes | None, run: str) -> Judge:
        kept = self._judges.get(no)
        if kept is not None and kept[:2] == (limits, run):
            return kept[2]
        served = self._production.loaded(run)
        schema = served.monitor.schema if served is not None else self._schema
        judge = Judge(self.rules, schema, self._opened(no, limits))
        if len(self._judges) >= JUDGES:
            self._judges.clear()
        self._judges[no] = (limits, run, judge)
        return judge

    def _personal(self, no: int, limits: bytes | None) -> Personal:
        kept = self._judges.get(no)
        return kept[2].personal if kept is not None and kept[0] == limits else self._opened(no, limits)

    def _opened(self, no: int, limits: bytes | None) -> Personal:
        if limits is None:
            return NOBODY
        return Personal.model_validate(self._secret.open_json(limits, f"people.limits:{no}"))

    def _open(self, connection: Connection) -> list[Alert]:
        return [Alert.from_json(told) for told in alarms.open_ones(connection)]


def cost(connection: Connection, wards: Wards, since: int, step_ms: int) -> Burdens:
    """Return what the alarms of some wards that changed since a time (UTC ms) cost those who answer them."""
    told = alarms.listed(connection, wards, open_only=False, person=None, since=since, most=EVERYTHING, system=False)
    rows = scores.rows_since(connection, wards, since)
    return burdens(map(Alert.from_json, told), rows * step_ms / DAY)


def _observed(alerts: Iterable[Alert], seen: Seen | None, now: int) -> list[Observed]:
    """Return what the watchdog says that may change something: silences, their ends, and who wears nothing."""
    if seen is None:
        return []
    mine = {alert.person for alert in alerts if alert.source == SOURCE}
    found = [one for one in seen.observed if one.conditions or one.person in mine]
    gone = {
        (alert.person, alert.source)
        for alert in alerts
        if alert.source in (RULES, MONITOR) and alert.end is None and seen.wear.get(alert.person) == NOT_WORN
    }
    return found + [Observed(person, source, now, now) for person, source in sorted(gone)]


def _worth(memory: Memory) -> tuple[Body, Body]:
    """Return what a process that starts anew must know; the newest beat is not worth a write a reading."""
    return replace(memory.after, beat=None), replace(memory.before, beat=None)


def _parts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of rules.yaml by name, each rule by itself."""
    rules = {f"rules.{name}": rule for name, rule in told["rules"].items()}
    return {name: part for name, part in told.items() if name != "rules"} | rules


def _event(alert: Alert, transition: Transition) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(alert.to_json()))
    return told | {"cause": transition.cause, "sounds": transition.sounds}

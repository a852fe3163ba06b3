"""The door of serving: readings in, and what is known of people out. REST, page, demo and commands all ask an `Engine`.

What is accepted is on the disk, scored and alarmed for in one transaction. People are named by pseudonym everywhere;
`wards` says whom the asker may see (None: everybody), and whoever is elsewhere is not found.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from vitalwatch import views
from vitalwatch.alarming import NOBODY_IN_PARTICULAR, Alarming, cost
from vitalwatch.alerting.alerts import DISCHARGE, Action
from vitalwatch.alerting.burden import Burdens
from vitalwatch.alerting.rules import Personal, personal_of, read_rules, version_of
from vitalwatch.alerting.watchdog import SYSTEM
from vitalwatch.catching_up import CatchingUp
from vitalwatch.database import alarms, audit, changes, moving, outbox, people, quarantine, readings, scores
from vitalwatch.database.accounts import Accounts
from vitalwatch.database.alarm_pages import Page, page
from vitalwatch.database.changes import Change
from vitalwatch.database.connection import Database
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.outbox import Event
from vitalwatch.database.people import Person, Wards
from vitalwatch.database.quarantine import OLDEST, Quarantined, Which
from vitalwatch.database.readings import Late
from vitalwatch.database.ring import Ring
from vitalwatch.database.scores import Timeline
from vitalwatch.database.tally import Tally, names_read
from vitalwatch.database.vault import Secret
from vitalwatch.deliveries import Delivery, Judged, Message, Receipt, Sender, judge
from vitalwatch.errors import ChangedMeanwhile, DatabaseBusy, HouseOnly, NotAllowed, NotEnoughHistory
from vitalwatch.guarding import names_of
from vitalwatch.handed import Handed
from vitalwatch.intake import Intake
from vitalwatch.monitor import Monitor, State
from vitalwatch.opening import opened, utc_ms
from vitalwatch.ordering import Ordering
from vitalwatch.production import Production, Served
from vitalwatch.promotion import Promotion
from vitalwatch.recall import Recall
from vitalwatch.rehearsal import Rehearsal, rehearse
from vitalwatch.replaying import EVERYTHING, Replayed, Replaying, Span
from vitalwatch.schema import minutes
from vitalwatch.settings import Settings
from vitalwatch.store import Store, failpoint
from vitalwatch.tables import MINUTE, Answers, Profile
from vitalwatch.transactions import Transactions
from vitalwatch.views import Seen
from vitalwatch.vigil import Vigil

log = logging.getLogger(__name__)


class Engine:
    """One opened database and the models in production; safe to share between threads. `close` it in the end.

    Attributes:
        settings: As given.
        database: Where everything is kept.
        production: Which run answers, and why the newest does not.
        audit: Who did what; see `database.audit`.
        tally: The same of what happens often.
        keys: API keys, to be asked for.
        accounts: What accounts of an identity provider are called here.
        handed: Seals what is remembered of windows that nobody keeps here.
        promotion: Runs, and moving production among them.
        vigil: The watch over the database, which one process has.
        intake: Takes readings in; `took` is told how long models need.
        ordering: Puts late readings in order; `start` has it do so.
        catching_up: Scores what waits.
        receivers: Names of those who are told of alarms.
        transactions: The writer's turns; `came_late` is told how many readings came too late to be scored.
    """

    def __init__(self, settings: Settings, database: Database, secret: Secret, *, now: Callable[[], int]) -> None:
        self.settings, self.database, self.now = settings, database, now
        trusted = [settings.path(path) for path in settings.config.signing.trusted]
        self.production = Production(Store(settings.artifacts), trusted)
        self.audit = audit.Book(database, secret, settings.path(settings.config.database.anchor), now)
        self.tally, self.accounts = Tally(self.audit), Accounts(database, secret)
        self.keys, self.handed = Ring(database, secret, now), Handed(secret)
        self.promotion = Promotion(settings.artifacts, trusted, self.production, self.audit)
        self._secret, self._layouts = secret, Layouts()
        within_ms = minutes(settings.config.database.late_within) * MINUTE
        recall = self._recall = Recall(self._layouts, secret, settings.config.database.people_at_hand, within_ms)
        self.rules = read_rules(settings.path(settings.config.alarms.rules), settings.schema)
        self.receivers = names_of(settings)
        alarming = self._alarming = Alarming(self.rules, settings.schema, self.production, secret, self.receivers)
        self.intake = Intake(secret, self._layouts, recall, alarming.alarm, within_ms)
        self._ahead_ms = minutes(settings.params.ingest.max_clock_ahead) * MINUTE
        self._stop, self._is_known = threading.Event(), True
        self.transactions = Transactions(database, self._layouts, recall, self.intake, self._forget, alarming.forget)
        self.vigil = Vigil(
            settings, database, self.rules, alarming, self.production,
            writer=self.transactions, turn=self.transactions.turn, now=now,
        )  # fmt: skip
        self.ordering = Ordering(database, recall, self.intake, alarming, self.transactions, now, self._look_after)
        self.catching_up = CatchingUp(database, recall, self.intake, self.transactions, now, self._look_after)
        self._worker: threading.Thread | None = None

    @classmethod
    def open(cls, settings: Settings, *, now: Callable[[], int] = utc_ms) -> Engine:
        """Open the database of `config.database`, made at first use, with its key; raises as `opening.opened`."""
        return cls(settings, *opened(settings), now=now)

    def start(self) -> None:
        """Follow production, score what waits, and of all processes on the database one let time pass for alarms."""
        with self.transactions() as (connection, _):
            self._alarming.note_rules(connection, self.audit, self.promotion.store.who[:64])
        self.vigil.stand()
        self.ordering.everybody()
        self._worker = threading.Thread(target=self._work, name="vitalwatch-engine", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Stop the thread and let go of the database."""
        self._stop.set()
        if self._worker is not None:
            self._worker.join()
        self.vigil.leave()
        try:
            self.tally.write(all_of_it=True)
            self.audit.close()
        finally:
            self.database.close()

    # what answers

    def monitor(self) -> Monitor:
        """Return the verified monitor in production; it follows when production moves; raises NoModelYet."""
        return self.production.served().monitor

    def run(self) -> str:
        """Return the id of the run that answers; raises NoModelYet."""
        return self.production.served().run

    # readings in

    def accept(
        self,
        raw: Sequence[Message],
        source: str,
        actor: str,
        wards: Wards = None,
        *,
        idempotency: str = "",
        into: str = "",
    ) -> Receipt:
        """Take readings in: validated, each once, durable, scored; accepted means on the disk.

        Args:
            raw: JSON objects as bytes, or already decoded by `messages.decode`.
            source: Where they come from, for the quarantine.
            actor: Id of the key that sends.
            wards: Of that key.
            idempotency: Stands for the event ids of readings without one: a repeated batch is a duplicate.
            into: The ward of people heard for the first time; else the only one of `wards`, or none yet.

        Raises:
            StorageFull, DatabaseError: Nothing was taken; what was accepted before stays.
        """
        became = self.accept_all([Delivery(raw, Sender(source, actor, wards, into), idempotency)])[0]
        if isinstance(became, Exception):
            raise became
        return became

    def accept_all(self, deliveries: Sequence[Delivery]) -> list[Receipt | Exception]:
        """Take in what several senders deliver, in one transaction and with one sync of the disk.

        Where that fails, each delivery is tried alone, in their order, so that one which cannot be taken harms no
        other; a database that another process keeps busy is not waited for again.

        Returns:
            What became of each delivery, or why nothing of it was taken.
        """
        now = self.now()
        judged = [judge(one, self.settings.schema, now, self._ahead_ms) for one in deliveries]
        served = self.production.answering()  # not in the writer's turn: a run that was just promoted is loaded here
        try:
            return [*self._take(judged, now, served)]
        except DatabaseBusy as error:
            return [error] * len(judged)
        except Exception as error:
            if len(judged) == 1:
                return [error]
        became: list[Receipt | Exception] = []
        for one in judged:
            try:
                became += self._take([one], now, served)
            except Exception as error:  # told to its sender
                became.append(error)
        return became

    def catch_up(self, *, has_watch: bool = True) -> int:
        """Score readings that wait, as `catching_up.CatchingUp.run`."""
        return self.catching_up.run(self.production.answering(), has_watch=has_watch)

    # what is known

    def people(self, wards: Wards = None, *, names_for: str = "", discharged: bool = False) -> list[Seen]:
        """Return all (as `views.people_of`), worst first; names once the audit log says that `names_for` reads them."""
        secret = self._secret if names_for and self.tally.noted(names_read(names_for)) else None
        wear = self.vigil.wear()
        with self.database.reading() as connection:
            return views.people_of(connection, self._layouts, secret, wards, wear, discharged=discharged)

    def person(self, person: str, wards: Wards = None) -> Person:
        """Return a person by pseudonym or identifier; raises NotAllowed, the same for unknown and elsewhere."""
        with self.database.reading() as connection:
            return self._person(connection, person, wards)

    def timeline(self, person: str, since: int, until: int, wards: Wards = None) -> Timeline:
        """Return a person's scored grid rows in [since, until), UTC ms; raises NotAllowed."""
        with self.database.reading() as connection:
            found = self._person(connection, person, wards)
            return scores.timeline(connection, self._layouts, found, since, until, self.settings.schema.vitals)

    def late(self, person: str, since: int, until: int, wards: Wards = None, *, most: int = 1000) -> Late:
        """Return a person's readings in [since, until), UTC ms, that came too late to be scored; raises NotAllowed."""
        with self.database.reading() as connection:
            return readings.late(connection, self._layouts, self._person(connection, person, wards), since, until, most)

    def forecast(self, person: str, wards: Wards = None) -> Answers:
        """Return a person's newest row with its forecast; raises NotAllowed, NoModelYet, NotEnoughHistory."""
        with self.database.reading() as connection:
            found, used = self._scored(connection, person, wards)
            return used.monitor.again(self._recall.of(connection, found, used).state)

    def known(self, person: str, wards: Wards = None) -> tuple[Served, State]:
        """Return who judges a person, and their state, of nobody known where none is; raises NotAllowed, NoModelYet."""
        served = self.production.served()
        with self.database.reading() as connection:
            found = self._person(connection, person, wards)
            used = self.production.loaded(found.run) or served
            return used, self._recall.of(connection, found, used).state

    def course(self, person: str, since: int, wards: Wards = None) -> tuple[Monitor, State, Answers]:
        """Return who judges a person, their state before a time (UTC ms), what is said from then on; as `forecast`."""
        with self.database.reading() as connection:
            found, used = self._scored(connection, person, wards)
            return used.monitor, *self._recall.course(connection, found, used, since)

    def alarms(
        self, wards: Wards = None, *, open_only: bool = True, person: str = "", since: int = 0, most: int = 1000
    ) -> list[dict[str, Any]]:
        """Return alerts as plain values, those that changed last first; raises NotAllowed.

        Those about the system itself (`watchdog.SYSTEM` in place of a person) are for everybody who may read.
        """
        with self.database.reading() as connection:
            whose = 0 if person == SYSTEM else self._person(connection, person, wards).no if person else None
            return alarms.listed(connection, wards, open_only=open_only, person=whose, since=since, most=most)

    def alarm_page(
        self, wards: Wards = None, *, open_only: bool = True, person: str = "", most: int = 1000, after: str = ""
    ) -> Page:
        """Return some alerts, how many there are, and where the next begin: `alarm_pages.page`; raises NotAllowed."""
        with self.database.reading() as connection:
            whose = 0 if person == SYSTEM else self._person(connection, person, wards).no if person else None
            return page(connection, wards, open_only=open_only, person=whose, most=most, after=after)

    def events(self, after: int, wards: Wards = None, *, most: int = 500) -> list[Event]:
        """Return what happened after an event's number, oldest first."""
        with self.database.reading() as connection:
            return outbox.after(connection, after, wards, most)

    def events_kept(self) -> tuple[int, int]:
        """Return the numbers of the oldest event that is kept (of the next one, where none is) and of the newest."""
        with self.database.reading() as connection:
            return outbox.oldest(connection), outbox.newest(connection)

    def quarantine(self, wards: Wards = None, which: Which = OLDEST) -> Quarantined:
        """Return refused readings without what was sent, and how many there are by reason."""
        with self.database.reading() as connection:
            return quarantine.looked_at(connection, wards, which)

    def replay(
        self, actor: str, wards: Wards = None, *, span: Span = EVERYTHING, seconds: float = math.inf
    ) -> Replayed:
        """Run refused readings through today's rules again; what is accepted leaves the quarantine.

        With `seconds` it ends after about so long, and tells what is left.
        """
        serving = partial(self._serving, served=self.production.answering())
        schema, secret, writer = self.settings.schema, self._secret, self.transactions
        replaying = Replaying(self.database, secret, self.intake, self.audit, schema, self._ahead_ms, writer, serving)
        return replaying.run(actor, wards, self.now(), span, seconds)

    # about a person

    def set_profile(
        self, person: str, profile: Mapping[str, Any], actor: str, wards: Wards = None, *, whole: bool = True
    ) -> None:
        """Write age, sex, height, weight, conditions and medication of a person; raises NotAllowed.

        Args:
            person: Whose.
            profile: By name; None is not known.
            actor, wards: Of the key that asks.
            whole: Whether what is left out is not known from now on, or stays.
        """
        with self.transactions() as (connection, _):
            found = self._person(connection, person, wards)
            before = people.told_of(connection, self._secret, found)
            told = {**({} if whole else before), **profile}
            after = {name: value for name, value in told.items() if value is not None}
            people.set_profile(connection, self._secret, found, after)
            change = {"before": before, "after": after}
            detail = audit.sealed(connection, self._secret, found.pseudonym, change)
            self.audit.write(connection, actor, "profile.set", found.pseudonym, detail)
            self._recall.forget(found.no)

    def profile(self, person: str, wards: Wards = None) -> Profile:
        """Return what is known of a person; raises NotAllowed."""
        with self.database.reading() as connection:
            return people.profile_of(connection, self._secret, self._person(connection, person, wards))

    def change(self, person: str, kind: str, told: Mapping[str, Any], actor: str, wards: Wards = None) -> Change:
        """Begin a person's own normal anew: another of `changes.KINDS`, and new fields of the profile; NotAllowed."""
        with self.transactions() as (connection, _):
            found, now = self._person(connection, person, wards), self.now()
            made = changes.add(connection, self._secret, found, kind, told, now)
            outbox.add(connection, now, [(outbox.PERSON, found, {"time": now, "changed": kind})])
            self.audit.write(connection, actor, "person.change", found.pseudonym, {"kind": kind})
            self._recall.forget(found.no)
        return made

    def is_ward(self, ward: str) -> bool:
        """Return whether there is such a ward: somebody is in it, or a key is for it."""
        with self.database.reading() as connection:
            return moving.is_known(connection, ward)

    def move(self, person: str, ward: str, actor: str, wards: Wards = None) -> None:
        """Put a person into another ward, with all that is seen by ward; raises NotAllowed, UsageError for no ward."""
        with self.transactions() as (connection, _):
            found = self._person(connection, person, wards)
            told = moving.move(connection, found, ward, self.now())
            self.audit.write(connection, actor, "person.move", found.pseudonym, told)

    def changes(self, person: str, wards: Wards = None) -> list[Change]:
        """Return when a person's own normal began anew, oldest first; raises NotAllowed."""
        with self.database.reading() as connection:
            return changes.of_person(connection, self._person(connection, person, wards))

    def limits(self, person: str, wards: Wards = None) -> Any:
        """Return a person's own limits and rules as JSON, None where they have none; raises NotAllowed."""
        with self.database.reading() as connection:
            return people.limits_of(connection, self._secret, self._person(connection, person, wards))

    def try_limits(self, person: str, limits: Any, wards: Wards = None) -> Rehearsal | None:
        """Return what limits and rules would have raised in a person's history, None without a run; as `set_limits`."""
        wanted, served = personal_of(limits, self.rules, self.settings.schema), self.production.answering()
        with self.database.reading() as connection:
            found = self._person(connection, person, wards)
            if served is None:
                return None
            now = self._alarming.personal(connection, found)
            return rehearse(connection, self._recall, found, served, self.rules, wanted, now)

    def set_limits(
        self, person: str, limits: Any, actor: str, wards: Wards = None, *, versions: Collection[str] | None = None
    ) -> Rehearsal | None:
        """Write a person's own limits and rules, as `alerting.rules.Personal` has them, tried on history before.

        With `versions` (`rules.version_of`) only where those in force are one of them.

        Raises:
            NotAllowed: Unknown, or elsewhere.
            ChangedMeanwhile: Others are in force.
            SettingsError: A key or value is wrong: which, and the nearest known key.
        """
        tried = self.try_limits(person, limits, wards)
        told = personal_of(limits, self.rules, self.settings.schema).model_dump(mode="json", exclude_unset=True)
        with self.transactions() as (connection, _):
            found = self._person(connection, person, wards)
            before = people.limits_of(connection, self._secret, found) or {}
            if versions is not None and version_of(before) not in versions:
                raise ChangedMeanwhile("What was set for this person")
            change = {"before": before, "after": told}
            people.set_limits(connection, self._secret, found, told)
            self._alarming.adopt(connection, found, tried and tried.now(connection, self._recall, found))
            detail = audit.sealed(connection, self._secret, found.pseudonym, change)
            self.audit.write(connection, actor, "limits.set", found.pseudonym, detail)
        return tried

    def personal(self, person: str, wards: Wards = None) -> Personal:
        """Return a person's own limits and rules as they are in force; raises NotAllowed."""
        with self.database.reading() as connection:
            return self._alarming.personal(connection, self._person(connection, person, wards))

    # alarms

    def act(self, alarm: str, kind: str, actor: str, wards: Wards = None, *, pause: int = 0) -> dict[str, Any]:
        """Acknowledge, snooze, escalate or resolve an alarm and return it as plain values.

        Args:
            alarm: Its id.
            kind: One of `alerting.alerts.ACTIONS` but discharge.
            actor, wards: Id and wards of the key that asks.
            pause: Milliseconds of a snooze, 0 for the usual.

        Raises:
            NotAllowed: Unknown, or elsewhere.
            HouseOnly: It is about the system itself, and the key is for some wards.
            AlarmRefused: It is over, or cannot be paused for so long.
        """
        with self.transactions() as (connection, _):
            no = alarms.seen(connection, alarm, wards)[0]
            if not no and wards is not None:
                raise HouseOnly("This alarm")
            if (person := people.numbered(connection, no) if no else NOBODY_IN_PARTICULAR) is None:
                raise NotAllowed("This alarm")
            told = self._alarming.act(connection, person, Action(kind, actor, alarm, pause=pause), self.now())
            self.audit.write(connection, actor, f"alarm.{kind}", alarm)
            return told

    def discharge(self, person: str, actor: str, wards: Wards = None) -> None:
        """Close a person's technical alarms and wait for no readings until one comes; raises NotAllowed."""
        with self.transactions() as (connection, _):
            found = self._person(connection, person, wards)
            self._alarming.discharge(connection, found, Action(DISCHARGE, actor, person=found.pseudonym), self.now())
            self.audit.write(connection, actor, "person.discharge", found.pseudonym)

    def alarm(self, alarm: str, wards: Wards = None) -> dict[str, Any]:
        """Return an alarm as plain values, and in `history` what became of it, oldest first; raises NotAllowed."""
        with self.database.reading() as connection:
            return alarms.seen(connection, alarm, wards)[1] | {"history": alarms.history(connection, alarm)}

    def burden(self, since: int, wards: Wards = None) -> Burdens:
        """Return what the alarms that changed since a time (UTC ms) cost those who answer them, and each rule."""
        with self.database.reading() as connection:
            return cost(connection, wards, since, self.settings.schema.step_ms)

    def tick(self) -> None:
        """Give a sign of life and let time pass for alarms; `start` calls it every second."""
        self.vigil.tick()

    # inner

    def _take(self, judged: Sequence[Judged], now: int, served: Served | None) -> list[Receipt]:
        with self.transactions() as (connection, keep):
            receipts, held = self.intake.take(connection, judged, now, partial(self._serving, served=served))
            keep(held)
        failpoint("after-commit")
        return receipts

    def _serving(self, run: str, served: Served | None) -> Served | None:
        """Return the run that scores a person whose memory is of `run`; None: the readings wait to be caught up."""
        return served if served is None or run in ("", served.run) else self.production.loaded(run)

    def _forget(self) -> None:
        """Forget what is known of a database that is another now."""
        self._alarming.forget()
        self.audit.forget()
        self._is_known = False

    def _person(self, connection: Connection, person: str, wards: Wards) -> Person:
        pseudonym = self._secret.pseudonym(person)
        found = people.named(connection, [pseudonym]).get(pseudonym)
        if found is None or (wards is not None and found.ward not in wards):
            raise NotAllowed("This person")
        return found

    def _scored(self, connection: Connection, person: str, wards: Wards) -> tuple[Person, Served]:
        served, found = self.production.served(), self._person(connection, person, wards)
        if not found.scored:
            raise NotEnoughHistory(found.pseudonym, 1, 0)
        return found, self.production.loaded(found.run) or served

    def _look_after(self) -> None:
        """Let time pass, once a second however long it takes to catch up; not before `start`."""
        if self.vigil.due():
            self.vigil.tick()
            self.audit.follow()

    def _work(self) -> None:
        while not self._stop.wait(0.5):
            try:
                self.transactions.follow()
                if self.vigil.stand() or not self._is_known:
                    self._is_known = True
                    self.ordering.everybody()
                self.catch_up(has_watch=self.vigil.guarding is not None)
                self.ordering.run(self.production.answering())
                self._look_after()
                self.tally.write()
            except Exception:  # a thread that dies watches nobody: say so and go on; without a beat the watchdog tells
                log.exception("the engine stumbled")

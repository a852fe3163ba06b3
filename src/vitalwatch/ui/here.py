"""Everything in one process: the page on an engine of its own."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from vitalwatch import prognosis
from vitalwatch.alarming import EVERYTHING
from vitalwatch.alerting.judging import NOBODY
from vitalwatch.alerting.rules import version_of
from vitalwatch.alerting.telling import listed
from vitalwatch.alerting.watchdog import SYSTEM
from vitalwatch.database.access import SCOPES
from vitalwatch.database.quarantine import Quarantined, Which
from vitalwatch.engine import Engine
from vitalwatch.errors import NoModelYet, NotEnoughHistory
from vitalwatch.production import MODELS
from vitalwatch.settings import Settings
from vitalwatch.store import Store
from vitalwatch.tables import DAY, Profile, Readings
from vitalwatch.ui import trying
from vitalwatch.ui.clock import clock_of
from vitalwatch.ui.course import Ahead, Course, ahead_of, of_timeline
from vitalwatch.ui.person import open_alarms, over
from vitalwatch.ui.quality import SHOWN
from vitalwatch.ui.runs import fallen_back, moved
from vitalwatch.ui.trying import Judged
from vitalwatch.ui.upload import Models
from vitalwatch.views import Seen

ALARMS_KEPT = 200  # of the newest, to show those that are over


class Here:
    """A `source.Source` on the database and the models of this machine; who may open them may do everything."""

    scopes, house_wide = frozenset(SCOPES), True
    visitor = ""

    def __init__(self, settings: Settings, *, now: Callable[[], int] | None = None) -> None:
        self.engine = Engine.open(settings, now=now or clock_of())
        self.schema = settings.schema
        self.where = "this machine's own database"
        self._settings, self._store = settings, Store(settings.artifacts)
        self._actor = f"page:{_account()}"

    def close(self) -> None:
        """Let go of the database."""
        self.engine.close()

    def now(self) -> int:
        """As `Source.now`."""
        return self.engine.now()

    def problem(self) -> str:
        """As `Source.problem`."""
        try:
            self.engine.monitor()
        except NoModelYet as error:
            return str(error)
        return ""

    def fallback(self) -> str:
        """As `Source.fallback`."""
        run = self.engine.production.fallback
        return fallen_back(run) if run else ""

    def people(self, *, discharged: bool = False) -> list[Seen]:
        """As `Source.people`."""
        return self.engine.people(names_for=self._actor, discharged=discharged)

    def course(self, person: str, since: int, until: int) -> Course:
        """As `Source.course`."""
        changes = [(one.at, one.kind) for one in self.engine.changes(person) if since <= one.at < until]
        return replace(of_timeline(person, self.engine.timeline(person, since, until)), changes=changes)

    def ahead(self, person: str) -> Ahead | None:
        """As `Source.ahead`."""
        try:
            return ahead_of(self.engine.forecast(person))
        except (NoModelYet, NotEnoughHistory):
            return None

    def warning(self, person: str) -> Mapping[str, Any] | None:
        """As `Source.warning`."""
        try:
            return prognosis.of_person(self.engine, person)
        except NoModelYet:
            return None

    def alarms(self, person: str) -> list[Mapping[str, Any]]:
        """As `Source.alarms`."""
        kept = self.engine.alarm_page(person=person, open_only=False, most=ALARMS_KEPT).alerts
        return [*self.engine.alarm_page(person=person, most=EVERYTHING).alerts, *over(kept)]

    def system(self) -> list[Mapping[str, Any]]:
        """As `Source.system`."""
        return open_alarms(self.engine.alarm_page(person=SYSTEM).alerts)

    def act(self, alarm: str, action: str) -> None:
        """As `Source.act`."""
        self.engine.act(alarm, action, self._actor)

    def personal(self, person: str) -> dict[str, Any]:
        """As `Source.personal`."""
        return dict(self.engine.limits(person) or {})

    def set_personal(
        self, person: str, personal: Mapping[str, Any], drawn: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """As `Source.set_personal`."""
        tried = self.engine.set_limits(person, dict(personal), self._actor, versions=[version_of(drawn)])
        return None if tried is None else tried.to_json()

    def try_personal(self, person: str, personal: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """As `Source.try_personal`."""
        tried = self.engine.try_limits(person, dict(personal))
        return None if tried is None else tried.to_json()

    def change(self, person: str, kind: str, medication: Sequence[str] | None) -> None:
        """As `Source.change`."""
        told = {} if medication is None else {"medication": list(medication)}
        self.engine.change(person, kind, told, self._actor)

    def discharge(self, person: str) -> None:
        """As `Source.discharge`."""
        self.engine.discharge(person, self._actor)

    def profile(self, person: str) -> Mapping[str, Any]:
        """As `Source.profile`."""
        return vars(self.engine.profile(person))

    def rules(self, person: str = "") -> list[Mapping[str, Any]]:
        """As `Source.rules`."""
        own = self.engine.personal(person) if person else NOBODY
        return [*listed(self.engine.rules, own, self.schema)]

    def burden(self, days: int) -> Mapping[str, Any]:
        """As `Source.burden`."""
        return self.engine.burden(self.now() - days * DAY).to_json()

    def refused(self) -> Quarantined:
        """As `Source.refused`."""
        return self.engine.quarantine(which=Which(most=SHOWN, newest=True))

    def replay(self) -> dict[str, int]:
        """As `Source.replay`."""
        return self.engine.replay(self._actor).counts

    def runs(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """As `Source.runs`."""
        promotion = self.engine.promotion
        return promotion.runs(), [asdict(change) for change in promotion.history()]

    def run(self, run: str) -> dict[str, Any]:
        """As `Source.run`."""
        return self.engine.promotion.told(run)

    def promote(self, run: str, why: str) -> str:
        """As `Source.promote`."""
        return moved(run, done=self.engine.promotion.promote(run, why, self._actor) is not None)

    def rollback(self, why: str) -> str:
        """As `Source.rollback`."""
        return moved(self.engine.promotion.rollback(why, self._actor).run, done=True, back=True)

    def judged(self, readings: Readings, profile: Profile) -> Judged:
        """As `Source.judged`."""
        return trying.judge(self.engine.monitor(), readings, profile)

    def expected(self, moments: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
        """As `Source.expected`: by what answers /predict."""
        from vitalwatch.api.asking import expected  # seldom asked for, and all of REST comes with it
        from vitalwatch.api.forms import Forms

        told = Forms(self.schema).moments.validate_python(list(moments))
        return [_expected(one) for one in expected(self.engine.monitor(), told, self.engine.run())]

    def models(self) -> Models | None:
        """As `Source.models`."""
        try:
            run = self.engine.run()
        except NoModelYet:
            return None
        trusted = tuple(self._settings.path(path) for path in self._settings.config.signing.trusted)
        return Models(run, self._store.folder(run) / MODELS, trusted, self._store.seal(run, f"{MODELS}/manifest.json"))


def _expected(told: Mapping[str, Any]) -> tuple[float, float]:
    return told["expected_heart_rate"], told["spread"]


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return "somebody"

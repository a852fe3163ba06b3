"""Where the page gets what it shows: an engine in this process, or a running API."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from vitalwatch.errors import SettingsError

if TYPE_CHECKING:  # the demonstration asks for names of variables only, before it starts the page
    from vitalwatch.database.quarantine import Quarantined
    from vitalwatch.schema import Schema
    from vitalwatch.settings import Settings
    from vitalwatch.tables import Profile, Readings
    from vitalwatch.ui.course import Ahead, Course
    from vitalwatch.ui.here import Here
    from vitalwatch.ui.there import There
    from vitalwatch.ui.trying import Judged
    from vitalwatch.ui.upload import Models
    from vitalwatch.views import Seen

ADDRESS, KEY = "VITALWATCH_API", "VITALWATCH_API_KEY"
CONFIG = "VITALWATCH_CONFIG"  # a file laid over config/, as --config of the command line
EVERY = "::"  # address of a server that is reached at all addresses of its machine
DEMO = "VITALWATCH_DEMO"  # a sentence about a demonstration, shown on every page
Alert = Mapping[str, Any]


class Source(Protocol):
    """What pages ask for. Everything raises VitalsError with a sentence that may be shown.

    Attributes:
        where: In words, for the foot of the page.
        schema: What the data is.
        scopes: What the one who looks may do, of `database.access.SCOPES`.
        house_wide: Whether that holds in every ward.
        visitor: Who looks, for the foot of the page; empty where nobody needs to say.
    """

    where: str
    schema: Schema
    scopes: frozenset[str]
    house_wide: bool
    visitor: str

    def now(self) -> int:
        """Return the time on the clock that answers, UTC ms."""

    def problem(self) -> str:
        """Return why nothing can be judged (no run yet, refused), empty where it can."""

    def fallback(self) -> str:
        """Return a sentence where an earlier run answers in place of the one in production, empty where that does."""

    def people(self, *, discharged: bool = False) -> list[Seen]:
        """Return everybody at a glance, worst first; the discharged too, or only those with an open alarm."""

    def course(self, person: str, since: int, until: int) -> Course:
        """Return scored rows in [since, until), UTC ms."""

    def ahead(self, person: str) -> Ahead | None:
        """Return the newest forecast, None where none can be made."""

    def alarms(self, person: str) -> list[Alert]:
        """Return a person's alerts, open and over, newest first."""

    def system(self) -> list[Alert]:
        """Return the open alerts about the system itself, most urgent first."""

    def warning(self, person: str) -> Mapping[str, Any] | None:
        """Return the early warning of a person's stay (`prognosis.risks`), None where the run learnt none."""

    def act(self, alarm: str, action: str) -> None:
        """Acknowledge, snooze, escalate or resolve an alert."""

    def personal(self, person: str) -> dict[str, Any]:
        """Return a person's own limits and rules; empty where nobody set any."""

    def set_personal(
        self, person: str, personal: Mapping[str, Any], drawn: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Write them, and return what they would have raised, as `rehearsal.Rehearsal.to_json`; None without a run.

        Raises ChangedMeanwhile where those in force are no longer `drawn`.
        """

    def try_personal(self, person: str, personal: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return what they would have raised, and write nothing."""

    def change(self, person: str, kind: str, medication: Sequence[str] | None) -> None:
        """Begin a person's own normal anew: another medicine (and what is taken now) or another device."""

    def discharge(self, person: str) -> None:
        """Close a person's technical alarms, and wait for no readings until one comes."""

    def profile(self, person: str) -> Mapping[str, Any]:
        """Return what is known of a person: age, sex, height, weight, conditions, medication."""

    def rules(self, person: str = "") -> list[Mapping[str, Any]]:
        """Return the rules in force, or as they are for a person, as `alerting.telling.listed`."""

    def burden(self, days: int) -> Mapping[str, Any]:
        """Return what alarms of the last days cost, as `alerting.burden.Burdens.to_json`."""

    def refused(self) -> Quarantined:
        """Return the newest refused readings, newest first, without what was sent, and counts of all by reason."""

    def replay(self) -> dict[str, int]:
        """Run the refused readings through today's rules again; return read, accepted, and by reason what stays."""

    def runs(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the runs, the one in production first, and the history of production, newest first."""

    def run(self, run: str) -> dict[str, Any]:
        """Return what there is to tell of a run, as `promotion.Promotion.told`."""

    def promote(self, run: str, why: str) -> str:
        """Put a run into production and return a sentence."""

    def rollback(self, why: str) -> str:
        """Put the newest run before back that opens, and return a sentence."""

    def judged(self, readings: Readings, profile: Profile) -> Judged:
        """Return what the models say of readings from nothing known before."""

    def expected(self, moments: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
        """Return heart rate and usual spread (bpm) that `/predict` tells of moments, as it is asked (`api.forms`)."""

    def models(self) -> Models | None:
        """Return where this machine has the models in production."""


def source_of(settings: Settings, address: str | None, environ: Mapping[str, str] = os.environ) -> Here | There:
    """Return the API that VITALWATCH_API names, else an engine in this process, with all that it does by itself.

    Args:
        settings: Of the page.
        address: That the page is reached at, None for every address of this machine.
        environ: Variables of the process.

    Raises:
        SettingsError: Others could reach a page of this process, which asks nobody who they are.
    """
    if api := environ.get(ADDRESS, ""):
        from vitalwatch.ui.there import There

        return There(api, environ.get(KEY, ""), settings)
    from vitalwatch.api.access import loopback

    if not loopback(address or EVERY):
        problem = "a page of its own asks nobody who they are, so only this machine may reach it"
        raise SettingsError(
            ".streamlit/config.toml", "server.address", problem, f"Set it to 127.0.0.1, or name an API in {ADDRESS}"
        )
    from vitalwatch.ui.here import Here

    here = Here(settings)
    here.engine.start()
    return here

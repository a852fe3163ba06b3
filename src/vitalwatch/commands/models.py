"""The models of a run, verified, and recordings ingested for them."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalwatch.commands.desk import Desk, Told
from vitalwatch.errors import NotFound
from vitalwatch.recordings import storing
from vitalwatch.store import sweep, temporary

if TYPE_CHECKING:
    from vitalwatch.monitor import Monitor
    from vitalwatch.settings import Settings

MODELS = "models"


@dataclass(frozen=True)
class Place:
    """Where a run's models lie, and what they must be: enough for another process to open them."""

    run: str
    folder: Path
    trusted: tuple[Path, ...]
    seal: str

    def open(self) -> Monitor:
        """Return the monitor after every check; raises BundleRefused."""
        from vitalwatch.monitor import Monitor

        return Monitor.open(self.folder, self.trusted, seal=self.seal)


def place_of(desk: Desk, run: str | None) -> Place:
    """Return where the models of a run, by default of the one in production, lie.

    Raises:
        NotFound: No such run, or nothing is in production yet.
        StoreError: The pointer to production is damaged.
    """
    named = run or desk.store.production()
    if named is None:
        hint = "Run `python main.py` to train and promote one, or name a run with --run (`python main.py runs`)."
        raise NotFound("A model in production", hint)
    folder = desk.store.folder(named) / MODELS
    trusted = tuple(desk.settings.path(path) for path in desk.settings.config.signing.trusted)
    return Place(named, folder, trusted, desk.store.seal(named, f"{MODELS}/manifest.json"))


def served_settings(monitor: Monitor, desk: Desk) -> Settings:
    """Return the settings with the model's own schema and serving rules: people are judged as it serves them."""
    settings, own = desk.settings, {"baseline": monitor.chosen.baseline, "alarms": monitor.chosen.alarms}
    if settings.schema.step_minutes != monitor.schema.step_minutes:
        desk.screen.warn(
            f"Note: the model's grid step of {monitor.schema.step_minutes} minutes is used, "
            f"not the {settings.schema.step_minutes} minutes of schema.yaml."
        )
    other = [name for name, block in own.items() if getattr(settings.params, name) != block]
    if other:
        desk.screen.warn(f"Note: the model's own {' and '.join(other)} settings are used, not those of params.yaml.")
    return replace(settings, schema=monitor.schema, params=settings.params.model_copy(update=own))


@contextlib.contextmanager
def scratch(desk: Desk) -> Iterator[Path]:
    """Yield an empty folder below config.work; it goes in the end, and leftovers of dead commands with it."""
    work = desk.settings.path(desk.settings.config.work)
    folder = work / temporary("command")
    with storing(work):
        work.mkdir(parents=True, exist_ok=True)
        sweep(work)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ingested(
    sources: list[Path], folder: Path, settings: Settings, format: str | None, now_ms: int, move: Told
) -> dict[str, Any]:
    """Ingest recordings into a folder and return the report; raises SourceError."""
    from vitalwatch.stages.ingest import ingest

    return ingest(sources, folder, settings, format=format, now_ms=now_ms, progress=move)


def told(report: dict[str, Any]) -> dict[str, Any]:
    """Return what `--json` shows of an ingest report."""
    names = ("sources", "read", "accepted", "duplicate", "conflict", "rejected", "emptied", "labels", "rows", "people",
             "person_days", "notes")  # fmt: skip
    shown: dict[str, Any] = json.loads(json.dumps({name: report[name] for name in names}))
    return shown

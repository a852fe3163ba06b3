"""What the Models page shows: the runs, the card, gates, figures and history of each, and moving production."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitalwatch import drawing
from vitalwatch.drawing import Picture
from vitalwatch.errors import NotFound
from vitalwatch.production import open_run
from vitalwatch.report import gates, summary
from vitalwatch.settings import Settings
from vitalwatch.store import Change, Run, Store
from vitalwatch.wording import Table

CARD = ("purpose", "step_minutes", "kinds", "horizons_minutes", "people", "limits")
GATE_LINES = ("Gates:", "  failed", "  and ")  # of the summary: the table of gates says it in full
MANY = 12  # names that a line of the card tells


@dataclass(frozen=True)
class Shown:
    """One run: card (name, text), figures as sentences, gates, pictures."""

    run: str
    live: bool
    finished: str
    card: tuple[tuple[str, str], ...]
    figures: tuple[str, ...]
    gates: Table
    pictures: tuple[Picture, ...]


def names(store: Store) -> list[str]:
    """Return the ids of the complete runs, the live one first, then newest first."""
    found = store.runs()
    return [run.id for run in sorted(found, key=lambda run: not run.live)]


def shown(store: Store, run: str) -> Shown:
    """Return what there is to tell of a run; raises NotFound."""
    found = next((one for one in store.runs() if one.id == run), None)
    if found is None:
        raise NotFound(f"Run {run}", "`python main.py runs` lists what is there.")
    evaluation = _json(found, "reports/evaluation.json")
    card = _json(found, "models/card.json")
    return Shown(
        run=found.id,
        live=found.live,
        finished=found.finished,
        card=tuple((name.replace("_", " "), _words(card[name])) for name in CARD if name in card),
        figures=tuple(line.strip() for line in summary(evaluation) if not line.startswith(GATE_LINES)),
        gates=gates(evaluation),
        pictures=pictures(evaluation),
    )  # fmt: skip


def pictures(evaluation: Mapping[str, Any]) -> tuple[Picture, ...]:
    """Return the telling figures of an evaluation; what was not judged is left out."""
    detection, forecast = evaluation.get("detection", {}), evaluation.get("forecast", {})
    drawn = (
        drawing.event_f1(detection),
        drawing.recall_by_kind(detection.get("by_kind", {})),
        drawing.curve(detection),
        drawing.forecast_skill(forecast),
        drawing.forecast_coverage(forecast),
    )
    return tuple(picture for picture in drawn if picture is not None)


def history(store: Store) -> list[Change]:
    """Return every change of production, newest first."""
    return store.history()[::-1]


def promote(store: Store, settings: Settings, run: str, why: str) -> str:
    """Put a run into production after its models were opened and tested; return a sentence.

    Raises:
        BundleRefused: Its models are damaged, unsigned, or answer otherwise than in training.
        NotFound, StoreError: No such run, or it is damaged.
    """
    open_run(store, run, [settings.path(path) for path in settings.config.signing.trusted])
    change = store.promote(run, _why(why))
    return f"Run {run} is in production." if change else f"Run {run} was in production already."


def rollback(store: Store, why: str) -> str:
    """Put the run back that was live before; return a sentence; raises NotFound without a good one."""
    return f"Run {store.rollback(_why(why)).run} is in production again."


def _why(why: str) -> str:
    return f"{why.strip()[:200] or 'no reason given'} (by the page)"


def _json(run: Run, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((run.folder / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {told}" for name, told in list(value.items())[:MANY])
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one).replace("_", " ") for one in value[:MANY])
    return str(value)

"""What the Models page shows: the runs, the card, gates, figures and history of each, and what a move came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitalwatch import drawing, tradeoffs
from vitalwatch.drawing import Picture
from vitalwatch.report import gates, summary
from vitalwatch.wording import Table

CARD = ("purpose", "step_minutes", "kinds", "horizons_minutes", "people", "limits")
GATE_LINES = ("Gates:", "  failed", "  and ")  # of the summary: the table of gates says it in full
MANY = 12  # names that a line of the card tells
COLUMNS = {"When": "at", "What": "what", "Run": "run", "Why": "why", "Who": "who"}


@dataclass(frozen=True)
class Shown:
    """One run: card (name, text), figures as sentences, gates."""

    run: str
    live: bool
    finished: str
    card: tuple[tuple[str, str], ...]
    figures: tuple[str, ...]
    gates: Table


def shown(told: Mapping[str, Any]) -> Shown:
    """Return what there is to show of a run, as `promotion.Promotion.told` tells it."""
    evaluation, card = told["evaluation"], told["card"]
    return Shown(
        run=told["run"],
        live=told["live"],
        finished=told["finished"],
        card=tuple((name.replace("_", " "), _words(card[name])) for name in CARD if name in card),
        figures=tuple(line.strip() for line in summary(evaluation) if not line.startswith(GATE_LINES)),
        gates=gates(evaluation),
    )


def pictures(evaluation: Mapping[str, Any]) -> tuple[Picture, ...]:
    """Return the telling figures of an evaluation; what was not judged is left out."""
    detection, forecast = evaluation.get("detection", {}), evaluation.get("forecast", {})
    drawn = (
        tradeoffs.event_f1(detection),
        drawing.recall_by_kind(detection.get("by_kind", {})),
        tradeoffs.curve(detection),
        drawing.forecast_skill(forecast),
        drawing.forecast_coverage(forecast),
    )
    return tuple(picture for picture in drawn if picture is not None)


def history(changes: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return changes of production as columns of text; without `Who` where that is not told."""
    told = {label: name for label, name in COLUMNS.items() if all(name in change for change in changes)}
    return {label: [str(change[name]) for change in changes] for label, name in told.items()}


def question(run: str, live: str | None) -> str:
    """Return what is asked before production moves; an empty run stands for going back."""
    if not run:
        return f"Roll back from run {live or '(none)'} to the one that was in production before?"
    return f"Put run {run} into production in place of {live}?" if live else f"Put run {run} into production?"


def fallen_back(run: str) -> str:
    """Return what is told while an earlier run answers in place of the one in production."""
    return f"Fallback: the run in production does not open, so run {run}, an earlier one, answers in its place."


def moved(run: str, *, done: bool, back: bool = False) -> str:
    """Return what a move came to as a sentence."""
    if not done:
        return f"Run {run} was in production already; nothing was moved."
    return f"Run {run} is in production{' again' if back else ''}; it answers from now on."


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {told}" for name, told in list(value.items())[:MANY])
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one).replace("_", " ") for one in value[:MANY])
    return str(value)

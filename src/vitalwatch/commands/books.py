"""The books of an ingest as people read them: what became of the rows of their own recordings, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitalwatch.commands.desk import Desk
from vitalwatch.errors import DONE, SOME_REFUSED

EMPTY = "empty"  # a row in which nothing was measured: counted and told, but no fault of the row
Report = Mapping[str, Any]  # of an ingest


def refused_rows(report: Report) -> int:
    """Return how many rows were refused; rows without any measurement are no fault."""
    return sum(count for reason, count in report.get("rejected", {}).items() if reason != EMPTY)


def refused_labels(report: Report) -> int:
    """Return how many rows of tables of episodes were refused."""
    return sum(report.get("labels", {}).get("rejected", {}).values())


def code_of(report: Report) -> int:
    """Return the exit code: rows or labels were refused, or most of a recording is only codes for no value."""
    mostly = any(source["mostly_emptied"] for source in _own(report))
    return SOME_REFUSED if refused_rows(report) or refused_labels(report) or mostly else DONE


def tell_books(report: Report, desk: Desk) -> None:
    """Print a line for each of the user's own recordings; synthetic people are not among them."""
    for source in _own(report):
        empty = source["rejected"].get(EMPTY, 0)
        desk.screen.say(
            f"{source['source']}: {source['read']} rows read, {source['accepted']} kept, "
            f"{source['duplicate'] - source['conflict']} duplicate, {source['conflict']} in conflict, "
            f"{empty} empty, {refused_rows(source)} refused."
        )


def tell_refused(report: Report, desk: Desk, where: str, replay: str = "") -> None:
    """Print how many rows were refused and why, and how to run them again; `replay` names a folder if it must."""
    if refused_rows(report):
        from vitalwatch.reading import REASONS

        worst = sorted(report["rejected"].items(), key=lambda item: -item[1])
        reasons = "; ".join(f"{count} {reason} ({REASONS[reason]})" for reason, count in worst if reason != EMPTY)
        desk.screen.say(
            f"{refused_rows(report)} of {report['read']} rows were refused: {reasons}. They lie in {where}; "
            f"`python main.py replay{replay}` runs them again."
        )
    if refused_labels(report):
        problems = sorted(report["labels"]["rejected"].items(), key=lambda item: -item[1])
        desk.screen.say(
            f"{refused_labels(report)} of {report['labels']['read']} labels were refused: "
            f"{'; '.join(f'{count} {problem}' for problem, count in problems)}. They lie in {where} with the place of "
            "each; mend these rows in the table of events and read it again."
        )


def _own(report: Report) -> Sequence[Report]:
    return [source for source in report.get("sources", ()) if not source["synthetic"]]

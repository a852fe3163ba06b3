"""Numbers judged by group of people, and while a sensor fails: for whom a forecast or an expectation is worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vitalwatch.metrics import regression
from vitalwatch.metrics.bootstrap import estimate
from vitalwatch.stages import detection_tables
from vitalwatch.stages.judging import PersonResult
from vitalwatch.tables import Bools, Doubles

FAULT = "fault:"  # how the simulator names what a sensor does wrong
STEPS_A_DAY = (5_000, 10_000)  # little and much, of people whose steps are counted
LEAST_DAY = 0.5  # share of a day's steps that must be known for the day to count


def groups_of(result: PersonResult) -> dict[str, str]:
    """Return group -> value of one person: sex, age, beta-blocker, and how much they walk (fitness is not told)."""
    found = {name: of(result.profile) for name, of in detection_tables.GROUPS.items()}
    return found | {"steps_a_day": _walks(result)}


def _walks(result: PersonResult) -> str:
    grid = result.answers.grid
    steps = grid.column("steps").astype(np.float64)
    known, date = np.isfinite(steps), grid.date - grid.date.min(initial=0)
    if not known.any():
        return "not told"
    total, rows = np.bincount(date, np.where(known, steps, 0.0)), np.bincount(date, known)
    whole = rows >= LEAST_DAY * rows.max()
    usual = float(np.median(total[whole]))
    low, high = STEPS_A_DAY
    return f"under {low:,}" if usual < low else f"{low:,} to {high - 1:,}" if usual < high else f"{high:,} and more"


def in_fault(result: PersonResult) -> Bools | None:
    """Return the rows in which a sensor is known to fail, (n,); None where nobody knows."""
    if result.bookkeeping is None:
        return None
    time = result.answers.time
    found = np.zeros(len(time), np.bool_)
    for entry in result.bookkeeping:
        if entry.kind.startswith(FAULT):
            found[slice(*np.searchsorted(time, (entry.start, entry.end)))] = True
    return found


Figures = Callable[[Bools], Mapping[str, Any]]


def by_group(results: Sequence[PersonResult], figures: Figures) -> dict[str, dict[str, Any]]:
    """Return group -> value -> figures of its people.

    Args:
        results: Who is judged.
        figures: People (p,) -> figures of those.
    """
    told = [groups_of(result) for result in results]
    found: dict[str, dict[str, Any]] = {}
    for name in told[0] if told else ():
        of = np.asarray([one[name] for one in told])
        found[name] = {
            value: {"people": int((of == value).sum()), **figures(of == value)} for value in np.unique(of).tolist()
        }
    return found


def errors(model: Doubles, line: Doubles, draws: Doubles, confidence: float, inside: Doubles | None = None) -> Figures:
    """Return what gives rows, MAE, skill against a line and (of intervals) coverage of chosen people.

    Args:
        model, line: Per-person `regression.error_sums`, (p, 5).
        draws: From `bootstrap.weights`.
        confidence: Share of draws inside intervals.
        inside: Per-person `regression.interval_sums`, (p, 3).
    """

    def figures(people: Bools) -> dict[str, Any]:
        mine, theirs, drawn = model[people], line[people], draws[:, people]
        found = {
            "rows": int(mine[:, regression.ROWS].sum()),
            "mae": estimate(regression.mae, mine, drawn, confidence).table(),
            "skill": regression.skill(mine, theirs, drawn, confidence).table(),
        }
        if inside is not None:
            found["coverage"] = estimate(regression.coverage, inside[people], drawn, confidence).table()
        return found

    return figures

"""A line of a comparison: what one person adds to its figure, so that intervals and paired differences are exact.

Lines are kept as JSON and joined into a table when all are there; the sums by person make the bootstrap a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vitalwatch.metrics import bootstrap, events, regression
from vitalwatch.metrics.bootstrap import Estimate, Statistic
from vitalwatch.studies.costs import Cost
from vitalwatch.tables import Doubles

HEAD = ("alternative", "figure (95 % interval)", "against the first", "false alarms a day", "CPU s", "kB", "us a row",
        "us in bulk")  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A figure that lines are ranked by.

    Attributes:
        name: As in tables.
        of: Sums over people (..., c) -> figure (...).
        rises: Whether more is better.
        digits: Shown.
    """

    name: str
    of: Statistic
    rises: bool
    digits: int


FIGURES: Mapping[str, Figure] = {
    "event_f1": Figure("event F1", events.f1, True, 3),
    "recall": Figure("recall", events.recall, True, 3),
    "mae": Figure("MAE, bpm", regression.mae, False, 3),
    "rmse": Figure("RMSE, bpm", regression.rmse, False, 3),
}
OF_EPISODES = ("event_f1", "recall")  # figures of `EventScore.counts`, which hold false alarms and days too


@dataclass(frozen=True)
class Line:
    """One alternative, judged.

    Attributes:
        group: Which table it stands in; the first line of a group is what the others are held against.
        name: What it is, in a few words.
        figure: Key of FIGURES.
        sums: What each person adds, (p, c) as the figure wants it.
        cost: What it takes.
    """

    group: str
    name: str
    figure: str
    sums: tuple[tuple[float, ...], ...]
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Line:
        """Read back what `to_json` wrote."""
        sums = tuple(tuple(map(float, row)) for row in data["sums"])
        return Line(data["group"], data["name"], data["figure"], sums, Cost(**data["cost"]))


@dataclass(frozen=True)
class Alternative:
    """One alternative, not yet judged.

    Attributes:
        group, name, figure: As of its line.
        judge: Trains and judges; returns what each person adds to the figure, (p, c), and what it takes.
    """

    group: str
    name: str
    figure: str
    judge: Callable[[], tuple[Doubles, Cost]]

    def line(self) -> Line:
        """Judge it."""
        sums, cost = self.judge()
        rows = tuple(tuple(map(float, row)) for row in np.asarray(sums, np.float64))
        return Line(self.group, self.name, self.figure, rows, cost)


@dataclass(frozen=True)
class Shown:
    """A line with its figures and intervals over people."""

    line: Line
    value: Estimate
    against: Estimate | None
    false_alarms: Estimate | None

    def table(self) -> dict[str, Any]:
        """Return it for JSON."""
        found: dict[str, Any] = {"alternative": self.line.name, self.line.figure: self.value.table()}
        if self.against is not None:
            found["against_first"] = self.against.table()
        if self.false_alarms is not None:
            found["false_alarms_per_day"] = self.false_alarms.table()
        return found | asdict(self.line.cost)


def shown(lines: Sequence[Line], draws: int, confidence: float, seed: int) -> dict[str, list[Shown]]:
    """Return group -> its lines with figures, in the order given; the same people are drawn for all of a group."""
    groups: dict[str, list[Line]] = {}
    for one in lines:
        groups.setdefault(one.group, []).append(one)
    return {group: _shown(members, draws, confidence, seed) for group, members in groups.items()}


def _shown(lines: Sequence[Line], draws: int, confidence: float, seed: int) -> list[Shown]:
    first = np.asarray(lines[0].sums)
    weights = bootstrap.weights(len(first), draws, np.random.default_rng(seed))
    found = []
    for one in lines:
        figure, sums = FIGURES[one.figure].of, np.asarray(one.sums)
        against = bootstrap.difference(figure, sums, first, weights, confidence) if one is not lines[0] else None
        alarms = None
        if one.figure in OF_EPISODES:
            alarms = bootstrap.estimate(events.false_alarm_rate, sums, weights, confidence)
        found.append(Shown(one, bootstrap.estimate(figure, sums, weights, confidence), against, alarms))
    return found


def cells(one: Shown) -> list[str]:
    """Return a line's cells under HEAD, as text."""
    digits, cost = FIGURES[one.line.figure].digits, one.line.cost
    return [
        one.line.name,
        f"{FIGURES[one.line.figure].name} {_with_interval(one.value, digits)}",
        "-" if one.against is None else _with_interval(one.against, digits, "+"),
        "-" if one.false_alarms is None else f"{one.false_alarms.value:.3f}",
        _number(cost.train_cpu_seconds, "{:.1f}"),
        _number(None if cost.bytes is None else cost.bytes / 1000, "{:.0f}"),
        _number(cost.us_alone, "{:.0f}"),
        _number(cost.us_bulk, "{:.1f}"),
    ]


def markdown(groups: Mapping[str, Sequence[Shown]], about: Mapping[str, str]) -> str:
    """Return tables in Markdown, a heading and a sentence a group.

    Args:
        groups: From `shown`.
        about: Group -> what stands under its heading.
    """
    parts = []
    for group, lines in groups.items():
        rows = [HEAD, tuple("---" for _ in HEAD), *([cell.replace("|", "\\|") for cell in cells(one)] for one in lines)]
        table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        parts.append(f"## {group}\n\n{about.get(group, '')}\n\n{table}\n".replace("\n\n\n\n", "\n\n"))
    return "\n".join(parts)


def verdict(lines: Sequence[Shown]) -> str:
    """Return in one sentence whether an alternative is better than the first line beyond chance."""
    rises = FIGURES[lines[0].line.figure].rises
    better = [
        one.line.name
        for one in lines[1:]
        if one.against is not None and (one.against.low > 0 if rises else one.against.high < 0)
    ]
    if not better:
        return f"Nothing here is better than {lines[0].line.name} beyond chance."
    return f"Better than {lines[0].line.name} beyond chance: {', '.join(better)}."


def _with_interval(estimate: Estimate, digits: int, sign: str = "") -> str:
    return f"{estimate.value:{sign}.{digits}f} ({estimate.low:{sign}.{digits}f} to {estimate.high:{sign}.{digits}f})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)

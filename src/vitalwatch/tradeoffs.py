"""What false alarms buy, drawn: recall by budget, precision against recall, with the lines to beat by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vitalwatch.drawing import CHANNELS, INK, MARKERS, Picture, as_picture, figure_of, legend, plain_text, sheet, words

NAME_HEIGHT = 0.035  # of an axis from 0 to 1, at 7 points


def curve(detection: Mapping[str, Any]) -> Picture | None:
    """Draw recall against false alarms per worn person-day, the trade-off that the budget chooses from."""
    curves = {name: rows for name, rows in detection.get("curve", {}).items() if rows}
    if not curves:
        return None
    figure, ax = sheet(7.2, 3.4)
    for i, (name, rows) in enumerate(curves.items()):
        x = [row["budget"] for row in rows]
        y = [np.nan if row["recall"] is None else row["recall"] for row in rows]
        ax.plot(x, y, f"-{MARKERS[i]}", color=CHANNELS.get(name, INK), markersize=4, label=plain_text(words(name)))
    ax.set(ylim=(0, 1), xlim=(0, None), xlabel="false alarms per worn person-day", ylabel="recall (0 to 1)")
    legend(ax)
    caption = "Recall at each false-alarm budget; thresholds are set on the test people, so this is for choosing only."
    return as_picture(figure, "curve", f"Lines of recall by false-alarm budget for {', '.join(curves)}.", caption)


def precision_recall(detection: Mapping[str, Any]) -> Picture | None:
    """Draw precision against recall of episodes over thresholds, where we serve, and where the lines to beat stand."""
    curves = {
        name: [(row["recall"], row["precision"]) for row in rows if None not in (row["recall"], row["precision"])]
        for name, rows in detection.get("curve", {}).items()
    }
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return None
    figure, ax = sheet(7.2, 4.2)
    told = []
    for i, (name, points) in enumerate(curves.items()):
        colour = CHANNELS.get(name, INK)
        ax.plot(*zip(*points, strict=True), "-", color=colour, linewidth=1.3, label=plain_text(words(name)))
        served = [figure_of(detection.get("channels", {}).get(name, {}).get(key)) for key in ("recall", "precision")]
        if served[0] is not None and served[1] is not None:
            ax.plot(
                served[0][0], served[1][0], MARKERS[i], color=colour, markersize=9, label=f"{words(name)}, as served"
            )
            told.append(f"{words(name)} recall {served[0][0]:.2f}, precision {served[1][0]:.2f}")
    others = {
        name: (float(found[0][0]), float(found[1][0]))
        for name, line in detection.get("lines", {}).items()
        if (found := [one for key in ("recall", "precision") if (one := figure_of(line.get(key))) is not None])[1:]
    }
    if others:
        ax.plot(*zip(*others.values(), strict=True), "x", color=INK, label="lines to beat")
        _named(ax, others)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall of episodes (0 to 1)", ylabel="precision of alarms (0 to 1)")
    legend(ax)
    caption = "Precision and recall of episodes at budgets of 0.01 to 0.5 false alarms a day, and where we serve."
    return as_picture(figure, "precision-recall", f"Precision and recall: {'; '.join(told)}.", caption)


def _named(ax: Any, places: Mapping[str, tuple[float, float]]) -> None:
    """Write a name beside each place, lower ones moved down where they would lie on the one above."""
    below = 2.0
    for name, (x, y) in sorted(places.items(), key=lambda item: -item[1][1]):
        below = min(y, below - NAME_HEIGHT)
        ax.annotate(plain_text(words(name)), (x, y), (x + 0.015, below), fontsize=7, color=INK, va="center")

"""What false alarms buy, drawn: event F1 beside the lines to beat, recall by budget or share, precision against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitalwatch.drawing import (
    BLUE,
    CHANNELS,
    GREEN,
    INK,
    MARKERS,
    ORANGE,
    RULE,
    Picture,
    as_picture,
    figure_of,
    legend,
    plain_text,
    sheet,
    told_of,
    whiskers,
    words,
)
from vitalwatch.wording import detector

NAME_HEIGHT = 0.035  # of an axis from 0 to 1, at 7 points
GAP, LETTER, LEFT = 0.015, 0.0078, 0.4  # of the same: beside a name, of a letter, from where on names stand left
SHARED = {
    "known kinds, event F1": "event_f1",
    "hidden kinds, recall": "recall_hidden",
    "the same, as many alarms at other times": "recall_hidden_by_chance",
}


def event_f1(detection: Mapping[str, Any]) -> Picture | None:
    """Draw event F1 of channels and lines to beat with intervals, best on top; None where nothing was judged."""
    found = {**told_of(detection.get("channels", {}), "event_f1"), **told_of(detection.get("lines", {}), "event_f1")}
    if not found:
        return None
    names = sorted(found, key=lambda name: found[name][0])
    figure, ax = sheet(9.0, 0.9 + 0.28 * len(names))
    for ours in (False, True):
        places = [y for y, name in enumerate(names) if (name in CHANNELS) is ours]
        if places:
            values = np.asarray([found[names[y]] for y in places])
            label = "our channels" if ours else "lines to beat"
            ax.barh(places, values[:, 0], 0.68, color=BLUE if ours else RULE, label=label)
            whiskers(ax, values, places, across=True)
    rates = told_of(detection.get("channels", {}), "false_alarms_per_day")
    rates |= told_of(detection.get("lines", {}), "false_alarms_per_day")
    at = {name: f", {rates[name][0]:.2f} a day" if name in rates else "" for name in names}
    ax.set_yticks(range(len(names)), [plain_text(detector(name)) + at[name] for name in names])
    ax.set(xlim=(0, 1), xlabel="event F1 (0 to 1), bar: value, line: interval over people")
    legend(ax)
    best = ", ".join(f"{detector(name)} {found[name][0]:.2f}" for name in reversed(names))
    caption = (
        "Event F1 of our channels as served and the lines to beat, with the false alarms a day of each: a channel "
        "has its share of the budget, lines with a threshold have all of it, and rules of their own have none. The "
        "report compares them at the same budget, too."
    )
    return as_picture(figure, "event-f1", f"Bars of event F1: {best}.", caption)


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
    """Write a name beside each place, lower ones moved down where they would lie on one that is written already.

    Names of places on the right stand to their left, so that they stay inside and off the curves.
    """
    written: list[tuple[float, float, float]] = []  # from, to, height
    for name, (x, y) in sorted(places.items(), key=lambda item: -item[1][1]):
        side, label = "right" if x > LEFT else "left", plain_text(detector(name))
        begin = x - GAP if side == "right" else x + GAP
        low = begin - LETTER * len(label) if side == "right" else begin
        high, height = low + LETTER * len(label), y
        for other_low, other_high, other in written:  # the highest first
            if low < other_high and other_low < high and abs(other - height) < NAME_HEIGHT:
                height = other - NAME_HEIGHT
        written = sorted([*written, (low, high, height)], key=lambda one: -one[2])
        ax.annotate(label, (x, y), (begin, height), fontsize=7, color=INK, va="center", ha=side)


def shares(told: Mapping[str, Any]) -> Picture | None:
    """Draw what channel A's share of the budget costs on known kinds and finds of hidden ones; None where unknown."""
    rows = told.get("shares", ())
    lines = {
        label: [(row["share"], *one.tolist()) for row in rows if (one := figure_of(row[key])) is not None]
        for label, key in SHARED.items()
    }
    caption = "What channel A's share of the false-alarm budget costs on known kinds and finds of hidden ones."
    return by_share(lines, told["served"], "shares", caption) if rows else None


def by_share(
    lines: Mapping[str, Sequence[tuple[float, float, float, float]]], served: float, name: str, caption: str
) -> Picture:
    """Draw lines of (share, value, low, high) over channel A's share of the budget, and the share that is served."""
    figure, ax = sheet(7.2, 3.6)
    ax.set(xlabel="share of the false-alarm budget for channel A", ylabel="event F1, recall", xlim=(0, 1), ylim=(0, 1))
    said = []
    for (label, points), colour, mark in zip(lines.items(), (GREEN, ORANGE, INK), MARKERS, strict=False):
        at, value, low, high = (list(column) for column in zip(*points, strict=True)) if points else ([],) * 4
        ax.vlines(at, low, high, color=colour, linewidth=1)
        ax.plot(at, value, f"-{mark}", color=colour, markersize=4, label=label)
        said.append(f"{label}: " + ", ".join(f"{share:g} gives {one:.3f}" for share, one, *_ in points))
    ax.axvline(served, color=INK, linestyle="--", linewidth=1, label="as served")
    legend(ax)
    return as_picture(figure, name, f"{caption} {'; '.join(said)}.", caption)

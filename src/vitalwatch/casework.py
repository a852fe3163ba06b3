"""Single cases and people drawn: the worst false alarms and misses, and how each person's own normal kept up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitalwatch.drawing import (
    CHANNELS,
    HOUR,
    INK,
    MARKERS,
    RED,
    RULE,
    SERIES,
    Picture,
    as_picture,
    clock_offset,
    day_words,
    legend,
    plain_text,
    sheet,
    sheet_of,
    words,
)
from vitalwatch.tables import DAY, Answers, Bools, Doubles, Event, Floats

LEARNT = ("unusual", "known")
AROUND = 6 * HOUR  # drawn before and after
AROUND_SHORT = 2 * HOUR  # of a miss of less than an hour
LEADING = 2  # vitals drawn in a panel
ACROSS = 2  # panels beside each other
HEIGHT = 1.75  # of a panel, inches
SHOWN = 8.0  # own spreads


@dataclass(frozen=True)
class Case:
    """One alarm or episode to look at.

    Attributes:
        person, answers, events: Whose, what the monitor said, and what was labelled.
        start, end: Of the alarm or episode, UTC ms.
        kind: Of the episode missed, or that the alarm named; empty where it named none.
        channel: That alarmed, empty for a miss.
        score: How far above (false alarm) or below (miss) the threshold, on the channels' scale.
        told: Why the alarm says it came; of a miss, what the vitals did.
        clearing: What would clear it, empty for a miss.
        cause: What the simulator knows of that time, empty where nobody does.
        rests: What the head of a known kind rests on, feature by feature (TreeSHAP); empty elsewhere.
        vitals: Those to draw first: what the explanation names, of a miss what its label says that it moves.
    """

    person: str
    answers: Answers
    events: tuple[Event, ...]
    start: int
    end: int
    kind: str
    channel: str
    score: float
    told: str
    clearing: str = ""
    cause: str = ""
    rests: str = ""
    vitals: tuple[str, ...] = ()


def draw(cases: Sequence[Case], name: str, caption: str) -> Picture | None:
    """Draw a numbered panel a case: `vitals_drawn`, labelled episodes, alarms; None without cases.

    A missed episode shorter than an hour is drawn as single rows, because a mean over an hour hides it; an alarm rests
    on means, whatever its length.
    """
    if not cases:
        return None
    down = -(-len(cases) // ACROSS)
    figure, axes = sheet_of(9.0, 0.6 + HEIGHT * down, down, ACROSS)
    vitals = cases[0].answers.vitals
    for number, (ax, case) in enumerate(zip(axes, cases, strict=False), start=1):
        _panel(ax, case, number)
    for ax in axes[len(cases) :]:
        ax.set_visible(False)
    used = {vital for case in cases for vital in vitals_drawn(case)}
    handles = [_line(SERIES[i % len(SERIES)], plain_text(words(v))) for i, v in enumerate(vitals) if v in used]
    handles += [_patch(RED, 0.18, "labelled episode"), *(_patch(CHANNELS[c], 1.0, f"alarm: {c}") for c in LEARNT)]
    handles.append(_patch(RULE, 1.0, "not assessable"))
    handles += [_line(INK, "dots: single rows", marker=".")] if any(map(is_short, cases)) else []
    figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False, fontsize=9, labelcolor=INK)
    told = "; ".join(
        f"{i}: {words(case.kind or case.channel)}, drawn {' and '.join(map(words, vitals_drawn(case)))}"
        for i, case in enumerate(cases, start=1)
    )
    return as_picture(figure, name, f"{caption} {told}.", caption)


def vitals_drawn(case: Case) -> tuple[str, ...]:
    """Return the two vitals to draw: as an alarm names them or a missed kind moves them, then the furthest off."""
    z = _curves(case)
    inside = (case.answers.time >= case.start) & (case.answers.time < case.end)
    size = np.nan_to_num(np.abs(z[inside] if inside.any() else z)).max(axis=0, initial=0.0)
    turn = [_turn(case, vital) for vital in case.answers.vitals]
    return tuple(case.answers.vitals[i] for i in np.lexsort((-size, turn))[:LEADING].tolist())


def is_short(case: Case) -> bool:
    """Return whether a mean over an hour would hide the miss."""
    return not case.channel and case.end - case.start < HOUR


def _curves(case: Case) -> Floats:
    """Return what is drawn of vitals, own spreads (n, v): single rows of short misses; NaN where not assessable."""
    answers = case.answers
    z = answers.residual if is_short(case) else answers.contribution
    return np.where(answers.assessable[:, None], z, np.nan).astype(np.float32)


def _panel(ax: Any, case: Case, number: int) -> None:
    answers = case.answers
    shift, around = clock_offset(answers, case.start), AROUND_SHORT if is_short(case) else AROUND
    rows = slice(*np.searchsorted(answers.time, (case.start - around, min(case.end, case.start + DAY) + around)))
    hours = (answers.time[rows] - case.start) / HOUR
    z = _curves(case)[rows]
    for vital in vitals_drawn(case):
        i = answers.vitals.index(vital)
        style = ".-" if is_short(case) else "-"
        ax.plot(hours, z[:, i], style, color=SERIES[i % len(SERIES)], linewidth=1.1, markersize=3)
    span = (float(hours[0]), float(hours[-1]))
    _blanks(ax, ~answers.assessable[rows], hours)
    _marks(ax, case, span)
    local = case.start + shift
    when = f"{day_words(local // DAY)} {local % DAY // HOUR:02d}:{local % HOUR * 60 // HOUR:02d}"
    title = f"{number}. {words(case.kind or case.channel)}, {case.person}, {when}"
    ax.set_title(plain_text(title), fontsize=8, color=INK, loc="left")


def _turn(case: Case, vital: str) -> int:
    """Return when a vital is drawn: as an alarm names them, all that a missed kind moves together, others last."""
    if vital not in case.vitals:
        return len(case.vitals)
    return case.vitals.index(vital) if case.channel else 0


def _blanks(ax: Any, blank: Bools, hours: Doubles) -> None:
    """Shade the stretches in which nothing could be judged."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], blank, [False])).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2).tolist():
        ax.axvspan(hours[begin], hours[min(end, len(hours) - 1)], color=RULE, linewidth=0, zorder=0)


def _marks(ax: Any, case: Case, span: tuple[float, float]) -> None:
    for event in case.events:
        start, end = ((t - case.start) / HOUR for t in (event.start, event.end))
        if start < span[1] and end > span[0]:
            ax.axvspan(max(start, span[0]), min(end, span[1]), color=RED, alpha=0.18, linewidth=0)
    for place, channel in enumerate(LEARNT):
        for alarm in (a for a in case.answers.alarms if a.channel == channel):
            start, end = ((t - case.start) / HOUR for t in (alarm.start, alarm.end))
            if start < span[1] and end > span[0]:
                low = 0.02 + 0.07 * place
                ax.axvspan(
                    max(start, span[0]), min(end, span[1]), low, low + 0.05, color=CHANNELS[channel], linewidth=0
                )
    ax.axhline(0, color=RULE, linewidth=1)
    ax.set(xlim=span, ylim=(-SHOWN, SHOWN), yticks=(-6, -3, 0, 3, 6))


def _line(colour: str, label: str, marker: str = "") -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, label=label, marker=marker)


def _patch(colour: str, alpha: float, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour, alpha=alpha, linewidth=0, label=label)


def baseline_drift(drift: Mapping[str, Sequence[Mapping[str, Any]]]) -> Picture | None:
    """Draw how far each vital lies from the person's own normal, day by day: a normal that keeps up stays at 0.

    Args:
        drift: Vital -> a row a day: `day`, and `low`, `median`, `high` over people of the daily median, in own spreads.
    """
    known = {vital: rows for vital, rows in drift.items() if rows}
    if not known:
        return None
    figure, ax = sheet(9.0, 3.4)
    ax.axhline(0, color=INK, linestyle="--", linewidth=1, label="own normal")
    for i, (vital, rows) in enumerate(known.items()):
        days, colour = [row["day"] for row in rows], SERIES[i % len(SERIES)]
        if vital == "heart_rate":
            low, high = ([row[key] for row in rows] for key in ("low", "high"))
            ax.fill_between(days, low, high, color=colour, alpha=0.2, linewidth=0, label="heart rate, 8 of 10 people")
        style = f"-{MARKERS[i % len(MARKERS)]}"
        ax.plot(days, [row["median"] for row in rows], style, color=colour, markersize=3, linewidth=1,
                label=plain_text(words(vital)))  # fmt: skip
    ax.set(xlabel="days since the first reading", ylabel="daily median, own spreads")
    legend(ax)
    last = {vital: rows[-1]["median"] for vital, rows in known.items()}
    told = ", ".join(f"{words(vital)} {value:+.2f}" for vital, value in last.items())
    caption = "Drift of the baseline: how far people lie from their own normal, outside episodes (median over people)."
    return as_picture(figure, "baseline-drift", f"{caption} On the last day: {told}.", caption)

"""Figures of the report as inline SVG: text stays text, colours follow the page's light or dark scheme.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; no meaning hangs on colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from vitalwatch.tables import DAY, MINUTE, Answers, Doubles, Event, Times

INK, RULE = "#1b1f24", "#d0d7de"
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
COLOURS = {"ink": INK, "rule": RULE, "blue": BLUE, "orange": ORANGE, "green": GREEN, "red": RED}
COLOURS |= {"purple": PURPLE, "sky": SKY}  # CSS variable on the page -> colour without one
SERIES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CHANNELS = {"both": BLUE, "unusual": ORANGE, "known": GREEN}
ALARMS = {"unusual": ORANGE, "known": GREEN, "rule": PURPLE, "technical": SKY}
UNWANTED = r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>|(?<=px); font-family: [^;\"]*"  # the page says these
DECIMALS = re.compile(r"(\.\d\d)\d+")  # of a path, in points, beyond what can be seen
EPOCH = date(1970, 1, 1).toordinal()
HOUR = 60 * MINUTE
AROUND = 2.5  # days drawn before and after the middle of an episode
AFTERNOON = (12, 18)  # local hours
FANS = (13.0, 14.5, 16.0)  # local hours from which a forecast is drawn
PAGE_REM_AN_INCH = 6.0  # 9 inches fill the page
LEAST_REM = 34.0  # a wider figure scrolls on a phone, and stays readable
LETTERS_AN_INCH = 13  # of a legend, at 9 points
LEAST_MINUTES = 1.0  # a log has no 0
DELAYS = (1, 5, 15, 30, 60, 120, 360, 720, 1440, 2880, 5760)  # minutes that are marked
SPREADS = 2.0  # half width of the band of what is usual, in the person's own spreads


@dataclass(frozen=True)
class Example:
    """One person to draw; `title` says why this one, `simulated` whether they are made up (None: not told)."""

    person: str
    answers: Answers
    events: tuple[Event, ...]
    title: str
    simulated: bool | None = None

    @property
    def who(self) -> str:
        """The person, and whether they are real."""
        kind = {True: "synthetic person", False: "real person", None: "person"}[self.simulated]
        return f"{kind} {self.person}"


@dataclass(frozen=True)
class Picture:
    """A figure ready for the page: `svg` is trusted markup, `alt` and `caption` are plain text."""

    svg: str
    alt: str
    caption: str
    kind: str = "picture"


def words(name: str) -> str:
    """Return a name as it reads in a sentence."""
    return name.replace("_", " ")


def recall_by_kind(by_kind: Mapping[str, Any]) -> Picture | None:
    """Draw each channel's recall by kind of episode with intervals."""
    return _by_kind(by_kind, "recall-by-kind", "recall (0 to 1), line: interval over people", "Recall by kind", _recall)


def delay_by_kind(by_kind: Mapping[str, Any]) -> Picture | None:
    """Draw each channel's delay by kind: a mark at the median, a line to the 90th percentile, found of all episodes."""
    axis = "delay, mark: median, line: to the 90th percentile, number: episodes found of all"
    return _by_kind(by_kind, "delay-by-kind", axis, "Delay by kind", _delay)


def _recall(row: Mapping[str, Any]) -> Doubles | None:
    return figure_of(row.get("recall"))


def _delay(row: Mapping[str, Any]) -> Doubles | None:
    middle, late = row.get("delay_median_min"), row.get("delay_p90_min")
    ends = [middle, middle, middle if late is None else late]
    return None if middle is None else np.maximum(np.asarray(ends, np.float64), LEAST_MINUTES)


def _by_kind(by_kind: Mapping[str, Any], name: str, axis: str, title: str, read: Any) -> Picture | None:
    points = {
        (channel, kind): value
        for channel, kinds in by_kind.items()
        for kind, row in kinds.items()
        if (value := read(row)) is not None
    }
    if not points:
        return None
    kinds = sorted({kind for _, kind in points}, reverse=True)
    channels = [channel for channel in CHANNELS if any(channel == known for known, _ in points)]
    figure, ax = sheet(7.2, 1.0 + 0.5 * len(kinds))
    for i, channel in enumerate(channels):
        mine = [kind for kind in kinds if (channel, kind) in points]
        places = [_place(kinds, channels, kind, channel) for kind in mine]
        values = np.asarray([points[channel, kind] for kind in mine])
        whiskers(ax, values, places, across=True, colour=CHANNELS[channel])
        ax.plot(values[:, 0], places, MARKERS[i], color=CHANNELS[channel], markersize=6, label=words(channel))
    ax.set_yticks(range(len(kinds)), [plain_text(words(kind)) for kind in kinds])
    ax.set(ylim=(-0.6, len(kinds) - 0.4), xlabel=axis)
    if read is _recall:
        ax.set_xlim(0, 1.02)
    else:  # minutes to days
        ends = [float(end) for value in points.values() for end in (value[0], value[2])]
        marks = [m for m in DELAYS if min(ends) / 3 <= m <= 3 * max(ends)]
        ax.set_xscale("log")
        _counts(ax, by_kind, points, channels, kinds)
        ax.set_xticks(marks, [str(m) if m < 60 else f"{m // 60} h" for m in marks], minor=False)
        ax.minorticks_off()
    legend(ax)
    told = "; ".join(f"{words(kind)}, {words(channel)}: {value[0]:.2f}" for (channel, kind), value in points.items())
    return as_picture(figure, name, f"{title}: {told}.", f"{title} of episode and channel.")


def _place(kinds: Sequence[str], channels: Sequence[str], kind: str, channel: str) -> float:
    """Return the height of a channel's mark for a kind: channels of a kind lie close together."""
    return kinds.index(kind) + 0.24 * ((len(channels) - 1) / 2 - channels.index(channel))


def _counts(
    ax: Any,
    by_kind: Mapping[str, Any],
    points: Mapping[tuple[str, str], Doubles],
    channels: Sequence[str],
    kinds: Sequence[str],
) -> None:
    """Write behind each line how many episodes it is of."""
    for (channel, kind), value in points.items():
        row = by_kind[channel][kind]
        if "episodes" in row:
            told = f"{row['detected']} of {row['episodes']}"
            place = (float(value[2]), _place(kinds, channels, kind, channel))
            beside = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "fontsize": 6.5}
            ax.annotate(told, place, color=CHANNELS[channel], **beside)


def forecast_skill(forecast: Mapping[str, Any]) -> Picture | None:
    """Draw the skill of each vital's forecast against persistence by horizon, with intervals."""
    figures = {
        vital: {h: figure_of(row.get("lines", {}).get("persistence", {}).get("skill")) for h, row in rows.items()}
        for vital, rows in forecast.get("vitals", {}).items()
    }
    caption = (
        "Skill of the forecast against persistence (share of its error saved); above 0 is better than persistence."
    )
    return _by_horizon(figures, "forecast-skill", "skill against persistence (share)", 0.0, "persistence", caption)


def forecast_coverage(forecast: Mapping[str, Any]) -> Picture | None:
    """Draw how much of what came lay within the forecast's interval, by horizon, with intervals."""
    figures = {
        vital: {h: figure_of(row.get("coverage")) for h, row in rows.items()}
        for vital, rows in forecast.get("vitals", {}).items()
    }
    promised = float(forecast.get("nominal_coverage") or np.nan)
    worst = {
        vital: {h: row.get("coverage_worst_person") for h, row in rows.items()}
        for vital, rows in forecast.get("vitals", {}).items()
    }
    caption = (
        "Share of true values inside the forecast's interval, beside the share that is promised; a cross is the person "
        "for whom it holds least."
    )
    return _by_horizon(figures, "coverage", "share inside the interval (0 to 1)", promised, "promised", caption, worst)


def _by_horizon(
    figures: Mapping[str, Mapping[str, Doubles | None]],
    name: str,
    axis: str,
    at: float,
    label: str,
    caption: str,
    worst: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Picture | None:
    known = {v: {int(h): one for h, one in row.items() if one is not None} for v, row in figures.items()}
    known = {vital: row for vital, row in known.items() if row}
    if not known:
        return None
    horizons = sorted({horizon for row in known.values() for horizon in row})
    figure, ax = sheet(7.2, 3.4)
    ax.axhline(at, color=INK, linestyle="--", linewidth=1, label=label)
    for i, (vital, row) in enumerate(known.items()):
        colour, mine = SERIES[i % len(SERIES)], sorted(row)
        places = [horizons.index(horizon) + 0.09 * (i - (len(known) - 1) / 2) for horizon in mine]
        values = np.asarray([row[horizon] for horizon in mine])
        whiskers(ax, values, places, across=False, colour=colour)
        style = f"-{MARKERS[i % len(MARKERS)]}"
        ax.plot(places, values[:, 0], style, color=colour, markersize=5, label=plain_text(words(vital)))
        crosses = [(worst or {}).get(vital, {}).get(str(horizon)) for horizon in mine]
        ax.plot(places, [np.nan if cross is None else cross for cross in crosses], "x", color=colour, markersize=5)
    ax.set_xticks(range(len(horizons)), [str(horizon) for horizon in horizons])
    ax.set(xlabel="minutes ahead", ylabel=axis)
    legend(ax)
    told = "; ".join(
        f"{words(vital)} at {horizon} min: {value[0]:.2f}"
        for vital, row in known.items()
        for horizon, value in row.items()
    )
    return as_picture(figure, name, f"{caption} {told}.", caption)


def heart_rate(example: Example, number: int) -> Picture | None:
    """Draw some days of one person's heart rate in the band of what is usual, with episodes and alarms.

    Args:
        example: The days around the first episode that an alarm met are drawn; else around the first episode, the
            first alarm, or the last days.
        number: Makes the ids in the file unique.
    """
    answers = example.answers
    if not len(answers):
        return None
    middle = _middle(example)
    shift = clock_offset(answers, middle)
    rows = slice(*np.searchsorted(answers.time, (middle - AROUND * DAY, middle + AROUND * DAY)))
    if rows.stop - rows.start < 2:
        return None
    hours = _hours(answers.time[rows] + shift)
    zero = int(answers.time[rows.start] + shift) // DAY * DAY
    rate = np.where(answers.grid.worn[rows], answers.grid.column("heart_rate")[rows], np.nan)
    expected, half = answers.expected_heart_rate[rows], SPREADS * answers.usual_heart_rate_spread[rows]
    figure, ax = sheet(9.0, 3.6)
    ax.fill_between(
        hours,
        expected - half,
        expected + half,
        color=SKY,
        alpha=0.35,
        linewidth=0,
        label=f"usual for this person (bpm, {SPREADS:g} spreads)",
    )
    ax.plot(hours, rate, color=BLUE, linewidth=0.9, label="heart rate (bpm)")
    span = (hours[0], hours[-1])
    episodes = spans_within(((event.start, event.end) for event in example.events), shift, zero, span)
    for i, (start, end) in enumerate(episodes):
        ax.axvspan(start, end, color=RED, alpha=0.18, linewidth=0, label="labelled episode" if i == 0 else None)
    counts = _alarm_strips(ax, answers, shift, zero, span)
    days = np.arange(np.ceil(span[0] / 24), span[1] / 24 + 0.01)
    ax.set_xticks(days * 24, [day_words(zero // DAY + int(day)) for day in days])
    ax.set(xlim=span, xlabel="local midnight", ylabel="heart rate (bpm)")
    legend(ax)
    named = ", ".join(f"{count} {channel}" for channel, count in counts.items()) or "no"
    alt = (
        f"Heart rate of {example.person} over {(span[1] - span[0]) / 24:.1f} days in the band of what is usual: "
        f"{len(episodes)} labelled episodes, {named} alarms."
    )
    return as_picture(figure, f"example-{number}", alt, f"{example.title} ({example.who}, local time)")


def _alarm_strips(ax: Any, answers: Answers, shift: int, zero: int, span: tuple[float, float]) -> dict[str, int]:
    """Draw a strip for each channel under the curve; return how many alarms each has."""
    counts: dict[str, int] = {}
    for channel, colour in ALARMS.items():
        spans = spans_within(((a.start, a.end) for a in answers.alarms if a.channel == channel), shift, zero, span)
        if spans:
            low, high = 0.012 + 0.032 * len(counts), 0.036 + 0.032 * len(counts)
            for i, (start, end) in enumerate(spans):
                ax.axvspan(start, end, low, high, color=colour, label=f"alarm: {channel}" if i == 0 else None)
            counts[channel] = len(spans)
    return counts


def forecast_fan(example: Example) -> Picture | None:
    """Draw one afternoon of heart rate with forecasts made at several moments; None where none was made."""
    answers = example.answers
    if not len(answers) or "heart_rate" not in answers.forecast_vitals:
        return None
    told = answers.forecast[:, answers.forecast_vitals.index("heart_rate")]
    origins = _origins(answers, np.isfinite(told).all(axis=(1, 2)))
    if not len(origins):
        return None
    shift = clock_offset(answers, int(answers.time[origins[0]]))
    zero = int(answers.time[origins[0]] + shift) // DAY * DAY
    clock = (answers.time + shift - zero) / HOUR
    rows = (clock >= AFTERNOON[0]) & (clock <= AFTERNOON[1])
    rate = np.where(answers.grid.worn, answers.grid.column("heart_rate"), np.nan)
    figure, ax = sheet(9.0, 3.2)
    ax.plot(clock[rows], rate[rows], ".-", color=INK, linewidth=0.9, markersize=3, label="heart rate as it came")
    for i, row in enumerate(origins):
        x = clock[row] + np.asarray((0, *answers.horizons)) / 60
        low, middle, high = (np.concatenate(([rate[row]], told[row, :, q])) for q in range(3))
        area, line = ("forecast, 10 to 90 % of what may come", "forecast, median") if i == 0 else (None, None)
        ax.fill_between(x, low, high, color=ORANGE, alpha=0.35, linewidth=0, label=area)
        ax.plot(x, middle, "-o", color=RED, markersize=3, label=line)
    hours = range(AFTERNOON[0], AFTERNOON[1] + 1)
    ax.set_xticks(hours, [f"{hour}:00" for hour in hours])
    ax.set(xlim=AFTERNOON, xlabel=f"local time, {day_words(zero // DAY)}", ylabel="heart rate (bpm)")
    legend(ax)
    person, ahead = example.person, answers.horizons[-1]
    alt = f"Heart rate of {person} on an afternoon with {len(origins)} forecasts of up to {ahead} minutes ahead."
    caption = f"Forecasts on one afternoon ({example.who}), each made from what was known by then."
    return as_picture(figure, "fan", alt, caption)


def _origins(answers: Answers, usable: Any) -> list[int]:
    """Return the rows nearest to the chosen hours, on the last of the days with the most rows to forecast from."""
    usable = usable & answers.grid.worn
    day, minute = answers.grid.date, answers.grid.minute
    around = usable & (minute >= AFTERNOON[0] * 60) & (minute < AFTERNOON[1] * 60)
    if not around.any():
        return []
    days, counts = np.unique(day[around], return_counts=True)
    mine = np.flatnonzero(around & (day == days[counts == counts.max()][-1]))
    return sorted({int(mine[np.abs(minute[mine] - hour * 60).argmin()]) for hour in FANS})


def _middle(example: Example) -> int:
    """Return the moment that is drawn in the middle, UTC ms."""
    alarms = [alarm for alarm in example.answers.alarms if alarm.channel in ("unusual", "known")]
    met = [e for e in example.events if any(a.start < e.end and e.start < a.end for a in alarms)]
    spans = [(one.start, one.end) for one in (met or list(example.events) or alarms)]
    first, last = int(example.answers.time[0]), int(example.answers.time[-1])
    start, end = min(spans, default=(last, last))
    half = int(AROUND * DAY)
    return max(min((start + end) // 2, last - half), min(first + half, (first + last) // 2))


def clock_offset(answers: Answers, moment: int) -> int:
    """Return local clock minus UTC at a moment, ms."""
    row = min(int(np.searchsorted(answers.time, moment)), len(answers) - 1)
    local = int(answers.grid.date[row]) * DAY + int(answers.grid.minute[row]) * MINUTE
    return local - int(answers.time[row])


def _hours(local: Times) -> Doubles:
    """Return hours since the midnight before the first moment."""
    return np.asarray((local - local[0] // DAY * DAY) / HOUR, np.float64)


def spans_within(
    found: Iterator[tuple[int, int]], shift: int, zero: int, span: tuple[float, float]
) -> list[tuple[float, float]]:
    """Return spans in hours, cut to what is drawn."""
    cut = [(max((a + shift - zero) / HOUR, span[0]), min((b + shift - zero) / HOUR, span[1])) for a, b in found]
    return [(start, end) for start, end in cut if start < end]


def day_words(day: int) -> str:
    """Return a local day since 1970 as `Mon 5 Jan`."""
    one = date.fromordinal(EPOCH + day)
    return f"{one:%a} {one.day} {one:%b}"


def figure_of(found: Any) -> Doubles | None:
    """Return value, low, high of a figure; an interval that is not known is the value itself."""
    if not isinstance(found, Mapping) or found.get("value") is None:
        return None
    value = float(found["value"])
    return np.asarray([value, *(value if found.get(k) is None else float(found[k]) for k in ("low", "high"))])


def told_of(rows: Mapping[str, Any], name: str) -> dict[str, Doubles]:
    """Return value, low, high of a figure in each row that has it."""
    found = {key: figure_of(row.get(name)) for key, row in rows.items()}
    return {key: value for key, value in found.items() if value is not None}


def plain_text(label: str) -> str:
    """Return a label from data, so that `$` stays a dollar sign and is not read as a formula."""
    return label.replace("$", r"\$")


def sheet(width: float, height: float) -> tuple[Any, Any]:
    """Return an empty figure of so many inches and its axes."""
    figure, (ax,) = sheet_of(width, height, 1, 1)
    return figure, ax


def sheet_of(width: float, height: float, down: int, across: int) -> tuple[Any, list[Any]]:
    """Return an empty figure of so many inches and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for ax in axes:
        ax.patch.set_visible(False)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(RULE)
        ax.grid(color=RULE, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.tick_params(colors=RULE, labelcolor=INK, labelsize=9)
        for axis in (ax.xaxis, ax.yaxis):
            axis.label.set(color=INK, fontsize=9)
    return figure, axes


def whiskers(ax: Any, values: Doubles, places: Sequence[float], *, across: bool, colour: str = INK) -> None:
    """Draw intervals of rows (value, low, high)."""
    draw = ax.hlines if across else ax.vlines
    draw(places, values[:, 1], values[:, 2], color=colour, linewidth=1.3)


def legend(ax: Any) -> None:
    """Put the legend above the axes, where it hides nothing."""
    handles, labels = ax.get_legend_handles_labels()
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    room = LETTERS_AN_INCH * ax.figure.get_figwidth() // (max(map(len, labels)) + 6)  # 6: a handle and its gaps
    ax.legend(
        handles, labels, ncols=int(min(max(room, 1), len(labels))), frameon=False, fontsize=9, labelcolor=INK, **place
    )


def as_picture(figure: Any, name: str, alt: str, caption: str) -> Picture:
    """Return a figure as the page shows it; `name` makes its ids unique."""
    return Picture(_svg(figure, name), alt, caption)


def as_file(picture: Picture) -> str:
    """Return a picture as an SVG file of its own, on white paper; outside the page there are no variables."""
    plain = re.sub(r"var\(--[a-z]+, (#[0-9a-fA-F]+)\)", r"\1", picture.svg)
    opened, rest = plain.split(">", 1)
    if "xmlns=" not in opened:
        opened = opened.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f'{opened}><rect width="100%" height="100%" fill="#ffffff"/>{rest}\n'


def _svg(figure: Any, name: str) -> str:
    """Return the figure as an <svg> element to stand in a page: no prolog, no metadata; `name` salts its ids."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.StringIO()
    FigureCanvasAgg(figure)
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")  # else saving lays everything out a second time
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(UNWANTED, "", text[text.index("<svg") :], flags=re.DOTALL)
    widest = PAGE_REM_AN_INCH * figure.get_figwidth()  # so that letters are as large in every figure
    style = f'style="max-width:{widest:.1f}rem;min-width:{min(widest, LEAST_REM):.1f}rem"'
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"<svg \1 {style}>", text, count=1)
    text = re.sub(r' d="[^"]*"', lambda path: DECIMALS.sub(r"\1", path.group()), text)
    text = re.sub(r'<g id="[^"]*"', "<g", text).replace("xlink:href=", "href=")
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    return re.sub(r"\n\s*", "\n", text).strip()

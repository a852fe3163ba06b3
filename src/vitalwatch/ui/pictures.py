"""Pictures for the page: one person's vitals by Matplotlib, to keep; and the report's figures in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vitalwatch.alerting.alerts import MARKS
from vitalwatch.drawing import BLUE, INK, ORANGE, RED, RULE, SKY, Picture
from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE
from vitalwatch.ui.course import Ahead, Course, band, strips
from vitalwatch.ui.plain import clock

DARK = {  # as report.html in dark
    "ink": "#e6edf3",
    "rule": "#3d444d",
    "blue": "#4aa8e0",
    "orange": "#f0b429",
    "green": "#2fc79a",
    "red": "#f0803c",
    "purple": "#e09cc3",
    "sky": "#7cc7f2",
}
NOTICE = "vitalwatch is no medical device. It makes no diagnosis and must not guide treatment."


def svg_for(picture: Picture, *, dark: bool) -> str:
    """Return a figure of the report to stand alone as an image, in the page's colours."""

    def colour(found: re.Match[str]) -> str:
        return DARK.get(found[1], found[2]) if dark else found[2]

    plain = re.sub(r"var\(--([a-z]+), (#[0-9a-fA-F]+)\)", colour, picture.svg)
    opened, rest = plain.split(">", 1)
    if "xmlns=" not in opened:
        opened = opened.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    style = "<style>text { font-family: system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }</style>"
    return f"{opened}>{style}{rest}"


def person_png(
    course: Course, schema: Schema, name: str, alarms: Iterable[Mapping[str, Any]] = (), ahead: Ahead | None = None
) -> bytes:
    """Return a person's vitals, one below the other, as a PNG to download.

    Args:
        course: What is drawn.
        schema: Names and units.
        name: Of the person, as shown.
        alarms: Alerts, drawn as strips with their signs below the heart rate.
        ahead: Forecast.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    vitals = [name for name, column in course.vitals.items() if any(value is not None for value in column)]
    figure = Figure(figsize=(9, 1.2 + 1.7 * max(len(vitals), 1)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(max(len(vitals), 1), 1, sharex=True))
    for ax, vital in zip(axes, vitals, strict=False):
        _vital(ax, course, vital, schema, ahead)
        if vital == "heart_rate":
            _strips(ax, course, alarms, schema)
    span = f"{clock(course.local[0])} to {clock(course.local[-1])}, own clock" if len(course) else "no reading"
    figure.suptitle(_plain(f"{name}: {span}"), x=0.01, ha="left", fontsize=11, color=INK)
    axes[-1].set_xlabel(NOTICE, fontsize=8, color=INK, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _vital(ax: Any, course: Course, vital: str, schema: Schema, ahead: Ahead | None) -> None:
    column = schema.columns[vital]
    when = [_moment(one) for one in course.local]
    low, high = (np.asarray([np.nan if v is None else v for v in side]) for side in band(course, vital))
    if len(low):
        ax.fill_between(when, low, high, color=SKY, alpha=0.35, linewidth=0)
    for at, _ in course.changes:
        ax.axvline(_moment(at + course.offset * MINUTE), color=INK, linewidth=0.8, linestyle="--")
    told = [(moment, value) for moment, value in zip(when, course.vitals[vital], strict=True) if value is not None]
    dense = len(told) > len(when) / 3
    if told:
        ax.plot(*zip(*told, strict=True), "-" if dense else ".", color=BLUE, linewidth=0.9, markersize=4)
    odd = [
        (moment, value)
        for moment, value, unusual in zip(when, course.vitals[vital], course.anomaly, strict=True)
        if unusual and value is not None
    ]
    if vital == "heart_rate" and odd:
        ax.plot(*zip(*odd, strict=True), "D", color=RED, markersize=2.6)
    if ahead is not None and vital in ahead.vitals:
        fan = [
            (_moment(ahead.time + (course.offset + minutes) * MINUTE), low, middle, high)
            for minutes, low, middle, high in ahead.vitals[vital]
        ]
        x, least, middle, most = zip(*fan, strict=True)
        ax.fill_between(x, least, most, color=ORANGE, alpha=0.4, linewidth=0)
        ax.plot(x, middle, color=ORANGE, linewidth=1.2)
    ax.set_ylabel(f"{column.label}\n({column.shown})", fontsize=8, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(RULE)
    ax.grid(color=RULE, linewidth=0.5)
    ax.tick_params(labelsize=8, labelcolor=INK, color=RULE)


def _strips(ax: Any, course: Course, alarms: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    for start, end, priority in strips(course, alarms, schema.step_minutes):
        colour = {"high": RED, "medium": ORANGE, "low": SKY}[priority]
        ax.axvspan(_moment(start), _moment(end), 0.0, 0.05, color=colour)
        place = {"xycoords": ("data", "axes fraction"), "fontsize": 7, "color": INK}
        ax.annotate(MARKS[priority], (_moment(start), 0.06), **place)


def _moment(local: int) -> Any:
    return datetime.fromtimestamp(local / 1000, UTC).replace(tzinfo=None)  # the person's own clock


def _plain(text: str) -> str:
    return text.replace("$", r"\$")

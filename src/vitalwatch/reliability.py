"""Told against come, drawn on log scales: how often p-values are as small as they say, and risks come true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitalwatch.drawing import GREEN, INK, ORANGE, Picture, as_picture, figure_of, legend, sheet, words

RARE = 0.1  # end of the lowest bin
SMALL = {"fontsize": 7, "color": INK, "ha": "center"}
Points = Sequence[tuple[float, float, float, float]]  # told, came, and the interval of what came


def p_values(told: Mapping[str, Any]) -> Picture | None:
    """Draw how often p-values came against how rare they say they are, with intervals."""
    lines: dict[str, Points] = {
        label: [(row["told"], *one) for row in told[name] if (one := figure_of(row["came"])) is not None and one[0] > 0]
        for label, name in (("channel A alone", "unusual"), ("as served", "served"))
    }
    axes = ("p-value told (at most)", "share of normal rows")
    return _against(lines, axes, "p-values", "How often p-values are as small as told.")


def known(table: Mapping[str, Any], where: str) -> Picture | None:
    """Draw how often the known channel was right against how sure it said it was, with intervals and rows a point."""
    found = [(row, figure) for row in table.get("reliability", ()) if (figure := figure_of(row["true"])) is not None]
    if not found:
        return None
    points = [(row["told"], *figure.tolist()) for row, figure in found]
    figure, ax = sheet(5.2, 3.8)
    rare = found[0][0]["to"] < RARE  # where hardly anything is told above, all of it would lie in a corner
    least = min(number for point in points for number in point if number > 0) / 2 if rare else 0.0
    ax.plot([least, 1], [least, 1], "--", color=INK, linewidth=1, label="as told")
    x, y, low, high = (list(column) for column in zip(*points, strict=True))
    if rare:
        ax.set(xscale="log", yscale="log")
        low = [max(end, least) for end in low]
    ax.vlines(x, low, high, color=GREEN, linewidth=1.3)
    ax.plot(x, y, "-o", color=GREEN, label="known channel, line: interval over people")
    for i, ((row, _), told) in enumerate(zip(found, x, strict=True)):  # upright, where the line is not
        high_up = i < len(x) / 2
        place, side = (0.98, "top") if high_up else (0.02, "bottom")
        ax.text(told, place, f"{row['rows']:,}", transform=ax.get_xaxis_transform(), rotation=90, va=side, **SMALL)
    ax.set(xlim=(least, 1), ylim=(least, 1))
    ax.set(xlabel="probability told (0 to 1); upright: rows", ylabel="share that came true")
    legend(ax)
    told = ", ".join(f"told {point[0]:.2f} came true {point[1]:.2f}" for point in points)
    caption = f"Reliability of the known channel's probability, {where}."
    return as_picture(figure, f"reliability-{words(where).replace(' ', '-')}", f"Reliability: {told}.", caption)


def tenths(table: Mapping[str, Any]) -> Picture | None:
    """Draw how often an outcome came against the risk that was told, in tenths of the rows."""
    lines: dict[str, Points] = {
        label: [
            (row["told"], *came)
            for row in table["variants"][name]["reliability"]
            if row["told"] > 0 and (came := figure_of(row["true"])) is not None and came[0] > 0
        ]
        for label, name in (("from vitals", "vitals"), ("from everything", "care"))
    }
    axes = ("risk told, mean of a tenth", "share in which it came")
    question = str(table["question"])
    caption = f"Reliability of the risk of {question}, by tenths of rising risk; tenths without any are left out."
    return _against(lines, axes, f"tenths-{words(question).replace(' ', '-')}", caption)


def _against(lines: Mapping[str, Points], axes: tuple[str, str], name: str, caption: str) -> Picture | None:
    known = {label: points for label, points in lines.items() if points}
    if not known:
        return None
    figure, ax = sheet(4.6, 3.6)
    ax.set(xscale="log", yscale="log", xlabel=axes[0], ylabel=axes[1])
    ends = [number for points in known.values() for point in points for number in point[:2]]
    ax.plot([min(ends), max(ends)], [min(ends), max(ends)], "--", color=INK, linewidth=1, label="as told")
    for (label, points), colour in zip(known.items(), (ORANGE, GREEN), strict=False):
        x, y, low, high = (list(column) for column in zip(*points, strict=True))
        ax.vlines(x, [max(end, min(ends) / 10) for end in low], high, color=colour, linewidth=1)  # a log has no 0
        ax.plot(x, y, "-o", color=colour, markersize=4, label=label)
    legend(ax)
    said = "; ".join(
        f"{label}: {', '.join(f'{point[0]:.4g} came {point[1]:.4g}' for point in points)}"
        for label, points in known.items()
    )
    return as_picture(figure, name, f"{caption} {said}.", caption)

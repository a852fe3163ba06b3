"""How the report words what it tells: names, figures with their intervals, tables, reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vitalwatch.drawing import Picture, words

NONE = "–"  # what stands where there is no figure
CHANNELS = {
    "both": "both channels (either alarms)",
    "unusual": "channel A: unusual (forests)",
    "known": "channel B: known kinds (supervised)",
}
LINES = {
    "persistence": "persistence (stays as it is)",
    "seasonal_24h": "as 24 h before",
    "person_hour_mean": "person's mean at that hour",
    "ridge": "ridge regression",
    "last_reading": "persistence of the last reading of the step",
    "ridge_last_reading": "ridge regression that sees the last reading of the step",
    "constant": "one constant for all",
    "person_mean": "person's mean",
    "reserve_formula": "heart-rate-reserve formula",
    "plain_boosting": "boosting without anything of the person's own",
    "linear": "linear regression",
    "raw_isolation_forest": "isolation forest on raw vitals",
    "max_abs_z": "largest deviation from own normal (max |z|)",
    "max_abs_z_served": "max |z| on our channels' scale and own level",
    "news2": "NEWS2 of 5 or more",
    "fixed_limits": "fixed limits of the vitals",
    "ewma_z_heart_rate": "moving average (EWMA) of heart rate, z",
    "personal_z_heart_rate": "heart rate, z of the person",
    "night_rate_yellow": "night resting rate, yellow (median + 3)",
    "night_rate_red": "night resting rate, red (+ 4, two nights)",
}

GROUPS = {
    "sex": "sex",
    "age": "age",
    "beta_blocker": "beta-blocker",
    "days_since_enrolment": "days since judging began",
    "steps_a_day": "steps a day",
    "sensor": "a sensor is known to fail",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; `folded` hides it until it is asked for."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Note:
    """A sentence or two."""

    text: str
    kind: str = "note"


Json = Mapping[str, Any]
Blocks = Iterator[Table | Note | Picture | None]


def line(name: str, row: Json) -> str:
    """Return a line to beat in words, with how long its scores are averaged over."""
    return f"{detector(name)}, mean of {row['mean_of']}" if row.get("mean_of") else detector(name)


def detector(name: str) -> str:
    """Return a channel or line to beat in words."""
    return CHANNELS.get(name, LINES.get(name, words(name)))


def flat_rows(found: Any, path: str = "") -> list[tuple[str, str]]:
    """Return every leaf as (path, text); a figure with its interval is one leaf."""
    if isinstance(found, Mapping) and not _one_figure(found) and (found or not path):
        return [row for key, value in found.items() for row in flat_rows(value, f"{path}.{key}".lstrip("."))]
    if isinstance(found, (list, tuple)) and any(isinstance(value, (Mapping, list)) for value in found):
        return [row for i, value in enumerate(found) for row in flat_rows(value, f"{path}[{i}]")]
    return [(path, literal(found))]


def _one_figure(found: Json) -> bool:
    return "value" in found and not any(isinstance(value, Mapping) for value in found.values())


def as_table(caption: str, names: str, rows: Iterable[tuple[str, ...]], *, folded: bool = False) -> Table:
    """Return a table; `names` is its head, parted by `|`."""
    return Table(caption, tuple(names.split("|")), tuple(rows), folded)


def pairs(figures: Json) -> list[tuple[str, str]]:
    """Return a row for every figure: its name and itself with its interval."""
    return [(words(name), ranged(value)) for name, value in figures.items()]


def missing(table: Any) -> str:
    """Return why a part could not be judged as a sentence, empty where it could."""
    reason = table.get("not_assessable") if isinstance(table, Mapping) else None
    return f"Not assessable: {str(reason).rstrip('.')}." if reason else ""


def value_of(found: Any) -> float | None:
    """Return a figure's value, None where there is none."""
    return found.get("value") if isinstance(found, Mapping) else None


def beyond_chance(difference: Json | None) -> bool:
    """Return whether an error is smaller beyond chance: its whole interval is below 0."""
    high = (difference or {}).get("high")
    return high is not None and high < 0


def lost_at_starts(horizons: Json) -> str:
    """Return where a forecast loses to a simple line from rest to exercise, and what holds there; empty where nowhere.

    Such rows are picked by what comes after them: no forecast knows that they are such, and a line that says "more than
    now" everywhere is right on them.
    """
    lost, held = [], []
    for horizon, row in horizons.items():
        found = row.get("rest_to_exercise", {})
        worse = {
            name: line["skill"] for name, line in found.get("lines", {}).items() if (value_of(line["skill"]) or 0.0) < 0
        }
        if worse:
            told = ", ".join(f"{detector(name)} (skill {ranged(skill)})" for name, skill in worse.items())
            lost.append(f"{horizon} min to {told}")
            held.append(f"{percent(found.get('coverage'))} at {horizon} min")
    if not lost:
        return ""
    return (
        f"From rest to exercise the forecast loses to simple lines: {'; '.join(lost)}. Its interval holds "
        f"{', '.join(held)} of these rows. They are picked by what comes after them, which no forecast knows."
    )


def best_line(detection: Json, channel: str) -> tuple[str, Json] | None:
    """Return the line to beat with the highest event F1 at a channel's budget, and how it does there."""
    told = {name: line.get("ours_beside", {}).get(channel, {}) for name, line in detection.get("lines", {}).items()}
    known = {name: one for name, one in told.items() if value_of(one.get("event_f1")) is not None}
    return max(known.items(), key=lambda item: float(item[1]["event_f1"]["value"])) if known else None


def beside_best(detection: Json, channel: str) -> str:
    """Return a channel beside the best line to beat at the same budget in words, empty where nothing was judged."""
    ours, best = detection.get("channels", {}).get(channel, {}), best_line(detection, channel)
    if best is None or value_of(ours.get("event_f1")) is None:
        return ""
    name, told = best
    row = detection["lines"][name]
    ranks = "; ".join(
        f"{what} {ranged(ours.get(key), 3)} and {ranged(row.get(key), 3)}"
        for key, what in (("average_precision", "average precision"), ("vus_pr", "VUS-PR"))
    )
    share = float(told["event_f1"]["value"]) / max(float(ours["event_f1"]["value"]), 1e-9)
    return (
        f"{detector(channel)[0].upper()}{detector(channel)[1:]} beside the best simple rule at the same budget "
        f"({fixed(told['budget'], 3)} false alarms a day), {line(name, row)}: event F1 {ranged(ours['event_f1'])} and "
        f"{ranged(told['event_f1'])}, so that the rule reaches {share:.0%} of it; paired difference "
        f"{ranged(told['ours_minus_this'])}. Without a threshold, {ranks}."
    )


def fixed(value: float | None, digits: int) -> str:
    """Return a number with so many decimals."""
    return NONE if value is None else f"{value:.{digits}f}"


def significant(value: float | None, figures: int = 2) -> str:
    """Return a number with so many significant figures, never as a power of ten: 0.000073."""
    if value is None:
        return NONE
    before = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(figures - 1 - before, 0)}f}" if value else "0"


def ranged(found: Any, digits: int = 2) -> str:
    """Return a figure with its interval, with so many decimals."""
    return _with_interval(found, lambda value: fixed(value, digits))


def ranged_small(found: Any) -> str:
    """Return a figure that may be far below 1 with its interval, with two significant figures each."""
    return _with_interval(found, significant)


def _with_interval(found: Any, write: Callable[[float | None], str]) -> str:
    value = value_of(found)
    if value is None:
        return NONE
    low, high = found.get("low"), found.get("high")
    return write(value) + ("" if low is None else f" ({write(low)} to {write(high)})")


def percent(found: Any) -> str:
    """Return a share, with its interval where there is one, in percent."""
    if not isinstance(found, Mapping):
        return NONE if found is None else f"{found:.1%}"
    low, high = found.get("low"), found.get("high")
    return percent(found.get("value")) + ("" if low is None else f" ({percent(low)} to {percent(high)})")


def literal(value: Any) -> str:
    """Return any leaf as text, all its digits kept."""
    if isinstance(value, Mapping):
        known = [f"{literal(value.get(name))}" for name in ("value", "low", "high") if name in value]
        return f"{known[0]} ({' to '.join(known[1:])})" if len(known) > 1 else "".join(known) or NONE
    if isinstance(value, (list, tuple)):
        return ", ".join(literal(one) for one in value) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NONE if value is None else str(value)

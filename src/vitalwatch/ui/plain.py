"""Words, numbers and ages as the page says them; text from data stays text."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from vitalwatch.alerting.alerts import MARKS
from vitalwatch.schema import Column
from vitalwatch.tables import MINUTE

NONE = "–"  # where there is no figure
JOINER = "\u2060"  # WORD JOINER: unseen; keeps Streamlit from reading `:name:` as an icon and `www.` as a link
PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$&\"'=^%,;/?])")
CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # and marks that turn the reading order
HOUR, DAY_MINUTES = 60, 1440
PRIORITY_WORDS = {"high": "High", "medium": "Medium", "low": "Low"}
COLOURS = {"high": "red", "medium": "yellow", "low": "blue"}  # red, yellow and cyan of IEC 60601-1-8


def plain(text: object) -> str:
    """Return text that Streamlit's Markdown shows letter by letter: no link, picture, formula, icon or colour."""
    cleaned = CONTROL.sub(" ", str(text))
    escaped = PUNCTUATION.sub(r"\\\1", cleaned)
    for sign in (":", "@"):
        escaped = escaped.replace(sign, f"{JOINER}{sign}{JOINER}")
    return re.sub(r"(?i)www(?=\\\.)", f"www{JOINER}", escaped)


def sign(priority: str) -> str:
    """Return `*** High` and the like: marks and a word, so that colour is never the only sign."""
    return f"{MARKS[priority]} {PRIORITY_WORDS[priority]}" if priority in MARKS else ""


def badge(priority: str) -> str:
    """Return the sign as a coloured Markdown badge."""
    return f":{COLOURS[priority]}-badge[{plain(sign(priority))}]" if priority in MARKS else ""


def number(value: float | None, column: Column | None = None) -> str:
    """Return a measured value with as many decimals as its vital is read with, `–` where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    tenths = column is not None and column.unit == "Cel"
    return f"{value:.1f}" if tenths else f"{value:.0f}"


def measured(value: float | None, column: Column) -> str:
    """Return a value with its unit."""
    shown = number(value, column)
    return shown if shown == NONE else f"{shown} {column.shown}"


def age(since: int | None, now: int) -> str:
    """Return how long ago a moment (UTC ms) was: `12 s`, `5 min`, `3 h`, `2 days`; `never` for none."""
    if since is None:
        return "never"
    seconds = max(now - since, 0) / 1000
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < HOUR:
        return f"{minutes:.0f} min"
    if minutes < DAY_MINUTES:
        return f"{minutes / HOUR:.0f} h"
    days = minutes / DAY_MINUTES
    return f"{days:.0f} day{'' if round(days) == 1 else 's'}"


def clock(moment: int, offset: int = 0) -> str:
    """Return a moment (UTC ms) on a clock that is so many minutes ahead of UTC, `Mon 5 Jan 14:05`."""
    local = datetime.fromtimestamp((moment + offset * MINUTE) / 1000, UTC)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def span(start: int, end: int | None, now: int, offset: int = 0) -> str:
    """Return from when to when an alarm was, or since when it is."""
    length = age(start, now if end is None else end)
    return f"since {clock(start, offset)} ({length})" if end is None else f"{clock(start, offset)}, lasted {length}"


def words(name: str) -> str:
    """Return a name of code as words."""
    return name.replace("_", " ")


def sheet_cell(text: object) -> str:
    """Return a cell that no spreadsheet takes for a formula (CSV injection): a quote stands before = + - @."""
    told = CONTROL.sub(" ", str(text))
    return f"'{told}" if told.lstrip().startswith(("=", "+", "-", "@")) else told

"""Rows of the profiles and events tables -> Profile and Event, without identifying fields."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from vitalwatch.reading import REASONS, number
from vitalwatch.recordings import split
from vitalwatch.schema import Limit, Schema
from vitalwatch.tables import Event, Profile
from vitalwatch.timestamps import parse_time

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_IDENTIFYING = re.compile(
    r"(?i)(^|[_ .-])((first|last|full|sur|user|patient)?[_ .-]?name|e?-?mail|phone|mobile|address|street|postcode|zip"
    r"|ssn|birth\w*|dob|mrn|insurance\w*|photo)($|[_ .-])"
)


class Unusable(NamedTuple):
    """Why a label cannot be used: one of `REASONS`, and a sentence that never holds what was sent."""

    reason: str
    detail: str


def identifying(column: str) -> bool:
    """Return whether a column's name tells that it identifies a person."""
    return _IDENTIFYING.search(column) is not None


def columns_note(file: str, unknown: list[str]) -> list[str]:
    """Return sentences on columns that were not taken."""
    named = [name for name in unknown if identifying(name)]
    others = [name for name in unknown if not identifying(name)]
    notes = [f"{file}: identifying columns were not taken: {', '.join(named)}."] if named else []
    return notes + ([f"{file}: unknown columns were not taken: {', '.join(others)}."] if others else [])


def to_profile(cells: Mapping[str, str], schema: Schema) -> tuple[Profile | None, list[str]]:
    """Return the profile and the names of fields that were not usable (left out)."""
    rule, problems = schema.profile, []
    person = cells.get("person", "")
    if not re.fullmatch(schema.person.pattern, person):
        return None, ["person"]

    def measured(name: str, limit: Limit) -> float:
        value = number(cells.get(name, "").strip())
        if isinstance(value, str) or not (math.isnan(value) or limit.possible[0] <= value <= limit.possible[1]):
            problems.append(name)
            return math.nan
        return value

    def codes(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
        told = tuple(part.strip() for part in split(cells.get(name, "")))
        if any(code not in known for code in told):
            problems.append(name)
        return tuple(code for code in told if code in known)

    sex = cells.get("sex", "").strip().lower() or "unknown"
    if sex not in rule.sex:
        problems.append("sex")
        sex = "unknown"
    return Profile(
        person,
        measured("age", rule.age),
        sex,
        measured("height", rule.height),
        measured("weight", rule.weight),
        codes("conditions", rule.conditions),
        codes("medication", rule.medication),
    ), problems


def to_event(cells: Mapping[str, str], schema: Schema) -> Event | Unusable:
    """Return the labelled episode, or why there is none."""
    person, kind = cells.get("person", ""), cells.get("kind", "")
    start, end = parse_time(cells.get("start")), parse_time(cells.get("end"))
    magnitude = number(cells.get("magnitude", ""))
    if not re.fullmatch(schema.person.pattern, person):
        return Unusable("bad_patient_id", REASONS["bad_patient_id"])
    if not _KIND.fullmatch(kind):
        return Unusable("bad_text", "kind is not a name of lower-case letters, digits and _")
    if isinstance(start, str):
        return Unusable(start, f"start: {REASONS[start]}")
    if isinstance(end, str):
        return Unusable(end, f"end: {REASONS[end]}")
    if end[0] <= start[0]:
        return Unusable("impossible_pair", "end is not later than start")
    if isinstance(magnitude, str):
        return Unusable(magnitude, f"magnitude is {REASONS[magnitude]}")
    channels = tuple(name for name in split(cells.get("channels", "")) if name in schema.names)
    return Event(person, kind, start[0], end[0], magnitude, channels)

"""Rows of the profiles and events tables -> Profile and Event, without identifying fields."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from vitalwatch.reading import number
from vitalwatch.recordings import split
from vitalwatch.schema import Limit, Schema
from vitalwatch.tables import Event, Profile
from vitalwatch.timestamps import parse_time

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_IDENTIFYING = re.compile(
    r"(?i)(^|[_ .-])((first|last|full|sur|user|patient)?[_ .-]?name|e?-?mail|phone|mobile|address|street|postcode|zip"
    r"|ssn|birth\w*|dob|mrn|insurance\w*|photo)($|[_ .-])"
)


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


def to_event(cells: Mapping[str, str], schema: Schema) -> Event | str:
    """Return the labelled episode, or the name of the field that makes it unusable."""
    person, kind = cells.get("person", ""), cells.get("kind", "")
    start, end = parse_time(cells.get("start")), parse_time(cells.get("end"))
    magnitude = number(cells.get("magnitude", ""))
    if not re.fullmatch(schema.person.pattern, person):
        return "person"
    if not _KIND.fullmatch(kind):
        return "kind"
    if isinstance(start, str):
        return "start"
    if isinstance(end, str) or end[0] <= start[0]:
        return "end"
    if isinstance(magnitude, str):
        return "magnitude"
    channels = tuple(name for name in split(cells.get("channels", "")) if name in schema.names)
    return Event(person, kind, start[0], end[0], magnitude, channels)

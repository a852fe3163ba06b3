"""The only way in: bytes, cells or columns become readings, or are refused with one of `REASONS`.

One table of rules (`VALUE_RULES` and the order of `REASONS`) judges a single record and whole columns alike, so that
the same input has the same reason on every surface. Details name columns and limits, never what was sent.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vitalwatch.messages import decode
from vitalwatch.schema import Column, Schema
from vitalwatch.tables import Bools, Floats, Times
from vitalwatch.timestamps import LATEST, OFFSETS, parse_time, unsafe

VERSION = "1"  # of the rules; it stands beside every refused row

Form = Literal["json", "cells", "line", "event"]

# In order of precedence: of several reasons, a row gets the first.
REASONS = {
    "null_value": "there is no message, only a null",
    "too_large": "longer than 64 kB",
    "encoding": "not UTF-8 text without NUL bytes and byte-order mark",
    "not_json": "not one JSON object",
    "trailing_data": "more than one JSON object",
    "duplicate_key": "a field stands there twice",
    "too_deep": "nested too deeply",
    "ragged_row": "the row has more or fewer cells than the header",
    "schema_unsupported": "made for another version of the schema",
    "unknown_field": "a field is not in the schema, or there are too many",
    "bad_text": "a text holds control characters, text-direction marks or broken characters",
    "bad_patient_id": "person is missing or not a pseudonym of the form that the schema declares",
    "timestamp_without_zone": "time has no zone; write it like 2026-01-05T08:00:00+01:00",
    "bad_timestamp": "time is not RFC 3339 text of the years 1970 to 2199, like 2026-01-05T08:00:00+01:00",
    "clock_skew": "time is later than now",
    "not_finite": "not a finite number",
    "wrong_type": "not a plain number (a JSON number, or digits with a decimal point in a cell)",
    "unit_suspect": "looks like another unit",
    "out_of_physical_range": "outside what a sensor on a living person can report",
    "impossible_pair": "the lower value is not below the upper one",
    "empty": "nothing is measured",
}
EMPTIED = "nothing is measured: every number in it is a code for no value"  # `empty`, though numbers were sent
RANK = {reason: rank for rank, reason in enumerate(REASONS)}
ACCEPTED = np.uint16(0xFFFF)  # a key is rank * 256 + place of the column; the smallest key of a row counts

MAX_TEXT = 200  # characters of `device` and `event_id`
NO_VALUE_TEXTS = frozenset(("", "-", "--", "null", "NULL"))  # cells that mean "not measured"
EXTRA_FIELDS = ("utc_offset", "device", "event_id", "schema_version")  # beside person, time and the columns
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"  # the one grammar of a numeric cell

_NUMBER = re.compile(NUMBER)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One accepted reading: `time` in UTC milliseconds, `offset` (local minus UTC) in minutes, measured values only.

    `event_id` and `device` are as sent, empty where nothing was.
    """

    person: str
    time: int
    offset: int
    values: dict[str, float]
    event_id: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refused row: one of `REASONS`, and a detail that never holds what was sent."""

    reason: str
    detail: str
    source: str = ""


@dataclass(frozen=True)
class Reject:
    """A refused row; by `form`, `raw` is JSON as it came, a JSON object of cells (`event`: of a label), or a line."""

    source: str
    position: str
    reason: str
    detail: str
    raw: bytes
    form: Form = "cells"


@dataclass(frozen=True)
class Rows:
    """Typed rows of any people in any order.

    Attributes:
        people: Distinct pseudonyms.
        person: Index into `people`, int32 (n,).
        time: UTC milliseconds (n,).
        offset: Local clock minus UTC, minutes, int16 (n,).
        values: Schema column -> float32 (n,), NaN is not measured; columns that the source lacks are absent.
    """

    people: tuple[str, ...]
    person: NDArray[np.int32]
    time: Times
    offset: NDArray[np.int16]
    values: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.time)

    def take(self, keep: NDArray[np.intp] | Bools) -> Rows:
        """Return the chosen rows; `people` stays whole."""
        values = {name: column[keep] for name, column in self.values.items()}
        return replace(self, person=self.person[keep], time=self.time[keep], offset=self.offset[keep], values=values)


@dataclass(frozen=True)
class Limits:
    """What the rules need of one column, rounded to float32 as values are stored."""

    place: int
    name: str
    low: float
    high: float
    suspect: tuple[tuple[float, float], ...]
    no_value: tuple[float, ...]
    whole: bool
    needs_more: bool  # a value inside the possible range can still be refused or mean "not measured"


# The rules of one value: `x` is a float or a float32 array, the answer a bool or an array of them. NaN breaks no rule.
Rule = Callable[[Any, Limits], Any]
VALUE_RULES: tuple[tuple[str, Rule], ...] = (
    ("not_finite", lambda x, limits: abs(x) == math.inf),
    ("wrong_type", lambda x, limits: limits.whole & (x % 1 > 0)),
    ("unit_suspect", lambda x, limits: _within_any(x, limits.suspect)),
    ("out_of_physical_range", lambda x, limits: (x < limits.low) | (x > limits.high)),
)


def parse(
    raw: bytes | None,
    schema: Schema,
    *,
    source: str = "",
    now_ms: int,
    max_ahead_ms: int = 300_000,
    no_value: Collection[float] = (),
) -> Reading | Rejected:
    """Return the reading that one JSON object holds, or why it is refused; raises nothing.

    Args:
        raw: A JSON object in UTF-8: person, time (RFC 3339 with zone) and any columns of the schema as numbers.
        schema: What columns there are and what they may hold.
        source: Goes into the refusal.
        now_ms: The clock, UTC milliseconds.
        max_ahead_ms: A time later than now by more than this is refused.
        no_value: More numbers that this source sends for "not measured".
    """
    found = decode(raw)
    if isinstance(found, str):
        return Rejected(found, REASONS[found], source)
    return parse_object(found, schema, source=source, now_ms=now_ms, max_ahead_ms=max_ahead_ms, no_value=no_value)


def parse_object(
    found: Mapping[str, Any],
    schema: Schema,
    *,
    source: str = "",
    now_ms: int,
    max_ahead_ms: int = 300_000,
    no_value: Collection[float] = (),
) -> Reading | Rejected:
    """Return what `parse` returns for a JSON object that strict JSON (see `messages`) was decoded to."""
    rules = _rules(schema)
    if found.get("schema_version", schema.version) != schema.version or isinstance(found.get("schema_version"), bool):
        return Rejected("schema_unsupported", f"this program reads version {schema.version} of the schema", source)
    if not rules.fields.issuperset(found):
        return Rejected("unknown_field", f"known fields: {', '.join(sorted(rules.fields))}", source)
    numbers: dict[str, float] = {}
    keys = [_extra_key(found)]
    for name in found:
        if name not in rules.by_name:
            continue
        value = _json_number(found[name])
        if isinstance(value, str):
            keys.append(_key(value, rules.by_name[name].place))
        else:
            numbers[name] = value
    judged = _judge(rules, found.get("person"), found.get("time"), numbers, keys, found.get("utc_offset"), source,
                    now_ms, max_ahead_ms, no_value)  # fmt: skip
    if isinstance(judged, Reading) and ("event_id" in found or "device" in found):
        return replace(judged, event_id=found.get("event_id") or "", device=found.get("device") or "")
    return judged


def parse_cells(
    cells: Mapping[str, str],
    schema: Schema,
    *,
    source: str = "",
    now_ms: int,
    max_ahead_ms: int = 300_000,
    no_value: Collection[float] = (),
) -> Reading | Rejected:
    """Return the reading that a row of text cells holds (our column names -> text), or why it is refused."""
    rules = _rules(schema)
    numbers: dict[str, float] = {}
    keys = [int(ACCEPTED)]
    for limits in rules.limits:
        value = number(cells.get(limits.name, ""))
        if isinstance(value, str):
            keys.append(_key(value, limits.place))
        else:
            numbers[limits.name] = value
    offset = number(cells.get("utc_offset", ""))
    if isinstance(offset, str):
        keys.append(_key("bad_timestamp"))
    known = None if isinstance(offset, str) or math.isnan(offset) else offset
    return _judge(rules, cells.get("person"), cells.get("time"), numbers, keys, known, source,
                  now_ms, max_ahead_ms, no_value)  # fmt: skip


def check(
    rows: Rows,
    schema: Schema,
    *,
    now_ms: int,
    max_ahead_ms: int = 300_000,
    keys: NDArray[np.uint16] | None = None,
    no_value: Collection[float] = (),
) -> tuple[Rows, NDArray[np.uint16]]:
    """Judge typed rows by the same rules as `parse`.

    Args:
        rows: Values are float32 or float64; NaN and the schema's `no_value` numbers are "not measured".
        schema: What columns there are and what they may hold.
        now_ms: The clock, UTC milliseconds.
        max_ahead_ms: A time later than now by more than this is refused.
        keys: What a reader found before (see `text_key`), uint16 (n,); ACCEPTED where nothing.
        no_value: More numbers that this source sends for "not measured".

    Returns:
        The rows with float32 values, NaN where not measured, and a key for each row: ACCEPTED, or see `explain`.
    """
    rules = _rules(schema)
    keys = np.full(len(rows), ACCEPTED) if keys is None else keys.copy()
    people = np.array([_person_key(rules, person) for person in rows.people], np.uint16)
    if np.any(people != ACCEPTED):
        np.minimum(keys, people[rows.person], out=keys)
    strange = (rows.time < 0) | (rows.time >= LATEST) | (rows.offset < OFFSETS[0]) | (rows.offset > OFFSETS[1])
    _mark(keys, strange, "bad_timestamp")
    _mark(keys, rows.time > now_ms + max_ahead_ms, "clock_skew")
    values: dict[str, Floats] = {}
    for limits in rules.limits:
        if limits.name in rows.values:
            values[limits.name] = _check_column(rows.values[limits.name], limits, keys, no_value)
    for place, (low, high) in enumerate(schema.pairs):
        if low in values and high in values:
            _mark(keys, values[low] >= values[high], "impossible_pair", place)
    measured = np.zeros(len(rows), np.bool_)
    for name in rules.counted:
        if name in values and not measured.all():
            measured |= ~np.isnan(values[name])
    nothing = np.flatnonzero(~measured)
    if len(nothing):
        sent = [~np.isnan(rows.values[name][nothing]) for name in rules.counted if name in rows.values]
        emptied = np.logical_or.reduce(sent) if sent else np.zeros(len(nothing), np.bool_)
        for place, those in enumerate((nothing[~emptied], nothing[emptied])):
            keys[those] = np.minimum(keys[those], np.uint16(_key("empty", place)))
    return replace(rows, values=values), keys


def explain(key: int, schema: Schema, source: str = "") -> Rejected:
    """Return the refusal that a key of `check` stands for."""
    reason, place = tuple(REASONS)[int(key) >> 8], int(key) & 255
    if reason == "impossible_pair":
        low, high = schema.pairs[place]
        return Rejected(reason, f"{low} is not below {high}", source)
    if RANK["not_finite"] <= RANK[reason] < RANK["impossible_pair"]:
        name = schema.names[place]
        return Rejected(reason, _value_detail(reason, name, schema.columns[name]), source)
    return Rejected(reason, EMPTIED if reason == "empty" and place else REASONS[reason], source)


def number(text: str) -> float | str:
    """Return the number in a cell, NaN for "not measured", or the reason why it is neither."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if text in NO_VALUE_TEXTS:
        return math.nan
    if _NOT_FINITE.fullmatch(text):
        return "not_finite"
    return "bad_text" if unsafe(text) else "wrong_type"


def text_key(reason: str, schema: Schema, column: str | None = None) -> int:
    """Return the key of a reason that a reader found while typing a cell of `column`."""
    place = schema.names.index(column) if column is not None else 0
    return _key(reason, place)


@dataclass(frozen=True)
class _Rules:
    schema: Schema
    limits: tuple[Limits, ...]
    by_name: Mapping[str, Limits]
    fields: frozenset[str]
    counted: tuple[str, ...]
    person: re.Pattern[str]


_compiled: dict[int, _Rules] = {}  # by identity of the schema, which the value holds; the last few


def _rules(schema: Schema) -> _Rules:
    found = _compiled.get(id(schema))
    if found is not None:
        return found
    while len(_compiled) >= 8:
        _compiled.pop(next(iter(_compiled)), None)
    limits = tuple(_limits(place, name, column) for place, (name, column) in enumerate(schema.columns.items()))
    rules = _Rules(
        schema,
        limits,
        {one.name: one for one in limits},
        frozenset(("person", "time", *EXTRA_FIELDS, *schema.names)),
        tuple(name for name, column in schema.columns.items() if column.role != "detail"),
        re.compile(schema.person.pattern),
    )
    _compiled[id(schema)] = rules
    return rules


def _limits(place: int, name: str, column: Column) -> Limits:
    low, high = (float(np.float32(value)) for value in column.possible)
    suspect = tuple((float(np.float32(a)), float(np.float32(b))) for a, b in column.suspect.values())
    no_value = tuple(float(np.float32(value)) for value in column.no_value)
    overlapping = any(a <= high and b >= low for a, b in suspect) or any(low <= value <= high for value in no_value)
    return Limits(place, name, low, high, suspect, no_value, column.whole, column.whole or overlapping)


def _json_number(value: object) -> float | str:
    """Return a JSON value as float, NaN for "not measured", or the reason why it is neither."""
    if value is None:
        return math.nan
    if isinstance(value, bool):
        return "wrong_type"
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else "not_finite"
    if isinstance(value, str):
        found = number(value)
        return "wrong_type" if isinstance(found, float) and not math.isnan(found) else found
    return "wrong_type"


def _extra_key(found: Mapping[str, Any]) -> int:
    for name in ("device", "event_id"):
        value = found.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > MAX_TEXT or unsafe(value)):
            return _key("bad_text")
    offset = found.get("utc_offset")
    if offset is not None and (isinstance(offset, bool) or not isinstance(offset, int | float)):
        return _key("bad_timestamp")
    return int(ACCEPTED)


def _judge(
    rules: _Rules,
    person: object,
    time: object,
    numbers: dict[str, float],
    keys: list[int],
    given: object,
    source: str,
    now_ms: int,
    max_ahead_ms: int,
    no_value: Collection[float],
) -> Reading | Rejected:
    """Apply the rules to one typed record; `keys` are what typing found, `given` a stated offset."""
    keys.append(_person_key(rules, person))
    when = parse_time(time)
    moment, offset = (0, 0) if isinstance(when, str) else when
    if isinstance(when, str):
        keys.append(_key(when))
    elif isinstance(given, int | float) and not isinstance(given, bool):
        if not OFFSETS[0] <= given <= OFFSETS[1] or given % 1 != 0:
            keys.append(_key("bad_timestamp"))
        else:
            offset = int(given)
    if moment > now_ms + max_ahead_ms:
        keys.append(_key("clock_skew"))
    values = {}
    for name, sent in numbers.items():
        value, limits = _single(sent), rules.by_name[name]
        if math.isnan(value) or value in limits.no_value or value in no_value:
            continue
        values[name] = value
        if limits.low <= value <= limits.high and not limits.needs_more:
            continue
        keys.extend(_key(reason, limits.place) for reason, broken in VALUE_RULES if broken(value, limits))
    for place, (low, high) in enumerate(rules.schema.pairs):
        if low in values and high in values and values[low] >= values[high]:
            keys.append(_key("impossible_pair", place))
    if not any(name in values for name in rules.counted):
        keys.append(_key("empty", any(not math.isnan(numbers.get(name, math.nan)) for name in rules.counted)))
    key = min(keys)
    if key != ACCEPTED:
        return explain(key, rules.schema, source)
    return Reading(str(person), moment, offset, values)


def _check_column(
    column: NDArray[Any], limits: Limits, keys: NDArray[np.uint16], no_value: Collection[float]
) -> Floats:
    """Return the column as float32 with "not measured" as NaN; marks broken rules in `keys`."""
    with np.errstate(over="ignore", invalid="ignore"):
        column = column.astype(np.float32, copy=False)
        odd = (column < limits.low) | (column > limits.high)
        if limits.needs_more or no_value:
            odd = ~np.isnan(column)
        places = np.flatnonzero(odd)
        if not len(places):
            return column
        values = column[places]
        absent = np.isin(values, np.array([*limits.no_value, *no_value], np.float32))
        if absent.any():
            column = column.copy()
            column[places[absent]] = np.nan
            places, values = places[~absent], values[~absent]
        for reason, broken in VALUE_RULES:
            rows = places[np.broadcast_to(broken(values, limits), values.shape)]
            keys[rows] = np.minimum(keys[rows], np.uint16(_key(reason, limits.place)))
    return column


def _within_any(x: Any, ranges: Sequence[tuple[float, float]]) -> Any:
    inside: Any = False
    for low, high in ranges:
        inside = inside | ((x >= low) & (x <= high))
    return inside


def _mark(keys: NDArray[np.uint16], where: Bools, reason: str, place: int = 0) -> None:
    if where.any():
        keys[where] = np.minimum(keys[where], np.uint16(_key(reason, place)))


def _key(reason: str, place: int = 0) -> int:
    return RANK[reason] * 256 + (0 if RANK[reason] < RANK["not_finite"] else place)


def _person_key(rules: _Rules, person: object) -> int:
    if not isinstance(person, str):
        return _key("bad_patient_id")
    if unsafe(person):
        return _key("bad_text")
    return int(ACCEPTED) if rules.person.fullmatch(person) else _key("bad_patient_id")


def _single(value: float) -> float:
    """Return the number rounded to float32, as it is stored; infinite where it is too large."""
    return ctypes.c_float(value).value  # np.float32 warns of an overflow, and is slower


def _value_detail(reason: str, name: str, column: Column) -> str:
    if reason == "out_of_physical_range":
        low, high = column.possible
        return f"{name} is {REASONS[reason]} ({low:g} to {high:g} {column.unit})"
    if reason == "unit_suspect":
        return f"{name} {REASONS[reason]} ({' or '.join(column.suspect)}); it is in {column.unit}"
    return f"{name} is {REASONS[reason]}"

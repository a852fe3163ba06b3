"""Messages with the same fields, judged by whole columns: equal to the last bit to judging one after the other.

A batch of a device repeats its fields, and a column costs little more than a number. Whatever is not plain (a text
where a number belongs, a time of another form, a value that is refused) is handed to `reading.parse_object`, which
alone says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from vitalwatch.reading import ACCEPTED, MAX_TEXT, Reading, Rejected, Rows, check, parse_object
from vitalwatch.schema import Schema
from vitalwatch.tables import Bools, Doubles
from vitalwatch.timestamps import parse_times, unsafe

FEW = 8  # of so many, columns cost more than they save
STAMP = range(20, 36)  # characters of a time that `parse_times` reads
NUMBERS = frozenset((int, float))
TEXTS = ("event_id", "device")

Found = Mapping[str, Any]


def parse_objects(
    found: Sequence[Found], schema: Schema, *, source: str = "", now_ms: int, max_ahead_ms: int = 300_000
) -> list[Reading | Rejected]:
    """Return what `reading.parse_object` returns for each of many JSON objects; the arguments are those of it."""
    told: list[Reading | Rejected | None] = [None] * len(found)
    for places in _alike(found):
        good = _judged([found[i] for i in places], schema, now_ms, max_ahead_ms) if len(places) >= FEW else ()
        for i, one in zip(places, good, strict=False):
            told[i] = one
    return [
        parse_object(found[i], schema, source=source, now_ms=now_ms, max_ahead_ms=max_ahead_ms) if one is None else one
        for i, one in enumerate(told)
    ]


def typed(found: Sequence[Found], people: Sequence[str], schema: Schema) -> tuple[Rows, Bools] | None:
    """Return objects with the same fields as typed rows, and which of them are plain (n,).

    Args:
        found: JSON objects; `person`, `event_id` and `device` are left to the caller, and whether all have those.
        people: Whose each is, (n,).
        schema: What columns there are.

    Returns:
        None where fields differ, one is none of the schema's, or a column is not plain.
    """
    names = [name for name in found[0] if name in schema.columns]
    known = sum(name in found[0] for name in ("time", "person", *TEXTS))
    if not names or len(names) + known != len(found[0]) or len(set(map(len, found))) > 1:
        return None
    try:
        times, *columns = zip(*map(itemgetter("time", *names), found), strict=True)
    except KeyError:
        return None
    stamps = _stamps(times)
    if stamps is None:
        return None
    time, offset, plain = parse_times(stamps)
    values: dict[str, Any] = {}
    for name, told in zip(names, columns, strict=True):
        column = _numbers(told)
        if column is None:
            return None
        values[name] = column
    places = {person: i for i, person in enumerate(dict.fromkeys(people))}
    alone = len(places) == 1
    who = np.zeros(len(people), np.int32) if alone else np.array([places[person] for person in people], np.int32)
    return Rows(tuple(places), who, time, offset, values), plain


def _alike(found: Sequence[Found]) -> list[list[int]]:
    """Return the places of messages with the same fields in the same order."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, one in enumerate(found):
        groups.setdefault(tuple(one), []).append(i)
    return list(groups.values())


def _judged(found: Sequence[Found], schema: Schema, now_ms: int, max_ahead_ms: int) -> list[Reading | None]:
    """Return the readings that are plain and good, None for those to look at one by one."""
    people = [one.get("person") for one in found]
    texts = {name: [one[name] for one in found] for name in TEXTS if name in found[0]}
    if {str} != set(map(type, people)) or not all(map(_plain_texts, texts.values())):
        return []
    rows = typed(found, people, schema)  # type: ignore[arg-type]
    if rows is None:
        return []
    judged, keys = check(rows[0], schema, now_ms=now_ms, max_ahead_ms=max_ahead_ms)
    good = (rows[1] & (keys == ACCEPTED)).tolist()
    names = [name for name in found[0] if name in judged.values]
    measured = zip(*(judged.values[name].tolist() for name in names), strict=True)
    whole = not any(np.isnan(column).any() for column in judged.values.values())
    nothing = [""] * len(found)
    events, devices = ([one or "" for one in texts[name]] if name in texts else nothing for name in TEXTS)
    told: list[Reading | None] = []
    for i, (row, time, offset) in enumerate(zip(measured, judged.time.tolist(), judged.offset.tolist(), strict=True)):
        if not good[i]:
            told.append(None)
            continue
        pairs = zip(names, row, strict=True)
        values = dict(pairs) if whole else {name: value for name, value in pairs if value == value}
        told.append(Reading(people[i], time, offset, values, events[i], devices[i]))  # type: ignore[arg-type]
    return told


def _stamps(times: Sequence[object]) -> np.ndarray | None:
    """Return times as ASCII codes (n, length), None where they are not texts of one length."""
    if set(map(type, times)) != {str}:
        return None
    lengths, text = set(map(len, times)), "".join(times)  # type: ignore[arg-type]
    length = next(iter(lengths))
    if len(lengths) != 1 or length not in STAMP or not text.isascii():
        return None
    return np.frombuffer(text.encode(), np.uint8).reshape(len(times), length)


def _numbers(column: Sequence[object]) -> Doubles | None:
    """Return numbers, NaN for null (n,); None where one is something else, or not a number."""
    kinds = set(map(type, column))
    nulls = 0
    if type(None) in kinds:
        nulls = sum(value is None for value in column)
        column = [np.nan if value is None else value for value in column]
        kinds.discard(type(None))
    if not kinds <= NUMBERS:
        return None
    try:
        numbers = np.array(column, np.float64)
    except OverflowError:
        return None
    return numbers if int(np.isnan(numbers).sum()) == nulls else None


def _plain_texts(texts: Sequence[object]) -> bool:
    """Return whether all are texts that may be kept, or null."""
    sent = [text for text in texts if text is not None]
    if not sent:
        return True
    if set(map(type, sent)) != {str} or max(map(len, sent)) > MAX_TEXT:  # type: ignore[arg-type]
        return False
    return not unsafe("".join(sent))  # type: ignore[arg-type]

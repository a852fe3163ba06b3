"""Readings in a request -> arrays for the monitor: whole columns where all is plain, row by row where something is not.

Both ways judge by the one validator; the second tells which reading is refused and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitalwatch.alike import typed
from vitalwatch.api.problem import Fault, Problem
from vitalwatch.devices import codes
from vitalwatch.reading import ACCEPTED, Rejected, check, parse_object
from vitalwatch.schema import Schema
from vitalwatch.tables import Care, Readings
from vitalwatch.timestamps import parse_time

SOMEBODY = "somebody"  # a window of readings belongs to one person, whoever that is
OTHER = frozenset(("person", "event_id", "device"))  # fields that only `_by_row` looks at
FEW = 4  # rows, from which columns are quicker


def readings_of(rows: Sequence[Any], schema: Schema, now_ms: int, max_ahead_ms: int, at: str = "/readings") -> Readings:
    """Return the readings of one person, oldest first.

    Args:
        rows: JSON objects with time and any columns of the schema.
        schema: What columns there are and what they may hold.
        now_ms, max_ahead_ms: A time later than both together is refused.
        at: Where the rows stand in the request, as a JSON pointer.

    Raises:
        Problem: One or more rows are refused; nothing is judged then.
    """
    found = _by_column(rows, schema, now_ms, max_ahead_ms)
    if found is None:
        found = _by_row(rows, schema, now_ms, max_ahead_ms, at)
    if len(found) > 1 and np.any(found.time[1:] < found.time[:-1]):
        return found.rows(np.argsort(found.time, kind="stable"))
    return found


def care_of(rows: Sequence[Any], schema: Schema, now_ms: int, max_ahead_ms: int) -> Care:
    """Return what a request tells beside the vitals (`forms.Beside`), oldest first; raises Problem as `readings_of`."""
    names, told, faults = tuple(schema.care), [], list[Fault]()
    for i, row in enumerate(rows):
        when = parse_time(row.time)
        if isinstance(when, str):
            faults.append(Fault(f"/care/{i}/time", when))
        elif when[0] > now_ms + max_ahead_ms:
            faults.append(Fault(f"/care/{i}/time", "clock_skew"))
        elif row.name not in schema.care:
            faults.append(Fault(f"/care/{i}/name", "unknown_value"))
        elif not schema.care[row.name].possible[0] <= row.value <= schema.care[row.name].possible[1]:
            faults.append(Fault(f"/care/{i}/value", "out_of_range"))
        else:
            told.append((when[0], names.index(row.name), row.value))
    if faults:
        told_of = f"{len(faults)} of {len(rows)} values beside the vitals are refused."
        raise Problem(faults[0].code, told_of, faults=faults)
    time, what, value = zip(*sorted(told), strict=True)
    return Care(SOMEBODY, np.asarray(time, np.int64), np.asarray(what, np.int16), np.asarray(value, np.float32), names)


def _by_column(rows: Sequence[Any], schema: Schema, now_ms: int, max_ahead_ms: int) -> Readings | None:
    """Return the readings where every row is plain and good, None where one has to be looked at."""
    if len(rows) < FEW or set(map(type, rows)) != {dict} or not OTHER.isdisjoint(rows[0]):
        return None
    found = typed(rows, (SOMEBODY,) * len(rows), schema)
    if found is None:
        return None
    judged, keys = check(found[0], schema, now_ms=now_ms, max_ahead_ms=max_ahead_ms)
    if not found[1].all() or np.any(keys != ACCEPTED):
        return None
    return Readings(SOMEBODY, judged.time, judged.offset, judged.values)


def _by_row(rows: Sequence[Any], schema: Schema, now_ms: int, max_ahead_ms: int, at: str) -> Readings:
    good, faults = [], []
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            faults.append(Fault(f"{at}/{i}", "wrong_type", "a reading is a JSON object"))
            continue
        named = row if "person" in row else {**row, "person": SOMEBODY}
        judged = parse_object(named, schema, now_ms=now_ms, max_ahead_ms=max_ahead_ms)
        if isinstance(judged, Rejected):
            faults.append(Fault(f"{at}/{i}", judged.reason, judged.detail))
        else:
            good.append(judged)
    if not faults and len({reading.person for reading in good}) > 1:
        faults = [Fault(at, "unknown_value", "a window holds readings of one person")]
    if faults:
        raise Problem(faults[0].code, f"{len(faults)} of {len(rows)} readings are refused.", faults=faults)
    time = np.array([reading.time for reading in good], np.int64)
    offset = np.array([reading.offset for reading in good], np.int16)
    names = dict.fromkeys(name for reading in good for name in reading.values)
    columns = {name: np.array([r.values.get(name, np.nan) for r in good], np.float32) for name in names}
    return Readings(SOMEBODY, time, offset, columns, codes([reading.device for reading in good]))

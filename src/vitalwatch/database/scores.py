"""What the monitor said about grid rows, as rows; the newest may be told again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, select

from vitalwatch.database.connection import bulk
from vitalwatch.database.layouts import Layouts
from vitalwatch.database.people import Person, Wards, within
from vitalwatch.database.tables import people, scores
from vitalwatch.tables import Answers, Bools, Floats, Times

COLUMNS = ("person", "time", "run", "flags", "kind", "minute", "layout", "body")
NUMBERS = ("score", "p_value", "unusual", "known", "probability", "expected_heart_rate", "usual_heart_rate_spread")
ANOMALY, ASSESSABLE, OWN, WORN, GAP = (1 << bit for bit in range(5))
BESIDE = "heart_rate"  # has its centre and spread in NUMBERS, for the very moment
FILLED = 5  # first bit of the vitals that were carried forward


@dataclass(frozen=True)
class Timeline:
    """Scored grid rows of one person, oldest first; all arrays (n,).

    Attributes:
        time: Start of each grid step, UTC ms.
        minute: Local minute of the day.
        run: Whose models judged, by row.
        anomaly, assessable, own_baseline, worn, gap: As in `Answers` and `Grid`.
        kind: Of a known episode, empty where none.
        values: Name -> float32: grid columns, NUMBERS, `residual:<vital>` and `contribution:<vital>`; of vitals other
            than heart rate `centre:<vital>` and `spread:<vital>`, as in `Answers`.
        filled: Vital -> whether it was carried forward.
    """

    time: Times
    minute: np.ndarray
    run: tuple[str, ...]
    anomaly: Bools
    assessable: Bools
    own_baseline: Bools
    worn: Bools
    gap: Bools
    kind: tuple[str, ...]
    values: dict[str, Floats]
    filled: dict[str, Bools]

    def __len__(self) -> int:
        return len(self.time)


def rows_of(
    connection: Connection, layouts: Layouts, person: Person, answers: Answers, run: str
) -> list[tuple[Any, ...]]:
    """Return the table rows of a monitor's answers, in the order of COLUMNS."""
    grid = answers.grid
    told = (*NUMBERS, *grid.names)
    told += tuple(f"residual:{name}" for name in answers.vitals)
    told += tuple(f"contribution:{name}" for name in answers.vitals)
    others = [i for i, name in enumerate(answers.vitals) if name != BESIDE]
    told += tuple(f"{what}:{answers.vitals[i]}" for what in ("centre", "spread") for i in others)
    layout = layouts.of_names(connection, told)
    numbers = np.stack([getattr(answers, name) for name in NUMBERS], axis=1)
    normal = answers.centre[:, others], answers.spread[:, others]
    table = np.concatenate((numbers, grid.values, answers.residual, answers.contribution, *normal), axis=1, dtype="<f4")
    body, width = table.tobytes(), 4 * table.shape[1]
    flags = _flags(answers)
    kinds = answers.kinds
    times, own = answers.time.tolist(), zip(flags, answers.kind.tolist(), grid.minute.tolist(), strict=True)
    return [
        (
            person.no,
            times[i],
            run,
            flag,
            kinds[kind] if kind >= 0 else "",
            minute,
            layout.no,
            body[i * width : (i + 1) * width],
        )
        for i, (flag, kind, minute) in enumerate(own)
    ]


def _flags(answers: Answers) -> list[int]:
    grid = answers.grid
    flags = answers.is_anomaly * ANOMALY + answers.assessable * ASSESSABLE + answers.own_baseline * OWN
    flags = flags + grid.worn * WORN + (grid.segment < 0) * GAP
    bits = np.left_shift(1, FILLED + np.arange(grid.filled.shape[1]))
    told: list[int] = (flags + grid.filled @ bits).tolist()
    return told


_AGAIN = delete(scores).where(scores.c.person == bindparam("_person"), scores.c.time >= bindparam("_time"))


def write(connection: Connection, rows: list[tuple[Any, ...]], again: Sequence[tuple[int, int]]) -> None:
    """Write rows; a person's newest row that was there may be among them and is replaced.

    Args:
        connection: The writer.
        rows: From `rows_of`.
        again: Number of a person, and start of the row that is told again, where one is.
    """
    if again:
        connection.execute(_AGAIN, [{"_person": person, "_time": time} for person, time in again])
    bulk(connection, scores, COLUMNS, rows)


def timeline(
    connection: Connection, layouts: Layouts, person: Person, since: int, until: int, vitals: tuple[str, ...]
) -> Timeline:
    """Return a person's rows in [since, until)."""
    c = scores.c
    which = select(c.time, c.minute, c.run, c.flags, c.kind, c.layout, c.body)
    which = which.where(c.person == person.no, c.time >= since, c.time < until).order_by(c.time)
    rows = connection.execute(which).all()
    time, minute, run, flags, kind, kinds, bodies = zip(*rows, strict=True) if rows else ((),) * 7
    bits = np.asarray(flags, np.int64)

    def flag(bit: int) -> Bools:
        found: Bools = (bits & bit) > 0
        return found

    return Timeline(
        time=np.asarray(time, np.int64),
        minute=np.asarray(minute, np.int16),
        run=tuple(run),
        anomaly=flag(ANOMALY),
        assessable=flag(ASSESSABLE),
        own_baseline=flag(OWN),
        worn=flag(WORN),
        gap=flag(GAP),
        kind=tuple(kind),
        values=layouts.columns(connection, kinds, bodies) if rows else {},
        filled={name: flag(1 << (FILLED + i)) for i, name in enumerate(vitals)},
    )


def newest_until(connection: Connection, person: Person, time: int) -> int:
    """Return the start of a person's newest row up to a time, UTC ms; -1 before the first."""
    which = select(func.max(scores.c.time)).where(scores.c.person == person.no, scores.c.time <= time)
    found = connection.execute(which).scalar()
    return -1 if found is None else int(found)


def rows_since(connection: Connection, wards: Wards, since: int) -> int:
    """Return how many grid rows of the people of some wards were scored from a time on, UTC ms."""
    joined = scores.join(people, people.c.no == scores.c.person)
    which = select(func.count()).select_from(joined).where(scores.c.time >= since, *within(wards))
    return int(connection.execute(which).scalar() or 0)

"""Float32 numbers as bytes, and a table that says what they are: rows of any schema, also of one that changes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from vitalwatch.database.connection import take
from vitalwatch.database.tables import layouts
from vitalwatch.tables import Floats

NAN = np.float32(np.nan)


@dataclass(frozen=True)
class Layout:
    """What the numbers of a body are.

    Attributes:
        no: Number within this database.
        names: In order.
        chosen: Takes the values out of a mapping, in order.
        form: How they are packed: little-endian float32.
    """

    no: int
    names: tuple[str, ...]
    chosen: Callable[[Mapping[str, float]], Any]
    form: struct.Struct

    @staticmethod
    def of(no: int, names: tuple[str, ...]) -> Layout:
        """Return a layout."""
        one = itemgetter(*names) if names else lambda values: ()
        chosen = one if len(names) != 1 else lambda values: (one(values),)
        return Layout(no, names, chosen, struct.Struct(f"<{len(names)}f"))

    def pack(self, values: Mapping[str, float]) -> bytes:
        """Return the bytes of values by name."""
        return self.form.pack(*self.chosen(values))


class Layouts:
    """The layouts of one database, read when first asked for; safe to share between threads."""

    def __init__(self) -> None:
        self._by_no: dict[int, Layout] = {}
        self._by_names: dict[tuple[str, ...], Layout] = {}
        self._sent: dict[tuple[str, ...], Layout] = {}  # as sent, in any order

    def of_values(self, connection: Connection, values: Mapping[str, float]) -> Layout:
        """Return the layout of some values, the same for every order; the writer makes it where it is new."""
        sent = tuple(values)
        found = self._sent.get(sent)
        if found is None:
            found = self._sent[sent] = self.of_names(connection, tuple(sorted(sent)))
        return found

    def of_names(self, connection: Connection, names: tuple[str, ...]) -> Layout:
        """Return the layout of names in order; the writer makes it where it is new."""
        found = self._by_names.get(names)
        if found is None:
            text = json.dumps(names)
            no = connection.execute(select(layouts.c.no).where(layouts.c.names == text)).scalar()
            if no is None:
                no = take(connection, "layout")
                connection.execute(layouts.insert().values(no=no, names=text))
            found = self._by_names[names] = self._by_no[int(no)] = Layout.of(int(no), names)
        return found

    def forget(self) -> None:
        """Forget everything: a transaction that made layouts was rolled back, or the database is another."""
        self._by_no, self._by_names, self._sent = {}, {}, {}

    def columns(self, connection: Connection, which: Sequence[int], bodies: Sequence[bytes]) -> dict[str, Floats]:
        """Return name -> float32 (n,) of rows, NaN where a row's layout lacks the name.

        Args:
            connection: To look up layouts.
            which: Number of each row's layout, (n,).
            bodies: Their bytes, (n,).
        """
        kinds = set(which)
        if len(kinds) == 1:
            return self._same(connection, next(iter(kinds)), bodies)
        found: dict[str, Floats] = {}
        places = np.asarray(which, np.int64)
        for kind in sorted(kinds):
            rows = np.flatnonzero(places == kind)
            for name, column in self._same(connection, kind, [bodies[i] for i in rows.tolist()]).items():
                found.setdefault(name, np.full(len(bodies), NAN))[rows] = column
        return found

    def _same(self, connection: Connection, no: int, bodies: Sequence[bytes]) -> dict[str, Floats]:
        layout = self._by_no.get(no) or self._read(connection, no)
        table = np.frombuffer(b"".join(bodies), "<f4").reshape(len(bodies), len(layout.names))
        return {name: table[:, i].copy() for i, name in enumerate(layout.names)}

    def _read(self, connection: Connection, no: int) -> Layout:
        names = connection.execute(select(layouts.c.names).where(layouts.c.no == no)).scalar_one()
        found = self._by_no[no] = Layout.of(no, tuple(json.loads(names)))  # a reader may look at an earlier moment:
        return found  # what the writer counts on is what writers have seen

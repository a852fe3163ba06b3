"""Refused readings, kept encrypted as they came, until somebody mends the cause or their time is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select

from vitalwatch.database.connection import take
from vitalwatch.database.people import AT_ONCE, Wards
from vitalwatch.database.tables import quarantine
from vitalwatch.database.vault import Secret


@dataclass(frozen=True)
class Refused:
    """One refused reading.

    Attributes:
        source, position: Where it came from, and its place in what was sent.
        reason, detail: As in `reading.Rejected`; never what was sent.
        validator: Version of the rules.
        raw: What was sent.
        person: Pseudonym where the message named somebody, else empty.
        ward, actor: Of the one who sent it.
        key: Stands for its event id where it has none, by the `Idempotency-Key` it came with; never told.
        no, received: Given when stored.
    """

    source: str
    position: int
    reason: str
    detail: str
    validator: str
    raw: bytes
    person: str
    ward: str
    actor: str
    key: str = ""
    no: int = 0
    received: int = 0


@dataclass(frozen=True)
class Which:
    """Which refused readings: behind a number, so many at most, of one reason, from the oldest or the newest on."""

    after: int = 0
    most: int = 100
    reason: str = ""
    newest: bool = False


@dataclass(frozen=True)
class Quarantined:
    """Some refused readings without what was sent, and how many are kept in all, by reason."""

    refused: list[Refused]
    counts: dict[str, int]


class Opened(NamedTuple):
    """What was sent, and the key that stands for its event id, empty for none."""

    raw: bytes
    key: str


OLDEST = Which()
SEALED = ("raw", "key")
_KEYED = (
    b"\0keyed\0"  # what is sealed with a key begins so, then the key's length; a message that begins so has one too
)
_SEALED = select(quarantine.c.no, quarantine.c.sealed).where(quarantine.c.no.in_(bindparam("numbers", expanding=True)))
_TOLD = [quarantine.c[name] for name in Refused.__dataclass_fields__ if name not in SEALED]


def add(connection: Connection, secret: Secret, refused: Sequence[Refused], now: int) -> None:
    """Keep refused readings."""
    if not refused:
        return
    first = take(connection, "refused", len(refused))
    rows = []
    for no, one in enumerate(refused, start=first):
        row = {name: value for name, value in vars(one).items() if name not in SEALED}
        rows.append({**row, "no": no, "received": now, "sealed": secret.seal(_joined(one), f"quarantine.sealed:{no}")})
    connection.execute(quarantine.insert(), rows)


def listed(connection: Connection, wards: Wards, which: Which = OLDEST) -> list[Refused]:
    """Return refused readings without what was sent."""
    c = quarantine.c
    wanted = select(*_TOLD).where(c.no > which.after)
    if wards is not None:
        wanted = wanted.where(c.ward.in_(sorted(wards)))
    if which.reason:
        wanted = wanted.where(c.reason == which.reason)
    rows = connection.execute(wanted.order_by(c.no.desc() if which.newest else c.no).limit(which.most))
    return [Refused(raw=b"", **row._mapping) for row in rows]


def looked_at(connection: Connection, wards: Wards, which: Which = OLDEST) -> Quarantined:
    """Return those asked for, and counts of all that whoever asks may see."""
    return Quarantined(listed(connection, wards, which), counts(connection, wards))


def counts(connection: Connection, wards: Wards) -> dict[str, int]:
    """Return how many are kept, by reason."""
    which = select(quarantine.c.reason, func.count()).group_by(quarantine.c.reason)
    if wards is not None:
        which = which.where(quarantine.c.ward.in_(sorted(wards)))
    return {reason: int(count) for reason, count in connection.execute(which)}


def opened(connection: Connection, secret: Secret, numbers: Sequence[int]) -> dict[int, Opened]:
    """Return what was sent, by number; to run it through the rules again, or to export it."""
    found = {}
    for start in range(0, len(numbers), AT_ONCE):
        rows = connection.execute(_SEALED, {"numbers": numbers[start : start + AT_ONCE]})
        found.update({int(no): _parted(secret.open(sealed, f"quarantine.sealed:{no}")) for no, sealed in rows})
    return found


def wards_of(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Return the wards of refused readings that are there, by number."""
    c, found = quarantine.c, {}
    for start in range(0, len(numbers), AT_ONCE):
        rows = connection.execute(select(c.no, c.ward).where(c.no.in_(numbers[start : start + AT_ONCE])))
        found.update({int(no): str(ward) for no, ward in rows})
    return found


def newest_of_people(connection: Connection, after: int, since: int) -> dict[str, tuple[int, str]]:
    """Return time of coming (UTC ms) and reason of each person's newest refused reading behind a number.

    Args:
        connection: Any.
        after: A number.
        since: That came from this time on, UTC ms.
    """
    c = quarantine.c
    mine = (c.no > after, c.received >= since, c.person != "")
    numbers = select(func.max(c.no)).where(*mine).group_by(c.person)
    rows = connection.execute(select(c.person, c.received, c.reason).where(c.no.in_(numbers)))
    return {person: (int(received), reason) for person, received, reason in rows}


def remove(connection: Connection, numbers: Sequence[int]) -> None:
    """Let go of refused readings that were accepted on another try."""
    for start in range(0, len(numbers), AT_ONCE):
        connection.execute(delete(quarantine).where(quarantine.c.no.in_(numbers[start : start + AT_ONCE])))


def _joined(one: Refused) -> bytes:
    """Return what is sealed of a refused reading."""
    if not one.key and not one.raw.startswith(_KEYED):
        return one.raw
    key = one.key.encode()
    return _KEYED + len(key).to_bytes(4, "big") + key + one.raw


def _parted(content: bytes) -> Opened:
    if not content.startswith(_KEYED):
        return Opened(content, "")
    begin = len(_KEYED) + 4
    end = begin + int.from_bytes(content[len(_KEYED) : begin], "big")
    return Opened(content[end:], content[begin:end].decode())

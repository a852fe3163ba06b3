"""API keys: made here, shown once, kept as hashes; each may do what its scopes say, for the people of its wards.

A key is 256 random bits, so its hash needs no slow function: nobody can try 2^256 keys, and scrypt would cost every
request 50 ms that an attacker does not pay. HMAC-SHA-256 under a key that the database does not hold, so that a stolen
table is not even a list of hashes to test against. Rotation makes a new key; the old one lives on for the overlap.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from vitalwatch.database.people import Wards
from vitalwatch.database.tables import access_keys
from vitalwatch.database.vault import Secret
from vitalwatch.errors import NotFound, UsageError

INGEST, READ, ACK, ADMIN = "ingest", "read", "ack", "admin"
SCOPES = (INGEST, READ, ACK, ADMIN)
PREFIX = "vw"  # so that a key that leaks can be searched for
EVERYWHERE = "*"
WARD = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
WARD_RULE = "A ward is named by up to 64 letters, digits, `_`, `.`, `:` or `-`"
_TOKEN = re.compile(r"vw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Key:
    """One key, without its secret.

    Attributes:
        id: Stands in the audit log and before the secret.
        name: What somebody called it.
        scopes: Of SCOPES.
        wards: Whose people it may see, None for all.
        created, ends: UTC ms; None for a key that does not end.
    """

    id: str
    name: str
    scopes: frozenset[str]
    wards: Wards
    created: int
    ends: int | None

    def may(self, scope: str) -> bool:
        """Return whether it has a scope."""
        return scope in self.scopes


def make(
    connection: Connection, secret: Secret, name: str, scopes: Iterable[str], wards: Wards, now: int, ends: int | None
) -> tuple[Key, str]:
    """Make a key and return it with its token, which cannot be shown again.

    Raises:
        UsageError: A scope or a ward is not one.
    """
    chosen = frozenset(scopes)
    if not chosen or not chosen <= set(SCOPES):
        raise UsageError(f"A key has one or more of the scopes {', '.join(SCOPES)}.")
    if wards is not None and (not wards or not all(re.fullmatch(WARD, ward) for ward in wards)):
        raise UsageError(f"{WARD_RULE}; `*` stands for all.")
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise UsageError("A key's name has up to 64 printable characters.")
    key = Key(secrets.token_hex(6), name, chosen, wards, now, ends)
    token = f"{PREFIX}_{key.id}_{secrets.token_urlsafe(32)}"
    connection.execute(
        access_keys.insert().values(
            id=key.id,
            name=name,
            digest=_digest(secret, token),
            scopes=" ".join(sorted(chosen)),
            wards=EVERYWHERE if wards is None else " ".join(sorted(wards)),
            created=now,
            ends=ends,
        )
    )
    return key, token


def find(connection: Connection, secret: Secret, token: str, now: int) -> Key | None:
    """Return the key of a token, None where it is none or its time is over."""
    told = _TOKEN.fullmatch(token)
    if told is None:
        return None
    row = connection.execute(select(access_keys).where(access_keys.c.id == told[1])).first()
    digest = _digest(secret, token)
    if row is None or not hmac.compare_digest(digest, bytes(row.digest)):
        return None
    key = _key(row)
    return key if key.ends is None or now < key.ends else None


def told_id(connection: Connection, token: str) -> str:
    """Return the id of the key that a token claims to be, whether it is or not; empty where there is no such key."""
    told = _TOKEN.fullmatch(token)
    if told is None:
        return ""
    return str(connection.execute(select(access_keys.c.id).where(access_keys.c.id == told[1])).scalar() or "")


def listed(connection: Connection) -> list[Key]:
    """Return all keys, oldest first."""
    return list(map(_key, connection.execute(select(access_keys).order_by(access_keys.c.created, access_keys.c.id))))


def any_made(connection: Connection) -> bool:
    """Return whether a key was ever made, also one that has ended.

    With the first key a house closes its door: were valid ones counted, the end of the last would open it to everybody
    on the machine.
    """
    return connection.execute(select(access_keys.c.id).limit(1)).first() is not None


def end(connection: Connection, id: str, at: int) -> Key:
    """End a key at a time, never later than it would; raises NotFound."""
    key = named(connection, id)
    ends = at if key.ends is None else min(at, key.ends)
    connection.execute(update(access_keys).where(access_keys.c.id == id).values(ends=ends))
    return named(connection, id)


def rotate(connection: Connection, secret: Secret, id: str, now: int, overlap_ms: int) -> tuple[Key, str]:
    """Make a key that may what another may, and end that one after the overlap; raises NotFound."""
    old = named(connection, id)
    made = make(connection, secret, old.name, old.scopes, old.wards, now, None)
    end(connection, id, now + overlap_ms)
    return made


def named(connection: Connection, id: str) -> Key:
    """Return a key by id; raises NotFound."""
    row = connection.execute(select(access_keys).where(access_keys.c.id == id)).first()
    if row is None:
        raise NotFound("This key", "`python main.py keys list` shows what is there.")
    return _key(row)


def wards_of(told: Sequence[str]) -> Wards:
    """Return wards as given on the command line: `*` is all."""
    return None if EVERYWHERE in told else frozenset(told)


def _key(row: Any) -> Key:
    wards = None if row.wards == EVERYWHERE else frozenset(row.wards.split())
    return Key(row.id, row.name, frozenset(row.scopes.split()), wards, int(row.created), row.ends)


def _digest(secret: Secret, token: str) -> bytes:
    return hmac.digest(secret.access, token.encode(), "sha256")

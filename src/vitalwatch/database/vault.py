"""Who is behind a pseudonym: made at the door, kept encrypted in one table, and nowhere else.

A pseudonym is HMAC-SHA-256 of the identifier under a key that the database does not hold, so it is the same every time
and cannot be guessed backwards. What is encrypted is AES-256-GCM with a random nonce, bound to its place, so that a
value copied to another row does not open. One secret of 32 bytes gives every key, by HMAC of what the key is for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from vitalwatch import keyfile
from vitalwatch.database import generation
from vitalwatch.database.tables import facts, vault
from vitalwatch.errors import DatabaseError, StoreError
from vitalwatch.settings import DATABASE_KEY

VARIABLE = DATABASE_KEY
SECRET_BYTES = 32
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2.2
PERSON, DEVICE, ACCOUNT = "person", "device", "account"
PREFIX = {PERSON: "p-", DEVICE: "d-", ACCOUNT: "u-"}
DIGITS = 26  # of base32: 130 bits
_PSEUDONYM = re.compile(r"p-[a-z2-7]{26}")


class Secret:
    """The keys of one database; never printed."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise StoreError(VARIABLE, f"is not a key of {SECRET_BYTES} bytes in base64", "Restore the right one")
        self._pseudonyms = _derived(secret, "pseudonyms")
        self._events = _derived(secret, "events")
        self._sealing = _derived(secret, "sealing")
        self.audit = _derived(secret, "audit")
        self.access = _derived(secret, "access keys")
        self.id = _derived(secret, "id")[:8].hex()

    def __repr__(self) -> str:
        return f"Secret({self.id})"

    @classmethod
    def load(cls, path: Path, *, create: bool, environ: Mapping[str, str] = os.environ) -> Secret:
        """Return the key of VITALWATCH_DATABASE_KEY (base64), else of a file that only its owner can read.

        Args:
            path: The file, base64.
            create: Whether to make one where there is none; never for a database that has data in it.
            environ: The environment.

        Raises:
            StoreError: It is missing, can be read by others, or is no such key.
        """
        if told := environ.get(VARIABLE, ""):
            return cls(_decoded(told, VARIABLE))
        if not path.exists():
            if not create:
                raise StoreError(
                    path, "the key of the database is missing", f"Restore it from your backup, or set {VARIABLE}"
                )
            keyfile.make(path, lambda: base64.b64encode(os.urandom(SECRET_BYTES)) + b"\n")
        return cls(_decoded(keyfile.secret(path, "key of the database", VARIABLE).decode("ascii", "replace"), path))

    def pseudonym(self, identifier: str, kind: str = PERSON) -> str:
        """Return the pseudonym of an identifier; one of a person comes back as it is."""
        if kind == PERSON and _PSEUDONYM.fullmatch(identifier):
            return identifier
        digest = hmac.digest(self._pseudonyms, f"{kind}\x1f{identifier}".encode(), "sha256")
        return PREFIX[kind] + base64.b32encode(digest).decode("ascii")[:DIGITS].lower()

    def event(self, *parts: bytes) -> bytes:
        """Return the 16 bytes that stand for an event id or for what is in a reading."""
        return hmac.digest(self._events, b"\x1f".join(parts), "sha256")[:16]

    def seal(self, content: bytes, place: str) -> bytes:
        """Return content encrypted for one place (`table.column:row`)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._sealing).encrypt(nonce, content, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return what `seal` was given for this place; raises DatabaseError where it was tampered with."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._sealing).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except InvalidTag:
            hint = "It was changed or moved; `python main.py database restore` brings back a backup"
            raise DatabaseError(place.partition(":")[0], "an encrypted value does not open", hint) from None

    def seal_json(self, value: Any, place: str) -> bytes:
        """Return a JSON value encrypted for one place."""
        return self.seal(json.dumps(value).encode(), place)

    def open_json(self, sealed: bytes, place: str) -> Any:
        """Return what `seal_json` was given."""
        return json.loads(self.open(sealed, place))


def recognised(connection: Connection, secret: Secret) -> bool:
    """Return whether this database was made with this key, False for a new one.

    Raises:
        DatabaseError: It was made with another key, whose pseudonyms and encrypted columns would be lost.
    """
    found = connection.execute(select(facts.c.value).where(facts.c.name == "key")).scalar()
    if found is not None and not hmac.compare_digest(str(found), secret.id):
        raise DatabaseError("config.database.key", "this database was made with another key", "Restore that one")
    return found is not None


def introduce(connection: Connection, secret: Secret) -> None:
    """Tell a new database its key."""
    if not recognised(connection, secret):
        connection.execute(facts.insert().values(name="key", value=secret.id))
        generation.begin(connection)


def remember(connection: Connection, secret: Secret, identities: Iterable[tuple[str, str, str]]) -> None:
    """Write (pseudonym, kind, identifier) into the vault; those that stand there already stay."""
    known = {pseudonym: (kind, identifier) for pseudonym, kind, identifier in identities if pseudonym != identifier}
    if not known:
        return
    names = list(known)
    there = set(connection.execute(select(vault.c.pseudonym).where(vault.c.pseudonym.in_(names))).scalars())
    rows = [
        {"pseudonym": name, "kind": kind, "sealed": secret.seal(identifier.encode(), f"vault.sealed:{name}")}
        for name, (kind, identifier) in known.items()
        if name not in there
    ]
    if rows:
        connection.execute(vault.insert(), rows)


def stands(connection: Connection, pseudonym: str) -> bool:
    """Return whether a pseudonym stands in the vault."""
    return connection.execute(select(vault.c.kind).where(vault.c.pseudonym == pseudonym)).first() is not None


def names_of(connection: Connection, secret: Secret, pseudonyms: Iterable[str]) -> dict[str, str]:
    """Return pseudonym -> identifier, for those that are known."""
    wanted = list(pseudonyms)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), 500):
        rows = select(vault.c.pseudonym, vault.c.sealed).where(vault.c.pseudonym.in_(wanted[start : start + 500]))
        for name, sealed in connection.execute(rows):
            found[name] = secret.open(sealed, f"vault.sealed:{name}").decode()
    return found


def _derived(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"vitalwatch {purpose} 1".encode(), hashlib.sha256)


def _decoded(text: str, where: Path | str) -> bytes:
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise StoreError(where, f"is not a key of {SECRET_BYTES} bytes in base64", "Restore the right one")
    return secret

"""A key of each person's own, for what is kept about them where nothing may be deleted: the audit log.

It lies in the vault, encrypted under the key of the database, and goes when the person is erased: what it sealed stays
where it is, and nobody opens it any more.
"""

from __future__ import annotations

import os

from sqlalchemy import Connection, select

from vitalwatch.database.tables import vault
from vitalwatch.database.vault import SECRET_BYTES, Secret

KIND = "key"


def name_of(pseudonym: str) -> str:
    """Return the name under which the key of a person lies in the vault."""
    return f"k{pseudonym[1:]}"


def made(connection: Connection, secret: Secret, pseudonym: str) -> Secret:
    """Return the key of a person; the writer makes it at first use."""
    found = read(connection, secret, pseudonym)
    if found is not None:
        return found
    name, key = name_of(pseudonym), os.urandom(SECRET_BYTES)
    connection.execute(vault.insert().values(pseudonym=name, kind=KIND, sealed=secret.seal(key, _place(name))))
    return Secret(key)


def read(connection: Connection, secret: Secret, pseudonym: str) -> Secret | None:
    """Return the key of a person, None where there is none (any more)."""
    name = name_of(pseudonym)
    sealed = connection.execute(select(vault.c.sealed).where(vault.c.pseudonym == name, vault.c.kind == KIND)).scalar()
    return None if sealed is None else Secret(secret.open(bytes(sealed), _place(name)))


def _place(name: str) -> str:
    return f"vault.sealed:{name}"

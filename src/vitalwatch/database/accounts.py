"""Accounts of an identity provider: a keyed pseudonym wherever it is written who did something, the name in the vault.

A subject can be a name or an address, and is as long as its provider likes: the pseudonym is of the whole of it and its
issuer, so two accounts are never one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from sqlalchemy import Connection

from vitalwatch.database import vault
from vitalwatch.database.connection import Database
from vitalwatch.database.vault import ACCOUNT, PREFIX, Secret
from vitalwatch.errors import DatabaseError

log = logging.getLogger(__name__)


class Accounts:
    """The accounts that one database knows."""

    def __init__(self, database: Database, secret: Secret) -> None:
        self._database, self._secret = database, secret

    def pseudonym(self, issuer: str, subject: str) -> str:
        """Return what an account is called here; who it is goes into the vault, where it does not stand there yet."""
        who = json.dumps([issuer, subject])
        name = self._secret.pseudonym(who, ACCOUNT)
        try:
            with self._database.reading() as connection:
                known = vault.stands(connection, name)
            if not known:
                with self._database.writing() as connection:
                    vault.remember(connection, self._secret, [(name, ACCOUNT, who)])
        except DatabaseError as error:  # the pseudonym is right all the same; its name is written the next time
            log.warning("the name of an account is not kept: %s", error)
        return name


def names_of(connection: Connection, secret: Secret, actors: Iterable[str]) -> dict[str, str]:
    """Return pseudonym -> subject, of those actors that are accounts."""
    accounts = {actor for actor in actors if actor.startswith(PREFIX[ACCOUNT])}
    return {name: str(json.loads(who)[1]) for name, who in vault.names_of(connection, secret, accounts).items()}

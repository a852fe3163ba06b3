"""Notices on their way out: a row for each receiver, gone once it is accepted. `alerting.notices` carries them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, delete, func, select

from vitalwatch.alerting.alerts import Alert, Transition
from vitalwatch.alerting.notices import Notice, notable
from vitalwatch.database.connection import Database, take
from vitalwatch.database.people import Person
from vitalwatch.database.tables import notices


def add(connection: Connection, told: Iterable[tuple[Person, Alert, Transition]], receivers: Sequence[str]) -> None:
    """Write what is worth telling, in the transaction that made it so."""
    worth = [one for one in told if notable(one[1], one[2])]
    if not worth or not receivers:
        return
    number, rows = take(connection, "notice", len(worth) * len(receivers)), []
    for receiver in receivers:
        for person, alert, transition in worth:
            body = json.dumps(Notice(number, alert, transition).to_json())
            rows.append(
                {"no": number, "receiver": receiver, "person": person.no, "pseudonym": person.pseudonym, "body": body}
            )
            number += 1
    connection.execute(notices.insert(), rows)


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many wait, by receiver."""
    counted = select(notices.c.receiver, func.count()).group_by(notices.c.receiver)
    return {str(receiver): int(n) for receiver, n in connection.execute(counted)}


def drop_others(connection: Connection, receivers: Collection[str]) -> None:
    """Forget what waits for receivers that are no longer there: nobody would ever take it."""
    connection.execute(delete(notices).where(notices.c.receiver.not_in(list(receivers))))


class Outgoing:
    """The outbox of `alerting.notices` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, receiver: str, limit: int, without: Collection[str]) -> Sequence[Notice]:
        """Return notices not yet delivered to a receiver, oldest first, but for some people."""
        c = notices.c
        which = select(c.body).where(c.receiver == receiver, c.pseudonym.not_in(list(without)))
        with self._database.reading() as connection:
            found = connection.execute(which.order_by(c.no).limit(limit)).scalars()
            return [Notice.from_json(json.loads(body)) for body in found]

    def delivered(self, receiver: str, notice: Notice) -> None:
        """Write down that a receiver accepted a notice."""
        with self._database.writing() as connection:
            connection.execute(delete(notices).where(notices.c.no == notice.sequence, notices.c.receiver == receiver))

"""A lock that one PostgreSQL session in the world has: free as soon as its connection is gone, however that happens.

A connection of its own, outside of the pool, so that nothing else ends it. Where a machine goes without a word, both
sides find out by TCP's keepalives within half a minute; a pooler that hands sessions round (transactions of PgBouncer)
cannot hold it.
"""

from __future__ import annotations

import contextlib

from sqlalchemy import Connection, NullPool, create_engine, text

from vitalwatch.database.connection import Database

PURPOSE = 0x76697461  # first of the two numbers: locks of ours
WATCH = 1  # the second: the watch over a database
IDLE, BETWEEN, TRIES = 10, 5, 3  # seconds, seconds, probes that nobody answers
ON_SERVER = f"-c tcp_keepalives_idle={IDLE} -c tcp_keepalives_interval={BETWEEN} -c tcp_keepalives_count={TRIES}"
KEPT = {"keepalives_idle": IDLE, "keepalives_interval": BETWEEN, "keepalives_count": TRIES, "tcp_user_timeout": 15_000}
TAKE = text("SELECT pg_try_advisory_lock(:purpose, :number)")
LEAVE = text("SELECT pg_advisory_unlock_all()")
HELD = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() "
    "AND classid::bigint = :purpose AND objid::bigint = :number AND objsubid = 2)"
)


class SessionLock:
    """One lock of a PostgreSQL database; `leave` it in the end.

    Args:
        database: Of PostgreSQL.
        number: Which lock.
    """

    def __init__(self, database: Database, number: int = WATCH) -> None:
        self._database, self._number = database, {"purpose": PURPOSE, "number": number}
        told = {"connect_timeout": 10, "options": ON_SERVER, **KEPT}
        self._engine = create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=told)
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Take the lock if it is free, and return whether we have it; asks the server each time.

        Raises:
            DatabaseError: It cannot be reached: nobody can say who has it.
        """
        if self._connection is not None:
            try:
                return self._taken(self._connection)
            except Exception:  # the connection died, and the lock with it
                self.leave()
        with self._database.told():
            self._connection = self._engine.connect()
            return self._taken(self._connection)

    def leave(self) -> None:
        """Let another have it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be dead already
                connection.execute(LEAVE)  # at once: the server sees only later that a connection is closed
            with contextlib.suppress(Exception):
                connection.close()

    def _taken(self, connection: Connection) -> bool:
        has = connection.execute(HELD, self._number).scalar()
        return bool(has or connection.execute(TAKE, self._number).scalar())

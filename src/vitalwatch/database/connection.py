"""One database by URL, and its two ways in: many readers, one writer at a time.

There is one writer in the whole world of a database, whatever the number of processes and threads: SQLite by its write
lock, PostgreSQL by an advisory lock. So the order of numbers is the order of commits, and nobody waits in a circle.
A commit is on the disk when it returns (SQLite: WAL with synchronous=FULL; PostgreSQL: synchronous_commit=on).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, create_engine, event, inspect, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from vitalwatch.database.tables import HEAD, counters, metadata
from vitalwatch.errors import DatabaseBusy, DatabaseError, StorageFull

WRITER = 0x76697461  # number of the advisory lock
BUSY_MS = 10_000
UPGRADE = "Run `python main.py database upgrade`"
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # what was erased must not lie in free pages
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA cache_size=-16000",  # kB
    "PRAGMA wal_autocheckpoint=4000",  # pages: 16 MB, so that a burst is not checkpointed at every second commit
)


class Database:
    """An opened database; `close` it in the end.

    Attributes:
        url: Where it lies; its password is not printed.
        is_sqlite: Whether it is a file of ours.
    """

    def __init__(self, url: str, root: Path | None = None) -> None:
        self.url = _url(url, root)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turn = threading.Lock()  # threads of one process queue here, in order, instead of polling for the lock
        self.engine = _engine(self.url, self.is_sqlite)

    def __repr__(self) -> str:
        return f"Database({self.shown})"

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one moment of the database; raises DatabaseError."""
        with self.told(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield the connection of the one writer; commit when the block ends well, else nothing happened.

        Raises:
            StorageFull: The disk is full; what was committed stays.
            DatabaseBusy: Another process kept on writing.
            DatabaseError: Anything else that the database refuses.
        """
        with self._turn, self.told(), self.engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITER})
                yield connection

    @contextlib.contextmanager
    def maintaining(self) -> Iterator[Connection]:
        """Yield a connection outside of any transaction, for what cannot be in one; raises DatabaseError."""
        with self._turn, self.told(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.execution_options(maintains=True)
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    def prepare(self) -> None:
        """Make the tables of a new database; raises DatabaseError where an old one must be upgraded first."""
        with self.told():
            version = self.version()
            if version is None:
                self._create()
            elif version != HEAD:
                raise DatabaseError(self.shown, f"its tables are of version {version}, not {HEAD}", UPGRADE)

    def version(self) -> str | None:
        """Return which migration the tables are of, None for an empty database."""
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def _create(self) -> None:
        """Make everything at once and say so in Alembic's own table: importing Alembic would double the start."""
        with self.writing() as connection:
            if inspect(connection).has_table("alembic_version"):
                return  # another process was first
            metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn what the database refuses into a sentence; statements and values are never in it."""
        try:
            yield
        except SQLAlchemyError as error:
            raise _meant(error, self.shown) from None


_RAISED = (  # made once, like other statements of every batch: making one costs as much as running it
    update(counters)
    .where(counters.c.name == bindparam("_name"))
    .values(value=counters.c.value + bindparam("_more"))
    .returning(counters.c.value)
)


def take(connection: Connection, counter: str, n: int = 1) -> int:
    """Return the first of `n` new numbers; a number is never given twice, also not after its row was deleted."""
    value = connection.execute(_RAISED, {"_name": counter, "_more": n}).scalar()
    if value is None:
        connection.execute(counters.insert().values(name=counter, value=n))
        return 1
    return int(value) - n + 1


def bulk(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Write many plain rows with what the driver is fastest at."""
    if not rows:
        return
    named = f"{table.name} ({', '.join(columns)})"  # names of ours, never what was sent
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {named} VALUES ({places})", list(rows))  # noqa: S608
        return
    driver: Any = connection.connection.driver_connection
    dialect = connection.dialect
    refusal: type[Exception] = dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {named} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except refusal as error:  # of the driver itself: told as what SQLAlchemy's own statements meet
        gone = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]
        raise DBAPIError.instance(
            None, None, error, refusal, hide_parameters=True, connection_invalidated=gone, dialect=dialect
        ) from None


def given(connection: Connection, counter: str) -> int:
    """Return the newest number that was given, 0 before the first."""
    return int(connection.execute(select(counters.c.value).where(counters.c.name == counter)).scalar() or 0)


def _url(text_of_url: str, root: Path | None) -> URL:
    try:
        url = make_url(text_of_url)
    except ArgumentError:
        raise DatabaseError(
            "config.database.url", "is not a database URL", "Write it like sqlite:///artifacts/vitalwatch.db"
        ) from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise DatabaseError("config.database.url", f"names {backend}", "SQLite and PostgreSQL are supported")
    if not url.database or url.database == ":memory:":
        raise DatabaseError("config.database.url", "names no file", "Readings must outlive the process: name a file")
    path = Path(url.database)
    return url.set(database=str(path if path.is_absolute() or root is None else root / path))


def _engine(url: URL, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            connect_args={"connect_timeout": 10, "options": f"-c lock_timeout={BUSY_MS} -c synchronous_commit=on"},
        )
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise DatabaseError(str(path), f"cannot be made ({error.strerror})", "Name another file in config") from None
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000}, pool_size=8, max_overflow=24)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: `_begin` does
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    asked = connection.get_execution_options()
    if asked.get("maintains", False):
        return
    writes = asked.get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _meant(error: SQLAlchemyError, where: str) -> DatabaseError:
    cause = getattr(error, "orig", None)
    state, said = str(getattr(cause, "sqlstate", "") or ""), str(cause or "").lower()
    if state == "53100" or "disk is full" in said or "disk i/o error" in said:
        return StorageFull(where)
    if state == "55P03" or "database is locked" in said:
        return DatabaseBusy(where)
    if state == "25006" or (isinstance(error, OperationalError) and ("readonly" in said or "read-only" in said)):
        return DatabaseError(where, "is read-only", "Make it writable for this user")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseError(where, "broke the connection", "Look whether it runs, and try again")
    kind = type(cause or error).__name__
    return DatabaseError(where, f"refused ({kind})", "`python main.py doctor` looks for known causes")

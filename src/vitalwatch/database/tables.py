"""The tables, for SQLite and PostgreSQL alike; `migrations` holds how they came to be. Times are UTC milliseconds.

People stand as numbers; who they are stands in `vault` alone, encrypted. Columns named `sealed` or `profile` are
encrypted. A person's rows go with the person (`person erase`), but for `audit`, which holds pseudonyms only.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

HEAD = "0004"  # newest migration

metadata = MetaData()


def _number(name: str = "no") -> Column[int]:
    """Return a primary key that the program counts itself, so that numbers are never given twice."""
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)


counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
facts = Table(  # about this database: which key it was made with
    "facts",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)
vault = Table(  # pseudonym -> who or what it stands for; the only place where an identity lies
    "vault",
    metadata,
    Column("pseudonym", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
people = Table(
    "people",
    metadata,
    _number(),
    Column("pseudonym", String(64), nullable=False, unique=True),
    Column("ward", String(64), nullable=False, index=True),
    Column("profile", LargeBinary),
    Column("limits", LargeBinary),
    Column("created", BigInteger, nullable=False),
    Column("heard", BigInteger, nullable=False),  # when a reading last came, on our clock
    Column("stored", BigInteger, nullable=False),  # newest reading by number
    Column("scored", BigInteger, nullable=False),  # newest reading that was scored, by number
    Column("newest", BigInteger, nullable=False),  # start of the newest grid row
    Column("run", String(64), nullable=False),  # whose models score
)
layouts = Table(  # what the float32 numbers of a `body` are, in order
    "layouts",
    metadata,
    _number(),
    Column("names", Text, nullable=False, unique=True),
)
readings = Table(
    "readings",
    metadata,
    _number(),
    Column("event", LargeBinary, nullable=False, unique=True),
    Column("person", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("utc_offset", SmallInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("device", String(64), nullable=False),
    Column("late", Boolean, nullable=False),
    Column("layout", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("readings_of_person", "person", "time"),
    Index("readings_late", "person", "time", sqlite_where=text("late IS 1"), postgresql_where=text("late IS true")),
)
changes = Table(  # where a person's normal began anew; numbered among the readings
    "changes",
    metadata,
    _number(),
    Column("person", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("profile", LargeBinary, nullable=False),  # that held until then
    Index("changes_of_person", "person", "no"),
)
scores = Table(
    "scores",
    metadata,
    Column("person", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("run", String(64), nullable=False),
    Column("flags", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("minute", SmallInteger, nullable=False),
    Column("layout", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
snapshots = Table(  # what the monitor remembers of a person up to a reading; the readings after it say the rest
    "snapshots",
    metadata,
    Column("person", BigInteger, primary_key=True, autoincrement=False),
    Column("run", String(64), primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
landmarks = Table(  # the same well before the newest row, with what rules remembered: where late readings begin
    "landmarks",
    metadata,
    Column("person", BigInteger, primary_key=True, autoincrement=False),
    Column("newest", BigInteger, primary_key=True, autoincrement=False),
    Column("run", String(64), nullable=False),
    Column("through", BigInteger, nullable=False),
    Column("judged", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
alarms = Table(
    "alarms",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("person", BigInteger, nullable=False),
    Column("ward", String(64), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("state", String(32), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("alarms_of_person", "person", "changed"),
    Index("alarms_open", "open", "changed"),
)
transitions = Table(
    "transitions",
    metadata,
    _number(),
    Column("alarm", String(64), nullable=False, index=True),
    Column("person", BigInteger, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
outbox = Table(
    "outbox",
    metadata,
    _number(),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("person", BigInteger, nullable=False, index=True),
    Column("ward", String(64), nullable=False),
    Column("body", Text, nullable=False),
)
raised = Table(  # how many alerts there ever were
    "raised",
    metadata,
    Column("priority", String(16), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("rule", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
judgements = Table(  # what rules remember of a person
    "judgements",
    metadata,
    Column("person", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
discharges = Table(  # whose readings nobody waits for
    "discharges",
    metadata,
    Column("person", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
)
notices = Table(  # what receivers have not accepted yet, a row for each receiver
    "notices",
    metadata,
    _number(),
    Column("receiver", String(64), nullable=False),
    Column("person", BigInteger, nullable=False, index=True),
    Column("pseudonym", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Index("notices_of_receiver", "receiver", "no"),
)
quarantine = Table(
    "quarantine",
    metadata,
    _number(),
    Column("received", BigInteger, nullable=False),
    Column("source", String(200), nullable=False),
    Column("position", Integer, nullable=False),
    Column("reason", String(64), nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("validator", String(16), nullable=False),
    Column("person", String(64), nullable=False, index=True),
    Column("ward", String(64), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
access_keys = Table(
    "access_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("wards", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("ends", BigInteger),
)
audit = Table(
    "audit",
    metadata,
    _number(),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

"""What the monitor remembers of people, kept now and then; the readings that came after say the rest."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from vitalwatch.database.people import Person
from vitalwatch.database.tables import snapshots

RUNS_KEPT = 2  # of a person: after a rollback the one before is there


@dataclass(frozen=True)
class Snapshot:
    """Bytes of a state (see `memory`), the number of the newest reading in it, and the start of its newest row."""

    run: str
    through: int
    newest: int
    body: bytes


def write(connection: Connection, person: Person, snapshot: Snapshot) -> None:
    """Keep a snapshot in place of the earlier one of this run; of other runs the newest stays."""
    c = snapshots.c
    there = connection.execute(select(c.run, c.through).where(c.person == person.no)).all()
    others = sorted(((through, run) for run, through in there if run != snapshot.run), reverse=True)
    gone = [run for _, run in others[RUNS_KEPT - 1 :]]
    connection.execute(delete(snapshots).where(c.person == person.no, c.run.in_([snapshot.run, *gone])))
    connection.execute(snapshots.insert().values(person=person.no, **vars(snapshot)))


def forget(connection: Connection, person: Person, newest: int) -> None:
    """Drop what knows of a row (its start, UTC ms) or of later ones."""
    connection.execute(delete(snapshots).where(snapshots.c.person == person.no, snapshots.c.newest >= newest))


def read(connection: Connection, person: Person, run: str) -> Snapshot | None:
    """Return the snapshot of a run, None where there is none."""
    c = snapshots.c
    row = connection.execute(
        select(c.run, c.through, c.newest, c.body).where(c.person == person.no, c.run == run)
    ).first()
    return None if row is None else Snapshot(str(row.run), int(row.through), int(row.newest), bytes(row.body))

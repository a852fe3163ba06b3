"""The writer's turn in one process: what a transaction makes is at hand once it is committed, and not before.

Each asks whether the database is still the one that this process knows. After a restore it is not, and everything that
was remembered of it is forgotten before anything is written.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from vitalwatch.database import generation
from vitalwatch.database.connection import Database
from vitalwatch.database.layouts import Layouts
from vitalwatch.intake import Intake, nobody_asks
from vitalwatch.recall import Held, Recall

Keep = Callable[[dict[int, Held]], None]


@dataclass
class Transactions:
    """All of one engine.

    Attributes:
        database: Written to.
        layouts, recall, intake: Of the engine: what a process remembers of a database.
        forget: Forgets the rest.
        undone: Lets go of what was made in a transaction that failed.
        turn: Held by whoever writes.
        came_late: Is told how many readings of a committed transaction came too late to be scored.
        word: The life of the database that is known (`generation.word`).
    """

    database: Database
    layouts: Layouts
    recall: Recall
    intake: Intake
    forget: Callable[[], None]
    undone: Callable[[], None]
    turn: threading.RLock = field(default_factory=threading.RLock)
    came_late: Callable[[int], None] = nobody_asks
    word: str = field(init=False)

    def __post_init__(self) -> None:
        with self.database.reading() as connection:
            self.word = generation.word(connection)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[tuple[Connection, Keep]]:
        """Yield the writer, and what takes states to put at hand once everything is committed."""
        staged: dict[int, Held] = {}
        with self.turn:
            self.intake.begin()
            try:
                with self.database.writing() as connection:
                    self._compare(generation.word(connection))
                    yield connection, staged.update
            except BaseException:
                self.layouts.forget()  # some may have been made by what did not happen
                self.undone()
                raise
            self.recall.keep(staged)
            self.intake.committed()
            if self.intake.late:
                self.came_late(self.intake.late)

    def follow(self) -> None:
        """Forget what is known of another life of the database, also while nobody writes."""
        with self.database.reading() as connection:
            word = generation.word(connection)
        with self.turn:
            self._compare(word)

    def undid(self, event: int) -> bool:
        """Return whether the event of a number that somebody has seen was undone by a restore."""
        with self.database.reading() as connection:
            return generation.read(connection).undid(event)

    def _compare(self, word: str) -> None:
        if word != self.word:
            self.layouts.forget()
            self.recall.forget_everybody()
            self.intake.forget()
            self.forget()
            self.word = word

"""Audit entries of what happens often: the first of a minute at once, those after it counted and told in one more.

A flood (somebody tries keys) so costs two entries a minute for each who and what, and beyond MOST of these at a time
only two for all the others together; a page that asks for names every second costs two an HOUR. What is counted and not
yet written is lost when the process is killed: the count, never the first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from vitalwatch.database.audit import Book
from vitalwatch.errors import DatabaseError

log = logging.getLogger(__name__)

WINDOW, HOUR = 60.0, 3600.0  # seconds
MOST = 64  # of who and what, counted at a time
OTHERS = "others"


class What(NamedTuple):
    """What is counted together, and for how long: who, what, to what, and a word more.

    `bounded` may be counted with OTHERS; not what only those do who were let in, and must be known by name for.
    """

    actor: str
    action: str
    object: str = ""
    code: str = ""
    seconds: float = WINDOW
    bounded: bool = True

    def detail(self, again: int) -> dict[str, Any]:
        """Return what stands beside it in an entry; `again` is how often it came after the first."""
        told: dict[str, Any] = {"code": self.code} if self.code else {}
        return told | ({"again": again, "seconds": round(self.seconds)} if again else {})


def names_read(actor: str) -> What:
    """Return that somebody reads who people are."""
    return What(actor, "names.read", seconds=HOUR, bounded=False)


@dataclass
class Window:
    """The time of one of them: when it began, whether the first is written, and how often it came again."""

    began: float
    told: bool = False
    again: int = 0


class Tally:
    """Counts and writes; safe to share between threads.

    Args:
        book: Where entries go.
        clock: Seconds, monotonic.
    """

    def __init__(self, book: Book, clock: Callable[[], float] = time.monotonic) -> None:
        self._book, self._clock = book, clock
        self._windows: dict[What, Window] = {}
        self._turn, self._writing = threading.Lock(), threading.Lock()

    def note(self, what: What) -> bool:
        """Count one, in memory alone, and return whether its first is not written yet, which `write` should do now."""
        with self._turn:
            if what not in self._windows and what.bounded and sum(one.bounded for one in self._windows) >= MOST:
                what = What(OTHERS, what.action, OTHERS)
            window = self._windows.get(what)
            if window is None:
                window = self._windows[what] = Window(self._clock())
            else:
                window.again += 1
            return not window.told

    def noted(self, what: What) -> bool:
        """Count one that may not happen unless it stands in the audit log; return whether it does."""
        try:
            if self.note(what):
                self.write()
        except DatabaseError as error:
            log.error("not written into the audit log, so not told: %s", error)
            return False
        return True

    def write(self, *, all_of_it: bool = False) -> None:
        """Write the first ones, and the counts of minutes that are over (or all counts); raises DatabaseError.

        Nothing is forgotten where the database takes nothing: it is tried again at the next call.
        """
        with self._writing:
            firsts, counts = self._due(all_of_it)
            if not firsts and not counts:
                return
            worth = {what: again for what, again in counts.items() if again}
            if firsts or worth:
                with self._book.database.writing() as connection:
                    for what, again in (*((one, 0) for one in firsts), *worth.items()):
                        self._book.write(connection, what.actor, what.action, what.object, what.detail(again))
            self._wrote(firsts, counts)

    def _due(self, all_of_it: bool) -> tuple[list[What], dict[What, int]]:
        now = self._clock()
        with self._turn:
            firsts = [what for what, window in self._windows.items() if not window.told]
            over = {
                what: window.again
                for what, window in self._windows.items()
                if all_of_it or now - window.began >= what.seconds
            }
        return firsts, over

    def _wrote(self, firsts: list[What], counts: Mapping[What, int]) -> None:
        with self._turn:
            for what in firsts:
                self._windows[what].told = True
            for what, again in counts.items():
                window = self._windows[what]
                window.again -= again
                if window.again:  # some came while it was written: they begin the next minute
                    window.began = self._clock()
                else:
                    del self._windows[what]

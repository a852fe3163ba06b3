"""The run that answers: loaded after every check, followed when production moves, kept when the next one is bad.

Where there is none to keep (the process starts, and the run in production is damaged), the newest earlier run of the
history that passes every check answers in its place, until that run is whole again or another one is promoted; one that
was rolled back from only where no other opens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitalwatch.errors import BundleRefused, NoModelYet, StoreError, VitalsError
from vitalwatch.monitor import Monitor
from vitalwatch.store import Store

log = logging.getLogger(__name__)

MODELS = "models"
KEPT = 2  # the run in production, and the one before while people still move
TRY_AGAIN = 10.0  # seconds until a refused run is looked at once more: it may have been mended

Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Served:
    """A run's id and its monitor."""

    run: str
    monitor: Monitor


def open_run(store: Store, run: str, trusted: Sequence[Path]) -> Monitor:
    """Return the monitor of a run after every check.

    Raises:
        BundleRefused: Its models are damaged, unsigned, of another format, or answer otherwise than in training.
        NotFound: No such run.
    """
    return Monitor.open(store.folder(run) / MODELS, trusted, seal=store.seal(run, f"{MODELS}/manifest.json"))


def refusal(store: Store, run: str, trusted: Sequence[Path]) -> str:
    """Return why a run cannot be served (format, signature, self-test, files), empty where it can."""
    try:
        open_run(store, run, trusted)
    except BundleRefused as error:
        return error.check
    except StoreError as error:
        return error.problem
    except VitalsError as error:
        return str(error)
    return ""


class Production:
    """Follows `production.json`.

    Attributes:
        problem: Why the run that production names is not served, empty when it is.
    """

    def __init__(self, store: Store, trusted: Sequence[Path], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.problem = ""
        self._store, self._trusted, self._clock = store, tuple(trusted), clock
        self._loaded: tuple[Served, ...] = ()  # newest first
        self._seen: Signature | None = None
        self._again = 0.0
        self._turn = threading.Lock()

    def served(self) -> Served:
        """Return the run in production, loaded; while another thread loads the next one, the one before.

        Raises:
            NoModelYet: Nothing is in production, or it is refused and so is every earlier run.
        """
        if self._moved() and self._turn.acquire(blocking=not self._loaded):
            try:
                if self._moved():
                    self._follow()
            finally:
                self._turn.release()
        if not self._loaded:
            raise NoModelYet(self.problem)
        return self._loaded[0]

    def answering(self) -> Served | None:
        """Return the run in production, loaded; None where none is."""
        try:
            return self.served()
        except NoModelYet:
            return None

    @property
    def fallback(self) -> str:
        """The run that answers in place of the one that production names, empty where that one does, or none."""
        loaded = self._loaded
        return loaded[0].run if self.problem and loaded else ""

    @property
    def ready(self) -> bool:
        """Whether a run is in memory."""
        return bool(self._loaded)

    def loaded(self, run: str) -> Served | None:
        """Return a run that is still in memory."""
        return next((one for one in self._loaded if one.run == run), None)

    def _moved(self) -> bool:
        return self._signature() != self._seen or (bool(self.problem) and self._clock() >= self._again)

    def _signature(self) -> Signature | None:
        try:
            told = self._store.pointer.stat()
        except OSError:
            return None
        return told.st_mtime_ns, told.st_ino, told.st_size

    def _follow(self) -> None:
        seen = self._signature()
        try:
            run = self._store.production()
            if run is not None and (not self._loaded or self._loaded[0].run != run):
                there = self.loaded(run) or Served(run, open_run(self._store, run, self._trusted))
                self._loaded = (there, *(one for one in self._loaded if one.run != run))[:KEPT]
            if self.problem:
                log.warning("run=%s is in production and whole again: it answers", run)
            self.problem = ""
        except VitalsError as error:
            self._refused(str(error))
        self._seen = seen

    def _refused(self, problem: str) -> None:
        """Keep what answers, or load an earlier run; say so where it was not said before."""
        is_news, self._again = problem != self.problem or not self._loaded, self._clock() + TRY_AGAIN
        if not self._loaded:
            self._loaded = self._earlier()
        self.problem = problem
        if is_news:
            answers = f"run {self.fallback} answers in its place" if self.fallback else "nothing answers"
            log.error("the run in production is refused, %s: %s", answers, problem)

    def _earlier(self) -> tuple[Served, ...]:
        """Return the newest earlier run of the history that passes every check; those rolled back from come last."""
        for run in self._store.earlier():
            try:
                if problem := self._store.problem(run):
                    raise StoreError(run, problem, "An earlier one is tried")
                return (Served(run, open_run(self._store, run, self._trusted)),)
            except VitalsError as error:
                log.info("run=%s of the history is passed over: %s", run, error)
        return ()

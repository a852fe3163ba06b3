"""Whether readings can be taken and judged, asked of the database itself: it must take a write, and nothing may wait.

The question is asked in a thread of its own and its answer kept for a while, so that asking often, or asking a database
that does not answer, costs nobody else a turn.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from vitalwatch.alerting.rules import span
from vitalwatch.alerting.watchdog import Limits
from vitalwatch.database import people, readings
from vitalwatch.database.connection import take
from vitalwatch.engine import Engine
from vitalwatch.errors import DatabaseError, NoModelYet, StorageFull

KEPT = 1.0  # seconds that an answer of the database holds
PATIENCE = 5.0  # seconds until a database that says nothing counts as one that does not answer
FULL = "The disk is full. Everything that was accepted is still there."
NO_WRITE = "The database takes nothing now. `python main.py doctor` says why."
SILENT = "The database does not answer."
LAGGING = "Readings wait to be scored: alarms come late."
REFUSED = "The run in production is refused; run {run}, an earlier one, answers in its place. `python main.py doctor`."
UNDELIVERED = "Alarms are not told outside: nothing is accepted by {names}. The log says why."
NO_MODEL = "Run `python main.py`: it trains a model and puts it into production."
HARMLESS = frozenset({"model_refused", "receivers"})  # told, but readings are taken and judged


class Readiness:
    """What stands against taking and judging readings."""

    def __init__(self, engine: Engine, *, kept: float = KEPT, patience: float = PATIENCE) -> None:
        self._engine, self._kept, self._patience = engine, kept, patience
        told = engine.settings.config.alarms.watchdog
        self._lagging_ms = span(told.lagging) if told is not None else round(Limits.lagging * 1000)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vitalwatch-ready")
        self._asking: asyncio.Future[dict[str, str]] | None = None
        self._until, self._answer = 0.0, dict[str, str]()

    async def causes(self) -> dict[str, str]:
        """Return each cause, by name, with what to do; empty when all is well."""
        found = await self._of_database()
        try:
            self._engine.production.served()
            if fallback := self._engine.production.fallback:
                found = {"model_refused": REFUSED.format(run=fallback), **found}
        except NoModelYet:
            found = {"no_model": NO_MODEL, **found}
            found.pop("lagging", None)  # without a model everything waits: that is the cause, and told
        if names := sorted(self._engine.vigil.undelivered()):
            found["receivers"] = UNDELIVERED.format(names=", ".join(names))
        return found

    def close(self) -> None:
        """Ask no more; one that still waits for its answer is not waited for."""
        self._thread.shutdown(wait=False)

    async def _of_database(self) -> dict[str, str]:
        if time.monotonic() < self._until:
            return dict(self._answer)
        if self._asking is None:
            self._asking = asyncio.get_running_loop().run_in_executor(self._thread, self._asked)
        done, _ = await asyncio.wait({self._asking}, timeout=self._patience)
        if not done:
            return {"database": SILENT}
        if self._asking is not None:
            self._answer, self._until = self._asking.result(), time.monotonic() + self._kept
            self._asking = None
        return dict(self._answer)

    def _asked(self) -> dict[str, str]:
        database, now = self._engine.database, self._engine.now()
        try:
            with database.writing() as connection:
                take(connection, "probe")  # a commit: a read-only or full disk shows at nothing less
            with database.reading() as connection:
                behind = [one for one in people.everyone(connection) if one.behind]
                oldest = readings.waiting_since(connection, behind)
        except StorageFull:
            return {"database": FULL}
        except DatabaseError:
            return {"database": NO_WRITE}
        return {} if oldest is None or now - oldest <= self._lagging_ms else {"lagging": LAGGING}

"""What all requests of one application share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from vitalwatch.api.access import Access
from vitalwatch.api.forms import Forms
from vitalwatch.api.gathering import Gathering
from vitalwatch.api.limits import Rate, Turns
from vitalwatch.api.metrics import READINGS, Metrics
from vitalwatch.api.readiness import Readiness
from vitalwatch.database.tally import What
from vitalwatch.deliveries import Delivery, Receipt
from vitalwatch.engine import Engine
from vitalwatch.monitor import Monitor
from vitalwatch.schema import minutes
from vitalwatch.settings import Provider, Settings
from vitalwatch.tables import MINUTE

if TYPE_CHECKING:
    from vitalwatch.api.oidc import Oidc

T = TypeVar("T")
READERS = 4  # threads that ask the database
FAILURES, FAILED_BURST = 5.0, 20.0  # tries with wrong keys that an address has, a second and at once


class Desk:
    """What all requests share.

    Attributes:
        settings, chosen, engine: As given; `chosen` is `config.api`.
        forms, metrics, access, readiness: See there.
        rate: Of keys.
        anybody: Of addresses that ask what needs no key, or without one.
        compute, disk: Turns of what keeps the processor, and the database, busy.
        readings: Where readings are taken in, those of several requests together.
        ahead_ms: A reading later than now by more than this is refused.
        streams_of: How many streams of events are open, by the key's id.
        ending: Set when the server is about to stop: streams end.
    """

    def __init__(self, settings: Settings, engine: Engine, metrics: Metrics) -> None:
        self.settings, self.chosen, self.engine = settings, settings.config.api, engine
        self.forms, self.metrics, self.streams_of = Forms(settings.schema), metrics, Counter[str]()
        engine.intake.took = metrics.inference[READINGS].observe
        engine.transactions.came_late = metrics.late.inc
        oidc = None if self.chosen.oidc is None else _oidc(self.chosen.oidc, settings)
        failures = Rate(FAILURES, FAILED_BURST)
        self.anybody = Rate(self.chosen.public_a_second, self.chosen.public_burst)
        self.access = Access(engine, oidc, self.chosen.hosts, self.chosen.remember_keys_seconds, failures, self.anybody)
        self.rate = Rate(self.chosen.requests_a_second, self.chosen.burst)
        self.readiness = Readiness(engine)
        self.ahead_ms = minutes(settings.params.ingest.max_clock_ahead) * MINUTE
        self.compute, self.disk = Turns(self.chosen.waiting), Turns(self.chosen.waiting, READERS)
        self.ending = asyncio.Event()
        self.news = asyncio.Event()  # set and replaced whenever something may have happened
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="vitalwatch-api")
        self._noting = ThreadPoolExecutor(1, thread_name_prefix="vitalwatch-audit")
        self._noted: Future[None] = Future()
        self._noted.set_result(None)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="vitalwatch-writer")
        self.readings = Gathering(self._take, self.chosen.waiting)

    async def ask(self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        """Return what the engine says, asked in a thread; raises Problem while too much is waiting."""
        async with self.disk:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: work(*given, **named))

    async def _take(self, deliveries: Sequence[Delivery]) -> Sequence[Receipt | Exception]:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.engine.accept_all, deliveries)

    def monitor(self) -> tuple[Monitor, str]:
        """Return the monitor in production and the id of its run; raises NoModelYet."""
        served = self.engine.production.served()
        return served.monitor, served.run

    def note_refusal(self, actor: str, operation: str, code: str) -> None:
        """Have the audit log say that somebody was refused; nobody waits for it, and a flood is counted."""
        is_due = self.engine.tally.note(What(actor, "access.refuse", operation, code))
        if is_due and (self._noted.done() or self._noted.running()):  # else one that has yet to begin writes it too
            self._noted = self._noting.submit(self.engine.tally.write)

    def tell(self) -> None:
        """Wake streams of events."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    def close(self) -> None:
        """Let the threads end."""
        self.readiness.close()
        self._threads.shutdown(wait=True)
        self._writer.shutdown(wait=True)
        self._noting.shutdown(wait=True)


def _oidc(provider: Provider, settings: Settings) -> Oidc:
    from vitalwatch.api.oidc import Oidc, fetch_of  # only where there is one: it takes a twentieth of a second

    return Oidc(provider, fetch_of(provider.jwks, settings.root))

"""Readings of several requests are taken in together: while one load is written, the next one gathers.

A sync of the disk and the statements of a transaction cost the same for one reading and for hundreds. Each request is
answered after the commit of the load that it was in, and with what became of its own readings alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from vitalwatch.api.limits import crowded
from vitalwatch.deliveries import Delivery, Receipt

MOST_AT_ONCE = 4_000  # readings of one load: about half a second, and nobody waits longer for the writer

Take = Callable[[Sequence[Delivery]], Awaitable[Sequence[Receipt | Exception]]]


class Gathering:
    """Gathers deliveries; of the loop that it is used in.

    Args:
        take: Takes some in, in their order, and says what became of each.
        most: Requests that may wait; more are sent away.
    """

    def __init__(self, take: Take, most: int) -> None:
        self._take, self._most = take, most
        self._waiting: deque[tuple[Delivery, asyncio.Future[Receipt]]] = deque()
        self._under_way = 0
        self._working: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """Requests that wait or are being taken in."""
        return len(self._waiting) + self._under_way

    @property
    def full(self) -> bool:
        """Whether too much is waiting."""
        return self.backlog >= self._most

    def admit(self) -> None:
        """Raise Problem where too much is waiting."""
        if self.full:
            raise crowded()

    async def add(self, delivery: Delivery) -> Receipt:
        """Return what became of a delivery, once it is on the disk; raises what the engine raises, and Problem."""
        self.admit()
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            load = self._load()
            self._under_way = len(load)
            try:
                became = await self._take([delivery for delivery, _ in load])
            except Exception as error:  # told to each sender: none of them may wait for ever
                became = [error] * len(load)
            finally:
                self._under_way = 0
            for (_, future), one in zip(load, became, strict=True):
                if future.cancelled():
                    continue
                if isinstance(one, Exception):
                    future.set_exception(one)
                else:
                    future.set_result(one)

    def _load(self) -> list[tuple[Delivery, asyncio.Future[Receipt]]]:
        """Return the oldest deliveries, as many as may be taken at once, one at least."""
        load = [self._waiting.popleft()]
        size = len(load[0][0].raw)
        while self._waiting and size + len(self._waiting[0][0].raw) <= MOST_AT_ONCE:
            load.append(self._waiting.popleft())
            size += len(load[-1][0].raw)
        return load

"""How much is taken at once: tokens for each key and address, and turns for what keeps processor or disk busy."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from functools import lru_cache

from vitalwatch.api.problem import Problem, busy

MOST_BUCKETS = 10_000


class Rate:
    """Requests a second for each of many senders: `rate` on average, `burst` at once."""

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left: dict[str, tuple[float, float]] = {}  # tokens left, and when

    def admit(self, who: str) -> tuple[float, float]:
        """Return the tokens that are left, one at least, and the time; raises Problem with the seconds to wait."""
        now = self._clock()
        left, since = self._left.get(who, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < 1.0:
            raise busy("too_many_requests", "Send less often.", max(1, round((1.0 - left) / self._rate)))
        return left, now

    def take(self, who: str) -> None:
        """Take one; raises Problem with the seconds to wait."""
        left, now = self.admit(who)
        if len(self._left) >= MOST_BUCKETS and who not in self._left:
            self._left.pop(next(iter(self._left)))
        self._left[who] = (left - 1.0, now)


@lru_cache(maxsize=1024)
def place_of(address: str) -> str:
    """Return where an address is: of IPv6 its network of 64 bits, which one house has as a whole."""
    try:
        told = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((told, 64), strict=False)) if told.version == 6 else address


def crowded() -> Problem:
    """Return the problem of somebody who would wait too long."""
    return busy("busy", "Too much is waiting. Try again.")


class Turns:
    """One at a time, the others wait in order; who would wait too long is sent away at once.

    Work that keeps the processor busy runs in the loop itself. Between two turns the loop looks at what came in
    meanwhile, so that refusing stays quick while much is waiting.
    """

    def __init__(self, most: int, at_once: int = 1) -> None:
        self._most, self._lock, self.waiting = most, asyncio.Semaphore(at_once), 0

    @property
    def full(self) -> bool:
        """Whether too much is waiting."""
        return self.waiting >= self._most

    def admit(self) -> None:
        """Raise Problem where too much is waiting: to know early saves reading what would be sent away."""
        if self.full:
            raise crowded()

    async def __aenter__(self) -> None:
        self.admit()
        self.waiting += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self.waiting -= 1
            raise
        try:
            await asyncio.sleep(0)  # whoever came in meanwhile takes a place in the line, or is sent away
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.waiting -= 1
        self._lock.release()

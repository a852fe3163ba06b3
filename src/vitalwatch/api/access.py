"""Who asks: a key, a token of the house's identity provider, or, until a first key is made, this machine itself.

A key is looked up in the database and remembered for some seconds, so an ended key works that long at most. Until a
first key is made only this machine is answered, and only a program on it: a browser's page of elsewhere (Origin, a
foreign Host, a proxy's headers) is not. After that nobody is answered without one, though every key may have ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vitalwatch.api.limits import Rate, place_of
from vitalwatch.api.problem import Problem
from vitalwatch.database.access import SCOPES
from vitalwatch.database.people import Wards
from vitalwatch.engine import Engine

if TYPE_CHECKING:
    from vitalwatch.api.oidc import Oidc

PUBLIC = "public"  # the scope of what anybody may ask
LOCAL = "local"
FOREIGN = (b"x-forwarded-for", b"forwarded", b"x-real-ip")
MOST_REMEMBERED = 10_000
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]{1,5})?")
KEY_NEEDED = "Send `Authorization: Bearer KEY`; `python main.py keys make` makes a key, also when all have ended."
CHALLENGE = (("www-authenticate", 'Bearer realm="vitalwatch"'),)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `actor` stands in the audit log, `wards` None is all; `name` is for themselves alone."""

    actor: str
    scopes: frozenset[str]
    wards: Wards = None
    ends: float = float("inf")  # of a token, seconds since 1970
    name: str = ""


ANYBODY = Caller("anybody", frozenset())
HERE = Caller(LOCAL, frozenset(SCOPES))


class Access:
    """Finds out who asks.

    Args:
        engine: Knows the keys.
        oidc: Reads tokens of an identity provider, None where there is none.
        hosts: Names under which this machine may be asked without keys.
        remember: Seconds that a key is remembered.
        failures: How often an address may try keys that are none.
        anybody: How often an address may ask without a key.
    """

    def __init__(
        self,
        engine: Engine,
        oidc: Oidc | None,
        hosts: tuple[str, ...],
        remember: float,
        failures: Rate,
        anybody: Rate,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._oidc, self._hosts, self._clock = engine, oidc, frozenset(hosts), clock
        self._remember, self._failures, self._anybody = remember, failures, anybody
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._closed: tuple[float, bool] = (0.0, False)  # until when we remember whether there are keys

    async def caller(self, headers: dict[bytes, bytes], client: str) -> Caller:
        """Return who asks; raises Problem.

        An address that tried too many keys is not told any more whether the next one is right, or a guess in a
        thousand would be found as fast as they come; keys that were right before are looked up all the same, and so
        are tokens, whose signature nobody guesses.
        """
        told = headers.get(b"authorization")
        if told is None and b"x-api-key" in headers:
            told = b"Bearer " + headers[b"x-api-key"]
        if told is None:
            return await self._without(headers, client)
        digest = hashlib.sha256(told).digest()
        until, known = self._known.get(digest, (0.0, ANYBODY))
        now = self._clock()
        if now < until and time.time() < known.ends:
            return known
        try:
            found = await self._with(told, client, was_right=known is not ANYBODY)
        except Problem:
            self._known.pop(digest, None)
            raise
        if len(self._known) >= MOST_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = now + self._remember, found
        return found

    async def needs_keys(self) -> bool:
        """Return whether a request without a key is refused."""
        now, (until, closed) = self._clock(), self._closed
        if now >= until:
            closed = self._oidc is not None or await asyncio.to_thread(self._engine.keys.any_made)
            self._closed = now + self._remember, closed
        return closed

    async def _without(self, headers: dict[bytes, bytes], client: str) -> Caller:
        if await self.needs_keys():
            self._anybody.take(place_of(client))
            raise Problem("unauthenticated", KEY_NEEDED, headers=CHALLENGE)
        if not loopback(client) or not self._local(headers):
            raise Problem("loopback_only", "Make a key with `python main.py keys`, and send it.")
        return HERE

    def _local(self, headers: dict[bytes, bytes]) -> bool:
        if any(name in headers for name in FOREIGN) or headers.get(b"sec-fetch-site") == b"cross-site":
            return False
        names = [_host(headers.get(b"host", b""))]
        if b"origin" in headers:
            names.append(_host(headers[b"origin"].partition(b"://")[2]))
        return self._hosts.issuperset(names)

    async def _with(self, told: bytes, client: str, *, was_right: bool) -> Caller:
        kind, _, token = told.decode("latin-1").partition(" ")
        token = token.strip()
        if kind.lower() == "bearer" and len(token) <= 8_192:
            if self._oidc is not None and token.count(".") == 2:
                try:
                    found = await asyncio.to_thread(self._oidc.caller, token)
                except Problem:  # nobody knows the provider's keys, so nobody knows who this is
                    self._anybody.take(place_of(client))
                    raise
                if found is not None:
                    pseudonym = self._engine.accounts.pseudonym
                    actor = await asyncio.to_thread(pseudonym, self._oidc.issuer, found.subject)
                    return Caller(actor, found.scopes, found.wards, found.ends, found.subject)
            if not was_right:
                self._failures.admit(place_of(client))
            key = await asyncio.to_thread(self._engine.keys.find, token)
            if key is not None:
                ends = float("inf") if key.ends is None else key.ends / 1000
                return Caller(key.id, key.scopes, key.wards, ends)
        self._failures.take(place_of(client))
        detail = "The key or token is unknown, or its time is over; `python main.py keys make` makes another key."
        claimed = await asyncio.to_thread(self._engine.keys.claimed, token)
        raise Problem("unauthenticated", detail, headers=CHALLENGE, actor=claimed)


@lru_cache(maxsize=256)  # most requests come from a few addresses
def loopback(host: str) -> bool:
    """Return whether an address is of this machine itself."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _host(told: bytes) -> str:
    """Return the name before the port of `name:port` or `[address]:port`, empty where it is no such text."""
    found = _HOST.fullmatch(told)
    return (found[1] or found[2]).decode("ascii").lower() if found else ""

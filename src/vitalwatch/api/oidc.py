"""Tokens of an identity provider (OpenID Connect): signed, for us, in time; scopes and wards from their claims."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from vitalwatch.api.problem import busy
from vitalwatch.database.access import EVERYWHERE, SCOPES
from vitalwatch.database.people import Wards
from vitalwatch.settings import Provider

log = logging.getLogger(__name__)
LEEWAY = 30  # seconds that clocks may differ
MOST = 1 << 20  # bytes of a key set
AGAIN = 60.0  # seconds until we look for keys once more, whatever the reason
FRESH = 600.0  # seconds that a key set is taken as it is: a key that the provider withdraws works that long at most
OLD = 3600.0  # seconds that it still serves while the provider does not answer: its restart locks nobody out


@dataclass(frozen=True)
class Told:
    """What a token says; `subject` is an account of the provider, unique there."""

    subject: str
    scopes: frozenset[str]
    wards: Wards
    ends: float


@dataclass(frozen=True)
class KeySet:
    """Keys of the provider by id, and when it told them (seconds of the clock)."""

    keys: Mapping[str, jwt.PyJWK]
    told: float


class Oidc:
    """Reads tokens of one provider; `fetch` returns its key set (JWKS), raising OSError where that is not to be had."""

    def __init__(
        self, provider: Provider, fetch: Callable[[], bytes], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider, self._fetch, self._clock = provider, fetch, clock
        self._held = KeySet({}, float("-inf"))
        self._looked = float("-inf")
        self._turn = threading.Lock()

    @property
    def issuer(self) -> str:
        """Whose tokens are read."""
        return self._provider.issuer

    def caller(self, token: str) -> Told | None:
        """Return who asks, None where the token is not one for us; raises Problem while nobody knows its keys."""
        chosen = self._provider
        try:
            key = self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=list(chosen.algorithms),  # asymmetric ones only: see settings
                audience=chosen.audience,
                issuer=chosen.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        scopes = frozenset(_words(claims.get(chosen.scopes_claim))) & set(SCOPES)
        wards = _words(claims.get(chosen.wards_claim))
        everywhere: Wards = None if EVERYWHERE in wards else frozenset(wards)
        return Told(str(claims["sub"]), scopes, everywhere, float(claims["exp"]))

    def _key(self, kid: str) -> jwt.PyJWK | None:
        now, held = self._clock(), self._held
        at_hand = kid in held.keys and now - held.told <= OLD
        if at_hand and now - held.told <= FRESH:
            return held.keys[kid]
        if self._turn.acquire(blocking=not at_hand):  # whoever the keys at hand can answer waits for no other's look
            try:
                self._look(now)
            finally:
                self._turn.release()
        held = self._held
        if now - held.told > OLD:
            raise busy("provider_silent", "Try again; if that does not help, look at `api.oidc.jwks`.", round(AGAIN))
        return held.keys.get(kid)

    def _look(self, now: float) -> None:
        if now - self._looked <= AGAIN:
            return
        self._looked = now
        try:
            self._held = KeySet(_keys(self._fetch(), self._provider.algorithms), now)
        except (OSError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:  # no answer, or none of ours
            log.warning("the identity provider has not told its keys: %s", type(error).__name__)


def fetch_of(place: str, root: Path) -> Callable[[], bytes]:
    """Return how to read a key set from an https address or a file of the configuration."""
    if place.startswith("https://"):
        return lambda: _read(place)
    path = Path(place)
    return lambda: (path if path.is_absolute() else root / path).read_bytes()[:MOST]


def _read(address: str) -> bytes:
    import httpx  # only where a provider is configured: it takes a quarter of a second

    try:
        return httpx.get(address, timeout=5.0).raise_for_status().content[:MOST]
    except httpx.HTTPError as error:
        raise OSError(type(error).__name__) from None


def _keys(told: bytes, algorithms: tuple[str, ...]) -> dict[str, jwt.PyJWK]:
    found = {}
    for one in json.loads(told).get("keys", []):
        if one.get("use", "sig") == "sig" and one.get("kty") != "oct" and one.get("alg", algorithms[0]) in algorithms:
            found[str(one.get("kid", ""))] = jwt.PyJWK.from_dict(one)
    return found


def _words(claim: Any) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    return [one for one in claim if isinstance(one, str)] if isinstance(claim, list) else []

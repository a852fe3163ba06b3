"""Tokens of an identity provider (OpenID Connect): signed, for us, in time; scopes and wards from their claims."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from vitalwatch.database.access import EVERYWHERE, SCOPES
from vitalwatch.database.people import Wards
from vitalwatch.settings import Provider

log = logging.getLogger(__name__)
LEEWAY = 30  # seconds that clocks may differ
MOST = 1 << 20  # bytes of a key set
AGAIN = 60.0  # seconds until an unknown key id makes us look for new keys once more


@dataclass(frozen=True)
class Told:
    """What a token says; `subject` is an account of the provider, unique there."""

    subject: str
    scopes: frozenset[str]
    wards: Wards
    ends: float


class Oidc:
    """Reads tokens of one provider; `fetch` returns its key set (JWKS)."""

    def __init__(self, provider: Provider, fetch: Callable[[], bytes]) -> None:
        self._provider, self._fetch = provider, fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._looked = float("-inf")
        self._turn = threading.Lock()

    @property
    def issuer(self) -> str:
        """Whose tokens are read."""
        return self._provider.issuer

    def caller(self, token: str) -> Told | None:
        """Return who asks, None where the token is not one for us."""
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
        except OSError as error:
            log.warning("the identity provider has not told its keys: %s", type(error).__name__)
            return None
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        scopes = frozenset(_words(claims.get(chosen.scopes_claim))) & set(SCOPES)
        wards = _words(claims.get(chosen.wards_claim))
        everywhere: Wards = None if EVERYWHERE in wards else frozenset(wards)
        return Told(str(claims["sub"]), scopes, everywhere, float(claims["exp"]))

    def _key(self, kid: str) -> jwt.PyJWK | None:
        with self._turn:
            if kid not in self._keys and time.monotonic() - self._looked > AGAIN:
                self._looked = time.monotonic()
                self._keys = _keys(self._fetch(), self._provider.algorithms)
            return self._keys.get(kid)


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

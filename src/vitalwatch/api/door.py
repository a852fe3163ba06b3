"""Around everything: an id for each request, headers that protect, limits of addresses, figures, one line in the log.

The line names the operation, never the address that was asked: somebody's name may stand in it.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from vitalwatch.api.calls import CODE, Scope
from vitalwatch.api.metrics import Metrics
from vitalwatch.api.operations import refused
from vitalwatch.api.problem import Problem

log = logging.getLogger("vitalwatch.access")
MOST_ADDRESS, MOST_HEADERS = 2_048, 16_384
PROTECTING = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
BY_TLS = [(b"strict-transport-security", b"max-age=31536000; includeSubDomains")]


class Door:
    """Pure ASGI middleware."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, start, status = os.urandom(16).hex(), time.perf_counter(), 0
        scope["vitalwatch.id"] = request
        added = [*PROTECTING, (b"x-request-id", request.encode())]
        if scope.get("scheme") == "https":
            added += BY_TLS

        async def sending(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            elif scope["method"] == "HEAD":  # the head of the answer to a GET, and nothing behind it
                message["body"] = b""
            await send(message)

        try:
            if _too_long(scope):
                await refused(Problem("headers_too_large", headers=(("connection", "close"),)), scope).send(sending)
                return
            await self._app(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - start, request)

    def _note(self, scope: Scope, status: int, seconds: float, request: str) -> None:
        operation = scope.get("vitalwatch.operation", "unknown")
        self._metrics.requests.note(operation, status, seconds)
        if CODE in scope:
            self._metrics.refused.labels(scope[CODE]).inc()
        if log.isEnabledFor(logging.INFO):
            log.info("request=%s operation=%s status=%d ms=%.1f", request, operation, status, seconds * 1000)


def _too_long(scope: Scope) -> bool:
    address = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
    return address > MOST_ADDRESS or sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS

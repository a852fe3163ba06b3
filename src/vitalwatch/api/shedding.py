"""Who is sent away while too much is waiting, by the head of the request alone: refusing must cost next to nothing.

`connections` asks before anything is made of a request. The answer is that of the operation itself (`Turns.admit`,
`Gathering.admit`), which still sends away who gets in by another server than ours.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping

from vitalwatch.api.door import BY_TLS, PROTECTING
from vitalwatch.api.limits import crowded
from vitalwatch.api.metrics import Metrics
from vitalwatch.api.problem import MEDIA

log = logging.getLogger("vitalwatch.access")
NOBODY = "0" * 32  # stands for the id of the request
Route = tuple[bytes, bytes]  # method, path


class Shedding:
    """Answers of 503 before a request is read.

    Args:
        operations: Name of the operation of a route, and whether too much is waiting for it now.
        metrics: Where they are counted.
    """

    def __init__(self, operations: Mapping[Route, tuple[str, Callable[[], bool]]], metrics: Metrics) -> None:
        self._operations, self._metrics = operations, metrics
        self._plain, self._tls = (_whole(extra) for extra in ([], BY_TLS))

    def answer(self, method: bytes, path: bytes, scheme: str | None) -> bytes | None:
        """Return the whole answer, None where the request is to be taken."""
        found = self._operations.get((method, path))
        if found is None or not found[1]():
            return None
        start, request = time.perf_counter(), os.urandom(16).hex()
        told = (self._tls if scheme == "https" else self._plain).replace(NOBODY.encode(), request.encode())
        self._count(found[0], time.perf_counter() - start, request)
        return told

    def _count(self, name: str, seconds: float, request: str) -> None:
        self._metrics.requests.note(name, 503, seconds)
        if log.isEnabledFor(logging.INFO):
            log.info("request=%s operation=%s status=503 ms=%.1f", request, name, seconds * 1000)


def _whole(extra: list[tuple[bytes, bytes]]) -> bytes:
    """Return the answer as it goes over the wire, with NOBODY for the request's id."""
    problem = crowded()
    body = problem.body(NOBODY)
    told = [(b"content-type", MEDIA.encode()), (b"content-length", str(len(body)).encode())]
    told += [(name.encode(), value.encode()) for name, value in problem.headers]
    told += [*PROTECTING, (b"x-request-id", NOBODY.encode()), *extra]
    head = b"".join(b"%s: %s\r\n" % pair for pair in told)
    return b"HTTP/1.1 503 Service Unavailable\r\n" + head + b"\r\n" + body

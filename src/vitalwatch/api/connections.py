"""Connections below HTTP: a head that comes too slowly is given up, and who comes when too many are open goes away.

uvicorn waits for ever for the head of a request, and the application never sees a connection before its head is whole.
`uvicorn --http vitalwatch.api.connections:Connections`, as `make serve` says, puts this in front.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vitalwatch.api.problem import MEDIA, Problem
from vitalwatch.settings import Api

STATE = "vitalwatch.connections"  # where the lifespan puts what `config.api` says
UNKNOWN = "0" * 32  # a request that never was one has no id


class Connections(HttpToolsProtocol):
    """One connection of uvicorn, watched until its head is there."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, or turn the connection away."""
        super().connection_made(transport)
        most, _ = self._chosen
        if len(self.connections) > most:
            self._refuse(Problem("busy", "Too many connections are open. Try again.", headers=(("retry-after", "1"),)))
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that began must be whole in time."""
        super().data_received(data)
        between = self.cycle is None or self.cycle.response_complete
        if between and self._waiting is None and not self.transport.is_closing():
            self._wait()

    def on_headers_complete(self) -> None:
        """Wait no more: from here on the application watches the body."""
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_no_more()
        super().connection_lost(exc)

    @property
    def _chosen(self) -> tuple[int, float]:
        told: tuple[int, float] | None = self.app_state.get(STATE)
        return told or (1 << 30, 10.0)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self._chosen[1], self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        self._refuse(Problem("slow_request", "The head of the request came too slowly."))

    def _refuse(self, problem: Problem) -> None:
        if not self.transport.is_closing():
            self.transport.write(_answer(problem))
            self.transport.close()


def told(chosen: Api) -> dict[str, Any]:
    """Return what the lifespan tells connections."""
    return {STATE: (chosen.connections, chosen.head_seconds)}


def _answer(problem: Problem) -> bytes:
    body, phrase = problem.body(UNKNOWN), {408: "Request Timeout", 503: "Service Unavailable"}[problem.status]
    more = "".join(f"{name}: {value}\r\n" for name, value in problem.headers)
    head = f"HTTP/1.1 {problem.status} {phrase}\r\ncontent-type: {MEDIA}\r\ncontent-length: {len(body)}\r\n{more}"
    return f"{head}connection: close\r\n\r\n".encode() + body

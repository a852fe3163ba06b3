"""Connections below HTTP: a head that comes too slowly is given up, and who comes when too many are open goes away.

uvicorn waits for ever for the head of a request, and the application never sees a connection before its head is whole.
Who asks while too much is waiting is told so by the head alone; the body is let pass.
`uvicorn --http vitalwatch.api.connections:Connections`, as `make serve` says, puts this in front.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vitalwatch.api.problem import MEDIA, Problem
from vitalwatch.api.shedding import Shedding
from vitalwatch.settings import Api

STATE = "vitalwatch.connections"  # where the lifespan puts what `config.api` says
UNKNOWN = "0" * 32  # a request that never was one has no id


class Connections(HttpToolsProtocol):
    """One connection of uvicorn, watched until its head is there."""

    _waiting: asyncio.TimerHandle | None = None
    _begun = False  # a message is coming
    _sent_away = False  # of which only the end is waited for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, or turn the connection away."""
        super().connection_made(transport)
        most = self._chosen[0]
        if len(self.connections) > most:
            self._refuse(Problem("busy", "Too many connections are open. Try again.", headers=(("retry-after", "1"),)))
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that began must be whole in time."""
        super().data_received(data)
        between = self.cycle is None or self.cycle.response_complete
        if between and self._begun and self._waiting is None and not self.transport.is_closing():
            self._wait()

    def on_message_begin(self) -> None:
        """Note that a message is coming."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Send away, or wait no more: from here on the application watches the body."""
        self._wait_no_more()
        answer = self._turned_away()
        if answer is None:
            super().on_headers_complete()
            return
        self._sent_away = True
        self.transport.write(answer)
        if self.expect_100_continue or not self.parser.should_keep_alive():
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, but of a request that was sent away."""
        if not self._sent_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Go on to the next request."""
        self._begun = False
        if not self._sent_away:
            super().on_message_complete()
            return
        self._sent_away = False
        self._wait_no_more()
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _turned_away(self) -> bytes | None:
        """Return the answer to a request that is not taken; those behind others in one connection are."""
        shedding, first = self._chosen[2], self.cycle is None or self.cycle.response_complete
        if shedding is None or not first or self.pipeline or self.parser.should_upgrade():
            return None
        return shedding.answer(self.parser.get_method(), self.url, self.scheme)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_no_more()
        super().connection_lost(exc)

    @property
    def _chosen(self) -> tuple[int, float, Shedding | None]:
        told: tuple[int, float, Shedding | None] | None = self.app_state.get(STATE)
        return told or (1 << 30, 10.0, None)

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


def told(chosen: Api, shedding: Shedding | None = None) -> dict[str, Any]:
    """Return what the lifespan tells connections."""
    return {STATE: (chosen.connections, chosen.head_seconds, shedding)}


def _answer(problem: Problem) -> bytes:
    body, phrase = problem.body(UNKNOWN), {408: "Request Timeout", 503: "Service Unavailable"}[problem.status]
    more = "".join(f"{name}: {value}\r\n" for name, value in problem.headers)
    head = f"HTTP/1.1 {problem.status} {phrase}\r\ncontent-type: {MEDIA}\r\ncontent-length: {len(body)}\r\n{more}"
    return f"{head}connection: close\r\n\r\n".encode() + body

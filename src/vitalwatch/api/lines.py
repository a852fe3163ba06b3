"""A body of lines (NDJSON), part by part: memory is that of one part, however long the body.

Where a part ends depends on the lines alone, not on how they came over the network: a body that is sent again is cut
alike, so that its `Idempotency-Key` names the same readings.
"""

from __future__ import annotations

import asyncio
from collections import deque

from vitalwatch.api.calls import Call, slow, too_large
from vitalwatch.messages import MAX_BYTES


class Lines:
    """The lines of a request that are not blank. Of a line longer than a reading may be, so much is kept as says so."""

    def __init__(self, call: Call) -> None:
        chosen = call.desk.chosen
        self._call, self._most = call, chosen.max_lines_body
        self._rows, self._bytes, self._seconds = chosen.part_lines, chosen.max_batch_body, chosen.body_seconds
        self._lines: deque[bytes] = deque()
        self._held = self._read = 0  # bytes: of lines that wait, and of the whole body so far
        self._tail, self._more = bytearray(), True
        length = call.headers.get(b"content-length")
        if length is not None and int(length) > self._most:
            raise too_large(self._most)

    async def part(self) -> list[bytes]:
        """Return the next lines, none at the end; raises Problem where the body is too long or comes too slowly."""
        try:
            async with asyncio.timeout(self._seconds):
                while self._more and len(self._lines) < self._rows and self._held <= self._bytes:
                    await self._feed()
        except TimeoutError:
            raise slow() from None
        found, size = list[bytes](), 0
        while self._lines and len(found) < self._rows:
            size += len(self._lines[0])
            if found and size > self._bytes:
                break
            found.append(self._lines.popleft())
        self._held -= sum(map(len, found))
        return found

    async def _feed(self) -> None:
        message = await self._call.next_message()
        self._more = message.get("more_body", False)
        self._read += len(message["body"])
        if self._read > self._most:
            raise too_large(self._most)
        first, *others = message["body"].split(b"\n")
        self._extend(first)
        for one in others:
            self._end()
            self._extend(one)
        if not self._more:
            self._end()

    def _extend(self, piece: bytes) -> None:
        self._tail += piece[: MAX_BYTES + 1 - len(self._tail)]

    def _end(self) -> None:
        if self._tail.strip():
            self._lines.append(bytes(self._tail))
            self._held += len(self._tail)
        self._tail.clear()

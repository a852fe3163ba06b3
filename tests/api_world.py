"""The REST application in this process: requests go straight into the ASGI callable, as a server would put them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

from vitalwatch.api.app import create_app
from vitalwatch.database import access
from vitalwatch.engine import Engine
from vitalwatch.settings import Settings

HERE = "127.0.0.1"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    parts: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The reason code of a problem."""
        assert "application/problem+json" == self.headers["content-type"], self.body
        return self.json["type"].rpartition(":")[2]


class Api:
    """An application with its own loop; `close` it in the end."""

    def __init__(self, settings: Settings, engine: Engine, bound: Sequence[str] = (HERE,)) -> None:
        self.engine, self.loop = engine, asyncio.new_event_loop()
        self.app: FastAPI = create_app(settings, engine=engine, bound=lambda: bound)
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.loop.run_until_complete(self._lifespan.__aenter__())

    def close(self) -> None:
        self.loop.run_until_complete(self._lifespan.__aexit__(None, None, None))
        self.loop.close()

    def ask(self, method: str, address: str, body: Any = None, **more: Any) -> Answer:
        return self.loop.run_until_complete(self.asked(method, address, body, **more))

    async def asked(
        self,
        method: str,
        address: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        client: str = HERE,
        key: str = "",
        media: str | None = "application/json",
        chunks: Sequence[bytes] | None = None,
        leaves_after: float | None = None,
    ) -> Answer:
        """Return the answer; `body` is bytes, or a value that is sent as JSON; `chunks` come without a length.

        With `leaves_after` whoever asks hangs up so many seconds after the body.
        """
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"host": HERE, **(headers or {})}
        if body is not None or chunks is not None:
            told |= {} if media is None or "content-type" in told else {"content-type": media}
            told |= {"content-length": str(len(raw))} if chunks is None else {}
        if key:
            told["authorization"] = f"Bearer {key}"
        path, _, query = address.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.items()],
            "client": (client, 40000),
            "server": (HERE, 8000),
        }
        parts = list(chunks) if chunks is not None else [raw]
        messages = [
            {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)} for i, part in enumerate(parts)
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop(0)
            await asyncio.sleep(3600 if leaves_after is None else leaves_after)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        bodies = [message.get("body", b"") for message in sent[1:]]
        return Answer(start["status"], found, b"".join(bodies), bodies)

    def key(self, scopes: Sequence[str], wards: frozenset[str] | None = None, name: str = "test") -> str:
        """Make a key and return its token."""
        engine = self.engine
        with engine.database.writing() as connection:
            _, token = access.make(connection, engine._secret, name, scopes, wards, engine.now(), None)
        self.forget()
        return token

    def forget(self) -> None:
        """Let the application look up keys anew."""
        found = self.app.state.desk.access
        found._known.clear()
        found._closed = (0.0, False)

"""One request as its operation sees it, and what is sent back."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.datastructures import QueryParams
from pydantic import BaseModel, ValidationError

from vitalwatch.api.problem import Problem, of_validation
from vitalwatch.api.wire import dumped
from vitalwatch.messages import strict

if TYPE_CHECKING:
    from vitalwatch.api.access import Caller
    from vitalwatch.api.desk import Desk

M = TypeVar("M", bound=BaseModel)
Scope = MutableMapping[str, Any]
JSON = "application/json"
NDJSON = "application/x-ndjson"
CODE = "vitalwatch.code"  # in the scope: why a request was refused, for the figures


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `headers` beside content type and length."""

    body: bytes
    status: int = 200
    media: str = JSON
    headers: Sequence[tuple[str, str]] = ()

    async def send(self, send: Any) -> None:
        """Send it."""
        raw = [(b"content-type", self.media.encode()), (b"content-length", str(len(self.body)).encode())]
        raw += [(name.encode(), value.encode()) for name, value in self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": self.body})


def reply(told: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
    """Return JSON."""
    return Reply(dumped(told), status, JSON, headers)


@dataclass(slots=True)
class Call:
    """One request.

    Attributes:
        scope, receive, send: As ASGI gives them.
        desk: What all requests share.
        caller: Who asks.
        headers: Lower-case names; of several with one name the last.
        path: Values in the path.
        request: Its id.
        most: Bytes that its body may have.
    """

    scope: Scope
    receive: Any
    send: Any
    desk: Desk
    caller: Caller
    headers: dict[bytes, bytes]
    path: dict[str, str] = field(default_factory=dict)
    request: str = ""
    most: int = 0

    @property
    def media(self) -> str:
        """The media type of the body, empty where none is told."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    def query(self, form: type[M]) -> M:
        """Return the query string as a form; raises Problem."""
        pairs = QueryParams(self.scope.get("query_string", b"")).multi_items()
        if len({name for name, _ in pairs}) != len(pairs):
            raise Problem("duplicate_key")
        try:
            return form.model_validate_strings(dict(pairs))
        except ValidationError as error:
            raise of_validation(error) from None

    async def json(self, form: type[M]) -> M:
        """Return the body as a form; raises Problem."""
        return checked(form, await self.value())

    async def optional(self, form: type[M]) -> M:
        """Return the body as a form, its defaults where nothing is sent; raises Problem."""
        if not self.headers.get(b"content-type"):
            return form()
        raw = await self.raw()
        if not raw:
            return form()
        async with self.desk.compute:
            return checked(form, self.parsed(raw))

    async def value(self) -> Any:
        """Return the body as strict JSON; raises Problem."""
        raw = await self.raw()
        async with self.desk.compute:
            return self.parsed(raw)

    def parsed(self, raw: bytes) -> Any:
        """Return a body as strict JSON; raises Problem."""
        value, reason = strict(raw, self.most)
        if reason:
            raise Problem("not_json" if reason == "empty" else reason)
        return value

    async def raw(self) -> bytes:
        """Return the body of a question that needs the processor; raises Problem, before the body is read if busy."""
        self.expect(JSON)
        self.desk.compute.admit()
        return await self.body()

    def expect(self, *media: str) -> None:
        """Raise Problem unless the body is of one of these media types, UTF-8 and uncompressed."""
        kind, _, parameters = self.headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
        charset = parameters.replace(" ", "").replace('"', "")
        plain = charset in ("", "charset=utf-8") or not charset.startswith("charset")
        if kind.strip() not in media or not plain or self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise Problem("media_type", f"Send {' or '.join(media)} in UTF-8, without content-encoding.")

    async def body(self) -> bytes:
        """Return the whole body; raises Problem where it is longer than it may be, or comes too slowly."""
        most, told = self.most, self.headers.get(b"content-length")
        if told is not None and int(told) > most:
            raise too_large(most)
        message = await self._first()
        if not message.get("more_body"):
            whole: bytes = message["body"]
            if len(whole) > most:
                raise too_large(most)
            return whole
        return await self._rest(message["body"], most)

    async def _first(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self.desk.chosen.body_seconds):
                return await self.next_message()
        except TimeoutError:
            raise slow() from None

    async def _rest(self, first: bytes, most: int) -> bytes:
        parts, size, more = [first], len(first), True
        try:
            async with asyncio.timeout(self.desk.chosen.body_seconds):
                while more:
                    message = await self.next_message()
                    parts.append(message["body"])
                    size, more = size + len(message["body"]), message.get("more_body", False)
                    if size > most:
                        raise too_large(most)
        except TimeoutError:
            raise slow() from None
        return b"".join(parts)

    async def next_message(self) -> dict[str, Any]:
        """Return the next piece of the body; raises Gone where the one who asked has hung up."""
        message: dict[str, Any] = await self.receive()
        if message["type"] == "http.disconnect":
            raise Gone
        message.setdefault("body", b"")
        return message


class Gone(Exception):
    """The one who asked has hung up."""


def checked(form: type[M], value: Any) -> M:
    """Return a JSON value as a form; raises Problem."""
    try:
        return form.model_validate(value)
    except ValidationError as error:
        raise of_validation(error) from None


def too_large(most: int) -> Problem:
    """Return the problem of a body that is longer than `most` bytes."""
    return Problem("too_large", f"This route takes {most // 1024} kB.", headers=(("connection", "close"),))


def slow() -> Problem:
    """Return the problem of a body that comes too slowly."""
    return Problem("slow_request", headers=(("connection", "close"),))

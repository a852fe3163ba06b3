"""What can be asked, as a table: method, path, scope, forms, answer. Routes, access and OpenAPI follow from it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import StarletteHTTPException as HTTPException
from fastapi.routing import Match, routing
from pydantic import BaseModel

from vitalwatch.api.access import ANYBODY, PUBLIC
from vitalwatch.api.calls import CODE, JSON, Call, Gone, Reply, Scope
from vitalwatch.api.desk import Desk
from vitalwatch.api.limits import place_of
from vitalwatch.api.problem import HOUSE_KEY, MEDIA, Problem, in_protocol, of_error
from vitalwatch.errors import VitalsError
from vitalwatch.settings import Api

log = logging.getLogger("vitalwatch.api")
OWN, HOUSE, NONE = "own", "all", "none"  # what an operation has to do with wards
Answering = Callable[[Call], Awaitable[Reply | None]]  # None: the operation has sent its answer itself


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked.

    Attributes:
        method, path: As in HTTP.
        name: The stable operation id.
        scope: That a key needs, or PUBLIC.
        tag, summary, told: For readers of /docs.
        answer: Does it.
        body: Form of the body, None for none; a name stands for a component of the OpenAPI file.
        media: Media types of the body.
        query: Form of the query string.
        statuses: What may be answered beside what every operation may answer.
        returns: Media type of the answer.
        deprecated: Whether something newer does the same.
        wards: OWN where it is about people, of whom a key sees those of its wards; HOUSE where it is about everybody
            at once, so that it takes a key of all wards; NONE where it is about nobody.
        many: Whether the body holds up to a thousand of something, and so may be `config.api.max_batch_body` long, not
            `max_body`.
    """

    method: str
    path: str
    name: str
    scope: str
    tag: str
    summary: str
    answer: Answering
    body: type[BaseModel] | str | None = None
    media: tuple[str, ...] = (JSON,)
    query: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    returns: str = JSON
    deprecated: bool = False
    told: str = ""
    headers: tuple[str, ...] = ()
    wards: str = OWN
    many: bool = False

    def most(self, chosen: Api) -> int:
        """Return how many bytes the body may have, whether its length is told or not."""
        return chosen.max_batch_body if self.many else chosen.max_body


class Route(routing.Route):
    """A route that answers by an operation: our own JSON, our own validation, our own problems.

    Not FastAPI's own, which looks into the signature of every function: a fortieth of a second at each start.
    """

    operation: Operation
    desk: Desk

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation.path, operation.answer, methods=[operation.method], name=operation.name)
        self.answers, self.operation = frozenset(self.methods or ()), operation  # HEAD beside GET (RFC 9110, 9.1)

    async def handle(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer, if the method is the operation's; of a HEAD the door sends no body."""
        if scope["method"] not in self.answers:
            there = (route for route in scope["app"].routes if route.matches(scope)[0] is not Match.NONE)
            known = sorted({method for route in there for method in route.methods})
            raise HTTPException(405, headers={"Allow": ", ".join(known)})
        await answered(self.operation, self.desk, scope, receive, send)

    def matches(self, scope: Scope) -> tuple[Match, dict[str, Any]]:
        """Return whether path and method are the operation's."""
        if scope.get("path") == self.path and scope["method"] in self.answers:  # no parameters: most requests
            return Match.FULL, {"endpoint": self.endpoint, "path_params": {}, "route": self}
        match, found = super().matches(scope)
        return match, dict(found)


async def answered(operation: Operation, desk: Desk, scope: Scope, receive: Any, send: Any) -> None:
    """Answer one request."""
    scope["vitalwatch.operation"] = operation.name
    call = Call(
        scope, receive, send, desk, ANYBODY, dict(scope["headers"]), scope["path_params"], scope["vitalwatch.id"],
        operation.most(desk.chosen),
    )  # fmt: skip
    try:
        client = (scope.get("client") or ("",))[0]
        if operation.scope == PUBLIC:
            desk.anybody.take(place_of(client))
        else:
            caller = call.caller = await desk.access.caller(call.headers, client)
            if operation.scope not in caller.scopes:
                raise Problem("scope_missing", f"This needs a key with the scope `{operation.scope}`.")
            if operation.wards == HOUSE and caller.wards is not None:
                raise Problem("wards_missing", HOUSE_KEY)
            desk.rate.take(caller.actor)
        told = await operation.answer(call)
    except Gone:
        return
    except Problem as problem:
        if problem.status in (401, 403):
            desk.note_refusal(problem.actor or call.caller.actor, operation.name, problem.code)
        told = refused(problem, call.scope)
    except VitalsError as error:
        told = refused(of_error(error), call.scope)
    except Exception:
        log.error("request=%s operation=%s failed at %s", call.request, operation.name, where())
        told = refused(Problem("internal", "Look into the log under this request's id."), call.scope)
    if told is not None:
        await told.send(send)


def refused(problem: Problem, scope: Scope) -> Reply:
    """Return a problem as an answer, in the form of the protocol that was spoken, and note it for the figures."""
    scope[CODE] = problem.code
    if in_protocol(scope["path"]):
        return Reply(problem.error(), problem.status, JSON, problem.headers)
    return Reply(problem.body(scope["vitalwatch.id"]), problem.status, MEDIA, problem.headers)


def where() -> str:
    """Return kind and place of the error being handled: messages of errors may hold what was sent, so they stay out."""
    kind, _, trace = sys.exc_info()
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{kind.__name__ if kind else ''} {' > '.join(places[-6:])}"


def now_ms() -> int:
    """Return the time, UTC milliseconds."""
    return time.time_ns() // 1_000_000

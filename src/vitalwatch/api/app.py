"""The REST application: FastAPI's routing, our operations, an engine; nothing is opened before the server starts it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import StarletteHTTPException as HTTPException

from vitalwatch.api import connections
from vitalwatch.api.access import loopback
from vitalwatch.api.desk import Desk
from vitalwatch.api.door import Door
from vitalwatch.api.limits import place_of
from vitalwatch.api.metrics import Metrics
from vitalwatch.api.openapi import DESCRIPTION, TITLE, VERSION, described
from vitalwatch.api.operations import Route, refused
from vitalwatch.api.problem import TABLE, Problem
from vitalwatch.api.shedding import Shedding
from vitalwatch.api.table import OPERATIONS
from vitalwatch.engine import Engine
from vitalwatch.errors import NoModelYet, SettingsError
from vitalwatch.settings import Settings

log = logging.getLogger("vitalwatch.api")
COMPUTING = ("predict", "anomaly", "forecast", "predict_heart_rate", "detect_anomaly")  # operations
BY_STATUS = {404: "not_found", 405: "method_not_allowed"}


def create_app(
    settings: Settings, *, engine: Engine | None = None, bound: Callable[[], Sequence[str]] | None = None
) -> FastAPI:
    """Return the application.

    Args:
        settings: Where the database and models are, and `config.api`.
        engine: One that is open already and stays so (a page or a simulated feed in the same process); else one is
            opened when the server starts and closed when it stops.
        bound: Tells the addresses that the server binds; by default what uvicorn was told.
    """
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(settings, engine, bound or told_to_uvicorn),
    )
    app.router.redirect_slashes = False
    metrics = Metrics()
    app.router.routes.extend(Route(operation) for operation in OPERATIONS)
    app.add_middleware(Door, metrics=metrics)
    app.add_exception_handler(HTTPException, _refused)
    app.state.metrics = metrics
    return app


def attach(app: FastAPI, desk: Desk) -> None:
    """Give the routes what they share."""
    made: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not made:
            made.append(described(desk.forms, desk.chosen))
        return made[0]

    app.openapi = openapi  # type: ignore[method-assign]
    for route in app.routes:
        if isinstance(route, Route):
            route.desk = desk
    app.state.desk = desk


def _lifespan(settings: Settings, engine: Engine | None, bound: Callable[[], Sequence[str]]) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        logging.getLogger("uvicorn.access").disabled = True  # it writes addresses; ours names operations
        opened = engine if engine is not None else await asyncio.to_thread(Engine.open, settings)
        desk = Desk(settings, opened, app.state.metrics)
        try:
            check_bind(bound(), await desk.access.needs_keys())
            attach(app, desk)
            try:
                await asyncio.to_thread(opened.monitor)
            except NoModelYet as error:
                log.warning("%s Readings are taken and scored later.", error)
            if engine is None:
                opened.start()
            with _told_to_stop(desk):
                yield connections.told(settings.config.api, _shedding(desk))
        finally:
            desk.ending.set()
            desk.close()
            if engine is None:
                await asyncio.to_thread(opened.close)

    return lifespan


def _shedding(desk: Desk) -> Shedding:
    """Return who sends away at the door of what takes turns at the processor, and of readings."""
    waiting = {**dict.fromkeys(COMPUTING, lambda: desk.compute.full), "readings": lambda: desk.readings.full}
    found = {
        (one.method.encode(), one.path.encode()): (one.name, waiting[one.name])
        for one in OPERATIONS
        if one.name in waiting
    }
    return Shedding(found, desk.metrics)


def check_bind(addresses: Sequence[str], has_keys: bool) -> None:
    """Raise SettingsError where the server would listen beyond this machine while nobody needs a key."""
    if not has_keys and not all(map(loopback, addresses)):
        hint = "Make a key first: `python main.py keys make --name NAME --scope read`, or bind 127.0.0.1."
        raise SettingsError("--host", "", "there is no key yet, so nothing may listen beyond this machine", hint)


def told_to_uvicorn() -> list[str]:
    """Return the addresses that uvicorn was told to bind, by its arguments or its environment.

    A server started otherwise is not seen here; it answers other machines nothing all the same while there are no
    keys (see `access`).
    """
    words, found = sys.argv[1:], []
    for i, word in enumerate(words):
        if word == "--host" and i + 1 < len(words):
            found.append(words[i + 1])
        elif word.startswith("--host="):
            found.append(word.partition("=")[2])
    return found or [os.environ.get("UVICORN_HOST", "127.0.0.1")]


@contextlib.contextmanager
def _told_to_stop(desk: Desk) -> Any:
    """End streams as soon as the server is told to stop: it waits for them before it tells us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}

    def stop(which: int, frame: Any) -> None:
        loop.call_soon_threadsafe(desk.ending.set)
        if callable(before[which]):
            before[which](which, frame)

    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = signal.getsignal(each)
        signal.signal(each, stop)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = BY_STATUS.get(error.status_code, "not_found")
    problem = Problem(code, TABLE[code][1].capitalize() + ".", headers=tuple((error.headers or {}).items()))
    try:
        request.app.state.desk.anybody.take(place_of((request.scope.get("client") or ("",))[0]))
    except Problem as too_often:
        problem = too_often
    told = refused(problem, request.scope)
    return Response(told.body, told.status, headers=dict(problem.headers), media_type=told.media)

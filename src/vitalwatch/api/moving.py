"""Runs to choose from, and moving production among them; who may see the page and what it may offer them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from vitalwatch.api.access import HERE
from vitalwatch.api.calls import Call, Reply, reply
from vitalwatch.api.forms import RUN, Why
from vitalwatch.api.problem import Problem
from vitalwatch.database.access import ADMIN
from vitalwatch.errors import NoEarlierRun, StoreError
from vitalwatch.history import Change

_RUN = re.compile(RUN)


async def runs(call: Call) -> Reply:
    """Answer with the complete runs and the history of production."""
    promotion = call.desk.engine.promotion
    found, changes = await call.desk.ask(promotion.runs), await call.desk.ask(promotion.history)
    told = [asdict(change) for change in changes]
    if ADMIN not in call.caller.scopes:
        for one in told:
            del one["who"]  # accounts of this machine
    return reply({"runs": found, "history": told})


async def run(call: Call) -> Reply:
    """Answer with a run's card and evaluation."""
    return reply(await call.desk.ask(call.desk.engine.promotion.told, run_of(call)))


async def promote(call: Call) -> Reply:
    """Put a run into production."""
    wanted, asked = run_of(call), await call.json(Why)
    change = await _move(call, call.desk.engine.promotion.promote, wanted, asked.why, call.caller.actor)
    return _moved(call, change)


async def rollback(call: Call) -> Reply:
    """Put the run back that was in production before."""
    asked = await call.json(Why)
    try:
        change = await _move(call, call.desk.engine.promotion.rollback, asked.why, call.caller.actor)
    except NoEarlierRun as error:
        detail = f"{error.why}Production is as it was. GET /runs lists what is there; promote one of them."
        raise Problem("no_earlier_run", detail) from None
    return _moved(call, change)


async def whoami(call: Call) -> Reply:
    """Answer with what the one who asks may do: nothing without the key that is needed."""
    desk, client = call.desk, (call.scope.get("client") or ("",))[0]
    known = b"authorization" in call.headers or b"x-api-key" in call.headers
    if not known and await desk.access.needs_keys():
        return reply({"actor": None, "scopes": [], "wards": [], "key_needed": True})
    caller = await desk.access.caller(call.headers, client)
    wards = None if caller.wards is None else sorted(caller.wards)
    name = {"name": caller.name} if caller.name else {}
    told = {"actor": caller.actor, **name, "scopes": sorted(caller.scopes), "wards": wards}
    return reply({**told, "key_needed": caller != HERE})


def run_of(call: Call) -> str:
    """Return the id of the run in the path; raises Problem for anything else, as for an unknown one."""
    wanted = call.path["run"]
    if not _RUN.fullmatch(wanted):
        raise Problem("not_found", "It is unknown, or for another key.")
    return wanted


async def _move(call: Call, how: Callable[..., Change | None], *given: Any) -> Change | None:
    try:
        return await call.desk.ask(how, *given)
    except StoreError as error:  # its place on this machine stays here
        raise Problem("run_refused", f"Production does not answer as asked: {error.problem}. {error.hint}.") from None


def _moved(call: Call, change: Change | None) -> Reply:
    told: dict[str, Any] = {"run": call.desk.engine.run(), "moved": change is not None}
    return reply({**told, "previous": None if change is None else change.previous})

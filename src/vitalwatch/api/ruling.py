"""Rules in force, limits and rules of a person, and what alarms cost."""

from __future__ import annotations

from functools import partial
from typing import Any

from vitalwatch.alerting.judging import NOBODY
from vitalwatch.alerting.rules import OWN, Bound, Change, Personal, Rule, Term, Wearing, version_of
from vitalwatch.alerting.telling import listed
from vitalwatch.api.calls import Call, Reply, reply
from vitalwatch.api.forms import BurdenSpan, RulesFilter
from vitalwatch.api.problem import Fault, Problem
from vitalwatch.api.ward import person_of
from vitalwatch.errors import SettingsError
from vitalwatch.rehearsal import Rehearsal
from vitalwatch.tables import DAY

VERBS = ("is ", "has ", "holds ", "must ", "cannot ", "stands ")  # with which problems of settings begin
FIELDS = frozenset(name for form in (Personal, Rule, Term, Bound, Change, Wearing) for name in form.model_fields)


async def rules(call: Call) -> Reply:
    """Answer with the rules in force, for everybody or as they are for one person."""
    asked, desk = call.query(RulesFilter), call.desk
    own = await desk.ask(desk.engine.personal, asked.person, call.caller.wards) if asked.person else NOBODY
    return reply({"rules": listed(desk.engine.rules, own, desk.settings.schema)})


async def limits(call: Call) -> Reply:
    """Answer with a person's own limits and rules."""
    found = await call.desk.ask(call.desk.engine.limits, person_of(call), call.caller.wards)
    told = {} if found is None else found
    return reply(told, headers=[("etag", f'"{version_of(told)}"')])


async def set_limits(call: Call) -> Reply:
    """Write a person's own limits and rules, and answer with what they would have raised."""
    wanted, told = person_of(call), await call.value()
    work = partial(call.desk.engine.set_limits, versions=_versions(call))
    return await _tried(call, work, wanted, told, call.caller.actor)


def _versions(call: Call) -> list[str] | None:
    """Return the versions that If-Match names, None where any will do."""
    told = call.headers.get(b"if-match", b"*").decode("latin-1").strip()
    return None if told == "*" else [one.strip().strip('"') for one in told.split(",")]


async def try_limits(call: Call) -> Reply:
    """Answer with what a person's own limits and rules would have raised; nothing is written."""
    wanted, told = person_of(call), await call.value()
    return await _tried(call, call.desk.engine.try_limits, wanted, told)


async def burden(call: Call) -> Reply:
    """Answer with what alarms cost those who answer them."""
    asked, engine = call.query(BurdenSpan), call.desk.engine
    found = await call.desk.ask(engine.burden, engine.now() - asked.days * DAY, call.caller.wards)
    return reply({"days": asked.days, **found.to_json()})


async def _tried(call: Call, work: Any, *given: Any) -> Reply:
    """Answer with a rehearsal, null without a run; a setting that is wrong is a problem."""
    try:
        found: Rehearsal | None = await call.desk.ask(work, *given, call.caller.wards)
    except SettingsError as error:
        detail = f"{_sentence(error.problem)}. {error.hint}".strip()
        raise Problem("unknown_value", detail, faults=[Fault(_pointer(error, call), "unknown_value", detail)]) from None
    return reply({"tried": None if found is None else found.to_json()})


def _sentence(problem: str) -> str:
    """Return what is wrong with the value that a pointer names: some problems are whole sentences already."""
    return f"It {problem}" if problem.startswith(VERBS) else problem[:1].upper() + problem[1:]


def _pointer(error: SettingsError, call: Call) -> str:
    """Return where in the body something is wrong, up to the first name that is not ours: that may be anything."""
    known = {*FIELDS, *call.desk.settings.schema.vitals, *call.desk.engine.rules.rules}
    place = ""
    for part in f"{error.file}.{error.key}".split(".")[1:]:
        if part not in known and not OWN.fullmatch(part) and not (part.isdecimal() and len(part) < 4):
            break
        place += f"/{part}"
    return place

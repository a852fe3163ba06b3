"""People, what is known of them, their alerts and what is done about these. Whoever is elsewhere is not found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vitalwatch.alerting.watchdog import SYSTEM
from vitalwatch.api.answers import chance, number
from vitalwatch.api.calls import Call, Reply, reply
from vitalwatch.api.forms import ALARM, PSEUDONYM, AlarmFilter, People, RefusedFilter, Replay, Whereto, acting_form
from vitalwatch.api.forms import Span as Stretch
from vitalwatch.api.freshness import told_age
from vitalwatch.api.operations import now_ms
from vitalwatch.api.problem import Fault, Problem
from vitalwatch.database.access import ADMIN
from vitalwatch.database.changes import MEDICATION, Change
from vitalwatch.database.moving import UNKNOWN
from vitalwatch.database.quarantine import Which
from vitalwatch.database.readings import Late
from vitalwatch.database.scores import Timeline
from vitalwatch.explaining import usual_range
from vitalwatch.replaying import Span
from vitalwatch.tables import DAY, MINUTE, Floats
from vitalwatch.timestamps import parse_time, rfc3339
from vitalwatch.views import Seen, data_age

LONGEST = 31 * DAY  # of one answer
REPLAY_SECONDS = 1.0  # of one request; the rest is told, and asked for by the next
_PERSON, _ALARM = re.compile(PSEUDONYM), re.compile(ALARM)
NUMBERS = ("score", "p_value", "expected_heart_rate", "usual_heart_rate_spread")


async def people(call: Call) -> Reply:
    """Answer with everybody at a glance, worst first."""
    asked = call.query(People)
    if asked.names and ADMIN not in call.caller.scopes:
        raise Problem("scope_missing", "Names need a key with the scope `admin`.")
    names_for = call.caller.actor if asked.names else ""
    engine, gone = call.desk.engine, asked.discharged
    found = await call.desk.ask(engine.people, call.caller.wards, names_for=names_for, discharged=gone)
    return reply({"people": [_seen(one, call) for one in found]})


async def person(call: Call) -> Reply:
    """Answer with one person at a glance."""
    wanted = person_of(call)
    found = await call.desk.ask(call.desk.engine.people, call.caller.wards, discharged=True)
    for one in found:
        if one.person == wanted:
            until = now_ms() if one.time is None else one.time
            late = await call.desk.ask(call.desk.engine.late, wanted, until - DAY, until, call.caller.wards)
            return reply(_seen(one, call) | {"late": _late(late)})
    raise _nobody()


async def timeline(call: Call) -> Reply:
    """Answer with a person's scored rows."""
    asked, wanted = call.query(Stretch), person_of(call)
    until = _moment(asked.until, "/until") if asked.until is not None else now_ms()
    since = _moment(asked.since, "/since") if asked.since is not None else until - DAY
    if not 0 <= until - since <= LONGEST:
        raise Problem("out_of_range", "`since` is before `until`, by 31 days at most.")
    found = await call.desk.ask(call.desk.engine.timeline, wanted, since, until, call.caller.wards)
    vitals = call.desk.settings.schema.vitals
    columns = {name: found.values[name] for name in (*vitals, *NUMBERS) if name in found.values}
    told = {name: [shown(name, value) for value in column.tolist()] for name, column in columns.items()}
    flags = {name: getattr(found, name).tolist() for name in ("anomaly", "assessable", "own_baseline", "worn", "gap")}
    times = [rfc3339(time) for time in found.time.tolist()]
    usual = {name: found.values[f"residual:{name}"] for name in vitals if f"residual:{name}" in found.values}
    changes = await call.desk.ask(call.desk.engine.changes, wanted, call.caller.wards)
    beside = {
        "minute": found.minute.tolist(),  # of the day, on the person's clock
        "spreads": {name: [number(value, 2) for value in column.tolist()] for name, column in usual.items()},
        "filled": {name: column.tolist() for name, column in found.filled.items()},
        "kind": [kind or None for kind in found.kind],
        "usual": _usual(found),
        "changes": [_change(one) for one in changes if since <= one.at < until],
    }
    late = await call.desk.ask(call.desk.engine.late, wanted, since, until, call.caller.wards)
    return reply({"person": wanted, "time": times, **told, **flags, **beside, "late": _late(late)})


async def profile(call: Call) -> Reply:
    """Answer with what is known of a person."""
    found = await call.desk.ask(call.desk.engine.profile, person_of(call), call.caller.wards)
    told = {name: number(getattr(found, name), 1) for name in ("age", "height", "weight")}
    return reply({**told, "sex": found.sex, "conditions": list(found.conditions), "medication": list(found.medication)})


async def set_profile(call: Call) -> Reply:
    """Write all that is known of a person."""
    return await _profile_written(call, whole=True)


async def patch_profile(call: Call) -> Reply:
    """Write some of what is known of a person; null takes it back, what is left out stays."""
    return await _profile_written(call, whole=False)


async def _profile_written(call: Call, *, whole: bool) -> Reply:
    wanted, told = person_of(call), await call.json(call.desk.forms.profile)
    known, engine, caller = told.model_dump(exclude_unset=not whole), call.desk.engine, call.caller
    await call.desk.ask(engine.set_profile, wanted, known, caller.actor, caller.wards, whole=whole)
    return Reply(b"", 204)


async def changes(call: Call) -> Reply:
    """Answer with when a person's own normal began anew."""
    found = await call.desk.ask(call.desk.engine.changes, person_of(call), call.caller.wards)
    return reply({"changes": [_change(one) for one in found]})


async def change(call: Call) -> Reply:
    """Begin a person's own normal anew."""
    wanted, asked = person_of(call), await call.json(call.desk.forms.change)
    kind, medication = asked.kind, asked.medication  # type: ignore[attr-defined]
    if (kind == MEDICATION) != (medication is not None):
        code = "missing_field" if kind == MEDICATION else "unknown_field"
        detail = "`medication` tells what is taken now; it belongs to this kind alone."
        raise Problem(code, detail, faults=[Fault("/medication", code)])
    told = {} if medication is None else {"medication": medication}
    engine, caller = call.desk.engine, call.caller
    made = await call.desk.ask(engine.change, wanted, kind, told, caller.actor, caller.wards)
    call.desk.tell()
    return reply(_change(made))


async def move(call: Call) -> Reply:
    """Put a person into another ward, by a key of both."""
    wanted, asked, engine, caller = person_of(call), await call.json(Whereto), call.desk.engine, call.caller
    await call.desk.ask(engine.person, wanted, caller.wards)  # whoever is elsewhere is unknown, whatever else is wrong
    if caller.wards is not None and asked.ward not in caller.wards:
        raise Problem("wards_missing", "Moving a person takes a key of the ward they are in and of the one they go to.")
    if not await call.desk.ask(engine.is_ward, asked.ward):
        raise Problem("unknown_value", UNKNOWN, faults=[Fault("/ward", "unknown_value", UNKNOWN)])
    await call.desk.ask(engine.move, wanted, asked.ward, caller.actor, caller.wards)
    call.desk.tell()
    return Reply(b"", 204)


async def replay(call: Call) -> Reply:
    """Run refused readings through today's rules again."""
    asked, caller = call.query(Replay), call.caller
    span = Span(asked.after, asked.until)
    engine = call.desk.engine
    found = await call.desk.ask(engine.replay, caller.actor, caller.wards, span=span, seconds=REPLAY_SECONDS)
    call.desk.tell()
    return reply({**found.counts, "rest": None if found.rest is None else asdict(found.rest)})


async def discharge(call: Call) -> Reply:
    """Close a person's technical alarms."""
    await call.desk.ask(call.desk.engine.discharge, person_of(call), call.caller.actor, call.caller.wards)
    call.desk.tell()
    return Reply(b"", 204)


async def alarm(call: Call) -> Reply:
    """Answer with one alert and what became of it: where the link of a notice leads."""
    found = await call.desk.ask(call.desk.engine.alarm, alarm_of(call), call.caller.wards)
    return reply(alert(found) | {"history": _history(found)})


async def history(call: Call) -> Reply:
    """Answer with what became of an alert, oldest first."""
    found = await call.desk.ask(call.desk.engine.alarm, alarm_of(call), call.caller.wards)
    return reply({"history": _history(found)})


async def alarms(call: Call) -> Reply:
    """Answer with a page of alerts, how many there are, and where the next page begins."""
    asked = call.query(AlarmFilter)
    found = await call.desk.ask(
        call.desk.engine.alarm_page,
        call.caller.wards,
        open_only=asked.open_only,
        person=SYSTEM if asked.system else asked.person or "",
        most=asked.most,
        after=asked.after or "",
    )
    return reply({"alarms": [alert(one) for one in found.alerts], "total": found.total, "next": found.next or None})


async def quarantine(call: Call) -> Reply:
    """Answer with refused readings, without what was sent, and counts of all that are kept."""
    asked = call.query(RefusedFilter)
    which = Which(asked.after, asked.most, asked.reason or "", asked.newest)
    found = await call.desk.ask(call.desk.engine.quarantine, call.caller.wards, which)
    told = [
        {
            "no": one.no,
            "received": rfc3339(one.received),
            "source": one.source,
            "position": one.position,
            "code": one.reason,
            "detail": one.detail,
            "person": one.person or None,
        }
        for one in found.refused
    ]
    return reply({"refused": told, "counts": found.counts})


def shown(name: str, value: float) -> float | None:
    """Return a number of a timeline, rounded."""
    return chance(value) if name == "p_value" else number(value, 4)


def alert(told: dict[str, Any]) -> dict[str, Any]:
    """Return an alert with times as text; the page and other programs read the same."""
    shown = dict(told)
    for name in ("start", "end", "raised_at", "changed_at", "sounded_at", "until", "escalate_at", "acknowledged_at"):
        if shown.get(name) is not None:
            shown[name] = rfc3339(shown[name])
    return shown


def person_of(call: Call) -> str:
    """Return the pseudonym in the path; raises Problem for anything else, as for somebody unknown."""
    wanted = call.path["person"]
    if not _PERSON.fullmatch(wanted):
        raise _nobody()
    return wanted


def alarm_of(call: Call) -> str:
    """Return the id of the alert in the path; raises Problem for anything else, as for an unknown one."""
    wanted = call.path["alarm"]
    if not _ALARM.fullmatch(wanted):
        raise _nobody()
    return wanted


def acting(action: str) -> Any:
    """Return the operation that does one of `forms.ACTING` to an alert."""

    async def act(call: Call) -> Reply:
        wanted = alarm_of(call)
        asked = await call.optional(acting_form(action))
        pause = (getattr(asked, "minutes", None) or 0) * MINUTE
        told = await call.desk.ask(
            call.desk.engine.act, wanted, action, call.caller.actor, call.caller.wards, pause=pause
        )
        call.desk.tell()
        return reply(alert(told))

    return act


def _change(one: Change) -> dict[str, Any]:
    return {"time": rfc3339(one.at), "kind": one.kind}


def _history(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**one, "at": rfc3339(one["at"])} for one in told["history"]]


def _late(found: Late) -> dict[str, Any]:
    """Return readings that were measured, came too late and stand in no row."""
    rows = found.readings
    times = zip(rows.time.tolist(), found.received.tolist(), strict=True)
    told = [
        {"time": rfc3339(time), "received": rfc3339(came), "values": _measured(rows.values, i)}
        for i, (time, came) in enumerate(times)
    ]
    return {"count": found.count, "readings": told}


def _measured(values: Mapping[str, Floats], row: int) -> dict[str, float]:
    return {name: float(f"{column[row]:.6g}") for name, column in values.items() if column[row] == column[row]}


def _usual(found: Timeline) -> dict[str, Any]:
    """Return what is usual of each vital, in its unit, row by row."""
    told = {}
    if {"expected_heart_rate", "usual_heart_rate_spread"} <= found.values.keys():
        told["heart_rate"] = _ends("heart_rate", *(found.values[name] for name in NUMBERS[2:]))
    for name, centre in found.values.items():
        what, _, vital = name.partition(":")
        if what == "centre":
            told[vital] = _ends(vital, centre, found.values[f"spread:{vital}"])
    return told


def _ends(vital: str, centre: Floats, spread: Floats) -> dict[str, Any]:
    ends = zip(("low", "high"), usual_range(vital, centre, spread), strict=True)
    return {name: [number(value, 2) for value in end.tolist()] for name, end in ends}


def _seen(one: Seen, call: Call) -> dict[str, Any]:
    schema, now = call.desk.settings.schema, call.desk.engine.now()
    return {
        "person": one.person,
        **({"name": one.name} if one.name else {}),
        "ward": one.ward,
        "heard": rfc3339(one.heard),
        "time": None if one.time is None else rfc3339(one.time),
        **told_age(data_age(one, schema.step_ms, now), schema),
        "vitals": {name: number(value, 2) for name, value in one.values.items() if name not in NUMBERS[:2]},
        "score": None if one.score is None else number(one.score, 4),
        "p_value": None if one.p_value is None else chance(one.p_value),
        "is_anomaly": one.is_anomaly,
        "own_baseline": one.own_baseline,
        "worn": one.worn,
        "wear": one.wear or None,
        "waiting": one.waiting,
        "late": {"count": one.late},
        "discharged": None if one.discharged is None else rfc3339(one.discharged),
        "priority": one.priority or None,
        "alarms": [alert(each) for each in one.alarms],
    }


def _moment(text: str, pointer: str) -> int:
    told = parse_time(text.replace(" ", "+"))  # a plus sign in a query means a space
    if isinstance(told, str):
        raise Problem(told, faults=[Fault(pointer, told)])
    return told[0]


def _nobody() -> Problem:
    return Problem("not_found", "It is unknown, or for another key.")

"""/predict, /anomaly, /forecast: what the models say of what is told in the request, or of a known person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from pydantic import ValidationError

from vitalwatch import clearances, prognosis
from vitalwatch.api import answers
from vitalwatch.api.attention import look_now
from vitalwatch.api.calls import Call, Reply, checked, reply
from vitalwatch.api.forms import MOST, PSEUDONYM, AnomalyQuestion, ForecastQuestion, Window
from vitalwatch.api.freshness import NOT_KEPT, age_of, of_now, told_age
from vitalwatch.api.metrics import ANOMALY, FORECAST, HEART_RATE
from vitalwatch.api.operations import now_ms
from vitalwatch.api.problem import Fault, Problem, of_validation
from vitalwatch.api.windows import SOMEBODY, care_of, readings_of
from vitalwatch.clinical import oxygen
from vitalwatch.database.access import ADMIN, INGEST
from vitalwatch.errors import NotAllowed
from vitalwatch.expecting import Moments, of_known
from vitalwatch.monitor import Monitor, State
from vitalwatch.tables import Answers, Care, Doubles, Profile, Readings

NAN = float("nan")
KNOWS_NAMES = frozenset({INGEST, ADMIN})  # scopes of who sends people's readings, or may see their names
ABOUT_SOMEBODY = (*(name for name in Profile.__dataclass_fields__ if name != "person"), "resting_heart_rate")
_PERSON = re.compile(PSEUDONYM)
Q = TypeVar("Q", bound=Window)


async def predict(call: Call) -> Reply:
    """Answer with the heart rate expected in one moment, or in up to a thousand."""
    raw = await call.raw()
    async with call.desk.compute:
        value = call.parsed(raw)
        many = isinstance(value, list)
        if many and not 0 < len(value) <= MOST:
            raise Problem("too_many" if value else "too_few", f"1 to {MOST} moments in one request.")
        try:
            told = call.desk.forms.moments.validate_python(value if many else [value])
        except ValidationError as error:
            raise of_validation(error, around=0 if many else 1) from None
        whom = _known(told)
        if whom is None:
            monitor, run = call.desk.monitor()
            with call.desk.metrics.inference[HEART_RATE].time():
                found = expected(monitor, told, run)
    if whom is not None:
        found = await _of_known(call, told, whom)
    call.desk.metrics.predictions.labels("heart_rate", "answered").inc(len(found))
    return reply({"predictions": found} if many else found[0])


def _known(told: list[Any]) -> str | None:
    """Return the known person that all moments are of, None where none names anybody; raises Problem."""
    named = {one.person for one in told}
    if len(named) > 1:
        detail = "All moments of a request are of one known `person`, or name nobody."
        raise Problem("too_many", detail, faults=[Fault("", "too_many")])
    (whom,) = named
    about = next((name for one in told for name in ABOUT_SOMEBODY if name in one.model_fields_set), "")
    if whom is not None and about:
        detail = "A known person has a profile and days here."
        raise Problem("unknown_field", detail, faults=[Fault(f"/{about}", "unknown_field")])
    return None if whom is None else str(whom)


async def _of_known(call: Call, told: list[Any], whom: str) -> list[dict[str, Any]]:
    """Return the heart rate that somebody's own days let expect in each moment, as JSON."""
    desk = call.desk
    _may_name(call, whom)
    used, state = await desk.ask(desk.engine.known, whom, call.caller.wards)
    async with desk.compute:
        with desk.metrics.inference[HEART_RATE].time():
            rate, spread, own = of_known(used.monitor.lift, state.person, state.body.rows, moments_of(told))
    return _predictions(rate, spread, ["own" if own else "borrowed"] * len(told), used.run)


def expected(monitor: Monitor, told: list[Any], run: str) -> list[dict[str, Any]]:
    """Return the heart rate expected in each moment, as JSON."""
    persons = np.array([monitor.person_row(profile_of(one)) for one in told])
    resting = np.array([NAN if one.resting_heart_rate is None else one.resting_heart_rate for one in told])
    rate, spread = monitor.expected(moments_of(told), persons, resting)
    basis = ["borrowed" if one.resting_heart_rate is None else "told" for one in told]
    return _predictions(rate, spread, basis, run)


def moments_of(told: list[Any]) -> Moments:
    """Return moments as the models take them."""
    clock = [int(one.local_time[:2]) * 60 + int(one.local_time[3:]) for one in told]
    return Moments(
        steps=np.array([one.steps_per_minute for one in told]),
        intensity=np.array([one.intensity for one in told]),
        asleep=np.array([float(one.asleep) for one in told]),
        minutes=np.array([NAN if one.minutes is None else one.minutes for one in told]),
        clock=np.array(clock),
    )


def _predictions(rate: Doubles, spread: Doubles, basis: list[str], run: str) -> list[dict[str, Any]]:
    return [
        {"expected_heart_rate": round(mean, 1), "spread": round(around, 1), "unit": "bpm", "basis": word, "model": run}
        for mean, around, word in zip(rate.tolist(), spread.tolist(), basis, strict=True)
    ]


async def anomaly(call: Call) -> Reply:
    """Answer with how unusual the newest reading is, and why."""
    asked, found, run, (clears, risks, memory) = await _answers(call, AnomalyQuestion)
    stored = await _stored(call, asked)
    scale, given = oxygen(stored, scale=asked.spo2_scale, given=asked.supplemental_oxygen)
    context = {"consciousness": asked.consciousness, "supplemental_oxygen": given, "spo2_scale": scale}
    told = answers.judged(found, call.desk.settings.schema, run, context, series=asked.series)
    schema = call.desk.settings.schema
    age = None if asked.person is None else age_of(found, schema, call.desk.engine.now())
    told |= NOT_KEPT if age is None else told_age(age, schema)
    told["look_now"] = None
    if age is None or of_now(age):
        told["look_now"] = look_now(
            found, schema, told["news2"], {**stored, "oxygen_scale": scale, "supplemental_oxygen": given}
        )
    told["early_warning"] = risks
    if memory:
        told["memory"] = memory
    for place, sentence in clears.items():
        told["alarms"][place]["clears"] = sentence
    outcome = "anomaly" if told["is_anomaly"] else "usual" if told["assessable"] else "too_little"
    call.desk.metrics.predictions.labels("anomaly", outcome).inc()
    return reply(told)


async def _stored(call: Call, asked: AnomalyQuestion) -> Mapping[str, Any]:
    """Return what clinicians set for a known person (SpO2 scale, oxygen, limits), empty for others."""
    if asked.person is None:
        return {}
    return await call.desk.ask(call.desk.engine.limits, asked.person, call.caller.wards) or {}


async def forecast(call: Call) -> Reply:
    """Answer with the vitals of the next hour."""
    asked, found, run, _ = await _answers(call, ForecastQuestion)
    schema, now = call.desk.settings.schema, call.desk.engine.now()
    age = NOT_KEPT if asked.person is None else told_age(age_of(found, schema, now), schema)
    call.desk.metrics.predictions.labels("forecast", "answered").inc()
    return reply(answers.forecast(found, schema, run) | age)


class More(NamedTuple):
    """What an anomaly's answer has beside: what would clear alarms, by their place; the early warning; the memory."""

    clears: dict[int, str] = {}  # noqa: RUF012 - never changed
    risks: dict[str, Any] | None = None
    memory: str = ""


async def _answers(call: Call, form: type[Q]) -> tuple[Q, Answers, str, More]:
    """Return the question, what the monitor says, its run, and what an anomaly's answer has beside it.

    A request has one turn at the processor, from its bytes to its answer: one that was read is never sent away.
    """
    desk, raw = call.desk, await call.raw()
    async with desk.compute:
        asked = checked(form, call.parsed(raw))
        if (asked.person is None) == (asked.readings is None):
            detail = "Send either `readings` or a known `person`."
            raise Problem("missing_field", detail, faults=[Fault("", "missing_field")])
        if asked.readings is not None:
            return asked, *_of_readings(call, asked, asked.readings)
    _may_name(call, asked.person)
    for name in ("profile", "memory", "remember"):
        if getattr(asked, name, None):
            detail = "A known person has a profile and a memory here."
            raise Problem("unknown_field", detail, faults=[Fault(f"/{name}", "unknown_field")])
    found = await desk.ask(desk.engine.forecast, asked.person, call.caller.wards)
    clears: dict[int, str] = {}
    risks = None
    if isinstance(asked, AnomalyQuestion):
        clears = await desk.ask(clearances.of_person, desk.engine, asked.person, found, call.caller.wards)
        care = beside(call, asked, desk.engine.monitor())
        risks = await desk.ask(prognosis.of_person, desk.engine, asked.person, call.caller.wards, care)
    return asked, found, desk.engine.run(), More(clears, risks)


def _may_name(call: Call, person: str | None) -> None:
    """Raise NotAllowed where somebody is named by what they are called, by a key that knows nobody's identity.

    It is answered as for somebody unknown, without a look: such a key must not find out whom a pseudonym stands for.
    """
    if person is not None and not _PERSON.fullmatch(person) and not KNOWS_NAMES & set(call.caller.scopes):
        raise NotAllowed("This person")


def beside(call: Call, asked: AnomalyQuestion, monitor: Monitor) -> Care | None:
    """Return what is told beside the vitals; raises Problem where the run in production has no use for it."""
    if asked.care is None:
        return None
    if monitor.early_warning is None:
        detail = "The run in production learnt no early warning. GET /model tells what it can do."
        raise Problem("not_learnt", detail, faults=[Fault("/care", "not_learnt")])
    return care_of(asked.care, monitor.schema, now_ms(), call.desk.ahead_ms)


def _of_readings(call: Call, asked: Window, rows: list[Any]) -> tuple[Answers, str, More]:
    desk = call.desk
    profile = profile_of(profile_form(call, asked.profile))
    readings = readings_of(rows, desk.settings.schema, now_ms(), desk.ahead_ms)
    monitor, run = desk.monitor()
    before = monitor.begin(SOMEBODY, profile)
    if asked.memory is not None:
        before = replace(desk.engine.handed.take(run, asked.memory), person=before.person)
    if isinstance(asked, ForecastQuestion):
        with desk.metrics.inference[FORECAST].time():
            return ahead(monitor, readings, before), run, More()
    care = beside(call, asked, monitor) if isinstance(asked, AnomalyQuestion) else None
    with desk.metrics.inference[ANOMALY].time():
        goes_on = asked.memory is not None or (isinstance(asked, AnomalyQuestion) and asked.remember)
        if goes_on:
            state, found = monitor.advance(before, readings, forecast=False, follow=True)
        else:
            state, found = before, monitor.answer(readings, profile, forecast=False)
        risks = prognosis.risks(monitor, readings, profile, care)
    if not len(found):
        raise Problem("too_few", "The readings are not behind the window that `memory` is of.")
    clears = clearances.of_window(monitor, found, profile, before if goes_on else None)
    wanted = isinstance(asked, AnomalyQuestion) and asked.remember
    return found, run, More(clears, risks, desk.engine.handed.give(run, state) if wanted else "")


def ahead(monitor: Monitor, readings: Readings, before: State) -> Answers:
    """Return the answers for the newest row, with its forecast."""
    state, _ = monitor.advance(before, readings, forecast=False, detect=False, follow=True)
    return monitor.again(state, detect=False)


def profile_form(call: Call, told: Any) -> Any:
    """Return the profile of a request; raises Problem."""
    try:
        return checked(call.desk.forms.profile, {} if told is None else told)
    except Problem as problem:
        faults = [replace(fault, pointer="/profile" + fault.pointer) for fault in problem.faults]
        raise Problem(problem.code, faults=faults) from None


def profile_of(told: Any) -> Profile:
    """Return a profile or a moment's person as the monitor reads it."""
    age, height, weight = (NAN if value is None else value for value in (told.age, told.height, told.weight))
    return Profile(SOMEBODY, age, told.sex, height, weight, tuple(told.conditions), tuple(told.medication))

"""Everything that can be asked, in the order in which it is looked for: what is asked most comes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from vitalwatch.api import asking, inference, moving, ruling, state, stream, taking, ward
from vitalwatch.api.access import PUBLIC
from vitalwatch.api.calls import JSON, NDJSON
from vitalwatch.api.forms import (
    ACTING,
    ONE,
    AlarmFilter,
    AnomalyQuestion,
    BurdenSpan,
    ForecastQuestion,
    InferQuestion,
    Into,
    People,
    RefusedFilter,
    Replay,
    Resume,
    RulesFilter,
    SeriesQuestion,
    Span,
    Whereto,
    Why,
    acting_form,
)
from vitalwatch.api.metrics import MEDIA as PROMETHEUS
from vitalwatch.api.operations import HOUSE, NONE, OWN, Operation
from vitalwatch.database.access import ACK, ADMIN, INGEST, READ

ASK, SEND, PEOPLE, ALARMS, OIP, STATE = "Ask", "Readings", "People", "Alarms", "Inference protocols", "State"
PERSONAL = {
    "limits": {"heart_rate": {"low": 44, "high": 120}},
    "own": {"own_1": {"when": {"mean": "heart_rate", "over": "3d", "above": 100}, "priority": "medium"}},
}
LIMITS_FORM, READING_FORM, MOMENT_FORM, PROFILE_FORM = "Personal", "Readings", "Moments", "Profile"
CHANGE_FORM = "PersonChange"


def _asking() -> list[Operation]:
    alone: dict[str, Any] = {"deprecated": True, "tag": ASK}
    about: dict[str, Any] = {
        "told": "Person and activity in, one or up to 1,000 as an array; heart rate out. A known `person` (one "
        "in a request, without profile) is told by own days; `basis` says by what."
    }
    judged: dict[str, Any] = {
        "told": "`readings` (one, or a window of up to 1,000) with a profile, or a known `person`. `is_anomaly` is of "
        "the learnt channels (`unusual`, `known`) alone: clinical rules (limits, NEWS2) and sensors stand in `alarms` "
        "once they have lasted; `look_now` tells what limits and NEWS2 say of the newest row by itself, even of one "
        "reading: read all three. A contribution compares the mean over the last hour or six, whichever is farther "
        "from usual, with what is usual for the person: `difference` in the vital's unit, `spreads` in own spreads."
    }
    predict: dict[str, Any] = {
        "answer": asking.predict,
        "body": MOMENT_FORM,
        "scope": READ,
        "many": True,
    }
    anomaly: dict[str, Any] = {"answer": asking.anomaly, "body": AnomalyQuestion, "scope": READ, "many": True}
    return [
        Operation("POST", "/predict", "predict", tag=ASK, summary="Expected heart rate", **about, **predict),
        Operation("POST", "/anomaly", "anomaly", tag=ASK, summary="Is this unusual, and why?", **judged, **anomaly),
        Operation(
            "POST", "/forecast", "forecast", READ, ASK, "The next hour, with 80 % intervals", asking.forecast,
            ForecastQuestion, many=True,
            told="5 to 60 minutes ahead; `readings` of the last hours, or a known `person`.",
        ),
        Operation("POST", "/predict_heart_rate", "predict_heart_rate", summary="Use /predict", **predict, **alone),
        Operation("POST", "/detect_anomaly", "detect_anomaly", summary="Use /anomaly", **anomaly, **alone),
    ]  # fmt: skip


def _people() -> list[Operation]:
    one = "/people/{person}"
    many: dict[str, Any] = {"tag": PEOPLE, "scope": READ}
    change: dict[str, Any] = {"tag": PEOPLE, "scope": ACK, "statuses": (204,)}
    return [
        Operation("GET", "/people", "people", summary="All, worst first", answer=ward.people, query=People, **many),
        Operation("GET", one, "person", summary="One person at a glance", answer=ward.person, **many),
        Operation(
            "GET", f"{one}/timeline", "timeline", summary="Scored rows", answer=ward.timeline, query=Span, **many,
            told="`person` is a pseudonym, as /people tells it: identifiers have no place in an address.",
        ),
        Operation("GET", f"{one}/profile", "profile", summary="Age, sex and the like", answer=ward.profile, **many),
        Operation(
            "PUT", f"{one}/profile", "set_profile", summary="Write all of them; audited", answer=ward.set_profile,
            body=PROFILE_FORM, told="All that is known: what is left out is not known from then on. PATCH corrects.",
            **change,
        ),
        Operation(
            "PATCH", f"{one}/profile", "patch_profile", summary="Write some of them; audited",
            answer=ward.patch_profile, body=PROFILE_FORM, told="What is left out stays; null takes a number back.",
            **change,
        ),
        Operation("GET", f"{one}/limits", "limits", summary="Own limits and rules", answer=ruling.limits, **many),
        Operation(
            "PUT", f"{one}/limits", "set_limits", ACK, PEOPLE, "Write them; audited", ruling.set_limits,
            body=LIMITS_FORM, told="The whole of them: what is left out is gone. Tried on stored "
            "history first: `tried` tells alarms by rule, with these settings and `before`; null without a run. With "
            "`If-Match` only where the settings still have that ETag (412 otherwise).", headers=("If-Match",),
        ),
        Operation(
            "POST", f"{one}/limits/replay", "try_limits", ACK, PEOPLE, "What they would have raised",
            ruling.try_limits, body=LIMITS_FORM, told="As writing them, but nothing is written.",
        ),
        Operation(
            "GET", f"{one}/changes", "changes", summary="When own normal began anew", answer=ward.changes, **many
        ),
        Operation(
            "POST", f"{one}/changes", "change", ACK, PEOPLE, "Another medicine or device; audited", ward.change,
            CHANGE_FORM, told="What was normal before counts no more: the population's normal holds until enough own "
            "days are there again. `kind` medication with the list of what is taken now, or device.",
        ),
        Operation(
            "PUT", f"{one}/ward", "move", ACK, PEOPLE, "Move to another ward; audited", ward.move, Whereto,
            statuses=(204,), told="By a key of both wards, or of all: alerts, events and refused readings go along.",
        ),
        Operation(
            "POST", f"{one}/discharge", "discharge", ACK, PEOPLE, "Close technical alarms until a reading comes",
            ward.discharge, statuses=(204,),
        ),
        Operation(
            "GET", "/quarantine", "quarantine", summary="Refused readings, without what was sent",
            answer=ward.quarantine, query=RefusedFilter, **many,
            told="`counts` tells how many are kept in all, by code, whatever is asked for.",
        ),
        Operation(
            "POST", "/quarantine/replay", "replay", ADMIN, PEOPLE, "Run them through today's rules again; audited",
            ward.replay, query=Replay, told="What is accepted now is scored and leaves the quarantine. After a second "
            "the answer tells in `rest` (`after`, `until`) what is left: ask again with it, until it is null.",
        ),
    ]  # fmt: skip


def _alarms() -> list[Operation]:
    acts = [
        Operation(
            "POST", f"/alarms/{{alarm}}/{action}", action, ACK, ALARMS, f"{action.capitalize()} an alert",
            ward.acting(action), acting_form(action),
        )
        for action in ACTING
    ]  # fmt: skip
    return [
        Operation(
            "GET", "/alarms", "alarms", READ, ALARMS, "Alerts", ward.alarms, query=AlarmFilter,
            told="The open ones, most urgent first; with `open=false` all, those that changed last first. `total` "
            "tells how many there are, `next` what to ask for as `after`.",
        ),
        Operation(
            "GET", "/rules", "rules", READ, ALARMS, "The rules in force, and where each stands", ruling.rules,
            query=RulesFilter, told="Of rules.yaml, or as they are for one `person`; `sentence` says each in words.",
        ),
        Operation(
            "GET", "/burden", "burden", READ, ALARMS, "What alarms cost those who answer them", ruling.burden,
            query=BurdenSpan, told="All together, and by rule: how many, acknowledged, minutes until then, repeated.",
        ),
        Operation(
            "GET", "/alarms/{alarm}", "alarm", READ, ALARMS, "One alert, and what became of it", ward.alarm,
            told="Where the link in a notice leads; `history` as `/alarms/{alarm}/history` has it.",
        ),
        Operation("GET", "/alarms/{alarm}/history", "history", READ, ALARMS, "What became of one", ward.history),
        *acts,
        Operation(
            "GET", "/events", "events", READ, ALARMS, "Readings, scores and alarms as they happen", stream.events,
            query=Resume, returns="text/event-stream", headers=("Last-Event-ID",),
            told="Server-sent events. `Last-Event-ID`, or `after`, goes on behind an event; else from now on. "
            "`gap` (`from`, `to`: not kept any more) or `reset` (`newest`: events have other numbers now) comes first "
            "where there is one: read anew what you show.",
        ),
    ]  # fmt: skip


def _protocols() -> list[Operation]:
    one = "/v2/models/{model}"
    of: dict[str, Any] = {"tag": OIP, "scope": READ}
    version = one + "/versions/{version}"
    infer: dict[str, Any] = {"answer": inference.infer, "body": InferQuestion, "many": True}
    told: dict[str, Any] = {
        "told": "Models `anomaly` and `forecast`; inputs are columns of readings, `time` among them."
    }
    return [
        Operation("GET", "/v2", "v2_server", PUBLIC, OIP, "What this server is", inference.server),
        Operation("GET", "/v2/health/live", "v2_live", PUBLIC, OIP, "Alive", inference.live),
        Operation("GET", "/v2/health/ready", "v2_ready", PUBLIC, OIP, "Models answer", inference.ready),
        Operation("GET", one, "v2_model", summary="Inputs and outputs", answer=inference.model, **of),
        Operation("GET", version, "v2_model_version", summary="The same, of a version", answer=inference.model, **of),
        Operation("GET", f"{one}/ready", "v2_model_ready", summary="It answers", answer=inference.model_ready, **of),
        Operation(
            "GET", f"{version}/ready", "v2_model_version_ready", summary="A version answers",
            answer=inference.model_ready, **of,
        ),
        Operation("POST", f"{one}/infer", "v2_infer", summary="Ask a model", **infer, **of, **told),
        Operation("POST", f"{version}/infer", "v2_infer_version", summary="Ask a version", **infer, **of, **told),
        Operation(
            "POST", "/v1/timeseries/forecast", "timeseries_forecast", READ, OIP, "KServe's forecast", inference.series,
            SeriesQuestion, many=True,
            told="`frequency` second, minute or hour, up to an hour ahead; quantiles 0.1, 0.5 and 0.9.",
        ),
    ]  # fmt: skip


def _state() -> list[Operation]:
    return [
        Operation("GET", "/health/live", "live", PUBLIC, STATE, "The process runs", state.live),
        Operation("GET", "/health/ready", "ready", PUBLIC, STATE, "Readings are taken and judged", state.ready),
        Operation(
            "GET", "/metrics", "metrics", READ, STATE, "Figures for Prometheus", state.figures, returns=PROMETHEUS
        ),
        Operation("GET", "/model", "model", READ, STATE, "Card, version, gates, history", state.model),
        Operation("GET", "/runs", "runs", READ, STATE, "Runs, and the history of production", moving.runs),
        Operation("GET", "/runs/{run}", "run", READ, STATE, "Card and evaluation of a run", moving.run),
        Operation(
            "POST", "/runs/{run}/promote", "promote", ADMIN, STATE, "Put a run into production; audited",
            moving.promote, Why, told="Needs a key of all wards. Refused (409) where it failed a gate or "
            "does not open. It answers from then on; no request fails meanwhile.", wards=HOUSE,
        ),
        Operation(
            "POST", "/runs/rollback", "rollback", ADMIN, STATE, "Put the run before back; audited", moving.rollback,
            Why, told="Needs a key of all wards. Earlier runs that do not open are passed over; without another (409) "
            "production stays.", wards=HOUSE,
        ),
        Operation(
            "GET", "/whoami", "whoami", PUBLIC, STATE, "What this key may do", moving.whoami,
            told="Without a key: whether one is needed.",
        ),
        Operation("GET", "/openapi.json", "openapi", PUBLIC, STATE, "This description", state.openapi),
        Operation("GET", "/docs", "docs", PUBLIC, STATE, "This description, to read", state.docs, returns=state.HTML),
    ]  # fmt: skip


def _about_nobody(operations: Iterable[Operation]) -> list[Operation]:
    return [replace(one, wards=NONE) if one.wards == OWN else one for one in operations]


OPERATIONS: tuple[Operation, ...] = (
    *_asking()[:3],
    Operation(
        "POST", "/readings", "readings", INGEST, SEND, "Send readings", taking.readings, READING_FORM, (JSON, NDJSON),
        statuses=(200, 202), headers=("Idempotency-Key",), query=Into, many=True,
        told="One, an array (up to 1,000 and 1 MB), or a line each (NDJSON, up to 64 MB, taken in parts). 202: on the "
        "disk and scored. "
        "`event_id` or `Idempotency-Key` make a repetition a duplicate (200). Refused ones are named and kept. "
        "People heard for the first time come into `ward`, else into the key's only one; else they have none until "
        "they are moved (`PUT /people/{person}/ward`), and keys of all wards alone see them.",
    ),
    *_people(),
    *_alarms(),
    *_about_nobody([*_protocols(), *_state()]),
    *_asking()[3:],
)  # fmt: skip

SCOPES = (PUBLIC, INGEST, READ, ACK, ADMIN)
READING_EXAMPLES = {
    JSON: [{"person": "bed-7", **ONE}],
    NDJSON: '{"person": "bed-7", "time": "2026-01-05T08:00:00+01:00", "heart_rate": 72}\n',
}

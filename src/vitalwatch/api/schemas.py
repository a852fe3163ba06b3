"""What is answered, as JSON schemas by operation, for the OpenAPI file; a test holds real answers against them.

Nothing reads these while a request is answered. Objects are closed (what is not listed is not there) but where a
protocol of others or a run's own card says what is in them. `examples.yaml` beside has an answer of each as it came.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC"}
TEXT: Schema = {"type": "string"}
YES: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANYTHING: Schema = {"type": "object"}
PERSON: Schema = {"type": "string", "description": "Pseudonym"}
PRIORITY: Schema = {"type": "string", "enum": ["low", "medium", "high"]}


def told(schema: Schema, description: str) -> Schema:
    """Return a schema with what it means."""
    return {**schema, "description": description}


def maybe(schema: Schema) -> Schema:
    """Return a schema that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def each(schema: Schema) -> Schema:
    """Return the schema of an object whose names are not known beforehand: vitals, rules, codes."""
    return {"type": "object", "additionalProperties": schema}


def closed(fields: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these fields, all but the optional ones always there, and no others."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def numbers() -> Schema:
    """Return the schema of a column of numbers, null where there is none."""
    return many(maybe(NUMBER))


def ref(name: str) -> Schema:
    """Return a reference to one of COMPONENTS."""
    return {"$ref": f"#/components/schemas/{name}"}


AGE = maybe(told(NUMBER, "minutes since the newest row of a known person; null of readings that were sent along"))
STALE = told(YES, "a known person's newest row is older than three grid steps: no longer of now")
PREDICTION = closed(
    {
        "expected_heart_rate": told(NUMBER, "bpm"),
        "spread": told(NUMBER, "bpm, usual around it"),
        "unit": {"const": "bpm"},
        "basis": {"enum": ["own", "told", "borrowed"], "description": "own days, a resting heart rate, people alike"},
        "model": told(TEXT, "run that answers"),
    }
)
WARNING_SCORE = closed(
    {
        "total": maybe(COUNT),
        "band": told(maybe(TEXT), "that it is at least; null for low with parts missing: it may be more"),
        "scale": {"enum": [1, 2]},
        "parts": each(maybe(COUNT)),
        "missing": told(many(TEXT), "parts that were not measured or told, so the total is a lower bound"),
    }
)
CONTRIBUTION = closed(
    {
        "vital": TEXT,
        "difference": maybe(told(NUMBER, "mean over the last hour or six minus what is usual, in `unit`")),
        "unit": TEXT,
        "spreads": told(NUMBER, "the same in the person's own spreads"),
        "sentence": TEXT,
    }
)
LOOK_NOW = closed(
    {
        "priority": maybe({"enum": ["medium", "high"]}),
        "reasons": many(
            closed(
                {
                    "rule": {"enum": ["news2", "limit"]},
                    "vital": maybe(TEXT),
                    "priority": {"enum": ["medium", "high"]},
                    "sentence": TEXT,
                }
            )
        ),
    }
)
EPISODE = closed(
    {
        "channel": {"enum": ["unusual", "known", "rule", "technical"]},
        "kind": maybe(TEXT),
        "priority": PRIORITY,
        "start": TIME,
        "end": TIME,
        "explanation": TEXT,
        "clears": told(TEXT, "what would clear it, where it is on"),
    },
    ("clears",),
)
EARLY_WARNING = closed(
    {
        "time": maybe(TIME),
        "risks": many(
            closed({"of": TEXT, "told": TEXT, "within_hours": maybe(NUMBER), "probability": told(NUMBER, "0 to 1")})
        ),
        "used": many(TEXT),
        "missing": many(TEXT),
        "message": TEXT,
    }
)
SERIES = closed(
    {
        "time": many(TIME),
        "score": numbers(),
        "p_value": numbers(),
        "is_anomaly": many(YES),
        "assessable": many(YES),
        "own_baseline": many(YES),
        "expected_heart_rate": numbers(),
    }
)
JUDGEMENT = closed(
    {
        "time": told(TIME, "start of the newest row"),
        "score": maybe(told(NUMBER, "0 to 1, high is unusual; null where it cannot be judged")),
        "p_value": maybe(told(NUMBER, "share of normal rows of the same context at least as unusual")),
        "is_anomaly": told(
            YES, "an alarm of the learnt channels (unusual, known) covers the row; rules are in `alarms`"
        ),
        "assessable": YES,
        "history": closed({"basis": {"enum": ["own", "borrowed", "too short"]}, "message": TEXT}),
        "kind": maybe(TEXT),
        "contributions": many(CONTRIBUTION),
        "expected_heart_rate": closed({"value": maybe(NUMBER), "spread": maybe(NUMBER), "unit": {"const": "bpm"}}),
        "news2": maybe(WARNING_SCORE),
        "age_minutes": AGE,
        "stale": STALE,
        "look_now": maybe(
            told(LOOK_NOW, "what NEWS2 and limits say of the newest row by itself; null where that is over an hour old")
        ),
        "technical": many(closed({"vital": TEXT, "finding": TEXT, "message": TEXT})),
        "alarms": told(many(EPISODE), "of every channel, once they have lasted"),
        "late": told(COUNT, "readings left out because they came after the step that followed theirs"),
        "early_warning": maybe(EARLY_WARNING),
        "series": SERIES,
        "memory": told(TEXT, "where asked for: sealed, to be sent with the readings that follow"),
        "model": TEXT,
    },
    ("series", "memory"),
)
FORECAST = closed(
    {
        "time": TIME,
        "age_minutes": AGE,
        "stale": STALE,
        "interval": told(NUMBER, "share between q10 and q90"),
        "forecast": each(
            closed(
                {
                    "unit": TEXT,
                    "steps": many(
                        closed(
                            {"minutes": COUNT, "q10": maybe(NUMBER), "q50": maybe(NUMBER), "q90": maybe(NUMBER)},
                        )
                    ),
                }
            )
        ),
        "model": TEXT,
    }
)
PLACES = many(COUNT)
TAKEN = closed(
    {
        "accepted": told(COUNT, "on the disk, the late ones too"),
        "duplicates": told(PLACES, "positions"),
        "rejected": many(closed({"position": COUNT, "code": TEXT, "detail": TEXT})),
        "late": told(PLACES, "positions of accepted readings that came too late to be scored"),
        "people": told(many(closed({"person": PERSON, "position": COUNT})), "pseudonyms, and their first reading"),
        "duplicate": told(YES, "of one reading alone"),
        "lines": closed({"read": COUNT, "accepted": COUNT, "duplicate": COUNT, "refused": COUNT, "late": COUNT}),
    },
    ("duplicate", "lines"),
)
ALERT_FIELDS: dict[str, Schema] = {
    "id": TEXT,
    "person": PERSON,
    "source": TEXT,
    "rule": TEXT,
    "kind": TEXT,
    "category": {"enum": ["physiological", "technical"]},
    "priority": PRIORITY,
    "state": TEXT,
    "start": TIME,
    "end": maybe(told(TIME, "null while the condition is present")),
    "explanation": TEXT,
    "latching": YES,
    "cool_down": told(COUNT, "ms"),
    "raised_at": TIME,
    "changed_at": TIME,
    "sounded_at": maybe(TIME),
    "until": maybe(told(TIME, "when a pause or an acknowledgement runs out")),
    "timer": told(COUNT, "ms"),
    "escalate_at": maybe(TIME),
    "level": COUNT,
    "acknowledged_at": maybe(TIME),
    "acknowledged_by": TEXT,
    "repeats": COUNT,
    "occurrences": COUNT,
    "summary": told(TEXT, "alert that speaks for this one"),
    "version": TEXT,
    "about": many(TEXT),
}
STEP = closed(
    {
        "alert": TEXT,
        "person": PERSON,
        "at": TIME,
        "before": TEXT,
        "after": TEXT,
        "cause": TEXT,
        "actor": TEXT,
        "priority": PRIORITY,
        "sounds": YES,
    }
)
ALERT = closed(ALERT_FIELDS)
LATE = closed({"count": COUNT, "readings": many(closed({"time": TIME, "received": TIME, "values": each(NUMBER)}))})
SEEN_FIELDS: dict[str, Schema] = {
    "person": PERSON,
    "name": told(TEXT, "only where it is asked for"),
    "ward": TEXT,
    "heard": told(TIME, "when a reading last came, on our clock"),
    "time": maybe(told(TIME, "start of the newest row")),
    "age_minutes": maybe(told(NUMBER, "since it was measured and heard; null for never")),
    "stale": told(YES, "older than three grid steps: no longer of now"),
    "vitals": each(NUMBER),
    "score": maybe(NUMBER),
    "p_value": maybe(NUMBER),
    "is_anomaly": YES,
    "own_baseline": YES,
    "worn": YES,
    "wear": maybe({"enum": ["worn", "silent", "not_worn"]}),
    "waiting": told(YES, "readings wait to be scored"),
    "late": told(closed({"count": COUNT}), "readings of the day before `time` that came too late to stand in a row"),
    "discharged": maybe(told(TIME, "when; null for who is here, or was heard again")),
    "priority": maybe(PRIORITY),
    "alarms": many(ref("Alert")),
}
ENDS = closed({"low": numbers(), "high": numbers()})
ROWS = closed({"time": TIME, "kind": TEXT})
TIMELINE: Schema = {
    "type": "object",
    "description": "Columns of equal length, one entry a row; and a column of numbers for each vital.",
    "properties": {
        "person": PERSON,
        "time": many(TIME),
        **{name: numbers() for name in ("score", "p_value", "expected_heart_rate", "usual_heart_rate_spread")},
        **{name: many(YES) for name in ("anomaly", "assessable", "own_baseline", "worn", "gap")},
        "minute": told(many(COUNT), "of the day, on the person's clock"),
        "spreads": each(numbers()),
        "filled": each(many(YES)),
        "kind": many(maybe(TEXT)),
        "usual": each(ENDS),
        "changes": many(ref("Begun")),
        "late": ref("Late"),
    },
    "required": ["person", "time", "anomaly", "assessable", "own_baseline", "worn", "gap", "minute", "spreads",
                 "filled", "kind", "usual", "changes", "late"],
    "additionalProperties": told(numbers(), "a vital, in its unit"),
}  # fmt: skip
PROFILE = closed(
    {
        **{name: maybe(NUMBER) for name in ("age", "height", "weight")},
        "sex": TEXT,
        "conditions": many(TEXT),
        "medication": many(TEXT),
    }
)
TRIED = closed(
    {
        "tried": maybe(
            closed(
                {
                    "days": NUMBER,
                    "alarms": COUNT,
                    "before": COUNT,
                    "rules": many(closed({"rule": TEXT, "alarms": COUNT, "before": COUNT})),
                }
            )
        )
    }
)
REFUSED = closed(
    {
        "no": COUNT,
        "received": TIME,
        "source": TEXT,
        "position": COUNT,
        "code": TEXT,
        "detail": TEXT,
        "person": maybe(PERSON),
    }
)
REPLAYED: Schema = {
    "type": "object",
    "description": "Beside these, how many stay, by code.",
    "properties": {
        **dict.fromkeys(("read", "accepted", "duplicate"), COUNT),
        "rest": maybe(closed({"after": COUNT, "until": maybe(COUNT)})),
    },
    "required": ["read", "accepted", "duplicate", "rest"],
    "additionalProperties": COUNT,
}
RULE = closed(
    {
        "name": TEXT,
        "source": TEXT,
        "enabled": YES,
        "priority": maybe(TEXT),
        "sentence": TEXT,
        "rule": told(ANYTHING, "as it can be written"),
    }
)
MOVED = closed({"run": told(TEXT, "that answers now"), "moved": YES, "previous": maybe(TEXT)})
CAN = closed(
    {
        "predict": closed({"of": TEXT}),
        "anomaly": closed({"step_minutes": NUMBER, "kinds": many(TEXT)}),
        "forecast": closed({"vitals": many(TEXT), "minutes": many(COUNT)}),
        "early_warning": maybe(
            closed(
                {
                    "risks": many(closed({"of": TEXT, "told": TEXT, "within_hours": maybe(NUMBER)})),
                    "from_vitals": many(TEXT),
                    "from_care": many(TEXT),
                }
            )
        ),
    }
)
CHANGE_FIELDS: dict[str, Schema] = {"n": COUNT, "at": TEXT, "what": TEXT, "run": TEXT, "why": TEXT}
MODEL = closed(
    {
        "run": TEXT,
        "card": told(ANYTHING, "what the models are for and how they were made"),
        "gates": told(many(ANYTHING), "each gate, its figure and whether it passed"),
        "can": CAN,
        "history": many(closed(CHANGE_FIELDS)),
        "fallback": told(YES, "an earlier run answers in place of the one in production"),
    }
)
WHO = closed(
    {
        "actor": maybe(TEXT),
        "name": TEXT,
        "scopes": many(TEXT),
        "wards": maybe(told(many(TEXT), "null: all of them")),
        "key_needed": YES,
    },
    ("name",),
)
TENSOR: Schema = {
    "type": "object",
    "properties": {"name": TEXT, "datatype": TEXT, "shape": many({"type": "integer"}), "data": {"type": "array"}},
    "required": ["name", "datatype", "shape"],
}
DESCRIBED: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "platform"), TEXT),
        "versions": many(TEXT),
        "inputs": many(TENSOR),
        "outputs": many(TENSOR),
    },
    "required": ["name", "platform", "inputs", "outputs"],
}
INFERRED: Schema = {
    "type": "object",
    "properties": {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": many(TENSOR)},
    "required": ["model_name", "outputs"],
}
COMPLETED = closed(
    {
        "id": TEXT,
        "created_at": told(COUNT, "Unix seconds"),
        "status": TEXT,
        "model": TEXT,
        "outputs": many({"type": "object", "properties": {"status": TEXT, "content": many(ANYTHING)}}),
    }
)
COMPONENTS: dict[str, Schema] = {
    "Prediction": PREDICTION,
    "Judgement": JUDGEMENT,
    "Forecast": FORECAST,
    "Taken": TAKEN,
    "Alert": ALERT,
    "AlertWithHistory": closed({**ALERT_FIELDS, "history": many(STEP)}),
    "Late": LATE,
    "Seen": closed(SEEN_FIELDS, ("name",)),
    "SeenWithLate": closed({**SEEN_FIELDS, "late": ref("Late")}, ("name",)),
    "Timeline": TIMELINE,
    "Begun": closed({"time": TIME, "kind": TEXT}),
    "ProfileTold": PROFILE,
    "Tried": TRIED,
    "Replayed": REPLAYED,
    "Production": MOVED,
    "Model": MODEL,
}
ANSWERS: dict[str, Schema] = {
    "predict": {"anyOf": [ref("Prediction"), closed({"predictions": many(ref("Prediction"))})]},
    "anomaly": ref("Judgement"),
    "forecast": ref("Forecast"),
    "readings": ref("Taken"),
    "people": closed({"people": many(ref("Seen"))}),
    "person": ref("SeenWithLate"),
    "timeline": ref("Timeline"),
    "profile": ref("ProfileTold"),
    "limits": told(ANYTHING, "as it is written; empty where nothing was"),
    "set_limits": ref("Tried"),
    "try_limits": ref("Tried"),
    "changes": closed({"changes": many(ref("Begun"))}),
    "change": ref("Begun"),
    "quarantine": closed({"refused": many(REFUSED), "counts": each(COUNT)}),
    "replay": ref("Replayed"),
    "alarms": closed(
        {
            "alarms": many(ref("Alert")),
            "total": told(COUNT, "how many there are in all"),
            "next": told(maybe(TEXT), "`after` of the next page; null after the last one"),
        }
    ),
    "alarm": ref("AlertWithHistory"),
    "history": closed({"history": many(STEP)}),
    **{name: ref("Alert") for name in ("acknowledge", "snooze", "escalate", "resolve")},
    "rules": closed({"rules": many(RULE)}),
    "burden": {"type": "object", "properties": {"days": COUNT, "rules": each(each(maybe(NUMBER)))},
               "required": ["days", "rules"], "additionalProperties": maybe(NUMBER)},
    "v2_server": {"type": "object", "properties": {"name": TEXT, "version": TEXT, "extensions": many(TEXT)}},
    "v2_live": {"type": "object", "properties": {"live": YES}, "required": ["live"]},
    "v2_ready": {"type": "object", "properties": {"ready": YES}, "required": ["ready"]},
    **dict.fromkeys(("v2_model", "v2_model_version"), DESCRIBED),
    **{
        name: {"type": "object", "properties": {"name": TEXT, "ready": YES}, "required": ["ready"]}
        for name in ("v2_model_ready", "v2_model_version_ready")
    },
    **dict.fromkeys(("v2_infer", "v2_infer_version"), INFERRED),
    "timeseries_forecast": COMPLETED,
    "live": closed({"status": {"const": "live"}}),
    "ready": closed({"status": {"enum": ["ready", "not ready"]}, "causes": each(TEXT)}),
    "model": ref("Model"),
    "runs": closed({"runs": many(ANYTHING), "history": many(ANYTHING)}),
    "run": {"type": "object", "properties": {"card": maybe(ANYTHING), "evaluation": maybe(ANYTHING)},
            "required": ["card", "evaluation"]},
    **{name: ref("Production") for name in ("promote", "rollback")},
    "whoami": WHO,
    "openapi": told(ANYTHING, "OpenAPI 3.1"),
    "predict_heart_rate": {"anyOf": [ref("Prediction"), closed({"predictions": many(ref("Prediction"))})]},
    "detect_anomaly": ref("Judgement"),
}  # fmt: skip

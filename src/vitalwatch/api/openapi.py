"""The OpenAPI file, made of the table of operations: forms, examples, scopes, problems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vitalwatch.alerting.rules import Personal
from vitalwatch.api.access import PUBLIC
from vitalwatch.api.calls import JSON, NDJSON
from vitalwatch.api.forms import ALARM, FORM, PSEUDONYM, RUN, Forms
from vitalwatch.api.operations import Operation
from vitalwatch.api.problem import BOUNDS, MEDIA, TABLE, in_protocol
from vitalwatch.api.schemas import ANSWERS, COMPONENTS
from vitalwatch.api.table import (
    LIMITS_FORM,
    MOMENT_FORM,
    OPERATIONS,
    PERSONAL,
    PROFILE_FORM,
    READING_EXAMPLES,
    READING_FORM,
)
from vitalwatch.settings import Api

REF = "#/components/schemas/"
EXAMPLES = Path(__file__).with_name("examples.yaml")
VERSION = "1.0.0"
TITLE = "vitalwatch"
DESCRIPTION = (
    "Watches vital signs: what is usual for a person, what is not and why, and the next hour. No medical device. "
    "Bodies are strict JSON; whatever is refused is answered as RFC 9457 problem+json and never repeated."
)
WORDS = {
    "person": PSEUDONYM,
    "alarm": ALARM,
    "run": RUN,
    "model": "^(anomaly|forecast)$",
    "version": "^[A-Za-z0-9_.-]+$",
}
EVERYWHERE = (400, 404, 405, 408, 413, 415, 422, 429, 431, 503)  # problems that any operation may answer
IF_MATCH = "If-Match"
MORE = {
    "Last-Event-ID": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    IF_MATCH: {"type": "string", "maxLength": 200, "description": "`*`, or the ETag of what is to be replaced"},
    "Idempotency-Key": {"type": "string", "maxLength": 200, "pattern": "^[!-~]*$"},
}


def described(forms: Forms, chosen: Api) -> dict[str, Any]:
    """Return the OpenAPI file of a server with these limits."""
    used: list[type[BaseModel]] = [forms.profile, forms.change, forms.moment, Personal]
    used += [one.body for one in OPERATIONS if isinstance(one.body, type)]
    _, told = models_json_schema([(form, "validation") for form in dict.fromkeys(used)], ref_template=REF + "{model}")
    schemas = _linked(told["$defs"])
    schemas["Reading"] = forms.reading
    named = {"allOf": [{"$ref": REF + "Reading"}, {"required": ["person"]}]}
    schemas[READING_FORM] = {"oneOf": [named, {"type": "array", "minItems": 1, "maxItems": 1000, "items": named}]}
    moment = {"$ref": f"{REF}{forms.moment.__name__}"}
    schemas[MOMENT_FORM] = {"oneOf": [moment, {"type": "array", "minItems": 1, "maxItems": 1000, "items": moment}]}
    schemas["Problem"] = PROBLEM
    schemas |= COMPONENTS
    answers = examples()
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas, answers, chosen)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _linked(told: Any) -> Any:
    """Return schemas with references to forms that schema.yaml makes."""
    if isinstance(told, dict):
        if FORM in told:
            return {"$ref": REF + told[FORM]}
        return {name: _linked(value) for name, value in told.items()}
    return [_linked(one) for one in told] if isinstance(told, list) else told


def examples() -> dict[str, Any]:
    """Return an answer of each operation that answers with JSON, as it came; read when the file is first asked for."""
    found: dict[str, Any] = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    return found


def _operation(one: Operation, schemas: dict[str, Any], answers: dict[str, Any], chosen: Api) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.tag],
        "summary": one.summary,
        "description": one.told or one.summary + ".",
        "x-scope": one.scope,
        "x-wards": one.wards,
        "security": [] if one.scope == PUBLIC else [{"key": []}],
        "parameters": [*_path(one), *_query(one), *_headers(one)],
        "responses": _responses(one, answers),
    }
    if one.deprecated:
        told["deprecated"] = True
    if one.body is not None:
        told["requestBody"] = {"required": one.tag != "Alarms", "content": _content(one, schemas)}
        told["x-max-body"] = one.most(chosen)  # bytes; of lines config.api.max_lines_body
    return told


def _content(one: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    name = one.body if isinstance(one.body, str) else one.body.__name__  # type: ignore[union-attr]
    found: dict[str, Any] = {}
    for media in one.media:
        form = {"type": "string"} if media == NDJSON else {"$ref": REF + name}
        found[media] = {"schema": form, "examples": {"example": {"value": _example(name, media, schemas)}}}
    return found


def _example(name: str, media: str, schemas: dict[str, Any]) -> Any:
    if name == READING_FORM:
        return READING_EXAMPLES[media]
    if name == LIMITS_FORM:
        return PERSONAL
    form = {MOMENT_FORM: "PersonAndMoment", PROFILE_FORM: "Profile"}.get(name, name)
    return schemas[form]["examples"][0]


def _path(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": word, "in": "path", "required": True, "schema": {"type": "string", "pattern": WORDS[word]}}
        for word in re.findall(r"{(\w+)}", one.path)
    ]


def _query(one: Operation) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    told = one.query.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field.get("description", ""),
            "schema": {key: value for key, value in field.items() if key not in ("description", "title", "default")},
        }
        for name, field in told.get("properties", {}).items()
    ]


def _headers(one: Operation) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", "required": False, "schema": MORE[name]} for name in one.headers]


def _responses(one: Operation, answers: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in one.statuses:
        found[str(status)] = {"description": one.summary} | ({} if status == 204 else {"content": _told(one, answers)})
    problems = [*EVERYWHERE, *(() if one.scope == PUBLIC else (401, 403)), *((409,) if one.body is not None else ())]
    problems += [412] if IF_MATCH in one.headers else []
    form = {JSON: {"schema": ERROR}} if in_protocol(one.path) else {MEDIA: {"schema": {"$ref": REF + "Problem"}}}
    for status in sorted(set(problems) - set(one.statuses)):
        content = dict(form)
        if status == 503 and (one.path.startswith("/health/") or one.path.endswith("/ready")):
            content[JSON] = {"schema": {"type": "object"}}
        found[str(status)] = {"description": _titles(status), "content": content}
    return found


def _told(one: Operation, answers: dict[str, Any]) -> dict[str, Any]:
    media = one.returns.partition(";")[0]
    content: dict[str, Any] = {"schema": ANSWERS[one.name] if media == JSON else {"type": "string"}}
    if one.name in answers:
        content["example"] = answers[one.name]
    return {media: content}


def _titles(status: int) -> str:
    return "; ".join(code for code, (known, _) in TABLE.items() if known == status) or "refused"


ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}  # of /v2
PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457. `type` ends in one of the codes; nothing that was sent is repeated.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri", "description": "Id of the request, as in our log"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    **{name: {"type": "number"} for name in BOUNDS.values()},
                    "allowed": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["pointer", "code"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance"],
}

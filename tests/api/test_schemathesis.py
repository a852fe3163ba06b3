"""schemathesis makes requests from the OpenAPI file, fitting and not: every answer is one that the file declares."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from api_world import Answer, Api

EXAMPLES = 150  # of each operation and kind, fitting and not; tests/api/test_fuzz.py sends 20,000 others


def send(api: Api, case: Any) -> Answer:
    """Send what schemathesis made, as a client would."""
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    query = urlencode(case.query or {}, doseq=True)
    headers = {str(name): str(value) for name, value in (case.headers or {}).items()}
    headers = {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}
    headers.pop("Authorization", None)
    body = case.body
    if type(body).__name__ == "NotSet":
        return api.ask(case.method.upper(), f"{path}?{query}", headers=headers)
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace") if isinstance(body, str) else None
    if raw is None or case.media_type == "application/json":
        raw = json.dumps(body if not isinstance(body, bytes) else body.decode("latin-1")).encode()
    return api.ask(case.method.upper(), f"{path}?{query}", raw, media=case.media_type, headers=headers)


def look(api: Api, examples: int) -> int:
    """Ask every operation but the stream and return how often."""
    spec = schemathesis.openapi.from_dict(api.ask("GET", "/openapi.json").json)
    asked = 0
    for found in spec.get_all_operations():
        operation = found.ok()
        if operation.path == "/events":
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                answer = send(api, case)
                known = set(case.operation.definition.raw["responses"])
                assert str(answer.status) in known, (case.method, case.path, answer.status, answer.body[:300])

            try:
                ask()
            except Unsatisfiable:  # nothing unfitting can be made of it
                assert mode is GenerationMode.NEGATIVE
    return asked


@pytest.mark.slow
def test_every_operation_answers_as_the_openapi_file_declares(own):
    assert look(own, EXAMPLES) > 10_000

"""What the OpenAPI file says of answers is so: schema and example of every operation, held against real answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from house_world import Asked, House, built, operations
from vitalwatch.api.calls import JSON
from vitalwatch.api.table import OPERATIONS

WHERE = "north"


@pytest.fixture(scope="module")
def house(tmp_path_factory, tiny_bundle) -> Iterator[House]:
    with built(tmp_path_factory.mktemp("described"), tiny_bundle) as house:
        yield house


def content(one: Asked, status: str) -> dict[str, Any]:
    return one.told["responses"][status].get("content", {}).get(JSON, {})


def validator(one: Asked, schema: dict[str, Any]) -> Draft202012Validator:
    whole = {**schema, "components": {"schemas": one.schemas}}
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole)


def test_every_operation_that_answers_with_json_has_a_schema_and_an_example_that_fits(house):
    for one in operations(house.api):
        for status in (status for status in one.told["responses"] if "2" == status[0]):
            found = content(one, status)
            if not found:
                continue
            assert found["schema"], one.name
            validator(one, found["schema"]).validate(found["example"])


def test_real_answers_are_as_the_schema_of_their_operation_says(house):
    held = set()
    for one in operations(house.api):
        key = house.keys.get((one.scope, "all"), "")
        for answer in house.ask(one, house.words(WHERE, one.name), key=key):
            if 200 <= answer.status < 300 and (found := content(one, str(answer.status))):
                validator(one, found["schema"]).validate(answer.json)
                held.add(one.name)
    answering = {one.name for one in OPERATIONS if JSON == one.returns and 204 not in one.statuses}
    assert {"rollback"} >= answering - held  # nothing to go back to, or done before


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/anomaly", {"readings": [{"time": "2026-01-05T08:00:00Z", "heart_rate": 170}], "series": True}),
        ("/predict", [{"steps_per_minute": 100}, {}]),
        ("/forecast", {"person": "anna"}),
        ("/readings", {"person": "anna", "time": "2026-01-05T00:00:30Z", "heart_rate": 61}),
    ],
)
def test_answers_of_other_questions_are_as_the_schema_says_too(house, route, body):
    answer = house.api.ask("POST", route, body, key=house.api.key(["read", "ingest"]))
    (one,) = (each for each in operations(house.api) if (route, "POST") == (each.path, each.method))

    assert answer.status in (200, 202)
    validator(one, content(one, str(answer.status))["schema"]).validate(answer.json)


def test_a_field_that_is_not_declared_and_one_that_is_missing_are_seen(house):
    (one,) = (each for each in operations(house.api) if "forecast" == each.name)
    found = content(one, "200")
    example = found["example"]

    fits = validator(one, found["schema"]).is_valid
    without = {name: value for name, value in example.items() if "model" != name}
    assert [True, False, False] == [fits(example), fits({**example, "more": 1}), fits(without)]

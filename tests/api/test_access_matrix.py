"""Who may what: every operation of the OpenAPI file x every caller x what is in the own and in another ward."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import routing
from sqlalchemy import update

from api_world import Answer, Api
from serving_world import OTHER, RUN, Ward
from vitalwatch.api.forms import ACTING
from vitalwatch.api.operations import Route
from vitalwatch.api.table import OPERATIONS
from vitalwatch.database.access import SCOPES
from vitalwatch.database.tables import access_keys

WARDS = ("north", "south")
UNKNOWN = {"person": "p-" + "a" * 26, "alarm": "0" * 32}
PUBLIC, OWN, HOUSE, NONE = "public", "own", "all", "none"
ABOUT_EVERYBODY = {  # operations on people that name none: how it is seen that only those of the own ward were meant
    "people": lambda house, ward, told: {one["person"] for one in told["people"]} == {house.people[ward]},
    "alarms": lambda house, ward, told: {one["person"] for one in told["alarms"]} == {house.people[ward]},
    "quarantine": lambda house, ward, told: {one["person"] for one in told["refused"]} == {house.people[ward]},
    "burden": lambda house, ward, told: told["alerts"] == house.sounded[ward],
    "events": lambda house, ward, told: {one["person"] for one in told} == {house.people[ward]},
    "replay": lambda house, ward, told: (told["read"], told["unknown_field"], told["rest"]) == (1, 1, None),
}


@dataclass(frozen=True)
class Asked:
    """One operation as the OpenAPI file has it."""

    method: str
    path: str
    told: dict[str, Any]
    schemas: dict[str, Any]

    @property
    def name(self) -> str:
        return self.told["operationId"]

    @property
    def scope(self) -> str:
        return self.told["x-scope"]

    @property
    def wards(self) -> str:
        return self.told["x-wards"]

    @property
    def names(self) -> str:
        """Where a request names somebody or something of a ward: in its path, query or body, or nowhere."""
        if re.search("{(person|alarm)}", self.path):
            return "path"
        if any("person" == one["name"] for one in self.told["parameters"]):
            return "query"
        content = self.told.get("requestBody", {}).get("content", {})
        return "body" if any(self._has_person(one["schema"]) for one in content.values()) else ""

    def _has_person(self, schema: Any) -> bool:
        if isinstance(schema, dict):
            found = schema.get("$ref", "").rpartition("/")[2]
            inner = [self.schemas[found]] if found else []
            return "person" in schema.get("properties", {}) or any(map(self._has_person, [*schema.values(), *inner]))
        return isinstance(schema, list) and any(map(self._has_person, schema))

    def requests(self, words: dict[str, str]) -> Iterator[tuple[str, Any, str]]:
        """Yield address, body and media type of a request about what the words say, for each media type."""
        address = re.sub(r"{(\w+)}", lambda match: words[match[1]], self.path)
        address += f"?person={words['person']}" if "query" == self.names else ""
        for media, one in self.told.get("requestBody", {}).get("content", {"application/json": None}).items():
            example = None if one is None else one["examples"]["example"]["value"]
            yield address, named(example, words["person"]) if "body" == self.names else example, media


def named(example: Any, person: str) -> Any:
    """Return the example of a body about a person: readings of theirs, or a question that names them alone."""
    if isinstance(example, str):
        rows = [json.loads(line) | {"person": person} for line in example.splitlines()]
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if isinstance(example, list):
        return [{**row, "person": person} for row in example]
    return {"person": person}


def operations(api: Api) -> list[Asked]:
    spec = api.ask("GET", "/openapi.json").json
    schemas = spec["components"]["schemas"]
    return [Asked(m.upper(), path, told, schemas) for path, ways in spec["paths"].items() for m, told in ways.items()]


class House:
    """Two wards with a person, alarms and a refused reading in each, a run to promote, and a key for every caller.

    Attributes:
        people: Pseudonym by ward.
        alarms: Some that sound, by ward; what is done to one ends it, as its cause is over.
        sounded: Number of alarms by ward.
        keys: By scope ("" is none) and ward ("all" is all of them).
    """

    def __init__(self, ward: Ward) -> None:
        self.api = Api(ward.settings, ward.engine)
        self.people, self.alarms, self.sounded = {}, {}, {}
        for where, person in zip(WARDS, ("anna", "bert"), strict=True):
            send = self.key("ingest", where)
            rows = [
                {"person": person, "time": f"2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z", "heart_rate": 190,
                 "oxygen_saturation": 80, "respiratory_rate": 44}
                for m in range(0, 120, 5)
            ]  # fmt: skip
            assert 202 == self.api.ask("POST", "/readings", [*rows, {**rows[0], "pulse": 1}], key=send).status
            read = self.key("read", where)
            (seen,) = self.api.ask("GET", "/people", key=read).json["people"]
            self.people[where] = seen["person"]
            self.alarms[where] = [one["id"] for one in seen["alarms"] if "signalling" == one["state"]]
            assert len(ACTING) <= len(self.alarms[where])
            self.sounded[where] = self.api.ask("GET", "/burden?days=366", key=read).json["alerts"]
            assert 0 < self.sounded[where]
        self.keys = {(scope, where): self.key(scope, where) for scope in SCOPES for where in (*WARDS, "all")}
        self.keys |= {("", where): self.without_scope(where) for where in (*WARDS, "all")}

    def key(self, scope: str, where: str) -> str:
        return self.api.key([scope], None if "all" == where else frozenset({where}))

    def without_scope(self, where: str) -> str:
        """Return a key whose scope was taken away; none is made without, but tokens of a provider may tell none."""
        token = self.key("read", where)
        with self.api.engine.database.writing() as connection:
            connection.execute(update(access_keys).where(access_keys.c.id == token.split("_")[1]).values(scopes=""))
        return token

    def words(self, where: str, name: str = "") -> dict[str, str]:
        """Return what stands in addresses for what is in a ward, for each action on alarms another of these."""
        more = {"model": "anomaly", "version": self.api.engine.run() or "", "run": OTHER}
        return {
            "person": self.people[where],
            "alarm": self.alarms[where][ACTING.index(name) if name in ACTING else 0],
            **more,
        }

    def ask(self, one: Asked, words: dict[str, str], **more: Any) -> list[Answer]:
        """Return the answers, one for each media type; of a stream what comes at once."""
        if "events" == one.name:
            return [self.api.ask("GET", "/events?after=0", leaves_after=0.01, **more)]
        found = one.requests(words)
        return [self.api.ask(one.method, address, body, media=media, **more) for address, body, media in found]


@contextmanager
def built(folder: Path, bundle: tuple[Path, Path]) -> Iterator[House]:
    ward = Ward(folder, bundle)
    ward.place.add_run(OTHER, bundle, promote=False)
    house = House(ward)
    yield house
    house.api.close()
    ward.engine.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory, tiny_bundle) -> Iterator[House]:
    """For refusals, after which everything is as it was."""
    with built(tmp_path_factory.mktemp("house"), tiny_bundle) as house:
        yield house


@pytest.fixture
def own_house(tmp_path, tiny_bundle) -> Iterator[House]:
    with built(tmp_path, tiny_bundle) as house:
        yield house


def undeclared(api: Api) -> list[str]:
    """Return routes of the application that the OpenAPI file does not have, or not whole."""
    declared = {(one.method, one.path): one for one in operations(api)}
    missing = []
    for route in api.app.routes:
        for method in route.methods:
            one = declared.pop((method, route.path), None)
            if (
                one is None
                or not isinstance(route, Route)
                or one.scope not in (*SCOPES, PUBLIC)
                or one.wards not in (OWN, HOUSE, NONE)
                or (OWN == one.wards) != bool(one.names or one.name in ABOUT_EVERYBODY)
            ):
                missing.append(f"{method} {route.path}")
    return missing + [f"{method} {path}" for method, path in declared]


def test_every_route_is_declared_with_its_scope_and_what_it_has_to_do_with_wards(house):
    assert [] == undeclared(house.api)
    assert len(operations(house.api)) == len({one.name for one in operations(house.api)}) == len(OPERATIONS)


def test_a_route_that_nobody_declared_is_seen(house):
    route = routing.Route("/backdoor", lambda request: None, methods=["POST"])
    house.api.app.router.routes.append(route)
    try:
        assert ["POST /backdoor"] == undeclared(house.api)
    finally:
        house.api.app.router.routes.remove(route)


def test_without_a_key_or_with_a_wrong_one_only_what_is_public_answers(house):
    clients = (f"10.0.{i // 200}.{i % 200}" for i in itertools.count())  # each may try some wrong keys
    for one in operations(house.api):
        for answer in house.ask(one, house.words("north")):
            assert (PUBLIC == one.scope) == (answer.status not in (401, 403)), (one.name, answer.status)
        if PUBLIC != one.scope:
            answers = house.ask(one, house.words("north"), key="vw_000000000000_" + "a" * 43, client=next(clients))
            assert {401} == {answer.status for answer in answers}, one.name


def test_a_key_of_any_other_scope_is_refused_wherever_it_is_from_and_whatever_it_asks_about(house):
    cells = itertools.product(operations(house.api), ("", *SCOPES), (*WARDS, "all"), WARDS)
    for one, scope, where, about in cells:
        if scope == one.scope:
            continue
        for answer in house.ask(one, house.words(about), key=house.keys[scope, where]):
            assert (PUBLIC == one.scope) == (403 != answer.status), (one.name, scope, where, answer.status)
            assert 401 != answer.status, (one.name, scope, where)
            if PUBLIC != one.scope and "/v2" != one.path[:3]:
                assert "scope_missing" == answer.code, one.name


def test_what_is_in_another_ward_is_answered_as_if_it_were_unknown(house):
    for one, (where, about) in itertools.product(operations(house.api), (WARDS, WARDS[::-1])):
        if not one.names:
            continue
        key = house.keys[one.scope, where]
        for answer in house.ask(one, house.words(about), key=key):
            if "readings" == one.name:  # a person has one ward: who sends must be told, or goes on sending
                assert (403, "not_allowed") == (answer.status, answer.code)
                continue
            (unknown,) = house.ask(one, house.words(about) | UNKNOWN, key=key)
            same = [{k: v for k, v in each.json.items() if "instance" != k} for each in (answer, unknown)]
            assert 404 == answer.status == unknown.status, (one.name, where)
            assert same[0] == same[1], one.name


def test_what_is_about_everybody_takes_a_key_of_all_wards(house):
    ours = [one for one in operations(house.api) if HOUSE == one.wards]
    assert {"promote", "rollback"} == {one.name for one in ours}
    for one, where in itertools.product(ours, WARDS):
        (answer,) = house.ask(one, house.words(where), key=house.keys[one.scope, where])
        assert (403, "wards_missing") == (answer.status, answer.code)
    assert RUN == house.api.engine.run()


def test_what_is_in_the_own_ward_is_answered_and_nobody_else_is_told_of(own_house):
    worked: dict[str, set[int]] = {}
    for one in operations(own_house.api):
        callers = ("all",) if HOUSE == one.wards else (*WARDS, "all")
        for where, about in itertools.product(callers, WARDS):
            if where in WARDS and where != about and OWN == one.wards:
                continue
            for answer in own_house.ask(
                one, own_house.words(about, one.name), key=own_house.keys.get((one.scope, where), "")
            ):
                assert answer.status in (200, 202, 204, 409), (one.name, where, answer.status, answer.body[:300])
                worked.setdefault(one.name, set()).add(answer.status)
                if where in WARDS and NONE != one.wards:
                    (other,) = {*WARDS} - {where}
                    assert own_house.people[other].encode() not in answer.body, (one.name, where)
                    assert all(each.encode() not in answer.body for each in own_house.alarms[other])
                if one.name in ABOUT_EVERYBODY and where in WARDS:
                    told = list(events(answer.body)) if "events" == one.name else answer.json
                    assert ABOUT_EVERYBODY[one.name](own_house, where, told), (one.name, where)
    # 409: it was done before (an alarm that is over, a run that is live); once it was done
    assert [] == [name for name, statuses in worked.items() if {409} == statuses]
    assert {one.name for one in operations(own_house.api)} == worked.keys()


def events(raw: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream that are about somebody."""
    for line in raw.decode().splitlines():
        if line.startswith("data: ") and "person" in (told := json.loads(line[6:])):
            yield told

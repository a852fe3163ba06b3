"""Two wards, a key for every caller, and every operation of the OpenAPI file with requests about what is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update

from api_world import Answer, Api
from serving_world import OTHER, Ward
from vitalwatch.api.forms import ACTING
from vitalwatch.database.access import SCOPES
from vitalwatch.database.tables import access_keys

WARDS = ("north", "south")
NOW = 1_767_598_200_000  # 2026-01-05T07:30Z, half an hour after the newest reading: what it tells of still holds


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
            told = {"ward": words["ward"]} if "move" == self.name else example
            yield address, named(told, words["person"]) if "body" == self.names else told, media


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
        ward.clock.ms = NOW
        self.api = Api(ward.settings, ward.engine)
        self.people, self.alarms, self.sounded = {}, {}, {}
        for where, person in zip(WARDS, ("anna", "bert"), strict=True):
            send = self.key("ingest", where)
            rows = [
                {"person": person, "time": f"2026-01-05T{5 + m // 60:02d}:{m % 60:02d}:00Z", "heart_rate": 190,
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
        more = {"ward": where, "model": "anomaly", "version": self.api.engine.run() or "", "run": OTHER}
        return {
            "person": self.people[where],
            "alarm": self.alarms[where][ACTING.index(name) if name in ACTING else 0],
            **more,
        }

    def ask(self, one: Asked, words: dict[str, str], **more: Any) -> list[Answer]:
        """Return the answers, one for each media type; of a stream what comes at once."""
        if "events" == one.name:
            return [self.api.ask(one.method, "/events?after=0", leaves_after=0.01, **more)]
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

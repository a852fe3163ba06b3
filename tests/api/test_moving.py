"""Promote, roll back, replay and a change of medication over REST: who may, what happens, what is said where not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from api_world import Api
from serving_world import OTHER, REFUSED, RUN, messages, refused_bundle
from tiny import somebody
from vitalwatch.database.tables import audit
from vitalwatch.tables import MINUTE
from vitalwatch.timestamps import rfc3339

DAYS = 288 * 6
WHY = {"why": "fewer false alarms at night"}


def add(api: Api, bundle: tuple[Path, Path], run: str = OTHER, **more: Any) -> None:
    """Put another run beside the one in production."""
    from command_world import Place

    Place(api.engine.settings.root).add_run(run, bundle, promote=False, **more)


def actions(api: Api) -> list[tuple[str, str]]:
    with api.engine.database.reading() as connection:
        found = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.no)).all()
    return [tuple(row) for row in found]


def test_runs_are_listed_with_gates_and_one_is_told_whole(own: Api, tiny_bundle) -> None:
    add(own, tiny_bundle)
    told = own.ask("GET", "/runs").json
    one = own.ask("GET", f"/runs/{OTHER}").json

    assert [(RUN, True, "passed"), (OTHER, False, "passed")] == [
        (run["run"], run["live"], run["gates"]) for run in told["runs"]
    ]
    assert "who" in told["history"][0]
    assert {"card", "evaluation"} <= one.keys()
    reader = own.key(["read"])
    assert all("who" not in change for change in own.ask("GET", "/runs", key=reader).json["history"])


def test_a_run_is_promoted_and_rolled_back_and_the_next_answer_is_its(own: Api, tiny_bundle) -> None:
    add(own, tiny_bundle)
    before = own.ask("POST", "/predict", {}).json["model"]
    promoted = own.ask("POST", f"/runs/{OTHER}/promote", WHY)
    after = own.ask("POST", "/predict", {}).json["model"]
    again = own.ask("POST", f"/runs/{OTHER}/promote", WHY).json
    back = own.ask("POST", "/runs/rollback", {"why": "worse"}).json

    assert (200, {"run": OTHER, "moved": True, "previous": RUN}) == (promoted.status, promoted.json)
    assert (RUN, OTHER, False, RUN) == (before, after, again["moved"], back["run"])
    assert ["run.promote", "run.rollback"] == [action for _, action in actions(own)]
    assert ["worse", WHY["why"]] == [one["why"] for one in own.ask("GET", "/runs").json["history"]][:2]


def test_what_stands_against_a_move_is_said(own: Api, tiny_bundle) -> None:
    add(own, tiny_bundle, passed=False)
    add(own, tiny_bundle, "000000000003")
    damaged = own.engine.promotion.store.folder("000000000003") / "models" / "forest.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    gates, broken, nothing = (
        own.ask("POST", f"/runs/{run}/promote", WHY) for run in (OTHER, "000000000003", "000000000009")
    )
    back = own.ask("POST", "/runs/rollback", WHY)

    assert (409, "gates_failed") == (gates.status, gates.code)
    assert "event_f1_unusual" in gates.json["detail"]
    assert (409, "run_refused") == (broken.status, broken.code)
    assert str(own.engine.settings.root) not in broken.body.decode()
    assert (404, 409, "no_earlier_run") == (nothing.status, back.status, back.code)
    assert RUN == own.engine.run()


def test_a_rollback_to_a_run_of_another_format_is_refused_and_says_so(own: Api, tmp_path: Path, tiny_bundle) -> None:
    add(own, refused_bundle(tmp_path / "old", tiny_bundle, "format"))
    store = own.engine.promotion.store
    store.promote(OTHER, "by the version before")
    store.promote(RUN, "trained anew")
    before = store.pointer.read_bytes()
    back = own.ask("POST", "/runs/rollback", WHY)

    assert (409, "no_earlier_run") == (back.status, back.code)
    assert f"Run {OTHER}: {REFUSED['format']}. Production is as it was." in back.json["detail"]
    assert before == store.pointer.read_bytes()
    assert RUN == own.ask("POST", "/predict", {}).json["model"]


@pytest.mark.parametrize(
    "body", [{}, {"why": ""}, {"why": "x" * 201}, {"why": "a\nb"}, {"why": 1}, {"why": "a", "run": "b"}]
)
def test_a_move_without_a_fit_reason_is_refused(own: Api, body: dict[str, Any]) -> None:
    assert 422 == own.ask("POST", "/runs/rollback", body).status


def test_no_request_fails_while_production_moves(own: Api, tiny_bundle) -> None:
    add(own, tiny_bundle)

    async def load(done: asyncio.Event) -> list[int]:
        seen = []
        while not done.is_set():
            seen.append((await own.asked("POST", "/predict", {})).status)
            await asyncio.sleep(0)
        return seen

    async def both() -> list[int]:
        done = asyncio.Event()
        asking = asyncio.ensure_future(load(done))
        for turn in range(6):
            path = "/runs/rollback" if turn % 2 else f"/runs/{OTHER}/promote"
            assert 200 == (await own.asked("POST", path, WHY)).status
        done.set()
        return await asking

    assert {200} == set(own.loop.run_until_complete(both()))


def test_refused_readings_are_run_again_by_admins_and_it_is_written_down(own: Api) -> None:
    reading = {"person": "anna", "time": "2099-01-01T00:00:00Z", "heart_rate": 70}
    assert 422 == own.ask("POST", "/readings", [reading, {**reading, "pulse": 1}]).status
    own.engine.now = lambda: 4_070_908_800_000 + 60 * MINUTE  # the sender's clock was right after all

    told = own.ask("POST", "/quarantine/replay")
    assert {"read": 2, "accepted": 1, "duplicate": 0, "unknown_field": 1, "rest": None} == told.json
    assert ["unknown_field"] == [one["code"] for one in own.ask("GET", "/quarantine").json["refused"]]
    assert "quarantine.replay" in [action for _, action in actions(own)]


def test_another_medicine_begins_own_normal_anew(own: Api) -> None:
    readings = somebody(1).readings.rows(slice(0, DAYS + 12))
    rows, now = messages(readings), int(readings.time[-1])
    own.engine.now = lambda: now
    for start in range(0, DAYS, 864):
        own.engine.accept(rows[start : start + 864], "test", "test")
    person = own.ask("GET", "/people").json["people"][0]
    told = own.ask(
        "POST", f"/people/{person['person']}/changes", {"kind": "medication", "medication": ["beta_blocker"]}
    )
    own.ask("POST", "/readings", rows[DAYS:])
    after = own.ask("GET", f"/people/{person['person']}").json
    span = f"since={rfc3339(int(readings.time[DAYS - 12]))}&until={rfc3339(now + MINUTE)}"
    line = own.ask("GET", f"/people/{person['person']}/timeline?{span}").json

    assert person["own_baseline"]
    assert (200, "medication") == (told.status, told.json["kind"])
    assert not after["own_baseline"]
    assert ["beta_blocker"] == own.ask("GET", f"/people/{person['person']}/profile").json["medication"]
    assert [told.json] == own.ask("GET", f"/people/{person['person']}/changes").json["changes"] == line["changes"]
    assert [True, False] == [line["own_baseline"][0], line["own_baseline"][-1]]
    assert "person.change" in [action for _, action in actions(own)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "medication"}, "missing_field"),
        ({"kind": "device", "medication": []}, "unknown_field"),
        ({"kind": "diet"}, "unknown_value"),
        ({"kind": "medication", "medication": ["sugar"]}, "unknown_value"),
        ({}, "missing_field"),
    ],
)
def test_a_change_that_is_none_is_refused(own: Api, body: dict[str, Any], code: str) -> None:
    own.engine.accept(messages(somebody(1).readings.rows(slice(0, 1))), "test", "test")
    person = own.ask("GET", "/people").json["people"][0]["person"]
    answer = own.ask("POST", f"/people/{person}/changes", body)

    assert (422, code) == (answer.status, answer.code)
    assert [] == own.ask("GET", f"/people/{person}/changes").json["changes"]


def test_the_timeline_tells_what_is_usual_of_every_vital_in_its_unit(own: Api) -> None:
    rows = messages(somebody(1).readings.rows(slice(0, 600)))
    own.engine.accept(rows, "test", "test")
    person = own.ask("GET", "/people").json["people"][0]
    line = own.ask("GET", f"/people/{person['person']}/timeline?since=2026-01-01T00:00:00Z&until=2026-01-20T00:00:00Z")
    usual = line.json["usual"]

    assert set(own.engine.settings.schema.vitals) == usual.keys()
    assert all(30 < low < high < 43 for low, high in zip(*usual["body_temperature"].values(), strict=True))


def test_who_asks_learns_what_they_may_and_nothing_without_the_key_that_is_needed(own: Api) -> None:
    assert {"actor": "local", "scopes": ["ack", "admin", "ingest", "read"], "wards": None, "key_needed": False} == (
        own.ask("GET", "/whoami").json
    )
    key = own.key(["read", "ack"], frozenset({"north"}))
    told = own.ask("GET", "/whoami", key=key).json

    assert (["ack", "read"], ["north"], True) == (told["scopes"], told["wards"], told["key_needed"])
    assert {"actor": None, "scopes": [], "wards": [], "key_needed": True} == own.ask("GET", "/whoami").json
    assert 401 == own.ask("GET", "/whoami", key="wrong").status

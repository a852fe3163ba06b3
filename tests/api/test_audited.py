"""The audit log of serving: who read names, who was refused, and what limits and rules were before and after."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import yaml
from sqlalchemy import event

from api_world import Api
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.database import audit
from vitalwatch.database.audit import Entry
from vitalwatch.errors import DatabaseError

LIMITS = {"limits": {"heart_rate": {"low": 44.0}}}


def found(api: Api, action: str, n: int) -> list[Entry]:
    """Return the entries of an action once there are so many: refusals are written by a thread beside."""
    until = time.monotonic() + 20
    while True:
        told = [one for one in api.engine.audit.entries() if one.action == action]
        if len(told) >= n or time.monotonic() > until:
            return told
        time.sleep(0.02)


def read(api: Api, n: int = 1) -> None:
    api.engine.accept(messages(somebody(0).readings.rows(slice(0, n)), "anna"), "test", "test")


def test_who_reads_names_stands_in_the_log_once_an_hour_and_who_reads_none_does_not(own: Api) -> None:
    read(own)
    admin, reader = own.key(["read", "admin"]), own.key(["read"])
    assert "name" not in own.ask("GET", "/people", key=reader).json["people"][0]
    for _ in range(5):
        assert "anna" == own.ask("GET", "/people?names=true", key=admin).json["people"][0]["name"]

    told = found(own, "names.read", 1)
    assert [admin.split("_")[1]] == [one.actor for one in told]
    own.engine.tally.write(all_of_it=True)
    assert [None, 4] == [json.loads(one.detail).get("again") for one in found(own, "names.read", 2)]
    assert "anna" not in "".join(str(vars(one)) for one in own.engine.audit.entries())


def test_without_an_entry_no_name_is_told_and_people_still_are(own: Api) -> None:
    read(own)

    def refuse(connection, cursor, statement, *_: object) -> None:
        if "INSERT INTO audit" in statement:
            raise DatabaseError("here", "is read-only", "try again")

    event.listen(own.engine.database.engine, "before_cursor_execute", refuse)
    own.ask("GET", "/people?names=true")
    answer = own.ask("GET", "/people?names=true")  # the first one is still not written
    event.remove(own.engine.database.engine, "before_cursor_execute", refuse)

    assert 200 == answer.status
    assert ["name" in one for one in answer.json["people"]] == [False]
    assert "name" in own.ask("GET", "/people?names=true").json["people"][0]


def test_refused_requests_stand_in_the_log_by_key_and_route(own: Api) -> None:
    reader, ended = own.key(["read"]), own.key(["read"])
    with own.engine.database.writing() as connection:
        from vitalwatch.database import access

        access.end(connection, ended.split("_")[1], own.engine.now() - 1)
    reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}
    assert 403 == own.ask("POST", "/readings", reading, key=reader).status
    assert 401 == own.ask("GET", "/people", key=ended).status
    assert 401 == own.ask("GET", "/alarms", key="vw_000000000000_" + "a" * 43).status
    assert 401 == own.ask("GET", "/alarms").status

    refused = {(one.actor, one.object, json.loads(one.detail)["code"]) for one in found(own, "access.refuse", 3)}
    assert {
        (reader.split("_")[1], "readings", "scope_missing"),
        (ended.split("_")[1], "people", "unauthenticated"),
        ("anybody", "alarms", "unauthenticated"),
    } == refused


def test_a_person_elsewhere_is_a_refusal_and_an_answered_request_is_none(own: Api) -> None:
    north, south = own.key(["ingest"], frozenset({"north"})), own.key(["ingest"], frozenset({"south"}))
    reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}
    assert 202 == own.ask("POST", "/readings", reading, key=north).status
    assert 403 == own.ask("POST", "/readings", {**reading, "heart_rate": 71}, key=south).status

    told = [(one.actor, json.loads(one.detail)) for one in found(own, "access.refuse", 1)]
    assert [(south.split("_")[1], {"code": "not_allowed"})] == told


def test_a_flood_of_refused_requests_makes_two_entries_and_leaves_the_chain_whole(own: Api) -> None:
    reader = own.key(["read"])
    for _ in range(400):
        assert 403 == own.ask("POST", "/quarantine/replay", key=reader).status
    found(own, "access.refuse", 1)
    own.engine.tally.write(all_of_it=True)

    told = found(own, "access.refuse", 2)
    assert [0, 399] == [json.loads(one.detail).get("again", 0) for one in told]
    own.engine.audit.move_anchor()
    verdict = own.engine.audit.verify()
    assert ((), verdict.entries) == (verdict.problems, verdict.anchored)


def test_a_flood_while_the_writer_is_stuck_keeps_nobody_waiting_and_is_written_afterwards(own: Api) -> None:
    reader, held, done = own.key(["read"]), threading.Event(), threading.Event()

    def stuck() -> None:
        with own.engine.database.writing():
            held.set()
            done.wait(60)

    writer = threading.Thread(target=stuck)
    writer.start()
    held.wait(30)
    for n in range(60):
        path = ("/quarantine/replay", "/runs/rollback")[n % 2]
        assert 403 == own.ask("POST", path, key=reader).status
    waiting = own.app.state.desk._noting._work_queue.qsize()
    assert 200 == own.ask("GET", "/people", key=reader).status
    done.set()
    writer.join()

    assert waiting <= 1
    assert {"replay", "rollback"} == {one.object for one in found(own, "access.refuse", 2)}


def test_limits_stand_in_the_log_with_what_they_were_and_sealed(own: Api) -> None:
    read(own)
    person = own.ask("GET", "/people").json["people"][0]["person"]
    other = {"limits": {"heart_rate": {"low": 50.0}}, "rules": {"news2": {"priority": "high"}}}
    assert 200 == own.ask("PUT", f"/people/{person}/limits", LIMITS).status
    assert 200 == own.ask("PUT", f"/people/{person}/limits", other).status

    first, second = found(own, "limits.set", 2)
    assert (person, person) == (first.object, second.object)
    with own.engine.database.reading() as connection:
        opened = [audit.opened(connection, own.engine._secret, one) for one in (first, second)]
    assert [{"before": {}, "after": LIMITS}, {"before": LIMITS, "after": other}] == opened
    assert not {"heart_rate", "low", "news2"} & set(first.detail.replace('"', " ").split())
    own.engine.audit.move_anchor()
    assert () == own.engine.audit.verify().problems


def test_a_profile_is_corrected_in_part_or_written_whole_and_both_stand_in_the_log_sealed(own: Api) -> None:
    read(own)
    person = own.ask("GET", "/people").json["people"][0]["person"]
    address, whole = f"/people/{person}/profile", {"age": 50.0, "sex": "female", "medication": ["beta_blocker"]}
    assert 204 == own.ask("PUT", address, whole).status
    assert 204 == own.ask("PATCH", address, {"age": 51, "height": 170}).status
    corrected = own.ask("GET", address).json
    assert 204 == own.ask("PATCH", address, {"height": None}).status
    taken_back = own.ask("GET", address).json
    assert 204 == own.ask("PUT", address, {"age": 52}).status
    alone = own.ask("GET", address).json

    assert whole | {"age": 51, "height": 170} == {name: corrected[name] for name in (*whole, "height")}
    assert (None, 51) == (taken_back["height"], taken_back["age"])
    assert (52, "unknown", []) == (alone["age"], alone["sex"], alone["medication"])
    entries = found(own, "profile.set", 4)
    with own.engine.database.reading() as connection:
        opened = [audit.opened(connection, own.engine._secret, one) for one in entries]
    assert {} == opened[0]["before"]
    assert [one["after"] for one in opened[:-1]] == [one["before"] for one in opened[1:]]
    assert (51, "female") == (opened[1]["after"]["age"], opened[1]["after"]["sex"])
    assert not {"female", "beta_blocker"} & {word for one in entries for word in one.detail.replace('"', " ").split()}


def test_rules_that_are_others_at_a_start_stand_in_the_log_with_what_they_were(tmp_path, tiny_bundle) -> None:
    ward = Ward(tmp_path, tiny_bundle)
    ward.engine.start()
    ward.again().start()
    assert [] == [one for one in ward.engine.audit.entries() if one.action == "rules.change"]

    told = json.loads(ward.place.config.read_text())
    rules = yaml.safe_load(Path(told["alarms"]["rules"]).read_text(encoding="utf-8"))
    rules["rules"]["oxygen_low"]["louder"]["high"] = 88
    del rules["rules"]["warm_and_fast"]
    mine = tmp_path / "rules.yaml"
    mine.write_text(yaml.safe_dump(rules))
    told["alarms"]["rules"] = str(mine)
    ward.place.config.write_text(json.dumps(told))
    ward.again().start()
    ward.again().start()

    (entry,) = [one for one in ward.engine.audit.entries() if one.action == "rules.change"]
    change = json.loads(entry.detail)
    names = {"rules.oxygen_low", "rules.warm_and_fast"}
    assert names == change["before"].keys() == change["after"].keys()
    assert (85, 88) == tuple(change[side]["rules.oxygen_low"]["louder"]["high"] for side in ("before", "after"))
    assert change["after"]["rules.warm_and_fast"] is None
    ward.engine.close()

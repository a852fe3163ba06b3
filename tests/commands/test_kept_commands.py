"""`keys`, `audit`, `person` and `database` as an operator uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import delete

from command_world import ROOT, Place
from serving_world import RUN, Ward, messages
from tiny import somebody
from vitalwatch.database.tables import audit
from vitalwatch.settings import load_settings


@pytest.fixture
def ward(tmp_path: Path, tiny_bundle, capsys) -> Ward:
    """People in a database, and commands that look at it."""
    ward = Ward(tmp_path, tiny_bundle)
    ward.place.capsys = capsys
    ward.send(messages(somebody(0).readings.rows(slice(0, 400)), "anna"))
    ward.engine.close()
    return ward


def test_the_audit_list_opens_what_was_set_for_a_person(ward):
    ward.open().set_limits("anna", {"limits": {"heart_rate": {"low": 44}}}, "nurse")
    entry = ward.place.do("audit", "list", "--json").json["entries"][-1]

    assert ("nurse", "limits.set") == (entry["actor"], entry["action"])
    assert {"before": {}, "after": {"limits": {"heart_rate": {"low": 44.0}}}} == json.loads(entry["detail"])


def test_what_was_set_for_a_person_goes_with_them_and_the_log_stays_whole(ward):
    engine = ward.open()
    for low in (44, 46):
        engine.set_limits("anna", {"limits": {"heart_rate": {"low": low}}}, "nurse")
    engine.close()
    assert 0 == ward.place.do("person", "erase", "anna", "--yes").code
    entries = ward.place.do("audit", "list", "--json").json["entries"]
    assert ["limits.set", "limits.set", "person.erase"] == [one["action"] for one in entries]
    assert ['{"erased": true}'] * 2 == [one["detail"] for one in entries[:2]]
    assert 0 == ward.place.do("audit", "verify").code

    again = ward.open()
    again.accept(messages(somebody(0).readings.rows(slice(0, 2)), "anna"), "test", "nurse")
    again.set_limits("anna", {"limits": {"heart_rate": {"low": 50}}}, "nurse")
    again.close()
    details = [one["detail"] for one in ward.place.do("audit", "list", "--json").json["entries"]]
    assert ['{"erased": true}'] * 2 == details[:2]
    assert {"limits": {"heart_rate": {"low": 50.0}}} == json.loads(details[-1])["after"]


def test_a_key_is_made_listed_rotated_and_revoked(ward):
    place: Place = ward.place
    made = place.do("keys", "make", "--name", "bed", "--scope", "ingest", "--scope", "read", "--ward", "a", "--json")
    token, id = made.json["token"], made.json["id"]
    assert "ingest read" == made.json["scopes"]
    assert id == ward.open().keys.find(token).id

    listed = place.do("keys", "list")
    assert id in listed.out
    assert token not in listed.out
    rotated = place.do("keys", "rotate", id, "--overlap", "2", "--json")
    assert 2 == len(place.do("keys", "list", "--json").json["keys"])
    assert 0 == place.do("keys", "revoke", rotated.json["id"]).code
    assert ["yes", "no"] == [one["valid"] for one in place.do("keys", "list", "--json").json["keys"]]
    actions = [one["action"] for one in place.do("audit", "list", "--json").json["entries"]]
    assert ["key.make", "key.rotate", "key.revoke"] == actions


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "make"),
        ("keys", "make", "--scope", "root", "--ward", "a"),
        ("keys", "rotate"),
        ("person", "export", "anna"),
        ("person", "erase", "anna"),
        ("database", "downgrade"),
        ("database", "downgrade", "--to", "base"),
        ("database", "backup"),
        ("database", "restore"),
        ("database", "upgrade", "--to", "9999"),
        ("database", "explode"),
        ("alarms", "replay"),
        ("alarms", "burden", "--days", "0"),
    ],
)
def test_what_is_missing_or_wrong_is_said(ward, words):
    answer = ward.place.do(*words)

    assert 2 == answer.code
    assert 1 == len(answer.err.strip().splitlines())


def test_a_log_that_was_tampered_with_fails_its_check(ward):
    for name in ("a", "b", "c"):
        ward.place.do("keys", "make", "--name", name, "--scope", "read", "--ward", "*")
    assert "is whole: 3 entries" in ward.place.do("audit", "verify").out
    engine = ward.open()
    with engine.database.writing() as connection:
        connection.execute(delete(audit).where(audit.c.no == 2))
    engine.database.close()
    answer = ward.place.do("audit", "verify", "--json")

    assert (1, ["Entries 2 to 2 are missing.", "Entry 3 does not follow the one before it."]) == (
        answer.code,
        answer.json["problems"],
    )


def test_a_person_is_exported_and_erased(ward, tmp_path):
    out = tmp_path / "anna.json"
    assert 400 == ward.place.do("person", "export", "anna", "--out", str(out), "--json").json["rows"]["readings"]
    told = json.loads(out.read_text())
    assert ("anna", 0o600) == (told["person"], out.stat().st_mode & 0o777)
    pseudonym = told["pseudonym"]

    assert 400 == ward.place.do("person", "erase", pseudonym, "--yes", "--json").json["erased"]["readings"]
    assert 1 == ward.place.do("person", "export", "anna", "--out", str(out)).code
    assert 0 == ward.place.do("audit", "verify").code
    file = ward.open().database.file
    entries = [one["action"] for one in ward.place.do("audit", "list", "--json").json["entries"]]
    assert ["person.export", "person.erase"] == entries
    assert b"anna" not in file.read_bytes()


def test_a_person_is_moved_to_another_ward(ward):
    assert 2 == ward.place.do("person", "move", "anna", "--ward", "north").code
    ward.place.do("keys", "make", "--name", "n", "--scope", "read", "--ward", "north")
    told = ward.place.do("person", "move", "anna", "--ward", "north", "--json")

    assert {"before": "", "after": "north"} == told.json
    assert ["north"] == [one.ward for one in ward.open().people(frozenset({"north"}))]
    assert "person.move" == ward.place.do("audit", "list", "--json").json["entries"][-1]["action"]
    assert 2 == ward.place.do("person", "move", "anna").code
    assert 2 == ward.place.do("person", "move", "anna", "--ward", "*").code


def test_a_database_is_backed_up_and_restored_and_the_log_says_so(ward, tmp_path):
    path = tmp_path / "monday.gz"
    assert 0 == ward.place.do("database", "backup", "--file", str(path)).code
    ward.place.do("person", "erase", "anna", "--yes")
    assert 1 == ward.place.do("database", "restore", "--file", str(path)).code
    told = ward.place.do("database", "restore", "--file", str(path), "--replace", "--json").json

    assert 400 == told["rows"]["readings"]
    assert 0 == ward.place.do("audit", "verify").code
    last = ward.place.do("audit", "list", "--json").json["entries"][-1]
    assert "database.restore" == last["action"]
    assert 2 == json.loads(last["detail"])["anchor_before"]["no"]
    assert ["anna"] == [one.name for one in ward.open().people(names_for="test")]


def test_nobody_restores_a_database_that_somebody_serves(ward, tmp_path):
    path = tmp_path / "monday.gz"
    ward.place.do("database", "backup", "--file", str(path))
    engine = ward.open()
    engine.start()
    refused = ward.place.do("database", "restore", "--file", str(path), "--replace")
    assert 1 == engine.accept([{"person": "bert", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}], "t", "n").accepted
    engine.close()

    assert 1 == refused.code
    assert "somebody serves it" in refused.err
    assert 2 == len(ward.open().people())
    assert 0 == ward.place.do("database", "restore", "--file", str(path), "--replace").code
    assert 1 == len(ward.open().people())


def test_a_backup_of_another_key_is_refused_before_anything_is_touched(ward, tmp_path):
    path = tmp_path / "monday.gz"
    ward.place.do("database", "backup", "--file", str(path))
    (tmp_path / "other").mkdir()
    other = Ward(tmp_path / "other", None)
    other.place.capsys = ward.place.capsys
    other.engine.close()
    answer = other.place.do("database", "restore", "--file", str(path), "--replace")

    assert 2 == answer.code
    assert "another key" in answer.err
    assert [] == other.open().people()


def test_tables_go_down_and_up_by_command(ward):
    down = ward.place.do("database", "downgrade", "--to", "0001", "--yes")
    assert 0 == down.code
    assert 0 == ward.place.do("database", "upgrade").code
    assert RUN == ward.open().run()


def test_retention_and_vacuum_tell_what_they_did(ward):
    gone = ward.place.do("database", "retain", "--json").json["deleted"]
    assert 400 == gone["readings"]
    told = ward.place.do("database", "vacuum", "--json").json
    assert 0 < told["after"] <= told["before"]


def test_what_alarms_cost_a_ward_is_told(ward):
    whole = ward.open()
    raised = [one for one in whole.alarms() if one["sounded_at"] is not None]
    whole.close()
    answer, told = ward.place.do("alarms", "burden"), ward.place.do("alarms", "burden", "--days", "3650", "--json").json

    assert 0 == answer.code
    assert "minutes to acknowledge, median" in answer.out
    assert len(raised) == told["alerts"] == sum(one["alerts"] for one in told["rules"].values()) > 0
    assert 0 == told["acknowledged"]


def anchored(ward: Ward, anchor: Path) -> dict:
    """What `audit verify` says with the anchor elsewhere."""
    sets = (f"config.database.anchor={anchor}",)
    ward.place.do("keys", "make", "--name", "a", "--scope", "read", "--ward", "*", sets=sets)
    answer = ward.place.do("audit", "verify", "--json", sets=sets)
    assert 0 == answer.code
    return answer.json


def test_an_anchor_beside_the_key_or_the_database_is_told_and_one_elsewhere_is_not(ward, tmp_path, monkeypatch):
    beside_key = anchored(ward, ward.place.key.with_name("audit.anchor"))["notes"]
    with_database = anchored(ward, ward.place.artifacts / "audit" / "audit.anchor")["notes"]

    assert ["in one folder with the key" in beside_key[0], "folder of the database" in beside_key[1]] == [True, True]
    assert ["folder of the database" in one for one in with_database] == [True]
    assert with_database[0].endswith("set config.database.anchor to another place.")
    assert [] == anchored(ward, tmp_path / "elsewhere" / "audit.anchor")["notes"]
    monkeypatch.setenv("VITALWATCH_DATABASE_KEY", ward.place.key.with_name("database.key").read_text())
    assert 1 == len(anchored(ward, ward.place.key.with_name("audit.anchor"))["notes"])


def test_where_nothing_is_said_the_anchor_lies_with_neither_key_nor_database():
    chosen = load_settings(ROOT, environment="base")
    docker = load_settings(ROOT, environment="docker")

    for one in (chosen, docker):
        anchor = one.path(one.config.database.anchor)
        assert not anchor.is_relative_to(one.artifacts)
        assert anchor.parent != one.path(one.config.database.key).parent

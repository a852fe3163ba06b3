"""Retention, vacuum, backup and restore, export and erasure: what goes is gone, what stays is whole."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from sqlalchemy import func, select

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.database import backup, erasure, keeping
from vitalwatch.database.tables import metadata, readings, snapshots
from vitalwatch.errors import DatabaseError, NotAllowed, SourceError, StoreError

FOREVER = 1 << 60
DAY = 86_400_000
DAYS = {"readings": 14, "scores": 20, "alarms": 20, "events": 7, "quarantine": 7}


@pytest.fixture
def ward(tmp_path, tiny_bundle, url) -> Ward:
    ward = Ward(tmp_path, tiny_bundle, url)
    yield ward
    ward.engine.close()


def life(ward: Ward, who: str = "anna", n: int = 1500, **more) -> int:
    """Send some days; return the time of the last reading."""
    some = somebody(0).readings.rows(slice(0, n))
    told = [{**one, **more} for one in messages(some, who)]
    for start in range(0, n, 500):
        ward.send(told[start : start + 500])
    ward.send([b"{", {"person": who, "time": "never"}])
    return int(some.time[-1])


def content(ward: Ward) -> dict[str, list]:
    with ward.engine.database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def without_life(kept: dict[str, list]) -> dict[str, list]:
    """Return what a restore brings back equal: which life of the database it is, and its numbers, go on."""
    return {name: [row for row in rows if row[0] != "generation"] for name, rows in kept.items() if name != "counters"}


def test_what_is_older_than_its_days_goes_and_the_rest_stays(ward):
    last = life(ward)
    now = last + 12 * DAY
    gone = keeping.retain(ward.engine.database, DAYS, now)
    with ward.engine.database.reading() as connection:
        oldest = connection.execute(select(func.min(readings.c.time))).scalar()

    assert 900 < gone["readings"] < 1500
    assert now - 14 * DAY <= oldest < now - 13 * DAY
    assert 0 == gone["scores"]
    assert 1500 <= len(ward.engine.timeline("anna", 0, FOREVER))
    assert keeping.retain(ward.engine.database, DAYS, now) == dict.fromkeys(keeping.KINDS, 0)


def test_open_alarms_stay_whatever_their_age(ward):
    life(ward, n=2500)
    still_open = len(ward.engine.alarms())
    assert still_open > 0
    keeping.retain(ward.engine.database, DAYS, ward.clock() + 1000 * DAY)

    assert still_open == len(ward.engine.alarms(open_only=False))
    assert [] == ward.engine.events(0)
    assert {} == ward.engine.quarantine().counts


def test_after_retention_a_process_that_starts_anew_scores_as_before(ward, tiny_monitor):
    readings_of_all = somebody(0).readings.rows(slice(0, 3000))
    told = messages(readings_of_all)
    for start in range(0, 2900, 290):
        ward.send(told[start : start + 290])
    keeping.retain(ward.engine.database, DAYS, int(readings_of_all.time[2899]) + 8 * DAY)
    ward.again()
    ward.send(told[2900:])

    expected = tiny_monitor.answer(readings_of_all, forecast=False)
    got = ward.engine.timeline("anna", int(readings_of_all.time[2900]), FOREVER)
    assert np.array_equal(expected.unusual[-len(got) :], got.values["unusual"], equal_nan=True)


def test_a_snapshot_that_nobody_could_continue_goes_with_its_readings(ward):
    last = life(ward)
    ward.send(messages(somebody(0).readings.rows(slice(1500, 1520))))
    keeping.retain(ward.engine.database, DAYS, last + 100 * DAY)
    with ward.engine.database.reading() as connection:
        assert 0 == connection.execute(select(func.count()).select_from(snapshots)).scalar()
    ward.again()
    receipt = ward.send(messages(somebody(0).readings.rows(slice(1520, 1521))))

    assert 1 == receipt.accepted


def test_vacuum_gives_space_back(ward):
    life(ward)
    keeping.retain(ward.engine.database, DAYS, ward.clock() + 1000 * DAY)
    told = keeping.vacuum(ward.engine.database)

    assert 0 < told["after"] < told["before"]
    assert 1 == ward.send(messages(somebody(0).readings.rows(slice(0, 1)))).accepted


def test_a_backup_restores_everything_into_an_empty_database(ward, tmp_path):
    life(ward)
    ward.engine.audit.note("key", "read")
    path = tmp_path / "monday.gz"
    counts = backup.backup(ward.engine.database, path, ward.engine._secret.id, 5)
    before = content(ward)
    with pytest.raises(StoreError, match="is there already"):
        backup.backup(ward.engine.database, path, "", 5)
    with pytest.raises(DatabaseError, match="holds something"):
        backup.restore(ward.engine.database, path, replace=False)
    ward.send(messages(somebody(1).readings.rows(slice(0, 50)), "berta"))
    backup.restore(ward.engine.database, path, replace=True)
    ward.again()

    after = content(ward)
    assert without_life(before) == without_life(after)
    assert all(number <= dict(after["counters"])[name] for name, number in before["counters"])
    assert counts == {name: len(rows) for name, rows in before.items()}
    assert 0o600 == path.stat().st_mode & 0o777
    assert 1 == ward.send(messages(somebody(0).readings.rows(slice(1500, 1501)))).accepted


def test_who_serves_a_database_that_is_restored_meanwhile_goes_on_with_the_restored_one(tmp_path, tiny_bundle, both):
    """Two processes know columns that the backup does not: what they write then says the same to everybody."""
    ward = Ward(tmp_path, tiny_bundle, both)
    day = [{"person": "anna", "time": f"2026-01-05T08:{m:02d}:00Z"} for m in range(0, 60, 5)]
    ward.send([{**one, "heart_rate": 60} for one in day[:2]])
    path = tmp_path / "monday.gz"
    backup.backup(ward.engine.database, path, ward.engine._secret.id, 5)
    other = ward.open()
    other.accept([{**day[2], "heart_rate": 61, "respiratory_rate": 14}], "test", "nurse")
    ward.send([{**day[3], "heart_rate": 62, "respiratory_rate": 14}, {**day[3], "person": "b", "heart_rate": 7e1}])
    seen = ward.engine.events_kept()[1]
    backup.restore(ward.engine.database, path, replace=True)
    ward.send([{**day[4], "heart_rate": 63, "body_temperature": 36.6, "person": "carl"}])
    other.accept([{**day[5], "heart_rate": 64, "respiratory_rate": 15}], "test", "nurse")
    ward.send([{**day[6], "heart_rate": 65, "respiratory_rate": 16}])

    assert seen < min(one.no for one in ward.engine.events(seen))
    assert ward.engine.transactions.undid(seen)
    assert not ward.engine.transactions.undid(ward.engine.events_kept()[1])
    expected = {"anna": {"heart_rate": 65.0, "respiratory_rate": 16.0}, "carl": {"body_temperature": 36.6}}
    for engine in (other, ward.engine, ward.again()):
        found = {one.name: one.values for one in engine.people(names_for="test")}
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            assert values == pytest.approx({vital: found[name][vital] for vital in values})
        rates = engine.timeline("anna", 0, FOREVER).values["heart_rate"]
        assert [60, 60, 64, 65] == [int(rate) for rate in rates[[0, 1, -2, -1]]]
    other.close()
    ward.engine.close()


def test_a_backup_goes_from_sqlite_to_postgresql_and_back(tmp_path, tiny_bundle, postgres):
    first = Ward(tmp_path, tiny_bundle)
    life(first, n=600)
    backup.backup(first.engine.database, tmp_path / "a.gz", first.engine._secret.id, 5)
    second = Ward(tmp_path, None, postgres.database())
    backup.restore(second.engine.database, tmp_path / "a.gz", replace=True)

    assert without_life(content(first)) == without_life(content(second))
    assert content(first)["counters"] == content(second)["counters"]
    assert ["anna"] == [one.name for one in second.again().people(names_for="test")]
    second.engine.close()


def test_a_backup_that_is_not_whole_touches_nothing(ward, tmp_path):
    life(ward, n=300)
    path, broken = tmp_path / "a.gz", tmp_path / "b.gz"
    backup.backup(ward.engine.database, path, "key", 5)
    before, whole, lines = content(ward), path.read_bytes(), gzip.decompress(path.read_bytes()).splitlines(True)
    damaged = [
        whole[: len(whole) // 2],
        b"",
        b"nothing",
        whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        gzip.compress(b"".join(lines[:-1])),
        gzip.compress(b"".join(lines[:3] + lines[4:])),
        gzip.compress(json.dumps({"magic": "other"}).encode() + b"\n" + b"".join(lines[1:])),
    ]
    for content_of_file in damaged:
        broken.write_bytes(content_of_file)
        with pytest.raises(SourceError):
            backup.restore(ward.engine.database, broken, replace=True)

    assert before == content(ward)


def test_an_export_holds_everything_about_a_person(ward):
    life(ward, n=400, device="watch-7")
    life(ward, "berta", n=100)
    ward.engine.set_profile("anna", {"age": 61.0}, "nurse")
    with ward.engine.database.reading() as connection:
        person = ward.engine.person("anna")
        told = erasure.export(connection, ward.engine._secret, person, ward.settings.schema)

    assert ("anna", 61.0, ["watch-7"]) == (told["person"], told["profile"]["age"], told["devices"])
    assert (400, 1) == (len(told["readings"]), len(told["refused"]))
    assert len(told["scores"]) >= 400
    assert messages(somebody(0).readings.rows(slice(0, 1)))[0]["time"] == told["readings"][0]["time"]
    assert "berta" not in json.dumps(told)


def test_an_erased_person_is_gone_from_every_table_and_others_stay(ward):
    life(ward, n=400, device="watch-7")
    life(ward, "berta", n=100, device="watch-7")
    with ward.engine.database.reading() as connection:
        person = ward.engine.person("anna")
    before = content(ward)
    with ward.engine.database.writing() as connection:
        gone = erasure.erase(connection, person)
    after = content(ward)

    assert (400, 1, 1) == (gone["readings"], gone["people"], gone["vault"])
    assert person.pseudonym not in str({name: rows for name, rows in after.items() if name != "audit"})
    assert 100 == len(after["readings"])
    assert 2 == len(after["vault"])
    assert len(before["readings"]) == len(after["readings"]) + 400
    with pytest.raises(NotAllowed):
        ward.engine.person("anna")
    assert 5 == ward.send(messages(somebody(0).readings.rows(slice(0, 5)))).accepted


def test_what_was_erased_is_not_in_the_file_any_more(tmp_path, tiny_bundle):
    ward = Ward(tmp_path, tiny_bundle)
    life(ward, n=300)
    person = ward.engine.person("anna")
    file = ward.engine.database.file
    assert person.pseudonym.encode() in file.read_bytes() + file.with_name(file.name + "-wal").read_bytes()
    with ward.engine.database.writing() as connection:
        erasure.erase(connection, person)
    erasure.forget_pages(ward.engine.database)

    assert person.pseudonym.encode() not in file.read_bytes() + file.with_name(file.name + "-wal").read_bytes()

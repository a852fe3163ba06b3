"""Few people of one's own are joined by synthetic ones; many are not; nobody's name may be taken for synthetic."""

from __future__ import annotations

import dataclasses
import json

import pytest

from command_world import ROOT, csv_of, day_of
from vitalwatch.commands.books import code_of, tell_books
from vitalwatch.commands.desk import Desk, Screen
from vitalwatch.errors import DONE, SourceError
from vitalwatch.pipeline import Work
from vitalwatch.recordings import people, read_events, read_profiles
from vitalwatch.settings import Settings
from vitalwatch.stages.population import gather

NOW = 1_800_000_000_000


@pytest.fixture
def small(settings) -> Settings:
    chosen = settings.params.synthetic.model_copy(update={"people": 3, "days": 8})
    return dataclasses.replace(settings, params=settings.params.model_copy(update={"synthetic": chosen}))


@pytest.fixture
def work(tmp_path, small) -> Work:
    (tmp_path / "work").mkdir()
    return Work(tmp_path / "work", small, {}, lambda done, total: None)


def names(work: Work) -> list[str]:
    return [f"p{work.settings.params.seed}-00000{index}" for index in range(3)]


def test_without_a_source_everybody_is_synthetic(work):
    report = gather(work, (), None, NOW)

    assert people(work.folder / "readings.parquet") == names(work)
    assert report["synthetic_people"] == 3
    assert report["rejected"] == {}
    assert [source["source"] for source in report["sources"]] == ["3 synthetic people"]
    assert len(read_events(work.folder / "bookkeeping.parquet")) > 0
    assert sorted(path.name for path in work.folder.iterdir()) == [
        "bookkeeping.parquet", "care.parquet", "events.parquet", "ingest.json", "outcomes.parquet", "profiles.parquet",
            "quarantine", "readings.parquet",
    ]  # fmt: skip


def test_few_people_of_ones_own_are_joined_by_synthetic_ones(work, tmp_path):
    source = csv_of(tmp_path / "own.csv", [*day_of("anna", 6), *day_of("zoe", 6), "zoe,2026-01-20T00:00:00Z,900"])
    report = gather(work, [source], None, NOW)

    found = people(work.folder / "readings.parquet")
    assert found == ["anna", *(f"synthetic-{name}" for name in names(work)), "zoe"]
    assert (report["own_people"], report["synthetic_people"], report["people"]) == (2, 3, 5)
    assert "2 people of your own are fewer than 10" in report["notes"][-1]
    assert report["read"] == report["accepted"] + report["duplicate"] + sum(report["rejected"].values())
    assert report["rejected"] == {"out_of_physical_range": 1}
    assert report["bad_share"] == pytest.approx(1 / (2 * 6 * 288 + 1), abs=1e-6)  # of their own rows, not diluted
    assert set(read_profiles(work.folder / "profiles.parquet")) == set(found[1:4])
    assert set(read_events(work.folder / "bookkeeping.parquet")) <= set(found[1:4])
    assert json.loads((work.folder / "ingest.json").read_text()) == report
    assert len((work.folder / "quarantine" / "rejects.jsonl").read_text().splitlines()) == 1


def test_what_is_told_of_rows_is_of_ones_own_people_and_not_of_synthetic_ones(work, tmp_path, capsys):
    rows = [*day_of("anna", 6), "anna,2026-01-20T00:00:00Z,255"]
    report = gather(work, [csv_of(tmp_path / "own.csv", rows)], None, NOW)
    tell_books(report, Desk(ROOT, Screen(as_json=False)))

    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("own.csv: 1729 rows read, 1728 kept, 0 duplicate, 0 in conflict, 1 empty, 0 refused.")
    assert 1 == report["emptied"]
    assert DONE == code_of(report)


def test_other_column_names_are_for_the_users_own_files_only(work, tmp_path):
    source = csv_of(tmp_path / "own.csv", day_of("anna", 10), head="person,time,Pulse")
    config = work.settings.config.model_copy(update={"columns": {"heart_rate": "Pulse"}})
    named = dataclasses.replace(work, settings=dataclasses.replace(work.settings, config=config))

    assert gather(named, [source], "table", NOW)["people"] == 4


def test_ten_people_stand_alone(work, tmp_path):
    rows = [row for n in range(10) for row in day_of(f"own{n}")]
    report = gather(work, [csv_of(tmp_path / "own.csv", rows)], None, NOW)

    assert (report["people"], report["synthetic_people"]) == (10, 0)
    assert read_events(work.folder / "bookkeeping.parquet") == {}


def test_too_little_of_ones_own_stays_alone_so_that_validation_says_so(work, tmp_path):
    report = gather(work, [csv_of(tmp_path / "own.csv", day_of("anna", 2))], None, NOW)
    assert (report["people"], report["person_days"], report["synthetic_people"]) == (1, 2, 0)


def test_a_name_kept_for_synthetic_people_is_refused(work, tmp_path):
    source = csv_of(tmp_path / "own.csv", day_of("synthetic-p1", 12))
    with pytest.raises(SourceError, match="kept for synthetic people"):
        gather(work, [source], None, NOW)

"""What each stage depends on: no key of params.yaml can change without the run becoming another one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reaching import blocks_read
from vitalwatch.commands.stages import stages
from vitalwatch.params import Params
from vitalwatch.pipeline import RunResult, run_pipeline
from vitalwatch.settings import Settings
from vitalwatch.store import Store

TABLE = stages((), None, 0)
OTHER = {"start": "2026-02-02", "prevalence": "natural", "vitals": ["heart_rate"], "horizons": [5]}


def keys(settings: Settings) -> list[str]:
    params = settings.params.model_dump(mode="json")
    return [f"{block}.{key}" if key else block for block, values in params.items()
            for key in (values if isinstance(values, dict) else [""])]  # fmt: skip


def changed(settings: Settings, path: str) -> Settings:
    """Return the settings with one key at another valid value."""
    params = settings.params.model_dump(mode="json")
    block, _, key = path.partition(".")
    place, name = (params[block], key) if key else (params, block)
    place[name] = another(name, place[name])
    return dataclasses.replace(settings, params=Params.model_validate(params))


def another(name: str, value: Any) -> Any:
    if name in OTHER:
        return OTHER[name]
    if isinstance(value, str):
        return "40min"
    if isinstance(value, int):
        return value + 1 if name != "need" else value - 1
    return round(value * 0.8 + 0.003, 6)


@pytest.fixture
def planned(tmp_path):
    def run(settings: Settings, source: str = "s") -> RunResult:
        return run_pipeline(TABLE, settings, Store(tmp_path / "artifacts"), source_hash=source, dry_run=True)

    return run


def test_every_key_of_params_is_part_of_a_runs_identity_and_makes_a_stage_run_again(settings, planned):
    first = planned(settings)
    found = keys(settings)
    assert len(found) > 60
    for path in found:
        now = planned(changed(settings, path))
        again = {a.name for a, b in zip(first.stages, now.stages, strict=True) if a.key != b.key}
        assert now.identity != first.identity, path
        assert again, f"{path} changes no stage"


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("seed", "ingest"),
        ("synthetic.people", "ingest"),
        ("ingest.max_bad_share", "ingest"),
        ("cleaning.max_gap", "validate"),
        ("splits.test_people", "transform"),
        ("detector.trees", "train"),
        ("forecaster.epochs", "train"),
        ("evaluation.draws", "evaluate"),
        ("gates.max_false_alarms", "evaluate"),
    ],
)
def test_a_key_reaches_back_as_far_as_it_must_and_no_further(path, first, settings, planned):
    before, now = planned(settings), planned(changed(settings, path))
    again = [a.name for a, b in zip(before.stages, now.stages, strict=True) if a.key != b.key]
    assert again[0] == first


@pytest.mark.parametrize(
    ("stage", "module", "function"),
    [
        ("ingest", "population", "gather"),
        ("validate", "validate", "validate"),
        ("transform", "transform", "transform"),
        ("train", "train", "train"),
        ("evaluate", "assess", "evaluate"),
    ],
)
def test_a_stage_names_every_block_that_its_code_reads(stage, module, function):
    (uses,) = [set(one.uses) for one in TABLE if one.name == stage]
    read = blocks_read(module, function) & set(Params.model_fields) - {"seed"}  # the seed counts always

    assert len(read) >= 2  # else the way from function to function was lost
    assert set() == read - uses


def test_other_data_is_another_run(settings, planned):
    assert planned(settings, "a").identity != planned(settings, "b").identity


def test_a_dry_run_writes_nothing(settings, planned, tmp_path):
    planned(settings)
    assert list(tmp_path.iterdir()) == []


def test_every_artifact_is_made_before_it_is_read():
    made: set[str] = set()
    for stage in TABLE:
        assert set(stage.reads) <= made
        made |= set(stage.writes)
    assert made == {
        "readings.parquet", "profiles.parquet", "events.parquet", "care.parquet", "outcomes.parquet",
        "bookkeeping.parquet", "quarantine", "ingest.json",
        "quality.json", "grid.parquet", "splits.json", "models", "reports",
    }  # fmt: skip

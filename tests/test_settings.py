"""Three files and the environment make one Settings; what is wrong is told with file, key and the nearest known key."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from vitalwatch.commands.stages import stages
from vitalwatch.errors import WRONG_USE, SettingsError
from vitalwatch.params import Params
from vitalwatch.pipeline import run_pipeline
from vitalwatch.settings import Settings, json_schema, load_settings
from vitalwatch.store import Store

ROOT = Path(__file__).parent.parent


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A copy of the three shipped files, free to be spoilt."""
    monkeypatch.delenv("VITALWATCH_ENV", raising=False)
    for name in ("schema.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


def refusal(home: Path, **choices: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(home, **choices)
    assert WRONG_USE == caught.value.exit_code
    return caught.value


def spoil(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "before", "after", "key", "nearest"),
    [
        ("params.yaml", "  budget: 0.1", "  bugdet: 0.1", "detector.bugdet", "budget"),
        ("params.yaml", "gates:", "gatse:", "gatse", "gates"),
        (
            "schema.yaml",
            "{role: vital, unit: /min, shown: bpm",
            "{role: vital, units: /min, shown: bpm",
            "units",
            "unit",
        ),
        ("schema.yaml", "  medication:", "  medicatoin:", "profile.medicatoin", "medication"),
        ("config/base.yaml", "tracking: sqlite", "trackin: sqlite", "trackin", "tracking"),
        ("config/base.yaml", "  trusted: [artifacts", "  trustd: [artifacts", "signing.trustd", "trusted"),
    ],
)
def test_an_unknown_key_is_told_with_its_file_and_the_nearest_known_one(home, file, before, after, key, nearest):
    spoil(home / file, before, after)
    told = refusal(home)

    assert file == told.file
    assert told.key.endswith(key)
    assert "unknown key" == told.problem
    assert f"Did you mean {nearest}?" == told.hint


def test_a_key_unlike_any_other_is_told_with_all_that_are_known(home):
    spoil(home / "params.yaml", "  merge: 60min", "  zzz: 60min")

    assert "Known: need, of, merge, cut, grace." == refusal(home).hint


def test_a_missing_key_is_told(home):
    spoil(home / "params.yaml", "  merge: 60min\n", "")
    told = refusal(home)

    assert ("params.yaml", "alarms.merge", "Field required") == (told.file, told.key, told.problem)


@pytest.mark.parametrize(
    ("sets", "key"),
    [
        ("detector.budget=0", "detector.budget"),
        ("detector.trees=many", "detector.trees"),
        ("supervised.columns_a_tree=1.5", "supervised.columns_a_tree"),
        ("alarms.need=4", "alarms"),
        ("baseline.days_skip=10", "baseline"),
        ("alarms.merge=soon", "alarms.merge"),
        ("seed=-1", "seed"),
        ("synthetic.prevalence=rare", "synthetic.prevalence"),
        ("config.jobs=0", "jobs"),
        ("schema.step=7min", "step"),
    ],
)
def test_a_value_out_of_bounds_is_told_with_its_key(home, sets, key):
    assert key == refusal(home, overrides=[sets]).key


@pytest.mark.parametrize("file", ["params.yaml", "schema.yaml", "config/base.yaml"])
class TestABrokenFile:
    def test_wrong_yaml_is_told_with_the_line(self, home, file):
        (home / file).write_text("a: 1\nb: 2\nc: [3\nd: 4\n")
        told = refusal(home)

        assert Path(file).name == Path(told.file).name
        assert "is not valid YAML at line" in told.problem

    def test_bytes_that_are_no_text_are_not_valid_yaml(self, home, file):
        (home / file).write_bytes(b"a: \xff\xfe")

        assert "is not valid YAML" in refusal(home).problem

    @pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words\n", "5\n"])
    def test_what_is_no_mapping_is_told(self, home, file, text):
        (home / file).write_text(text)

        assert "must hold a mapping of keys to values" == refusal(home).problem

    def test_an_empty_file_is_told(self, home, file):
        (home / file).write_text("")

        assert refusal(home).problem

    def test_a_missing_file_is_told_by_name(self, home, file):
        (home / file).unlink()
        told = refusal(home)

        assert str(home / file) == told.file
        assert "is missing" in str(told) or "cannot be read" in str(told)

    def test_a_folder_in_its_place_is_told(self, home, file):
        (home / file).unlink()
        (home / file).mkdir()

        assert str(home / file) == refusal(home).file


def test_a_python_object_in_yaml_is_not_made(home):
    (home / "config" / "base.yaml").write_text("jobs: !!python/object/apply:os.getcwd []\n")

    assert "is not valid YAML at line 1" == refusal(home).problem


@pytest.mark.parametrize("text", ["detector.budget", "=1", " =1", ""])
def test_a_set_without_key_or_value_is_told(home, text):
    assert "is not key=value" == refusal(home, overrides=[text]).problem


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("detector.bugdet=1", "Did you mean budget?"),
        ("detectr.budget=1", "Did you mean detector?"),
        ("params.detector.bugdet=1", "Did you mean budget?"),
        ("config.trackin=env", "Did you mean tracking?"),
        ("schema.columns.heart_rat.unit=x", "Did you mean heart_rate?"),
        ("tracking=null", "Did you mean config.tracking?"),
        ("budget=0.1", "Did you mean detector.budget?"),
        ("config.budget=0.1", "Did you mean detector.budget?"),
        ("detector.max_gap=1h", "Did you mean cleaning.max_gap?"),
    ],
)
def test_a_set_of_an_unknown_key_is_told_with_the_nearest(home, text, nearest):
    told = refusal(home, overrides=[text])

    assert nearest == told.hint
    assert told.file == f"--set {text.partition('=')[0]}"


@pytest.mark.parametrize(("line", "key"), [("jobs: many", "jobs"), ("signing: {keys: a}", "signing.keys")])
def test_an_error_names_the_file_that_brought_the_key(home, tmp_path, line, key):
    (tmp_path / "mine.yaml").write_text(f"{line}\n")
    (home / "config" / "ward.yaml").write_text(f"{line}\n")
    mine = str(tmp_path / "mine.yaml")

    assert (mine, key) == ((told := refusal(home, config=tmp_path / "mine.yaml")).file, told.key)
    assert ("config/ward.yaml", key) == ((told := refusal(home, environment="ward")).file, told.key)


def test_what_an_override_brought_is_told_of_the_override_and_what_it_did_not_of_the_file(home):
    spoil(home / "params.yaml", "  budget: 0.1", "  bugdet: 0.1")

    assert "params.yaml" == refusal(home, overrides=["detector.trees=20"]).file
    assert "--set detector" == refusal(home, overrides=["detector={trees: 20}"]).file


@pytest.mark.parametrize("text", ["detector.budget=0", "alarms.need=4", "config.jobs=0", "schema.step=7min"])
def test_a_value_out_of_bounds_is_told_of_the_override_that_brought_it(home, text):
    assert f"--set {text.partition('=')[0]}" == refusal(home, overrides=[text]).file


def test_a_set_below_a_plain_value_is_told(home):
    assert "unknown key" == refusal(home, overrides=["seed.of=1"]).problem


def test_a_set_whose_value_is_no_yaml_is_told(home):
    assert "the value is not valid YAML" == refusal(home, overrides=["seed=[1"]).problem


def test_sets_reach_all_three_files_and_the_last_one_wins(home):
    overrides = ["seed=1", "seed=2", "params.detector.budget=0.2", "schema.step=1min", "config.jobs=7"]
    found = load_settings(home, overrides=overrides)

    assert (2, 0.2, "1min", 7) == (
        found.params.seed,
        found.params.detector.budget,
        found.schema.step,
        found.config.jobs,
    )


def test_names_of_columns_in_other_peoples_files_can_be_set(home):
    found = load_settings(home, overrides=["config.columns={heart_rate: 'Pulse (bpm)'}"])

    assert {"heart_rate": "Pulse (bpm)"} == found.config.columns


def test_an_environment_changes_what_it_names_and_nothing_else(home):
    base, docker = load_settings(home), load_settings(home, environment="docker")
    named = yaml.safe_load((home / "config" / "docker.yaml").read_text())
    changed = {k for k, v in docker.config.model_dump().items() if v != base.config.model_dump()[k]}

    assert set(named) == changed
    assert base.config.jobs == docker.config.jobs
    assert (base.schema, base.params) == (docker.schema, docker.params)
    assert Path("/data/artifacts") == docker.artifacts


def test_an_environment_can_change_one_key_of_a_group(home):
    (home / "config" / "ward.yaml").write_text("signing: {key: elsewhere.key}\n")
    base, ward = load_settings(home), load_settings(home, environment="ward")

    assert Path("elsewhere.key") == ward.config.signing.key
    assert base.config.signing.trusted == ward.config.signing.trusted


def test_every_shipped_environment_loads(home):
    for path in (home / "config").glob("*.yaml"):
        assert load_settings(home, environment=path.stem).config.jobs >= 1


def test_the_environment_is_named_by_a_variable_unless_told(home, monkeypatch):
    monkeypatch.setenv("VITALWATCH_ENV", "cluster")

    assert 16 == load_settings(home).config.jobs
    assert 2 == load_settings(home, environment="base").config.jobs


def test_an_unknown_environment_is_told_with_those_there_are(home, monkeypatch):
    monkeypatch.setenv("VITALWATCH_ENV", "../params")
    told = refusal(home)

    assert ("VITALWATCH_ENV", "no such environment") == (told.file, told.problem)
    assert "Known: base, cluster, docker." == told.hint


def test_a_config_of_ones_own_lies_over_all_others(home, tmp_path):
    (tmp_path / "mine.yaml").write_text("jobs: 5\n")

    assert 5 == load_settings(home, environment="cluster", config=tmp_path / "mine.yaml").config.jobs
    assert str(tmp_path / "none.yaml") == refusal(home, config=tmp_path / "none.yaml").file


def test_relative_paths_start_at_the_root_and_absolute_ones_stay(home):
    found = load_settings(home)

    assert home / "artifacts" == found.artifacts
    assert Path("/elsewhere") == found.path(Path("/elsewhere"))


def test_a_refusal_never_repeats_the_value(home, monkeypatch):
    secret = "hunter2"
    told = [
        refusal(home, overrides=[f"config.signing={secret}"]),
        refusal(home, overrides=[f"config.jobs={secret}"]),
        refusal(home, overrides=[f"seed=[{secret}"]),
    ]
    spoil(home / "config" / "base.yaml", "jobs: 2", f"jobs: {secret}")

    for error in (*told, refusal(home)):
        assert secret not in str(error)
        assert secret not in repr(error)


def test_the_signing_key_stays_in_the_environment(home, monkeypatch):
    monkeypatch.setenv("VITALWATCH_SIGNING_KEY", "-----BEGIN PRIVATE KEY-----")
    found = load_settings(home)

    for text in (repr(found), yaml.safe_dump(found.config.model_dump(mode="json")), found.config.model_dump_json()):
        assert "PRIVATE" not in text


def test_editors_get_a_schema_of_all_three_files():
    found = json_schema()

    assert {"schema", "params", "config"} == set(found)
    assert json.loads(json.dumps(found)) == found
    assert set(Params.model_fields) == set(found["params"]["properties"])


def fields_of(model: BaseModel, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        found += fields_of(value, (*place, name)) if isinstance(value, BaseModel) else [(*place, name)]
    return found


PARAMS = load_settings(ROOT, environment="base").params
KEYS = fields_of(PARAMS)


def other(value: Any) -> Any:
    """Return a value of the same type that is not this one."""
    match value:
        case bool() | int() | float():
            return value + 1
        case tuple():
            return value[:-1]
        case dt.date():
            return value + dt.timedelta(days=1)
        case _:
            return "7min" if value != "7min" else "8min"


def changed(settings: Settings, keys: tuple[str, ...]) -> Settings:
    def put(model: BaseModel, rest: tuple[str, ...]) -> BaseModel:
        value = getattr(model, rest[0])
        return model.model_copy(update={rest[0]: put(value, rest[1:]) if len(rest) > 1 else other(value)})

    return dataclasses.replace(settings, params=put(settings.params, keys))


def test_the_file_has_a_key_for_each_field_and_no_other():
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    keys = [(a, b) for a, block in data.items() if isinstance(block, dict) for b in block]

    assert {("seed",), *keys} == set(KEYS)


@pytest.fixture(scope="module")
def dry(tmp_path_factory) -> Any:
    """Run the real table dry, on code that does not change; return the identity and the stages' keys."""
    folder = tmp_path_factory.mktemp("dry")
    (folder / "package").mkdir()
    table, store = stages((), None, 0), Store(folder / "artifacts")

    def run(settings: Settings) -> tuple[str, dict[str, str]]:
        found = run_pipeline(table, settings, store, source_hash="x", dry_run=True, package=folder / "package")
        return found.identity, {stage.name: stage.key for stage in found.stages}

    return run


@pytest.mark.parametrize("keys", KEYS, ids=".".join)
def test_each_params_key_changes_the_run_and_a_stage_of_it(settings, dry, keys):
    before, stages_before = dry(settings)
    after, stages_after = dry(changed(settings, keys))

    assert before != after
    assert stages_before["evaluate"] != stages_after["evaluate"]


def test_where_it_runs_changes_nothing(settings, dry):
    config = settings.config.model_copy(update={"jobs": 9, "artifacts": Path("elsewhere")})

    assert dry(settings) == dry(dataclasses.replace(settings, config=config))

"""Words on the command line name one command; what is wrong is told in one sentence."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from vitalwatch.commands.command_line import COMMANDS, NAMES, parse
from vitalwatch.commands.stages import stages
from vitalwatch.errors import UsageError

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "rich", "yaml", "sklearn", "keras", "jax", "lightgbm", "mlflow")


def named(*words: str) -> tuple[str, dict]:
    command, given = parse(words)
    return next(name for name, one in COMMANDS.items() if one is command), vars(given)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "run"])
def test_every_command_leads_to_a_function(name):
    module, _, function = COMMANDS[name].where.partition(":")
    assert callable(getattr(import_module(module), function))
    assert f"main.py {name}" in COMMANDS[name].example


def test_alone_it_runs_everything():
    name, given = named()
    assert name == "run"
    assert (given["source"], given["only"], given["start"], given["no_promote"]) == ([], None, None, False)


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_is_short_for_only(stage):
    name, given = named(stage, "--source", "a", "--json") if stage != "evaluate" else named(stage, "--json")
    assert (name, given["only"], given["json"]) == ("run", stage, True)


def test_the_names_of_stages_are_those_of_the_table():
    assert tuple(stage.name for stage in stages((), None, 0)) == NAMES


def test_evaluate_with_a_source_judges_a_run_on_other_data():
    name, given = named("evaluate", "--source", "a", "--run", "1")
    assert (name, given["source"], given["run"]) == ("evaluate", ["a"], "1")
    assert named("--only", "evaluate", "--source", "a")[0] == "run"
    with pytest.raises(UsageError, match="--source"):
        named("evaluate", "--run", "1")


def test_options_may_stand_before_the_command():
    name, given = named("--json", "--set", "seed=1", "--config=here.yaml", "runs")
    assert (name, given["json"], given["set"], given["config"]) == ("runs", True, ["seed=1"], Path("here.yaml"))


def test_what_repeats_is_collected():
    given = named("--source", "a", "--source", "b", "--set", "seed=1", "--set", "detector.trees=2")[1]
    assert given["source"] == ["a", "b"]
    assert given["set"] == ["seed=1", "detector.trees=2"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("trian",), "There is no command or stage trian. Did you mean train?"),
        (("promot", "1"), "Did you mean promote?"),
        (("--sorce", "x"), "does not know --sorce. Did you mean --source?"),
        (("score", "--sorce", "x"), "Did you mean --source?"),
        (("score", "--source", "x"), "required: --out"),
        (("generate", "--out", "x", "--people", "many"), "argument --people: invalid int value"),
        (("promote",), "required: ID"),
        (("runs", "extra"), "unrecognized"),
    ],
)
def test_wrong_use_is_one_sentence_with_the_nearest_name(words, told):
    with pytest.raises(UsageError) as error:
        parse(words)
    assert told.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_help_is_quick_and_imports_nothing_heavy():
    code = f"import sys; sys.argv = ['main.py', '--help']; sys.path.insert(0, {str(ROOT)!r})\nimport runpy\ntry:\n"
    code += f"    runpy.run_path({str(ROOT / 'main.py')!r}, run_name='__main__')\nexcept SystemExit as end:\n"
    code += f"    found = [name for name in {HEAVY!r} if name in sys.modules]\n    sys.exit(f'{{end.code}} {{found}}')"
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began

    assert done.stderr.strip() == "0 []"
    assert all(name in done.stdout for name in (*COMMANDS, *NAMES) if name != "run")
    assert "exit codes" in done.stdout
    assert seconds < 3.0  # 0.1 s on a machine at rest


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "run"])
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        parse([name, "--help"])
    assert end.value.code == 0
    assert COMMANDS[name].example in capsys.readouterr().out


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        parse(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("vitalwatch 0.")


def test_main_stays_an_entry():
    assert len((ROOT / "main.py").read_text().splitlines()) <= 80

"""Text for people on stdout, progress on stderr where a terminal is, one JSON object where a program reads."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vitalwatch.commands.desk import Screen, plain
from vitalwatch.commands.figures import show_gates

ROOT = Path(__file__).parents[2]


def test_columns_of_numbers_are_aligned_to_the_right(capsys):
    Screen(False).table([("a", 1.5, "x 1"), ("bcd", "-", "y"), ("e", -10.25, "")], ("name", "value", "text"))
    assert capsys.readouterr().out.splitlines() == [
        "  name   value  text",
        "  a        1.5  x 1",
        "  bcd        -  y",
        "  e     -10.25",
    ]


def test_a_table_without_rows_shows_its_head(capsys):
    Screen(False).table([], ("name", "value"))
    assert capsys.readouterr().out.split() == ["name", "value"]


def test_with_json_stdout_holds_one_object_only(capsys):
    screen = Screen(True)
    screen.say("for people")
    screen.give({"value": np.float64("nan"), "list": (1, np.int64(2)), "path": Path("a")})
    assert json.loads(capsys.readouterr().out) == {"value": None, "list": [1, 2], "path": "a"}


def test_without_json_no_object_is_printed(capsys):
    screen = Screen(False)
    screen.give({"a": 1})
    screen.say("for people")
    assert capsys.readouterr().out == "for people\n"


@pytest.mark.parametrize(("given", "told"), [(float("inf"), None), (np.float32(0.5), 0.5), ({1: {2}}, {"1": [2]})])
def test_values_become_what_json_holds(given, told):
    assert plain(given) == told


def generate(out: Path, **streams) -> subprocess.CompletedProcess:
    words = ["generate", "--people", "2", "--days", "1", "--out", str(out)]
    return subprocess.run([sys.executable, str(ROOT / "main.py"), *words], check=False, **streams)


def test_a_terminal_on_stderr_gets_bars_and_stdout_none_of_them(tmp_path):
    ours, theirs = pty.openpty()
    done = generate(tmp_path / "rec", stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = os.read(ours, 100_000).decode(errors="replace")
    os.close(ours)

    assert done.returncode == 0
    assert "people" in shown
    assert "\x1b[" in shown
    assert b"\x1b[" not in done.stdout


def test_without_a_terminal_nothing_is_on_stderr(tmp_path):
    done = generate(tmp_path / "rec", capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_goes_away_is_no_crash(tmp_path):
    line = f"{sys.executable} {ROOT / 'main.py'} show --schema | head -c 10"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False)
    assert done.stderr == b""
    assert len(done.stdout) == 10


def test_the_table_of_gates_says_on_which_side_of_the_limit_a_value_must_lie(capsys):
    verdicts = [("f1", "at least", True), ("alarms", "at most", False)]
    gates = [{"name": name, "value": 0.5, "limit": 0.4, "passed": ok, "side": side} for name, side, ok in verdicts]
    show_gates(Screen(False), [*gates, {"name": "of_an_old_run", "value": 1, "limit": 2, "passed": True}])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]

    assert [["f1", "0.5", ">=", "0.4", "passed"], ["alarms", "0.5", "<=", "0.4", "FAILED"],
            ["of_an_old_run", "1", "2", "passed"]] == [line[:5] for line in lines]  # fmt: skip

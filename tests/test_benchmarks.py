"""Every benchmark starts: a rename in the code must not wait for the next measuring to be noticed.

Names that a benchmark uses are checked by mypy; here each is loaded as a script and says what it measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import bench  # noqa: E402
from monitor import judge_bulk  # noqa: E402
from pipeline import judge  # noqa: E402

BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
ALL_AT_ONCE = """
import contextlib, io, json, runpy, sys, traceback
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))  # where Python looks first when it runs a script of this folder
told = {}
for path in sorted(folder.glob("*.py")):
    sys.argv, said = [str(path), "--help"], io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(str(path), run_name="__main__")
        told[path.stem] = "ended without help"
    except SystemExit as end:
        told[path.stem] = said.getvalue() if end.code in (0, None) else f"ended with {end.code}"
    except BaseException:
        told[path.stem] = traceback.format_exc()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each says when it is asked for help, all in one process: libraries are loaded once."""
    folder = tmp_path_factory.mktemp("elsewhere")  # a benchmark finds its files from anywhere
    command = [sys.executable, "-B", "-c", ALL_AT_ONCE, str(ROOT / "benchmarks")]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, str] = json.loads(ended.stdout)
    return told


def test_every_benchmark_starts_and_shows_the_command_that_prints_its_figures(helps):
    assert set(BENCHMARKS) == set(helps)
    assert {} == {name: said for name, said in helps.items() if f"python benchmarks/{name}.py" not in said}


def test_every_name_that_make_bench_runs_is_a_benchmark():
    assert set(bench.MINUTES) <= set(bench.names()) == set(BENCHMARKS) - {"bench"}
    assert "benchmarks/bench.py $(BENCH)" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(
    ("most", "least", "code"), [(1.0, 1.0, 0), (0.99, 1.0, 1), (1.0, 1.01, 1), (float("nan"), 1.0, 1)]
)
def test_a_missed_target_is_named_and_fails(capsys, most, least, code):
    targets = bench.Targets()
    targets.at_most("a", 1.0, most, "ms")
    targets.at_least("b", 1.0, least)

    assert code == targets.end()
    said = capsys.readouterr().out
    assert (f"missed: a 1 ms (asked at most {most:g})" in said) == (not most >= 1)
    assert (f"missed: b 1 (asked at least {least:g})" in said) == (least > 1)


@pytest.mark.parametrize(("whole", "without", "code"), [(10_000, 20_000, 0), (9_999, 20_000, 1), (10_000, 19_999, 1)])
def test_a_slow_day_of_many_people_fails_the_benchmark_of_the_monitor(whole, without, code):
    judge_bulk(targets := bench.Targets(), {"people": 9, "rows_per_s": whole, "rows_per_s_without_forecast": without})

    assert code == targets.end()


@pytest.mark.parametrize(("size", "code"), [(4_000_000, 0), (4_000_001, 1), (0, 1)])
def test_models_of_more_than_four_megabytes_or_none_fail_the_benchmark_of_the_pipeline(size, code):
    judge(targets := bench.Targets(), 1.0, 1, 1.0, size)

    assert code == targets.end()


def test_nothing_measured_is_no_success():
    targets = bench.Targets()
    targets.at_most("a", float("nan"), 1.0)

    assert 1 == targets.end() == bench.Targets().end()


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from bench import Targets
targets = Targets()
targets.at_most("a", {found}, 1.0)
raise SystemExit(targets.end())
"""


def test_what_was_missed_failed_and_left_out_is_said_in_the_end(tmp_path, capfd):
    here = str(ROOT / "benchmarks")
    (tmp_path / "good.py").write_text(SCRIPT.format(folder=here, found=0.5))
    (tmp_path / "bad.py").write_text(SCRIPT.format(folder=here, found=2.0))
    (tmp_path / "broken.py").write_text("raise OSError")
    found = {name: bench.run(name, tmp_path) for name in ("good", "bad", "broken")}

    assert [0, 1, 1] == [code for _, code in found.values()]
    assert [
        "missed: a 2 (asked at most 1) [bad]",
        "failed: broken",
        "1 of 2 targets reached, 1 benchmarks failed",
        "left out: other",
    ] == bench.summary(found, ["bad", "broken", "good", "other"])
    assert "left out: nothing" == bench.summary(found, list(found))[-1]
    assert "reached: a 0.5 (asked at most 1)" in capfd.readouterr().out


@pytest.mark.parametrize("name", BENCHMARKS)
def test_figures_of_every_benchmark_are_told_with_its_name(name):
    assert f"benchmarks/{name}.py" in (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")

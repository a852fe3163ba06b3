"""Every benchmark starts: a rename in the code must not wait for the next measuring to be noticed.

Names that a benchmark uses are checked by mypy; here each is loaded as a script and says what it measures.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
    (names,) = re.findall(r"^BENCH \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(names.split()) <= set(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_figures_of_every_benchmark_are_told_with_its_name(name):
    assert f"benchmarks/{name}.py" in (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")

"""Benchmarks one after another, and in the end which targets were missed, what failed and what was left out.

    python benchmarks/bench.py [NAME ...]

NAME is a file of this folder; without any, what runs in minutes is measured, and the last line names the rest. Every
benchmark that has targets ends with a line for each, `reached` or `missed` (`Targets`), and with exit code 1 where one
was missed. So does this. Times depend on the machine: a miss on a busy one is a miss on a busy one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
MINUTES = (
    "generation",
    "features",
    "monitor",
    "onnx_models",
    "training",
    "pipeline",
    "alarms",
    "ingest",
    "serving",
    "quality",
)
REACHED, MISSED = "reached", "missed"


@dataclass
class Targets:
    """What was asked of figures, and whether it was reached; `end` is a benchmark's exit code."""

    lines: list[str] = field(default_factory=list)

    def at_most(self, what: str, found: float, most: float, unit: str = "") -> None:
        """Note a figure that is good when small; NaN, nothing measured, is a miss."""
        self._note(what, found, f"at most {most:g}", unit, good=found <= most)

    def at_least(self, what: str, found: float, least: float, unit: str = "") -> None:
        """Note a figure that is good when large."""
        self._note(what, found, f"at least {least:g}", unit, good=found >= least)

    def _note(self, what: str, found: float, asked: str, unit: str, *, good: bool) -> None:
        self.lines.append(f"{REACHED if good else MISSED}: {what} {found:.4g}{unit and ' ' + unit} (asked {asked})")

    def end(self) -> int:
        """Print a line for each target and return 1 where one is missed, or where there is none, else 0."""
        print(*self.lines, sep="\n", flush=True)
        return int(not self.lines or any(line.startswith(MISSED) for line in self.lines))


def names() -> list[str]:
    """Return all benchmarks."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path != Path(__file__))


def run(name: str, folder: Path = FOLDER) -> tuple[list[str], int]:
    """Run a benchmark, print what it prints, and return its lines about targets and its exit code."""
    print(f"benchmarks/{name}.py", flush=True)
    told, command = [], [sys.executable, "-u", str(folder / f"{name}.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if line.startswith((f"{REACHED}: ", f"{MISSED}: ")):
                told.append(f"{line.strip()} [{name}]")
    return told, process.returncode


def summary(found: dict[str, tuple[list[str], int]], everything: list[str]) -> list[str]:
    """Return what is said in the end: misses, failures, the count, and what was left out, which comes last."""
    targets = [line for lines, _ in found.values() for line in lines]
    missed = [line for line in targets if line.startswith(MISSED)]
    failed = [name for name, (lines, code) in found.items() if code and not any(MISSED in line for line in lines)]
    left = [name for name in everything if name not in found]
    return [
        *missed,
        *(f"failed: {name}" for name in failed),
        f"{len(targets) - len(missed)} of {len(targets)} targets reached, {len(failed)} benchmarks failed",
        f"left out: {', '.join(left) or 'nothing'}",
    ]


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=(*names(), []), help="which; by default what runs in minutes")
    chosen = parser.parse_args().name or MINUTES
    found = {name: run(name) for name in chosen}
    print(*summary(found, names()), sep="\n")
    return int(any(code for _, code in found.values()))


if __name__ == "__main__":
    sys.exit(main())

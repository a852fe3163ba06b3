"""`python main.py` from nothing, and again unchanged: wall seconds and peak memory of all its processes together.

    python benchmarks/pipeline.py

Targets on 2 cores: 120 s and 2 GB from nothing; 5 s unchanged; 4 MB of model files. The reference in the same run is
the processor's speed: seconds of a fixed piece of numpy work, so that figures of two machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bench import Targets

ROOT = Path(__file__).parent.parent
FROM_NOTHING, MEMORY, UNCHANGED, MODELS = 120.0, 2.0, 5.0, 4.0  # s, GB, s on 2 cores; MB


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = ["--set", f"config.artifacts={folder}/artifacts", "--set", f"config.work={folder}/work"]
        where += ["--set", f"config.signing.key={folder}/signing.key"]
        where += ["--set", f"config.signing.trusted=[{folder}/signing.pub]"]
        where += ["--set", f"config.tracking=sqlite:///{folder}/mlflow.db"]
        yardstick = numpy_work()
        first, memory = timed([sys.executable, "main.py", "--json", *where])
        second, _ = timed([sys.executable, "main.py", "--json", *where])
        models = sum(path.stat().st_size for path in Path(folder).glob("artifacts/runs/*/models/*"))
    print(
        json.dumps(
            {
                "from_nothing_s": round(first, 1),
                "of_target": round(first / FROM_NOTHING, 3),
                "peak_memory_gb": round(memory / 1e9, 2),
                "unchanged_s": round(second, 1),
                "unchanged_of_target": round(second / UNCHANGED, 3),
                "model_files_mb": round(models / 1e6, 2),
                "times_numpy_yardstick": round(first / yardstick, 1),
            }
        )
    )
    targets = Targets()
    judge(targets, first, memory, second, models)
    return targets.end()


def judge(targets: Targets, first: float, memory: int, second: float, models: int) -> None:
    """Note what was asked of both runs (wall seconds), their memory and all files of the models (bytes)."""
    targets.at_most("python main.py from nothing, wall", first, FROM_NOTHING, "s")
    targets.at_most("its memory", memory / 1e9, MEMORY, "GB")
    targets.at_most("unchanged, wall", second, UNCHANGED, "s")
    targets.at_most("all model files together", models / 1e6 if models else float("nan"), MODELS, "MB")


def numpy_work() -> float:
    """Return seconds of sorting 20 million float32 on one core."""
    values = np.random.default_rng(0).random(20_000_000, np.float32)
    clock = time.perf_counter()
    values.sort()
    return time.perf_counter() - clock


def timed(command: list[str]) -> tuple[float, int]:
    """Run a command; return wall seconds and the highest memory of it and its children, bytes."""
    clock = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    highest = [0]

    def watch() -> None:
        while process.poll() is None:
            highest[0] = max(highest[0], sum(proportional(pid) for pid in family(process.pid)))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait() != 0:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    watcher.join()
    return time.perf_counter() - clock, highest[0]


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in family(int(child)))]


def proportional(pid: int) -> int:
    """Return a process's memory in bytes, shared pages counted once over all who share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    raise SystemExit(main())

"""How fast synthetic people are made and written: rows a second of one core's processor time.

    OMP_NUM_THREADS=1 python benchmarks/generation.py [--people 80] [--days 28] [--repeat 3]

Prints the best of the repeats, the ratio to one million rows a second and, since machines differ, to a reference in
the same run: numpy drawing as many float32 normal numbers as the recording has values.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from bench import Targets
from vitalwatch.settings import load_settings
from vitalwatch.synthetic import write_recording

TARGET = 1_000_000  # rows a second on one core
ROOT = Path(__file__).parent.parent


def reference(values: int) -> float:
    """Return seconds that numpy needs to draw so many normal numbers."""
    rng = np.random.Generator(np.random.SFC64(1))
    begin = time.process_time()
    for _ in range(-(-values // 100_000)):
        rng.standard_normal(100_000, dtype=np.float32)
    return time.process_time() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=80)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    settings = load_settings(ROOT, environment="base")
    write = partial(write_recording, seed=1, schema=settings.schema, params=settings.params.synthetic)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "warm", people=1, days=8)  # imports, tables of quantiles
        for k in range(given.repeat):
            out = Path(folder) / str(k)
            begin = time.process_time()
            counts = write(out, people=given.people, days=given.days)
            spent = time.process_time() - begin
            values = counts["readings"] * len(settings.schema.names)
            stored = (out / "readings.parquet").stat().st_size
            runs.append((counts["readings"] / spent, spent / reference(values), stored / counts["readings"]))
    rate, ratio, bytes_per_row = max(runs)
    print(
        json.dumps(
            {
                "rows_per_second": round(rate),
                "of_target": round(rate / TARGET, 3),
                "times_numpy_normals": round(ratio, 2),
                "bytes_per_row": round(bytes_per_row, 1),
                "all_runs": [round(run[0]) for run in runs],
            }
        )
    )
    targets = Targets()
    targets.at_least("synthetic rows a second of one core", rate, TARGET)
    return targets.end()


if __name__ == "__main__":
    raise SystemExit(main())

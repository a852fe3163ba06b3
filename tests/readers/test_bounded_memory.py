"""Readers stream: a file four times as long takes hardly more memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vitalwatch.timestamps import rfc3339

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
START, MINUTE = 1_767_225_600_000, 60_000
MOST = 1.3  # times the memory, where the file is four times as long
READ = """
import resource, sys
from pathlib import Path
from vitalwatch import readers
from vitalwatch.settings import load_settings
schema = load_settings(Path(sys.argv[1]), environment="base").schema
batches = readers.read(Path(sys.argv[2]), schema, chunk_rows=int(sys.argv[3]), now_ms=4_000_000_000_000)
print(sum(batch.read for batch in batches), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def csv(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.write("person,time,heart_rate,steps\n")
        file.writelines(f"p1,{rfc3339(START + row * MINUTE, 0)},{60 + row % 40},{row % 9}\n" for row in range(rows))


def json_lines(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for row in range(rows):
            told = {"person": "p1", "time": rfc3339(START + row * MINUTE, 0), "heart_rate": 60 + row % 40}
            file.write(json.dumps(told) + "\n")


def parquet(path: Path, rows: int) -> None:
    columns = [("person", pa.string()), ("time", pa.timestamp("ms", "UTC")), ("heart_rate", pa.float32())]
    with pq.ParquetWriter(path, pa.schema(columns), write_page_checksum=True) as file:
        for first in range(0, rows, 200_000):
            part = range(first, min(first + 200_000, rows))
            cells = (["p1"] * len(part), [START + row * MINUTE for row in part], [60.0 + row % 40 for row in part])
            file.write_table(
                pa.table(list(map(pa.array, cells)), names=[name for name, _ in columns]).cast(file.schema)
            )


def peak(path: Path, rows: int, chunk_rows: int) -> int:
    """Return the highest memory of a process that reads the file, in the system's unit."""
    command = [sys.executable, "-c", READ, str(ROOT), str(path), str(chunk_rows)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert rows == int(told[0])
    return int(told[1])


@pytest.mark.parametrize(
    ("ending", "write", "rows", "chunk_rows"),
    [(".csv", csv, 800_000, 200_000), (".jsonl", json_lines, 60_000, 10_000), (".parquet", parquet, 800_000, 200_000)],
)
def test_a_file_four_times_as_long_takes_hardly_more_memory(tmp_path, ending, write, rows, chunk_rows):
    found = []
    for times in (1, 4):
        path = tmp_path / f"readings{times}{ending}"
        write(path, times * rows)
        found.append(peak(path, times * rows, chunk_rows))

    assert found[1] < MOST * found[0]

"""The command line of vitalwatch; alone it retrains everything. `python main.py --help` lists the commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if __name__ == "__main__":
    # Several processes and threads share the cores: one thread each for linear algebra, unless told otherwise.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"vitalwatch needs Python 3.11 to 3.13, this is {sys.version.split()[0]}. `make run` picks one.")
    try:
        from vitalwatch.commands import main
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed here. `make run` makes .venv and installs everything.")
    sys.exit(main(sys.argv[1:], ROOT))

"""A folder of results in which those of a new call take the places of an earlier one's.

`score.json` says what lies beside it, and is authoritative: it goes before the first file moves and comes back last, so
that where it stands, everything beside it is of one call. A kill in between leaves `score.unfinished` in its place.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from vitalwatch.errors import StoreError
from vitalwatch.recordings import settle, storing
from vitalwatch.store import failpoint, sweep, temporary

LIST = "score.json"
UNFINISHED = "score.unfinished"
QUARANTINE = "quarantine"


def check_place(out: Path) -> None:
    """Raise StoreError where results cannot go: a file, or a folder with something that no earlier call wrote."""
    with storing(out):
        if out.exists() and not out.is_dir():
            raise StoreError(out, "is a file", "Name a folder with --out.")
        found = {path.name for path in out.iterdir()} if out.is_dir() else set[str]()
    strange = [name for name in found if not name.startswith(temporary("score").partition("score")[0])]
    if strange and not {LIST, UNFINISHED} & found:
        raise StoreError(out, "holds something that `score` did not write", "Name an empty or a new folder.")


@contextlib.contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Yield a folder inside `out` whose files take their places there when the block ends well, else it goes."""
    made = not out.exists()
    with storing(out):
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        temp = out / temporary("score")
        temp.mkdir()
    try:
        yield temp
        with storing(out):
            _move(temp, out)
    except BaseException:
        if made:
            shutil.rmtree(out, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _move(temp: Path, out: Path) -> None:
    (out / UNFINISHED).touch()
    (out / LIST).unlink(missing_ok=True)
    shutil.rmtree(out / QUARANTINE, ignore_errors=True)  # of an earlier call
    for path in sorted(temp.iterdir(), key=lambda one: (one.name == LIST, one.name)):  # what lists them last
        failpoint(f"before-{path.name}")
        if path.is_dir():
            path.replace(out / path.name)
        else:
            settle(path, out / path.name)
    (out / UNFINISHED).unlink()

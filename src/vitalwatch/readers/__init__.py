"""Files of readings -> batches of accepted readings, one module a format; `FORMATS` is the whole list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vitalwatch.errors import SourceError
from vitalwatch.readers import fitbit, physionet2012, physionet2019, table, wfdb
from vitalwatch.readers.batch import Batch, Task
from vitalwatch.reading import Reject
from vitalwatch.schema import Schema

__all__ = ["FORMATS", "Batch", "Format", "Reject", "Task", "detect", "read", "resolve"]


@dataclass(frozen=True)
class Format:
    """A kind of source: how it is recognised by content, and how it is read."""

    about: str
    recognises: Callable[[Path], bool]
    read: Callable[[Task], Iterator[Batch]]


FORMATS: Mapping[str, Format] = {
    "table": Format("readings, profiles, events as CSV, Parquet or JSON Lines", table.recognises, table.read),
    "fitbit": Format("Fitbit/Fitabase heart rate and minute tables", fitbit.recognises, fitbit.read),
    "physionet2019": Format("PhysioNet 2019, .psv files", physionet2019.recognises, physionet2019.read),
    "physionet2012": Format("PhysioNet 2012, Time,Parameter,Value", physionet2012.recognises, physionet2012.read),
    "wfdb": Format("WFDB numerics, .hea and .dat", wfdb.recognises, wfdb.read),
}


def detect(path: Path) -> str:
    """Return the name of the format that the content has.

    Raises:
        SourceError: Nothing is there, it is empty, or no format fits.
    """
    if not path.exists():
        raise SourceError(str(path), "there is no such file or folder", "Check the path.")
    if path.is_dir() and not any(path.iterdir()):
        raise SourceError(str(path), "is an empty folder", "Name the folder that holds the recording.")
    for name, known in FORMATS.items():
        if known.recognises(path):
            return name
    known_formats = "; ".join(f"{name} ({known.about})" for name, known in FORMATS.items())
    hint = f"Known: {known_formats}. For a wide CSV file set config.columns and --format table."
    raise SourceError(str(path), "is in no format known here", hint)


def read(
    path: Path,
    schema: Schema,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    chunk_rows: int = 200_000,
    now_ms: int,
    max_ahead_ms: int = 300_000,
) -> Iterator[Batch]:
    """Yield a source in batches, in bounded memory.

    Args:
        path: A file or folder.
        schema: What columns there are and what they may hold.
        format: A name of `FORMATS`; default: by content.
        columns: Our column name -> the file's, for wide CSV and Parquet files.
        chunk_rows: Rows in a batch, at most (a file's own blocks may make it less).
        now_ms: The clock, UTC milliseconds.
        max_ahead_ms: A time later than now by more than this is refused.

    Raises:
        SourceError: The source cannot be read; says what to do.
    """
    name = resolve(path, format=format, columns=columns)
    yield from FORMATS[name].read(Task(path, schema, now_ms, columns or {}, chunk_rows, max_ahead_ms))


def resolve(path: Path, *, format: str | None = None, columns: Mapping[str, str] | None = None) -> str:
    """Return the name of the format that `read` would use; raises SourceError as `detect` does."""
    if format is not None and format not in FORMATS:
        raise SourceError(str(path), "an unknown format was named", f"Known: {', '.join(FORMATS)}.")
    if not path.exists():
        raise SourceError(str(path), "there is no such file or folder", "Check the path.")
    if format is None and columns and path.is_file() and not _is_known(path):
        return "table"
    return format or detect(path)


def _is_known(path: Path) -> bool:
    return any(known.recognises(path) for known in FORMATS.values())

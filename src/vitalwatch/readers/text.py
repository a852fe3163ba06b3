"""Delimited text and archives: cells stay text until the strict grammar of `reading` types them.

Nothing is guessed: another delimiter or encoding is refused with the line and what to do.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.errors import SourceError
from vitalwatch.reading import ACCEPTED, NO_VALUE_TEXTS, NUMBER, RANK, Reject, number
from vitalwatch.schema import Schema
from vitalwatch.tables import Floats, Times
from vitalwatch.timestamps import parse_time, parse_times

BLOCK = 1 << 20  # bytes of text typed at once; the parser reads up to 32 of them ahead
HEAD = 1 << 20
MAX_MEMBER, MAX_RATIO = 256 << 20, 400  # of a file in a zip archive: bytes, and times its packed size
ZIPPED = (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error)
SAVE_AS = "Save it as comma-separated UTF-8 text with decimal points, or as Parquet"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what can go wrong with a file into a SourceError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise SourceError(str(path), "there is no such file or folder", "Check the path.") from None
    except PermissionError:
        raise SourceError(str(path), "may not be read", "Give read permission, or copy it.") from None
    except ZIPPED:
        raise SourceError(str(path), "is a damaged or cut-off archive", "Copy or download it again.") from None


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacking .gz."""
    with reading(path):
        file = path.open("rb")
        if file.read(2) == b"\x1f\x8b":
            file.seek(0)
            return gzip.open(file)  # type: ignore[return-value]
        file.seek(0)
        return file


def head(path: Path) -> bytes:
    """Return the start of a file, unpacked; an empty file is an error."""
    with reading(path), open_bytes(path) as file:
        start = file.read(HEAD)
    if not start.strip():
        raise SourceError(str(path), "is empty", "Export it again.")
    return start


def members(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of every file of a folder, archive or single file whose name ends so, sorted by name.

    Archives inside a folder are read too; a file that lies unpacked beside its archive is read once. Nothing is written
    to disk, so a name in an archive cannot lead anywhere; sizes are limited.
    """
    with reading(path):
        if path.is_dir():
            unpacked = sorted(path.rglob(f"*{ending}"))
            for file in unpacked:
                yield file.name, file.read_bytes()
            known = {file.name for file in unpacked}
            for archive_path in sorted(path.rglob("*.zip")):
                yield from (member for member in members(archive_path, ending) if member[0] not in known)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for info in sorted(archive.infolist(), key=lambda info: info.filename):
                    if info.filename.endswith(ending):
                        if info.file_size > MAX_MEMBER or info.file_size > MAX_RATIO * max(info.compress_size, 1):
                            raise SourceError(
                                str(path), "a file in the archive is far too large", "Unpack it yourself."
                            )
                        yield Path(info.filename).name, archive.read(info)
        else:
            yield path.name, path.read_bytes()


def archived(folder: Path, ending: str) -> bool:
    """Return whether an archive below the folder holds a file whose name ends so."""
    return any(name.endswith(ending) for path in folder.rglob("*.zip") for name in names_in(path))


def names_in(path: Path) -> list[str]:
    """Return the file names of a zip archive."""
    with reading(path), zipfile.ZipFile(path) as archive:
        return archive.namelist()


def header(path: Path, delimiter: str = ",") -> list[str]:
    """Return the column names of a delimited file.

    Raises:
        SourceError: Another encoding or delimiter, or a name stands there twice.
    """
    start = head(path)
    first = start.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0].rstrip(b"\r")
    try:
        line = first.decode("utf-8")
    except UnicodeDecodeError:
        line = "\0"
    if "\0" in line:
        raise SourceError(f"{path}, line 1", "is not UTF-8 text", f"{SAVE_AS}.")
    for other in (";", "\t", "|"):
        if other != delimiter and line.count(other) > line.count(delimiter):
            shown = "tabs" if other == "\t" else f"'{other}'"
            raise SourceError(f"{path}, line 1", f"columns are separated by {shown}, not '{delimiter}'", f"{SAVE_AS}.")
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        raise SourceError(f"{path}, line 1", "is no list of column names", f"{SAVE_AS}.") from None
    if len(set(names)) != len(names):
        raise SourceError(f"{path}, line 1", "a column name stands there twice", "Rename one of them.")
    return names


def text_tables(
    path: Path, wanted: Sequence[str], *, data: bytes | None = None, delimiter: str = ",", names: Sequence[str] = ()
) -> Iterator[tuple[Any, int, list[Reject]]]:
    """Yield (table of text columns, rows before it, ragged rows) for blocks of a delimited file, in bounded memory.

    Args:
        path: The file (unpacked if .gz).
        wanted: Columns to keep.
        data: The file's content where it stands in an archive.
        delimiter: Between cells.
        names: The header, where the caller has read it.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    ragged: list[Reject] = []

    def refuse(row: Any) -> str:
        position = f"row {row.number}" if row.number else "a row"
        detail = f"the row has {row.actual_columns} cells, the header {row.expected_columns}"
        ragged.append(Reject(str(path), position, "ragged_row", detail, str(row.text).encode(), "line"))
        return "skip"

    names = names or header(path, delimiter)
    source = _Checked(io.BytesIO(data) if data is not None else open_bytes(path), path)
    done = 0
    with source, reading(path):
        try:
            reader = pc.open_csv(
                source,
                pc.ReadOptions(use_threads=False, block_size=BLOCK),
                pc.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse),
                pc.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    include_columns=list(wanted),
                    strings_can_be_null=False,
                ),
            )
            for block in reader:
                yield pa.Table.from_batches([block]), done, ragged[:]
                done += block.num_rows + len(ragged)
                ragged.clear()
        except pa.ArrowInvalid as error:
            what = "is not UTF-8 text" if "UTF8" in str(error) else "is not well-formed delimited text"
            raise SourceError(f"{path}, after row {done}", what, f"{SAVE_AS}.") from None
    if ragged:
        yield pa.table({name: pa.array([], pa.string()) for name in wanted}), done, ragged


class _Checked(io.RawIOBase):
    """Passes bytes on that are UTF-8 without NUL; the parser would lose a row in silence otherwise."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self._lines = file, path, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`."""
        block = self._file.read(size)
        try:
            self._decoder.decode(block, final=not block)
            good = block.find(b"\0")
        except UnicodeDecodeError as error:
            good = error.start
        if good >= 0:
            line = self._lines + block.count(b"\n", 0, good) + 1
            raise SourceError(f"{self._path}, line {line}", "is not UTF-8 text", f"{SAVE_AS}.")
        self._lines += block.count(b"\n")
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def text_numbers(column: Any) -> tuple[Floats, NDArray[np.uint16], NDArray[np.intp]]:
    """Return (float32 values, ranks of refusals, their rows) of a text column; one grammar for every cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = column.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    texts = coded.dictionary
    plain = pc.match_substring_regex(texts, rf"\A{NUMBER}\z")
    distinct = np.full(len(texts), np.nan)
    places = np.flatnonzero(plain.to_numpy(zero_copy_only=False))
    distinct[places] = pc.cast(texts.take(pa.array(places)), pa.float64()).to_numpy(zero_copy_only=False)
    distinct[np.isinf(distinct)] = np.inf
    ranks = np.full(len(texts), ACCEPTED)
    for place in np.flatnonzero(~plain.to_numpy(zero_copy_only=False)):
        text = texts[int(place)].as_py()
        if text not in NO_VALUE_TEXTS:
            ranks[place] = RANK[str(number(text))]
    codes = coded.indices.to_numpy()
    with np.errstate(over="ignore"):
        values = distinct.astype(np.float32)[codes] if len(texts) else np.zeros(0, np.float32)
    rows = np.flatnonzero(ranks[codes] != ACCEPTED) if (ranks != ACCEPTED).any() else np.zeros(0, np.intp)
    return values, ranks[codes[rows]], rows


def text_times(column: Any) -> tuple[Times, NDArray[np.int16], NDArray[np.uint16]]:
    """Return (UTC ms, offsets, keys) of a column of RFC 3339 texts."""
    array = column.combine_chunks()
    n = len(array)
    time, offset = np.zeros(n, np.int64), np.zeros(n, np.int16)
    keys = np.full(n, ACCEPTED)
    if not n:
        return time, offset, keys
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + n + 1]
    data = np.frombuffer(array.buffers()[2] or b"", np.uint8)
    lengths = np.diff(ends)
    left = np.ones(n, np.bool_)
    for length in np.unique(lengths):
        if 20 <= length <= 40:
            rows = np.flatnonzero(lengths == length)
            moments, offsets, plain = parse_times(data[ends[rows][:, None] + np.arange(length)])
            rows = rows[plain]
            time[rows], offset[rows], left[rows] = moments[plain], offsets[plain], False
    for row in np.flatnonzero(left):
        found = parse_time(array[int(row)].as_py())
        if isinstance(found, str):
            keys[row] = RANK[found] * 256
        else:
            time[row], offset[row] = found
    return time, offset, keys


def text_keys(keys: NDArray[np.uint16], ranks: NDArray[np.uint16], rows: NDArray[np.intp], place: int) -> None:
    """Lower the keys of the rows whose cells in column `place` were refused."""
    if len(rows):
        found = (ranks * 256 + np.where(ranks < RANK["not_finite"], 0, place)).astype(np.uint16)
        keys[rows] = np.minimum(keys[rows], found)


def place_of(schema: Schema, column: str) -> int:
    """Return the column's place in the schema."""
    return schema.names.index(column)

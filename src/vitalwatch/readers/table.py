"""Our own recordings: a file or folder with readings, profiles, events as CSV, Parquet or JSON Lines; also packed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.errors import SourceError
from vitalwatch.messages import decode
from vitalwatch.readers import text
from vitalwatch.readers.batch import NO_ROWS, Batch, Task, encode, judged
from vitalwatch.readers.people import columns_note, to_event, to_profile
from vitalwatch.reading import ACCEPTED, EMPTIED, EXTRA_FIELDS, RANK, Reading, Reject, Rows, parse
from vitalwatch.tables import Event, Times

ENDINGS = (".csv", ".csv.gz", ".parquet", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json")
PROFILE_FIELDS = frozenset(("person", "age", "sex", "height", "weight", "conditions", "medication"))
EVENT_FIELDS = frozenset(("person", "kind", "start", "end", "magnitude", "channels"))
PARQUET_MAGIC = b"PAR1"
MAX_JSON_LINE = 1 << 20
UTC_NOTE = "No local clock is told (all times in UTC, no utc_offset): the hour of the day is taken from UTC."


def recognises(path: Path) -> bool:
    """Return whether this is a recording in our own tables."""
    if path.is_dir():
        return bool(_tables(path, "readings"))
    start = text.head(path)
    return start.startswith((PARQUET_MAGIC, b"{")) or {"person", "time"} <= _names(start)


def read(task: Task) -> Iterator[Batch]:
    """Yield the recording in batches; profiles and events come first."""
    files = _tables(task.path, "readings") if task.path.is_dir() else [task.path]
    if not files:
        hint = "It must hold readings.csv, readings.parquet or readings.jsonl."
        raise SourceError(str(task.path), "holds no readings table", hint)
    if task.path.is_dir():
        for part, to_batch in (("profiles", _people), ("events", _labels)):
            for file in _tables(task.path, part):
                yield to_batch(file, task)
    local = False
    for file in files:
        for batch in _readings(replace(task, path=file)):
            local = local or bool(batch.rows.offset.any())
            yield batch
    if not local:
        yield Batch(NO_ROWS, notes=(UTC_NOTE,))


def _tables(folder: Path, name: str) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name in {f"{name}{ending}" for ending in ENDINGS})


def _names(start: bytes) -> set[str]:
    line = start.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace")
    return {name.strip('"') for name in line.strip().split(",")}


def _readings(task: Task) -> Iterator[Batch]:
    start = text.head(task.path)
    if start.startswith(PARQUET_MAGIC):
        return _parquet(task)
    return _json_lines(task) if start.lstrip().startswith(b"{") else _csv(task)


def _columns(task: Task, present: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return (our name -> the file's name) and the names that nobody knows.

    Raises:
        SourceError: person, time or heart_rate is missing.
    """
    ours = ("person", "time", *task.schema.names, *EXTRA_FIELDS)
    found = {name: task.columns.get(name, name) for name in ours if task.columns.get(name, name) in present}
    for name in ("person", "time", "heart_rate"):
        if name not in found:
            named = ", ".join(column for column in present[:40] if column.isprintable())
            hint = f"Its columns are {named}. Name the one with `--set config.columns='{{{name}: ITS NAME}}'`."
            raise SourceError(str(task.path), f"has no column {name}", hint)
    unknown = [name for name in present if name not in found.values() and name.isprintable()]
    return found, unknown


def _csv(task: Task) -> Iterator[Batch]:
    names = text.header(task.path)
    columns, unknown = _columns(task, names)
    notes: list[str] = columns_note(task.path.name, unknown)
    wanted = {name: file for name, file in columns.items() if name not in ("device", "event_id", "schema_version")}
    for table, before, ragged in text.text_tables(task.path, list(wanted.values()), names=names):
        for start in range(0, max(len(table), 1), task.chunk_rows):
            part = table.slice(start, task.chunk_rows).rename_columns(list(wanted))
            early = ragged if start == 0 else []
            yield _text_batch(part, task, before + start, early, notes)
            notes = []


def _text_batch(part: Any, task: Task, before: int, early: list[Reject], notes: list[str]) -> Batch:
    time, offset, keys = text.text_times(part.column("time"))
    values = {}
    for name in part.column_names:
        if name in task.schema.names:
            values[name], ranks, rows = text.text_numbers(part.column(name))
            text.text_keys(keys, ranks, rows, text.place_of(task.schema, name))
    if "utc_offset" in part.column_names:
        given, _, rows = text.text_numbers(part.column("utc_offset"))
        offset = _offsets(given, offset, keys)
        keys[rows] = np.minimum(keys[rows], RANK["bad_timestamp"] * 256)
    people, person = _people_codes(part.column("person"))

    def raw(row: int) -> bytes:
        return json.dumps({name: part.column(name)[row].as_py() for name in part.column_names}).encode()

    return judged(
        Rows(people, person, time, offset, values),
        task,
        source=str(task.path),
        keys=keys,
        position=lambda row: f"row {before + row + 2}",
        raw=raw,
        early=early,
        notes=notes,
    )


def _offsets(given: Any, offset: NDArray[np.int16], keys: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Return the stated offsets where there are any; what is no whole number of minutes is refused."""
    given = np.asarray(given, np.float64)
    told = ~np.isnan(given)
    with np.errstate(invalid="ignore"):
        bad = told & ~((np.abs(given) <= 840) & (given % 1 == 0))
    keys[bad] = np.minimum(keys[bad], RANK["bad_timestamp"] * 256)
    return np.where(told & ~bad, np.nan_to_num(given, posinf=0, neginf=0), offset).astype(np.int16)


def _people_codes(column: Any) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    people = tuple("" if person is None else str(person) for person in array.dictionary.to_pylist())
    codes = array.indices.fill_null(len(people)).to_numpy().astype(np.int32, copy=False)
    return (*people, "") if array.null_count else people, codes


def _parquet(task: Task) -> Iterator[Batch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    damaged = SourceError(str(task.path), "is damaged (checksum or structure does not fit)", "Copy or write it again.")
    with text.reading(task.path):
        try:
            names = pq.read_schema(task.path).names
            columns, unknown = _columns(task, names)
            person = columns["person"]
            with pq.ParquetFile(task.path, page_checksum_verification=True, read_dictionary=[person]) as file:
                kinds = file.schema_arrow
                _check_types(task, kinds, columns)
                notes, before = columns_note(task.path.name, unknown), 0
                wanted = [name for name in columns if name in (*task.schema.names, "person", "time", "utc_offset")]
                for part in file.iter_batches(
                    task.chunk_rows, columns=[columns[name] for name in wanted], use_threads=False
                ):
                    table = pa.Table.from_batches([part]).select([columns[name] for name in wanted])
                    yield _typed_batch(table.rename_columns(wanted), task, before, notes)
                    notes, before = [], before + len(part)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, FileNotFoundError | PermissionError):
                raise
            raise damaged from None


def _check_types(task: Task, kinds: Any, columns: Mapping[str, str]) -> None:
    import pyarrow as pa

    def refuse(name: str, problem: str, hint: str) -> None:
        raise SourceError(str(task.path), f"its column {columns[name]} {problem}", hint)

    kind = kinds.field(columns["time"]).type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        refuse("time", "has no time zone", "Write it as timestamp with zone UTC, and utc_offset in minutes.")
    if not (pa.types.is_timestamp(kind) or _is_text(kind)):
        refuse("time", "is no timestamp", "Write a timestamp with zone UTC, or RFC 3339 text.")
    kind = kinds.field(columns["person"]).type
    if not (_is_text(kind) or (pa.types.is_dictionary(kind) and _is_text(kind.value_type))):
        refuse("person", "is not text", "Write pseudonyms as text, so that 007 stays 007.")
    for name in (*task.schema.names, "utc_offset"):
        if name in columns:
            kind = kinds.field(columns[name]).type
            if not (
                pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind) or _is_text(kind)
            ):
                refuse(name, f"is of type {kind}", "Write it as a number in the unit of the schema.")


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _typed_batch(part: Any, task: Task, before: int, notes: list[str]) -> Batch:
    import pyarrow as pa

    n = len(part)
    keys = np.full(n, ACCEPTED)
    offset = np.zeros(n, np.int16)
    values = {}
    for name in part.column_names:
        if name in task.schema.names:
            values[name] = _numbers(part.column(name), keys, text.place_of(task.schema, name))
    time: Times
    if pa.types.is_timestamp(part.column("time").type):
        stamps = part.column("time").cast(pa.timestamp("ms", "UTC"), safe=False)
        keys[stamps.is_null().to_numpy()] = RANK["bad_timestamp"] * 256
        time = stamps.cast(pa.int64()).fill_null(0).to_numpy()
    else:
        time, offset, found = text.text_times(part.column("time").cast(pa.string()).fill_null(""))
        keys = np.minimum(keys, found)
    if "utc_offset" in part.column_names:
        scratch = np.full(n, ACCEPTED)
        offset = _offsets(_numbers(part.column("utc_offset"), scratch, 0), offset, keys)
        keys[scratch != ACCEPTED] = np.minimum(keys[scratch != ACCEPTED], RANK["bad_timestamp"] * 256)
    people, person = _people_codes(part.column("person"))
    rows = Rows(people, person, time, offset, values)
    where = str(task.path)
    return judged(rows, task, source=where, keys=keys, position=lambda row: f"row {before + row + 1}", notes=notes)


def _numbers(column: Any, keys: NDArray[np.uint16], place: int) -> Any:
    import pyarrow as pa

    if _is_text(column.type):
        values, ranks, rows = text.text_numbers(column.cast(pa.string()).fill_null(""))
        text.text_keys(keys, ranks, rows, place)
        return values
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    if pa.types.is_integer(column.type):
        column = column.cast(pa.float64(), safe=False)
    values = column.to_numpy()
    return values if values.dtype != np.float16 else values.astype(np.float32)


def _json_lines(task: Task) -> Iterator[Batch]:
    found: list[Reading] = []
    rejects: list[Reject] = []
    with text.reading(task.path), text.open_bytes(task.path) as file:
        place, empty, emptied = 0, 0, 0
        while line := file.readline(MAX_JSON_LINE):
            place += 1
            one = parse(line.rstrip(b"\r\n"), task.schema, now_ms=task.now_ms, max_ahead_ms=task.max_ahead_ms)
            if isinstance(one, Reading):
                found.append(one)
            elif one.reason == "empty":
                empty += 1
                emptied += one.detail == EMPTIED
            else:
                raw = line.rstrip(b"\r\n")
                rejects.append(Reject(str(task.path), f"line {place}", one.reason, one.detail, raw, "json"))
            if len(found) + len(rejects) + empty >= task.chunk_rows:
                yield replace(_parsed_batch(found, rejects, empty, task), emptied=emptied)
                found, rejects, empty, emptied = [], [], 0, 0
    yield replace(_parsed_batch(found, rejects, empty, task), emptied=emptied)


def _parsed_batch(found: list[Reading], rejects: list[Reject], empty: int, task: Task) -> Batch:
    people, person = encode([one.person for one in found])
    values = {
        name: np.array([one.values.get(name, np.nan) for one in found], np.float32)
        for name in task.schema.names
        if any(name in one.values for one in found)
    }
    time = np.array([one.time for one in found], np.int64)
    rows = Rows(people, person, time, np.array([one.offset for one in found], np.int16), values)
    refused = {"empty": empty} if empty else {}
    for reject in rejects:
        refused[reject.reason] = refused.get(reject.reason, 0) + 1
    return Batch(rows, len(found) + len(rejects) + empty, refused, rejects)


def _people(file: Path, task: Task) -> Batch:
    """Return profiles; unusable fields are left out and named in a note."""
    rows = [cells for _, cells in _cells(file)]
    notes, bad, profiles = _unknown(file, rows, PROFILE_FIELDS), [], []
    for cells in rows:
        profile, problems = to_profile(cells, task.schema)
        profiles += [profile] if profile else []
        bad += problems
    for field in sorted(set(bad)):
        notes.append(f"{file.name}: {bad.count(field)} cells of {field} could not be used and were left out.")
    return Batch(NO_ROWS, profiles=profiles, notes=notes)


def _labels(file: Path, task: Task) -> Batch:
    """Return labelled episodes; rows that cannot be one are refused with their cells."""
    rows = _cells(file)
    events: list[Event] = []
    refused: list[Reject] = []
    for position, cells in rows:
        event = to_event(cells, task.schema)
        if isinstance(event, Event):
            events.append(event)
        else:
            raw = json.dumps(cells).encode()
            refused.append(Reject(str(file), position, event.reason, event.detail, raw, "event"))
    notes = _unknown(file, [cells for _, cells in rows], EVENT_FIELDS)
    strange = ", ".join(sorted({event.kind for event in events} - set(task.schema.events.kinds)))
    if strange:
        told = "they are learnt and judged like the others; mend or delete what is misspelt"
        notes.append(f"{file.name}: kinds of episode that the schema does not name: {strange}; {told}.")
    return Batch(NO_ROWS, events=events, notes=notes, labels=len(rows), refused_labels=refused)


def _unknown(file: Path, rows: list[dict[str, str]], known: frozenset[str]) -> list[str]:
    return columns_note(file.name, sorted({name for row in rows for name in row} - known))


def _cells(file: Path) -> list[tuple[str, dict[str, str]]]:
    """Return a small table as (where it stands, text cells)."""
    start = text.head(file)
    if start.startswith(PARQUET_MAGIC):
        return [(f"row {row}", _as_text(cells)) for row, cells in enumerate(_parquet_rows(file), start=1)]
    with text.reading(file), text.open_bytes(file) as source:
        content = source.read()
    try:
        decoded = content.decode("utf-8-sig")
        if start.lstrip().startswith(b"{"):
            lines = [(f"line {i}", line) for i, line in enumerate(decoded.splitlines(), start=1) if line.strip()]
            return [(position, _as_text(decode_line(line))) for position, line in lines]
        text.header(file)
        rows = enumerate(csv.DictReader(io.StringIO(decoded, newline="")), start=2)
        return [(f"row {place}", {k: v or "" for k, v in row.items() if k}) for place, row in rows]
    except (ValueError, csv.Error):
        raise SourceError(str(file), "is not well-formed UTF-8 CSV or JSON Lines", "Write it again.") from None


def decode_line(line: str) -> dict[str, Any]:
    """Return the flat JSON object in a line; raises ValueError where there is none."""
    found = decode(line.encode())
    if isinstance(found, str):
        raise ValueError(found)
    return found


def _parquet_rows(file: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        raise SourceError(str(file), "is damaged (checksum or structure does not fit)", "Write it again.") from None
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            moments = table.column(place).cast(pa.timestamp("ms", "UTC"), safe=False)
            table = table.set_column(place, field.name, pc.strftime(moments, format="%Y-%m-%dT%H:%M:%SZ"))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _as_text(row: Mapping[str, Any]) -> dict[str, str]:
    def cell(value: Any) -> str:
        if value is None or value != value:  # NaN: not told
            return ""
        return ";".join(map(str, value)) if isinstance(value, list) else str(value)

    return {str(name): cell(value) for name, value in row.items()}

"""Refused rows are kept, exactly as they came, until somebody mends the cause and runs them through the rules again."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from vitalwatch.reading import REASONS, VERSION, Reading, Reject, Rejected, parse, parse_cells
from vitalwatch.recordings import storing
from vitalwatch.schema import Schema
from vitalwatch.timestamps import rfc3339

FILE = "rejects.jsonl"
REPLAYED = "replayed"  # folder beside it: a recording of what a replay accepted


class Quarantine:
    """Appends refused rows to `<folder>/rejects.jsonl`, readable by its owner only; `count` is how many.

    Raises:
        StoreError: The disk is full or the folder may not be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Quarantine:
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / FILE
            torn = path.is_file() and path.stat().st_size > 0 and _last_byte(path) != b"\n"
            self._file = _private(path, "ab")
            if torn:  # a crash cut the last line off: it stays unreadable, the next one must not
                self._file.write(b"\n")
        return self

    def add(self, rejects: Iterable[Reject]) -> None:
        """Append refused rows."""
        assert self._file is not None, "use it in a with block"
        with storing(self.folder):
            for reject in rejects:
                self._file.write(_line(reject, VERSION))
                self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with storing(self.folder):
                self._file.close()


def read_rejects(folder: Path) -> Iterator[Reject]:
    """Yield the refused rows of a quarantine folder, oldest first; a line that a crash cut off is passed over."""
    path = folder / FILE
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield _reject(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue


def replay(folder: Path, schema: Schema, *, now_ms: int, max_ahead_ms: int = 300_000) -> dict[str, int]:
    """Run the refused rows through today's rules again.

    What is accepted now is appended to the recording `<folder>/replayed`, the rest stays. After a crash in between a
    row can stand in both: the next ingest counts it as a duplicate.

    Args:
        folder: A quarantine folder.
        schema: What columns there are and what they may hold.
        now_ms: The clock, UTC milliseconds.
        max_ahead_ms: A time later than now by more than this is refused.

    Returns:
        `read`, `accepted`, and the number of rows that stay by reason.

    Raises:
        StoreError: The disk is full or the folder may not be written.
    """
    counts: Counter[str] = Counter(read=0, accepted=0)
    accepted, staying = folder / REPLAYED / "readings.jsonl", folder / FILE
    if not staying.is_file():
        return dict(counts)
    parts = accepted.with_suffix(".part"), staying.with_suffix(".part")
    try:
        with storing(folder):
            accepted.parent.mkdir(exist_ok=True)
            with _private(parts[0], "wb") as taken, _private(parts[1], "wb") as left:
                if accepted.is_file():
                    taken.write(accepted.read_bytes())
                for reject in read_rejects(folder):
                    counts["read"] += 1
                    result = _again(reject, schema, now_ms, max_ahead_ms)
                    if isinstance(result, Reading):
                        counts["accepted"] += 1
                        taken.write(_json(result))
                    else:
                        counts[result.reason] += 1
                        left.write(_line(replace(reject, reason=result.reason, detail=result.detail), VERSION))
            if counts["accepted"]:
                parts[0].replace(accepted)
            parts[1].replace(staying)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return dict(counts)


def _again(reject: Reject, schema: Schema, now_ms: int, max_ahead_ms: int) -> Reading | Rejected:
    if reject.form == "json":
        return parse(reject.raw, schema, source=reject.source, now_ms=now_ms, max_ahead_ms=max_ahead_ms)
    if reject.form == "cells":
        cells = {name: cell for name, cell in json.loads(reject.raw).items() if isinstance(cell, str)}
        return parse_cells(cells, schema, source=reject.source, now_ms=now_ms, max_ahead_ms=max_ahead_ms)
    return Rejected(reject.reason, reject.detail, reject.source)


def _line(reject: Reject, validator: str) -> bytes:
    cells: dict[str, Any] = {
        "reason": reject.reason,
        "detail": reject.detail,
        "source": reject.source,
        "position": reject.position,
        "form": reject.form,
        "validator": validator,
    }
    try:
        cells["raw"] = reject.raw.decode("utf-8")
    except UnicodeDecodeError:
        cells["raw_base64"] = base64.b64encode(reject.raw).decode("ascii")
    return json.dumps(cells).encode("ascii") + b"\n"


def _reject(cells: dict[str, Any]) -> Reject:
    raw = cells["raw"].encode() if "raw" in cells else base64.b64decode(cells["raw_base64"])
    if cells["reason"] not in REASONS:
        raise ValueError("an unknown reason")
    return Reject(cells["source"], cells["position"], cells["reason"], cells["detail"], raw, cells["form"])


def _json(reading: Reading) -> bytes:
    cells = {"person": reading.person, "time": rfc3339(reading.time, reading.offset), **reading.values}
    return json.dumps(cells).encode() + b"\n"


def _private(path: Path, mode: str) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "ab" else os.O_TRUNC)
    return os.fdopen(os.open(path, flags, 0o600), mode)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)

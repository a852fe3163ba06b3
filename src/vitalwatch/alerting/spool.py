"""An outbox in two files, for a process without a database: the watchdog's. Written through to the disk."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from vitalwatch.alerting.alerts import Alert, Transition
from vitalwatch.alerting.notices import Notice


class Spool:
    """Notices in `notices.ndjson`, and how far each receiver got with each person in `delivered.json`.

    A line torn by a crash was never promised to anybody: it is cut off when the spool is opened, and so is what
    all receivers have.
    """

    def __init__(self, folder: Path, receivers: Collection[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._notices, self._marks = folder / "notices.ndjson", folder / "delivered.json"
        self._lock, self._receivers = threading.Lock(), tuple(receivers)
        self._delivered: dict[str, dict[str, int]] = _read(self._marks) or {}
        kept = [Notice.from_json(told) for told in _lines(self._notices)]
        self._last = max((notice.sequence for notice in kept), default=self._delivered.get("", {}).get("last", 0))
        self._waiting = self._wanted(kept)
        _replace(self._notices, "".join(json.dumps(one.to_json()) + "\n" for one in self._waiting))

    def add(self, changed: Iterable[tuple[Alert, Transition]]) -> None:
        """Write notices down before anybody is told."""
        with self._lock, self._notices.open("a", encoding="utf-8") as file:
            for alert, transition in changed:
                self._last += 1
                notice = Notice(self._last, alert, transition)
                file.write(json.dumps(notice.to_json()) + "\n")
                self._waiting.append(notice)
            file.flush()
            os.fsync(file.fileno())

    def pending(self, receiver: str, limit: int, without: Collection[str]) -> Sequence[Notice]:
        """Return notices not yet delivered to a receiver, oldest first, but for some people."""
        with self._lock:
            found = (one for one in self._waiting if one.person not in without and not self._has(receiver, one))
            return [notice for notice, _ in zip(found, range(limit), strict=False)]

    def delivered(self, receiver: str, notice: Notice) -> None:
        """Write down that a receiver accepted a notice."""
        with self._lock:
            self._delivered.setdefault(receiver, {})[notice.person] = notice.sequence
            self._delivered[""] = {"last": self._last}
            _replace(self._marks, json.dumps(self._delivered))
            self._waiting = self._wanted(self._waiting)

    def _wanted(self, notices: Iterable[Notice]) -> list[Notice]:
        return [one for one in notices if any(not self._has(name, one) for name in self._receivers)]

    def _has(self, receiver: str, notice: Notice) -> bool:
        return notice.sequence <= self._delivered.get(receiver, {}).get(notice.person, 0)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]  # what follows the last end of line is torn
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_bytes()) if path.is_file() else None


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, down to the disk."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

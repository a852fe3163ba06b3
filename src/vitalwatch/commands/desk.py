"""What every command is handed: the project's root, its settings, the clock and the screen."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalwatch.errors import DONE, StoreError

if TYPE_CHECKING:
    from vitalwatch.settings import Settings
    from vitalwatch.store import Store

Told = Callable[[str, int, int], None]  # what, done, total (0 where not known)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, and what `--json` prints."""

    code: int = DONE
    data: Mapping[str, Any] = field(default_factory=dict)


class Screen:
    """Human text goes to stdout, warnings and progress to stderr; with `--json` stdout holds one object only."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, text: str = "") -> None:
        """Print a line for people."""
        if not self.as_json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def warn(self, text: str) -> None:
        """Print a line on stderr."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def table(self, rows: Sequence[Sequence[object]], head: Sequence[str] = ()) -> None:
        """Print columns; one that holds numbers only is aligned to the right."""
        shown = [[str(cell) for cell in row] for row in rows]
        columns = list(zip(*shown, strict=True)) or [()] * len(head)
        names = list(head) or [""] * len(columns)
        aligned = []
        for name, cells in zip(names, columns, strict=True):
            width = max(map(len, (name, *cells)))
            right = all(_numeric(cell) for cell in cells)
            aligned.append([cell.rjust(width) if right else cell.ljust(width) for cell in (name, *cells)])
        for row in list(zip(*aligned, strict=True))[0 if head else 1 :]:
            self.say("  " + "  ".join(row).rstrip())

    def give(self, data: Mapping[str, Any]) -> None:
        """Print the object that `--json` asks for."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(data), indent=1, default=str) + "\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def progress(self) -> Iterator[Told]:
        """Yield a function that moves a bar by name; without a terminal on stderr it does nothing."""
        if not sys.stderr.isatty():
            yield lambda what, done, total: None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
            tasks: dict[str, Any] = {}

            def move(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=None)
                bars.update(tasks[what], completed=done, total=total or None)

            yield move


@dataclass(frozen=True)
class Desk:
    """Where a command works.

    Attributes:
        root: Folder of schema.yaml, params.yaml and config/.
        screen: Where it prints.
        overrides, config: As given with --set and --config.
    """

    root: Path
    screen: Screen
    overrides: Sequence[str] = ()
    config: Path | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings, read when first asked for; raises SettingsError."""
        from vitalwatch.settings import load_settings

        return load_settings(self.root, config=self.config, overrides=self.overrides)

    @cached_property
    def store(self) -> Store:
        """The artifacts folder; raises StoreError when a file stands in its place."""
        from vitalwatch.store import PROBLEMS, Store

        folder = self.settings.artifacts
        if folder.exists() and not folder.is_dir():
            raise StoreError(folder, *PROBLEMS[errno.ENOTDIR])
        return Store(folder)

    def crash_folder(self) -> Path:
        """Return config.work, or the usual place where settings could not be read."""
        try:
            return self.settings.path(self.settings.config.work)
        except Exception:  # whatever ended the command may be here again
            return self.root / "artifacts" / "work"

    @property
    def who(self) -> str:
        """Account and machine, for the audit log."""
        return self.store.who[:64]

    def now_ms(self) -> int:
        """Return the time, UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def shown(self, path: Path) -> str:
        """Return a path as short as the current folder allows."""
        try:
            return str(path.resolve().relative_to(Path.cwd()))
        except ValueError:
            return str(path)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: what is not finite as null, numpy scalars as numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numeric(text: str) -> bool:
    return re.fullmatch(r"-?|[-+]?[\d.]+( [A-Za-z%]+)?", text) is not None

"""A secret in a file that only its owner can read, made at first use."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from vitalwatch.errors import StoreError
from vitalwatch.store import temporary, write_atomic, writing


def secret(path: Path, what: str, variable: str) -> bytes:
    """Return the bytes of a secret's file.

    Args:
        path: Where it lies.
        what: Its name in a message.
        variable: Environment variable that could hand it over instead.

    Raises:
        StoreError: It cannot be read, or others than its owner can read it.
    """
    with writing(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise StoreError(
                path,
                f"the {what} can be read by others (mode {mode:04o})",
                f"`chmod 600 {path}`, or hand it over in {variable}; make a new one if others may have it",
            )
        return path.read_bytes()


def make(path: Path, content: Callable[[], bytes]) -> None:
    """Write a new secret, whole or not at all; where two processes make one at once, the first stays."""
    draft = path.with_name(temporary(f"new-{path.name}"))
    write_atomic(draft, content(), mode=0o600)
    try:
        with writing(path), contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()

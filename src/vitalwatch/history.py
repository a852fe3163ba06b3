"""The history of production: one line a change, and which runs were live by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

What = Literal["promoted", "rolled back", "refused"]


@dataclass(frozen=True)
class Change:
    """One line of history, numbered from 1; `at` is UTC, `previous` what was live, `who` account and machine."""

    n: int
    at: str
    what: What
    run: str
    previous: str | None
    why: str
    who: str


def change_of(line: bytes) -> Change | None:
    """Return the change that a line tells, None where it is torn."""
    try:
        return Change(**json.loads(line))
    except (ValueError, TypeError):
        return None


def live(changes: Sequence[Change]) -> list[str]:
    """Return the runs that were live, as a stack: promoting pushes, rolling back pops."""
    stack: list[str] = []
    for change in changes:
        if change.what == "promoted":
            stack.append(change.run)
        elif change.what == "rolled back":
            while stack and stack[-1] != change.run:
                stack.pop()
    return stack


def earlier(changes: Sequence[Change]) -> list[str]:
    """Return every run that was ever live, the likeliest to answer first.

    Those on the stack of `live` come first, newest first; then those that were rolled back from, which somebody judged
    and which answered all the same.
    """
    promoted = [change.run for change in changes if change.what == "promoted"]
    return list(dict.fromkeys([*reversed(live(changes)), *reversed(promoted)]))

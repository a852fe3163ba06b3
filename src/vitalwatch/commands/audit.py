"""`audit`: who did what, and whether the log is whole."""

from __future__ import annotations

from argparse import Namespace

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.kept import opened
from vitalwatch.errors import DONE, FAILED
from vitalwatch.timestamps import rfc3339

SHOWN = 50  # newest entries


def audit(given: Namespace, desk: Desk) -> Outcome:
    """Verify the chain and its anchor (exit code 1 when something is wrong), or list the newest entries."""
    return _verify(desk) if given.action == "verify" else _list(desk)


def _verify(desk: Desk) -> Outcome:
    with opened(desk) as (_, book):
        verdict = book.verify()
    for problem in verdict.problems:
        desk.screen.warn(problem)
    if not verdict.problems:
        desk.screen.say(f"The audit log is whole: {verdict.entries} entries, anchored up to entry {verdict.anchored}.")
    data = {"entries": verdict.entries, "anchored": verdict.anchored, "problems": list(verdict.problems)}
    return Outcome(FAILED if verdict.problems else DONE, data)


def _list(desk: Desk) -> Outcome:
    with opened(desk) as (_, book):
        newest = book.newest()
        found = book.entries(after=max(newest - SHOWN, 0), most=SHOWN)
    rows = [(one.no, rfc3339(one.at), one.actor, one.action, one.object, one.detail) for one in found]
    head = ("no", "at", "actor", "action", "object", "detail")
    desk.screen.table(rows, head)
    return Outcome(data={"entries": [dict(zip(head, row, strict=True)) for row in rows]})

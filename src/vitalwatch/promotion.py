"""Runs to choose from, and moving production among them while it serves: checked, gated, written down, at once.

Whoever asks over REST or on the page cannot put a run into production that failed a gate; the command line can, and
says so. The free text of a reason stands in history.jsonl; the audit log has who and which run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitalwatch.database.audit import Book
from vitalwatch.errors import GatesFailed, NotFound, StoreError, VitalsError
from vitalwatch.history import Change
from vitalwatch.production import Production, open_run, refusal
from vitalwatch.store import Run, Store

LONGEST_WHY = 200  # characters


class Promotion:
    """Moves production for somebody.

    Args:
        artifacts: Where the runs lie.
        trusted: Public keys whose signatures are accepted.
        production: What answers in this process; it follows before `promote` and `rollback` return.
        book: Where it is written down who did it.
    """

    def __init__(self, artifacts: Path, trusted: Sequence[Path], production: Production, book: Book) -> None:
        self.store, self._artifacts, self._trusted = Store(artifacts), artifacts, tuple(trusted)
        self._production, self._book = production, book

    def runs(self) -> list[dict[str, Any]]:
        """Return the complete runs, the live one first, then newest first: run, live, finished, gates in a word."""
        found = sorted(self.store.runs(), key=lambda run: not run.live)
        return [_line(run, _json(run.folder, "reports/evaluation.json")) for run in found]

    def told(self, run: str) -> dict[str, Any]:
        """Return what there is to tell of a run: as `runs`, with its card and evaluation; raises NotFound."""
        found = next((one for one in self.store.runs() if one.id == run), None)
        if found is None:
            raise NotFound(f"Run {run}", "`python main.py runs` lists what is there.")
        evaluation = _json(found.folder, "reports/evaluation.json")
        return {**_line(found, evaluation), "card": _json(found.folder, "models/card.json"), "evaluation": evaluation}

    def history(self) -> list[Change]:
        """Return every change of production, newest first."""
        return self.store.history()[::-1]

    def promote(self, run: str, why: str, actor: str) -> Change | None:
        """Put a run into production; None when it is there already.

        Raises:
            NotFound: No such run.
            GatesFailed: It did not pass every gate that could be judged.
            BundleRefused, StoreError: Its models are damaged, unsigned, of another format, or answer otherwise than in
                training.
        """
        try:
            folder = self.store.folder(run)
            if failed := failed_gates(_json(folder, "reports/evaluation.json")):
                raise GatesFailed(run, failed)
            open_run(self.store, run, self._trusted)
            change = self._as(actor).promote(run, why[:LONGEST_WHY])
        except VitalsError as error:
            self._book.note(actor, "run.refuse", _sound(run), {"why": type(error).__name__})
            raise
        if change is not None:
            self._moved(actor, "run.promote", change)
        return change

    def rollback(self, why: str, actor: str) -> Change:
        """Put the newest run back that was live before and opens; raises NoEarlierRun, with production unmoved."""
        change = self._as(actor).rollback(why[:LONGEST_WHY], lambda run: refusal(self.store, run, self._trusted))
        self._moved(actor, "run.rollback", change)
        return change

    def _as(self, actor: str) -> Store:
        return Store(self._artifacts, who=actor)

    def _moved(self, actor: str, action: str, change: Change) -> None:
        self._book.note(actor, action, change.run, {"previous": change.previous or ""})
        self._production.served()  # load it here: whoever asks next need not wait
        if self._production.problem:
            raise StoreError(change.run, "it is refused, and the run before answers on", "`main.py doctor` says why")


def failed_gates(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the names of the gates that a run did not pass; a run that was never judged failed `judged`."""
    gates = evaluation.get("gates")
    return ["judged"] if not gates else [str(gate["name"]) for gate in gates if gate["passed"] is False]


def _line(run: Run, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    judged = bool(evaluation.get("gates"))
    gates = "unknown" if not judged else "failed" if failed_gates(evaluation) else "passed"
    return {"run": run.id, "live": run.live, "finished": run.finished, "gates": gates}


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / name).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _sound(run: str) -> str:
    """Return a run's id where it is one; what else was sent does not stand in the audit log."""
    return run if len(run) <= 64 and run.isascii() and run.replace("-", "").replace("_", "").isalnum() else ""

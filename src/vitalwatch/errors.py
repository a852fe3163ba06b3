"""What can go wrong, as facts; each error says in one sentence what to do next.

Messages never hold a measured value or an identifying field: they are printed, logged and served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

DONE, FAILED, WRONG_USE, SOME_REFUSED, UNREADABLE = 0, 1, 2, 3, 4  # exit codes of the command line


class VitalsError(Exception):
    """Base of every error that is the user's to mend; `exit_code` is what the command line returns."""

    exit_code = FAILED


class UsageError(VitalsError):
    """The command line was used wrongly."""

    exit_code = WRONG_USE


class SettingsError(VitalsError):
    """A settings file or override is wrong: file, key, what is wrong, nearest known key."""

    exit_code = WRONG_USE

    def __init__(self, file: str, key: str, problem: str, hint: str = "") -> None:
        super().__init__(file, key, problem, hint)
        self.file, self.key, self.problem, self.hint = file, key, problem, hint

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.problem}.{' ' + self.hint if self.hint else ''}"


class SourceError(VitalsError):
    """A source of readings cannot be used: which, why, what to do."""

    exit_code = UNREADABLE

    def __init__(self, source: str, problem: str, hint: str) -> None:
        super().__init__(source, problem, hint)
        self.source, self.problem, self.hint = source, problem, hint

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}. {self.hint}"


class NotEnoughData(VitalsError):
    """There is too little data to train: what there is, what is needed."""

    hint = "Add recordings, or use `python main.py score --source PATH` with the production models."

    def __init__(self, got: str, need: str) -> None:
        super().__init__(got, need)
        self.got, self.need = got, need

    def __str__(self) -> str:
        return f"Too little to train on: {self.got}; {self.need} needed. {self.hint}"


class BundleRefused(VitalsError):
    """A model bundle was not loaded: which, which check failed (told over REST, so without places), what to do."""

    def __init__(self, bundle: str, check: str, hint: str) -> None:
        super().__init__(bundle, check, hint)
        self.bundle, self.check, self.hint = bundle, check, hint

    def __str__(self) -> str:
        return f"{self.bundle} was refused: {self.check}. {self.hint}"


class GatesFailed(VitalsError):
    """A run is not put into production from outside the command line: which gates it did not pass."""

    def __init__(self, run: str, gates: Sequence[str]) -> None:
        super().__init__(run, tuple(gates))
        self.run, self.gates = run, tuple(gates)

    def __str__(self) -> str:
        return (
            f"Run {self.run} did not pass {', '.join(self.gates)}, so it was not promoted. "
            "Read its report; `python main.py promote` can do it all the same."
        )


class NotFound(VitalsError):
    """Something asked for by name is not there."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what, hint)
        self.what, self.hint = what, hint

    def __str__(self) -> str:
        return f"{self.what} was not found. {self.hint}"


class NoEarlierRun(NotFound):
    """Production cannot go back: which runs were live before, and what is wrong with each, newest first."""

    def __init__(self, passed_over: Mapping[str, str]) -> None:
        self.why = "".join(f"Run {run}: {problem}. " for run, problem in passed_over.items())
        hint = f"{self.why}Production is as it was. `python main.py runs` lists what is there; promote one of them."
        super().__init__("An earlier good run", hint)
        self.args = (dict(passed_over),)


class StoreError(VitalsError):
    """The artifacts folder cannot be written: full disk, no permission, or another run holds it."""

    def __init__(self, where: Path | str, problem: str, hint: str) -> None:
        super().__init__(where, problem, hint)
        self.where, self.problem, self.hint = where, problem, hint

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}. {self.hint}"


class BooksDoNotBalance(VitalsError):
    """accepted + duplicate + rejected is not what was read: a bug, never to be passed over."""

    def __init__(self, read: int, accepted: int, duplicate: int, rejected: int) -> None:
        super().__init__(read, accepted, duplicate, rejected)
        self.read, self.accepted, self.duplicate, self.rejected = read, accepted, duplicate, rejected

    def __str__(self) -> str:
        return (
            f"Rows read ({self.read}) differ from accepted ({self.accepted}) + duplicate ({self.duplicate}) "
            f"+ rejected ({self.rejected}). Nothing was kept; please report this with the ingest report."
        )


class DatabaseError(StoreError):
    """The database cannot be used: where, why, what to do."""


class DatabaseBusy(DatabaseError):
    """Another process kept on writing for longer than we wait."""

    def __init__(self, where: Path | str) -> None:
        super().__init__(where, "another process is writing", "Try again")
        self.args = (where,)


class StorageFull(DatabaseError):
    """The disk of the database is full; everything that was accepted is still there."""

    def __init__(self, where: Path | str) -> None:
        problem = "the disk is full, nothing new was taken"
        super().__init__(where, problem, "Free some space, or shorten `database.retention` and run `database retain`")
        self.args = (where,)


class NoModelYet(NotFound):
    """Nothing is in production that could answer; `problem` says why, where something is there."""

    def __init__(self, problem: str = "") -> None:
        hint = "Run `python main.py`: it trains one and puts it there."
        super().__init__("A model in production that can be served", f"{problem} {hint}".strip())
        self.args = (problem,)


class NotEnoughHistory(VitalsError):
    """A model was asked about a moment without enough readings before it."""

    def __init__(self, person: str, need: int, got: int) -> None:
        super().__init__(person, need, got)
        self.person, self.need, self.got = person, need, got

    def __str__(self) -> str:
        return f"{self.person}: {self.got} scored readings, {self.need} needed. Send some, or wait for the scores."


class AlarmRefused(VitalsError):
    """An action on an alarm was not done: the reason's name, and what it means."""

    def __init__(self, reason: str, meaning: str) -> None:
        super().__init__(reason, meaning)
        self.reason, self.meaning = reason, meaning

    def __str__(self) -> str:
        return f"{self.meaning} Look at it again and choose another action."


class ChangedMeanwhile(VitalsError):
    """What somebody wants to replace is no longer what they saw."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} changed meanwhile, so nothing was written. Look at it again, then write."


class HouseOnly(VitalsError):
    """What was asked for is about the whole house, and the one who asks answers for some wards."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} is about the whole house. Ask with a key of all wards."


class NotAllowed(VitalsError):
    """What was asked for is not there for the one who asks; it may be for somebody else."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} was not found. Look whether your key is for this ward."

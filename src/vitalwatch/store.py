"""A run is a folder; production is a pointer moved atomically; every move is one line of an append-only history.

What must outlive a crash is written under a temporary name, synced, renamed, and its folder synced. The pointer is
moved before its history line is written and carries that line, so a crash in between is mended by the next change.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import fcntl
import functools
import getpass
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitalwatch import history
from vitalwatch.errors import NoEarlierRun, NotFound, StoreError
from vitalwatch.history import Change, What, change_of

ANY = "*"  # for `promote`: whatever is in production now
FULL = (errno.ENOSPC, errno.EDQUOT)
SPACE = "Free some space (the `cache` folder in artifacts may be deleted) and run again"
ELSEWHERE = "Make it writable for this user, or set config.artifacts to another folder"
PROBLEMS = {
    errno.ENOSPC: ("the disk is full", SPACE),
    errno.EDQUOT: ("the disk quota is used up", SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM), ("no permission to write", ELSEWHERE)),
    errno.EROFS: ("the file system is read-only", ELSEWHERE),
    errno.ENOTDIR: (
        "a file stands where a folder is needed",
        "Move it away, or set config.artifacts to another folder",
    ),
    **dict.fromkeys((errno.EEXIST, errno.ENOTEMPTY), ("is there already", "Move it away and run again")),
}


@dataclass(frozen=True)
class Run:
    """A complete run; `live` while it is in production."""

    id: str
    folder: Path
    live: bool
    finished: str
    manifest: Mapping[str, Any]


def utc_now() -> dt.datetime:
    """Return the time, UTC and aware."""
    return dt.datetime.now(dt.UTC)


class Store:
    """The artifacts folder: runs/, cache/, production.json and history.jsonl. Opening it touches nothing.

    `now` is the clock, UTC and aware; `who` is written into history, by default account@machine.
    """

    def __init__(self, artifacts: Path, *, now: Callable[[], dt.datetime] = utc_now, who: str = "") -> None:
        self.artifacts, self.now, self.who = artifacts, now, who or _who()
        self.runs_folder, self.cache = artifacts / "runs", artifacts / "cache"
        self.pointer, self.book = artifacts / "production.json", artifacts / "history.jsonl"

    @contextlib.contextmanager
    def lock(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the folder for one run, waiting so many seconds for another to end; leftovers of dead runs are swept.

        Raises StoreError: another run holds it (its pid and since when), or the folder cannot be written.
        """
        with _held(self.artifacts / ".lock", wait, self.now):
            for folder in (self.artifacts, self.runs_folder, *self.cache.glob("*")):
                sweep(folder)
            yield

    @contextlib.contextmanager
    def create_run(self, run: str) -> Iterator[Path]:
        """Yield an empty folder to fill; it becomes runs/<run> when the block ends well, else it goes.

        Raises StoreError: the run is there already (a run never changes), or the disk refuses.
        """
        with building(self.runs_folder / run, "run") as temp:
            yield temp

    def folder(self, run: str) -> Path:
        """Return the folder of a run; raises NotFound, also for a name that is no plain run id."""
        folder = self.runs_folder / run
        if not run or Path(run).name != run or run.startswith(".") or not folder.is_dir():
            raise NotFound(f"Run {run}", "`python main.py runs` lists what is there.")
        return folder

    def runs(self) -> list[Run]:
        """Return the complete runs, newest first; one without a readable manifest is left out."""
        live = self._pointed()
        found = []
        for folder in self.runs_folder.glob("[!.]*"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                manifest = self._manifest(folder.name)
                found.append(Run(folder.name, folder, folder.name == live, str(manifest.get("finished", "")), manifest))
        return sorted(found, key=lambda run: (run.finished, run.id), reverse=True)

    def production(self) -> str | None:
        """Return the run in production, or None before the first promotion.

        Raises StoreError: it is damaged, or its run is gone or changed; `rollback` finds the last good one.
        """
        if not self.pointer.exists():
            return None
        hint = "`python main.py rollback` goes back to the last good run"
        pointer = self._content()
        run, seal = str(pointer.get("run", "")), str(pointer.get("manifest_sha256", ""))
        if not run or not seal:
            raise StoreError(self.pointer, "cannot be read", hint)
        manifest = self.runs_folder / run / "manifest.json"
        if not manifest.is_file():
            raise StoreError(self.pointer, f"names run {run}, which is gone", hint)
        if sha256(manifest) != seal:
            raise StoreError(self.pointer, f"names run {run}, whose manifest has changed since", hint)
        return run

    def history(self) -> list[Change]:
        """Return every change, oldest first; a torn last line is passed over, one that a crash left out is there."""
        changes = [change for line in self._book().splitlines() if (change := change_of(line)) is not None]
        pending = self._pending()
        if pending is not None and all(change.n != pending.n for change in changes):
            changes.append(pending)
        return sorted(changes, key=lambda change: change.n)

    def promote(self, run: str, why: str, *, champion: str | None = ANY) -> Change | None:
        """Put a complete run into production; None when it is there already.

        `champion` is what the caller took to be in production when it judged the run; `ANY` leaves that open.
        Raises NotFound or StoreError: no such run, it is damaged, or another champion was promoted meanwhile.
        """
        folder = self.folder(run)
        if problem := self.problem(run):
            raise StoreError(folder, problem, "Run `python main.py` again to rebuild it")
        with self._changing():
            now = self._pointed()
            if champion not in (ANY, now):
                problem = f"production moved from {champion} to {now} while {run} was judged"
                raise StoreError(self.pointer, problem, "Run `python main.py` again: it is compared with the new one")
            return None if run == now else self._move("promoted", run, now, why)

    def rollback(self, why: str, refusal: Callable[[str], str] = lambda run: "") -> Change:
        """Put the newest run back that was live before, is whole, and that nothing stands against.

        `refusal` returns why a whole run cannot be served, empty where it can.
        Raises NoEarlierRun: there is none, and what is wrong with those that are there; production is as it was.
        """
        passed_over = dict[str, str]()
        with self._changing():
            now = self._pointed()
            for run in dict.fromkeys(reversed(history.live(self.history())[:-1])):
                if run == now:
                    continue
                if not (problem := self.problem(run) or refusal(run)):
                    return self._move("rolled back", run, now, why)
                passed_over[run] = problem
        raise NoEarlierRun(passed_over)

    def earlier(self) -> list[str]:
        """Return the runs that were live, but for the one in production, in the order in which they may stand in."""
        return [run for run in history.earlier(self.history()) if run != self._pointed()]

    def refuse(self, run: str, why: str) -> Change:
        """Write into history that a run was not promoted."""
        with self._changing():
            change = self._next("refused", run, self._pointed(), why)
            self._append(change)
        return change

    def problem(self, run: str) -> str:
        """Return what is wrong with a run's files, by the hashes in its manifest; empty when whole."""
        try:
            return difference(self.runs_folder / run, self._manifest(run).get("files", {}))
        except OSError:
            return "its manifest is missing"
        except (ValueError, AttributeError, KeyError, TypeError):
            return "its manifest cannot be read"

    def seal(self, run: str, artifact: str) -> str:
        """Return the SHA-256 that a run's manifest gives for one of its files; raises NotFound."""
        try:
            return str(self._manifest(self.folder(run).name)["files"][artifact]["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            raise NotFound(f"{artifact} of run {run}", "Run `python main.py` again to rebuild it.") from None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the pointer, which a run in progress does not: rolling back must never wait for a training."""
        with _held(self.artifacts / ".pointer.lock", 30.0, self.now):
            self._mend()
            yield

    def _pointed(self) -> str | None:
        run = self._content().get("run")
        return None if run is None else str(run)

    def _pending(self) -> Change | None:
        """Return the change that the pointer carries."""
        return change_of(json.dumps(self._content().get("change")).encode())

    def _content(self) -> dict[str, Any]:
        """Return what the pointer holds; nothing when it is missing or damaged."""
        try:
            return dict(json.loads(self.pointer.read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}

    def _manifest(self, run: str) -> dict[str, Any]:
        return dict(json.loads((self.runs_folder / run / "manifest.json").read_bytes()))

    def _book(self) -> bytes:
        try:
            return self.book.read_bytes()
        except FileNotFoundError:
            return b""

    def _mend(self) -> None:
        """Cut off or complete a torn last line, then add the change that a crash kept out."""
        book = self._book()
        tail = book[book.rfind(b"\n") + 1 :]
        with writing(self.book):
            if tail and change_of(tail) is None:
                os.truncate(self.book, len(book) - len(tail))
            elif tail:
                _add(self.book, b"\n")
        pending = self._pending()
        if pending is not None and f'"n": {pending.n},'.encode() not in self._book():
            self._append(pending)

    def _next(self, what: What, run: str, now: str | None, why: str) -> Change:
        changes = self.history()
        return Change(changes[-1].n + 1 if changes else 1, stamp(self.now()), what, run, now, why, self.who)

    def _move(self, what: What, run: str, now: str | None, why: str) -> Change:
        change = self._next(what, run, now, why)
        pointer = {
            "run": run,
            "since": change.at,
            "manifest_sha256": sha256(self.runs_folder / run / "manifest.json"),
            "previous": now,
            "change": dataclasses.asdict(change),
        }
        failpoint("before-pointer")
        write_atomic(self.pointer, json.dumps(pointer, indent=1).encode())
        failpoint("after-pointer")
        self._append(change)
        return change

    def _append(self, change: Change) -> None:
        line = json.dumps(dataclasses.asdict(change)).encode() + b"\n"
        failpoint("before-history")
        with writing(self.book):
            if os.environ.get("VITALWATCH_FAILPOINT") == "torn-history":
                _add(self.book, line[: len(line) // 2])
                failpoint("torn-history")
            _add(self.book, line)
        failpoint("after-history")


def failpoint(name: str) -> None:
    """Die here at once, as by a power cut, when VITALWATCH_FAILPOINT names this place (tests of crash safety)."""
    if os.environ.get("VITALWATCH_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)


def stamp(moment: dt.datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, whole milliseconds."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_list(folder: Path) -> dict[str, dict[str, Any]]:
    """Return relative path -> {sha256, size} of every file below a folder, sorted."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: {"sha256": sha256(path), "size": path.stat().st_size} for name, path in files.items()}


def difference(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how the files of a folder differ from a list made by `file_list`; empty when they are as listed."""
    for name, told in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != told["size"] or not hmac.compare_digest(sha256(path), told["sha256"]):
            return f"{name} is not what was written"
    return ""


@contextlib.contextmanager
def writing(where: Path, only: tuple[int, ...] = ()) -> Iterator[None]:
    """Turn what the operating system refuses (all, or `only` these errors) into a StoreError with the next step."""
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        fallback = (f"cannot be written ({error.strerror or 'input/output error'})", ELSEWHERE)
        raise StoreError(where, *PROBLEMS.get(error.errno or 0, fallback)) from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader finds the old or the new one, whole, whatever happens; raises StoreError."""
    temp = path.with_name(temporary(path.name))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _add(temp, data, mode)
            failpoint(f"before-rename-{path.name}")
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
        _sync(path.parent)


@contextlib.contextmanager
def building(folder: Path, point: str) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; whole and synced it takes that name, or nothing does.

    Raises StoreError: `folder` is there already, or the disk refuses (also inside the block, when it is full).
    """
    temp = folder.with_name(temporary(folder.name))
    if folder.exists():
        raise StoreError(folder, *PROBLEMS[errno.EEXIST])
    try:
        with writing(folder):
            temp.mkdir(parents=True)
        with writing(folder, FULL):
            yield temp
        with writing(folder):
            for path in temp.rglob("*"):
                _sync(path)
            _sync(temp)
            failpoint(f"{point}-before-rename")
            temp.rename(folder)
            failpoint(f"{point}-after-rename")
            _sync(folder.parent)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def discard(folder: Path) -> None:
    """Remove a folder so that nobody ever sees a part of it; raises StoreError."""
    with writing(folder):
        shutil.rmtree(folder.rename(folder.with_name(temporary(f"old-{folder.name}"))))


def link_tree(source: Path, target: Path) -> None:
    """Put every file of `source` into `target` by hard link, or by copy where links are not possible."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        (place if path.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            continue
        try:
            os.link(path, place)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES):
                raise
            shutil.copyfile(path, place)


def temporary(name: str) -> str:
    """Return a name that says which process is at work on it: pid and the process's start time."""
    return f".tmp-{name}-{os.getpid()}-{_started(os.getpid())}"


def sweep(folder: Path) -> None:
    """Remove what dead processes left unfinished in a folder; what a living one works on stays."""
    for path in folder.glob(".tmp-*"):
        match = re.fullmatch(r"\.tmp-.+-(\d+)-(\d+)", path.name)
        if match is None or _started(int(match[1])) == match[2]:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _started(pid: int) -> str:
    """Return the start of a process in clock ticks since boot (proc_pid_stat(5), field 22); `gone` without one."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    try:
        os.kill(pid, 0)
    except OSError as error:
        if error.errno == errno.ESRCH:
            return "gone"
    return "0"  # no /proc here: the pid has to do


@contextlib.contextmanager
def _held(path: Path, wait: float, now: Callable[[], dt.datetime]) -> Iterator[None]:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _handles.add(handle)
    _register()
    try:
        if not _acquired(handle, wait):
            pid, _, since = os.read(handle, 200).decode(errors="replace").strip().partition(" ")
            raise StoreError(path, f"another run holds it (pid {pid}, since {since})", "Wait for it to end, or stop it")
        with writing(path):
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()} {stamp(now())}\n".encode())
        yield
    finally:
        if handle in _handles:  # not in a forked child
            _handles.remove(handle)
            os.close(handle)


_handles: set[int] = set()


@functools.cache
def _register() -> None:
    """Have forked workers let go of locks: one that outlives a killed run must not hold its store."""
    os.register_at_fork(after_in_child=_let_go)


def _let_go() -> None:
    while _handles:
        os.close(_handles.pop())


def _acquired(handle: int, wait: float) -> bool:
    end = time.monotonic() + wait
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)


def _add(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Append bytes and sync them; the file is made with `mode`, never wider."""
    with open(path, "ab", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _who() -> str:
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        account = str(os.getuid())
    return f"{account}@{os.uname().nodename}"

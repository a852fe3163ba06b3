"""`doctor`: what could keep vitalwatch from working here, a line each, with the next step."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.errors import DONE, FAILED, VitalsError

GIGABYTE = 10**9
LEAST_FREE, GOOD_FREE = 1 * GIGABYTE, 5 * GIGABYTE
PYTHONS = ((3, 11), (3, 13))
LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?$", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it stands, and what to do where it is not well."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    told: str
    next: str = ""


def doctor(given: Namespace, desk: Desk) -> Outcome:
    """Check this machine and the artifacts; FAILED if a check failed."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += list(check(desk))
        except VitalsError as error:
            name = check.__name__.strip("_").replace("_", " ")
            findings.append(Finding(name, "fail", str(error), getattr(error, "hint", "")))
    for one in findings:
        hint = f" -> {one.next}" if one.next and one.next not in one.told else ""
        desk.screen.say(f"{one.verdict.ljust(4)}  {one.check.ljust(20)}  {one.told}{hint}")
    failed = any(one.verdict == "fail" for one in findings)
    desk.screen.say("Something must be mended first." if failed else "Nothing keeps vitalwatch from working here.")
    return Outcome(FAILED if failed else DONE, {"ok": not failed, "checks": [asdict(one) for one in findings]})


def locked(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Return package -> [(version, marker)] of a requirements file with exact versions; the marker may be empty."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, version, marker in LOCKED.findall(file.read_text(encoding="utf-8")):
        found.setdefault(name.lower().replace("_", "-"), []).append((version, marker))
    return found


def _python(desk: Desk) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    yield Finding("python", "ok" if good else "fail", version, "" if good else "Use Python 3.11, 3.12 or 3.13.")


def _packages(desk: Desk) -> Iterator[Finding]:
    file = desk.root / "requirements.txt"
    if not file.is_file():
        yield Finding("packages", "warn", "there is no requirements.txt to compare with", "Restore it.")
        return
    missing, other, count = [], [], 0
    for name, lines in locked(file).items():
        wanted = [version for version, marker in lines if _applies(marker)]
        if not wanted:
            continue
        count += 1
        try:
            if metadata.version(name) not in wanted:
                other.append(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "fail", f"not installed: {_some(missing)}", "`make run` installs what is locked.")
    if other:
        yield Finding("packages", "warn", f"other versions than locked: {_some(other)}", "`make run` installs those.")
    if not missing and not other:
        yield Finding("packages", "ok", f"{count} installed as locked")


def _applies(marker: str) -> bool:
    if not marker:
        return True
    from packaging.markers import Marker

    return Marker(marker).evaluate()


def _settings(desk: Desk) -> Iterator[Finding]:
    desk.settings  # noqa: B018 - raises what is wrong
    yield Finding("settings", "ok", "schema.yaml, params.yaml and config/ are valid")


def _artifacts(desk: Desk) -> Iterator[Finding]:
    folder = desk.settings.artifacts
    there = next(path for path in (folder, *folder.parents) if path.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    if not writable or not _really_writable(there):
        yield Finding("artifacts", "fail", f"{folder} cannot be written", "Make it writable, or set config.artifacts.")
        return
    yield Finding("artifacts", "ok", f"{folder} can be written")
    free = shutil.disk_usage(there).free
    verdict: Literal["ok", "warn", "fail"] = "fail" if free < LEAST_FREE else "warn" if free < GOOD_FREE else "ok"
    hint = "" if verdict == "ok" else "Free some space; the `cache` folder in artifacts may be deleted."
    yield Finding("disk", verdict, f"{free / GIGABYTE:.1f} GB free", hint)


def _really_writable(folder: Path) -> bool:
    """Return whether a file can be made: root may write anywhere but on a read-only file system."""
    probe = folder / f".doctor-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _production(desk: Desk) -> Iterator[Finding]:
    run = desk.store.production()
    if run is None:
        yield Finding("production", "warn", "no run is in production", "Run `python main.py`.")
        return
    from vitalwatch.commands.models import place_of

    monitor = place_of(desk, run).open()
    yield Finding("production", "ok", f"run {monitor.version or run}: signature, hashes and self-test are right")
    if problem := desk.store.problem(run):
        hint = "Its models are whole. `python main.py` builds the run again."
        yield Finding("production files", "warn", f"run {run}: {problem}", hint)


def _signing_key(desk: Desk) -> Iterator[Finding]:
    if os.environ.get("VITALWATCH_SIGNING_KEY"):
        yield Finding("signing key", "ok", "from VITALWATCH_SIGNING_KEY")
        return
    path = desk.settings.path(desk.settings.config.signing.key)
    if not path.exists():
        yield Finding("signing key", "ok", f"{path} will be made at first use")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        hint = f"`chmod 600 {path}`; make a new key if others may have read it."
        yield Finding("signing key", "fail", f"others can read {path} (mode {mode:04o})", hint)
    else:
        yield Finding("signing key", "ok", f"{path} is readable by its owner only")


def _leftovers(desk: Desk) -> Iterator[Finding]:
    work = desk.settings.path(desk.settings.config.work)
    places = (desk.store.artifacts, desk.store.runs_folder, work, *desk.store.cache.glob("*"))
    found = [path for place in places if place.is_dir() for path in place.glob(".tmp-*")]
    crashes = sorted(work.glob("crash-*.txt")) if work.is_dir() else []
    if found:
        hint = "The next `python main.py` removes those of dead processes."
        yield Finding("leftovers", "warn", f"{len(found)} unfinished folders or files", hint)
    if crashes:
        yield Finding("leftovers", "warn", f"{len(crashes)} crash reports in {work}", "Report them, then delete them.")
    if not found and not crashes:
        yield Finding("leftovers", "ok", "nothing unfinished")


def _tracking(desk: Desk) -> Iterator[Finding]:
    from vitalwatch.tracking import SQLITE, store_uri

    uri = store_uri(desk.settings.config.tracking, desk.root)
    if uri is None:
        yield Finding("mlflow", "ok", "switched off")
    elif not uri.startswith(SQLITE):
        yield Finding("mlflow", "ok", "a tracking server is named; a run goes on without it")
    else:
        yield _database(Path(uri.removeprefix(SQLITE)))


def _database(path: Path) -> Finding:
    import sqlite3

    if not path.exists():
        return Finding("mlflow", "ok", f"{path} will be made by the first run")
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        return Finding("mlflow", "warn", f"{path} is damaged", "Move it away; runs themselves are not in it.")
    return Finding("mlflow", "ok", f"{path} is whole")


def _real_data(desk: Desk) -> Iterator[Finding]:
    named = os.environ.get("VITALWATCH_REAL_DATA", "")
    folder = Path(named) if named else desk.root.parent / "shared" / "data"
    if folder.is_dir():
        yield Finding("real recordings", "ok", f"{folder} (tests only)")
    elif named:
        yield Finding("real recordings", "warn", f"{folder} is not there", "Mend VITALWATCH_REAL_DATA.")
    else:
        yield Finding("real recordings", "ok", "none; the tests that need them are skipped")


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


CHECKS: tuple[Callable[[Desk], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _settings,
    _artifacts,
    _production,
    _signing_key,
    _leftovers,
    _tracking,
    _real_data,
)

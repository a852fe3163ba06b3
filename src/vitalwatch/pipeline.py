"""Walk a table of stages: skip what is unchanged, say what changed, leave one complete run folder.

A stage is a function and the artifacts that it reads and writes. Its result is kept under the hash of everything
that it depends on; a run is those results linked together, named after the hash of schema, params, code and data.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import math
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vitalwatch.errors import NotFound, UsageError
from vitalwatch.params import Params
from vitalwatch.settings import Settings
from vitalwatch.store import Store, building, difference, discard, file_list, link_tree, sha256, stamp, write_atomic
from vitalwatch.versions import commit_of, library_versions

SHELLS = (  # parts of the package that no stage depends on, which the import layers hold
    *("api", "ui", "spark", "commands", "studies", "alerting", "database"),
    *("alarming.py", "engine.py", "guarding.py", "intake.py", "memory.py", "production.py", "recall.py", "views.py"),
)
UNCHANGED = "unchanged: same schema, params, code and input"
FACTS = ("seconds", "peak_rss_mb", "summary")
Part = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What a stage is given.

    Attributes:
        folder: Empty; the stage writes its artifacts here, at the relative paths that it declared.
        settings: All settings; a stage reads only the params that its `uses` names.
        inputs: Artifact -> where it lies, for what the stage declared to read.
        progress: Called with (done, total).
        run: First digits of the identity of the run that this is for, as its folder is named.
    """

    folder: Path
    settings: Settings
    inputs: Mapping[str, Path]
    progress: Callable[[int, int], None]
    run: str = ""

    def path(self, artifact: str) -> Path:
        """Return where an input lies; raises ValueError for one that the stage did not declare."""
        if artifact not in self.inputs:
            raise ValueError(f"{artifact} is not among the stage's reads: {', '.join(self.inputs)}")
        return self.inputs[artifact]

    def out(self, artifact: str) -> Path:
        """Return where to write an artifact; its parent folder is there."""
        path = self.folder / artifact
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Stage:
    """One line of the table.

    Attributes:
        name: As on the command line.
        run: Does the work; returns what the manifest shows of it (row counts, figures; JSON).
        reads: Artifacts of earlier stages.
        writes: Files or folders, as paths relative to the run's folder; no two stages write the same.
        uses: Blocks of params.yaml that it depends on. Schema, seed, code and library versions always count.
    """

    name: str
    run: Callable[[Work], dict[str, Any]]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageEvent:
    """What happens, as it happens; `planned` only in a dry run.

    `reason` says why the stage runs or is skipped; `done` of `total` belong to progress, `seconds` to finished.
    """

    stage: str
    kind: Literal["planned", "skipped", "started", "progress", "finished"]
    reason: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageResult:
    """One stage of a run; `folder` is where its artifacts lie, in the cache or in the run."""

    name: str
    key: str
    folder: Path
    skipped: bool
    reason: str
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunResult:
    """What `run_pipeline` did.

    Attributes:
        identity: SHA-256 of schema, params, code and input data.
        run, folder: The complete run; None after a dry run or when only one stage ran.
        new: False where the run was there already.
    """

    identity: str
    run: str | None
    folder: Path | None
    new: bool
    stages: tuple[StageResult, ...]


def run_pipeline(
    stages: Sequence[Stage],
    settings: Settings,
    store: Store,
    *,
    source_hash: str,
    only: str | None = None,
    start: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    on_event: Callable[[StageEvent], None] = lambda event: None,
    package: Path = Path(__file__).parent,
) -> RunResult:
    """Run the stages that need it and leave a complete run; production is not touched.

    Args:
        stages: The table, in order.
        settings: As loaded.
        store: Where runs and cache lie; held for the time of the run.
        source_hash: Names the input data; part of the key of each stage that reads no artifact.
        only: Run this stage alone, on the cached results of those before it; no run is made.
        start: Run this stage and all after it even if unchanged.
        dry_run: Say what would run and why; nothing is written.
        force: Run every chosen stage even if unchanged.
        on_event: Told what happens.
        package: Source code that counts.

    Raises:
        UsageError: `only` or `start` names no stage.
        NotFound: `only` needs a stage that has not run with these settings.
        StoreError: Another run holds the store, or the disk refuses.
    """
    _check(stages, [name for name in (only, start) if name])
    walk = _Walk(stages, settings, store, source_hash, package, on_event)
    if dry_run:
        return RunResult(walk.identity, None, None, False, walk.plan(only, start, force))
    with _terminable(), store.lock():
        if only:
            return RunResult(walk.identity, None, None, False, (walk.alone(only),))
        return walk.all(start, force)


def source_of(paths: Sequence[Path], facts: Mapping[str, Any] | None = None) -> str:
    """Return the SHA-256 that names input data: content and relative names of files, and facts such as a seed."""
    listed = [file_list(path) if path.is_dir() else {path.name: {"sha256": sha256(path)}} for path in paths]
    return _hash([sorted(map(_hash, listed)), dict(facts or {})])


def code_hashes(package: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of the code that results depend on: .py and .html, shells left out."""
    files = sorted(path for kind in ("*.py", "*.html") for path in package.rglob(kind))
    names = {path.relative_to(package): path for path in files}
    return {name.as_posix(): sha256(path) for name, path in names.items() if name.parts[0] not in SHELLS}


class _Walk:
    """One walk over the table: the parts that each key is made of, and what to do about them."""

    def __init__(
        self,
        stages: Sequence[Stage],
        settings: Settings,
        store: Store,
        source: str,
        package: Path,
        tell: Callable[[StageEvent], None],
    ) -> None:
        self.stages, self.settings, self.store, self.tell = stages, settings, store, tell
        self.code, self.versions, self.source = code_hashes(package), library_versions(), source
        self.schema = settings.schema.model_dump(mode="json")
        self.params = settings.params.model_dump(mode="json")
        self.identity = _hash([self.schema, self.params, self.code, self.versions, source])
        self.maker = {artifact: stage for stage in stages for artifact in stage.writes}
        self.parts: dict[str, Part] = {}
        self.keys: dict[str, str] = {}
        for stage in stages:
            self.parts[stage.name] = self._parts(stage)
            self.keys[stage.name] = _hash(self.parts[stage.name])

    def plan(self, only: str | None, start: str | None, force: bool) -> tuple[StageResult, ...]:
        """Tell what would be done."""
        results, begun = [], False
        if not only and (run := self._whole(start, force)):
            return self._kept(run)
        for stage in self.stages:
            begun = begun or stage.name == start
            if not only or stage.name == only:
                reason = self._reason(stage, force or begun or bool(only))
                self.tell(StageEvent(stage.name, "planned", reason or UNCHANGED))
                results.append(self._result(stage, skipped=not reason, reason=reason or UNCHANGED))
        return tuple(results)

    def alone(self, name: str) -> StageResult:
        """Run one stage on cached inputs."""
        stage = next(stage for stage in self.stages if stage.name == name)
        for artifact in stage.reads:
            before = self.maker[artifact]
            if self._reason(before, False):
                raise NotFound(
                    f"A result of {before.name} with these settings and data",
                    f"Run `python main.py {before.name}` first, or `python main.py` for everything.",
                )
        return self._execute(stage, self._reason(stage, False) or "asked for")

    def all(self, start: str | None, force: bool) -> RunResult:
        """Run what needs it, then link the results into a run; an unchanged run is handed back as it is."""
        began = self.store.now()
        if run := self._whole(start, force):
            return RunResult(self.identity, run, self.store.folder(run), False, self._kept(run))
        results, begun = [], False
        for stage in self.stages:
            begun = begun or stage.name == start
            reason = self._reason(stage, force or begun)
            results.append(self._execute(stage, reason) if reason else self._skip(stage))
        run = self._free()
        with self.store.create_run(run) as folder:
            for result in results:
                link_tree(result.folder, folder)
            self._describe(folder, run, results, began)
        return RunResult(self.identity, run, self.store.folder(run), True, tuple(results))

    def _parts(self, stage: Stage) -> Part:
        return {
            "stage": stage.name,
            "schema": _hash(self.schema),
            "params": {name: self.params[name] for name in ("seed", *stage.uses) if name != "schema"},
            "code": self.code,
            "libraries": self.versions,
            "input": {artifact: self.keys[self.maker[artifact].name] for artifact in stage.reads}
            or {"source": self.source},
        }

    def _place(self, stage: Stage) -> Path:
        return self.store.cache / stage.name / self.keys[stage.name]

    def _reason(self, stage: Stage, forced: bool) -> str:
        """Return why a stage must run; empty when its cached result can be used."""
        record = _record(self._place(stage))
        if record is None:
            return _changes(self._latest(stage), self.parts[stage.name])
        if forced:
            return "asked for"
        if record["read"] != self._read(stage):
            return "changed: an earlier stage gave another result"
        damage = difference(self._place(stage) / "files", record["files"])
        return f"its cached result is damaged: {damage}" if damage else ""

    def _read(self, stage: Stage) -> dict[str, str]:
        """Return artifact -> hash of the files of the stage that made it, as they are now."""
        makers = {artifact: _record(self._place(self.maker[artifact])) for artifact in stage.reads}
        return {artifact: _hash(record["files"]) for artifact, record in makers.items() if record is not None}

    def _latest(self, stage: Stage) -> Part | None:
        records = [record for folder in self._place(stage).parent.glob("[!.]*") if (record := _record(folder))]
        return max(records, key=lambda record: record["finished"])["parts"] if records else None

    def _skip(self, stage: Stage) -> StageResult:
        result = self._result(stage, skipped=True, reason=UNCHANGED)
        self.tell(StageEvent(stage.name, "skipped", UNCHANGED, summary=result.summary))
        return result

    def _execute(self, stage: Stage, reason: str) -> StageResult:
        self.tell(StageEvent(stage.name, "started", reason))
        place, inputs = self._place(stage), {}
        for artifact in stage.reads:
            inputs[artifact] = self._place(self.maker[artifact]) / "files" / artifact
        if place.exists():  # asked for again, or damaged; runs that link to its files keep them
            discard(place)
        with building(place, "stage") as temp:
            work = Work(temp / "files", self.settings, inputs, self._progress(stage.name), self.identity[:12])
            work.folder.mkdir()
            clock = time.perf_counter()
            _reset_peak()
            summary = stage.run(work)
            seconds = time.perf_counter() - clock
            _written(stage, work.folder)
            record = {
                "parts": self.parts[stage.name],
                "read": self._read(stage),
                "summary": _plain(summary),
                "seconds": round(seconds, 3),
                "peak_rss_mb": _peak_mb(),
                "finished": stamp(self.store.now()),
                "files": file_list(work.folder),
            }
            write_atomic(temp / "stage.json", json.dumps(record, indent=1, default=str).encode())
        self.tell(StageEvent(stage.name, "finished", reason, seconds=seconds, summary=record["summary"]))
        return self._result(stage, skipped=False, reason=reason)

    def _progress(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self.tell(StageEvent(name, "progress", done=done, total=total))

    def _result(self, stage: Stage, *, skipped: bool, reason: str) -> StageResult:
        record = _record(self._place(stage)) or {"seconds": 0.0, "peak_rss_mb": 0.0, "summary": {}}
        place = self._place(stage) / "files"
        return StageResult(stage.name, self.keys[stage.name], place, skipped, reason, *(record[name] for name in FACTS))

    def _kept(self, run: str) -> tuple[StageResult, ...]:
        """Return the stages of a run that is there already, from its manifest: the cache may be gone."""
        place, results = self.store.folder(run), []
        told = json.loads((place / "manifest.json").read_bytes())["stages"]
        for stage in self.stages:
            one = told[stage.name]
            self.tell(StageEvent(stage.name, "skipped", UNCHANGED, summary=one["summary"]))
            results.append(StageResult(stage.name, one["key"], place, True, UNCHANGED, *(one[name] for name in FACTS)))
        return tuple(results)

    def _whole(self, start: str | None, force: bool) -> str:
        """Return the run that is there already, whole, and not asked for again; else nothing."""
        run = self.identity[:12]
        there = not (start or force) and (self.store.runs_folder / run).is_dir()
        return run if there and not self.store.problem(run) else ""

    def _free(self) -> str:
        """Return the run's id, numbered when it is taken: a run that stands is never changed."""
        run, n = self.identity[:12], 2
        while (self.store.runs_folder / run).exists():
            run, n = f"{self.identity[:12]}-{n}", n + 1
        return run

    def _describe(self, folder: Path, run: str, results: Sequence[StageResult], began: dt.datetime) -> None:
        import yaml

        (folder / "schema.yaml").write_text(yaml.safe_dump(self.schema, sort_keys=False, allow_unicode=True))
        (folder / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))
        shown = {
            one.name: {name: getattr(one, name) for name in ("key", "skipped", "reason", *FACTS)} for one in results
        }
        manifest = {
            "run": run,
            "identity": {
                "sha256": self.identity,
                "schema": _hash(self.schema),
                "params": _hash(self.params),
                "code": _hash([self.code, self.versions]),
                "input": self.source,
            },
            "started": stamp(began),
            "finished": stamp(self.store.now()),
            "commit": commit_of(self.settings.root),
            "libraries": self.versions,
            "stages": shown,
            "files": file_list(folder),
        }
        write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1).encode())


def _check(stages: Sequence[Stage], named: Sequence[str]) -> None:
    """Find mistakes in the table (ValueError) and names that are not in it (UsageError)."""
    names, written = [stage.name for stage in stages], set[str]()
    for name in named:
        if name not in names:
            raise UsageError(f"There is no stage {name}. Known: {', '.join(names)}.")
    for stage in stages:
        if missing := set(stage.reads) - written:
            raise ValueError(f"stage {stage.name} reads {min(missing)}, which no earlier stage writes")
        if unknown := set(stage.uses) - set(Params.model_fields) - {"schema"}:
            raise ValueError(f"stage {stage.name} uses {min(unknown)}, which is no block of params.yaml")
        if twice := written & set(stage.writes):
            raise ValueError(f"stage {stage.name} writes {min(twice)}, as an earlier stage does")
        written |= set(stage.writes)
    if len(set(names)) < len(names):
        raise ValueError("two stages have the same name")


def _written(stage: Stage, folder: Path) -> None:
    if missing := [artifact for artifact in stage.writes if not (folder / artifact).exists()]:
        raise ValueError(f"stage {stage.name} did not write {missing[0]}")
    for name in file_list(folder):
        if not any(name == artifact or name.startswith(f"{artifact}/") for artifact in stage.writes):
            raise ValueError(f"stage {stage.name} wrote {name}, which it does not declare")


def _changes(before: Part | None, now: Part) -> str:
    """Return in words what differs between the parts of two keys."""
    if before is None:
        return "first time"
    told = [name for name in ("schema", "input") if before[name] != now[name]]
    told += [f"params ({names})" for names in [_keys_changed(before["params"], now["params"])] if names]
    told += [f"code ({names})" for names in [_names_changed(before["code"], now["code"])] if names]
    told += [f"libraries ({names})" for names in [_names_changed(before["libraries"], now["libraries"])] if names]
    return f"changed: {', '.join(told)}"


def _keys_changed(before: Part, now: Part) -> str:
    def flat(params: Part) -> Part:
        blocks = {name: value if isinstance(value, dict) else {"": value} for name, value in params.items()}
        return {f"{name}.{key}".rstrip("."): v for name, block in blocks.items() for key, v in block.items()}

    return _names_changed(flat(before), flat(now))


def _names_changed(before: Part, now: Part) -> str:
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _record(place: Path) -> Part | None:
    try:
        return json.loads((place / "stage.json").read_bytes())
    except (OSError, ValueError):
        return None


def _plain(value: Any) -> Any:
    """Return a summary as JSON holds it: numpy scalars as numbers, what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _reset_peak() -> None:
    """Forget the most memory used so far; only Linux can (proc_pid_clear_refs(5), value 5)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Return the most memory resident since the last reset, or in the process's life, in MB."""
    with contextlib.suppress(OSError):
        if match := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return round(int(match[1]) / 1024, 1)
    unit = 2**20 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that what is half-written is removed; exit status 143 as ever."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

"""`python main.py`: the stages, one run folder, the gates, production."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalwatch.commands.books import code_of, tell_books, tell_refused
from vitalwatch.commands.command_line import NAMES, nearest
from vitalwatch.commands.desk import Desk, Outcome, Told
from vitalwatch.commands.figures import (
    EVALUATION,
    REPORT,
    evaluation_of,
    failed_gates,
    headline,
    show_gates,
    show_summary,
)
from vitalwatch.commands.stages import stages
from vitalwatch.errors import DONE, StoreError, UsageError
from vitalwatch.pipeline import RunResult, StageEvent, run_pipeline, source_of
from vitalwatch.store import ANY, Store

if TYPE_CHECKING:
    from vitalwatch.tracking import Tracker

FILES = ("readings.parquet", "events.parquet", "splits.json")  # the same in two runs: judged on the same people


def run(given: Namespace, desk: Desk) -> Outcome:
    """Run the stages that need it; promote the run if every gate passed.

    Raises:
        UsageError: A stage or format that does not exist.
        SourceError: A source cannot be read.
    """
    _check(given)
    desk.settings  # noqa: B018 - a mistake in settings is told before a long look at the sources
    sources = sources_of(given, desk)
    facts = {"format": given.format, "columns": desk.settings.config.columns} if sources else {"source": "synthetic"}
    champion = _champion(desk)
    tracking = _Tracking(desk, wanted=not given.dry_run and not given.only)
    with desk.screen.progress() as move:
        result = run_pipeline(
            stages(sources, given.format, desk.now_ms()),
            desk.settings,
            desk.store,
            source_hash=source_of(sources, facts),
            only=given.only,
            start=given.start,
            dry_run=given.dry_run,
            on_event=lambda event: _tell(event, desk, move, tracking),
        )
    if result.run is None or result.folder is None:
        return Outcome(_ingested(result), _data(result))
    return _settled(result, result.run, result.folder, champion, tracking, given, desk)


def sources_of(given: Namespace, desk: Desk) -> list[Path]:
    """Return the sources as paths, after a first look at each; raises SourceError or UsageError."""
    if not given.source and not given.format:
        return []
    from vitalwatch import readers

    if given.format and given.format not in readers.FORMATS:
        known = ", ".join(readers.FORMATS)
        raise UsageError(
            f"There is no format {given.format}.{nearest(given.format, list(readers.FORMATS))} Known: {known}."
        )
    if not given.source:
        raise UsageError("--format says how to read a --source, and none is named.")
    paths = [Path(source) for source in given.source]
    for path in paths:
        readers.resolve(path, format=given.format, columns=desk.settings.config.columns)
    return paths


def _check(given: Namespace) -> None:
    if given.only and given.start:
        raise UsageError("--only and --from exclude each other: one stage, or all from one on.")
    for name in (given.only, given.start):
        if name and name not in NAMES:
            raise UsageError(f"There is no stage {name}.{nearest(name, NAMES)} Stages: {', '.join(NAMES)}.")


def _champion(desk: Desk) -> str | None:
    """Return the run in production; a damaged pointer does not keep a new run from being made."""
    store = desk.store
    try:
        return store.production()
    except StoreError as error:
        desk.screen.warn(f"Warning: {error}")
        return ANY


class _Tracking:
    """MLflow's child, started with the first stage that runs, so that it opens its store beside the training."""

    def __init__(self, desk: Desk, *, wanted: bool) -> None:
        self._desk, self._wanted = desk, wanted
        self.tracker: Tracker | None = None

    def start(self) -> Tracker | None:
        if self._wanted and self.tracker is None:
            from vitalwatch.tracking import Tracker, store_uri

            self.tracker = Tracker(store_uri(self._desk.settings.config.tracking, self._desk.root))
        return self.tracker

    def close(self) -> list[str]:
        """Wait for MLflow and return its warnings; the run is settled by now, so that Ctrl-C only ends the wait."""
        if self.tracker is None:
            return []
        try:
            warnings = self.tracker.close()
        except KeyboardInterrupt:
            warnings = ["MLflow: not waited for"]
        for warning in warnings:
            self._desk.screen.warn(f"Warning: {warning}")
        return warnings


def _tell(event: StageEvent, desk: Desk, move: Told, tracking: _Tracking) -> None:
    name = event.stage.ljust(max(map(len, NAMES)))
    if event.kind == "started":
        tracking.start()
        move(event.stage, 0, 0)
    elif event.kind == "progress":
        move(event.stage, event.done, event.total)
    elif event.kind == "finished":
        move(event.stage, 1, 1)
        desk.screen.say(f"{name}  {event.seconds:7.1f} s  {event.reason}")
    else:
        desk.screen.say(f"{name}  {event.kind.rjust(9)}  {event.reason}")


def _settled(
    result: RunResult, run: str, folder: Path, champion: str | None, tracking: _Tracking, given: Namespace, desk: Desk
) -> Outcome:
    evaluation = evaluation_of(folder)
    gates = [*evaluation["gates"], *_against(desk.store, champion, run, evaluation, desk)]
    failed = failed_gates(gates)
    if result.new:
        _log(tracking, run, folder, evaluation, desk)
    promoted, sentence = _promote(result, run, champion, gates, given.no_promote, tracking, desk)
    ingest = json.loads((folder / "ingest.json").read_bytes())
    _summary(result, folder, evaluation, gates, ingest, sentence, desk)
    warnings = tracking.close()
    data = {
        **_data(result),
        "promoted": promoted,
        "production": desk.store.production(),
        "verdict": sentence,
        "report": str(folder / REPORT),
        "evaluation": str(folder / EVALUATION),
        "figures": headline(evaluation),
        "gates": gates,
        "passed": not failed,
        "refused": ingest["rejected"],
        "emptied": ingest["emptied"],
        "labels": ingest["labels"],
        "notes": ingest["notes"],
        "warnings": warnings,
    }
    return Outcome(code_of(ingest), data)


def _against(
    store: Store, champion: str | None, run: str, evaluation: Mapping[str, Any], desk: Desk
) -> Sequence[Mapping[str, Any]]:
    """Return the gate against the model in production, where both were judged on the same people."""
    named, compared = "event_f1_below_champion", "_below_champion"
    if champion in (None, ANY, run) or any(gate["name"].endswith(compared) for gate in evaluation["gates"]):
        return []
    from vitalwatch.stages.evaluate import gate, gates_of

    theirs = store.folder(str(champion))
    if any(store.seal(run, name) != store.seal(theirs.name, name) for name in FILES):
        limit = desk.settings.params.gates.max_worse_than_champion
        return [gate(named, None, limit, None, f"production ({champion}) was judged on other data")]
    found = gates_of(evaluation, desk.settings.params.gates, evaluation_of(theirs))
    return [one for one in found if one["name"].endswith(compared)]


def _log(tracking: _Tracking, run: str, folder: Path, evaluation: Mapping[str, Any], desk: Desk) -> None:
    tracker = tracking.start()
    if tracker is None:
        return
    flat = {
        f"{block}.{name}" if name else block: value
        for block, values in desk.settings.params.model_dump(mode="json").items()
        for name, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
    artifacts = [folder / "models", folder / REPORT, folder / EVALUATION]
    tracker.log_run(run, flat, headline(evaluation), artifacts, {"passed": str(evaluation["passed"])})


def _promote(
    result: RunResult,
    run: str,
    champion: str | None,
    gates: Sequence[Mapping[str, Any]],
    kept: bool,
    tracking: _Tracking,
    desk: Desk,
) -> tuple[bool, str]:
    """Return whether the run is in production now because of this call, and a sentence."""
    store, failed = desk.store, failed_gates(gates)
    unjudged = [gate["name"] for gate in gates if gate["passed"] is None]
    passed = f"Every gate that could be judged passed (not {', '.join(unjudged)})" if unjudged else "Every gate passed"
    unchanged = "production is unchanged" + (
        f" (run {champion})" if champion not in (None, ANY) else " (there is none)"
    )
    if champion == run:
        return False, f"Run {run} is in production already."
    if failed:
        why = f"gates failed: {', '.join(failed)}"
        if result.new and not kept:
            store.refuse(run, why)
        return False, f"Not promoted, {unchanged}; {why}. `python main.py promote {run}` puts it there all the same."
    if kept:
        return False, f"{passed}. Not promoted as asked, {unchanged}; `python main.py promote {run}` does it."
    store.promote(run, passed.lower(), champion=champion)
    if tracker := tracking.start():
        tracker.set_champion(run)
    return True, f"{passed}: run {run} is in production now."


def _summary(
    result: RunResult,
    folder: Path,
    evaluation: Mapping[str, Any],
    gates: Sequence[Mapping[str, Any]],
    ingest: Mapping[str, Any],
    sentence: str,
    desk: Desk,
) -> None:
    say = desk.screen.say
    say()
    say(f"Run {result.run} {'is complete' if result.new else 'was there already: nothing changed'}.")
    say(f"  report   {desk.shown(folder / REPORT)}")
    say(f"  figures  {desk.shown(folder / EVALUATION)}")
    say()
    for note in (*ingest["notes"], *json.loads((folder / "models" / "card.json").read_bytes())["notes"]):
        say(f"Note: {note}")
    tell_books(ingest, desk)
    tell_refused(ingest, desk, desk.shown(folder / "quarantine"))
    show_summary(desk.screen, evaluation)
    say()
    show_gates(desk.screen, gates)
    say()
    say(sentence)


def _ingested(result: RunResult) -> int:
    """Return the exit code of what a lone ingest found."""
    return max(
        (code_of(one.summary) for one in result.stages if one.name == "ingest" and not one.skipped), default=DONE
    )


def _data(result: RunResult) -> dict[str, Any]:
    return {
        "run": result.run,
        "identity": result.identity,
        "folder": None if result.folder is None else str(result.folder),
        "new": result.new,
        "stages": [
            {
                "name": stage.name,
                "key": stage.key,
                "skipped": stage.skipped,
                "reason": stage.reason,
                "seconds": stage.seconds,
                "peak_rss_mb": stage.peak_rss_mb,
                "summary": stage.summary,
            }
            for stage in result.stages
        ],
    }

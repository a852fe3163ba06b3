"""`runs`, `show`, `promote`, `rollback` and `report`: what is there, and what is live."""

from __future__ import annotations

import contextlib
import json
import textwrap
import webbrowser
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.figures import EVALUATION, REPORT, evaluation_of, headline, show_gates, show_summary
from vitalwatch.commands.models import place_of
from vitalwatch.commands.realism import realism
from vitalwatch.errors import NotFound, StoreError
from vitalwatch.history import Change
from vitalwatch.store import Run


def runs(given: Namespace, desk: Desk) -> Outcome:
    """List the complete runs, newest first."""
    found = [_line(run) for run in desk.store.runs()]
    if not found:
        desk.screen.say("There is no run yet. `python main.py` makes one.")
    else:
        head = ("run", "finished", "live", "gates", "people", "data")
        rows = [
            (one["run"], one["finished"], "*" if one["live"] else "", one["gates"], one["people"], one["data"])
            for one in found
        ]
        desk.screen.table(rows, head)
    return Outcome(data={"runs": found})


def show(given: Namespace, desk: Desk) -> Outcome:
    """Print a run's figures, gates, settings and history; with --card a card a model, with --schema what settings hold.

    Raises:
        NotFound: No such run.
    """
    if given.schema:
        from vitalwatch.settings import json_schema

        schema = json_schema()
        desk.screen.say(json.dumps(schema, indent=1))
        return Outcome(data=schema)
    run = _named(given.id, desk)
    folder, manifest = desk.store.folder(run.id), run.manifest
    evaluation = evaluation_of(folder)
    card = _json(folder / "models" / "card.json")
    if given.card:
        return _cards(run, card, evaluation, desk)
    say = desk.screen.say
    say(f"Run {run.id}{', in production' if run.live else ''}, finished {run.finished}")
    say(f"  {desk.shown(folder)}")
    say()
    told = {
        name: card[name] for name in ("purpose", "step_minutes", "people", "kinds", "horizons_minutes") if name in card
    }
    desk.screen.table([(name, _words(value)) for name, value in told.items()])
    say()
    show_summary(desk.screen, evaluation)
    say()
    show_gates(desk.screen, evaluation["gates"])
    say()
    desk.screen.table([(name, f"{one['seconds']:.1f} s", f"{one['peak_rss_mb']:.0f} MB") for name, one in
                       manifest["stages"].items()], ("stage", "time", "memory"))  # fmt: skip
    say()
    say("Settings:")
    say((folder / "params.yaml").read_text(encoding="utf-8").rstrip())
    changes = [change for change in desk.store.history() if run.id in (change.run, change.previous)]
    if changes:
        say()
        desk.screen.table([(c.at, c.what, c.run, c.who, c.why) for c in changes], ("at", "what", "run", "who", "why"))
    data = {
        **_line(run),
        "folder": str(folder),
        "card": card,
        "figures": headline(evaluation),
        "gates": evaluation["gates"],
        "manifest": {name: value for name, value in manifest.items() if name != "files"},
        "params": _yaml(folder / "params.yaml"),
        "history": [vars(change) for change in changes],
    }
    return Outcome(data=data)


def _cards(run: Run, card: Mapping[str, Any], evaluation: Mapping[str, Any], desk: Desk) -> Outcome:
    """Print a card for each model of a run."""
    from vitalwatch.cards import cards

    found = cards(card, evaluation)
    desk.screen.say(f"Run {run.id}: {card.get('purpose', '')}".rstrip(": "))
    if not found:
        desk.screen.say("Its bundle is older than model cards: retrain to have them.")
    for one in found:
        desk.screen.say()
        desk.screen.say(one.title)
        for what, text in one.rows:
            for line in textwrap.wrap(f"{what}: {text}", 100, initial_indent="  ", subsequent_indent="    "):
                desk.screen.say(line)
    told = [{"title": one.title, "rows": [{"what": what, "text": text} for what, text in one.rows]} for one in found]
    return Outcome(data={"run": run.id, "cards": told})


def promote(given: Namespace, desk: Desk) -> Outcome:
    """Put a run into production after its models have passed every check of loading.

    Raises:
        NotFound: No such run.
        BundleRefused: Its models are damaged, unsigned, of another format, or answer otherwise than in training.
        StoreError: The run is damaged, or the folder cannot be written.
    """
    run = desk.store.folder(given.id).name
    place_of(desk, run).open()
    failed = [gate["name"] for gate in evaluation_of(desk.store.folder(run))["gates"] if gate["passed"] is False]
    if failed:
        desk.screen.warn(f"Warning: this run failed {', '.join(failed)}; it is promoted because you say so.")
    change = desk.store.promote(run, given.why or "asked for on the command line")
    return _moved(change, run, desk)


def rollback(given: Namespace, desk: Desk) -> Outcome:
    """Put the newest run back that was live before and opens; raises NoEarlierRun, with production unmoved."""
    from vitalwatch.production import refusal

    trusted = [desk.settings.path(path) for path in desk.settings.config.signing.trusted]
    why = given.why or "asked for on the command line"
    change = desk.store.rollback(why, lambda run: refusal(desk.store, run, trusted))
    return _moved(change, change.run, desk)


def report(given: Namespace, desk: Desk) -> Outcome:
    """Print where a run's report lies, or with --realism how like life the simulation is; raises NotFound."""
    if given.realism:
        return realism(given, desk)
    run = _named(given.id, desk)
    path = run.folder / REPORT
    if not path.is_file():
        raise NotFound(f"The report of run {run.id}", "Run `python main.py` again to rebuild it.")
    desk.screen.say(str(path))
    if given.open:
        webbrowser.open(path.resolve().as_uri())
    return Outcome(data={"run": run.id, "report": str(path), "evaluation": str(run.folder / EVALUATION)})


def _named(name: str | None, desk: Desk) -> Run:
    """Return the run named, else the one in production, else the newest."""
    found = desk.store.runs()
    if name is not None:
        desk.store.folder(name)
        found = [run for run in found if run.id == name]
        if not found:
            raise NotFound(f"The manifest of run {name}", "Run `python main.py` again to rebuild it.")
    if not found:
        raise NotFound("A run", "`python main.py` makes one.")
    return next((run for run in found if run.live), found[0])


def _line(run: Run) -> dict[str, Any]:
    passed: Any = None
    with contextlib.suppress(NotFound):
        passed = evaluation_of(run.folder).get("passed")
    ingest = run.manifest.get("stages", {}).get("ingest", {}).get("summary", {})
    return {
        "run": run.id,
        "finished": run.finished,
        "live": run.live,
        "gates": {True: "passed", False: "failed", None: "unknown"}[passed],
        "people": ingest.get("people"),
        "data": ", ".join(source["source"] for source in ingest.get("sources", ())),
    }


def _moved(change: Change | None, run: str, desk: Desk) -> Outcome:
    from vitalwatch.tracking import set_champion, store_uri

    if change is None:
        desk.screen.say(f"Run {run} is in production already.")
        return Outcome(data={"production": run, "changed": False, "warnings": []})
    before = f" (before: {change.previous})" if change.previous else ""
    desk.screen.say(f"Run {run} is in production now{before}.")
    warnings = set_champion(store_uri(desk.settings.config.tracking, desk.root), run)
    for warning in warnings:
        desk.screen.warn(f"Warning: {warning}")
    return Outcome(data={"production": run, "changed": True, "change": vars(change), "warnings": warnings})


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _json(path: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(path, "cannot be read", "Run `python main.py` again to rebuild it") from error
    return found


def _yaml(path: Any) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))

"""`evaluate --source`: a run judged on data that it was not made from."""

from __future__ import annotations

from argparse import Namespace

from vitalwatch.commands.books import code_of, tell_books, tell_refused
from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.figures import headline, show_gates, show_summary
from vitalwatch.commands.models import ingested, place_of, scratch, served_settings, told
from vitalwatch.commands.run import sources_of


def evaluate(given: Namespace, desk: Desk) -> Outcome:
    """Print the evaluation tables of a run on other recordings, beside trivial lines.

    Raises:
        NotFound: No such run, or nothing is in production.
        BundleRefused: The models are damaged, unsigned, or answer otherwise than in training.
        SourceError: A source cannot be read.
        NotEnoughData: Nobody has a reading to test on.
    """
    sources, place = sources_of(given, desk), place_of(desk, given.run)
    monitor = place.open()
    settings = served_settings(monitor, desk)
    from vitalwatch.stages.assess import evaluate_on

    with scratch(desk) as folder, desk.screen.progress() as move:
        report = ingested(sources, folder, settings, given.format, desk.now_ms(), move)
        tables = evaluate_on(folder, monitor, settings, lambda done, total: move("evaluate", done, report["people"]))
    desk.screen.say(f"Run {place.run} on {report['people']} people, {report['person_days']} days:")
    for note in report["notes"]:
        desk.screen.say(f"Note: {note}")
    show_summary(desk.screen, tables)
    desk.screen.say()
    show_gates(desk.screen, tables["gates"])
    tell_books(report, desk)
    tell_refused(report, desk, "the sources; `score` keeps them")
    data = {"run": place.run, "ingest": told(report), "figures": headline(tables), **tables}
    return Outcome(code_of(report), data)

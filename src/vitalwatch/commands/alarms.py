"""`alarms replay`: rules on history before they go live: what they would cost and find, beside those in force."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitalwatch.alerting.alerts import PHYSIOLOGICAL, TECHNICAL
from vitalwatch.alerting.judging import NOBODY, Judge
from vitalwatch.alerting.reliving import Lived, relive
from vitalwatch.alerting.rules import Rules, read_rules
from vitalwatch.commands.books import code_of, tell_books, tell_refused
from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.commands.models import Place, ingested, place_of, scratch, served_settings, told
from vitalwatch.commands.run import sources_of
from vitalwatch.errors import FAILED, UsageError
from vitalwatch.metrics.bootstrap import Estimate, estimate, ratio, weights
from vitalwatch.recordings import iter_people, people, read_events, read_profiles
from vitalwatch.tables import Event, Profile, Readings

if TYPE_CHECKING:
    from vitalwatch.metrics.budget import Cohort, Track
    from vitalwatch.monitor import Monitor
    from vitalwatch.settings import Settings

NEW, OLD = "new", "in force"
LIMITS = "limits of schema.yaml and NEWS2 of 5"  # the monitor's own rule channel: the trivial line


@dataclass(frozen=True)
class History:
    """One person's past: what rules would have raised, and what there was to find.

    Attributes:
        lived: Alerts after enrolment, by rules file.
        line: Alarms of the monitor's own limits after enrolment, (k, 2).
        track: Judged rows, episodes, person-days.
    """

    lived: Mapping[str, list[Lived]]
    line: np.ndarray
    track: Track


def alarms(given: Namespace, desk: Desk) -> Outcome:
    """Replay rules on history, or tell what alarms cost while serving (see `burden`)."""
    if given.action == "burden":
        from vitalwatch.commands.burden import burden

        return burden(given, desk)
    if not given.source:
        raise UsageError("`alarms replay` needs --source PATH, a recording to try the rules on.")
    return _replay(given, desk)


def _replay(given: Namespace, desk: Desk) -> Outcome:
    """Print alarms per person-day, recall where labels exist, and what differs from the rules in force.

    Raises:
        SettingsError: A rules file is wrong.
        NotFound: No such run, or nothing is in production.
        BundleRefused: The models are damaged, unsigned, or answer otherwise than in training.
        SourceError: A source cannot be read.
    """
    place = place_of(desk, given.run)
    monitor = place.open()
    settings = served_settings(monitor, desk)
    in_force = settings.path(settings.config.alarms.rules)
    rules = {NEW: read_rules(given.rules or in_force, settings.schema), OLD: read_rules(in_force, settings.schema)}
    sources = sources_of(given, desk)
    with scratch(desk) as folder, desk.screen.progress() as move:
        report = ingested(sources, folder, settings, given.format, desk.now_ms(), move)
        histories = []
        for one in _lives(folder, place, rules, settings):
            histories.append(one)
            move("replay", len(histories), report["people"])
    figures = figures_of(histories, rules, settings, given.budget)
    data = {"run": place.run, "rules": str(given.rules or in_force), "ingest": told(report), **figures}
    _tell(figures, report, desk)
    tell_books(report, desk)
    tell_refused(report, desk, "the sources; `score` keeps them")
    if figures["within_budget"] is False:
        return Outcome(FAILED, data)
    return Outcome(code_of(report), data)


def figures_of(
    histories: Sequence[History], rules: Mapping[str, Rules], settings: Settings, budget: float | None
) -> dict[str, Any]:
    """Return all figures as plain values, with intervals over people."""
    from vitalwatch.metrics.budget import Cohort
    from vitalwatch.metrics.events import Rule

    cohort = Cohort([one.track for one in histories], Rule.of_params(settings.params.alarms, settings.schema.step_ms))
    chosen = settings.params.evaluation
    draws = weights(len(histories), chosen.draws, np.random.default_rng(settings.params.seed))
    judged = _Judged(histories, cohort, draws, chosen.confidence)
    of = {name: judged.of_rules(name) for name in rules}
    rate = of[NEW]["alarms_per_person_day"]["value"]
    return {
        "people": len(histories),
        "person_days": round(float(cohort.person_days.sum()), 1),
        "episodes": len(cohort.episodes),
        "budget": budget,
        "within_budget": None if budget is None or rate is None else rate <= budget,
        **{name.replace(" ", "_"): figures for name, figures in of.items()},
        "line": judged.of_spans([one.line for one in histories], [len(one.line) for one in histories]),
        "changes": _changes(histories, rules),
    }


class _Judged:
    """Figures of any alarms of the same people."""

    def __init__(self, histories: Sequence[History], cohort: Cohort, draws: np.ndarray, confidence: float) -> None:
        self.histories, self.cohort, self.draws, self.confidence = histories, cohort, draws, confidence

    def of_rules(self, name: str) -> dict[str, Any]:
        """Return the figures of a rules file: of all physiological alarms, of technical ones, of each rule."""
        lived = [one.lived[name] for one in self.histories]
        body = [[one for one in mine if one.alert.category == PHYSIOLOGICAL] for mine in lived]
        device = [[one for one in mine if one.alert.category == TECHNICAL] for mine in lived]
        asked = sorted({one.alert.rule for mine in lived for one in mine})
        by_rule = {rule: [[one for one in mine if one.alert.rule == rule] for mine in lived] for rule in asked}
        repeats = [sum(one.alert.repeats for one in mine) for mine in body]
        return self._of(body) | {
            "repeats_per_person_day": self._rate(repeats).table(),
            "technical_per_person_day": self._rate([len(mine) for mine in device]).table(),
            "rules": {rule: self._of(mine) for rule, mine in by_rule.items()},
        }

    def of_spans(self, spans: Sequence[np.ndarray], counts: Sequence[int]) -> dict[str, Any]:
        """Return how many alarms, how many of them false, and which share of the episodes they meet."""
        score = self.cohort.score_intervals([one.reshape(-1, 2) for one in spans])
        figures = score.estimates(self.draws, self.confidence)
        return {
            "alarms_per_person_day": self._rate(counts).table(),
            "recall": figures["recall"].table(),
            "false_alarms_per_person_day": figures["false_alarms_per_day"].table(),
        }

    def _of(self, lived: Sequence[Sequence[Lived]]) -> dict[str, Any]:
        spans = [np.asarray([(one.start, one.end) for one in mine], np.int64) for mine in lived]
        return self.of_spans(spans, [len(mine) for mine in lived])

    def _rate(self, counts: Sequence[int]) -> Estimate:
        sums = np.stack([np.asarray(counts, np.float64), self.cohort.person_days], axis=1)
        return estimate(lambda total: ratio(total[..., 0], total[..., 1]), sums, self.draws, self.confidence)


def _changes(histories: Sequence[History], rules: Mapping[str, Rules]) -> list[dict[str, Any]]:
    """Return every rule that is written otherwise or raises another number of alarms."""
    found = []
    names = [*rules[NEW].rules, *(name for name in rules[OLD].rules if name not in rules[NEW].rules)]
    for name in names:
        mine = {file: [{one.alert.id for one in h.lived[file] if one.alert.rule == name} for h in histories]
                for file in (NEW, OLD)}  # fmt: skip
        pairs = list(zip(mine[NEW], mine[OLD], strict=True))
        more, fewer = sum(len(a - b) for a, b in pairs), sum(len(b - a) for a, b in pairs)
        written = rules[NEW].rules.get(name) != rules[OLD].rules.get(name)
        if written or more or fewer:
            before, now = (sum(map(len, mine[file])) for file in (OLD, NEW))
            found.append({"rule": name, "before": before, "now": now, "new": more, "gone": fewer, "written": written})
    return found


def _lives(folder: Path, place: Place, rules: Mapping[str, Rules], settings: Settings) -> Iterable[History]:
    """Yield everybody's history in order, by several processes where there are many."""
    profiles, events = read_profiles(folder / "profiles.parquet"), read_events(folder / "events.parquet")
    everybody = iter_people(folder / "readings.parquet", settings.schema)
    asked = (
        (place, settings, rules, one, profiles.get(one.person, Profile(one.person)), events.get(one.person, []))
        for one in everybody
    )
    jobs = settings.config.jobs if len(people(folder / "readings.parquet")) >= 4 else 1
    if jobs == 1:
        yield from (_life(*question) for question in asked)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="2*n_jobs")
    yield from parallel(delayed(_life)(*question) for question in asked)


@functools.lru_cache(maxsize=1)
def _monitor(place: Place) -> Monitor:
    return place.open()  # once a process


def _life(
    place: Place,
    settings: Settings,
    rules: Mapping[str, Rules],
    readings: Readings,
    profile: Profile,
    events: Sequence[Event],
) -> History:
    from vitalwatch.stages.judging import PersonResult, case_of
    from vitalwatch.stages.people import enrolled_until

    monitor = _monitor(place)
    state, answers = monitor.advance(monitor.begin(readings.person, profile), readings, forecast=False)
    since = enrolled_until(answers.grid, settings.params.baseline.enrolment_days)
    result = PersonResult(
        person=readings.person, profile=profile, events=tuple(events), bookkeeping=None, split="test",
        answers=answers, enrolled_until=since,
    )  # fmt: skip
    lived = {}
    for name, one in rules.items():
        judge = Judge(one, settings.schema, one.people.get(readings.person, NOBODY))
        lived[name] = [alert for alert in relive(judge, state, answers) if alert.start >= since]
    line = [(one.start, one.end) for one in answers.alarms if one.channel == "rule" and one.start >= since]
    return History(lived, np.asarray(line, np.int64).reshape(-1, 2), case_of(result, settings.schema.step_ms).track)


def _tell(figures: Mapping[str, Any], report: Mapping[str, Any], desk: Desk) -> None:
    say, new, old = desk.screen.say, figures["new"], figures["in_force"]
    who = f"{figures['people']} people, {figures['person_days']} worn days after enrolment"
    say(f"{who}, {figures['episodes']} labelled episodes. Everything acknowledged at once:")
    for note in report["notes"]:
        say(f"Note: {note}")
    rows = [("these rules", *_cells(new)), ("rules in force", *_cells(old)), (LIMITS, *_cells(figures["line"]))]
    rows += [(f"  {name}", *_cells(one)) for name, one in new["rules"].items()]
    desk.screen.table(rows, ("alarms", "per person-day", "recall", "false per person-day"))
    say(f"They come back by themselves {_shown(new['repeats_per_person_day'])} times a person-day; "
        f"technical alarms: {_shown(new['technical_per_person_day'])}.")  # fmt: skip
    if figures["changes"]:
        say("Changed against the rules in force:")
        head = ("rule", "alarms before", "now", "only now", "only before")
        desk.screen.table([(c["rule"], c["before"], c["now"], c["new"], c["gone"]) for c in figures["changes"]], head)
    else:
        say("Nothing differs from the rules in force.")
    if figures["within_budget"] is not None:
        verdict = "within" if figures["within_budget"] else "OVER"
        say(f"{verdict} the budget of {figures['budget']:g} alarms a person-day.")


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return _shown(one["alarms_per_person_day"]), _shown(one["recall"]), _shown(one["false_alarms_per_person_day"])


def _shown(told: Mapping[str, float | None]) -> str:
    if told["value"] is None:
        return "-"
    low, high = told["low"], told["high"]
    between = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
    return f"{told['value']:.2f}{between}"

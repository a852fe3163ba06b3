"""`tune` and `compare`: studies on people of their own. An interrupted one goes on where it was."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vitalwatch.commands.desk import Desk, Outcome, Screen
from vitalwatch.errors import UsageError
from vitalwatch.schema import minutes

if TYPE_CHECKING:
    from vitalwatch.metrics.bootstrap import Estimate
    from vitalwatch.studies.people import Size
    from vitalwatch.studies.table import Shown
    from vitalwatch.studies.tune import Tuned

STUDIES = "studies"  # below the artifacts folder
MARKDOWN, SHARES = "comparison.md", "shares.svg"


def tune(given: Namespace, desk: Desk) -> Outcome:
    """Look for better settings of one model; prints and keeps the best, and what they gain on people held out.

    Raises:
        UsageError: A wrong model, number or time.
        StoreError: The study's file is damaged or cannot be written.
    """
    from vitalwatch.studies import tune as studies

    settings = desk.settings
    size = _size(given, studies.DEFAULT)
    request = studies.asked(given.model, given.trials, _seconds(given.time), size, given.seed, settings)
    study = studies.Tuning(request, settings, settings.artifacts / STUDIES)
    with desk.screen.progress() as move:
        found = study.run(move)
    _show_tuned(desk.screen, found, desk.shown(study.folder))
    return Outcome(data=_tuned(found) | {"folder": str(study.folder), "seed": request.seed})


def compare(given: Namespace, desk: Desk) -> Outcome:
    """Judge alternatives beside what params.yaml has; prints and writes one table a question.

    Raises:
        UsageError: A wrong part or number.
        StoreError: A result cannot be kept.
    """
    from vitalwatch.drawing import as_file
    from vitalwatch.store import write_atomic
    from vitalwatch.studies import compare as studies
    from vitalwatch.studies.ledger import Ledger
    from vitalwatch.studies.shares import picture
    from vitalwatch.studies.table import HEAD, cells, markdown, shown, verdict

    settings = desk.settings
    request = studies.asked(given.only, _size(given, studies.DEFAULT), given.seed, settings, given.like)
    study, evaluation = studies.study(request, settings), settings.params.evaluation
    ledger = Ledger(settings.artifacts / STUDIES, study)
    with desk.screen.progress() as move:
        lines = studies.compare(request, settings, ledger, move)
    groups = shown(lines, evaluation.draws, evaluation.confidence, request.seed)
    for group, found in groups.items():
        desk.screen.say(f"{group}: {verdict(found)}")
        desk.screen.table([cells(one) for one in found], HEAD)
        desk.screen.say()
    folder = settings.artifacts / STUDIES / study[:12]
    write_atomic(folder / MARKDOWN, markdown(groups, studies.ABOUT).encode())
    desk.screen.say(f"The tables are in {desk.shown(folder / MARKDOWN)}.")
    if drawn := picture(groups):
        write_atomic(folder / SHARES, as_file(drawn).encode())
        desk.screen.say(
            f"What channel A's share of the budget costs and finds is drawn in {desk.shown(folder / SHARES)}."
        )
    people = asdict(request.size) | {"streaming": list(request.streaming)}
    data = {
        "study": study[:12],
        "seed": request.seed,
        "people": people,
        "tables": _tables(groups),
        "folder": str(folder),
    }
    return Outcome(data=data)


def _size(given: Namespace, usual: Size) -> Size:
    """Return how many people have which role: as asked, or all scaled to --people who are learnt from."""
    from vitalwatch.studies.people import Size

    learn = usual.learn if given.people is None else given.people
    scale = learn / usual.learn
    told = {
        "calibrate": max(round(usual.calibrate * scale), 2) if given.calibration is None else given.calibration,
        "judge": max(round(usual.judge * scale), 2) if given.judged is None else given.judged,
    }
    for option, count in (("people", learn), ("calibration", told["calibrate"]), ("judged", told["judge"])):
        if count < 1:
            raise UsageError(f"--{option} must be at least 1, not {count}.")
    if given.seed is not None and given.seed < 0:
        raise UsageError(f"--seed must be at least 0, not {given.seed}.")
    return Size(learn, **told)


def _seconds(told: str | None) -> float | None:
    if told is None:
        return None
    try:
        return 60.0 * minutes(told)
    except ValueError:
        raise UsageError(f"--time {told} is no time. Write it like 30min or 2h.") from None


def _show_tuned(screen: Screen, found: Tuned, folder: str) -> None:
    screen.say(
        f"{found.trials} trials of {found.model}, {found.pruned} of them ended early; they are kept in {folder}."
    )
    rows = [
        ("today", f"{found.folds[0]:.4f}", _interval(found.held[0])),
        ("best", f"{found.folds[1]:.4f}", _interval(found.held[1])),
        ("gain", f"{found.folds[1] - found.folds[0]:+.4f}", _interval(found.gain, "+")),
    ]
    screen.table(rows, (found.figure, "mean of folds", "people held out of tuning (interval)"))
    verdict = "are better beyond chance" if found.better else "are not better beyond chance: keep today's"
    screen.say(f"On people held out of tuning the best settings {verdict}.")
    screen.say()
    screen.say(found.yaml())
    screen.say("python main.py " + " ".join(found.sets()))


def _tuned(found: Tuned) -> dict[str, Any]:
    return {
        "model": found.model,
        "figure": found.figure,
        "trials": found.trials,
        "pruned": found.pruned,
        "today": dict(found.today),
        "best": dict(found.best),
        "folds": {"today": found.folds[0], "best": found.folds[1]},
        "held_out": {"today": found.held[0].table(), "best": found.held[1].table(), "gain": found.gain.table()},
        "better_beyond_chance": found.better,
        "sets": found.sets(),
    }


def _tables(groups: Mapping[str, Sequence[Shown]]) -> dict[str, Any]:
    return {group: [one.table() for one in lines] for group, lines in groups.items()}


def _interval(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.4f} ({estimate.low:{sign}.4f} to {estimate.high:{sign}.4f})"

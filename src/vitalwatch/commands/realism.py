"""`report --realism`: how far the simulated people move like real ones."""

from __future__ import annotations

import os
import sys
import webbrowser
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitalwatch.commands.desk import Desk, Outcome, Screen
from vitalwatch.errors import StoreError, UsageError

HEAD = ("statistic", "unit", "synthetic", "real wearers", "measured here", "published", "wanted", "range", "verdict")
VERDICTS = {True: "within", False: "OUTSIDE", None: "not judged"}
RED, PLAIN = "\x1b[31m", "\x1b[0m"
DATA, SET = "VITALWATCH_REAL_DATA", "fitabase"


def realism(given: Namespace, desk: Desk) -> Outcome:
    """Print each statistic of synthetic people beside real wearers', and write it as a page.

    Raises:
        UsageError: Too few people.
        StoreError: The page cannot be written.
    """
    from vitalwatch.report import realism_page
    from vitalwatch.stages.realism import compared

    if given.people < 1:
        raise UsageError("--people must be at least 1.")
    told = compared(desk.settings, given.people, real_wearers(desk.root), desk.now_ms())
    path = desk.settings.artifacts / "realism.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(realism_page(told), encoding="utf-8")
    except OSError as error:
        raise StoreError(path, error.strerror or "cannot be written", "Choose another folder.") from error
    _show(desk.screen, told)
    desk.screen.say(str(path))
    if given.open:
        webbrowser.open(path.resolve().as_uri())
    return Outcome(data={**told, "report": str(path)})


def real_wearers(root: Path) -> Path | None:
    """Return the folder of the real wearers' recordings, None where this machine has none."""
    folder = Path(os.environ.get(DATA, root.parent / "shared" / "data")) / SET
    return folder if folder.is_dir() else None


def _show(screen: Screen, told: Mapping[str, Any]) -> None:
    from vitalwatch.report import realism_rows

    for step, rows in told["statistics"].items():
        screen.say(f"{told['people']} synthetic people on a grid of {step} min, real wearers beside them:")
        screen.table([(*cells, _verdict(passed)) for passed, cells in realism_rows(rows)], HEAD)
    for step, found in told["told_apart"].items():
        auroc, most = found["auroc"], ", ".join(f"{name} {share:.0%}" for name, share in found["giveaways"].items())
        screen.say(
            f"Told apart by windows of heart rate and steps, {step} min, people never on both sides: AUROC "
            f"{auroc['value']:.2f} ({auroc['low']:.2f} to {auroc['high']:.2f}; 0.5 is alike). By: {most}."
        )
    for step, found in told["synthetic_to_real"].items():
        screen.say(
            f"Heart rate from activity and clock, {step} min, {found['wearers']} real wearers: mean error "
            f"{found['learnt_from_synthetic']:.2f} bpm learnt from synthetic people, "
            f"{found['learnt_from_other_wearers']:.2f} from the others, {found['own_mean']:.2f} by their own mean."
        )
    if told["note"]:
        screen.say(f"Note: {told['note']}")
    screen.say(f"Realism: {told['red']} of {told['judged']} statistics are OUTSIDE +-15 % of the real figure.")


def _verdict(passed: bool | None) -> str:
    word = VERDICTS[passed]
    return f"{RED}{word}{PLAIN}" if passed is False and sys.stdout.isatty() and "NO_COLOR" not in os.environ else word

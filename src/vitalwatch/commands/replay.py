"""`replay`: refused rows through today's rules again; what passes becomes a recording."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.errors import DONE, SOME_REFUSED, NotFound
from vitalwatch.quarantine import FILE, REPLAYED
from vitalwatch.quarantine import replay as replay_folder
from vitalwatch.recordings import storing
from vitalwatch.schema import minutes
from vitalwatch.tables import MINUTE


def replay(given: Namespace, desk: Desk) -> Outcome:
    """Write the rows that pass now as a recording and print how to ingest it.

    A run never changes, so its refused rows are copied to artifacts/replay/<run> first; a second replay goes on there.

    Raises:
        NotFound: No such run or folder.
        StoreError: The folder cannot be written.
    """
    folder = _folder(given, desk)
    if folder is None or not (folder / FILE).stat().st_size:
        whose = f"run {given.run}" if given.run else f"{given.folder}" if given.folder else "any run"
        desk.screen.say(f"There is nothing to replay: no refused row of {whose} is left.")
        return Outcome(DONE, {"read": 0, "accepted": 0, "folder": None, "recording": None, "command": None})
    ahead = minutes(desk.settings.params.ingest.max_clock_ahead) * MINUTE
    counts = replay_folder(folder, desk.settings.schema, now_ms=desk.now_ms(), max_ahead_ms=ahead)
    left = {reason: count for reason, count in counts.items() if reason not in ("read", "accepted")}
    recording = folder / REPLAYED
    desk.screen.say(f"{counts['accepted']} of {counts['read']} refused rows pass now.")
    if left:
        desk.screen.table(sorted(left.items()), ("still refused", "rows"))
    command = (
        f"python main.py --source {desk.shown(recording)}" if recording.is_dir() and any(recording.iterdir()) else ""
    )
    if command:
        desk.screen.say(
            f"They are in {desk.shown(recording)}. Learn from them, beside their recording, with `{command}`."
        )
    data = {
        **counts,
        "folder": str(folder),
        "recording": str(recording) if command else None,
        "command": command or None,
    }
    return Outcome(SOME_REFUSED if left else DONE, data)


def _folder(given: Namespace, desk: Desk) -> Path | None:
    """Return where the refused rows lie, None where there are none; raises NotFound or StoreError."""
    if given.folder is not None:
        if not (given.folder / FILE).is_file():
            raise NotFound(f"{FILE} in {given.folder}", "Name the quarantine folder of a run or of `score`.")
        folder: Path = given.folder
        return folder
    run = _run(given.run, desk)
    if run is None:
        return None
    copy = desk.store.artifacts / "replay" / run
    if not (copy / FILE).is_file():
        with storing(copy):
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(desk.store.folder(run) / "quarantine" / FILE, copy / ".part")
            (copy / ".part").chmod(0o600)
            (copy / ".part").replace(copy / FILE)
    return copy


def _run(name: str | None, desk: Desk) -> str | None:
    """Return the run asked for, else the newest one, where it refused rows."""
    runs = [name] if name else [run.id for run in desk.store.runs()]
    for run in runs:
        rejects = desk.store.folder(run) / "quarantine" / FILE
        if rejects.is_file() and rejects.stat().st_size:
            return run
    return None

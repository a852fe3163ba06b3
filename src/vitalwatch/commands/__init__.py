"""The command line: words -> one command -> an exit code. Every failure is one sentence and the next step."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from vitalwatch.commands.command_line import COMMANDS, RUN, Command, parse
from vitalwatch.commands.desk import Desk, Outcome, Screen
from vitalwatch.errors import FAILED, VitalsError

INTERRUPTED = 130  # 128 + SIGINT, as shells expect

__all__ = ["COMMANDS", "RUN", "main"]


def main(argv: Sequence[str], root: Path) -> int:
    """Run what the words name and return the exit code.

    Args:
        argv: Words after the program's name.
        root: Folder of schema.yaml, params.yaml and config/.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a sign that the terminal lacks must not end a training
    screen = Screen("--json" in argv)
    desk, stopped = Desk(root, screen), list[int]()
    try:
        command, given = parse(argv)
        desk = Desk(root, screen, tuple(given.set), given.config)
        with _stoppable(stopped):
            outcome = _do(command, given, desk)
        screen.give(outcome.data)
    except VitalsError as error:
        return _failed(screen, str(error), getattr(error, "hint", ""), error.exit_code)
    except KeyboardInterrupt:
        return _failed(screen, "Interrupted; production is unchanged.", "Run it again.", INTERRUPTED)
    except BrokenPipeError:  # `python main.py runs | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if stopped:  # a library under way (an import, C++) made another error of the interruption
            return _failed(screen, "Interrupted; production is unchanged.", "Run it again.", 128 + stopped[0])
        where = _crash(desk)
        return _failed(
            screen,
            f"An unexpected {type(error).__name__} ended this; production is unchanged. The traceback is in {where}.",
            "Please report it with that file; `python main.py doctor` looks for known causes.",
            FAILED,
        )
    return outcome.code


@contextlib.contextmanager
def _stoppable(stopped: list[int]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM unwind the stack, so that what is half-written is removed; note which of them came."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _do(command: Command, given: Namespace, desk: Desk) -> Outcome:
    from importlib import import_module

    module, _, function = command.where.partition(":")
    outcome: Outcome = getattr(import_module(module), function)(given, desk)
    return outcome


def _failed(screen: Screen, sentence: str, hint: str, code: int) -> int:
    screen.warn(sentence if not hint or hint in sentence else f"{sentence} {hint}")
    screen.give({"error": sentence, "next": hint, "exit_code": code})
    return code


def _crash(desk: Desk) -> str:
    """Write the traceback where only its owner can read it; return the path, or where else it went."""
    try:
        path = desk.crash_folder() / f"crash-{os.getpid()}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    except OSError:
        traceback.print_exc()
        return "the lines above"
    return str(path)

"""Words on the command line -> one command and its options. Imports nothing heavy, so that `--help` is quick."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vitalwatch import __version__
from vitalwatch.errors import UsageError

NAMES = ("ingest", "validate", "transform", "train", "evaluate")  # of commands.stages, which is heavy to import
RUN = "run"  # what `python main.py` does without a command


@dataclass(frozen=True)
class Command:
    """One line of the table: what it is for, where it lives (module:function), its options, an example."""

    about: str
    where: str
    add: Callable[[argparse.ArgumentParser], None]
    example: str


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, as one sentence."""
        message = message if message.startswith(self.prog) else message[:1].upper() + message[1:]
        raise UsageError(f"{message}{'' if message[-1] in '.?' else '.'} `{self.prog} --help` shows how.")

    def check(self, words: Sequence[str]) -> None:
        """Name the nearest option of the first one that is unknown: more help than what argparse misses then."""
        known = [option for action in self._actions for option in action.option_strings]
        for word in (word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2):
            if word not in known:
                self.error(f"{self.prog} does not know {word}.{nearest(word, known)}")


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return the command that the words name, and its options.

    A stage's name is short for `--only`; `evaluate --source PATH` judges a run on other data.

    Raises:
        UsageError: No such command or option; names the nearest one.
    """
    word, rest = _split(argv)
    if word in NAMES and not (word == "evaluate" and _judges(rest)):
        rest, word = ["--only", word, *rest], RUN
    if word not in COMMANDS:
        known = [name for name in COMMANDS if name != RUN]
        raise UsageError(
            f"There is no command or stage {word}.{nearest(word, [*known, *NAMES])} "
            f"Commands: {', '.join(known)}; stages: {', '.join(NAMES)}."
        )
    parser = _parser(word)
    parser.check(rest)
    return COMMANDS[word], parser.parse_args(rest)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return ` Did you mean ...?`, or nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def _split(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Return the first word that is neither an option nor an option's value, and the others; `run` without one."""
    actions = [action for name in COMMANDS for action in _parser(name)._actions]
    takes = {option: action.nargs is None for action in actions for option in action.option_strings}
    value = False
    for place, word in enumerate(argv):
        if not value and not word.startswith("-"):
            return word, [*argv[:place], *argv[place + 1 :]]
        if not value and word.partition("=")[0] not in takes:
            break  # unknown: whether a value follows cannot be told
        value = not value and takes.get(word, False)
    return RUN, list(argv)


def _judges(words: Sequence[str]) -> bool:
    """Return whether these words after `evaluate` speak of other data, not of the stage."""
    return any(word.partition("=")[0] in ("--source", "--run", "--help", "-h") for word in words)


def _parser(name: str) -> Parser:
    command = COMMANDS[name]
    parser = Parser(
        prog="main.py" if name == RUN else f"main.py {name}",
        description=command.about,
        epilog=_overview() if name == RUN else f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add(parser)
    common = parser.add_argument_group("settings and output")
    common.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of params.yaml, "
                        "or schema.KEY, config.KEY (repeatable)")  # fmt: skip
    common.add_argument("--config", type=Path, metavar="FILE", help="a config file laid over config/base.yaml")
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")
    return parser


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {command.about}" for name, command in COMMANDS.items() if name != RUN]
    stages = f"  {'STAGE'.ljust(width)}  One of {', '.join(NAMES)}: the same as --only STAGE."
    examples = [f"  {command.example}" for command in COMMANDS.values()]
    codes = "exit codes:\n  0 done, 1 failed, 2 wrong use, 3 done but some rows were refused, 4 a source is unreadable"
    return "\n".join(["commands:", *lines, stages, "", "examples:", *examples, "", codes])


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"vitalwatch {__version__}")
    parser.add_argument("--source", action="append", default=[], metavar="PATH",
                        help="learn from this recording instead of synthetic people (repeatable)")  # fmt: skip
    parser.add_argument("--format", metavar="NAME", help="of the sources; default: by content")
    parser.add_argument("--only", metavar="STAGE", help="run one stage on the results of those before it")
    parser.add_argument("--from", dest="start", metavar="STAGE", help="run this stage and those after it again")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and why; write nothing")
    parser.add_argument("--no-promote", action="store_true", help="leave production as it is")


def _generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, metavar="N", help="default: synthetic.people of params.yaml")
    parser.add_argument("--days", type=int, metavar="D", help="default: synthetic.days")
    parser.add_argument("--seed", type=int, metavar="S", help="default: seed")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an empty or new folder")
    parser.add_argument("--format", default="parquet", metavar="NAME", help="parquet (default), csv or jsonl")


def _sources(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--source", action="append", required=required, metavar="PATH", help="a recording (repeatable)")
    parser.add_argument("--format", metavar="NAME", help="of the sources; default: by content")
    parser.add_argument("--run", metavar="ID", help="the run whose models answer; default: the one in production")


def _score(parser: argparse.ArgumentParser) -> None:
    _sources(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the tables")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="default: production, else the newest run")
    parser.add_argument("--card", action="store_true", help="print a card for each of its models")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of all settings")


def _one_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    _why(parser)


def _why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", default="", metavar="TEXT", help="written into history.jsonl")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="default: production, else the newest run")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.add_argument("--realism", action="store_true",
                        help="instead: how far simulated people move like real wearers")  # fmt: skip
    parser.add_argument("--people", type=int, default=40, metavar="N", help="simulated people of --realism, default 40")


def _replay(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--run", metavar="ID", help="refused rows of this run; default: the newest run that has some")
    where.add_argument("--folder", type=Path, metavar="DIR", help="a quarantine folder")


def _keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("make", "list", "rotate", "revoke"))
    parser.add_argument("id", nargs="?", metavar="ID", help="of a key, for rotate and revoke")
    parser.add_argument("--name", default="unnamed", metavar="TEXT", help="what it is for")
    parser.add_argument("--scope", action="append", default=[], metavar="NAME",
                        help="ingest, read, ack or admin (repeatable)")  # fmt: skip
    parser.add_argument("--ward", action="append", default=[], metavar="NAME",
                        help="whose people it may see (repeatable); '*' for all")  # fmt: skip
    parser.add_argument("--days", type=int, metavar="N", help="until it ends; default: never")
    parser.add_argument("--overlap", type=int, default=24, metavar="HOURS",
                        help="that a rotated key still works; default 24")  # fmt: skip


def _audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("verify", "list"))


def _person(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("export", "erase", "move"))
    parser.add_argument("id", metavar="PERSON", help="identifier or pseudonym")
    parser.add_argument("--ward", metavar="NAME", help="where to move to")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to export to")
    parser.add_argument("--yes", action="store_true", help="erase for good")


def _database(parser: argparse.ArgumentParser) -> None:
    actions = ("upgrade", "downgrade", "vacuum", "retain", "backup", "restore")
    parser.add_argument("action", choices=actions)
    parser.add_argument("--to", metavar="VERSION", help="of the tables; default: the newest")
    parser.add_argument("--file", type=Path, metavar="FILE", help="the backup")
    parser.add_argument("--replace", action="store_true", help="restore over what is there")
    parser.add_argument("--yes", action="store_true", help="downgrade, whatever is lost")


def _alarms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("replay", "burden"))
    _sources(parser, required=False)
    parser.add_argument("--days", type=int, default=7, metavar="N", help="of the burden; default: 7")
    parser.add_argument("--rules", type=Path, metavar="FILE", help="the rules to try; default: those in force")
    parser.add_argument("--budget", type=float, metavar="N",
                        help="alarms a person-day; over it the command fails")  # fmt: skip


def _tune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="detector, supervised, regressor or forecaster")
    parser.add_argument("--trials", type=int, default=30, metavar="N", help="of the study, with those it has already")
    parser.add_argument("--time", metavar="T", help="stop after this long, such as 30min; run it again to go on")
    _study(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="detector, imbalance, streaming, "
                        "forecaster, compression or share (repeatable)")  # fmt: skip
    parser.add_argument("--like", action="append", default=[], metavar="TEXT", help="only alternatives with this in "
                        "their names, each beside the first of its table (repeatable)")  # fmt: skip
    _study(parser)


def _study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, metavar="N", help="to learn from, default 60; the others follow")
    parser.add_argument("--calibration", type=int, metavar="N", help="to set thresholds with, default 30")
    parser.add_argument("--judged", type=int, metavar="N", help="to judge, default 40")
    parser.add_argument("--seed", type=int, metavar="S", help="of the people; default: seed + 3")


def _nothing(parser: argparse.ArgumentParser) -> None:
    pass


AT = "vitalwatch.commands"
COMMANDS = {
    RUN: Command(
        "Generate the default people (or take --source), retrain everything, promote if all gates pass.",
        f"{AT}.run:run", _run, "python main.py --source my_recording/",
    ),
    "generate": Command(
        "Write a recording of synthetic people, with labelled events.",
        f"{AT}.generate:generate", _generate, "python main.py generate --people 20 --days 14 --seed 7 --out people/",
    ),
    "score": Command(
        "Scores, alarms and forecasts for a recording, as Parquet tables.",
        f"{AT}.score:score", _score, "python main.py score --source people/ --out scored/",
    ),
    "evaluate": Command(
        "Judge a run on other data, beside trivial lines.",
        f"{AT}.evaluate:evaluate", _sources, "python main.py evaluate --source people/ --json",
    ),
    "tune": Command(
        "Look for better settings of a model on people of their own; can be interrupted.",
        f"{AT}.studies:tune", _tune, "python main.py tune supervised --trials 30",
    ),
    "compare": Command(
        "Judge alternatives to what params.yaml has: one table a question; can be interrupted.",
        f"{AT}.studies:compare", _compare, "python main.py compare --only detector",
    ),
    "runs": Command("List the runs.", f"{AT}.production:runs", _nothing, "python main.py runs"),
    "show": Command(
        "A run's card, gates, figures and settings.", f"{AT}.production:show", _show, "python main.py show 1a2b3c4d5e6f"
    ),
    "promote": Command(
        "Put a run into production.", f"{AT}.production:promote", _one_run, "python main.py promote 1a2b3c4d5e6f"
    ),
    "rollback": Command(
        "Put the run back that was in production before.", f"{AT}.production:rollback", _why, "python main.py rollback"
    ),
    "report": Command("Where a run's report lies.", f"{AT}.production:report", _report, "python main.py report --open"),
    "replay": Command(
        "Run refused rows through the rules again.", f"{AT}.replay:replay", _replay, "python main.py replay"
    ),
    "keys": Command(
        "Make, list, rotate and revoke API keys.", f"{AT}.keys:keys", _keys,
        "python main.py keys make --name bedside --scope ingest --scope read --ward north",
    ),
    "audit": Command(
        "Verify or list the log of who did what.", f"{AT}.audit:audit", _audit, "python main.py audit verify"
    ),
    "person": Command(
        "Export everything about a person, or erase it.", f"{AT}.person:person", _person,
        "python main.py person export anna --out anna.json",
    ),
    "database": Command(
        "Upgrade, downgrade, vacuum, retain, back up and restore the database of serving.",
        f"{AT}.database:database", _database, "python main.py database backup --file monday.gz",
    ),
    "alarms": Command(
        "Try rules on history before they go live, or say what alarms cost a ward.", f"{AT}.alarms:alarms", _alarms,
        "python main.py alarms replay --rules mine.yaml --source people/ --budget 0.1",
    ),
    "doctor": Command(
        "Check this machine and the artifacts.", f"{AT}.doctor:doctor", _nothing, "python main.py doctor"
    ),
}  # fmt: skip

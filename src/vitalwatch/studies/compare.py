"""Alternatives beside each other: which there are, and their lines, each kept as soon as it is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

from vitalwatch.errors import UsageError
from vitalwatch.settings import Settings
from vitalwatch.studies.compression import EXPECTED, FOREST, HEADS, Compression
from vitalwatch.studies.detectors import LABELLED, UNLABELLED, Detectors
from vitalwatch.studies.forecasters import GROUP as FORECASTER
from vitalwatch.studies.forecasters import SERVED_SMALLER, SMALLER, Forecasters
from vitalwatch.studies.imbalance import GROUP as IMBALANCE
from vitalwatch.studies.imbalance import Imbalance
from vitalwatch.studies.ledger import Ledger, identity
from vitalwatch.studies.people import SEED, Roles, Size
from vitalwatch.studies.shares import HIDDEN_KINDS, KNOWN_KINDS, Shares
from vitalwatch.studies.streaming import GROUP as STREAMING
from vitalwatch.studies.streaming import Streaming
from vitalwatch.studies.table import Alternative, Line

PARTS = ("detector", "imbalance", "streaming", "forecaster", "compression", "share")
DEFAULT = Size(learn=60, calibrate=30, judge=40)
ABOUT = {
    UNLABELLED: "No label is used to learn; the threshold spends the whole budget on calibration people.",
    LABELLED: "Heads learn from labelled episodes; the threshold spends the whole budget on calibration people.",
    IMBALANCE: "Rows are weighed, drawn or made (SMOTE) among training people only. The last line keeps to no budget.",
    STREAMING: "Each learns one person as it goes, every row or the mean of each half hour, is asked every half hour, "
    "and holds its answer; fewer people than elsewhere, because they take milliseconds a row. Bytes are those of one "
    "person's detector, time that of what it learns (a row or half an hour).",
    FORECASTER: "Mean absolute error of the median, all horizons together; all on the same windows.",
    SMALLER: "As trained; nothing is trained again. Zeros take as many bytes unless they are packed.",
    SERVED_SMALLER: "The same with lines and trees beside it, whose shares calibration people choose for each size. "
    "Bytes and time are those of all together.",
    KNOWN_KINDS: "Both channels; channel A (forests) has this share of the budget, channel B (heads) the rest.",
    HIDDEN_KINDS: "The same for kinds that training never saw: each kind is judged without its head. Recall over all "
    "kinds; false alarms are the mean over them.",
    FOREST: "The budget is spent anew for each size.",
    HEADS: "The budget is spent anew for each size.",
    EXPECTED: "After the first seven days of a person.",
}

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asked:
    """What a comparison is made of.

    Attributes:
        parts: Of PARTS.
        size: How many people have which role.
        streaming: How many calibrate and are judged among the streaming detectors.
        seed: Of the people.
        like: Only alternatives whose names hold one of these, each beside the first of its table; all if empty.
    """

    parts: tuple[str, ...]
    size: Size
    streaming: tuple[int, int]
    seed: int
    like: tuple[str, ...] = ()


def asked(parts: Sequence[str], size: Size, seed: int | None, settings: Settings, like: Sequence[str] = ()) -> Asked:
    """Return a checked request.

    Raises:
        UsageError: An unknown part, or too few people to learn from, calibrate on and judge.
    """
    for name in parts:
        if name not in PARTS:
            raise UsageError(f"There is no part {name} of the comparison. Known: {', '.join(PARTS)}.")
    for role, count in asdict(size).items():
        if count < 2:
            raise UsageError(f"A comparison needs at least 2 people to {role}, not {count}. Ask for more.")
    chosen = tuple(name for name in PARTS if not parts or name in parts)
    fewer = (max(size.calibrate // 2, 2), max(size.judge // 2, 2))
    return Asked(chosen, size, fewer, settings.params.seed + SEED if seed is None else seed, tuple(like))


class Comparison:
    """The alternatives that were asked for; people are made when the first of them must be judged."""

    def __init__(self, request: Asked, settings: Settings) -> None:
        self._request, self._settings = request, settings

    @cached_property
    def _roles(self) -> Roles:
        return Roles.made(self._request.size, self._settings, self._request.seed)

    @cached_property
    def _detectors(self) -> Detectors:
        return Detectors(self._roles)

    def alternatives(self) -> list[Alternative]:
        """Return those asked for, in the order of the tables.

        Raises:
            UsageError: None is named as asked.
        """
        make = {
            "detector": lambda: self._detectors.alternatives(),
            "imbalance": lambda: Imbalance(self._roles, self._detectors).alternatives(),
            "streaming": lambda: self._streaming().alternatives(),
            "forecaster": lambda: self._forecasters.alternatives(),
            "compression": lambda: [
                *self._forecasters.smaller(),
                *Compression(self._roles, self._detectors).alternatives(),
            ],
            "share": lambda: Shares(self._roles, self._detectors).alternatives(),
        }
        found = [one for part in self._request.parts for one in make[part]()]
        return alike(found, self._request.like) if self._request.like else found

    @cached_property
    def _forecasters(self) -> Forecasters:
        return Forecasters(self._roles)

    def _streaming(self) -> Streaming:
        fewer = self._roles.fewer(*self._request.streaming)
        return Streaming(fewer, Detectors(fewer))


def alike(alternatives: Sequence[Alternative], like: Sequence[str]) -> list[Alternative]:
    """Return those whose names hold one of `like`, each table's behind its first.

    Raises:
        UsageError: There are none.
    """
    wanted = [one for one in alternatives if any(text in one.name for text in like)]
    if not wanted:
        raise UsageError(f"No alternative of these parts is named like {' or '.join(like)}.")
    first = {one.group: one for one in reversed(alternatives)}
    kept = {id(one) for one in wanted} | {id(first[one.group]) for one in wanted}
    return [one for one in alternatives if id(one) in kept]


def compare(request: Asked, settings: Settings, ledger: Ledger, told: Told) -> list[Line]:
    """Return the lines of a comparison; those known already are not judged again."""
    alternatives = Comparison(request, settings).alternatives()
    lines = []
    for number, one in enumerate(alternatives):
        told("alternatives", number, len(alternatives))
        lines.append(Line.from_json(ledger.result(f"{one.group}: {one.name}", partial(_json_of, one))))
    told("alternatives", len(alternatives), len(alternatives))
    return lines


def _json_of(one: Alternative) -> dict[str, Any]:
    return one.line().to_json()


def study(request: Asked, settings: Settings) -> str:
    """Return the identity of a comparison: parts and names do not count: one may be added to another."""
    return identity(settings, {"size": asdict(request.size), "streaming": request.streaming, "seed": request.seed})

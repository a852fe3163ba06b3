"""Who is learnt from, who sets thresholds, who is tested on: by person, or by time where people are few."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.tables import DAY, Times

PARTS = ("train", "calibration", "test")
TRAIN, CALIBRATION, TEST = range(3)
FEW = 10  # people; below this nobody can be spared for a test of their own
MOST_HELD_OUT = 0.6  # share of people; the rest is always left for training


@dataclass(frozen=True)
class Split:
    """How people (or their days) are divided.

    Attributes:
        how: `person`: everybody has one part; `time`: everybody has early, later and last days.
        part: Person -> `train`, `calibration` or `test`; with `time` everybody is `test`, on their last days.
        test_days_share: Share of each person's days that are test with `time`.
        note: One sentence for the report.
    """

    how: Literal["person", "time"]
    part: Mapping[str, str]
    test_days_share: float
    note: str

    def people(self, part: str) -> tuple[str, ...]:
        """Return who has rows in a part, sorted."""
        if self.how == "time":
            return tuple(sorted(self.part))
        return tuple(sorted(person for person, of in self.part.items() if of == part))

    def bounds(self, first: int, last: int) -> tuple[int, int]:
        """Return where calibration and test begin for a person measured over [first, last], UTC ms.

        Whole days counted from the first reading; with `person` the two lie at the far ends.
        """
        days = int((last - first) // DAY) + 1
        test = min(max(round(days * self.test_days_share), 1), days)
        calibration = min(max(round(days * self.test_days_share / 2), 1), days - test)
        return first + (days - test - calibration) * DAY, first + (days - test) * DAY

    def rows(self, person: str, time: Times) -> NDArray[np.int8]:
        """Return the part of each row as an index into `PARTS`, shape (n,).

        Raises:
            KeyError: The person was not among those that were split.
        """
        if self.how == "person":
            return np.full(len(time), PARTS.index(self.part[person]), np.int8)
        if not len(time):
            return np.empty(0, np.int8)
        calibration, test = self.bounds(int(time[0]), int(time[-1]))
        return ((time >= calibration).astype(np.int8) + (time >= test)).astype(np.int8)


def split_people(people: Iterable[str], chosen: params.Splits, seed: int) -> Split:
    """Divide people; the same people and seed give the same parts in whatever order they come.

    Of many people a share is held out instead of the asked counts; counts are scaled down where they would leave less
    than 40 % of the people for training. Below ten people the split is by time: the last
    `test_days_share` of everybody's days are test, half as many before them calibrate.

    Args:
        people: Pseudonyms; repeats count once.
        chosen: How many people to hold out.
        seed: Decides who.
    """
    known = sorted(set(people), key=lambda person: _order(person, seed))
    if len(known) < FEW:
        share = chosen.test_days_share
        note = (
            f"By time: {len(known)} people are too few to hold some out, so the last {share:.0%} of everybody's days "
            "are the test, and figures for new people are unknown."
        )
        return Split("time", dict.fromkeys(known, "test"), share, note)
    test, calibration = _counts(len(known), chosen)
    parts = ["test"] * test + ["calibration"] * calibration
    parts += ["train"] * (len(known) - len(parts))
    note = f"By person: {parts.count('train')} train, {calibration} calibrate, {test} test; nobody is in two."
    if test < chosen.test_people or calibration < chosen.calibration_people:
        note += f" Asked: {chosen.calibration_people} and {chosen.test_people}; scaled down to the people there are."
    return Split("person", dict(zip(known, parts, strict=True)), chosen.test_days_share, note)


def _order(person: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{person}".encode()).hexdigest()


def _counts(people: int, chosen: params.Splits) -> tuple[int, int]:
    test = max(chosen.test_people, int(people * chosen.test_share))
    calibration = max(chosen.calibration_people, int(people * chosen.calibration_share))
    scale = min(1.0, MOST_HELD_OUT * people / (test + calibration))
    return max(int(test * scale), 1), max(int(calibration * scale), 1)

"""People of a run, loaded once: grid, profile, events, and the part of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.care import read_outcomes
from vitalwatch.grids import read_grids
from vitalwatch.learning import Person
from vitalwatch.pipeline import Work
from vitalwatch.recordings import read_events, read_profiles
from vitalwatch.splits import CALIBRATION, TEST, TRAIN
from vitalwatch.stages.transform import POPULATION, parts, read_splits
from vitalwatch.tables import Bools, Event, Grid, Profile

SHORT = 3  # days beyond enrolment that a person needs for enrolment days to be left out


@dataclass(frozen=True)
class Member:
    """One person of a run.

    Attributes:
        grid, profile: As cleaned and told.
        events: Labels, None where nobody labelled this person's source.
        part: Of each row, index into `splits.PARTS`, (n,).
        by_time: Whether the person has rows in several parts.
    """

    grid: Grid
    profile: Profile
    events: tuple[Event, ...] | None
    part: NDArray[np.int8]
    by_time: bool

    def of(self, part: int) -> Bools:
        """Return the rows of a part, (n,)."""
        return self.part == part

    def until(self, part: int) -> Person:
        """Return the person up to the end of a part, so that nothing later is seen."""
        stop = int(np.flatnonzero(self.part <= part)[-1]) + 1 if (self.part <= part).any() else 0
        return Person(self.grid.rows(slice(stop)), self.profile, self.events or ())


def load_learners(work: Work) -> list[Member]:
    """Return everybody with rows to learn from or to calibrate on; test people are not even loaded.

    Reads grid.parquet, profiles.parquet, events.parquet, outcomes.parquet and splits.json.
    """
    splits = read_splits(work.path("splits.json"))["people"]
    profiles = read_profiles(work.path("profiles.parquet"))
    events = read_episodes(work.path("events.parquet"), work.path("outcomes.parquet"))
    labelled = labelled_groups(events)
    found = []
    for grid in read_grids(work.path("grid.parquet"), work.settings.schema):
        person = grid.person
        if splits[person]["part"] == "test":
            continue
        known = tuple(events.get(person, ())) if group_of(person) in labelled else None
        entry: Mapping[str, Any] = splits[person]
        part = parts(dict(entry), grid.time)
        found.append(Member(grid, profiles.get(person, Profile(person)), known, part, entry["part"] == "time"))
    return found


def read_episodes(events: Path, outcomes: Path) -> dict[str, list[Event]]:
    """Return the labelled episodes of people who have any: what detectors learn from and are judged on.

    An outcome in hospital, such as sepsis, is no episode of the detector where its source tells it of everybody: hours
    before an onset that charts gave afterwards need not be unusual, and the early warning alone answers for them.
    """
    told = read_outcomes(outcomes)
    kept = {
        person: [event for event in found if person not in told.get(event.kind, {})]
        for person, found in read_events(events).items()
    }
    return {person: found for person, found in kept.items() if found}


def group_of(person: str) -> str:
    """Return whether a person is the user's own or of the synthetic population."""
    return "population" if person.startswith(POPULATION) else "own"


def labelled_groups(events: Mapping[str, Sequence[Event]]) -> set[str]:
    """Return the groups that somebody labelled: one event makes "no event" mean something for the others."""
    return {group_of(person) for person, found in events.items() if found}


def having(members: Sequence[Member], part: int) -> list[Member]:
    """Return the members with rows in a part."""
    return [member for member in members if member.of(part).any()]


def enrolled_until(grid: Grid, days: int) -> int:
    """Return the UTC ms from which rows are judged: after the enrolment days, at once in a short recording."""
    date = grid.date
    if not len(grid) or date[-1] - date[0] < days + SHORT:
        return int(grid.time[0]) if len(grid) else 0
    return int(grid.time[np.searchsorted(date, date[0] + days)])


__all__ = ["CALIBRATION", "TEST", "TRAIN", "Member", "enrolled_until", "group_of", "having", "load_learners",
           "read_episodes"]  # fmt: skip

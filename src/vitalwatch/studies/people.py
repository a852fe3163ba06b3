"""People of a study: made anew, so that neither the default run's people nor its test people are ever touched.

Everybody has one role. What is learnt of the population (expectation, normal) and every model comes from `learn`
people, thresholds and scales from `calibrate` people, figures from `judge` people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from vitalwatch import cleaning, learning, synthetic
from vitalwatch.learning import Person
from vitalwatch.lines.detection import Watched
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import Rule
from vitalwatch.residuals import Learnt, Rows
from vitalwatch.settings import Settings
from vitalwatch.splits import CALIBRATION, TEST, TRAIN
from vitalwatch.stages import train
from vitalwatch.stages.calibrating import Seen
from vitalwatch.stages.forecasting import Windows, windows_of
from vitalwatch.stages.people import Member

SEED = 3  # added to params.seed: the run's people have that seed, those of benchmarks/quality.py the next two
PARTS = {"learn": TRAIN, "calibrate": CALIBRATION, "judge": TEST}


@dataclass(frozen=True)
class Size:
    """How many people have which role."""

    learn: int
    calibrate: int
    judge: int


def someone(index: int, settings: Settings, seed: int) -> Person:
    """Return a simulated person, cleaned."""
    made = synthetic.person(index, settings.schema, settings.params.synthetic, seed)
    return Person(cleaning.to_grid(made.readings, settings.schema, settings.params.cleaning), made.profile, made.events)


def crowd(first: int, count: int, settings: Settings, seed: int) -> list[Person]:
    """Return people number `first` and the `count` - 1 after."""
    jobs = Parallel(n_jobs=settings.config.jobs, prefer="threads")
    found: list[Person] = jobs(delayed(someone)(first + i, settings, seed) for i in range(count))
    return found


def members(people: Sequence[Person], part: int) -> list[Member]:
    """Return people whose every row has one part."""
    return [Member(p.grid, p.profile, p.events, np.full(len(p.grid), part, np.int8), False) for p in people]


class Roles:
    """People with their roles, and what is computed from them, each when first asked for.

    Args:
        learn, calibrate, judge: Cleaned people; nobody may have two roles.
        settings: As of a run.

    Raises:
        ValueError: Somebody has two roles.
    """

    def __init__(
        self, learn: Sequence[Person], calibrate: Sequence[Person], judge: Sequence[Person], settings: Settings
    ) -> None:
        self.people = {"learn": tuple(learn), "calibrate": tuple(calibrate), "judge": tuple(judge)}
        names = [person.grid.person for group in self.people.values() for person in group]
        if len(set(names)) < len(names):
            raise ValueError("a person has two roles in a study; give every person one")
        self.settings = settings
        self._seen: dict[str, Seen] = {}
        self._rows: dict[str, list[Rows]] = {}
        self._windows: dict[tuple[str, int], list[Windows]] = {}
        self._whole: Roles | None = None  # whose learners these are

    @classmethod
    def made(cls, size: Size, settings: Settings, seed: int) -> Roles:
        """Make as many people as asked."""
        everyone = crowd(0, size.learn + size.calibrate + size.judge, settings, seed)
        stops = (size.learn, size.learn + size.calibrate)
        return cls(everyone[: stops[0]], everyone[stops[0] : stops[1]], everyone[stops[1] :], settings)

    def fewer(self, calibrate: int, judge: int) -> Roles:
        """Return the same study with only the first of those who calibrate and are judged."""
        people = self.people
        found = Roles(people["learn"], people["calibrate"][:calibrate], people["judge"][:judge], self.settings)
        found._whole = self
        return found

    def under(self, settings: Settings) -> Roles:
        """Return the same people and features under settings that differ in a model's own block only."""
        found = Roles(self.people["learn"], self.people["calibrate"], self.people["judge"], settings)
        found._whole, found._seen, found._rows, found._windows = self, self._seen, self._rows, self._windows
        return found

    @cached_property
    def population(self) -> tuple[bytes, Learnt]:
        """The expected heart rate as ONNX, and what features need, learnt from `learn` people."""
        if self._whole is not None:
            return self._whole.population
        params = self.settings.params
        step, jobs = self.settings.schema.step_minutes, self.settings.config.jobs
        return learning.learn(self.people["learn"], params.regressor, params.baseline, step, params.seed, jobs)

    @property
    def learnt(self) -> Learnt:
        """What features need."""
        return self.population[1]

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of episode that `learn` people had."""
        return tuple(sorted({event.kind for person in self.people["learn"] for event in person.events}))

    @cached_property
    def rule(self) -> Rule:
        """How scores become alarms."""
        return Rule.of_params(self.settings.params.alarms, self.settings.schema.step_ms)

    def seen(self, role: str) -> Seen:
        """Return the rows of a role that detectors learn from or are judged on, by the pipeline's own code."""
        if role == "learn" and self._whole is not None:
            return self._whole.seen(role)
        if role not in self._seen:
            part = PARTS[role]
            told = train.see(members(self.people[role], part), part, self.learnt, self.settings, self.kinds, 0)
            self._seen[role] = told[0]
        return self._seen[role]

    def cohort(self, role: str) -> Cohort:
        """Return what the people of a role are judged on."""
        return Cohort(self.seen(role).tracks, self.rule)

    def rows(self, role: str) -> list[Rows]:
        """Return everything known of each grid row, a person after another."""
        if role not in self._rows:
            params, step = self.settings.params, self.settings.schema.step_minutes
            self._rows[role] = [learning.rows_of(p, self.learnt, params.baseline, step) for p in self.people[role]]
        return self._rows[role]

    def watched(self, role: str) -> list[Watched]:
        """Return what simple lines look at."""
        schema = self.settings.schema
        vitals = len(schema.vitals)
        both = zip(self.people[role], self.rows(role), strict=True)
        return [Watched(person.grid, rows.z[:, :vitals].astype(np.float32), schema) for person, rows in both]

    def judged_rows(self, role: str, whole: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return a score of all grid rows (one array a person) for the rows of `seen`, NaN where unsure, (n,)."""
        seen = self.seen(role)
        parts = [
            score[np.searchsorted(person.grid.time, track.time)]
            for person, track, score in zip(self.people[role], seen.tracks, whole, strict=True)
        ]
        return np.where(seen.sure, np.concatenate(parts), np.nan)

    def windows(self, role: str, most: int) -> list[Windows]:
        """Return a draw of at most about `most` forecaster windows of a role, a person after another."""
        if (role, most) not in self._windows:
            self._windows[role, most] = self._drawn(role, most)
        return self._windows[role, most]

    def _drawn(self, role: str, most: int) -> list[Windows]:
        people, seed = self.people[role], self.settings.params.seed
        share = min(most / max(sum(len(person.grid) for person in people), 1), 1.0)
        found = []
        for number, (person, rows) in enumerate(zip(people, self.rows(role), strict=True)):
            everything = np.ones(len(person.grid), np.bool_)
            rng = np.random.default_rng([seed, number, PARTS[role]])
            found.append(windows_of(person, rows, everything, share, rng, self.settings))
        return found


def joined(parts: Sequence[Windows]) -> Windows:
    """Return the windows of several people, one after the other."""
    names = ("x", "person", "y", "last")
    return Windows(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def with_params(settings: Settings, block: str, changed: dict[str, object]) -> Settings:
    """Return settings with some keys of one block of params.yaml replaced, checked as the file is."""
    params = settings.params
    told = params.model_dump()
    told[block] |= changed
    return replace(settings, params=type(params).model_validate(told))

"""What evaluation reads: one person's answers, prepared once so that every detector is judged on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vitalwatch.metrics import bootstrap
from vitalwatch.metrics.budget import Cohort, Track
from vitalwatch.metrics.events import Rule
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY, Answers, Bools, Doubles, Event, Floats, Profile


@dataclass(frozen=True)
class PersonResult:
    """One person's answers beside what is known to be true.

    Attributes:
        person: Pseudonym.
        profile: For subgroups and simple formulas.
        events: Labelled episodes, None where nobody labelled this person (which is not "no episodes").
        bookkeeping: Sensor faults and harmless contexts that the simulator knows of, None where unknown.
        split: `train`, `calibration` or `test`; only `test` people are judged.
        answers: From the monitor; its rows are the grid's rows. Calibration people need no scores.
        cold: Heart rate expected of somebody of whom nothing but the profile is known, bpm (n,), None where not asked.
        enrolled_until: UTC ms; rows before are not judged (and may be learnt from by the simple lines).
    """

    person: str
    profile: Profile
    events: tuple[Event, ...] | None
    bookkeeping: tuple[Event, ...] | None
    split: str
    answers: Answers
    enrolled_until: int
    cold: Floats | None = None


def judged_rows(result: PersonResult) -> Bools:
    """Return the rows after enrolment, shape (n,)."""
    return np.asarray(result.answers.time >= result.enrolled_until, np.bool_)


def learnt_rows(result: PersonResult) -> Bools:
    """Return the rows that simple lines may learn from: all of calibration people, enrolment of those judged."""
    return ~judged_rows(result) if result.split == "test" else np.ones(len(result.answers), np.bool_)


@dataclass(frozen=True)
class Thresholds:
    """Where the channels alarm: a row is over where its score is above the threshold.

    Attributes:
        unusual: Of `Answers.unusual`, None where there is no such channel.
        known: Of `Answers.known`, None where there is no supervised model.
        nominal: Channel -> promised false alarms per worn person-day; by default the budget's shares in params.yaml.
        odds: Of channel B's probability as served, over those at calibration people's prevalence.
    """

    unusual: float | None
    known: float | None
    nominal: Mapping[str, float] = field(default_factory=dict)
    odds: float = 1.0


@dataclass(frozen=True)
class Case:
    """One person ready to be judged.

    Attributes:
        result: As given.
        judged: Rows after enrolment, shape (n,).
        worn: Judged rows that were worn and assessable: what person-days count, shape (n,).
        track: Judged rows, episodes that count, and those that do not.
    """

    result: PersonResult
    judged: Bools
    worn: Bools
    track: Track


def case_of(result: PersonResult, step_ms: int) -> Case:
    """Prepare one person.

    An episode counts if it begins after enrolment and at least one of its rows was worn; in the others alarms are
    neither hits nor false. Whether a worn row was assessable is our own affair: an episode there counts as missed.
    """
    answers = result.answers
    judged = answers.time >= result.enrolled_until
    worn = answers.grid.worn & judged
    counts: list[Event] = []
    excused: list[Event] = []
    for event in sorted(result.events or (), key=lambda event: event.start):
        inside = slice(*np.searchsorted(answers.time, (event.start - step_ms + 1, event.end)))
        counted = event.start >= result.enrolled_until and bool(worn[inside].any())
        (counts if counted else excused).append(event)
    worn &= answers.assessable
    track = Track(
        time=answers.time[judged],
        person_days=float(worn.sum()) * step_ms / DAY,
        episodes=_spans(counts),
        kinds=tuple(event.kind for event in counts),
        excused=_spans(excused),
    )
    return Case(result, judged, worn, track)


def _spans(events: Sequence[Event]) -> np.ndarray:
    return np.asarray([(event.start, event.end) for event in events], np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class World:
    """Everything that all tables share: who is judged, by which rule, with which draws.

    Attributes:
        cases: Labelled test people.
        cohort: Their tracks on one time line.
        draws: How often each of them is drawn, shape (draws, p).
        rank_rows: Rows of the cohort that ranking figures read: worn, assessable, outside excused episodes.
    """

    settings: Settings
    cases: tuple[Case, ...]
    cohort: Cohort
    draws: Doubles
    rank_rows: Bools

    @property
    def confidence(self) -> float:
        """Share of draws inside every interval."""
        return self.settings.params.evaluation.confidence


def world_of(cases: Sequence[Case], settings: Settings, rng: np.random.Generator) -> World:
    """Lay the cases out and draw people for the bootstrap."""
    rule = Rule.of_params(settings.params.alarms, settings.schema.step_ms)
    cohort = Cohort([case.track for case in cases], rule)
    rows = [_rank_rows(case) for case in cases]
    return World(
        settings=settings,
        cases=tuple(cases),
        cohort=cohort,
        draws=bootstrap.weights(len(cases), settings.params.evaluation.draws, rng),
        rank_rows=np.concatenate(rows) if rows else np.zeros(0, np.bool_),
    )


def stressed(world: World) -> bool:
    """Return whether the people were made with more episodes than life has; real people have those that they have."""
    made = all(case.result.bookkeeping is not None for case in world.cases)
    return made and world.settings.params.synthetic.prevalence == "stress"


def _rank_rows(case: Case) -> Bools:
    keep: Bools = case.worn[case.judged].copy()
    for start, end in case.track.excused:
        keep[slice(*np.searchsorted(case.track.time, (start, end)))] = False
    return keep


def not_assessable(reason: str) -> dict[str, Any]:
    """Return what stands in a report instead of figures."""
    return {"not_assessable": reason}

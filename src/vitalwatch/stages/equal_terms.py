"""Simple lines on the terms of our channels: a scale by state, people's own levels, thresholds for new people.

Calibration people put a line's score on the scale of rarity that the forests' have, asleep and awake apart; every
person is judged on their own level; and the threshold keeps a budget for new people. What a channel then has more than
a line lies in what it scores, not in what is done with the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch import averaging, features, learning, own_level
from vitalwatch.metrics.budget import Cohort
from vitalwatch.models import anomaly
from vitalwatch.schema import minutes
from vitalwatch.scoring import Scales
from vitalwatch.settings import Settings
from vitalwatch.stages import calibrating
from vitalwatch.stages.judging import Case
from vitalwatch.tables import MINUTE, Bools, Doubles, Times


@dataclass(frozen=True)
class People:
    """Judged rows of people, one after the other.

    Attributes:
        cohort: What they are judged on, n rows.
        asleep: (n,).
        far: Rows of which no row of the mean lies in or near an episode, (n,).
        block: Number that rows of one person in one block share, (n,).
    """

    cohort: Cohort
    asleep: Bools
    far: Bools
    block: NDArray[np.int64]

    @staticmethod
    def of(cohort: Cohort, asleep: Bools, far: Bools, settings: Settings) -> People:
        """Return people; `far` (n,) are rows away from every episode, each row for itself."""
        chosen, lengths = settings.params.detector, [len(track.time) for track in cohort.tracks]
        rows = features.rows_of(minutes(chosen.average), settings.schema.step_minutes)
        near = averaging.of_people(~far[:, None], np.ones_like(far), lengths, rows)[:, 0] > 0
        block = anomaly.blocks(_joined(cohort), cohort.row_person, minutes(chosen.block) * MINUTE)
        return People(cohort, asleep, ~near, block)

    @staticmethod
    def of_cases(cases: Sequence[Case], cohort: Cohort, settings: Settings) -> People:
        """Return the people of an evaluation; `cohort` is that of the cases' tracks."""
        step, grace = settings.schema.step_minutes, minutes(settings.params.alarms.grace) * MINUTE
        asleep, far = np.zeros(len(cohort.time), np.bool_), np.ones(len(cohort.time), np.bool_)
        for number, case in enumerate(cases):
            mine = cohort.row_person == number
            context = learning.moments_of(case.result.answers.grid, step)[1]
            asleep[mine] = context[case.judged] == features.ASLEEP
            far[mine] = learning.episode_rows(
                case.result.answers.grid, case.result.events or (), settings.schema.step_ms, grace
            )[1][case.judged]
        return People.of(cohort, asleep, far, settings)

    @property
    def time(self) -> list[Times]:
        """Starts of each person's rows."""
        return [track.time for track in self.cohort.tracks]


def _joined(cohort: Cohort) -> Times:
    parts = [track.time for track in cohort.tracks]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def limit(cohort: Cohort, score: Doubles, budget: float, *, for_new_people: bool) -> float:
    """Return the threshold that a budget allows a score as it is, of people's rows one after the other (n,)."""
    levels = cohort.levels(np.split(score, np.cumsum([len(track.time) for track in cohort.tracks])[:-1]))
    return cohort.thresholds_for_budgets(levels, [budget], for_new_people=for_new_people)[0]


def served(
    held: People, judged: People, scores: tuple[Doubles, Doubles], budget: float, settings: Settings
) -> tuple[Doubles, float]:
    """Return a line's score of judged rows on the scale and on own levels, (n,), and the threshold of a budget.

    Args:
        held: Calibration people.
        judged: Who is judged.
        scores: The line's, high = unusual, NaN where it says nothing: of the rows of each.
        budget: False alarms per worn person-day.
        settings: Of the run.
    """
    mine, theirs = scores
    quiet = held.far & np.isfinite(mine)
    if not quiet.any():  # it says nothing of anybody's ordinary hours, so nothing is rare
        return np.full(len(theirs), np.nan), np.inf
    scale = Scales(anomaly.surprise_scale(mine[quiet, None], held.asleep[quiet], held.block[quiet]))
    rare, new = (scale.look_up(one[:, None], who.asleep)[:, 0] for one, who in ((mine, held), (theirs, judged)))
    rare, new = np.where(np.isfinite(mine), rare, np.nan), np.where(np.isfinite(theirs), new, np.nan)
    threshold, blocks = calibrating.on_own_level(held.cohort, rare, budget, settings)
    params = settings.params
    plan = own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)
    return new / own_level.factors_of(new, judged.time, blocks, plan), threshold

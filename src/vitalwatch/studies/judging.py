"""Scores of rows -> what each judged person adds to event F1, at the threshold that calibration people allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features
from vitalwatch.metrics.budget import Cohort
from vitalwatch.models import anomaly, episodes
from vitalwatch.schema import minutes
from vitalwatch.scoring import Scale, Scales
from vitalwatch.stages.calibrating import Seen
from vitalwatch.studies.people import Roles
from vitalwatch.tables import MINUTE, Bools, Doubles, Floats

Score = NDArray[np.floating]


def levels(cohort: Cohort, score: Score) -> Doubles:
    """Return every row's persisted score, (n,): a threshold below it makes an alarm row."""
    return cohort.levels(np.split(score, np.cumsum([len(track.time) for track in cohort.tracks])[:-1]))


def counts(roles: Roles, calibrate: Score, judge: Score, budget: float | None = None) -> Doubles:
    """Return episodes, detected, false alarms and days of each judged person, (p, 4).

    Args:
        roles: Of the study.
        calibrate: Score of the rows of `calibrate` people, NaN where they cannot be judged: sets the threshold.
        judge: Of `judge` people.
        budget: False alarms per worn person-day, by default the whole of params.yaml.
    """
    return roles.cohort("judge").score(over(roles, calibrate, judge, budget)).counts


def over(roles: Roles, calibrate: Score, judge: Score, budget: float | None = None) -> Bools:
    """Return the judged rows that alarm, (n,); arguments as in `counts`."""
    budget = roles.settings.params.detector.budget if budget is None else budget
    cohort = roles.cohort("calibrate")
    (limit,) = cohort.thresholds_for_budgets(levels(cohort, calibrate), [budget])
    found: Bools = levels(roles.cohort("judge"), judge) > limit
    return found


def surprise(roles: Roles, scores: Mapping[str, Floats]) -> dict[str, Doubles]:
    """Return forest scores of `calibrate` and `judge` people on the pipeline's common scale, (n, g), NaN if unsure."""
    held = roles.seen("calibrate")
    quiet = held.far & held.sure
    block = minutes(roles.settings.params.detector.block) * MINUTE
    blocks = anomaly.blocks(held.time, held.person, block)
    scale = Scales(anomaly.surprise_scale(scores["calibrate"][quiet], asleep(held)[quiet], blocks[quiet]))
    return {
        role: np.where(roles.seen(role).sure[:, None], scale.look_up(score, asleep(roles.seen(role))), np.nan)
        for role, score in scores.items()
    }


def asleep(seen: Seen) -> Bools:
    """Return whether the person slept, (n,)."""
    found: Bools = seen.x[:, features.NAMES.index("asleep")] > 0
    return found


def on_levels(roles: Roles, margins: Mapping[str, Floats]) -> dict[str, Doubles]:
    """Return log-odds of heads by kind on channel B's scale, (n, kinds), NaN if unsure."""
    sure = {role: np.where(roles.seen(role).sure[:, None], margin, np.nan) for role, margin in margins.items()}
    level = episodes.level_scale(sure["calibrate"], roles.cohort("calibrate"))
    scale = Scales(Scale(level.knots[None], level.values[None]))
    return {role: scale.look_up(margin, np.zeros(len(margin), np.intp)) for role, margin in sure.items()}

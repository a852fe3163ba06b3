"""Scores of rows -> what each judged person adds to event F1, judged as it is served.

Every alternative goes the way of the stage that trains: calibration people put its scores on a scale of rarity, a row
gains what the groups that are not measured would have added, people are judged on their own level, and the threshold
keeps its budget for new people (`stages.calibrating.on_own_level`). Only what is compared differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vitalwatch import averaging, features, own_level
from vitalwatch.metrics.budget import Cohort
from vitalwatch.models import anomaly, episodes
from vitalwatch.schema import minutes
from vitalwatch.scoring import ALONE, Scale, Scales, lift_of
from vitalwatch.stages import calibrating
from vitalwatch.stages.calibrating import Seen
from vitalwatch.studies.people import Roles
from vitalwatch.tables import MINUTE, Bools, Doubles, Floats

HELD = ("calibrate", "judge")
SHARES = np.geomspace(0.05, 1.0, 16)  # of the budget, that each column of several may spend alone


def levels(cohort: Cohort, score: Doubles) -> Doubles:
    """Return every row's persisted score, (n,): a threshold below it makes an alarm row."""
    return cohort.levels(np.split(score, np.cumsum([len(track.time) for track in cohort.tracks])[:-1]))


@dataclass(frozen=True)
class Own:
    """A channel as it is served.

    Attributes:
        threshold: That calibration people allow on their own levels.
        factors: Own level of each row, (n,) of each held role.
    """

    threshold: float
    factors: Mapping[str, Doubles]


def own(roles: Roles, score: Mapping[str, Doubles], budget: float | None = None) -> Own:
    """Return threshold and own levels of a channel, by the pipeline's own code.

    Args:
        roles: Of the study.
        score: Of the rows of each held role, never below 0, NaN where a row cannot be judged, (n,).
        budget: False alarms per worn person-day, by default the whole of params.yaml.
    """
    settings = roles.settings
    params = settings.params
    spent = params.detector.budget if budget is None else budget
    threshold, blocks = calibrating.on_own_level(roles.cohort("calibrate"), score["calibrate"], spent, settings)
    plan = own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)
    factors = {
        role: own_level.factors_of(score[role], [track.time for track in roles.seen(role).tracks], blocks, plan)
        for role in HELD
    }
    return Own(threshold, factors)


def over(roles: Roles, score: Mapping[str, Doubles], budget: float | None = None) -> Bools:
    """Return the judged rows that alarm, (n,); arguments as in `own`."""
    served = own(roles, score, budget)
    found: Bools = levels(roles.cohort("judge"), score["judge"] / served.factors["judge"]) > served.threshold
    return found


def counts(roles: Roles, score: Mapping[str, Doubles], budget: float | None = None) -> Doubles:
    """Return episodes, detected, false alarms and days of each judged person, (p, 4); arguments as in `own`."""
    return roles.cohort("judge").score(over(roles, score, budget)).counts


def over_each(roles: Roles, score: Mapping[str, Doubles], budget: float | None = None) -> Bools:
    """Return the judged rows over a threshold a column, (n,).

    Each column is allowed as many false alarms alone, all of them together the budget.

    Args:
        roles, budget: As in `own`.
        score: Of each held role, a column a group or kind, (n, c).
    """
    spent = roles.settings.params.detector.budget if budget is None else budget
    served = own(roles, {role: score[role].max(axis=1) for role in HELD}, budget)
    persisted = {role: by_column(roles.cohort(role), score[role] / served.factors[role][:, None]) for role in HELD}
    cohort, held = roles.cohort("calibrate"), persisted["calibrate"]
    ladder = [
        cohort.thresholds_for_budgets(column, (SHARES * spent).tolist(), for_new_people=True) for column in held.T
    ]
    limits = np.asarray(ladder).T  # a row a share
    kept = [limit for limit in limits if rate_of_rows(cohort, (held > limit).any(axis=1)) <= spent]
    chosen = kept[-1] if kept else np.full(held.shape[1], np.inf)
    return np.asarray((persisted["judge"] > chosen).any(axis=1), np.bool_)


def rate_of_rows(cohort: Cohort, found: Bools) -> float:
    """Return the false alarms a day of new people that rows which alarm make, (n,)."""
    return cohort.rate_of_new_people(found.astype(np.float64), 0.5)


def by_column(cohort: Cohort, score: Doubles) -> Doubles:
    """Return `levels` of each column, (n, c)."""
    return np.stack([levels(cohort, column) for column in score.T], axis=1)


def surprise(
    roles: Roles, scores: Mapping[str, Floats], *, of_groups: bool = True, alone: Sequence[int] = ALONE
) -> dict[str, Doubles]:
    """Return scores of each held role on the pipeline's scale of rarity, (n, g), NaN if unsure.

    Args:
        roles: Of the study.
        scores: A column a group, high = unusual, NaN where unknown, (n, g).
        of_groups: Whether a row gains what the organ groups that are not measured would have added (`lift_of`).
        alone: Columns that are not averaged.
    """
    held, rows = roles.seen("calibrate"), averaged_rows(roles)
    told = {role: averaged(roles, role, score, alone) for role, score in scores.items()}
    near = averaging.of_people(~held.far[:, None], np.ones_like(held.far), _lengths(held), rows)[:, 0] > 0
    quiet = held.sure & ~near & np.isfinite(told["calibrate"]).all(axis=1)
    block = minutes(roles.settings.params.detector.block) * MINUTE
    blocks = anomaly.blocks(held.time, held.person, block)
    scale = Scales(anomaly.surprise_scale(told["calibrate"][quiet], asleep(held)[quiet], blocks[quiet]))
    found = {}
    for role, score in told.items():
        seen = roles.seen(role)
        rare = scale.look_up(score, asleep(seen))
        found[role] = np.where(seen.sure[:, None], rare + lift_of(seen.x)[:, None] if of_groups else rare, np.nan)
    return found


def averaged(roles: Roles, role: str, outputs: Floats, alone: Sequence[int] = ()) -> Doubles:
    """Return what models say of a role's rows, as the mean over the last minutes, (n, c); NaN if unsure.

    Args:
        roles, role: Of the study.
        outputs: (n, c).
        alone: Columns that are not averaged.
    """
    seen = roles.seen(role)
    known = seen.sure & np.isfinite(outputs).all(axis=1)
    mean = averaging.of_people(outputs, known, _lengths(seen), averaged_rows(roles), alone)
    return np.where(known[:, None], mean, np.nan)


def averaged_rows(roles: Roles) -> int:
    """Return how many rows a mean is taken over."""
    settings = roles.settings
    return features.rows_of(minutes(settings.params.detector.average), settings.schema.step_minutes)


def _lengths(seen: Seen) -> list[int]:
    return [len(track.time) for track in seen.tracks]


def rarity(roles: Roles, score: Mapping[str, Doubles], *, averages: bool = True) -> dict[str, Doubles]:
    """Return one score a row, of whatever makes it, on the same scale as the forests' surprise, (n,).

    Args:
        roles: Of the study.
        score: Of the rows of each held role, high = unusual, NaN where unknown, (n,).
        averages: Whether the mean over the last minutes is still to be taken.
    """
    columns = {role: one.astype(np.float32)[:, None] for role, one in score.items()}
    told = surprise(roles, columns, of_groups=False, alone=() if averages else (0,))
    return {role: found[:, 0] for role, found in told.items()}


def asleep(seen: Seen) -> Bools:
    """Return whether the person slept, (n,)."""
    found: Bools = seen.x[:, features.NAMES.index("asleep")] > 0
    return found


def on_levels(roles: Roles, margins: Mapping[str, Floats]) -> dict[str, Doubles]:
    """Return log-odds of heads by kind on channel B's scale, (n, kinds), NaN if unsure."""
    sure = {role: averaged(roles, role, margin) for role, margin in margins.items()}
    level = episodes.level_scale(sure["calibrate"], roles.cohort("calibrate"))
    scale = Scales(Scale(level.knots[None], level.values[None]))
    return {role: scale.look_up(margin, np.zeros(len(margin), np.intp)) for role, margin in sure.items()}

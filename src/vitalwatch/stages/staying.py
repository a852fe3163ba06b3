"""Intervals of "it stays": as wide as others moved, and the same followed to the person as the served ones are.

Served intervals learn from each person's own misses (`adaptive`). Beside quantiles of how far others moved, what they
save is partly that; beside the same quantiles followed by the same code on the same rows, it is the forecast's alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import adaptive
from vitalwatch.lines import forecast
from vitalwatch.metrics import regression
from vitalwatch.metrics.bootstrap import Statistic, estimate, plain, ratio
from vitalwatch.stages.judging import PersonResult, learnt_rows
from vitalwatch.tables import Doubles, Floats

QUANTILES = np.array([0.1, 0.5, 0.9])
FIXED, FOLLOWED = INTERVALS = ("persistence_interval", "persistence_followed")
BLOCK = 1024  # rows followed at once, so that memory does not grow with the length of recordings


def intervals(
    judged: Sequence[PersonResult], learners: Sequence[PersonResult], vital: str, step_minutes: int
) -> list[dict[str, Floats]]:
    """Return each judged person's intervals by name, QUANTILES at each row and horizon, (n, h, 3).

    Args:
        judged: Whose forecasts are told; intervals are unknown where those are.
        learners: Whose rows that may be learnt from tell how far a vital moves.
        vital: Which.
        step_minutes: Of the grid.
    """
    moves = changes(learners, vital)
    stays = [_stays(result, vital, moves) for result in judged]
    measured = [forecast.measured(result.answers.grid, vital) for result in judged]
    ahead = np.asarray(judged[0].answers.horizons, np.intp) // step_minutes
    own = followed(stays, measured, ahead)
    return [dict(zip(INTERVALS, both, strict=True)) for both in zip(stays, own, strict=True)]


def changes(results: Sequence[PersonResult], vital: str) -> Doubles:
    """Return QUANTILES of how far a vital moves within each horizon, of rows that may be learnt from, (h, 3).

    The outer two are conformal: the ceiling of (n + 1) q of n changes, so that new rows lie between them as promised.
    """
    horizons = results[0].answers.horizons
    found = np.full((len(horizons), len(QUANTILES)), np.nan)
    for h, horizon in enumerate(horizons):
        moved = []
        for result in results:
            grid = result.answers.grid
            learn = forecast.ends_within(grid, learnt_rows(result), horizon)
            change = forecast.target(grid, vital, horizon) - forecast.persistence(grid, vital)
            moved.append(change[learn & np.isfinite(change)].astype(np.float64))
        if n := sum(map(len, moved)):
            ordered = np.sort(np.concatenate(moved))
            share = QUANTILES + (QUANTILES - 0.5) / n
            found[h] = ordered[np.clip(np.round(share * n - 0.5), 0, n - 1).astype(np.intp)]
    return found


def _stays(result: PersonResult, vital: str, moves: Doubles) -> Floats:
    """Return the last value and how far others moved from theirs, where the forecast is told, float32 (n, h, 3)."""
    answers = result.answers
    last = forecast.persistence(answers.grid, vital)
    told = np.isfinite(answers.forecast[:, answers.forecast_vitals.index(vital)]).all(axis=2)
    return (np.where(told, last[:, None], np.nan)[..., None] + moves).astype(np.float32)


def followed(told: Sequence[Floats], measured: Sequence[Floats], ahead: NDArray[np.intp]) -> list[Floats]:
    """Return intervals stretched to each person's own misses, by the code that serves; shapes as `told`.

    People stand side by side where `adaptive` has vitals, so that a row is one step for all of them.

    Args:
        told: Each person's quantiles from their first row on, (n, h, 3), NaN where nothing is told.
        measured: What was measured in those rows, (n,).
        ahead: Rows to each horizon, (h,).
    """
    plan, found = adaptive.Plan.of(len(told), ahead), [np.empty_like(one) for one in told]
    kept = adaptive.begin(plan)
    for first in range(0, max(map(len, told)), BLOCK):
        rows = slice(first, first + BLOCK)
        quantiles, came = (np.stack([_filled(one[rows]) for one in part], axis=1) for part in (told, measured))
        kept, stretched = adaptive.advance(kept, quantiles, came, plan)
        for i, one in enumerate(found):
            one[rows] = stretched[: len(one[rows]), i]
    return found


def _filled(some: Floats) -> Floats:
    """Return a block of rows, unknown where the person's recording is over."""
    short = BLOCK - len(some)
    return np.concatenate((some, np.full((short, *some.shape[1:]), np.nan, np.float32))) if short else some


def beside(
    ours: tuple[Doubles, Doubles], line: tuple[Doubles, Doubles], draws: Doubles, confidence: float
) -> dict[str, Any]:
    """Return how wide and how good an interval of "it stays" is beside the forecast's, on the same rows.

    `width_saved` and `pinball_saved` are the shares of its width and loss that the forecast saves, paired.

    Args:
        ours, line: Per-person `interval_sums`, (p, 3), and `pinball_sums`, (p, 2), of the forecast and of "it stays".
        draws: From `bootstrap.weights`.
        confidence: Share of draws inside the interval.
    """

    def saved(figure: Statistic, mine: Doubles, other: Doubles) -> Mapping[str, float | None]:
        both, k = np.concatenate((mine, other), axis=1), mine.shape[1]
        return estimate(lambda t: 1 - ratio(figure(t[..., :k]), figure(t[..., k:])), both, draws, confidence).table()

    return {
        "coverage": estimate(regression.coverage, line[0], draws, confidence).table(),
        "coverage_worst_person": plain(regression.worst_coverage(line[0])),
        "width": estimate(regression.width, line[0], draws, confidence).table(),
        "pinball": estimate(regression.pinball, line[1], draws, confidence).table(),
        "width_saved": saved(regression.width, ours[0], line[0]),
        "pinball_saved": saved(regression.pinball, ours[1], line[1]),
    }

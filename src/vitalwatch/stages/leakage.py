"""Gates that would fail if the answer leaked into the question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitalwatch import learning
from vitalwatch.models.heart_rate import leaks
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.stages.evaluate import Gate, gate
from vitalwatch.stages.judging import PersonResult
from vitalwatch.tables import Doubles, Floats

MOST_PEOPLE = 12
SHUFFLED_MAY_GAIN = 0.05  # share of the person mean's error that a regressor with shuffled context may still remove


def gates(results: Sequence[PersonResult], monitor: Monitor, settings: Settings) -> list[Gate]:
    """Return the verdicts that need the model itself: the expectation's inputs, and its context shuffled."""
    tested = [result for result in results if result.split == "test"][:MOST_PEOPLE]
    rng = np.random.default_rng(settings.params.seed)
    found = [_expectation(result, monitor, settings.schema.step_minutes, rng) for result in tested]
    found = [one for one in found if len(one[1]) > 1]
    if not found:
        return [gate("shuffled_context_falls_to_person_mean", None, SHUFFLED_MAY_GAIN, None, "no heart rate to judge")]
    x = np.concatenate([one[0] for one in found])
    rate = np.concatenate([one[1] for one in found])
    error, constant = (np.concatenate([one[i] for one in found]) for i in (2, 3))
    gain = 1.0 - float(np.sqrt(np.mean(error**2)) / np.sqrt(np.mean(constant**2)))
    leaking = leaks(x, rate)
    return [
        gate("shuffled_context_falls_to_person_mean", gain, SHUFFLED_MAY_GAIN, gain <= SHUFFLED_MAY_GAIN),
        gate("no_input_follows_heart_rate", len(leaking), 0, not leaking, ", ".join(leaking)),
    ]


def _expectation(
    result: PersonResult, monitor: Monitor, step_minutes: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Doubles, Doubles]:
    """Return inputs and heart rates of measured rows, errors with rows' contexts shuffled, errors of the mean."""
    grid = result.answers.grid
    moments, _ = learning.moments_of(grid, step_minutes)
    about = monitor.person_row(result.profile)
    rows = np.flatnonzero(grid.worn)
    rate = grid.column("heart_rate")[rows]
    x = np.concatenate((moments[rows], np.broadcast_to(about, (len(rows), len(about)))), axis=1)
    lift = monitor.lift(x[rng.permutation(len(rows))])
    surplus = rate - lift
    error = (surplus - surplus.mean()).astype(np.float64) if len(rows) else np.empty(0)
    constant = (rate - rate.mean()).astype(np.float64) if len(rows) else np.empty(0)
    return x, rate, error, constant

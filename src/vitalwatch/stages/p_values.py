"""Whether rare means rare: how often p-values of people never seen are as small as they say, outside every episode.

By context it shows whether rare means the same at rest as on the move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vitalwatch import learning
from vitalwatch.baseline import CONTEXTS
from vitalwatch.features import Codes
from vitalwatch.metrics.bootstrap import estimate, ratio, weights
from vitalwatch.monitor import Monitor
from vitalwatch.schema import minutes
from vitalwatch.scoring import Scales, one_group
from vitalwatch.settings import Settings
from vitalwatch.stages.judging import PersonResult, not_assessable
from vitalwatch.tables import MINUTE, Answers, Bools, Doubles

TOLD = (0.00001, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
TOLD_BY_CONTEXT = (0.01, 0.1)

PValue = Callable[[Answers, Codes], Doubles]


def tables(
    results: Sequence[PersonResult], monitor: Monitor, settings: Settings, rng: np.random.Generator
) -> dict[str, Any]:
    """Return, of channel A alone and as served, told -> the share of normal rows with a p-value that small or smaller.

    Calibrated p-values are as small as `told` in a share `told` of normal rows. Rows count that are judged, assessable
    and away from every labelled episode; neighbours are alike, so intervals are over people. `by_context` tells the
    same of rows asleep, at rest and active alone.
    """
    judged = [result for result in results if result.split == "test" and len(result.answers)]
    rows = [_normal(result, minutes(settings.params.alarms.grace) * MINUTE) for result in judged]
    if not sum(one.sum() for one in rows):
        return not_assessable("no normal rows of test people")
    draws = weights(len(judged), settings.params.evaluation.draws, rng)
    rarity = Scales(one_group(monitor.detector.calibration.rarity))
    contexts = [learning.moments_of(result.answers.grid, settings.schema.step_minutes)[1] for result in judged]

    def of_unusual(answers: Answers, context: Codes) -> Doubles:
        score = answers.unusual * answers.own_level[:, 0]  # own levels hold for alarms, rarity before them
        return np.power(10.0, -rarity.look_up(score[:, None], context)[:, 0])

    def as_served(answers: Answers, _: Codes) -> Doubles:
        return answers.p_value.astype(np.float64)

    def shares(p_value: PValue, kept: Sequence[Bools], small: Sequence[float]) -> list[dict[str, Any]]:
        each = zip(judged, contexts, kept, strict=True)
        values = [p_value(result.answers, context)[keep] for result, context, keep in each]
        found = []
        for told in small:
            sums = np.asarray([((one <= told).sum(), len(one)) for one in values], np.float64)
            share = estimate(lambda t: ratio(t[..., 0], t[..., 1]), sums, draws, settings.params.evaluation.confidence)
            found.append({"told": told, "came": share.table()})
        return found

    def both(kept: Sequence[Bools], small: Sequence[float]) -> dict[str, Any]:
        named = {"unusual": of_unusual, "served": as_served}
        return {"rows": int(sum(one.sum() for one in kept))} | {n: shares(p, kept, small) for n, p in named.items()}

    by_context = {
        name: both([keep & (of == code) for keep, of in zip(rows, contexts, strict=True)], TOLD_BY_CONTEXT)
        for code, name in enumerate(CONTEXTS)
    }
    return both(rows, TOLD) | {"by_context": by_context}


def _normal(result: PersonResult, grace: int) -> Bools:
    answers = result.answers
    keep = (answers.time >= result.enrolled_until) & answers.assessable & np.isfinite(answers.unusual)
    for event in result.events or ():
        keep[slice(*np.searchsorted(answers.time, (event.start - grace, event.end + grace)))] = False
    return np.asarray(keep, np.bool_)

"""How far channel B's probability and the kind it names can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitalwatch.metrics.bootstrap import estimate, plain, ratio
from vitalwatch.metrics.probability import Told
from vitalwatch.models import episodes
from vitalwatch.stages.judging import World, stressed

TENTHS = tuple(i / 10 for i in range(11))
RARE = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0)  # where an episode is rare most is told below a tenth


def probability(world: World, odds: float) -> dict[str, Any]:
    """Return how far the supervised channel's probability can be believed: Brier score, reliability, and `off`.

    That is the mean distance of told and true over rows, by bins of the probability (expected calibration error).
    People who are ill more often than in life (stress) are judged on the scale of calibration people, and `natural`
    judges what is served, as it is: rows in episodes stand for so few that the odds are those of life.

    Args:
        world: Labelled test people.
        odds: What those of the served probability are multiplied by beside calibration people's.
    """
    keep = world.rank_rows
    served = np.concatenate([case.result.answers.probability[case.judged] for case in world.cases])[keep]
    labels, owner = world.cohort.labels[keep], world.cohort.row_person[keep]
    rarer = stressed(world) and odds != 1.0
    told = episodes.shifted(served, 1 / odds) if rarer else served
    found = _judged(Told.of(labels, told, owner), TENTHS, world)
    if rarer:
        found["natural"] = _judged(Told.of(labels, served, owner, odds), RARE, world)
    return found


def _judged(told: Told, edges: Sequence[float], world: World) -> dict[str, Any]:
    table = told.reliability(edges, world.draws, world.confidence)
    true = told.mean(told.labels, world.draws, world.confidence)
    return {
        "off": plain(sum(entry["share"] * abs(entry["told"] - entry["true"]["value"]) for entry in table)),
        "told": told.mean(told.probability, world.draws, world.confidence).table(),
        "true": true.table(),
        "brier": told.brier(world.draws, world.confidence).table(),
        "brier_of_prevalence": told.instead(true.value).brier(world.draws, world.confidence).table(),
        "reliability": [entry | {name: plain(entry[name]) for name in ("share", "told")} for entry in table],
    }


def kind_named(world: World) -> dict[str, Any]:
    """Return how often the kind named most within an episode is the true one, among episodes with a named row."""
    sums = np.zeros((len(world.cases), 2))
    for i, case in enumerate(world.cases):
        answers, grace = case.result.answers, world.cohort.rule.grace_ms
        for (start, end), kind in zip(case.track.episodes, case.track.kinds, strict=True):
            rows = answers.kind[slice(*np.searchsorted(answers.time, (start, end + grace)))]
            named = rows[rows >= 0]
            if len(named):
                most = answers.kinds[int(np.bincount(named).argmax())]
                sums[i] += (1, most == kind)
    share = estimate(lambda total: ratio(total[..., 1], total[..., 0]), sums, world.draws, world.confidence)
    return {"episodes": int(sums[:, 0].sum()), "right": share.table()}

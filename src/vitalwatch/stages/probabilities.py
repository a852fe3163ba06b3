"""How far channel B's probability and the kind it names can be believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from vitalwatch.metrics import ranking
from vitalwatch.metrics.bootstrap import estimate, plain, ratio
from vitalwatch.stages.judging import World


def probability(world: World) -> dict[str, Any]:
    """Return how far the supervised channel's probability can be believed: Brier score, reliability, and `off`.

    That is the mean distance of told and true over rows, in tenths of the probability (expected calibration error).
    """
    keep = world.rank_rows
    told = np.concatenate([case.result.answers.probability[case.judged] for case in world.cases])[keep]
    labels = world.cohort.labels[keep]
    owner = world.cohort.row_person[keep]
    constant = np.where(np.isfinite(told), labels.mean(), np.nan)
    table = ranking.reliability(labels, told)
    off = sum(entry["rows"] * abs(entry["told"] - entry["true"]) for entry in table)
    return {
        "off": plain(off / max(sum(entry["rows"] for entry in table), 1)),
        "brier": ranking.brier_estimate(labels, told, owner, world.draws, world.confidence).table(),
        "brier_of_prevalence": ranking.brier_estimate(labels, constant, owner, world.draws, world.confidence).table(),
        "reliability": [{key: plain(value) for key, value in entry.items()} for entry in table],
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

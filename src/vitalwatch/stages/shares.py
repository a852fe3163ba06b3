"""How the budget of false alarms is shared between the channels: what channel A's share costs, and what it finds.

Channel B (heads) finds kinds that somebody labelled better than channel A (forests); a kind that nobody labelled only
channel A looks for. More of the budget for one is less for the other. Thresholds for every share are chosen on
calibration people in training and travel in the bundle; here test people are judged by them. A hidden kind is one whose
head is left out. Own levels are those of the share that is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import own_level, promises
from vitalwatch.metrics.bootstrap import estimate, plain
from vitalwatch.metrics.events import EventScore, recall
from vitalwatch.own_level import Usual
from vitalwatch.settings import Settings
from vitalwatch.stages.calibrating import Calibrated, thresholds_of
from vitalwatch.stages.judging import PersonResult, World, case_of, not_assessable, world_of
from vitalwatch.tables import Bools, Doubles

FILE = "shares.json"
SHARES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8)  # of the budget, for channel A; the one that is served is added

Limits = list[dict[str, Any]]


def thresholds(found: Calibrated, kinds: Sequence[str], settings: Settings) -> Limits:
    """Return for each share, rising: `share`, thresholds `unusual`, `known`, and `without`: of B by the head left out.

    A threshold that no row passes is None. Without heads there is nothing to share.
    """
    if found.by_kind is None:
        return []
    params, cohort = settings.params, found.cohort
    time = [track.time for track in cohort.tracks]
    plan = own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)

    def factors(score: Doubles, blocks: Usual) -> Doubles:
        return own_level.factors_of(score, time, blocks, plan)

    shares = sorted({*SHARES, promises.share(params.detector)})
    spent = [params.detector.budget * share for share in shares]
    left = [params.detector.budget * (1 - share) for share in shares]
    unusual = found.unusual / factors(found.unusual, found.calibration.unusual_blocks)
    own = found.by_kind / factors(found.by_kind.max(axis=1), found.calibration.known_blocks)[:, None]
    of_unusual, of_known = thresholds_of(cohort, unusual, spent), thresholds_of(cohort, own.max(axis=1), left)
    without = {kind: thresholds_of(cohort, _others(own, i), left) for i, kind in enumerate(kinds) if len(kinds) > 1}
    return [
        {
            "share": share,
            "unusual": _told(of_unusual[i]),
            "known": _told(of_known[i]),
            "without": {kind: _told(limits[i]) for kind, limits in without.items()},
        }
        for i, share in enumerate(shares)
    ]


def _told(threshold: float) -> float | None:
    return threshold if np.isfinite(threshold) else None


def tables(
    results: Sequence[PersonResult], limits: Limits, settings: Settings, rng: np.random.Generator
) -> dict[str, Any]:
    """Return a row a share: event F1 and false alarms of both channels on known kinds, recall of hidden ones.

    Args:
        results: Labelled test people are judged; their answers tell channel B's scores by kind.
        limits: From `thresholds`.
        settings: Schema and params.
        rng: Draws people.
    """
    judged = [one for one in results if one.split == "test" and one.events is not None and one.answers.by_kind.size]
    world = world_of([case_of(one, settings.schema.step_ms) for one in judged], settings, rng)
    if not limits or not len(world.cohort.episodes):
        return not_assessable("no supervised model, or no labelled episodes of test people: there is nothing to share")
    kinds = judged[0].answers.kinds
    scores = [case.result.answers.by_kind[case.judged] for case in world.cases]
    unusual = world.cohort.levels([case.result.answers.unusual[case.judged] for case in world.cases])
    known = world.cohort.levels([score.max(axis=1) for score in scores])
    met = set(world.cohort.kinds.tolist())
    without = {
        kind: world.cohort.levels([_others(score, i) for score in scores])
        for i, kind in enumerate(kinds)
        if kind in met and kind in limits[0]["without"]
    }
    return {
        "served": promises.share(settings.params.detector),
        "people": len(world.cases),
        "episodes": len(world.cohort.episodes),
        "hidden": sorted(without),
        "shares": [_row(world, told, unusual, known, without) for told in limits],
    }


def _row(
    world: World, told: Mapping[str, Any], unusual: Doubles, known: Doubles, without: Mapping[str, Doubles]
) -> dict[str, Any]:
    over = _over(unusual, told["unusual"])
    whole = over | _over(known, told["known"])
    hidden = {kind: world.cohort.score(over | _over(levels, told["without"][kind])) for kind, levels in without.items()}
    elsewhere = world.cohort.score(_turned(world, whole))
    found = world.cohort.score(whole).estimates(world.draws, world.confidence)
    rates = [score.false_alarms_per_day for score in hidden.values()]
    return {
        "share": told["share"],
        "event_f1": found["event_f1"].table(),
        "recall": found["recall"].table(),
        "false_alarms_per_day": found["false_alarms_per_day"].table(),
        "recall_hidden": _recall(world, hidden),
        "recall_hidden_by_chance": _recall(world, dict.fromkeys(hidden, elsewhere)),
        "false_alarms_per_day_hidden": plain(float(np.mean(rates)) if rates else None),
    }


def _recall(world: World, hidden: Mapping[str, EventScore]) -> dict[str, float | None]:
    """Return recall over all kinds, of each by those who did not know it."""
    if not hidden:
        return {"value": None, "low": None, "high": None}
    sums = np.sum([score.of_kind(kind).counts for kind, score in hidden.items()], axis=0)
    return estimate(recall, sums, world.draws, world.confidence).table()


def _turned(world: World, over: Bools) -> Bools:
    """Return as many alarms, as long and of the same people, half of their judged time later: what chance finds."""
    rows = np.split(over, np.cumsum([len(track.time) for track in world.cohort.tracks])[:-1])
    return np.concatenate([np.roll(one, len(one) // 2) for one in rows])


def _over(levels: Doubles, threshold: float | None) -> Bools:
    found: Bools = levels > (np.inf if threshold is None else threshold)
    return found


def _others(by_kind: NDArray[Any], left_out: int) -> NDArray[Any]:
    """Return the score of the strongest head but one, (n,)."""
    found: NDArray[Any] = np.delete(by_kind, left_out, axis=1).max(axis=1)
    return found

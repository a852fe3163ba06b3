"""Labels of other people at other times teach channel B nothing: if they did, the answer would leak from elsewhere."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vitalwatch.metrics.events import EventScore
from vitalwatch.settings import Settings
from vitalwatch.splits import CALIBRATION, TRAIN
from vitalwatch.stages.people import Member
from vitalwatch.tables import DAY, Event

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import detection

pytestmark = pytest.mark.slow
ENROLLED = 7 * DAY


def dealt(people: Sequence[Member], seed: int) -> list[Member]:
    """Return the people, each with the episodes of the next one, turned around in time by a length of chance."""
    rng = np.random.default_rng(seed)
    return [
        dataclasses.replace(one, events=turned(other.events or (), one, rng))
        for one, other in zip(people, [*people[1:], people[0]], strict=True)
    ]


def turned(events: Sequence[Event], whose: Member, rng: np.random.Generator) -> tuple[Event, ...]:
    time = whose.grid.time
    first, span = int(time[0]) + ENROLLED, int(time[-1] - time[0]) - ENROLLED
    by = int(rng.uniform(0.2, 0.8) * span)
    starts = [first + (event.start - first + by) % span for event in events]
    moved = [
        dataclasses.replace(event, person=whose.grid.person, start=start, end=start + event.end - event.start)
        for event, start in zip(events, starts, strict=True)
    ]
    return tuple(sorted(moved, key=lambda event: event.start))


@dataclasses.dataclass(frozen=True)
class Judged:
    """Channel B on people it never saw, by their true labels."""

    auroc: float
    score: EventScore
    chance: EventScore


def judged(models: detection.Trained, people: Sequence[Member]) -> Judged:
    scored = models.scored(people)
    best = scored.known.max(axis=1)
    sure = scored.seen.sure & np.isfinite(best)
    over = scored.levels()["known"] > models.detector.calibration.known_threshold
    lengths = np.cumsum([len(track.time) for track in scored.cohort.tracks])[:-1]
    later = np.concatenate([np.roll(rows, 8 * 288) for rows in np.split(over, lengths)])  # as many, eight days later
    auroc = roc_auc_score(scored.seen.episode[sure] >= 0, best[sure])
    return Judged(float(auroc), scored.cohort.score(over), scored.cohort.score(later))


def test_channel_b_that_learnt_dealt_and_moved_labels_is_at_chance_on_true_ones(settings: Settings):
    learners = detection.people(14, TRAIN, 51, settings)
    calibrators = detection.people(8, CALIBRATION, 52, settings)
    others = detection.people(10, CALIBRATION, 53, settings)
    true = detection.trained(learners, calibrators, settings)
    false = detection.trained(dealt(learners, 1), dealt(calibrators, 2), settings, true.learnt)
    told, fooled = judged(true, others), judged(false, others)

    # .81 and .38: moved labels avoid the true ones, so that the ill are learnt as normal; event F1 .38 (as many alarms
    # at other hours .24) and .06 (.06)
    assert told.auroc > 0.7
    assert fooled.auroc < 0.55
    assert told.score.f1 > told.chance.f1 + 0.08
    assert fooled.score.f1 < fooled.chance.f1 + 0.08
    assert told.score.f1 > 3 * fooled.score.f1

"""Leave one kind out: an illness that no training person had is found above chance, by forests and other heads."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vitalwatch.metrics.events import EventScore
from vitalwatch.settings import Settings
from vitalwatch.splits import CALIBRATION, TRAIN

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import detection

pytestmark = pytest.mark.slow
Key = tuple[float, float]
# false alarms promised, channel A's share -> recall that must be reached. At 112 people to learn from .45 and .65 are
# asked and .50 and .56 (.61 with the larger share) are found (docs/figures.md); with the 30 here .45, .48, .50 and .60
# were, with an interval of .06 either way, and as many alarms at other hours find .21 to .26.
LEAST = {(0.12, 0.35): 0.37, (0.12, 0.6): 0.40, (0.20, 0.35): 0.42, (0.20, 0.6): 0.54}
MOST_MET = 1.3  # of the false alarms promised
World = tuple[detection.Trained, detection.Desk, detection.Scored]


@pytest.fixture(scope="module")
def world(settings: Settings) -> World:
    calibrators = detection.people(24, CALIBRATION, 42, settings)
    models = detection.trained(detection.people(30, TRAIN, 41, settings), calibrators, settings)
    judged = models.scored(detection.people(24, CALIBRATION, 43, settings))
    return models, detection.Desk(models.scored(calibrators), settings), judged


def recall(found: dict[str, EventScore]) -> float:
    """Recall over kinds, of each by those who did not have it."""
    counts = [score.of_kind(kind).counts for kind, score in found.items()]
    return float(sum(c[:, 1].sum() for c in counts) / sum(c[:, 0].sum() for c in counts))


def test_kinds_that_nobody_had_are_found_above_chance_and_fewer_than_with_their_heads(world: World):
    models, desk, judged = world
    numbers = range(len(models.kinds))
    without = [desk.over(judged, number) for number in numbers]
    for key, whole in desk.over(judged).items():
        hidden = {kind: judged.cohort.score(without[i][key]) for i, kind in enumerate(models.kinds)}
        # as many alarms, as long and as late in the day, of the same person: eight days later, the last days first
        later = [
            np.roll(over, 8 * 288)
            for over in np.split(whole, np.cumsum([len(track.time) for track in judged.cohort.tracks])[:-1])
        ]
        chance = judged.cohort.score(np.concatenate(later))

        assert recall(hidden) >= LEAST[key]
        assert np.mean([score.false_alarms_per_day for score in hidden.values()]) <= MOST_MET * key[0]
        assert recall(hidden) > 1.5 * chance.recall
        assert recall(hidden) < judged.cohort.score(whole).recall


def test_a_kind_that_nobody_labelled_is_not_among_the_heads_and_its_readings_stay(settings: Settings):
    people = detection.people(12, TRAIN, 41, settings)
    kinds = {event.kind for one in people for event in one.events or ()}
    hidden = sorted(kinds)[0]
    without = detection.unlabelled(people, hidden)

    assert kinds - {hidden} == {event.kind for one in without for event in one.events or ()}
    assert [one.grid.values.tobytes() for one in people] == [one.grid.values.tobytes() for one in without]

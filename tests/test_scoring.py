"""Scores on one scale: rising, linear between knots, the same alone and in bulk."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch import features
from vitalwatch.monitor import Monitor
from vitalwatch.scoring import ASLEEP, Calibration, Detector, Line, Scale, Scales, Scores, lift_of


class Fixed:
    """A model that answers what it was given."""

    def __init__(self, **answers: np.ndarray) -> None:
        self.answers = answers

    def run(self, **_: np.ndarray) -> dict[str, np.ndarray]:
        return self.answers


LINE = Scale(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0, 3.0]))


def looked_up(*scores: float) -> list[float]:
    line = Line.of(LINE)
    together = line.look_up_all(np.asarray(scores)).tolist()
    assert together == [line.look_up(score) for score in scores]
    return together


def test_between_knots_it_is_a_line():
    assert [0.0, 1.0, 2.0, 2.5, 3.0] == looked_up(0.0, 0.5, 1.0, 2.0, 3.0)


def test_beyond_the_last_knot_it_goes_on():
    assert [4.0] == looked_up(5.0)


def test_below_the_first_knot_it_is_never_negative():
    assert [0.0] == looked_up(-3.0)


def test_every_state_and_group_has_its_own_scale():
    rng = np.random.default_rng(0)
    knots = np.sort(rng.random((2, 3, 7)), axis=-1)
    scale = Scale(knots, np.sort(rng.random((2, 3, 7)), axis=-1))
    score = rng.uniform(-0.2, 1.2, (50, 3)).astype(np.float32)
    score[:7, 0] = knots[0, 0]
    state = rng.integers(0, 2, 50)
    expected = [
        [Line.of(Scale(knots[state[i], g], scale.values[state[i], g])).look_up(float(score[i, g])) for g in range(3)]
        for i in range(50)
    ]

    scales = Scales(scale)
    assert np.array_equal(expected, scales.look_up(score, state))
    assert expected == [scales.look_up_one(score[i].tolist(), state[i]) for i in range(50)]


def measured(*groups: str) -> np.ndarray:
    """A row in which all columns of these groups are measured and no others."""
    row = np.zeros((1, len(features.NAMES)), np.float32)
    for group in groups:
        row[0, list(features.GROUPS[group])] = 1.5
    return row


def test_who_is_wholly_measured_gains_nothing_and_who_is_hardly_measured_gains_all_groups_but_one():
    whole, nothing = measured(*features.GROUPS), measured()

    assert [0.0, np.log10(len(features.GROUPS))] == pytest.approx([*lift_of(whole), *lift_of(nothing)])


def test_a_group_counts_by_the_share_of_it_that_is_measured():
    columns = features.GROUPS["pressure"]
    row = measured(*features.GROUPS)
    row[0, list(columns[: len(columns) // 2])] = 0.0
    shared = sum(
        sum(c in of for c in columns[: len(columns) // 2]) / len(of) for of in features.GROUPS.values()
    )  # a column may be of two groups
    groups = len(features.GROUPS)

    assert np.log10(groups / (groups - shared)) == pytest.approx(lift_of(row)[0])


def test_with_few_sensors_a_threshold_is_reached_as_often_as_with_all():
    """Eight independent organs against the two that a watch sees: without the lift it would be a quarter as often."""
    groups, n, threshold = len(features.GROUPS), 400_000, 2.5
    surprise = -np.log10(np.random.default_rng(1).random((n, groups)))
    few = measured("oxygen", "pressure")
    assert set(features.GROUPS["oxygen"]).isdisjoint(features.GROUPS["pressure"])
    everyone = (surprise.max(axis=1) + lift_of(measured(*features.GROUPS)) > threshold).mean()
    watch = (surprise[:, :2].max(axis=1) + lift_of(few) > threshold).mean()

    assert 0.8 < watch / everyone < 1.05  # a little less: some of their columns are of a third group, too


def test_one_row_alone_and_in_bulk_gain_the_same_to_the_bit(tiny_monitor: Monitor):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, len(features.NAMES))).astype(np.float32)
    x[rng.random(x.shape) < rng.random((60, 1))] = 0.0
    x[:, ASLEEP] = 0.0
    judged, detector = rng.random(60) < 0.8, tiny_monitor.detector
    _, bulk = detector.advance(detector.begin(), x, judged)
    kept, alone = detector.begin(), []
    for i in range(60):
        kept, one = detector.advance(kept, x[i : i + 1], judged[i : i + 1])
        alone.append(one)

    np.testing.assert_array_equal(bulk.known, [one.known.item() for one in alone])
    np.testing.assert_array_equal(bulk.probability, [one.probability.item() for one in alone])
    np.testing.assert_array_equal(bulk.p_value, [one.p_value.item() for one in alone])
    np.testing.assert_array_equal(bulk.unusual, [one.unusual.item() for one in alone])
    assert bulk.group.tolist() == [one.group.item() for one in alone]


def test_a_row_that_cannot_be_judged_has_no_score(tiny_monitor: Monitor):
    x = np.zeros((2, len(features.NAMES)), np.float32)
    scores = scored(tiny_monitor.detector, x, np.asarray([True, False]))

    assert [False, True] == np.isnan(scores.unusual).tolist()
    assert [False, True] == np.isnan(scores.p_value).tolist()


def test_what_is_more_unusual_is_rarer(tiny_monitor: Monitor):
    x = np.zeros((3, len(features.NAMES)), np.float32)
    x[1:, :20] = [[2.0], [6.0]]
    scores = scored(tiny_monitor.detector, x, np.ones(3, bool))

    assert scores.unusual[0] < scores.unusual[1] <= scores.unusual[2]
    assert 1 >= scores.p_value[0] > scores.p_value[2] > 0


def test_the_rarer_of_both_channels_counts(tiny_monitor: Monitor):
    quiet, surer = (judged(tiny_monitor, margin).p_value[0] for margin in (-20.0, 20.0))

    assert quiet > surer


def test_the_kind_that_is_rarest_at_its_margin_is_named(tiny_monitor: Monitor):
    kinds = len(tiny_monitor.detector.calibration.kinds)
    margin = np.full(kinds, -20.0)
    margin[1] = 20.0

    assert 1 == judged(tiny_monitor, *margin).kind[0]
    assert judged(tiny_monitor, *margin).known[0] > judged(tiny_monitor, *np.full(kinds, -20.0)).known[0]


def test_without_heads_there_is_no_known_score(tiny_monitor: Monitor):
    told = {
        **tiny_monitor.detector.calibration.to_json(),
        "level": None,
        "known_rarity": None,
        "either_rarity": None,
        "chance": [],
        "known_threshold": None,
    }
    quiet = Fixed(score=np.zeros((1, len(features.GROUPS)), np.float32))
    detector = Detector(quiet, None, Calibration.from_json(told))
    scores = scored(detector, np.zeros((1, len(features.NAMES)), np.float32), np.ones(1, bool))

    assert np.isnan([scores.known[0], scores.probability[0]]).all()
    assert -1 == scores.kind[0]


def judged(monitor: Monitor, *margin: float) -> Scores:
    """Return the scores of one quiet row with the margins of every kind (the same for all, if one is given)."""
    calibration = monitor.detector.calibration
    kinds = np.broadcast_to(np.asarray(margin, np.float32), (1, len(calibration.kinds)))
    forest = Fixed(score=np.zeros((1, len(features.GROUPS)), np.float32))
    heads = Fixed(margin=kinds, probability=np.asarray([0.5], np.float32))
    x = np.zeros((1, len(features.NAMES)), np.float32)
    return scored(Detector(forest, heads, calibration), x, np.ones(1, bool))


def scored(detector: Detector, x: np.ndarray, assessable: np.ndarray) -> Scores:
    """Return the scores of rows, each for itself."""
    rows = [detector.advance(detector.begin(), x[i : i + 1], assessable[i : i + 1])[1] for i in range(len(x))]
    return Scores(*(np.concatenate([getattr(one, name) for one in rows]) for name in Scores.__dataclass_fields__))


def test_a_calibration_survives_json(tiny_monitor: Monitor):
    calibration = tiny_monitor.detector.calibration
    again = Calibration.from_json(calibration.to_json())

    assert calibration.to_json() == again.to_json()
    assert calibration.known_threshold == pytest.approx(again.known_threshold)


def test_without_labels_the_known_channel_never_fires(tiny_monitor: Monitor):
    told = {**tiny_monitor.detector.calibration.to_json(), "known_threshold": None, "known_rarity": None}

    assert float("inf") == Calibration.from_json(told).known_threshold

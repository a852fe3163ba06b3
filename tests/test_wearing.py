"""What is worn decides which heads judge a row and on which scale, the same for one row and for many."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tiny import somebody
from vitalwatch import features, wearing
from vitalwatch.bundle import Bundle, load
from vitalwatch.explaining import SENSOR_FEATURES, SENSORS, SIGNALS, shares
from vitalwatch.monitor import Monitor
from vitalwatch.runtime import Model
from vitalwatch.scoring import ASLEEP, Scales
from vitalwatch.tables import Floats, Readings

BREATHING = wearing.BREATHING
EFFORT = ("heart_rate", "steps", "intensity", "sleep")
RING = (*EFFORT, "heart_rate_variability_rmssd", "body_temperature")


def worn(*names: str) -> Readings:
    """Return two days of a synthetic person who wears nothing else."""
    made = somebody(1).readings.rows(slice(0, 576))
    return Readings(made.person, made.time, made.offset, {name: made.values[name] for name in names})


def rows(seed: int = 3, count: int = 60) -> np.ndarray:
    """Return features of chance of which every third row lacks breathing, and every third all that few wear."""
    x = np.random.default_rng(seed).normal(size=(count, len(features.NAMES))).astype(np.float32)
    for which in (wearing.WITHOUT_BREATHING, wearing.FEW):
        x[which::3] = wearing.reduced(x[which::3], which)
    return x


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((*RING, "respiratory_rate"), wearing.WITH_BREATHING),
        (RING, wearing.WITHOUT_BREATHING),
        (EFFORT, wearing.FEW),
        ((*EFFORT, "oxygen_saturation", "heart_rate_spread"), wearing.FEW),
    ],
)
def test_what_was_measured_within_the_day_tells_the_wearing(
    tiny_monitor: Monitor, names: tuple[str, ...], expected: int
):
    found = wearing.wearing_of(tiny_monitor.features(worn(*names)))

    assert [expected] == np.unique(found[72:]).tolist()  # six hours: a day's mean needs a quarter of its rows


def test_one_row_and_many_have_the_same_wearing():
    x = rows()
    expected = [row % 3 for row in range(len(x))]

    assert expected == wearing.wearing_of(x).tolist()
    assert expected == [wearing.wearing_of_one(row != 0.0) for row in x]


def test_a_single_measured_column_of_breathing_is_breathing_and_one_of_another_is_not():
    x = np.zeros((2, len(features.NAMES)), np.float32)
    x[0, features.NAMES.index("respiratory_rate_mean_1440min")] = 0.1
    x[1, features.NAMES.index("blood_pressure_systolic_mean_180min")] = 0.1

    assert [wearing.WITH_BREATHING, wearing.WITHOUT_BREATHING] == wearing.wearing_of(x).tolist()


class Named:
    """Heads that answer every row with a number of theirs."""

    def __init__(self, number: float) -> None:
        self.number = number

    def run(self, *, x: np.ndarray) -> dict[str, np.ndarray]:
        return {"margin": x[:, :2] + self.number, "probability": x[:, 0] * self.number}


def test_each_row_of_a_batch_is_answered_by_the_heads_of_its_wearing():
    x = rows()
    told = wearing.Heads(Named(100.0), Named(-100.0)).run(x=x)
    number = np.where(wearing.wearing_of(x) == wearing.FEW, -100.0, 100.0).astype(np.float32)

    assert np.array_equal(x[:, :2] + number[:, None], told["margin"])
    assert np.array_equal(x[:, 0] * number, told["probability"])


def test_rows_of_every_wearing_score_the_same_alone_and_in_bulk(tiny_monitor: Monitor):
    x, judged, detector = rows(), np.ones(60, np.bool_), tiny_monitor.detector
    _, bulk = detector.advance(detector.begin(), x, judged)
    kept, alone = detector.begin(), []
    for row in range(60):
        kept, one = detector.advance(kept, x[row : row + 1], judged[row : row + 1])
        alone.append(one)

    assert bulk.known.tolist() == [one.known.item() for one in alone]
    assert bulk.probability.tolist() == [one.probability.item() for one in alone]
    assert bulk.p_value.tolist() == [one.p_value.item() for one in alone]


def test_whoever_wears_few_sensors_is_told_reasons_of_the_heads_that_judged(tiny_monitor: Monitor):
    one = worn(*EFFORT)
    answers, row = tiny_monitor.answer(one, forecast=False), 500
    found = tiny_monitor.reasons(answers, row)
    x = tiny_monitor.features(one)[row : row + 1]
    head = tiny_monitor.detector.calibration.kinds.index(found.kind)

    told = found.base + sum(adds for _, adds in found.kind_by_feature)
    assert tiny_monitor.detector.by_kind(x)[0, head] == pytest.approx(told, abs=1e-4)
    unseen = {features.NAMES[i] for i in wearing.UNSEEN[wearing.FEW]}
    assert all(adds == 0.0 for name, adds in found.kind_by_feature if name in unseen)


BREATH = SENSORS.index((SIGNALS.index("respiratory_rate"),))


def with_and_without_breath() -> tuple[Floats, Floats]:
    """Return rows of chance of somebody who wears few sensors and breathing, and these with breathing at its usual."""
    x = 2.0 * rows()
    x[:, wearing.UNSEEN[wearing.FEW]] = 0.0
    usual = x.copy()
    x[:, SENSOR_FEATURES[BREATH]] = np.random.default_rng(4).normal(size=(len(x), len(SENSOR_FEATURES[BREATH])))
    return x, usual


def test_what_breathing_adds_is_the_difference_of_one_head_on_one_scale(
    tiny_bundle: tuple[Path, Path], tiny_monitor: Monitor
):
    whole = Model(load(tiny_bundle[0], [tiny_bundle[1]]).files[wearing.WHOLE_FILE])
    scale, rows = Scales(tiny_monitor.detector.calibration.level), with_and_without_breath()
    same = np.full(len(rows[0]), wearing.WITH_BREATHING)
    there, left = (scale.look_up(whole.run(x=x)["margin"], same) for x in rows)
    kinds = range(there.shape[1])
    detector = tiny_monitor.detector
    told = [[shares(x[None], detector.known_of, kind)[BREATH] for kind in kinds] for x in rows[0]]

    assert (there - left).ravel().tolist() == pytest.approx(np.ravel(told).tolist())
    elsewhere = detector.level(detector.by_kind(rows[1]), rows[1])
    assert np.abs(elsewhere - left).max() > 0.1, "few sensors have the same scores, so this test cannot fail"


def test_what_breathing_adds_to_surprise_gains_nothing_for_groups_that_are_as_usual(tiny_monitor: Monitor):
    detector, rows = tiny_monitor.detector, with_and_without_breath()
    scale, asleep = Scales(detector.calibration.surprise), rows[0][:, ASLEEP] > 0
    there, left = (scale.look_up(detector.by_group(x), asleep) for x in rows)
    groups = range(len(features.GROUPS))
    told = [[shares(x[None], detector.unusual_of, group)[BREATH] for group in groups] for x in rows[0]]

    assert (there - left).ravel().tolist() == pytest.approx(np.ravel(told).tolist(), abs=1e-6)
    assert (there - left).max() > 0.1


def leveling_soon(bundle: Bundle, alike: list[float]) -> Monitor:
    """Return a monitor with own levels from the second day on, on which wearings' quiet blocks count for so much."""
    told = {name: json.loads(bundle.files[f"{name}.json"]) for name in ("settings", "calibration")}
    told["settings"]["own_level"]["after_days"] = 1
    told["calibration"]["known_alike"] = alike
    return Monitor(
        bundle.files | {f"{name}.json": json.dumps(data).encode() for name, data in told.items()}, bundle.card
    )


def test_own_levels_count_the_quiet_blocks_of_few_sensors_as_they_do_alone_and_in_bulk(tiny_bundle: tuple[Path, Path]):
    bundle, one = load(tiny_bundle[0], [tiny_bundle[1]]), worn(*EFFORT)
    alike, plain = (leveling_soon(bundle, told) for told in ([1.0, 1.0, 3.0], [1.0, 1.0, 1.0]))
    bulk = alike.answer(one, forecast=False).own_level[:, 1]
    state, alone = alike.begin(one.person), []
    for row in range(len(one)):
        state, answers = alike.advance(state, one.rows(slice(row, row + 1)), forecast=False)
        alone += answers.own_level[:, 1].tolist()

    assert bulk.tolist() == alone
    assert bulk[-1] > plain.answer(one, forecast=False).own_level[-1, 1]


def test_quiet_blocks_of_few_sensors_never_lower_what_an_alarm_needs(tiny_bundle: tuple[Path, Path]):
    bundle = load(tiny_bundle[0], [tiny_bundle[1]])
    quiet = leveling_soon(bundle, [0.01, 0.01, 0.01])
    few, more = (quiet.answer(worn(*EFFORT, *some), forecast=False).own_level for some in ((), BREATHING))

    assert few[:, 1].min() == 1.0
    assert more[:, 1].min() < 1.0

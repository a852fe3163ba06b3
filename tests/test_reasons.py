"""Why a row scores as it does: a channel that alone was moved is named first, by every view, for every vital."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiny import ROOT, small_settings, somebody, train_tiny
from vitalwatch import attribution, features, synthetic
from vitalwatch.bundle import load
from vitalwatch.monitor import Monitor
from vitalwatch.runtime import Model
from vitalwatch.settings import load_settings
from vitalwatch.synthetic import SyntheticPerson
from vitalwatch.synthetic.single_channel import INJECTIONS, Injection, inject
from vitalwatch.tables import DAY, MINUTE, Answers

PEOPLE, DAYS, FROM_DAY = 16, 12, 9
CHANNELS = tuple(dict.fromkeys(what.channel for what in INJECTIONS))
ASKED = 0.9


def quiet(index: int) -> SyntheticPerson:
    """Return somebody without episodes and sensor faults, whom the small bundle never saw."""
    settings = small_settings()
    calm = settings.params.synthetic.model_copy(update={"prevalence": "natural", "natural_share": 0.0, "faults": 0.0})
    return synthetic.person(index, settings.schema, calm, settings.params.seed + 1000, days=DAYS)


@pytest.fixture(scope="module")
def monitor() -> Monitor:
    """A monitor with forests as in params.yaml and nearly as many people behind it: the small bundle is too crude."""
    real = load_settings(ROOT, environment="base").params.detector
    settings = small_settings()
    detector = settings.params.detector.model_copy(update={"trees": real.trees, "sample": real.sample})
    params = settings.params.model_copy(update={"detector": detector})
    files, card = train_tiny(replace(settings, params=params), learners=84, calibrators=30)
    return Monitor(files, card)


@pytest.fixture(scope="module")
def people() -> list[SyntheticPerson]:
    return [quiet(index) for index in range(PEOPLE)]


def worn_start(one: SyntheticPerson, what: Injection, rng: np.random.Generator) -> int:
    """Return a moment from which nine of ten steps have a heart rate, and half of the hours a value of the channel."""
    known, time = np.isfinite(one.readings.column("heart_rate")), one.readings.time
    measured = np.isfinite(one.readings.column(what.channel))
    while True:
        start = int(time[0]) + FROM_DAY * DAY + int(rng.integers(0, (DAYS - FROM_DAY - 1) * 288)) * 5 * MINUTE
        inside = (time >= start) & (time < start + what.hours * 60 * MINUTE)
        if (inside & known).sum() >= 0.9 * what.hours * 12 and (inside & measured).sum() >= 0.5 * what.hours:
            return start


def moved(monitor: Monitor, one: SyntheticPerson, what: Injection, seed: int) -> tuple[Answers, int]:
    """Return the answers after an injection, and its last row."""
    rng = np.random.default_rng([seed, INJECTIONS.index(what)])
    start = worn_start(one, what, rng)
    readings = inject(one.readings, what, start, monitor.schema, rng)
    answers = monitor.answer(readings, one.profile, forecast=False)
    return answers, int(np.searchsorted(answers.time, start + what.hours * 60 * MINUTE)) - 1


@pytest.mark.slow
@pytest.mark.parametrize("channel", CHANNELS)
def test_the_channel_that_was_moved_is_named_first(
    monitor: Monitor, people: list[SyntheticPerson], channel: str
) -> None:
    by_score, by_size = [], []
    for seed, one in enumerate(people):
        for what in (what for what in INJECTIONS if what.channel == channel):
            answers, row = moved(monitor, one, what, seed)
            by_score.append(monitor.reasons(answers, row, one.profile).group_by_sensor[0][0] in what.columns)
            if channel in answers.vitals:
                by_size.append(answers.vitals[int(np.abs(answers.contribution[row]).argmax())] == channel)

    assert np.mean(by_score) >= ASKED
    assert np.mean(by_size or [1.0]) >= ASKED


def test_both_views_of_a_head_tell_of_the_same_row(tiny_bundle: tuple[Path, Path], tiny_monitor: Monitor) -> None:
    one = somebody(1).readings.rows(slice(0, 700))
    answers, row = tiny_monitor.answer(one, forecast=False), 650
    found = tiny_monitor.reasons(answers, row)
    here = load(tiny_bundle[0], [tiny_bundle[1]])
    margin = Model(here.files["known.onnx"]).run(x=tiny_monitor.features(one)[row : row + 1])["margin"]

    score = Model(here.files["forest.onnx"]).run(x=tiny_monitor.features(one)[row : row + 1])["score"]
    group = list(features.GROUPS).index(found.group)
    told = found.group_base + sum(adds for _, adds in found.group_by_feature)
    assert np.log2(score[0, group]) == pytest.approx(told, abs=1e-4)
    outside = set(range(len(features.NAMES))) - set(features.GROUPS[found.group])
    assert all(adds == 0 for name, adds in found.group_by_feature if features.NAMES.index(name) in outside)

    head = tiny_monitor.detector.calibration.kinds.index(found.kind)
    assert margin[0, head] == pytest.approx(found.base + sum(adds for _, adds in found.kind_by_feature), abs=1e-4)
    assert set(features.NAMES) == {name for name, _ in found.kind_by_feature}
    sizes = [abs(adds) for _, adds in found.kind_by_feature]
    assert sorted(sizes, reverse=True) == sizes


def test_a_row_in_the_midst_of_a_stream_has_the_same_reasons(tiny_monitor: Monitor) -> None:
    one = somebody(1).readings.rows(slice(0, 700))
    whole = tiny_monitor.answer(one, forecast=False)
    state, _ = tiny_monitor.advance(tiny_monitor.begin(one.person), one.rows(slice(0, 600)), forecast=False)
    _, rest = tiny_monitor.advance(state, one.rows(slice(600, None)), forecast=False)

    assert tiny_monitor.reasons(whole, 650) == tiny_monitor.reasons(rest, 650 - (len(whole) - len(rest)), state=state)


OURS = (attribution.FILE, attribution.FOREST_FILE)


def test_a_bundle_from_before_has_the_first_view_alone(tiny_bundle: tuple[Path, Path]) -> None:
    here = load(tiny_bundle[0], [tiny_bundle[1]])
    before = Monitor({name: data for name, data in here.files.items() if name not in OURS}, here.card)
    found = before.reasons(before.answer(somebody(1).readings.rows(slice(0, 300)), forecast=False), 290)

    assert () == found.kind_by_feature == found.group_by_feature
    assert found.kind_by_sensor

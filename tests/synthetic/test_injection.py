"""Episodes put into recordings: where they are told to be, measured well enough, and nothing else is touched."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vitalwatch.stages.realism import wearers
from vitalwatch.synthetic import person
from vitalwatch.synthetic.injection import ENROL, FREE, KINDS, injected

NOW = 1_790_000_000_000


@pytest.fixture(scope="module")
def one(settings):
    return person(3, settings.schema, settings.params.synthetic, 5).readings


def test_each_kind_moves_the_heart_rate_its_own_way_and_nothing_else(one, settings):
    changed, events = injected(one, np.random.default_rng(1))
    heart, before = (x.column("heart_rate").astype(float) for x in (changed, one))
    moved = {e.kind: np.nanmean((heart - before)[(one.time >= e.start) & (one.time < e.end)]) for e in events}

    assert set(KINDS) == set(moved)
    assert moved["resting_tachycardia"] > 8
    assert moved["fever"] > 4
    assert moved["bradycardia"] < -5
    assert moved["chronotropic_incompetence"] < -3
    outside = np.ones(len(one), bool)
    for event in events:
        outside &= (one.time < event.start) | (one.time >= event.end)
    np.testing.assert_allclose(before[outside], heart[outside], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(before), np.isnan(heart))
    for name in settings.schema.names:
        if name != "heart_rate":
            np.testing.assert_array_equal(one.column(name), changed.column(name))


def test_episodes_lie_apart_after_enrolment_and_the_seed_decides_where(one):
    _, events = injected(one, np.random.default_rng(2), each=2)
    _, again = injected(one, np.random.default_rng(2), each=2)

    assert again == events
    assert events[0].start >= one.time[0] + ENROL
    for before, after in pairwise(events):
        assert after.start - before.end >= FREE


def test_a_recording_that_is_too_short_gets_none(one):
    assert () == injected(one.rows(slice(0, 288 * 6)), np.random.default_rng(1))[1]


@pytest.mark.slow
def test_real_wearers_take_every_kind(real_data: Path, settings):
    folder = real_data / "fitabase"
    if not folder.is_dir():
        pytest.skip(f"no fitabase in {real_data.name}; set VITALWATCH_REAL_DATA to the folder that has it")
    people = wearers(folder, settings, NOW)
    kinds = {event.kind for one in people for event in injected(one, np.random.default_rng(1))[1]}

    assert 4 == len(people)
    assert set(KINDS) == kinds

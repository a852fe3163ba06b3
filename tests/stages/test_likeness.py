"""A classifier between real and synthetic wearers: blind between equals, sharp where they differ."""

from dataclasses import replace

import numpy as np
import pytest

from vitalwatch.stages import likeness
from vitalwatch.synthetic import person
from vitalwatch.synthetic.realism import course

PEOPLE = 32  # among fewer a trait that few have tells the halves apart, or mixes them up, by chance


@pytest.fixture(scope="module")
def crowd(settings):
    params = settings.params.synthetic
    return [course(person(i, settings.schema, params, 3, days=8).readings, 5) for i in range(PEOPLE)]


def test_people_of_the_same_simulation_are_told_apart_no_better_than_by_chance(crowd):
    found = likeness.told_apart(crowd[::2], crowd[1::2], 1, 1)["auroc"]

    assert found["low"] < 0.5 < found["high"]


def test_noise_in_place_of_a_heart_rate_gives_itself_away(crowd):
    rng = np.random.default_rng(1)
    noise = [
        replace(one, heart=np.where(np.isfinite(one.heart), rng.normal(75, 10, len(one.heart)), np.nan))
        for one in crowd
    ]

    found = likeness.told_apart(crowd[::2], noise[1::2], 1, 1)

    assert found["auroc"]["low"] > 0.95
    assert {"real": 16, "synthetic": 16} == found["people"]


def test_windows_with_unknown_hours_are_left_out(crowd):
    one = crowd[0]
    half = replace(one, heart=np.where(np.arange(len(one.heart)) < len(one.heart) // 2, np.nan, one.heart))

    assert 0 < len(likeness.windows(half)) < len(likeness.windows(one))
    assert (0, len(likeness.NAMES)) == likeness.windows(replace(one, heart=np.full(len(one.heart), np.nan))).shape


def test_windows_without_a_count_of_steps_are_left_out(crowd):
    """An export of steps may end before that of the heart rate: nobody stood still for that."""
    one = crowd[0]
    half = replace(one, steps=np.where(np.arange(len(one.steps)) < len(one.steps) // 2, np.nan, one.steps))

    assert 0 < len(likeness.windows(half)) < len(likeness.windows(one))

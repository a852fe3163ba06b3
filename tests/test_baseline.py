"""What is normal for one person: medians of completed days, the population where own days are few."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch.baseline import (
    LEAST_SPREAD,
    MAD_TO_SD,
    SIGNALS,
    Day,
    Normal,
    median,
    own,
    population,
    summarise,
    with_day,
)
from vitalwatch.params import Baseline

CHOSEN = Baseline(
    enrolment_days=7, days_back=10, days_skip=2, shrink_days=3.0, min_rows=12, suspect_z=0.8, frozen_days=3
)
S = len(SIGNALS)
NORMAL = Normal(np.zeros((3, S, 5)), np.full((3, S), 60.0), np.full((3, S), 8.0), np.asarray([7000.0, 3000.0]))
NAN = float("nan")


def day(date: int, centre: float, steps: float = 5000.0, spread: float = 2.0) -> Day:
    return Day(date, np.full((3, S), centre), np.full((3, S), spread), steps)


def test_the_median_leaves_out_what_was_not_measured():
    middle, count = median(np.asarray([[1.0, NAN, NAN], [3.0, 5.0, NAN], [2.0, 9.0, NAN]]))

    assert [2.0, 7.0, NAN] == pytest.approx(middle.tolist(), nan_ok=True)
    assert [3, 2, 0] == count.tolist()


@pytest.mark.parametrize("shape", [(1, 4), (7, 3), (6, 3, 5)])
def test_the_median_is_numpys(shape: tuple[int, ...]):
    rows = np.random.default_rng(1).normal(size=shape)
    rows[0].flat[0] = NAN
    with np.errstate(all="ignore"):
        expected = np.nanmedian(rows, axis=0) if shape[0] > 1 else rows[0]

    assert np.allclose(expected, median(rows)[0], equal_nan=True)


def test_a_stranger_is_judged_by_the_population():
    stranger = own([], 5, NORMAL, CHOSEN)

    assert 0 == stranger.days
    assert (60.0, 8.0, 7000.0) == (stranger.centre[0, 0], stranger.spread[0, 0], stranger.steps)
    assert population(NORMAL).usual.tolist() == stranger.usual.tolist()


def test_own_days_count_more_the_more_there_are():
    levels = [own([day(d, 50.0) for d in range(n)], n + 1, NORMAL, CHOSEN).centre[0, 0] for n in range(1, 8)]

    assert [60 - 10 * n / (n + 3) for n in range(1, 8)] == pytest.approx(levels)


def test_the_last_days_are_left_out_so_that_an_illness_does_not_become_normal():
    well = [day(d, 50.0) for d in range(6)]
    ill = [day(d, 90.0) for d in (6, 7)]

    assert own(well, 8, NORMAL, CHOSEN).centre[0, 0] > 50
    # on day 8 the days up to 6 count, and one ill day among seven does not move a median
    assert own([*well, *ill], 8, NORMAL, CHOSEN).centre[0, 0] < 56
    assert own([day(7, 90.0)], 8, NORMAL, CHOSEN).days == 0


def test_days_long_ago_do_not_count():
    assert 0 == own([day(0, 50.0)], 11, NORMAL, CHOSEN).days
    assert 1 == own([day(1, 50.0)], 11, NORMAL, CHOSEN).days


def test_a_spread_is_never_below_what_a_sensor_can_tell():
    still = own([day(d, 50.0, spread=0.0) for d in range(300)], 10, Normal(*_narrow()), CHOSEN)

    assert (LEAST_SPREAD <= still.spread + 1e-12).all()


def _narrow() -> tuple[np.ndarray, ...]:
    return np.zeros((3, S, 5)), np.full((3, S), 60.0), np.full((3, S), 1e-6), np.asarray([7000.0, 3000.0])


def test_a_day_is_the_median_and_the_scaled_deviation_by_context():
    signal = np.full((100, S), NAN)
    signal[:40, 0] = [50, 52] * 20
    context = np.repeat(np.asarray([0, 1], np.int8), [40, 60])
    told = summarise(3, context, signal, np.full(100, 10.0), CHOSEN, 288)

    assert (51.0, MAD_TO_SD) == pytest.approx((told.centre[0, 0], told.spread[0, 0]))
    assert np.isnan(told.centre[1]).all()
    assert np.isnan(told.steps)  # fewer than half of a day's rows


def test_a_context_with_too_few_rows_does_not_count():
    signal = np.full((11, S), 60.0)
    told = summarise(3, np.zeros(11, np.int8), signal, np.full(11, 0.0), CHOSEN, 288)

    assert np.isnan(told.centre[0, 0])
    assert 60 == told.centre[0, SIGNALS.index("blood_pressure_systolic")]  # a cuff measures rarely


def test_a_normal_survives_json():
    assert NORMAL.to_json() == Normal.from_json(NORMAL.to_json()).to_json()


WELL = [day(d, 50.0) for d in range(10)]
KNOWN = own(WELL, 11, NORMAL, CHOSEN)


def feverish(date: int) -> Day:
    return day(date, float(KNOWN.centre[0, 0] + 2 * KNOWN.spread[0, 0]))


def test_a_day_like_an_infection_says_nothing_of_what_is_normal():
    days = with_day(tuple(WELL), feverish(10), KNOWN, CHOSEN)
    well = with_day(tuple(WELL), day(10, 50.5), KNOWN, CHOSEN)

    assert [False] * 10 + [True] == [one.suspect for one in days]
    assert not well[-1].suspect
    assert own(WELL[3:], 12, NORMAL, CHOSEN).centre[0, 0] == own(days[3:], 12, NORMAL, CHOSEN).centre[0, 0]


def test_an_older_day_counts_in_the_place_of_one_like_an_infection():
    frozen = (*with_day(tuple(WELL[:8]), feverish(8), KNOWN, CHOSEN), *WELL[9:])

    assert own(WELL, 11, NORMAL, CHOSEN).days == own(frozen, 11, NORMAL, CHOSEN).days


def test_what_lasts_is_normal_in_the_end():
    days = tuple(WELL)
    for date in (10, 11, 12):
        days = with_day(days, feverish(date), KNOWN, CHOSEN)

    assert not any(one.suspect for one in days)
    assert with_day(days, feverish(13), KNOWN, CHOSEN)[-1].suspect  # still far from the normal of before


def test_one_vital_alone_is_no_infection():
    ill = feverish(10)
    centre = np.full_like(ill.centre, NAN)
    centre[:, 0] = ill.centre[:, 0]

    assert not with_day(tuple(WELL), Day(10, centre, ill.spread, 5000.0), KNOWN, CHOSEN)[-1].suspect

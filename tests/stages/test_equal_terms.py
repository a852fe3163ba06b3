"""Lines on the terms of our channels: a scale by state, own levels, thresholds that new people keep to."""

from __future__ import annotations

import numpy as np
import pytest

from tiny import small_settings
from vitalwatch.metrics.budget import Cohort, Track
from vitalwatch.metrics.events import Rule
from vitalwatch.settings import Settings
from vitalwatch.stages import equal_terms
from vitalwatch.stages.equal_terms import People
from vitalwatch.tables import DAY, MINUTE

ROWS, DAYS, STEP = 288, 24, 5 * MINUTE


@pytest.fixture(scope="module")
def settings() -> Settings:
    return small_settings()


def people(settings: Settings, count: int) -> People:
    """Return people who sleep a third of each day and have no episodes."""
    time = np.arange(ROWS * DAYS, dtype=np.int64) * STEP + 20_000 * DAY
    cohort = Cohort([Track(time, float(DAYS)) for _ in range(count)], Rule.of_params(settings.params.alarms, STEP))
    n = count * ROWS * DAYS
    return People.of(cohort, np.arange(n) % ROWS < ROWS // 3, np.ones(n, np.bool_), settings)


def lasting(rng: np.random.Generator, who: People) -> np.ndarray:
    """Return a score that lasts an hour at a time, (n,)."""
    return np.repeat(rng.gamma(2.0, size=len(who.asleep) // 12), 12)


def rate(who: People, score: np.ndarray, threshold: float, rows: np.ndarray) -> float:
    """Return alarms a person-day among some rows."""
    levels = who.cohort.levels(np.split(np.where(rows, score, np.nan), len(who.cohort.tracks)))
    return who.cohort.false_rate(levels, threshold)


def test_a_line_has_as_many_false_alarms_asleep_as_awake_whatever_its_scale_there(settings):
    rng = np.random.default_rng(1)
    held, judged = people(settings, 20), people(settings, 20)
    mine, theirs = (lasting(rng, who) * np.where(who.asleep, 1.0, 3.0) for who in (held, judged))
    score, threshold = equal_terms.served(held, judged, (mine, theirs), 0.5, settings)
    asleep, awake = (rate(judged, score, threshold, rows) for rows in (judged.asleep, ~judged.asleep))

    assert 0.25 < asleep / awake < 1.0  # a third of the day is sleep
    assert 0.5 == pytest.approx(rate(judged, score, threshold, np.ones(len(score), np.bool_)), rel=0.4)


def test_whose_quiet_days_score_high_is_judged_on_their_own_level(settings):
    rng = np.random.default_rng(2)
    held, judged = people(settings, 20), people(settings, 2)
    mine, theirs = lasting(rng, held), lasting(rng, judged)
    theirs[len(theirs) // 2 :] *= 1.5
    score, _ = equal_terms.served(held, judged, (mine, theirs), 0.5, settings)
    late = np.arange(len(theirs)) % (ROWS * DAYS) >= 20 * ROWS
    second = np.arange(len(theirs)) >= len(theirs) // 2
    early = np.arange(len(theirs)) % (ROWS * DAYS) < 5 * ROWS

    assert score[second & late].mean() / score[~second & late].mean() < (
        score[second & early].mean() / score[~second & early].mean()
    )


def test_rows_near_an_episode_teach_no_scale(settings):
    rng = np.random.default_rng(3)
    whole = people(settings, 10)
    far = np.ones(len(whole.asleep), np.bool_)
    far[ROWS : 2 * ROWS] = False
    held = People.of(whole.cohort, whole.asleep, far, settings)
    mine = lasting(rng, held)
    wild = np.where(far, mine, mine + 50.0)
    mild = equal_terms.served(held, whole, (mine, mine), 0.5, settings)[0]

    assert not held.far[2 * ROWS]  # a mean still holds rows of the episode
    wilder = equal_terms.served(held, whole, (wild, mine), 0.5, settings)[0]
    quiet = np.arange(len(mine)) % (ROWS * DAYS) < 5 * ROWS  # before own levels hold
    assert np.array_equal(mild[quiet], wilder[quiet])


def test_a_line_that_says_nothing_of_calibration_people_never_alarms(settings):
    held = people(settings, 3)
    nothing = np.full(len(held.asleep), np.nan)
    score, threshold = equal_terms.served(held, held, (nothing, np.ones(len(nothing))), 0.5, settings)

    assert np.isnan(score).all()
    assert np.inf == threshold

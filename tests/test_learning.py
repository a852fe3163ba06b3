"""What is normal is learnt from training people: centres, spreads, slopes, and what a moment adds to a heart rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import small_settings
from training_world import A_DAY, STEP, asleep, grid, walks
from vitalwatch import features, learning
from vitalwatch.baseline import LEAST_SPREAD, MAD_TO_SD, SIGNALS, Normal
from vitalwatch.features import ACTIVE, AT_REST, PERSON
from vitalwatch.features import ASLEEP as IN_SLEEP
from vitalwatch.learning import Person
from vitalwatch.runtime import Model
from vitalwatch.tables import Event, Grid, Profile

FOUR_DAYS = 4 * A_DAY
RATE, RESPIRATION, TEMPERATURE = 0, SIGNALS.index("respiratory_rate"), SIGNALS.index("body_temperature")


def normal_of(*grids: Grid) -> Normal:
    moments = [learning.moments_of(one, 5) for one in grids]
    return learning.learn_normal(grids, moments, [np.zeros(len(one), np.float32) for one in grids], 5)


def person_with(level: float, rng: np.random.Generator, *, sleeps: float = -10.0, moves: bool = True) -> Grid:
    """Somebody with this heart rate at rest, 12 higher while walking, and a spread of 3 bpm."""
    steps = walks(FOUR_DAYS, rng) * moves
    _, context = learning.moments_of(grid(rows=FOUR_DAYS, steps=steps, sleep=asleep(FOUR_DAYS)), 5)
    added = np.select([context == IN_SLEEP, context == ACTIVE], [sleeps, 12.0], 0.0)
    rate = level + added + rng.normal(0, 3, FOUR_DAYS)
    return grid(rows=FOUR_DAYS, steps=steps, sleep=asleep(FOUR_DAYS), heart_rate=rate)


def test_the_mean_person_is_the_centre_and_people_and_moments_both_count_as_spread():
    rng = np.random.default_rng(1)
    normal = normal_of(*(person_with(level, rng) for level in (58, 62, 64, 66, 70)))

    assert np.allclose([54, 64, 76], normal.centre[:, RATE], atol=0.6)
    assert np.allclose(np.hypot(3, MAD_TO_SD * 2), normal.spread[:, RATE], rtol=0.15)


def test_one_person_far_off_moves_what_strangers_are_told_but_not_the_middle_of_the_other_signals():
    warm, hot = (grid(rows=FOUR_DAYS, heart_rate=rate, body_temperature=rate / 2) for rate in (72.0, 78.0))
    normal = normal_of(warm, warm, hot)
    temperature = SIGNALS.index("body_temperature")

    assert 74 == pytest.approx(normal.centre[AT_REST, RATE], abs=0.1)
    assert 36 == pytest.approx(normal.centre[AT_REST, temperature], abs=0.1)


def test_a_first_day_that_comes_again_after_a_flight_west_counts_as_one_day():
    rows = grid(rows=FOUR_DAYS, heart_rate=60.0, steps=np.full(FOUR_DAYS, 10.0))
    minute = rows.minute.copy()
    minute[6:] = (minute[6:] - 60) % 1440  # an hour earlier from the sixth row on, so that it is the evening before
    west = replace(rows, minute=minute)

    assert west.date[0] > west.date[6]
    assert [2940, 2880, 2880] == learning._steps_by_day(west, A_DAY)[:3]  # half an hour twice, then whole days


def test_people_without_a_context_speak_for_the_others_only():
    rng = np.random.default_rng(2)
    normal = normal_of(person_with(60, rng), person_with(60, rng, moves=False), person_with(90, rng, moves=False))

    assert 70 == pytest.approx(normal.centre[AT_REST, RATE], abs=0.7)
    assert 72 == pytest.approx(normal.centre[ACTIVE, RATE], abs=0.7)


def test_a_context_that_nobody_had_borrows_from_rest():
    rng = np.random.default_rng(3)
    normal = normal_of(person_with(60, rng, moves=False), person_with(64, rng, moves=False))

    assert normal.centre[AT_REST, RATE] == normal.centre[ACTIVE, RATE]
    assert normal.spread[AT_REST, RATE] == normal.spread[ACTIVE, RATE]
    assert normal.centre[AT_REST, RATE] != normal.centre[IN_SLEEP, RATE]


def test_a_signal_that_nobody_had_is_a_healthy_adults():
    normal = normal_of(person_with(60, np.random.default_rng(4)))

    assert [97.0] * 3 == normal.centre[:, SIGNALS.index("oxygen_saturation")].tolist()
    assert [0.3] * 3 == normal.spread[:, TEMPERATURE].tolist()
    assert np.isfinite(normal.centre).all()
    assert (normal.spread >= LEAST_SPREAD).all()


def test_a_spread_is_never_below_what_a_sensor_can_resolve():
    still = grid(rows=FOUR_DAYS, sleep=asleep(FOUR_DAYS), heart_rate=60, body_temperature=36.6)
    normal = normal_of(still, still)

    assert LEAST_SPREAD[RATE] == normal.spread[AT_REST, RATE]
    assert LEAST_SPREAD[TEMPERATURE] == normal.spread[IN_SLEEP, TEMPERATURE]


def test_slopes_on_steps_and_clock_are_found_again():
    grids = []
    for number in range(3):
        rng = np.random.default_rng(number)
        steps, noise = walks(FOUR_DAYS, rng), rng.normal(0, 0.1, FOUR_DAYS)
        moment, _ = learning.moments_of(grid(rows=FOUR_DAYS, steps=steps, sleep=asleep(FOUR_DAYS)), 5)
        pace, clock = (moment[:, features.MOMENT.index(name)] for name in ("steps_15min", "clock_sin"))
        grids.append(
            grid(
                rows=FOUR_DAYS,
                steps=steps,
                sleep=asleep(FOUR_DAYS),
                heart_rate=70 + pace,
                respiratory_rate=14 + number + 0.06 * pace + noise,
                body_temperature=36.6 - 0.4 * clock + noise,
            )
        )
    slope = normal_of(*grids).slope
    on = {name: i for i, name in enumerate(features.DRIVERS)}

    assert 0.06 == pytest.approx(slope[ACTIVE, RESPIRATION, on["steps_15min"]], rel=0.05)
    assert 0.0 == pytest.approx(slope[ACTIVE, RESPIRATION, on["steps_60min"]], abs=0.004)
    assert -0.4 == pytest.approx(slope[AT_REST, TEMPERATURE, on["clock_sin"]], rel=0.1)
    assert not slope[:, RATE].any()  # the expectation tells what a moment adds to a heart rate


def test_usual_steps_are_those_of_days_worn_at_least_half():
    steps = np.repeat([10.0, 20.0, 30.0, 40.0, 50.0, 60.0], A_DAY)
    steps[5 * A_DAY + 100 :] = np.nan  # the last day was hardly worn
    median, spread = normal_of(grid(rows=6 * A_DAY, steps=steps, heart_rate=60.0)).steps

    assert 30 * A_DAY == median
    assert MAD_TO_SD * 10 * A_DAY == pytest.approx(spread)


def test_fewer_than_five_days_say_nothing_about_usual_steps():
    assert list(learning.FALLBACK_STEPS) == normal_of(grid(rows=FOUR_DAYS, steps=10.0, heart_rate=60.0)).steps.tolist()


def test_the_usual_person_is_the_middle_of_those_who_told():
    told = [Profile("a", age=30, sex="female"), Profile("b", age=50, sex="male", weight=80), Profile("c", age=40)]
    usual = dict(zip(PERSON, learning.usual_people(told).tolist(), strict=True))

    assert 40 == usual["age"]
    assert 0.5 == usual["female"]
    assert 80 == usual["weight"]
    assert 170 == usual["height"]  # nobody told: a middle adult


def test_people_who_told_nothing_are_middle_adults():
    assert np.array_equal(learning.FALLBACK_PERSON[:6], learning.usual_people([Profile("a"), Profile("b")])[:6])


def test_the_level_at_rest_leaves_walks_out_and_falls_back_where_rest_is_rare():
    context = np.repeat([AT_REST, ACTIVE], [300, 600]).astype(np.int8)
    rate = np.repeat([60.0, 100.0], [300, 600]).astype(np.float32)

    assert 60 == learning.resting_level(rate, context)
    assert 100 == learning.resting_level(rate[200:], context[200:])
    assert np.isnan(learning.resting_level(np.full(4, np.nan, np.float32), context[:4]))


def test_an_episode_holds_each_row_that_it_overlaps_and_grace_keeps_more_away():
    event = Event("a", "fever", start=3 * STEP + 1, end=5 * STEP)
    number, far = learning.episode_rows(grid(rows=9), [event], STEP, grace_ms=STEP)

    assert [-1, -1, -1, 0, 0, -1, -1, -1, -1] == number.tolist()
    assert [True, True, False, False, False, False, True, True, True] == far.tolist()


def world(people: int) -> list[Person]:
    """People whose heart rate is their own level and 0.4 bpm for each step a minute of the last quarter hour."""
    found = []
    for i in range(people):
        rng = np.random.default_rng(i)
        steps = walks(FOUR_DAYS, rng)
        moment, _ = learning.moments_of(grid(rows=FOUR_DAYS, steps=steps, sleep=asleep(FOUR_DAYS)), 5)
        rate = 55 + 5 * i + 0.4 * moment[:, features.MOMENT.index("steps_15min")] + rng.normal(0, 1, FOUR_DAYS)
        one = grid(f"p{i}", FOUR_DAYS, steps=steps, sleep=asleep(FOUR_DAYS), heart_rate=rate)
        found.append(Person(one, Profile(f"p{i}", age=30.0 + i)))
    return found


def test_what_activity_adds_to_a_heart_rate_is_learnt_and_who_is_who_is_not():
    everybody, params = world(5), small_settings().params
    chosen = params.regressor.model_copy(update={"rounds": 60})
    _, learnt = learning.learn(everybody[:4], chosen, params.baseline, 5, seed=1, threads=1)
    stranger = everybody[4]
    moment, context = learning.moments_of(stranger.grid, 5)
    lift = learning.lift(learnt.expectation, moment, features.person_row(stranger.profile, learnt.usual_person))
    truth = 0.4 * moment[:, features.MOMENT.index("steps_15min")]
    missed = (lift - lift[context == AT_REST].mean()) - (truth - truth[context == AT_REST].mean())

    assert 1 - missed.var() / truth.var() > 0.9
    assert 62.5 == pytest.approx(learnt.normal.centre[AT_REST, RATE], abs=2.5)


def test_learning_twice_gives_the_same_bytes():
    params = small_settings().params
    once, again = (learning.learn(world(2), params.regressor, params.baseline, 5, 1, 1) for _ in range(2))

    assert once[0] == again[0]
    assert once[1].normal.to_json() == again[1].normal.to_json()


def test_a_row_is_judged_without_what_came_later():
    params, everybody = small_settings().params, world(2)
    expectation, learnt = learning.learn(everybody, params.regressor, params.baseline, 5, 1, 1)
    one = everybody[0]
    whole = learning.rows_of(one, learnt, params.baseline, 5)
    early = learning.rows_of(Person(one.grid.rows(slice(700)), one.profile), learnt, params.baseline, 5)

    assert ("x",) == Model(expectation).inputs
    assert (FOUR_DAYS, len(features.NAMES)) == whole.features.shape
    assert np.isfinite(whole.features).all()
    assert np.array_equal(early.features, whole.features[:700])
    assert np.array_equal(early.z, whole.z[:700], equal_nan=True)

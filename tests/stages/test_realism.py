"""What the simulation is held against: own days, degrees of fever, its gate, and real people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import readings, small_settings
from vitalwatch.stages import transfer
from vitalwatch.stages.realism import LEAST_PEOPLE, realism_gate
from vitalwatch.synthetic import realism
from vitalwatch.synthetic.realism import Course
from vitalwatch.tables import DAY, MINUTE, Event, Readings

STEP = 5
A_DAY = 24 * 60 // STEP
GATES = small_settings().params.gates


def course(days: int, seed: int, slope: float = 0.5, noise: float = 0.0, level: float = 60.0) -> Course:
    """A person whose heart rate follows the pace of the moment and nothing else."""
    rng = np.random.default_rng(seed)
    n = days * A_DAY
    pace = np.where(rng.random(n) < 0.3, rng.uniform(0, 100, n), 0.0)
    heart = level + slope * pace + noise * rng.standard_normal(n)
    return Course(STEP, heart, pace * STEP, np.arange(n) * STEP % (24 * 60))


def test_after_a_week_a_heart_that_follows_activity_is_known_and_one_that_follows_nothing_is_not():
    follows, stubborn = (realism.of_person(course(14, 1, slope, noise)) for slope, noise in ((0.5, 0.0), (0.0, 9.0)))

    assert (1.0, 0.0) == pytest.approx((follows["own_days_r2"], follows["own_days_mae"]), abs=0.01)
    assert 0.0 == pytest.approx(stubborn["own_days_r2"], abs=0.02)
    assert 9.0 * np.sqrt(2 / np.pi) == pytest.approx(stubborn["own_days_mae"], rel=0.05)


def test_the_week_that_teaches_is_not_the_one_that_is_asked():
    """A heart that doubles its answer to effort after the first week: what was learnt there is wrong later."""
    one = course(14, 2)
    later = np.arange(len(one.heart)) >= 7 * A_DAY
    changed = replace(one, heart=np.where(later, one.heart + 0.5 * one.steps / STEP, one.heart))

    assert realism.of_person(changed)["own_days_r2"] < 0.8
    assert realism.of_person(one)["own_days_r2"] > 0.99


def test_of_people_together_more_is_told_than_of_each_as_their_levels_are_known():
    people = [course(14, seed, noise=9.0, level=50.0 + 10 * seed) for seed in range(4)]
    each = realism.means([realism.of_person(one) for one in people])["own_days_r2"]

    assert each + 0.1 < realism.pooled_r2(people) < 1
    assert np.isnan(realism.pooled_r2([course(8, 1)]))


def test_a_short_recording_tells_nothing_of_own_days():
    assert not {"own_days_mae", "own_days_r2"} & realism.of_person(course(11, 3)).keys()
    assert {"own_days_mae"} <= realism.means([realism.of_person(course(days, 3)) for days in (11, 13)]).keys()


def test_a_heart_that_is_up_without_steps_shows_in_quiet_half_hours_and_one_that_walks_does_not():
    """Two hours of 30 bpm more each day, on a bicycle and on foot."""
    minute, n = np.arange(4 * A_DAY) * STEP % (24 * 60), 4 * A_DAY
    up = (minute >= 15 * 60) & (minute < 17 * 60)
    heart, strolls = 60.0 + 30.0 * up, 250.0 * ((minute >= 9 * 60) & (minute < 10 * 60))
    cycles, walks = (
        Course(STEP, heart, strolls + pace * STEP * up, minute) for pace in (np.zeros(n), np.full(n, 20.0))
    )

    assert (30.0, 30.0) == tuple(realism.of_person(cycles)[f"quiet_half_hours_{share}"] for share in (90, 99))
    assert 0.0 == realism.of_person(walks)["quiet_half_hours_99"]
    assert not [name for name in realism.of_person(replace(walks, steps=walks.steps + 50)) if name.startswith("quiet")]


def test_how_far_people_differ_at_rest_needs_a_crowd():
    levels = np.random.default_rng(4).normal(65, 7.7, 60)
    people = [realism.of_person(course(2, i, level=float(level))) for i, level in enumerate(levels)]

    assert np.std(levels, ddof=1) == pytest.approx(realism.means(people)["still_heart_rate_sd"], rel=0.01)
    assert "still_heart_rate_sd" not in realism.means(people[:19])


def feverish(per_degree: float, breaths: float, degrees: float) -> tuple[Readings, tuple[Event, ...]]:
    n, start, end = 10 * A_DAY, 6 * DAY, 8 * DAY
    time = np.arange(n) * STEP * MINUTE
    ill = np.where((time >= start) & (time < end), degrees, 0.0)
    clock = np.sin(2 * np.pi * np.arange(n) / A_DAY)  # the time of day is not the fever's
    made = readings(
        heart_rate=(60 + 5 * clock + per_degree * ill).tolist(),
        respiratory_rate=(15 + clock + breaths * ill).tolist(),
        body_temperature=(36.6 + 0.3 * clock + ill).tolist(),
        steps=[0.0] * n,
    )
    first = int(made.time[0])
    return made, (Event(made.person, "fever", first + start, first + end),)


def test_a_degree_of_fever_adds_what_it_adds_whatever_the_hour_and_the_size():
    found = realism.per_degree([feverish(8.0, 2.0, 1.0), feverish(8.0, 2.0, 2.0)], STEP)

    assert (8.0, 2.0) == pytest.approx((found["bpm_per_degree"], found["breaths_per_degree"]), rel=0.02)
    assert {} == realism.per_degree([(feverish(8.0, 2.0, 1.0)[0], ())], STEP)


def test_a_simulation_unlike_wearers_is_not_promoted():
    found = {"people": LEAST_PEOPLE, "judged": 10, "statistics": {}, "failures": {}}
    wrong = {f"persistence_{i}": "wanted" for i in range(5)}

    good, bad = (realism_gate(found | {"failures": failures}, GATES) for failures in ({}, wrong))
    assert good is not None
    assert bad is not None
    assert (True, 0.0) == (good["passed"], good["value"])
    assert (False, 0.5) == (bad["passed"], bad["value"])


def test_the_means_of_a_few_people_judge_no_simulation():
    found = {"people": LEAST_PEOPLE - 1, "judged": 10, "statistics": {}, "failures": {"a": "b"}}
    verdict = realism_gate(found, GATES)

    assert verdict is not None
    assert verdict["passed"] is None
    assert str(LEAST_PEOPLE - 1) in verdict["why"]
    assert realism_gate({}, GATES) is None  # nobody is simulated


def test_what_is_learnt_from_people_alike_holds_for_them():
    real = [course(10, seed, noise=3.0, level=50.0 + seed) for seed in range(4)]
    found = transfer.from_synthetic_to_real(real, [course(10, 100 + i, noise=3.0) for i in range(8)], 1, 1)

    assert found is not None
    assert found["learnt_from_other_wearers"] == pytest.approx(found["learnt_from_synthetic"], rel=0.05)
    assert found["learnt_from_synthetic"] < 0.5 * found["own_mean"]


def test_a_simulation_whose_hearts_answer_effort_otherwise_teaches_worse():
    real = [course(10, seed, noise=3.0) for seed in range(4)]
    found = transfer.from_synthetic_to_real(real, [course(10, 100 + i, slope=0.2, noise=3.0) for i in range(8)], 1, 1)

    assert found is not None
    assert found["learnt_from_synthetic"] > 1.5 * found["learnt_from_other_wearers"]


def test_two_wearers_are_too_few_to_learn_from_one_another():
    assert transfer.from_synthetic_to_real([course(3, 1), course(3, 2)], [course(3, 3)], 1, 1) is None
